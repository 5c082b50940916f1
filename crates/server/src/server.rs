//! Listening and serving: connections with time limits, and a stop that finishes what is in flight.
use crate::app::App;
use crate::{housekeeping, mail, proxy_protocol, router, webhooks};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::Service;

/// How long a client may take for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may leave what was sent to it untaken: one that is gone, or never reads, must not hold a stream for ever.
#[cfg(target_os = "linux")]
const UNTAKEN: Duration = Duration::from_secs(30);
/// Largest head of a request in bytes.
const HEAD_LIMIT: usize = 32 * 1024;

/// Serves until `stop` turns true, then finishes what is in flight, within `server.shutdown_grace`.
pub async fn serve(app: App, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let background = [
        tokio::spawn(mail::worker::run(app.clone(), stop.clone())),
        tokio::spawn(webhooks::worker::run(app.clone(), stop.clone())),
        tokio::spawn(housekeeping::run(app.clone(), stop.clone())),
        tokio::spawn({
            let (db, stop) = (app.db.clone(), stop.clone());
            async move { db.listen(stop).await }
        }),
    ];
    let router = router::router(&app);
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => accepted_one(&app, &router, &graceful, stream, peer),
                Err(error) => accept_failed(&error).await,
            },
            () = told_to(&mut stop) => break,
        }
    }
    drop(listener);
    // Streams would never end by themselves.
    app.feed.close();
    let grace = app.config.server.shutdown_grace;
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end within server.shutdown_grace and were cut off");
    }
    for task in background {
        if tokio::time::timeout(grace, task).await.is_err() {
            tracing::warn!("a background task did not end in time");
        }
    }
}

/// Ends when the server is told to stop, or nobody could tell it any more.
async fn told_to(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Out of file descriptors: wait for some to be given back instead of spinning.
async fn accept_failed(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    let _ = tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await;
}

/// Serves a connection; one from a proxy that speaks the PROXY protocol first says for whom.
fn accepted_one(
    app: &App,
    router: &Router,
    graceful: &GracefulShutdown,
    mut stream: TcpStream,
    peer: SocketAddr,
) {
    let _ = stream.set_nodelay(true);
    give_up_on_silence(&stream);
    let (router, watcher) = (router.clone(), graceful.watcher());
    let announced = app.config.server.proxy_protocol && app.proxies.is_trusted(peer.ip());
    tokio::spawn(async move {
        let client = if announced {
            match proxy_protocol::read(&mut stream, peer).await {
                Ok(client) => client,
                Err(problem) => {
                    tracing::warn!(%peer, "a connection from a trusted proxy was closed: {problem}");
                    return;
                }
            }
        } else {
            peer
        };
        serve_connection(router, watcher, stream, client).await;
    });
}

/// Has the system close a connection whose other end takes nothing.
fn give_up_on_silence(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    {
        let millis = u32::try_from(UNTAKEN.as_millis()).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, millis);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

async fn serve_connection(router: Router, watcher: Watcher, stream: TcpStream, peer: SocketAddr) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut router = router.clone();
        async move { router.call(request).await }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, %peer, "a connection broke off");
    }
}
