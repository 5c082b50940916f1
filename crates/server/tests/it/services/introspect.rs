//! Introspection (RFC 7662).
use super::service;
use crate::support::{Client, PASSWORD, TestApp};
use hallpass::service_keys::Scope;
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.com";

async fn ask(client: &mut Client, token: &str) -> Value {
    let answer = client.post_form("/api/v1/introspect", &[("token", token), ("token_type_hint", "x")]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.text);
    answer.json
}

fn not_active() -> Value {
    json!({ "active": false })
}

#[tokio::test]
async fn an_access_token_is_told_with_what_it_stands_for() {
    let server = TestApp::start().await;
    server.sign_up_as(json!({ "email": ANN, "password": PASSWORD, "username": "ann" })).await;
    let mut client = server.sign_in(ANN).await;
    let mut service = service(&server, &[Scope::Introspect]).await;
    let said = ask(&mut service, client.bearer.as_ref().unwrap()).await;
    let me = client.get("/api/v1/me").await.json;
    let now = server.app.now().seconds();
    assert_eq!(said["jti"].as_str().map(str::len), Some(36));
    let expected = json!({
        "active": true, "token_type": "Bearer", "client_id": "first-party", "username": "ann",
        "sub": me["user"]["id"], "sid": me["session"]["id"], "roles": ["user"], "permissions": [], "amr": ["pwd"], "acr": "aal1",
        "auth_time": now,
        "aud": "http://localhost:3000", "iss": "http://localhost:3000", "jti": said["jti"],
        "exp": now + 900, "iat": now, "nbf": now,
    });
    assert_eq!(said, expected);
}

#[tokio::test]
async fn whatever_is_not_good_is_not_active_and_nothing_more_is_said() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let mut service = service(&server, &[Scope::Introspect]).await;
    let token = client.bearer.clone().unwrap();
    let own_key = service.bearer.clone().unwrap();
    let long = "x".repeat(9000);
    for wrong in ["x", "a.b.c", &format!("{token}x"), &own_key, &long, "hp_rt_x", "Ω"] {
        assert_eq!(ask(&mut service, wrong).await, not_active(), "{wrong}");
    }
    assert_eq!(ask(&mut service, &token).await["active"], true);
    client.post_nothing("/api/v1/logout").await;
    assert_eq!(ask(&mut service, &token).await, not_active(), "its session has ended");

    let expired = server.sign_in(ANN).await.bearer.unwrap();
    server.advance(Duration::from_secs(15 * 60 + 30));
    assert_eq!(ask(&mut service, &expired).await, not_active(), "it has expired");

    let mut gone = server.sign_in(ANN).await;
    let token = gone.bearer.clone().unwrap();
    assert_eq!(gone.delete("/api/v1/me").await.status, 200);
    assert_eq!(ask(&mut service, &token).await, not_active(), "the account is gone");
}

#[tokio::test]
async fn a_refresh_token_is_told_and_not_touched() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let mut service = service(&server, &[Scope::Introspect]).await;
    let first = client.refresh_token.clone().unwrap();
    let before = server.app.now().seconds();
    for _ in 0..3 {
        let said = ask(&mut service, &first).await;
        assert_eq!((&said["active"], &said["token_type"]), (&json!(true), &json!("refresh_token")));
        assert_eq!(said["exp"], before + 7 * 86_400);
    }
    server.advance(Duration::from_secs(60));
    assert_eq!(client.refresh().await.status, 200, "it was not used by the asking");
    assert_eq!(ask(&mut service, &first).await, not_active(), "its successor has taken over");
    assert_eq!(client.get("/api/v1/me").await.status, 200, "and nobody was reported for asking");
    let second = client.refresh_token.clone().unwrap();
    assert_eq!(ask(&mut service, &second).await["active"], true);
    client.post_nothing("/api/v1/logout").await;
    assert_eq!(ask(&mut service, &second).await, not_active());
}

#[tokio::test]
async fn malformed_calls_are_told_so() {
    let server = TestApp::start().await;
    let mut service = service(&server, &[Scope::Introspect]).await;
    assert_eq!(service.post_form("/api/v1/introspect", &[]).await.code(), "bad_request");
    assert_eq!(
        service.post("/api/v1/introspect", json!({ "token": "x" })).await.code(),
        "unsupported_media_type"
    );
    let long = "x".repeat(70_000);
    assert_eq!(
        service.post_form("/api/v1/introspect", &[("token", &long)]).await.code(),
        "payload_too_large"
    );
}
