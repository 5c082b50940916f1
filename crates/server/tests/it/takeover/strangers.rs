//! What strangers can do to somebody whose address is all they know.
use super::{ANN, immediate, squatter};
use crate::factors::MINUTE;
use crate::support::{Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::config::{EmailOtp, RegistrationMode};
use serde_json::json;

async fn passwordless() -> TestApp {
    TestApp::start_with(|config| {
        config.login.passwordless = true;
        config.login.email_otp = EmailOtp::Always;
        config.limits.account_failures_anywhere = 20;
    })
    .await
}

async fn ask(client: &mut Client) {
    let answer = client.post("/api/v1/login/email", json!({ "email": ANN })).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
}

/// What a browser keeps on which Ann has signed in.
async fn known_device(server: &TestApp) -> Client {
    let mut device = server.client().at("10.0.0.9");
    device.log_in(json!({ "email": ANN, "password": PASSWORD })).await;
    let code = server.mailed_code(ANN).await;
    let answer = device.post("/api/v1/verify", json!({ "otp": code })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    device.cookies.retain(|name, _| name == "device");
    // The mails of signing up do not count any more.
    server.advance(16 * MINUTE);
    device
}

#[tokio::test]
async fn whoever_asks_for_sign_in_mails_in_anothers_name_does_not_use_up_the_owners_codes() {
    let server = passwordless().await;
    server.sign_up(ANN).await;
    let mut device = known_device(&server).await;
    for _ in 0..3 {
        let mut stranger = server.client().at("203.0.113.9").with_agent("stranger");
        ask(&mut stranger).await;
        for _ in 0..3 {
            stranger.post_nothing("/api/v1/verify/resend").await;
        }
    }
    let first = server.client().post("/api/v1/login", json!({ "email": ANN, "password": PASSWORD })).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let before = server.mails_to(ANN).await.len();
    ask(&mut device).await;
    assert_eq!(server.mails_to(ANN).await.len(), before + 1, "on a device that Ann uses");
}

#[tokio::test]
async fn the_owner_gets_ten_sign_in_mails_on_a_known_device_and_no_more() {
    let server = passwordless().await;
    server.sign_up(ANN).await;
    let mut device = known_device(&server).await;
    let before = server.mails_to(ANN).await.len();
    for _ in 0..12 {
        ask(&mut device).await;
    }
    assert_eq!(server.mails_to(ANN).await.len(), before + 10);
}

#[tokio::test]
async fn wrong_mailed_codes_of_strangers_do_not_delay_the_owner_on_a_known_device() {
    let server = passwordless().await;
    server.sign_up(ANN).await;
    let mut device = known_device(&server).await;
    for network in 0..8 {
        let mut stranger = server.client().at(&format!("203.0.113.{network}"));
        ask(&mut stranger).await;
        for _ in 0..5 {
            stranger.post("/api/v1/verify", json!({ "otp": "000000" })).await;
        }
    }
    ask(&mut device).await;
    let code = server.mailed_code(ANN).await;
    let done = device.post("/api/v1/verify", json!({ "otp": code })).await;
    assert_eq!(done.status, 200, "{}", done.text);
}

#[tokio::test]
async fn whoever_asks_for_a_sign_in_mail_does_not_name_the_owners_device() {
    let server = passwordless().await;
    server.sign_up(ANN).await;
    let body = json!({ "email": ANN, "deviceName": "Call 555 0100, your account is blocked" });
    assert_eq!(server.client().post("/api/v1/login/email", body).await.status, 202);
    let link = server.mailed_token(ANN, "/sign-in").await;
    let mut ann = server.client();
    assert!(ann.post_form("/sign-in", &[("token", &link)]).await.text.contains("You are signed in"));
    let refreshed = ann.post_nothing("/api/v1/refresh").await;
    ann.keep_tokens(&refreshed);
    let seen = ann.get("/api/v1/devices").await.text + &ann.get("/api/v1/sessions").await.text;
    assert!(!seen.contains("555 0100"), "{seen}");
}

#[tokio::test]
async fn an_address_that_nobody_has_proven_gets_few_codes_however_often_its_squatter_signs_in() {
    let server = TestApp::start_with(|config| {
        config.registration.mode = RegistrationMode::Immediate;
        config.login.email_otp = EmailOtp::Always;
    })
    .await;
    let mut stranger = server.client();
    let body = json!({ "email": ANN, "password": OTHER_PASSWORD });
    stranger.post("/api/v1/register", body.clone()).await;
    for _ in 0..9 {
        stranger.post("/api/v1/login", body.clone()).await;
        stranger.post_nothing("/api/v1/verify/resend").await;
    }
    let mails = server.mails_to(ANN).await.len();
    assert!(mails <= 4, "{mails} mails to somebody who asked for nothing");
}

#[tokio::test]
async fn the_secret_of_a_device_that_a_browser_keeps_is_told_to_no_script() {
    let server = immediate().await;
    let mut browser = squatter(&server).await;
    assert!(browser.cookie("device").is_some());
    let body = json!({ "email": ANN, "password": OTHER_PASSWORD, "tokenDelivery": "body" });
    let again = browser.post("/api/v1/login", body).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert!(!again.text.contains("hp_dv_"), "{}", again.text);
    let others = json!({ "email": "bob@example.com", "password": OTHER_PASSWORD, "tokenDelivery": "body" });
    let bob = browser.post("/api/v1/register", others).await;
    assert_eq!(bob.status, 201, "{}", bob.text);
    assert!(!bob.text.contains("hp_dv_"), "Ann's device moved along: {}", bob.text);
}
