//! Every way in, walked by somebody who has the first proof and not the second.
use super::{MINUTE, ann_with_an_app};
use crate::support::{Answer, Client, PASSWORD, TestApp};
use hallpass::config::{FactorPolicy, RegistrationMode};
use hallpass::openapi;
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";

/// Calls whose answer may carry tokens, by how this file tries them.
const WAYS: [(&str, &str); 9] = [
    ("POST", "/api/v1/login"),
    ("POST", "/api/v1/verify"),
    ("POST", "/api/v1/register"),
    // Two factors by itself; what is less does not pass: `passkeys::abuse`.
    ("POST", "/api/v1/login/passkey"),
    // No way in: they take a session that is there.
    ("POST", "/api/v1/refresh"),
    ("POST", "/api/v1/reauthenticate"),
    ("POST", "/api/v1/factors/totp/confirm"),
    ("POST", "/api/v1/factors/passkeys"),
    // An administrator's, with a fresh proof of their own; opens a list of things to look at: `admin::impersonation`.
    ("POST", "/api/v1/admin/users/{id}/impersonate"),
];

/// Whether a schema leads to tokens, through its references.
fn hands_out_tokens(document: &Value, schema: &Value) -> bool {
    match schema {
        Value::Object(object) => object.iter().any(|(name, value)| match value.as_str() {
            Some(target) if name == "$ref" => {
                hands_out_tokens(document, document.pointer(target.trim_start_matches('#')).unwrap())
            }
            _ => name == "tokenType" || hands_out_tokens(document, value),
        }),
        Value::Array(items) => items.iter().any(|item| hands_out_tokens(document, item)),
        _ => false,
    }
}

#[test]
fn no_way_in_is_missing_here() {
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if hands_out_tokens(&document, &operation["responses"]) {
                found.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    found.sort();
    let mut known: Vec<(String, String)> =
        WAYS.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    known.sort();
    assert_eq!(found, known);
}

/// Asserts that an answer opened nothing, and what it asks for.
#[track_caller]
fn stopped(client: &Client, answer: &Answer, status: &str) {
    assert!(answer.status < 300, "{}", answer.text);
    assert_eq!(answer.json["status"], status, "{}", answer.text);
    let opened = ["accessToken", "refreshToken", "csrfToken", "session", "user"];
    assert!(opened.iter().all(|name| answer.json.get(*name).is_none()), "{}", answer.text);
    let cookies = ["refreshToken", "accessToken", "csrfToken"];
    assert!(cookies.iter().all(|name| client.cookie(name).is_none()), "{:?}", client.cookies);
}

#[tokio::test]
async fn whoever_has_a_factor_is_asked_for_it_on_every_way_in() {
    let server = TestApp::start_with(|config| config.login.passwordless = true).await;
    let (mut ann, app, _) = ann_with_an_app(&server).await;
    let named = ann.patch("/api/v1/me", json!({ "username": "annie" })).await;
    assert_eq!(named.status, 200, "{}", named.text);
    for (field, value) in [("email", ANN), ("username", "annie"), ("identifier", "ANNIE")] {
        for delivery in ["cookie", "cookies", "body"] {
            let mut client = server.client();
            let body = json!({ field: value, "password": PASSWORD, "tokenDelivery": delivery });
            let answer = client.post("/api/v1/login", body).await;
            stopped(&client, &answer, "second_factor_required");
        }
    }
    // By the mailbox: code and link.
    let mut client = server.client();
    client.post("/api/v1/login/email", json!({ "email": ANN })).await;
    let answer = client.post("/api/v1/verify", json!({ "otp": server.mailed_code(ANN).await })).await;
    stopped(&client, &answer, "second_factor_required");
    let mut client = server.client();
    client.post("/api/v1/login/email", json!({ "email": ANN })).await;
    let link = server.mailed_token(ANN, "/sign-in").await;
    let page = client.post_form("/sign-in", &[("token", &link)]).await;
    assert!(page.text.contains("One more step") && client.cookie("refreshToken").is_none(), "{}", page.text);
    // A reset of the password opens nothing by itself. The address has had its mails for now.
    server.advance(MINUTE * 15);
    let mut client = server.client();
    client.post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    let token = server.mailed_token(ANN, "/password/reset").await;
    let reset = client.post("/api/v1/password/reset", json!({ "token": token, "password": PASSWORD })).await;
    assert_eq!(reset.status, 200, "{}", reset.text);
    assert!(client.cookies.is_empty(), "{:?}", client.cookies);
    // The second step alone is none: it needs the first one's attempt.
    server.advance(MINUTE);
    let alone =
        server.client().post("/api/v1/verify", json!({ "otp": app.code(&server), "email": ANN })).await;
    assert_eq!(alone.code(), "invalid_attempt");
}

#[tokio::test]
async fn where_a_factor_is_required_nobody_gets_in_without_one_on_any_way() {
    let server = TestApp::start_with(|config| {
        config.login.passwordless = true;
        config.factors.policy = FactorPolicy::Required;
        config.registration.mode = RegistrationMode::Immediate;
    })
    .await;
    let mut client = server.client();
    let body = json!({ "email": ANN, "password": PASSWORD });
    let registered = client.post("/api/v1/register", body.clone()).await;
    stopped(&client, &registered, "second_factor_required");
    let mut client = server.client();
    let answer = client.post("/api/v1/login", body).await;
    stopped(&client, &answer, "second_factor_required");
    let mut client = server.client();
    client.post("/api/v1/login/email", json!({ "email": ANN })).await;
    let answer = client.post("/api/v1/verify", json!({ "otp": server.mailed_code(ANN).await })).await;
    stopped(&client, &answer, "enrolment_required");
    let mut client = server.client();
    client.post("/api/v1/login/email", json!({ "email": ANN })).await;
    let link = server.mailed_token(ANN, "/sign-in").await;
    let page = client.post_form("/sign-in", &[("token", &link)]).await;
    assert!(page.status == 200 && client.cookie("refreshToken").is_none(), "{:?}", client.cookies);
}
