//! Signing keys that one node changes while others serve.
use super::redis::RedisServer;
use super::{ANN, by, clients, hears, there, three};
use crate::support::{Client, TestApp, TestClock, database as backend, operator};
use data_encoding::BASE64URL_NOPAD;
use hallpass::bus::LIMIT;
use hallpass::{housekeeping, keys};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

async fn jwks(client: &mut Client) -> Value {
    client.get("/.well-known/jwks.json").await.json
}

#[tokio::test]
async fn a_token_signed_with_a_key_of_a_moment_ago_is_taken_by_nodes_that_have_not_heard_of_it() {
    let (server, nodes) = three().await;
    let mut client = server.signed_in(ANN).await;
    server.rotate_keys(false).await;
    assert_eq!(client.refresh().await.status, 200);
    let [_, mut second, mut third] = clients(&server, &nodes);
    for other in [&mut second, &mut third] {
        other.bearer.clone_from(&client.bearer);
    }
    assert_eq!(second.get("/api/v1/me").await.status, 200);
    assert_eq!(jwks(&mut second).await, jwks(&mut client).await);
    assert_eq!(third.post_nothing("/api/v1/logout").await.status, 200);
    assert_eq!(client.get("/api/v1/me").await.code(), "session_revoked");
}

#[tokio::test]
async fn made_up_keys_are_looked_for_once_a_second_by_one_caller_for_all() {
    let server = TestApp::start().await;
    let token = server.signed_in(ANN).await.bearer.unwrap();
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "nobody" });
    let made_up = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(header.to_string().as_bytes()),
        token.split_once('.').unwrap().1
    );
    for _ in 0..3 {
        let before = server.app.db.statements();
        let calls = (0..50).map(|_| {
            let mut client = server.client();
            client.bearer = Some(made_up.clone());
            async move { client.get("/api/v1/me").await.code().to_owned() }
        });
        for code in futures_util::future::join_all(calls).await {
            assert_eq!(code, "unauthenticated");
        }
        assert_eq!(server.app.db.statements() - before, 1);
        server.clock.last_longer(Duration::from_secs(1));
    }
}

/// What every channel has to do.
async fn contract(redis: Option<&RedisServer>) {
    backend::needed();
    let url = redis.map(RedisServer::url);
    let server = TestApp::start_with(|config| by(config, url.as_deref())).await;
    let other = server.second_node().await;
    let (_sender, stop) = watch::channel(false);
    tokio::spawn(housekeeping::run(other.app.clone(), stop));
    hears(&other.app.db).await;
    for drop_former in [false, true] {
        let mut client = server.signed_in(&format!("{drop_former}@example.com")).await;
        let mut remote = there(&other, &client);
        assert_eq!(remote.get("/api/v1/me").await.status, 200);
        server.rotate_keys(drop_former).await;
        let known = jwks(&mut client).await;
        let taken_up = async {
            while jwks(&mut remote).await != known {
                // Nothing is waited for otherwise.
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, taken_up).await.expect("published elsewhere within the limit");
        let status = if drop_former { 401 } else { 200 };
        assert_eq!(remote.get("/api/v1/me").await.status, status, "dropped: {drop_former}");
    }
}

#[tokio::test]
async fn a_rotation_counts_on_other_nodes_within_the_limit_over_the_database() {
    contract(None).await;
}

#[tokio::test]
async fn a_rotation_counts_on_other_nodes_within_the_limit_over_redis() {
    let redis = RedisServer::start();
    contract(Some(&redis)).await;
}

#[tokio::test]
async fn nodes_whose_clocks_differ_agree_on_the_key_that_one_of_them_made() {
    backend::needed();
    let server = TestApp::start().await;
    let clock = Arc::new(TestClock::ahead_of(&server.clock, Duration::from_secs(20)));
    let ahead = server.node_with(clock, |_| {}).await;
    for drop_former in [false, true] {
        let app = &ahead.app;
        let kid = operator::rotate_keys(app, drop_former).await;
        for app in [&server.app, app, &server.app] {
            keys::maintain(app).await.unwrap();
            assert_eq!(app.signing.current().active.as_ref().unwrap().kid(), kid);
        }
    }
}
