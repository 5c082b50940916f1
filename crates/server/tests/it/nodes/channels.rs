//! What carries announcements: one contract, kept by the database and by Redis.
use super::redis::RedisServer;
use super::{ANN, by, hears, there};
use crate::support::{Client, TestApp, TestClock, database as backend};
use hallpass::bus::{Bus, Channel, LIMIT, Notice};
use hallpass::db::Statements;
use hallpass::ids::{SessionId, UserId};
use serde_json::{Value, json};
use std::time::Duration;

/// A server that hears by one channel alone.
async fn server_on(redis: Option<&RedisServer>) -> TestApp {
    backend::needed();
    let url = redis.map(RedisServer::url);
    TestApp::start_with(|config| by(config, url.as_deref())).await
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
        server.clock.pass(Duration::from_secs(15));
        hears(&server.app.db).await;
        let before = server.app.db.statements();
        let answered = name(&mut client).await;
        // Unless the heartbeat came late just then.
        if server.app.db.statements() == before {
            assert_eq!(answered, former, "not a minute yet");
        }
        server.clock.pass(Duration::from_secs(46));
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

/// Hundreds of copies of the latest session, as of somebody who signs in anew all day with one cookie jar.
async fn copies(server: &TestApp, number: u128) {
    let sql = "insert into sessions (id, user_id, client_id, generation, current_hash, rotated_at, rotated_network,
         rotated_agent, delivery, amr, auth_time, ip, created_at, last_seen_at, expires_at, absolute_expires_at, device_id)
         select $1, user_id, client_id, generation, current_hash, rotated_at, rotated_network, rotated_agent, delivery, amr,
         auth_time, ip, created_at, last_seen_at, expires_at, absolute_expires_at, device_id from sessions order by id limit 1";
    let ids = (1..=number).map(|number| uuid::Uuid::from_u128(0x7000_8000_0000_0000_0000 << 32 | number));
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    let sets: Vec<_> = ids.iter().map(|id| vec![id.into()]).collect();
    server.app.db.write_each(sql, &sets).await.unwrap();
}

async fn many_sessions_of_one_device(redis: Option<&RedisServer>) {
    let server = server_on(redis).await;
    let other = server.second_node().await;
    let mut phone = server.signed_in(ANN).await;
    copies(&server, 700).await;
    let mut laptop = server.sign_in(ANN).await;
    let mut phone_there = there(&other, &phone);
    hears(&other.app.db).await;
    assert_eq!(phone_there.get("/api/v1/me").await.status, 200);
    let device = phone.get("/api/v1/me").await.json["session"]["deviceId"].as_str().unwrap().to_owned();
    let forgotten = laptop.delete(&format!("/api/v1/devices/{device}")).await;
    assert_eq!((forgotten.status, &forgotten.json["revoked"]), (200, &json!(701)), "{}", forgotten.text);
    assert_eq!(phone.get("/api/v1/me").await.code(), "session_revoked");
    refused_within_the_limit(&mut phone_there).await;
    assert_eq!(there(&other, &laptop).get("/api/v1/me").await.status, 200);
}

#[tokio::test]
async fn hundreds_of_sessions_end_with_one_device_over_the_database() {
    many_sessions_of_one_device(None).await;
}

#[tokio::test]
async fn hundreds_of_sessions_end_with_one_device_over_redis() {
    let redis = RedisServer::start();
    many_sessions_of_one_device(Some(&redis)).await;
}

#[test]
fn what_is_under_way_for_one_user_keeps_nobody_else_from_what_they_remember() {
    let bus = Bus::new(std::sync::Arc::new(TestClock::default()), Duration::from_secs(12));
    let number = bus.beat(Channel::Redis);
    bus.came_back(Channel::Redis, number);
    let ids = |number: u128| {
        (UserId(uuid::Uuid::from_u128(number)), Some(SessionId(uuid::Uuid::from_u128(number + 1))))
    };
    let (zeros, other) = (ids(0x7000_8000_0000_0000_0000_0000), ids(0x7000_8000_0000_0000_0000_0777));
    let before = bus.proof(other.0, other.1);
    assert!(before.is_some());
    // The end of this id is all zeros, as those of what concerns everybody.
    bus.hear_before_commit(&Notice::write(&[Notice::User(zeros.0)]));
    assert_eq!(bus.proof(zeros.0, zeros.1), None);
    assert_eq!(bus.proof(other.0, other.1), before);
    bus.hear_before_commit(&Notice::write(&[Notice::Keys]));
    assert_eq!(bus.proof(other.0, other.1), before, "keys are looked after elsewhere");
    bus.hear_before_commit(&Notice::write(&[Notice::Roles]));
    assert_eq!(bus.proof(other.0, other.1), None);
}
