//! Known devices: strangers' failures are not theirs.
use super::{ANN, guess, login};
use crate::support::{Client, OTHER_PASSWORD, PASSWORD, TestApp};
use serde_json::json;

/// The known device of an account, as a browser keeps it.
async fn known_device(server: &TestApp) -> Client {
    let mut device = server.client().at("10.0.0.9");
    device.log_in(json!({ "email": ANN, "password": PASSWORD })).await;
    device.cookies.retain(|name, _| name == "device");
    device
}

#[tokio::test]
async fn strangers_failures_never_delay_the_owner_on_a_known_device() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let device = known_device(&server).await;
    // From the owner's own network, until account and network are both closed.
    for number in 0..60 {
        guess(&server, ANN, OTHER_PASSWORD, "10.0.0.9").await;
        guess(&server, &format!("user{number}@example.com"), OTHER_PASSWORD, "10.0.0.9").await;
    }
    assert_eq!(guess(&server, ANN, PASSWORD, "10.0.0.9").await.status, 429);
    assert_eq!(guess(&server, "new@example.com", PASSWORD, "10.0.0.9").await.status, 429);
    assert_eq!(login(&mut device.clone(), ANN, PASSWORD).await.status, 200);
    let mut elsewhere = device.at("10.0.0.77");
    assert_eq!(login(&mut elsewhere, ANN, PASSWORD).await.status, 200, "wherever the device is");
}

#[tokio::test]
async fn a_known_device_has_limits_of_its_own_and_counts_for_its_users_only() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    server.sign_up("bob@example.com").await;
    let device = known_device(&server).await;
    for _ in 0..5 {
        assert_eq!(login(&mut device.clone(), ANN, OTHER_PASSWORD).await.status, 401);
    }
    assert_eq!(login(&mut device.clone().at("10.0.0.8"), ANN, PASSWORD).await.status, 429);
    assert_eq!(guess(&server, ANN, PASSWORD, "10.0.0.9").await.status, 200, "its failures are its own");
    for _ in 0..5 {
        assert_eq!(login(&mut device.clone(), "bob@example.com", OTHER_PASSWORD).await.status, 401);
    }
    let stranger = guess(&server, "bob@example.com", PASSWORD, "10.0.0.9").await;
    assert_eq!(stranger.status, 429, "for Bob it is any device of that network");
}

#[tokio::test]
async fn a_forged_or_foreign_device_cookie_is_no_known_device_and_no_error() {
    let server = TestApp::start().await;
    let other = TestApp::start().await;
    for app in [&server, &other] {
        app.sign_up(ANN).await;
    }
    let mut foreign = known_device(&other).await.cookie("device").unwrap().to_owned();
    foreign.replace_range(8..9, "_");
    for _ in 0..5 {
        guess(&server, ANN, OTHER_PASSWORD, "10.0.0.1").await;
    }
    for value in [foreign.as_str(), "hp_dv_", "hp_dv_AAAA", "x", ""] {
        let mut client = server.client().at("10.0.0.1");
        client.cookies.insert("device".into(), (value.into(), "/".into()));
        assert_eq!(login(&mut client, ANN, PASSWORD).await.status, 429, "{value}");
    }
    let twice = server.client().at("10.0.0.2").with_header("cookie", "device=a; device=b");
    assert_eq!(login(&mut twice.clone(), ANN, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn the_device_cookie_is_kept_from_scripts_and_remembers_several_users() {
    let server = TestApp::start_with(|config| {
        config.server.public_url = Some("https://auth.example.com".into());
    })
    .await;
    let mut client = server.client();
    server.sign_up(ANN).await;
    server.sign_up("bob@example.com").await;
    for email in [ANN, "bob@example.com"] {
        let answer = login(&mut client, email, PASSWORD).await;
        let line = answer.set_cookie("__Host-device").unwrap();
        assert!(line.contains("Path=/; Max-Age=34560000; HttpOnly; Secure; SameSite=Lax"), "{line}");
    }
    for email in [ANN, "bob@example.com"] {
        for _ in 0..5 {
            guess(&server, email, OTHER_PASSWORD, "127.0.0.1").await;
        }
        assert_eq!(login(&mut client.clone(), email, PASSWORD).await.status, 200, "{email}");
    }
}

#[tokio::test]
async fn guesses_from_many_networks_against_one_account_have_to_wait_too_but_for_known_devices() {
    let server = TestApp::start_with(|config| config.limits.account_failures_anywhere = 12).await;
    server.sign_up(ANN).await;
    let device = known_device(&server).await;
    for number in 0..12 {
        let answer = guess(&server, ANN, OTHER_PASSWORD, &format!("10.1.{number}.1")).await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(guess(&server, ANN, PASSWORD, "10.2.0.1").await.status, 429, "from a new network");
    assert_eq!(login(&mut device.clone(), ANN, PASSWORD).await.status, 200);
}
