//! Somebody was in, or came first: what they leave behind does not let them in again, nor keep the owner out.
mod ended;
mod strangers;

use crate::support::{Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::config::RegistrationMode;
use serde_json::json;
use std::time::Duration;

const ANN: &str = "ann@example.com";
const THIEF: &str = "thief@example.com";

/// Where accounts exist before their mailbox is proven, and a mailbox is enough to come in.
async fn immediate() -> TestApp {
    TestApp::start_with(|config| {
        config.registration.mode = RegistrationMode::Immediate;
        config.login.passwordless = true;
    })
    .await
}

/// A stranger who registers Ann's address and is signed in.
async fn squatter(server: &TestApp) -> Client {
    let mut stranger = server.client().at("203.0.113.9").with_agent("squatter");
    let body = json!({ "email": ANN, "password": OTHER_PASSWORD, "tokenDelivery": "body" });
    let answer = stranger.post("/api/v1/register", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    stranger.keep_tokens(&answer);
    stranger
}

/// An intruder who knows Ann's password, signed in on a device of their own, and the link of the mail that told her.
async fn intruder(server: &TestApp) -> (Client, String) {
    server.signed_in(ANN).await;
    server.advance(Duration::from_secs(60));
    let mut thief = server.client().at("203.0.113.9").with_agent("thief");
    thief.log_in(json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" })).await;
    let link = server.mailed_token(ANN, "/not-me").await;
    (thief, link)
}

async fn wish_address(thief: &mut Client) {
    let answer = thief.post("/api/v1/email/change", json!({ "email": THIEF })).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
}

/// Confirms the change of address at the thief's mailbox.
async fn confirm_address(server: &TestApp) -> u16 {
    let token = server.mailed_token(THIEF, "/email/confirm").await;
    server.client().post("/api/v1/email/confirm", json!({ "token": token })).await.status
}

#[tokio::test]
async fn a_change_of_address_that_a_squatter_asked_for_dies_when_the_mailbox_is_proven() {
    let server = immediate().await;
    let mut stranger = squatter(&server).await;
    wish_address(&mut stranger).await;
    let token = server.mailed_token(ANN, "/verify-email").await;
    let verified = server.client().post("/api/v1/verify-email", json!({ "token": token })).await;
    assert_eq!(verified.json["status"], "password_required", "{}", verified.text);
    assert_eq!(confirm_address(&server).await, 400);
}

#[tokio::test]
async fn it_dies_also_when_the_owner_signs_in_by_mail() {
    let server = immediate().await;
    let mut stranger = squatter(&server).await;
    wish_address(&mut stranger).await;
    assert_eq!(server.client().post("/api/v1/login/email", json!({ "email": ANN })).await.status, 202);
    let link = server.mailed_token(ANN, "/sign-in").await;
    let mut ann = server.client();
    assert!(ann.post_form("/sign-in", &[("token", &link)]).await.text.contains("You are signed in"));
    assert_eq!(confirm_address(&server).await, 400);
}

#[tokio::test]
async fn a_squatters_device_is_unknown_once_the_owner_resets_the_password() {
    let server = immediate().await;
    squatter(&server).await;
    server.client().post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    let token = server.mailed_token(ANN, "/password/reset").await;
    let reset = json!({ "token": token, "password": PASSWORD });
    assert_eq!(server.client().post("/api/v1/password/reset", reset).await.status, 200);
    let mut ann = server.sign_in(ANN).await;
    let devices = ann.get("/api/v1/devices").await.json["devices"].as_array().unwrap().clone();
    assert!(devices.iter().all(|device| device["ip"] != "203.0.113.9"), "{devices:?}");
}

#[tokio::test]
async fn a_link_to_sign_in_dies_with_the_address_that_it_was_mailed_to() {
    for undo in [false, true] {
        let server = TestApp::start_with(|config| config.login.passwordless = true).await;
        let (mut thief, link) = intruder(&server).await;
        wish_address(&mut thief).await;
        let back = server.mailed_token(ANN, "/email/undo").await;
        assert_eq!(confirm_address(&server).await, 200);
        let asked = thief.post("/api/v1/login/email", json!({ "email": THIEF })).await;
        assert_eq!(asked.status, 202, "{}", asked.text);
        let sign_in = server.mailed_token(THIEF, "/sign-in").await;
        let code = server.mailed_code(THIEF).await;
        let (path, token) = if undo { ("/api/v1/email/undo", back) } else { ("/api/v1/not-me", link) };
        let undone = server.client().post(path, json!({ "token": token })).await;
        assert_eq!(undone.status, 200, "{}", undone.text);
        let by_link = server.client().post_form("/sign-in", &[("token", &sign_in)]).await;
        assert_eq!(by_link.status, 400, "{path}: {}", by_link.text);
        let by_code = thief.post("/api/v1/verify", json!({ "otp": code })).await;
        assert_ne!(by_code.status, 200, "{path}: {}", by_code.text);
    }
}
