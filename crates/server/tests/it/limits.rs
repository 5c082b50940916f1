//! Limits against guessing and mail floods.
mod budgets;
mod devices;

use crate::support::{Answer, Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::counters::{self, Charge, Key, Rule};
use serde_json::json;
use std::time::Duration;

const ANN: &str = "ann@example.com";

async fn guess(server: &TestApp, identifier: &str, password: &str, address: &str) -> Answer {
    let body = json!({ "identifier": identifier, "password": password });
    server.client().at(address).post("/api/v1/login", body).await
}

async fn login(client: &mut Client, email: &str, password: &str) -> Answer {
    client.post("/api/v1/login", json!({ "email": email, "password": password })).await
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
            assert_eq!(limited.header("ratelimit"), format!("\"passwords\";r=0;t={}", wait + 1));
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
async fn a_thousand_parallel_guesses_do_not_exceed_the_limit() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let before = server.app.hashing.computed();
    let calls: Vec<_> = (0..1000)
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
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 995);
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

#[tokio::test]
async fn a_reset_through_the_mailbox_works_while_limited_and_ends_the_wait() {
    let server = TestApp::start_with(|config| config.limits.account_failures_anywhere = 12).await;
    server.sign_up(ANN).await;
    for number in 0..40 {
        guess(&server, ANN, OTHER_PASSWORD, &format!("10.1.{}.1", number % 20)).await;
        guess(&server, ANN, OTHER_PASSWORD, "10.0.0.1").await;
    }
    let mut owner = server.client().at("10.0.0.1");
    assert_eq!(login(&mut owner, ANN, PASSWORD).await.status, 429);
    assert_eq!(owner.post("/api/v1/password/forgot", json!({ "email": ANN })).await.status, 202);
    let token = server.mailed_token(ANN, "/password/reset").await;
    let body = json!({ "token": token, "password": OTHER_PASSWORD });
    assert_eq!(owner.post("/api/v1/password/reset", body).await.status, 200);
    assert_eq!(login(&mut owner, ANN, OTHER_PASSWORD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_sign_ins_that_are_all_right_all_succeed() {
    let server = TestApp::start_with(|config| config.limits.network_failures = 8).await;
    server.sign_up(ANN).await;
    server.sign_up("bob@example.com").await;
    let calls: Vec<_> = (0..40)
        .map(|number| {
            let mut client = server.client();
            let email = if number % 2 == 0 { ANN } else { "bob@example.com" };
            tokio::spawn(async move { login(&mut client, email, PASSWORD).await.status })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert!(server.app.gates.is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn a_client_that_hangs_up_gets_no_guess_for_free() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    for _ in 0..5 {
        let mut client = server.client();
        let body = json!({ "email": ANN, "password": OTHER_PASSWORD });
        // What was verified for the client before has nobody waiting any more, but is still under way.
        while server.app.hashing.depth() > 0 {
            tokio::task::yield_now().await;
        }
        let before = server.app.hashing.computed();
        let mut call = Box::pin(client.post("/api/v1/login", body));
        // Polled until the guess is being verified, then dropped.
        while server.app.hashing.depth() == 0 && server.app.hashing.computed() == before {
            assert!(futures_now(&mut call).is_none(), "answered before it was verified");
            // The answer of a database server arrives meanwhile.
            tokio::task::yield_now().await;
        }
        drop(call);
    }
    assert_eq!(guess(&server, ANN, PASSWORD, "127.0.0.1").await.status, 429);
}

/// Polls a future once.
fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_flood_of_single_failures_does_not_drive_out_the_count_of_a_guesser() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    for _ in 0..6 {
        guess(&server, ANN, OTHER_PASSWORD, "10.0.0.1").await;
    }
    let now = server.app.now();
    for number in 0..250_000_u32 {
        let mut subject = [0; 16];
        subject[..4].copy_from_slice(&number.to_be_bytes());
        let rule = Rule::Growing { free: 5, longest: Duration::from_secs(3600) };
        let charge = Charge { key: Key { budget: 0, subject }, rule };
        server.app.counters.change(&[charge], now, |entries| counters::reserve(entries, now)).unwrap();
    }
    assert_eq!(guess(&server, ANN, PASSWORD, "10.0.0.1").await.status, 429);
}
