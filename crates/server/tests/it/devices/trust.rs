//! Trust: what lets a device do without the second factor, and what ends it.
use super::{ANN, devices, sign_in};
use crate::factors::{MINUTE, ann_with_an_app, first_step};
use crate::support::{Authenticator, Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::devices;
use hallpass::ids::UserId;
use hallpass::web;
use serde_json::{Value, json};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// Has the server trust all devices of the client's user, as a sign-in with `rememberDevice` does.
async fn trust(server: &TestApp, client: &mut Client) {
    let me = client.get("/api/v1/me").await;
    let user = UserId::parse(me.json["user"]["id"].as_str().unwrap()).unwrap();
    for device in devices::of_user(&server.app, user).await.unwrap() {
        let mut tx = server.app.db.begin().await.unwrap();
        let caller = web::Client::local();
        devices::trust(&server.app, &mut tx, &caller, &device, server.app.now()).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// Which of the devices are trusted, the latest sign-in first.
async fn trusted(client: &mut Client) -> Vec<bool> {
    devices(client).await.iter().map(|device| device["trustedUntil"] != Value::Null).collect()
}

/// Ann on two trusted devices; the second one is the caller.
async fn two_trusted(server: &TestApp) -> [Client; 2] {
    server.sign_up(ANN).await;
    let (mut one, mut two) = (server.client(), server.client());
    sign_in(&mut one, ANN).await;
    sign_in(&mut two, ANN).await;
    trust(server, &mut two).await;
    assert_eq!(trusted(&mut two).await, [true, true]);
    [one, two]
}

#[tokio::test]
async fn trust_lasts_as_long_as_the_setting_says() {
    let server = TestApp::start_with(|config| config.factors.remember_device = 2 * DAY).await;
    let [_, mut two] = two_trusted(&server).await;
    server.advance(2 * DAY);
    sign_in(&mut two, ANN).await;
    assert_eq!(trusted(&mut two).await, [false, false]);
    let events = two.get("/api/v1/events").await.text;
    assert_eq!(events.matches("device_trusted").count(), 2);
}

#[tokio::test]
async fn while_the_setting_says_never_nothing_is_trusted_and_what_was_does_not_count() {
    let server = TestApp::start().await;
    let [_, two] = two_trusted(&server).await;
    let server = server.restart_with(|config| config.factors.remember_device = Duration::ZERO).await;
    let mut browser = server.client();
    browser.cookies = two.cookies.clone();
    sign_in(&mut browser, ANN).await;
    assert_eq!(trusted(&mut browser).await, [false, false]);
    trust(&server, &mut browser).await;
    let events = browser.get("/api/v1/events").await.text;
    assert_eq!(events.matches("device_trusted").count(), 2, "those of before");
}

#[tokio::test]
async fn a_changed_password_ends_the_trust_of_all_devices_but_they_stay_known() {
    let server = TestApp::start().await;
    let [_, mut two] = two_trusted(&server).await;
    let body = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    assert_eq!(two.post("/api/v1/password/change", body).await.status, 200);
    assert_eq!(trusted(&mut two).await, [false, false]);

    trust(&server, &mut two).await;
    two.post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    let token = server.mailed_token(ANN, "/password/reset").await;
    let body = json!({ "token": token, "password": PASSWORD });
    assert_eq!(two.post("/api/v1/password/reset", body).await.status, 200);
    let mails = super::told(&server, ANN).await;
    sign_in(&mut two, ANN).await;
    assert_eq!(trusted(&mut two).await, [false, false]);
    assert_eq!(super::told(&server, ANN).await, mails, "known as before");
}

#[tokio::test]
async fn ending_all_sessions_ends_the_trust_of_all_devices() {
    for path in ["/api/v1/logout-all", "/api/v1/sessions"] {
        let server = TestApp::start().await;
        let [_, mut two] = two_trusted(&server).await;
        let answer =
            if path.ends_with("all") { two.post_nothing(path).await } else { two.delete(path).await };
        assert_eq!(answer.status, 200, "{}", answer.text);
        sign_in(&mut two, ANN).await;
        assert_eq!(trusted(&mut two).await, [false, false], "{path}");
    }
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_the_trust_of_its_device_only() {
    let server = TestApp::start().await;
    let [_, mut two] = two_trusted(&server).await;
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" });
    two.log_in(body).await;
    let first = two.refresh_token.clone().unwrap();
    two.refresh().await;
    two.refresh().await;
    server.advance(Duration::from_secs(60));
    assert_eq!(two.refresh_with(&first).await.code(), "refresh_token_reused");
    sign_in(&mut two, ANN).await;
    assert_eq!(trusted(&mut two).await, [false, true]);
}

#[tokio::test]
async fn a_forgotten_device_is_not_trusted_when_it_comes_back() {
    let server = TestApp::start().await;
    let [_, mut two] = two_trusted(&server).await;
    let own = two.get("/api/v1/me").await.json["session"]["deviceId"].as_str().unwrap().to_owned();
    two.delete(&format!("/api/v1/devices/{own}")).await;
    sign_in(&mut two, ANN).await;
    assert_eq!(trusted(&mut two).await, [false, true]);
}

#[tokio::test]
async fn only_the_holder_of_the_secret_is_recognised_and_only_for_its_user() {
    let server = TestApp::start().await;
    let [_, mut two] = two_trusted(&server).await;
    let id = |me: &Value| UserId::parse(me["user"]["id"].as_str().unwrap()).unwrap();
    let ann = id(&two.get("/api/v1/me").await.json);
    let bob = id(&server.signed_in("bob@example.com").await.get("/api/v1/me").await.json);
    let now = server.app.now();
    let mut caller = web::Client::local();
    for (secret, user, found) in [
        (two.cookie("device"), Some(ann), true),
        (two.cookie("device"), Some(bob), false),
        (two.cookie("device"), None, false),
        (Some("hp_dv_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), Some(ann), false),
        (Some("x"), Some(ann), false),
        (None, Some(ann), false),
    ] {
        caller.device = secret.map(str::to_owned);
        let device = devices::recognise(&server.app, &server.app.db, &caller, user).await.unwrap();
        assert_eq!(device.is_some_and(|device| device.trusted(now)), found, "{secret:?} {user:?}");
    }
}

/// A browser on which Ann has proven her second factor, and asked or not to have it remembered.
async fn proven(server: &TestApp, app: &Authenticator, remember: bool) -> Client {
    let mut browser = server.client();
    first_step(&mut browser, ANN).await;
    let body = json!({ "otp": app.code(server), "rememberDevice": remember });
    let done = browser.post("/api/v1/verify", body).await;
    assert_eq!(done.status, 200, "{}", done.text);
    browser.keep_tokens(&done);
    server.advance(MINUTE);
    browser
}

/// Whether a sign-in by password goes through on a device.
async fn password_is_enough(browser: &Client, password: &str) -> bool {
    let mut client = browser.clone();
    client.bearer = None;
    let answer = client.post("/api/v1/login", json!({ "email": ANN, "password": password })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["status"] != "second_factor_required"
}

#[tokio::test]
async fn a_remembered_device_does_without_the_second_factor_and_no_other_one_does() {
    let server = TestApp::start().await;
    let (_, app, _) = ann_with_an_app(&server).await;
    let forgetful = proven(&server, &app, false).await;
    assert!(!password_is_enough(&forgetful, PASSWORD).await, "nobody asked for it");
    let mut remembered = proven(&server, &app, true).await;
    assert!(password_is_enough(&remembered, PASSWORD).await);
    assert_eq!(trusted(&mut remembered).await, [true, false, false]);
    assert!(!password_is_enough(&server.client(), PASSWORD).await, "another device");
    // What the session claims is what was proven.
    let mut later = remembered.clone();
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" });
    let done = later.log_in(body).await;
    assert_eq!(
        (&done.json["session"]["amr"], &done.json["session"]["acr"]),
        (&json!(["pwd"]), &json!("aal1"))
    );
    server.advance(30 * DAY);
    assert!(!password_is_enough(&remembered, PASSWORD).await, "30 days are over");
}

#[tokio::test]
async fn a_remembered_device_asks_again_after_a_new_password_a_changed_factor_and_when_forgotten() {
    let server = TestApp::start().await;
    let (mut ann, app, _) = ann_with_an_app(&server).await;
    let mut remembered = proven(&server, &app, true).await;
    let id = devices(&mut remembered).await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(ann.delete(&format!("/api/v1/devices/{id}")).await.status, 200);
    assert!(!password_is_enough(&remembered, PASSWORD).await, "forgotten");

    let mut remembered = proven(&server, &app, true).await;
    assert_eq!(remembered.post_nothing("/api/v1/factors/recovery-codes").await.status, 201);
    assert!(!password_is_enough(&remembered, PASSWORD).await, "new recovery codes");

    let mut remembered = proven(&server, &app, true).await;
    assert!(password_is_enough(&remembered, PASSWORD).await);
    let body = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    let changed = remembered.post("/api/v1/password/change", body).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert!(!password_is_enough(&remembered, OTHER_PASSWORD).await, "a new password");
}

#[tokio::test]
async fn a_factor_that_is_removed_and_set_up_anew_is_asked_for_on_devices_that_were_remembered() {
    let server = TestApp::start().await;
    let (_, app, _) = ann_with_an_app(&server).await;
    let mut remembered = proven(&server, &app, true).await;
    assert_eq!(remembered.delete("/api/v1/factors/totp").await.status, 200);
    remembered.set_up_totp(&server).await;
    assert!(!password_is_enough(&remembered, PASSWORD).await);
}
