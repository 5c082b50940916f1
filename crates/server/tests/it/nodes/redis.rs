//! A Redis that is away, slow, flushed or restarted: people come in, and limits stay limits.
use crate::support::{OTHER_PASSWORD, PASSWORD, TestApp, database as backend};
use hallpass::config::Secret;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ANN: &str = "ann@example.com";

/// A server of the test's own; killed when dropped.
pub struct RedisServer {
    child: Child,
    pub port: u16,
    _folder: tempfile::TempDir,
}

impl RedisServer {
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_on(port)
    }

    pub fn start_on(port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Self { child, port, _folder: folder }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Runs a command; returns what was printed.
    pub fn say(&self, words: &[&str]) -> String {
        let output =
            Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn on(redis: &RedisServer) -> TestApp {
    backend::needed();
    TestApp::start_with(|config| {
        config.redis.url = Some(Secret::new(redis.url()));
        config.redis.timeout = Duration::from_millis(200);
    })
    .await
}

/// Tries so many wrong passwords; returns the statuses.
async fn guess(server: &TestApp, times: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        let wrong = json!({ "email": ANN, "password": OTHER_PASSWORD });
        statuses.push(server.client().post("/api/v1/login", wrong).await.status);
    }
    statuses
}

async fn life_goes_on(server: &TestApp) {
    let mut client = server.client().at("10.7.7.7");
    client.log_in(json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" })).await;
    assert_eq!(client.refresh().await.status, 200);
    assert_eq!(client.get("/api/v1/me").await.status, 200);
    client.post_nothing("/api/v1/logout").await;
    assert_eq!(client.get("/api/v1/me").await.status, 401);
    assert_eq!(client.refresh().await.status, 401);
}

async fn redis_state(server: &TestApp) -> String {
    let ready = server.client().get("/health/ready").await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    ready.json["redis"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn counts_are_kept_in_redis_under_the_prefix_and_nothing_there_tells_whom_they_are_about() {
    let redis = RedisServer::start();
    let server = on(&redis).await;
    server.sign_up(ANN).await;
    assert_eq!(guess(&server, 6).await, [401, 401, 401, 401, 401, 429]);
    let keys = redis.say(&["keys", "*"]);
    assert!(keys.lines().count() >= 3, "{keys}");
    let prefix = format!("{}:limit:", server.app.config.redis.prefix);
    assert!(keys.lines().all(|key| key.starts_with(&prefix) && !key.contains("ann")), "{keys}");
    for key in keys.lines() {
        assert!(redis.say(&["ttl", key]).trim().parse::<i64>().unwrap() > 0, "it does not stay for ever");
    }
    assert_eq!(redis_state(&server).await, "ok");
}

#[tokio::test]
async fn without_redis_the_database_counts_and_the_server_says_so() {
    let redis = RedisServer::start();
    let server = on(&redis).await;
    server.sign_up(ANN).await;
    drop(redis);
    assert_eq!(guess(&server, 7).await, [401, 401, 401, 401, 401, 429, 429], "never unlimited");
    life_goes_on(&server).await;
    assert!(redis_state(&server).await.contains("does not answer"));
    let metrics = server.client().get("/metrics").await.text;
    assert!(
        metrics.contains("hallpass_limits_fallbacks_total") && !metrics.contains("fallbacks_total 0"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_redis_that_hangs_holds_nobody_up_for_long() {
    let redis = RedisServer::start();
    let server = on(&redis).await;
    server.sign_up(ANN).await;
    redis.signal(Signal::STOP);
    let done = async {
        assert_eq!(guess(&server, 6).await, [401, 401, 401, 401, 401, 429]);
        life_goes_on(&server).await;
    };
    tokio::time::timeout(Duration::from_secs(20), done).await.expect("nobody waits for what hangs");
    redis.signal(Signal::CONT);
}

#[tokio::test]
async fn a_redis_that_is_flushed_or_restarted_forgets_counts_and_brings_nothing_back_to_life() {
    let redis = RedisServer::start();
    let server = on(&redis).await;
    server.sign_up(ANN).await;
    let mut ended = server.sign_in(ANN).await;
    ended.post_nothing("/api/v1/logout").await;
    redis.say(&["flushall"]);
    assert_eq!(guess(&server, 6).await, [401, 401, 401, 401, 401, 429]);
    assert_eq!((ended.get("/api/v1/me").await.status, ended.refresh().await.status), (401, 401));
    let port = redis.port;
    drop(redis);
    assert!(redis_state(&server).await.contains("does not answer"));
    let again = RedisServer::start_on(port);
    while redis_state(&server).await != "ok" {
        tokio::task::yield_now().await;
    }
    assert_eq!((ended.get("/api/v1/me").await.status, ended.refresh().await.status), (401, 401));
    life_goes_on(&server).await;
    drop(again);
}
