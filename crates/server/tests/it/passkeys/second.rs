//! A passkey as second factor: beside recovery codes, in a sign-in attempt, as fresh proof.
use super::{ANN, BOB, creation, enrol, finish, refusals};
use crate::support::{Answer, Client, PASSWORD, SecurityKey, TestApp};
use serde_json::{Value, json};
use std::time::Duration;

/// Passes the first step of a sign-in.
async fn first_step(client: &mut Client, email: &str) -> Value {
    let body = json!({ "email": email, "password": PASSWORD, "tokenDelivery": "body" });
    let answer = client.post("/api/v1/login", body).await;
    assert_eq!(answer.json["status"], "second_factor_required", "{}", answer.text);
    answer.json
}

/// Asks for the passkey of an attempt.
async fn ask(client: &mut Client, attempt: &Value) -> Answer {
    client.post("/api/v1/verify/passkey/options", json!({ "attempt": attempt["attempt"] })).await
}

async fn verify(client: &mut Client, attempt: &Value, begun: &Value, passkey: Value) -> Answer {
    let body = json!({ "attempt": attempt["attempt"], "ceremony": begun["ceremony"], "passkey": passkey });
    client.post("/api/v1/verify", body).await
}

async fn reauthenticate(client: &mut Client, begun: &Value, passkey: Value) -> Answer {
    let body = json!({ "ceremony": begun["ceremony"], "passkey": passkey });
    client.post("/api/v1/reauthenticate", body).await
}

#[tokio::test]
async fn the_first_passkey_brings_recovery_codes_and_the_last_takes_them() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let (mut key, mut other) = (SecurityKey::of(&server), SecurityKey::of(&server));
    let begun = creation(&mut ann).await;
    let made = key.create(&begun["options"]);
    let added = finish(&mut ann, &begun, made).await;
    assert_eq!(added.json["recoveryCodes"].as_array().unwrap().len(), 10, "{}", added.text);
    ann.keep_tokens(&added);
    let begun = creation(&mut ann).await;
    let made = other.create(&begun["options"]);
    assert_eq!(finish(&mut ann, &begun, made).await.json["recoveryCodes"], Value::Null);
    let overview = ann.get("/api/v1/factors").await.json;
    assert_eq!(overview["passkeys"].as_array().unwrap().len(), 2, "{overview}");
    for passkey in overview["passkeys"].as_array().unwrap() {
        let path = format!("/api/v1/factors/passkeys/{}", passkey["id"].as_str().unwrap());
        assert_eq!(ann.delete(&path).await.status, 200);
    }
    assert_eq!(ann.get("/api/v1/factors").await.json["recoveryCodes"], Value::Null);
    server.sign_in(ANN).await;
}

#[tokio::test]
async fn a_password_then_a_passkey_sign_in() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    key.verifies = false;
    enrol(&mut ann, &mut key).await;
    let mut client = server.client();
    let attempt = first_step(&mut client, ANN).await;
    assert_eq!(attempt["methods"], json!(["passkey", "recovery_code"]));
    let begun = ask(&mut client, &attempt).await.json;
    assert_eq!(begun["options"]["userVerification"], "preferred");
    assert_eq!(begun["options"]["allowCredentials"][0]["id"], key.ids()[0]);
    assert_eq!(begun["options"]["allowCredentials"][0]["transports"], json!(["nfc", "usb"]));
    let answer = verify(&mut client, &attempt, &begun, key.get(&begun["options"])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let session = &answer.json["session"];
    assert_eq!((&session["amr"], &session["acr"]), (&json!(["pwd", "hwk", "mfa"]), &json!("aal2")));
    client.keep_tokens(&answer);
    creation(&mut client).await;

    // The cookie names the attempt as well, and what verified its user says so from now on.
    key.verifies = true;
    let mut browser = server.client();
    browser
        .post("/api/v1/login", json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" }))
        .await;
    let begun = browser.post_nothing("/api/v1/verify/passkey/options").await.json;
    let passkey = key.get(&begun["options"]);
    let body = json!({ "ceremony": begun["ceremony"], "passkey": passkey });
    let answer = browser.post("/api/v1/verify", body).await;
    assert_eq!(answer.json["session"]["amr"], json!(["pwd", "hwk", "user", "mfa"]), "{}", answer.text);
}

#[tokio::test]
async fn a_wrong_passkey_costs_a_try_and_no_other_attempt_is_served() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut bob = server.signed_in(BOB).await;
    let (mut key, mut bobs) = (SecurityKey::of(&server), SecurityKey::of(&server));
    enrol(&mut ann, &mut key).await;
    enrol(&mut bob, &mut bobs).await;
    let (mut client, mut other) = (server.client(), server.client());
    let (attempt, another) = (first_step(&mut client, ANN).await, first_step(&mut other, ANN).await);
    let begun = ask(&mut client, &attempt).await.json;
    let proof = key.get(&begun["options"]);
    assert_eq!(verify(&mut other, &another, &begun, proof.clone()).await.code(), "invalid_code");
    let of_bob = bobs.answer(0, &begun["options"]);
    assert_eq!(verify(&mut client, &attempt, &begun, of_bob).await.code(), "invalid_code");
    let for_sign_in = super::request(&mut client, None).await;
    let elsewhere = key.answer(0, &for_sign_in["options"]);
    assert_eq!(verify(&mut client, &attempt, &for_sign_in, elsewhere).await.code(), "invalid_code");
    assert_eq!(refusals(&server).await, ["ceremony", "other_user", "ceremony"]);
    let missing = client.post("/api/v1/verify", json!({ "passkey": {} })).await;
    assert_eq!(missing.problems(), ["ceremony: required"]);
    assert_eq!(verify(&mut client, &attempt, &begun, proof.clone()).await.status, 200);
    assert_eq!(verify(&mut client, &attempt, &begun, proof).await.code(), "invalid_attempt");
    assert_eq!(ask(&mut client, &json!({ "attempt": "hp_at_x" })).await.code(), "invalid_attempt");
}

#[tokio::test]
async fn five_wrong_passkeys_end_an_attempt() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let mut client = server.client();
    let attempt = first_step(&mut client, ANN).await;
    let begun = ask(&mut client, &attempt).await.json;
    let proof = key.get(&begun["options"]);
    let mut liar = key.cloned();
    liar.origin = "https://evil.example".into();
    for _ in 0..5 {
        let lie = liar.get(&begun["options"]);
        assert_eq!(verify(&mut client, &attempt, &begun, lie).await.code(), "invalid_code");
    }
    assert_eq!(verify(&mut client, &attempt, &begun, proof).await.code(), "invalid_attempt");
}

#[tokio::test]
async fn of_fifty_parallel_second_steps_exactly_one_signs_in() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let mut client = server.client();
    let attempt = first_step(&mut client, ANN).await;
    let begun = ask(&mut client, &attempt).await.json;
    let proof = key.get(&begun["options"]);
    let calls = (0..50).map(|_| {
        let (mut client, attempt) = (server.client(), attempt.clone());
        let (begun, proof) = (begun.clone(), proof.clone());
        tokio::spawn(async move { verify(&mut client, &attempt, &begun, proof).await.status })
    });
    let mut right = 0;
    for call in calls.collect::<Vec<_>>() {
        right += usize::from(call.await.unwrap() == 200);
    }
    assert_eq!(right, 1);
}

#[tokio::test]
async fn a_copied_passkey_still_serves_beside_a_password_but_not_alone() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let mut clone = key.cloned();
    assert_eq!(super::sign_in(&server, &mut key).await.status, 200);
    assert_eq!(super::sign_in(&server, &mut clone).await.code(), "invalid_credentials");
    assert_eq!(super::sign_in(&server, &mut key).await.code(), "invalid_credentials");
    let mut client = server.client();
    let attempt = first_step(&mut client, ANN).await;
    let begun = ask(&mut client, &attempt).await.json;
    let proof = key.get(&begun["options"]);
    let answer = verify(&mut client, &attempt, &begun, proof).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_passkey_is_the_fresh_proof_where_one_is_set_up() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut other = server.sign_in(ANN).await;
    let mut bob = server.signed_in(BOB).await;
    let (mut key, mut bobs) = (SecurityKey::of(&server), SecurityKey::of(&server));
    enrol(&mut ann, &mut key).await;
    enrol(&mut bob, &mut bobs).await;
    server.advance(Duration::from_secs(11 * 60));
    let refused = ann.post_nothing("/api/v1/factors/passkeys/options").await;
    assert_eq!(refused.code(), "reauthentication_required");
    assert_eq!(refused.json["methods"], json!(["passkey", "recovery_code"]));
    let password = ann.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await;
    assert_eq!(password.code(), "reauthentication_required", "a password is not enough any more");
    let begun = ann.post_nothing("/api/v1/reauthenticate/passkey/options").await.json;
    assert_eq!(begun["options"]["allowCredentials"].as_array().unwrap().len(), 1);
    let proof = key.get(&begun["options"]);
    // In another session, by another's passkey, what was begun for a sign-in: none of them.
    assert_eq!(reauthenticate(&mut other, &begun, proof.clone()).await.code(), "invalid_code");
    let theirs = bobs.answer(0, &begun["options"]);
    assert_eq!(reauthenticate(&mut ann, &begun, theirs).await.code(), "invalid_code");
    let signing = super::request(&mut ann, None).await;
    let for_sign_in = key.cloned().answer(0, &signing["options"]);
    assert_eq!(reauthenticate(&mut ann, &signing, for_sign_in).await.code(), "invalid_code");
    let answer = reauthenticate(&mut ann, &begun, proof.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    ann.keep_tokens(&answer);
    creation(&mut ann).await;
    assert_eq!(reauthenticate(&mut ann, &begun, proof).await.code(), "invalid_code", "once");
    let missing = ann.post("/api/v1/reauthenticate", json!({ "passkey": {} })).await;
    assert_eq!(missing.problems(), ["ceremony: required"]);
}

#[tokio::test]
async fn where_second_factors_are_off_a_passkey_signs_in_alone_and_proves_again_with_its_user_verified() {
    let server = TestApp::start_with(|config| {
        config.factors.policy = hallpass::config::FactorPolicy::Off;
    })
    .await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    let begun = creation(&mut ann).await;
    key.verifies = false;
    let made = key.create(&begun["options"]);
    let added = finish(&mut ann, &begun, made).await;
    assert_eq!((added.status, &added.json["recoveryCodes"]), (201, &Value::Null), "{}", added.text);
    let mut verifying = SecurityKey::of(&server);
    enrol(&mut ann, &mut verifying).await;
    assert_eq!(super::sign_in(&server, &mut verifying).await.status, 200);
    server.sign_in(ANN).await;
    server.advance(Duration::from_secs(11 * 60));
    let begun = ann.post_nothing("/api/v1/reauthenticate/passkey/options").await.json;
    let unverified = key.answer(0, &begun["options"]);
    assert_eq!(reauthenticate(&mut ann, &begun, unverified).await.code(), "invalid_code");
    let begun = ann.post_nothing("/api/v1/reauthenticate/passkey/options").await.json;
    let proof = verifying.answer(0, &begun["options"]);
    assert_eq!(reauthenticate(&mut ann, &begun, proof).await.status, 200);
}

#[tokio::test]
async fn an_operator_who_resets_the_factors_of_a_user_removes_the_passkeys() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let user = hallpass::users::find_login(&server.app.db, ANN).await.unwrap().unwrap().user;
    let client = hallpass::web::Client::local();
    let operator = hallpass::admin::Actor::operator(&client);
    hallpass::admin::users::reset_factors(&server.app, &operator, user.id).await.unwrap();
    assert_eq!(super::sign_in(&server, &mut key).await.code(), "invalid_credentials");
    let mut ann = server.sign_in(ANN).await;
    assert_eq!(ann.get("/api/v1/me").await.json["user"]["factors"], json!(["password"]));
}
