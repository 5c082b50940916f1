//! Codes, mails, registrations, refreshes: each has a budget of its own.
use super::{ANN, guess};
use crate::support::{PASSWORD, TestApp};
use serde_json::{Value, json};
use std::time::Duration;

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
async fn a_thousand_parallel_guesses_at_a_code_do_not_exceed_its_tries() {
    let server = TestApp::start().await;
    let body = json!({ "email": ANN, "password": PASSWORD });
    let registration = server.client().post("/api/v1/register", body).await.json["registration"].clone();
    let right = server.mailed_code(ANN).await;
    let calls: Vec<_> = (0..1000_u32)
        .map(|number| {
            // Each from a network of its own, so that only the code's own count is left.
            let mut client = server.client().at(&format!("10.3.{}.{}", number / 250, number % 250));
            let code = format!("{:06}", (right.parse::<u32>().unwrap() + 1 + number) % 1_000_000);
            let body = json!({ "email": ANN, "code": code, "registration": registration });
            tokio::spawn(async move { client.post("/api/v1/verify-email", body).await.status })
        })
        .collect();
    for call in calls {
        let status = call.await.unwrap();
        assert!(status == 401 || status == 429, "{status}");
    }
    let body = json!({ "email": ANN, "code": right, "registration": registration });
    let late = server.client().at("10.4.0.1").post("/api/v1/verify-email", body).await;
    assert_ne!(late.status, 200, "the code is dead after five tries");
}

#[tokio::test]
async fn wrong_codes_of_one_network_over_many_addresses_have_to_wait() {
    let server = TestApp::start_with(|config| config.limits.network_failures = 8).await;
    for number in 0..8 {
        let body = json!({ "email": format!("user{number}@example.com"), "code": "123456" });
        assert_eq!(server.client().post("/api/v1/verify-email", body).await.code(), "invalid_code");
    }
    let body = json!({ "email": "another@example.com", "code": "123456" });
    let limited = server.client().post("/api/v1/verify-email", body).await;
    assert_eq!((limited.status, limited.header("ratelimit-policy")), (429, "\"codes\";q=5"));
    assert_eq!(guess(&server, ANN, PASSWORD, "127.0.0.1").await.status, 401, "another budget");
}

#[tokio::test]
async fn a_network_gets_so_many_registrations_and_mails_and_each_budget_is_its_own() {
    let server = TestApp::start_with(|config| {
        config.limits.registrations_per_network = 3;
        config.limits.mails_per_network = 4;
    })
    .await;
    let register = async |number: u32, address: &str| {
        let body = json!({ "email": format!("user{number}@example.com"), "password": PASSWORD });
        server.client().at(address).post("/api/v1/register", body).await
    };
    for number in 0..3 {
        assert_eq!(register(number, "10.0.0.1").await.status, 202);
    }
    let limited = register(3, "10.0.0.1").await;
    assert_eq!((limited.status, limited.header("ratelimit-policy")), (429, "\"registration\";q=3"));
    assert_eq!(register(3, "10.0.0.2").await.status, 202);
    for number in 0..4 {
        let path = if number % 2 == 0 { "/api/v1/password/forgot" } else { "/api/v1/verify-email/resend" };
        let body = json!({ "email": format!("user{number}@example.com") });
        assert_eq!(server.client().at("10.0.0.1").post(path, body).await.status, 202);
    }
    for email in ["user1@example.com", "nobody@example.com"] {
        let limited =
            server.client().at("10.0.0.1").post("/api/v1/password/forgot", json!({ "email": email })).await;
        assert_eq!((limited.status, limited.header("ratelimit-policy")), (429, "\"mails\";q=4"));
    }
    server.advance(Duration::from_secs(3600));
    assert_eq!(register(4, "10.0.0.1").await.status, 202);
}

#[tokio::test]
async fn twenty_parallel_requests_for_a_mail_get_an_address_three() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    server.advance(Duration::from_secs(3600));
    let before = server.mails_to(ANN).await.len();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let mut client = server.client();
            tokio::spawn(async move {
                client.post("/api/v1/password/forgot", json!({ "email": ANN })).await.status
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 202);
    }
    assert_eq!(server.mails_to(ANN).await.len() - before, 3);
}

#[tokio::test]
async fn a_client_that_refreshes_in_a_loop_has_to_wait_and_is_not_signed_out() {
    let server = TestApp::start_with(|config| config.limits.refreshes_per_session = 10).await;
    let mut client = server.signed_in(ANN).await;
    for _ in 0..10 {
        assert_eq!(client.refresh().await.status, 200);
    }
    let limited = client.refresh().await;
    assert_eq!((limited.status, limited.header("ratelimit-policy")), (429, "\"refresh\";q=10"));
    assert_eq!(client.get("/api/v1/me").await.status, 200);
    assert_eq!(server.sign_in(ANN).await.refresh().await.status, 200, "other sessions are not affected");
    server.advance(Duration::from_secs(60));
    assert_eq!(client.refresh().await.status, 200);
}
