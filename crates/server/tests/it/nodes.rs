//! Several nodes on one PostgreSQL database, with and without Redis.
mod channels;
mod commands;
mod database;
mod keys;
mod redis;
mod shared_rows;
mod together;

use crate::support::{Client, OTHER_PASSWORD, PASSWORD, TestApp, TestClock, TestNode, database as backend};
use hallpass::bus::LIMIT;
use hallpass::config::{Config, Secret};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const ANN: &str = "ann@example.com";

/// A server with default settings and two more nodes.
async fn three() -> (TestApp, [TestNode; 2]) {
    backend::needed();
    let server = TestApp::start().await;
    let nodes = [server.second_node().await, server.second_node().await];
    (server, nodes)
}

/// The one channel by which a node hears of others.
fn by(config: &mut Config, redis: Option<&str>) {
    config.database.listen = redis.is_none();
    config.redis.url = redis.map(Secret::new);
}

/// Waits until a node hears the others, which tells it that it may rely on what it has read.
async fn hears(db: &hallpass::db::Db) {
    while !db.hears() {
        tokio::task::yield_now().await;
    }
}

/// The same client on another node.
fn there(node: &TestNode, client: &Client) -> Client {
    let mut other = node.client();
    (other.bearer, other.refresh_token) = (client.bearer.clone(), client.refresh_token.clone());
    other
}

/// A client of each node.
fn clients(server: &TestApp, nodes: &[TestNode; 2]) -> [Client; 3] {
    [server.client(), nodes[0].client(), nodes[1].client()]
}

#[tokio::test]
async fn guesses_spread_over_the_nodes_get_five_free_failures_in_all() {
    let (server, nodes) = three().await;
    server.sign_up(ANN).await;
    let wrong = json!({ "email": ANN, "password": OTHER_PASSWORD });
    let mut statuses = Vec::new();
    for number in 0..9 {
        let mut client = clients(&server, &nodes)[number % 3].clone();
        statuses.push(client.post("/api/v1/login", wrong.clone()).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429, 429]);
    let right = json!({ "email": ANN, "password": PASSWORD });
    for mut client in clients(&server, &nodes) {
        assert_eq!(client.post("/api/v1/login", right.clone()).await.status, 429);
        let elsewhere = client.clone().at("10.1.2.3").post("/api/v1/login", right.clone()).await;
        assert_eq!(elsewhere.status, 200, "the owner comes in from elsewhere");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_parallel_guesses_over_three_nodes_get_five_answers() {
    let (server, nodes) = three().await;
    server.sign_up(ANN).await;
    let calls: Vec<_> = (0..300)
        .map(|number| {
            let mut client = clients(&server, &nodes)[number % 3].clone();
            let body = json!({ "email": ANN, "password": OTHER_PASSWORD });
            tokio::spawn(async move { client.post("/api/v1/login", body).await.status })
        })
        .collect();
    let mut verified = 0;
    for call in calls {
        let status = call.await.unwrap();
        assert!([401, 429].contains(&status), "{status}");
        verified += usize::from(status == 401);
    }
    assert_eq!(verified, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_refreshes_of_one_token_over_three_nodes_get_one_successor() {
    let (server, nodes) = three().await;
    let mut client = server.signed_in(ANN).await;
    for _ in 0..5 {
        let token = client.refresh_token.clone().unwrap();
        let calls: Vec<_> = (0..30)
            .map(|number| {
                let mut client = clients(&server, &nodes)[number % 3].clone();
                let token = token.clone();
                tokio::spawn(async move { client.refresh_with(&token).await })
            })
            .collect();
        let mut successors = std::collections::BTreeSet::new();
        for call in calls {
            let answer = call.await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text);
            successors.insert(answer.json["refreshToken"].as_str().unwrap().to_owned());
            client.keep_tokens(&answer);
        }
        assert_eq!(successors.len(), 1, "never two live branches");
    }
}

#[tokio::test]
async fn a_checked_session_is_answered_from_memory_until_something_is_announced_about_it() {
    let (server, nodes) = three().await;
    let mut client = server.signed_in(ANN).await;
    hears(&server.app.db).await;
    assert_eq!(client.get("/api/v1/me").await.status, 200);
    // Once what the sign-in announced has come back.
    let from_memory = async {
        loop {
            let before = server.app.db.statements();
            for _ in 0..10 {
                assert_eq!(client.get("/api/v1/me").await.status, 200);
            }
            if server.app.db.statements() == before {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT * 5, from_memory).await.expect("nothing is asked");
    let mut elsewhere = nodes[0].client();
    elsewhere.bearer.clone_from(&client.bearer);
    elsewhere.patch("/api/v1/me", json!({ "name": "Ann" })).await;
    let renamed = async { while client.get("/api/v1/me").await.json["user"]["name"] != "Ann" {} };
    tokio::time::timeout(LIMIT, renamed).await.expect("a change on another node is seen within the limit");
}

#[tokio::test]
async fn a_heartbeat_that_is_too_old_proves_nothing() {
    let (server, _) = three().await;
    let mut client = server.signed_in(ANN).await;
    hears(&server.app.db).await;
    assert_eq!(client.get("/api/v1/me").await.status, 200);
    server.clock.last_longer(LIMIT + Duration::from_millis(1));
    assert!(!server.app.db.hears());
    hears(&server.app.db).await;
}

#[tokio::test]
async fn nodes_whose_clocks_are_twenty_seconds_apart_serve_the_same_people() {
    backend::needed();
    let server = TestApp::start().await;
    let ahead = Arc::new(TestClock::ahead_of(&server.clock, Duration::from_secs(20)));
    let node = server.node_with(ahead.clone(), |_| {}).await;
    let mut here = server.signed_in(ANN).await;
    for round in 0..4 {
        let mut there = node.client();
        (there.bearer, there.refresh_token) = (here.bearer.clone(), here.refresh_token.clone());
        assert_eq!(there.get("/api/v1/me").await.status, 200, "round {round}");
        assert_eq!(there.refresh().await.status, 200, "round {round}");
        (here.bearer, here.refresh_token) = (there.bearer, there.refresh_token);
        assert_eq!(here.get("/api/v1/me").await.status, 200, "round {round}");
        assert_eq!(here.refresh().await.status, 200, "round {round}");
        server.advance(Duration::from_secs(600));
        ahead.advance(Duration::from_secs(600));
    }
    let mut there = node.client();
    there.bearer.clone_from(&here.bearer);
    assert_eq!(there.post_nothing("/api/v1/logout").await.status, 200);
    assert_eq!(here.refresh().await.code(), "session_revoked");
}

#[tokio::test]
async fn a_node_whose_clock_is_two_minutes_off_says_so() {
    backend::needed();
    let server = TestApp::start().await;
    server.clock.set_right();
    hears(&server.app.db).await;
    let ready = server.client().get("/health/ready").await;
    assert_eq!((ready.status, ready.json["status"].as_str().unwrap()), (200, "ok"), "{}", ready.text);
    server.advance(Duration::from_secs(121));
    let ready = server.client().get("/health/ready").await;
    assert_eq!((ready.status, ready.json["status"].as_str().unwrap()), (200, "degraded"));
    let clock = ready.json["clock"].as_str().unwrap();
    assert!(clock.contains("s ahead of the database's"), "{clock}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_together_on_an_empty_database_agree_on_schema_and_keys() {
    backend::needed();
    let database = backend::Database::empty().unwrap();
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let folder = tempfile::tempdir().unwrap();
            let mut config = crate::support::config_in(folder.path());
            backend::use_in(&mut config, &database);
            let (clock, random) =
                (Arc::new(TestClock::default()), Arc::new(crate::support::TestRandom::default()));
            tokio::spawn(async move { hallpass::start::start(config, clock, random, true).await.unwrap() })
        })
        .collect();
    let mut signers = std::collections::BTreeSet::new();
    let mut apps = Vec::new();
    for start in starts {
        apps.push(start.await.unwrap());
    }
    for app in &apps {
        hallpass::keys::maintain(app).await.unwrap();
        signers.insert(app.signing.current().active.as_ref().unwrap().kid().to_owned());
    }
    assert_eq!(signers.len(), 1, "{signers:?}");
}
