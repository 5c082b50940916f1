//! The physical limit of a request: one axum route that answers as many bytes as `GET /api/v1/me`, nothing around it,
//! over the same HTTP settings as the server.
use crate::Fallible;
use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io::Write;
use std::time::Duration;
use tokio::net::TcpListener;
use tower::Service;

/// Length of a session check's answer.
const BYTES: usize = 640;

/// Serves until it is killed; says where it listens on the first line.
pub async fn serve() -> Fallible<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut out = std::io::stdout();
    writeln!(out, "{{\"listen\":\"{}\"}}", listener.local_addr()?)?;
    out.flush()?;
    let body = format!("{{\"bare\":\"{}\"}}", "x".repeat(BYTES - 11));
    let answer = move || {
        let body = body.clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    };
    let router: Router = Router::new().route("/bare", get(answer));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let router = router.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let mut router = router.clone();
            async move { router.call(request.map(Body::new)).await }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(10))
            .max_buf_size(32 * 1024)
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}
