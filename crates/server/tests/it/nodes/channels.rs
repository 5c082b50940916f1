//! What carries announcements: one contract, kept by the database and by Redis.
use super::redis::RedisServer;
use crate::support::{Client, TestApp, TestNode, database as backend};
use hallpass::bus::LIMIT;
use hallpass::config::{Config, Secret};
use hallpass::db::Statements;
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.com";

/// A server that hears by one channel alone.
async fn server_on(redis: Option<&RedisServer>) -> TestApp {
    backend::needed();
    let url = redis.map(RedisServer::url);
    TestApp::start_with(|config| by(config, url.as_deref())).await
}

fn by(config: &mut Config, redis: Option<&str>) {
    config.database.listen = redis.is_none();
    config.redis.url = redis.map(Secret::new);
}

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

async fn refused_within_the_limit(client: &mut Client) {
    let refused = async { while client.get("/api/v1/me").await.code() != "session_revoked" {} };
    tokio::time::timeout(LIMIT, refused).await.expect("refused within the limit");
}

/// What every channel has to do.
async fn contract(redis: Option<&RedisServer>) {
    let server = server_on(redis).await;
    let other = server.second_node().await;
    let mut here = server.signed_in(ANN).await;
    let mut kept = server.sign_in(ANN).await;
    hears(&server.app.db).await;
    hears(&other.app.db).await;
    let (mut remote, mut kept_there) = (there(&other, &here), there(&other, &kept));
    for client in [&mut remote, &mut kept_there] {
        assert_eq!(client.get("/api/v1/me").await.status, 200);
    }
    assert_eq!(here.post_nothing("/api/v1/logout").await.status, 200);
    assert_eq!(here.get("/api/v1/me").await.code(), "session_revoked", "where it was said, at once");
    refused_within_the_limit(&mut remote).await;
    assert_eq!(kept_there.get("/api/v1/me").await.status, 200, "and nobody else's");
    assert_eq!(kept_there.patch("/api/v1/me", json!({ "name": "Ann" })).await.status, 200);
    let renamed = async { while kept.get("/api/v1/me").await.json["user"]["name"] != "Ann" {} };
    tokio::time::timeout(LIMIT, renamed).await.expect("a change is seen within the limit");
    assert_eq!(kept.post_nothing("/api/v1/logout-all").await.status, 200);
    refused_within_the_limit(&mut kept_there).await;
    server.clock.last_longer(LIMIT * 2);
    assert!(!server.app.db.hears(), "an old heartbeat proves nothing");
    hears(&server.app.db).await;
}

#[tokio::test]
async fn the_database_carries_announcements() {
    contract(None).await;
}

#[tokio::test]
async fn redis_carries_announcements() {
    let redis = RedisServer::start();
    contract(Some(&redis)).await;
}

#[tokio::test]
async fn what_redis_did_not_take_from_one_node_is_found_by_the_others_within_the_limit() {
    let redis = RedisServer::start();
    let server = server_on(Some(&redis)).await;
    // To this node Redis is out of reach, to the other it is not.
    let cut_off =
        server.node_with(server.clock.clone(), |config| by(config, Some("redis://127.0.0.1:1"))).await;
    let mut client = server.signed_in(ANN).await;
    hears(&server.app.db).await;
    for _ in 0..3 {
        let mut session = server.sign_in(ANN).await;
        assert_eq!(session.get("/api/v1/me").await.status, 200);
        assert_eq!(there(&cut_off, &session).post_nothing("/api/v1/logout").await.status, 200);
        refused_within_the_limit(&mut session).await;
    }
    assert!(!cut_off.app.db.hears());
    hears(&server.app.db).await;
    assert_eq!(client.get("/api/v1/me").await.status, 200);
}

/// Whom a session check answers with.
async fn name(client: &mut Client) -> Value {
    let answer = client.get("/api/v1/me").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["user"]["name"].clone()
}

/// Whom it answers with from memory. Whenever a heartbeat is late it asks the database instead.
async fn name_from_memory(server: &TestApp, client: &mut Client) -> Value {
    let remembered = async {
        loop {
            let before = server.app.db.statements();
            let name = name(client).await;
            if server.app.db.statements() == before {
                return name;
            }
        }
    };
    tokio::time::timeout(LIMIT * 10, remembered).await.expect("it is remembered")
}

#[tokio::test]
async fn what_only_redis_vouches_for_is_read_anew_every_minute() {
    let redis = RedisServer::start();
    let server = server_on(Some(&redis)).await;
    let mut client = server.signed_in(ANN).await;
    hears(&server.app.db).await;
    // Beyond the time for which the sign-in's own announcement keeps from relying on anything.
    server.clock.last_longer(Duration::from_secs(30));
    assert_eq!(name_from_memory(&server, &mut client).await, Value::Null);
    let mut former = Value::Null;
    for present in ["Ann", "Bea", "Cleo"] {
        // As by a commit that was held up for very long after its announcement: nobody is told any more.
        let change = "update users set name = $1";
        assert_eq!((&mut &server.app.db).execute(change, &[present.into()]).await.unwrap(), 1);
        server.clock.last_longer(Duration::from_secs(15));
        hears(&server.app.db).await;
        let before = server.app.db.statements();
        let answered = name(&mut client).await;
        // Unless the heartbeat came late just then.
        if server.app.db.statements() == before {
            assert_eq!(answered, former, "not a minute yet");
        }
        server.clock.last_longer(Duration::from_secs(46));
        hears(&server.app.db).await;
        assert_eq!(name(&mut client).await, present, "from the database");
        assert_eq!(name_from_memory(&server, &mut client).await, present);
        former = present.into();
    }
}

#[tokio::test]
async fn with_redis_gone_every_node_asks_the_database_and_hears_again_when_it_is_back() {
    let redis = RedisServer::start();
    let port = redis.port;
    let server = server_on(Some(&redis)).await;
    let other = server.second_node().await;
    let mut client = server.signed_in(ANN).await;
    hears(&server.app.db).await;
    hears(&other.app.db).await;
    assert_eq!(client.get("/api/v1/me").await.status, 200);
    drop(redis);
    assert_eq!(there(&other, &client).post_nothing("/api/v1/logout").await.status, 200);
    refused_within_the_limit(&mut client).await;
    while server.app.db.hears() {
        tokio::task::yield_now().await;
    }
    let again = RedisServer::start_on(port);
    hears(&server.app.db).await;
    drop(again);
}
