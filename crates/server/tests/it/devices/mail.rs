//! The mail about a sign-in on a new device.
use super::{ANN, PHONE, sign_in, told};
use crate::support::{OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::config::RegistrationMode;
use serde_json::json;

#[tokio::test]
async fn a_sign_in_on_a_new_device_is_told_with_time_device_address_and_a_way_out() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let mut laptop = server.client();
    sign_in(&mut laptop, ANN).await;
    assert_eq!(told(&server, ANN).await, 0, "the very first one is expected");
    let mut phone = server.client().at("203.0.113.9").with_agent(PHONE);
    let body = json!({ "email": ANN, "password": PASSWORD, "deviceName": "Call +1 555 0100 at once" });
    phone.log_in(body).await;
    let mail = server.latest_mail(ANN).await;
    assert_eq!(mail["subject"], "New sign-in to your account at Hallpass");
    for part in ["text", "html"] {
        let text = mail[part].as_str().unwrap();
        for fact in ["Safari on iOS", "203.0.113.9", "UTC", "hp_nm_", "7 days"] {
            assert!(text.contains(fact), "{part}: {fact}\n{text}");
        }
        assert!(!text.contains("555"), "words of the one who signed in: {text}");
        assert!(!text.contains("203.0.113.9 ("), "a place without a file: {text}");
    }
    let seen = phone.get("/api/v1/events").await;
    let kinds: Vec<&str> =
        seen.json["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[..2], ["login_succeeded", "device_added"]);
}

#[tokio::test]
async fn known_devices_wrong_passwords_and_refreshes_are_not_told() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let mut laptop = server.client();
    sign_in(&mut laptop, ANN).await;
    sign_in(&mut laptop.clone().at("198.51.100.1").with_agent(PHONE), ANN).await;
    laptop.post_nothing("/api/v1/refresh").await;
    laptop.post_nothing("/api/v1/logout").await;
    sign_in(&mut laptop, ANN).await;
    let body = json!({ "email": ANN, "password": OTHER_PASSWORD });
    assert_eq!(server.client().post("/api/v1/login", body).await.status, 401);
    assert_eq!(told(&server, ANN).await, 0);
}

#[tokio::test]
async fn a_setting_switches_the_mail_off_but_not_the_event() {
    let server = TestApp::start_with(|config| config.notices.new_device = false).await;
    server.signed_in(ANN).await;
    let mut phone = server.sign_in(ANN).await;
    assert_eq!(told(&server, ANN).await, 0);
    assert!(phone.get("/api/v1/events").await.text.matches("device_added").count() == 2);
}

#[tokio::test]
async fn an_address_that_nobody_has_proven_gets_no_such_mail() {
    let server = TestApp::start_with(|config| config.registration.mode = RegistrationMode::Immediate).await;
    let body = json!({ "email": ANN, "password": PASSWORD });
    assert_eq!(server.client().post("/api/v1/register", body).await.status, 201);
    let mut phone = server.sign_in(ANN).await;
    assert_eq!(told(&server, ANN).await, 0);
    // Whoever owns the mailbox finds nothing of it: no password, no session, no device.
    let token = server.mailed_token(ANN, "/verify-email").await;
    let answer = server.client().post("/api/v1/verify-email", json!({ "token": token })).await;
    let token = answer.json["passwordToken"].as_str().unwrap();
    let body = json!({ "token": token, "password": OTHER_PASSWORD });
    assert_eq!(server.client().post("/api/v1/password/reset", body).await.status, 200);
    let mut owner = server.client();
    owner.log_in(json!({ "email": ANN, "password": OTHER_PASSWORD })).await;
    assert_eq!(super::devices(&mut owner).await.len(), 1);
    let body = json!({ "email": ANN, "password": OTHER_PASSWORD });
    assert_eq!(phone.post("/api/v1/login", body).await.status, 200);
    assert_eq!(told(&server, ANN).await, 2, "the owner's, then the former one's, which is new");
}

#[tokio::test]
async fn programs_that_keep_nothing_do_not_fill_the_mailbox() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    server.sign_up(ANN).await;
    for _ in 0..25 {
        server.sign_in(ANN).await;
    }
    assert_eq!(told(&server, ANN).await, 20);
    server.advance(std::time::Duration::from_secs(86_400));
    server.sign_in(ANN).await;
    assert_eq!(told(&server, ANN).await, 21);
}

#[tokio::test]
async fn who_cannot_be_signed_in_is_told_nothing_and_has_no_device() {
    let server = TestApp::start_with(|config| {
        config.sessions.max_per_user = 1;
        config.sessions.on_limit = hallpass::config::OnLimit::Reject;
    })
    .await;
    let mut laptop = server.signed_in(ANN).await;
    let body = json!({ "email": ANN, "password": PASSWORD });
    assert_eq!(server.client().post("/api/v1/login", body).await.code(), "session_limit_reached");
    assert_eq!((told(&server, ANN).await, super::devices(&mut laptop).await.len()), (0, 1));
}
