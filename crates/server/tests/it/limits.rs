//! Limits against guessing and mail floods.
use crate::support::{Answer, OTHER_PASSWORD, PASSWORD, TestApp};
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.com";

async fn guess(server: &TestApp, identifier: &str, password: &str, address: &str) -> Answer {
    let body = json!({ "identifier": identifier, "password": password });
    server.client().at(address).post("/api/v1/login", body).await
}

#[tokio::test]
async fn after_five_failures_waits_grow_alike_for_known_and_unknown_accounts() {
    for identifier in [ANN, "nobody@example.com"] {
        let server = TestApp::start().await;
        server.sign_up(ANN).await;
        for _ in 0..5 {
            assert_eq!(guess(&server, identifier, OTHER_PASSWORD, "10.0.0.1").await.status, 401);
        }
        for wait in [1, 2, 4, 8, 16] {
            let limited = guess(&server, identifier, OTHER_PASSWORD, "10.0.0.1").await;
            assert_eq!((limited.status, limited.code()), (429, "rate_limited"), "{identifier}");
            assert_eq!(limited.header("ratelimit"), format!("\"default\";r=0;t={}", wait + 1));
            let said: u64 = limited.header("retry-after").parse().unwrap();
            assert!(said == wait + 1, "waits {said} s, expected {wait} s and the second begun");
            server.advance(Duration::from_secs(wait));
            assert_eq!(guess(&server, identifier, OTHER_PASSWORD, "10.0.0.1").await.status, 401);
        }
    }
}

#[tokio::test]
async fn address_and_username_of_one_account_share_the_count_and_success_clears_it() {
    let server = TestApp::start().await;
    server.sign_up_as(json!({ "email": ANN, "password": PASSWORD, "username": "ann" })).await;
    for identifier in [ANN, "ann", "ANN", "Ann@Example.com"] {
        assert_eq!(guess(&server, identifier, OTHER_PASSWORD, "10.0.0.1").await.status, 401);
    }
    assert_eq!(guess(&server, "ann", PASSWORD, "10.0.0.1").await.status, 200);
    for _ in 0..5 {
        assert_eq!(guess(&server, ANN, OTHER_PASSWORD, "10.0.0.1").await.status, 401);
    }
    assert_eq!(guess(&server, "ann", PASSWORD, "10.0.0.1").await.status, 429);
    assert_eq!(
        guess(&server, "ann", PASSWORD, "10.0.0.2").await.status,
        200,
        "other networks are not affected"
    );
}

#[tokio::test]
async fn a_hundred_parallel_guesses_do_not_exceed_the_limit() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let before = server.app.hashing.computed();
    let calls: Vec<_> = (0..100)
        .map(|number| {
            let mut client = server.client();
            let body = json!({ "email": ANN, "password": format!("guess-number-{number}") });
            tokio::spawn(async move { client.post("/api/v1/login", body).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 95);
    assert_eq!(server.app.hashing.computed() - before, 5, "the limit comes before the hash");
}

#[tokio::test]
async fn a_network_that_fails_fifty_times_over_many_accounts_has_to_wait() {
    let server = TestApp::start().await;
    for number in 0..50 {
        let answer = guess(&server, &format!("user{number}@example.com"), PASSWORD, "2001:db8::1").await;
        assert_eq!(answer.status, 401, "{number}");
    }
    assert_eq!(
        guess(&server, "another@example.com", PASSWORD, "2001:db8::ffff").await.status,
        429,
        "the same /64"
    );
    assert_eq!(guess(&server, "another@example.com", PASSWORD, "2001:db8:0:1::1").await.status, 401);
    server.advance(Duration::from_secs(15 * 60));
    assert_eq!(guess(&server, "another@example.com", PASSWORD, "2001:db8::1").await.status, 401);
}

#[tokio::test]
async fn wrong_passwords_inside_a_session_count_as_well() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    for _ in 0..5 {
        let answer = client.post("/api/v1/reauthenticate", json!({ "password": OTHER_PASSWORD })).await;
        assert_eq!(answer.code(), "invalid_credentials");
    }
    let body = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    assert_eq!(client.post("/api/v1/password/change", body).await.code(), "rate_limited");
}

#[tokio::test]
async fn an_address_gets_three_mails_in_a_quarter_of_an_hour_and_nobody_is_told() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    server.advance(Duration::from_secs(3600));
    let before = server.mails_to(ANN).await.len();
    let mut answers: Vec<Value> = Vec::new();
    for _ in 0..5 {
        server.advance(Duration::from_secs(1));
        let answer =
            server.client().post("/api/v1/password/forgot", json!({ "email": "ANN@example.com" })).await;
        assert_eq!(answer.status, 202);
        answers.push(answer.json);
    }
    assert_eq!(server.mails_to(ANN).await.len() - before, 3);
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    server.advance(Duration::from_secs(15 * 60));
    server.client().post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    assert_eq!(server.mails_to(ANN).await.len() - before, 4);
}

#[tokio::test]
async fn limits_can_be_switched_off_in_development_only() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    server.sign_up(ANN).await;
    for _ in 0..12 {
        assert_eq!(guess(&server, ANN, OTHER_PASSWORD, "10.0.0.1").await.status, 401);
    }
    let mut config = hallpass::config::Config::default();
    config.limits.enabled = false;
    config.server.mode = hallpass::config::Mode::Production;
    let problems = config.validate().unwrap_err();
    assert!(problems.iter().any(|problem| problem.path == "limits.enabled"));
}
