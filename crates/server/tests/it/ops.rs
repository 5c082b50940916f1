//! What operators rely on: health, metrics, documentation, sockets, an orderly stop.
use crate::support::{PASSWORD, TestApp};
use hallpass::config::{Config, Mode, RegistrationMode, Secret};
use hallpass::db::Statements;
use hallpass::mail::worker;
use hallpass::{openapi, server};
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const ANN: &str = "ann@example.com";

#[tokio::test]
async fn health_and_metrics_tell_what_goes_on_without_secrets_or_raw_paths() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    assert_eq!(client.get("/health/live").await.json["status"], "ok");
    let ready = client.get("/health/ready").await;
    assert_eq!(
        (ready.status, &ready.json["database"], &ready.json["mail"]),
        (200, &json!("ok"), &json!("ok"))
    );
    client.refresh().await;
    client.get("/api/v1/sessions/01900000-0000-7000-8000-000000000000?secret=1").await;
    client.get("/some/odd/path").await;
    let metrics = client.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    for line in [
        "hallpass_logins_total{outcome=\"ok\"} 1",
        "hallpass_refreshes_total{outcome=\"ok\"} 1",
        "hallpass_http_requests_total{method=\"GET\",route=\"/api/v1/sessions/{id}\",status=\"404\"} 1",
        "hallpass_http_requests_total{method=\"GET\",route=\"(none)\",status=\"404\"} 1",
    ] {
        assert!(metrics.text.contains(line), "{line}\n{}", metrics.text);
    }
    for absent in ["01900000", "secret", "odd", ANN, "hp_rt_"] {
        assert!(!metrics.text.contains(absent), "{absent}");
    }
    assert!(metrics.text.ends_with("# EOF\n"));
    let quiet = TestApp::start_with(|config| config.telemetry.metrics = false).await;
    assert_eq!(quiet.client().get("/metrics").await.code(), "not_found");
}

#[tokio::test]
async fn a_mail_server_that_is_down_makes_readiness_degraded_and_loses_nothing() {
    let server = TestApp::start_with(|config| {
        config.server.mode = Mode::Development;
        config.registration.mode = RegistrationMode::Immediate;
        // Nobody listens on port 1.
        config.mail.smtp_url = Some(Secret::new("smtp://127.0.0.1:1"));
        config.mail.plain_loopback = true;
    })
    .await;
    let body = json!({ "email": ANN, "password": PASSWORD });
    assert_eq!(
        server.client().post("/api/v1/register", body).await.status,
        201,
        "people get in all the same"
    );
    worker::run_once(&server.app).await.unwrap();
    let ready = server.client().get("/health/ready").await;
    assert_eq!(
        (ready.status, &ready.json["status"], &ready.json["database"]),
        (200, &json!("degraded"), &json!("ok"))
    );
    assert!(ready.json["mail"].as_str().unwrap().contains("1 mails wait"), "{}", ready.text);
    let metrics = server.client().get("/metrics").await.text;
    assert!(metrics.contains("hallpass_mail_up 0") && metrics.contains("hallpass_outbox 1"), "{metrics}");
}

#[tokio::test]
async fn the_reference_is_served_whole_and_loads_nothing_from_outside() {
    let server = TestApp::start().await;
    let document = server.client().get("/openapi.json").await;
    let expected: serde_json::Value = serde_json::from_str(&openapi::document()).unwrap();
    assert_eq!(document.json, expected);
    for path in ["/docs", "/verify-email?token=x", "/password/forgot", "/dev/mailbox"] {
        let page = server.client().get(path).await;
        assert_eq!(page.status, 200, "{path}");
        for attribute in ["src=\"http", "href=\"http", "src=\"//", "href=\"//", "<script", "@import"] {
            assert!(!page.text.contains(attribute), "{path} has {attribute}");
        }
    }
    assert!(server.client().get("/docs").await.text.contains("POST /api/v1/login"));
    let css = server.client().get("/assets/page.css").await;
    assert!(css.status == 200 && !css.text.contains("http") && !css.text.contains("@import"));
}

#[tokio::test]
async fn the_dev_mailbox_is_not_there_in_production_or_for_rebound_names() {
    let server = TestApp::start_with(|config| {
        config.server.public_url = Some("https://auth.example.com".into());
        config.mail.smtp_url = Some(hallpass::config::Secret::new("smtps://u:p@mail.example.com:465"));
    })
    .await;
    assert_eq!(server.client().get("/dev/mailbox.json").await.code(), "not_found");
    let server = TestApp::start().await;
    for (host, status) in [("localhost:3000", 200), ("127.0.0.1:3000", 200), ("evil.example:3000", 404)] {
        let answer = server.client().with_header("host", host).get("/dev/mailbox.json").await;
        assert_eq!(answer.status, status, "{host}");
    }
}

#[tokio::test]
async fn a_database_that_breaks_lets_nobody_in_and_tells_nothing_of_itself() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let mut tx = server.app.db.begin().await.unwrap();
    tx.execute("alter table sessions rename to lost", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" });
    let answers = [
        client.get("/api/v1/me").await,
        client.refresh().await,
        client.post_nothing("/api/v1/logout-all").await,
        server.client().post("/api/v1/login", body).await,
    ];
    for answer in answers {
        assert_eq!((answer.status, answer.code()), (500, "internal"), "{}", answer.text);
        let text = answer.text.to_lowercase();
        for word in ["table", "sql", "sessions", "lost", "crates/", ".rs", "panicked"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
        assert!(answer.json["requestId"].as_str().unwrap().len() >= 16, "the log is found by it");
    }
    assert_eq!(server.client().get("/api/v1/settings").await.status, 200, "what needs no table goes on");
}

struct Served {
    test: TestApp,
    address: std::net::SocketAddr,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

async fn serve() -> Served {
    serve_with(|_| {}).await
}

async fn serve_with(change: impl FnOnce(&mut Config)) -> Served {
    let test = TestApp::start_with(change).await;
    test.sign_up(ANN).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(server::serve(test.app.clone(), listener, stopped));
    Served { test, address, stop, task }
}

/// Writes bytes and reads until the server closes the connection.
async fn talk(stream: &mut TcpStream, bytes: &[u8]) -> String {
    write(stream, bytes).await;
    let mut answer = Vec::new();
    loop {
        stream.readable().await.unwrap();
        match stream.try_read_buf(&mut answer) {
            Ok(0) | Err(_)
                if !answer.is_empty() || stream.peek(&mut [0]).await.is_ok_and(|count| count == 0) =>
            {
                break;
            }
            _ => {}
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

async fn write(stream: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        stream.writable().await.unwrap();
        if let Ok(count) = stream.try_write(bytes) {
            bytes = &bytes[count..];
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_finishes_what_is_in_flight_and_ends() {
    let running = serve().await;
    let body = json!({ "email": ANN, "password": PASSWORD }).to_string();
    let head = format!(
        "POST /api/v1/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    write(&stream, head.as_bytes()).await;
    // Whoever asks for the body has read the head, so the call is in flight.
    let mut asked = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    running.stop.send(true).unwrap();
    let answer = talk(&mut stream, body.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.task.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody listens any more");
    drop(running.test);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_requests_on_a_socket_get_a_4xx_and_harm_nobody() {
    let running = serve().await;
    let cases: [&[u8]; 5] = [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"GET /api/v1/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \x00\x01\r\n\r\n",
        b"POST /api/v1/login HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n",
        b"GET /api/v1/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ];
    for bytes in cases {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let answer = talk(&mut stream, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{}: {answer}", String::from_utf8_lossy(bytes));
    }
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let answer =
        talk(&mut stream, b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.stop.send(true).unwrap();
    running.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_sends_its_body_is_answered_within_the_time_limit() {
    let running = serve_with(|config| config.server.request_timeout = Duration::from_secs(1)).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head = b"POST /api/v1/login HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    let answer = talk(&mut stream, head).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
    running.stop.send(true).unwrap();
    running.task.await.unwrap();
}
