//! Nobody learns who has an account: answers, headers, hashes and statements are the same for known and unknown ones.
use crate::support::{Answer, Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::db::Statements;
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";

/// What a caller sees of an answer, and what it cost.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    body: Value,
    headers: Vec<String>,
    hashes: usize,
    statements: u64,
}

/// The answer without what is random or counted in every answer.
fn seen(answer: &Answer) -> (Value, Vec<String>) {
    let mut body = answer.json.clone();
    if let Some(object) = body.as_object_mut() {
        for (name, value) in object.iter_mut() {
            if ["requestId", "registration", "attempt"].contains(&name.as_str()) {
                *value = json!(value.as_str().map(str::len));
            }
        }
    }
    let random = ["x-request-id", "set-cookie"];
    let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        let value = if random.contains(&name.as_str()) { "" } else { value.to_str().unwrap() };
        format!("{name}: {value}")
    };
    (body, answer.headers.iter().map(header).collect())
}

async fn cost(server: &TestApp, client: &mut Client, path: &str, body: Value) -> Seen {
    let (hashes, statements) = (server.app.hashing.computed(), server.app.db.statements());
    let answer = client.post(path, body).await;
    let (hashes, statements) =
        (server.app.hashing.computed() - hashes, server.app.db.statements() - statements);
    let (body, headers) = seen(&answer);
    Seen { status: answer.status, body, headers, hashes, statements }
}

/// Addresses of every kind: verified, unverified is none in this mode, closed, without a password, pending, unknown.
async fn server_with_everybody() -> (TestApp, [&'static str; 5]) {
    let server = TestApp::start_with(|config| {
        config.limits.enabled = false;
        config.login.passwordless = true;
    })
    .await;
    for email in [ANN, "closed@example.com", "empty@example.com"] {
        server.sign_up(email).await;
    }
    let mut tx = server.app.db.begin().await.unwrap();
    let closed = "update users set disabled_at = 1 where email_normalised = 'closed@example.com'";
    let empty = "update users set password_hash = null where email_normalised = 'empty@example.com'";
    for sql in [closed, empty] {
        assert_eq!(tx.execute(sql, &[]).await.unwrap(), 1);
    }
    tx.commit().await.unwrap();
    let pending = json!({ "email": "pending@example.com", "password": PASSWORD });
    assert_eq!(server.client().post("/api/v1/register", pending).await.status, 202);
    let everybody =
        [ANN, "closed@example.com", "empty@example.com", "pending@example.com", "nobody@example.com"];
    (server, everybody)
}

/// Calls a path for every address and asserts that nothing tells them apart.
async fn nothing_tells_apart(path: &str, status: u16, body: impl Fn(&str) -> Value) {
    let (server, everybody) = server_with_everybody().await;
    let mut all = Vec::new();
    for email in everybody {
        // The first call of a kind may prepare what later ones find.
        cost(&server, &mut server.client(), path, body("warm@example.com")).await;
        all.push(cost(&server, &mut server.client(), path, body(email)).await);
    }
    assert_eq!(all[0].status, status, "{:?}", all[0]);
    for (email, one) in everybody.iter().zip(&all) {
        assert_eq!(one, &all[0], "{path} for {email}");
    }
}

#[tokio::test]
async fn a_wrong_sign_in_tells_nothing() {
    nothing_tells_apart("/api/v1/login", 401, |email| json!({ "email": email, "password": OTHER_PASSWORD }))
        .await;
}

#[tokio::test]
async fn asking_for_a_reset_tells_nothing() {
    nothing_tells_apart("/api/v1/password/forgot", 202, |email| json!({ "email": email })).await;
}

#[tokio::test]
async fn registering_tells_nothing() {
    nothing_tells_apart("/api/v1/register", 202, |email| json!({ "email": email, "password": PASSWORD }))
        .await;
}

#[tokio::test]
async fn asking_for_the_verification_again_tells_nothing() {
    nothing_tells_apart("/api/v1/verify-email/resend", 202, |email| json!({ "email": email })).await;
}

#[tokio::test]
async fn a_wrong_code_tells_nothing() {
    nothing_tells_apart("/api/v1/verify-email", 401, |email| json!({ "email": email, "code": "000000" }))
        .await;
}

#[tokio::test]
async fn asking_for_a_mail_to_sign_in_tells_nothing() {
    nothing_tells_apart("/api/v1/login/email", 202, |email| json!({ "email": email })).await;
}

#[tokio::test]
async fn a_wrong_code_after_such_a_mail_and_asking_for_another_tell_nothing() {
    for (path, status) in [("/api/v1/verify", 401), ("/api/v1/verify/resend", 202)] {
        let (server, everybody) = server_with_everybody().await;
        let mut all = Vec::new();
        for email in everybody {
            let mut client = server.client();
            client.post("/api/v1/login/email", json!({ "email": email })).await;
            // The first call of a kind may prepare what later ones find.
            cost(&server, &mut client, path, json!({ "otp": "000000" })).await;
            all.push(cost(&server, &mut client, path, json!({ "otp": "000000" })).await);
        }
        assert_eq!(all[0].status, status, "{:?}", all[0]);
        for (email, one) in everybody.iter().zip(&all) {
            assert_eq!(one, &all[0], "{path} for {email}");
        }
    }
}

#[tokio::test]
async fn changing_to_a_known_or_an_unknown_address_tells_nothing() {
    let (server, _) = server_with_everybody().await;
    let mut all = Vec::new();
    for email in ["closed@example.com", "nobody@example.com", "pending@example.com"] {
        let mut client = server.sign_in(ANN).await;
        all.push(cost(&server, &mut client, "/api/v1/email/change", json!({ "email": email })).await);
    }
    assert_eq!(all[0].status, 202, "{:?}", all[0]);
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:#?}");
}

#[tokio::test]
async fn sign_ins_on_a_device_that_claims_to_be_known_tell_nothing() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let bob = server.signed_in("bob@example.com").await;
    let real = bob.cookie("device").unwrap().to_owned();
    for claim in [format!("hp_dv_{}", "A".repeat(43)), real, "hp_dv_".into()] {
        let mut all = Vec::new();
        for email in [ANN, "nobody@example.com"] {
            let body = json!({ "email": email, "password": OTHER_PASSWORD });
            let mut client = server.client().at("10.0.0.1").with_header("x-device-token", &claim);
            all.push(cost(&server, &mut client, "/api/v1/login", body).await);
        }
        assert_eq!((all[0].status, &all[0]), (401, &all[1]), "{claim}");
    }
}

#[tokio::test]
async fn limited_calls_tell_nothing() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let mut all = Vec::new();
    for email in [ANN, "nobody@example.com"] {
        let body = json!({ "email": email, "password": OTHER_PASSWORD });
        let mut client = server.client().at(if email == ANN { "10.0.0.1" } else { "10.0.0.2" });
        let mut one = Vec::new();
        for _ in 0..8 {
            one.push(cost(&server, &mut client, "/api/v1/login", body.clone()).await);
        }
        assert_eq!(one[7].status, 429);
        all.push(one);
    }
    assert_eq!(all[0], all[1]);
}
