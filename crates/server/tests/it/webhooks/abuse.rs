//! Receivers that hang, drip, lie and lead astray.
use super::{ANN, deliveries, endpoint};
use crate::support::TestApp;
use crate::support::receiver::{Receiver, Reply};
use hallpass::webhooks::worker::{run, run_once};
use std::time::Duration;
use tokio::sync::watch;

#[tokio::test]
async fn a_receiver_that_hangs_delays_neither_a_sign_in_nor_another_receiver() {
    let server = TestApp::start().await;
    let (hangs, works) = (Receiver::start(Reply::Hang).await, Receiver::start(Reply::Status(200)).await);
    endpoint(&server.app, &hangs.url(), &["*"]).await;
    endpoint(&server.app, &works.url(), &["*"]).await;
    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(run(server.app.clone(), stopped));
    // Twelve events: three times as many as may be under way for one endpoint.
    for number in 0..4 {
        server.signed_in(&format!("user{number}@example.com")).await;
    }
    works.wait_for(12).await;
    // All of it came about while the other one still hangs, with as many calls as it may have.
    assert_eq!(hangs.wait_for(4).await.len(), 4);
    let mut ann = server.sign_in("user0@example.com").await;
    assert_eq!(ann.refresh().await.status, 200);
    works.wait_for(13).await;
    assert_eq!(hangs.got().len(), 4);
    // It answers now, and gets the rest.
    hangs.behave(Reply::Status(200));
    hangs.let_go();
    hangs.wait_for(13).await;
    stop.send(true).unwrap();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_a_receiver_that_hangs() {
    let server = TestApp::start().await;
    let hangs = Receiver::start(Reply::Hang).await;
    endpoint(&server.app, &hangs.url(), &["*"]).await;
    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(run(server.app.clone(), stopped));
    server.sign_up(ANN).await;
    hangs.wait_for(1).await;
    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(10), worker).await.unwrap().unwrap();
}

#[tokio::test]
async fn whatever_a_receiver_answers_is_a_failure_with_a_reason_of_ours() {
    let server = TestApp::start_with(|config| config.webhooks.timeout = Duration::from_millis(300)).await;
    let receiver = Receiver::start(Reply::Status(200)).await;
    let (id, _) = endpoint(&server.app, &receiver.url(), &["session.created"]).await;
    server.sign_up(ANN).await;
    let long_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1_000_000));
    let private = Receiver::start(Reply::Status(200)).await;
    for (reply, reason) in [
        (Reply::Hang, "no answer in time"),
        (Reply::Drip, "no answer in time"),
        (Reply::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()), "the answer is not HTTP, or broke off"),
        (Reply::Raw(vec![0; 100_000]), "the answer is not HTTP, or broke off"),
        (Reply::Raw(long_head.into_bytes()), "the answer is not HTTP, or broke off"),
        (Reply::HangUp, "the answer is not HTTP, or broke off"),
        (Reply::Status(404), "answered 404"),
        (Reply::Header(302, "location", private.url()), "answered 302; redirects are not followed"),
    ] {
        receiver.next(reply.clone());
        server.sign_in(ANN).await;
        let report = tokio::time::timeout(Duration::from_secs(10), run_once(&server.app)).await.unwrap();
        assert_eq!(report.unwrap().retried, 1, "{reply:?}");
        assert_eq!(deliveries(&server.app, id).await[0].last_error.as_deref(), Some(reason), "{reply:?}");
    }
    assert_eq!(private.connections(), 0);
    // Of a taken delivery nobody reads the body.
    receiver.next(Reply::Endless);
    server.sign_in(ANN).await;
    assert_eq!(run_once(&server.app).await.unwrap().delivered, 1);
}

#[tokio::test]
async fn nobody_listening_is_a_failure_too() {
    let server = TestApp::start().await;
    let port = Receiver::start(Reply::Status(200)).await.port;
    let (id, _) = endpoint(&server.app, &format!("http://127.0.0.1:{port}/"), &["session.created"]).await;
    let (tls, _) = {
        let plain = Receiver::start(Reply::Status(200)).await;
        (
            endpoint(&server.app, &format!("https://127.0.0.1:{}/", plain.port), &["session.created"])
                .await
                .0,
            plain,
        )
    };
    server.signed_in(ANN).await;
    assert_eq!(run_once(&server.app).await.unwrap().retried, 2);
    assert_eq!(
        deliveries(&server.app, id).await[0].last_error.as_deref(),
        Some("no connection could be made")
    );
    assert!(deliveries(&server.app, tls).await[0].last_error.is_some());
}
