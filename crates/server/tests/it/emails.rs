//! Change of address.
use crate::support::{Client, PASSWORD, TestApp};
use serde_json::json;
use std::time::Duration;

const OLD: &str = "old@example.com";
const NEW: &str = "new@example.com";

async fn asked(server: &TestApp) -> Client {
    let mut client = server.signed_in(OLD).await;
    server.advance(Duration::from_secs(1));
    let answer = client.post("/api/v1/email/change", json!({ "email": NEW })).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    client
}

async fn address(client: &mut Client) -> String {
    client.get("/api/v1/me").await.json["user"]["email"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_change_of_address_needs_a_fresh_proof_of_identity() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(OLD).await;
    server.advance(Duration::from_secs(10 * 60));
    let answer = client.post("/api/v1/email/change", json!({ "email": NEW })).await;
    assert_eq!((answer.status, answer.code()), (403, "reauthentication_required"));
    let wrong = client.post("/api/v1/reauthenticate", json!({ "password": "not-the-password" })).await;
    assert_eq!((wrong.status, wrong.code()), (401, "invalid_credentials"));
    let right = client.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await;
    assert_eq!(right.status, 200, "{}", right.text);
    assert!(right.json["accessToken"].is_string());
    assert_eq!(client.post("/api/v1/email/change", json!({ "email": NEW })).await.status, 202);
}

#[tokio::test]
async fn the_new_address_confirms_by_page_by_api_or_by_the_call_that_verifies_mailboxes() {
    for way in ["page", "/api/v1/email/confirm", "/api/v1/verify-email"] {
        let server = TestApp::start().await;
        let mut client = asked(&server).await;
        let token = server.mailed_token(NEW, "/email/confirm").await;
        for _ in 0..2 {
            let page = server.client().get(&format!("/email/confirm?token={token}")).await;
            assert!(page.status == 200 && page.text.contains("<button"));
        }
        assert_eq!(address(&mut client).await, OLD, "looking changes nothing");
        let answer = match way {
            "page" => server.client().post_form("/email/confirm", &[("token", &token)]).await,
            path => server.client().post(path, json!({ "token": token })).await,
        };
        assert_eq!(answer.status, 200, "{way}: {}", answer.text);
        assert_eq!(address(&mut client).await, NEW);
        let again = server.client().post("/api/v1/email/confirm", json!({ "token": token })).await;
        assert_eq!(again.code(), "invalid_token");
    }
}

#[tokio::test]
async fn the_old_address_can_undo_before_and_after_the_confirmation() {
    for confirmed in [false, true] {
        let server = TestApp::start().await;
        let mut client = asked(&server).await;
        let confirm = server.mailed_token(NEW, "/email/confirm").await;
        if confirmed {
            let answer = server.client().post("/api/v1/email/confirm", json!({ "token": confirm })).await;
            assert_eq!(answer.status, 200);
        }
        let undo = server.mailed_token(OLD, "/email/undo").await;
        assert_eq!(server.client().get(&format!("/email/undo?token={undo}")).await.status, 200);
        server.advance(Duration::from_secs(1));
        let answer = server.client().post_form("/email/undo", &[("token", &undo)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(client.get("/api/v1/me").await.code(), "session_revoked");
        let late = server.client().post("/api/v1/email/confirm", json!({ "token": confirm })).await;
        assert_eq!(late.code(), "invalid_token");
        let reset = server.mailed_token(OLD, "/password/reset").await;
        let body = json!({ "token": reset, "password": "nine*purple*lanterns" });
        assert_eq!(server.client().post("/api/v1/password/reset", body).await.status, 200);
        let body = json!({ "email": OLD, "password": "nine*purple*lanterns" });
        assert_eq!(server.client().post("/api/v1/login", body).await.status, 200);
    }
}

#[tokio::test]
async fn an_address_that_belongs_to_somebody_is_not_given_away_and_not_told() {
    let server = TestApp::start().await;
    server.sign_up(NEW).await;
    let mut client = asked(&server).await;
    let mail = server.latest_mail(NEW).await;
    assert!(mail["links"].to_string().contains("/password/forgot"), "{mail}");
    assert_eq!(address(&mut client).await, OLD);
}

#[tokio::test]
async fn of_two_users_who_want_one_address_the_first_to_confirm_gets_it() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in("ann@example.com").await;
    let mut bob = server.signed_in("bob@example.com").await;
    let mut tokens = Vec::new();
    for client in [&mut ann, &mut bob] {
        server.advance(Duration::from_secs(1));
        client.post("/api/v1/email/change", json!({ "email": NEW })).await;
        tokens.push(server.mailed_token(NEW, "/email/confirm").await);
    }
    for (token, status) in tokens.iter().zip([200, 400]) {
        let answer = server.client().post("/api/v1/email/confirm", json!({ "token": token })).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    assert_eq!((address(&mut ann).await, address(&mut bob).await), (NEW.into(), "bob@example.com".into()));
}

#[tokio::test]
async fn links_of_a_change_expire() {
    let server = TestApp::start().await;
    asked(&server).await;
    let (confirm, undo) =
        (server.mailed_token(NEW, "/email/confirm").await, server.mailed_token(OLD, "/email/undo").await);
    server.advance(Duration::from_secs(24 * 3600));
    let answer = server.client().post("/api/v1/email/confirm", json!({ "token": confirm })).await;
    assert_eq!(answer.code(), "invalid_token");
    server.advance(Duration::from_secs(6 * 24 * 3600));
    let answer = server.client().post("/api/v1/email/undo", json!({ "token": undo })).await;
    assert_eq!(answer.code(), "invalid_token");
}

#[tokio::test]
async fn a_thief_cannot_kill_the_owners_undo_link_with_another_change() {
    let server = TestApp::start().await;
    let mut thief = asked(&server).await;
    let confirm = server.mailed_token(NEW, "/email/confirm").await;
    server.client().post("/api/v1/email/confirm", json!({ "token": confirm })).await;
    server.advance(Duration::from_secs(1));
    let answer = thief.post("/api/v1/email/change", json!({ "email": "third@example.com" })).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let thiefs_undo = server.mailed_token(NEW, "/email/undo").await;
    let owners_undo = server.mailed_token(OLD, "/email/undo").await;
    let answer = server.client().post("/api/v1/email/undo", json!({ "token": owners_undo })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = server.client().post("/api/v1/email/undo", json!({ "token": thiefs_undo })).await;
    assert_eq!(answer.code(), "invalid_token", "the thief cannot take it back once more");
    let body = json!({ "email": OLD, "password": PASSWORD });
    assert_eq!(server.client().post("/api/v1/login", body).await.status, 200);
}
