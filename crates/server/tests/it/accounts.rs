//! Sign-up, proof of the mailbox, sign-in.
use crate::support::{Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::config::RegistrationMode;
use hallpass::db::Statements;
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.com";

async fn count(server: &TestApp, sql: &'static str) -> i64 {
    let mut row = (&mut &server.app.db).query_opt(sql, &[]).await.unwrap().unwrap();
    row.int().unwrap()
}

async fn users(server: &TestApp) -> i64 {
    count(server, "select count(*) from users").await
}

async fn register(client: &mut Client, password: &str) -> Value {
    let answer = client.post("/api/v1/register", json!({ "email": ANN, "password": password })).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json
}

async fn can_sign_in(server: &TestApp, password: &str) -> bool {
    let answer = server.client().post("/api/v1/login", json!({ "email": ANN, "password": password })).await;
    answer.status == 200
}

#[tokio::test]
async fn a_new_user_registers_verifies_signs_in_refreshes_and_signs_out() {
    let server = TestApp::start().await;
    let mut client = server.client();
    let body = json!({ "email": "Ann@Example.com", "password": PASSWORD });
    let answer = client.post("/api/v1/register", body).await;
    assert_eq!(answer.status, 202);
    let token = server.mailed_token(ANN, "/verify-email").await;
    let answer = client.post("/api/v1/verify-email", json!({ "token": token })).await;
    assert_eq!((answer.status, answer.json["user"]["emailVerified"].as_bool()), (200, Some(true)));
    let answer = client.log_in(json!({ "email": ANN, "password": PASSWORD })).await;
    assert_eq!(answer.json["tokenType"], "Bearer");
    let me = client.get("/api/v1/me").await;
    assert_eq!((me.status, me.json["user"]["email"].as_str()), (200, Some("Ann@example.com")));
    let answer = client.post_nothing("/api/v1/refresh").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    client.keep_tokens(&answer);
    assert_eq!(client.post_nothing("/api/v1/logout").await.status, 200);
    assert_eq!(client.get("/api/v1/me").await.code(), "session_revoked");
}

#[tokio::test]
async fn nobody_exists_before_the_mailbox_is_proven() {
    let server = TestApp::start().await;
    let mut client = server.client();
    let answer = register(&mut client, PASSWORD).await;
    assert!(answer["message"].is_string() && answer["registration"].as_str().unwrap().starts_with("hp_rg_"));
    assert_eq!(client.cookie("registration"), answer["registration"].as_str());
    assert_eq!(users(&server).await, 0);
    assert!(!can_sign_in(&server, PASSWORD).await);
}

#[tokio::test]
async fn the_code_of_the_mail_proves_the_mailbox_as_text_and_as_number() {
    for as_number in [false, true] {
        let server = TestApp::start().await;
        let mut client = server.client();
        register(&mut client, PASSWORD).await;
        let code = server.mailed_code(ANN).await;
        let code = if as_number { json!(code.parse::<u32>().unwrap()) } else { json!(code) };
        let answer = client.post("/api/v1/verify-email", json!({ "email": ANN, "code": code })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(can_sign_in(&server, PASSWORD).await);
    }
}

#[tokio::test]
async fn a_code_works_once() {
    let server = TestApp::start().await;
    let mut client = server.client();
    register(&mut client, PASSWORD).await;
    let body = json!({ "email": ANN, "code": server.mailed_code(ANN).await });
    assert_eq!(client.post("/api/v1/verify-email", body.clone()).await.status, 200);
    assert_eq!(client.post("/api/v1/verify-email", body).await.code(), "invalid_code");
}

#[tokio::test]
async fn a_mail_scanner_that_opens_the_link_changes_nothing() {
    let server = TestApp::start().await;
    let mut client = server.client();
    register(&mut client, PASSWORD).await;
    let token = server.mailed_token(ANN, "/verify-email").await;
    for _ in 0..3 {
        let page = server.client().get(&format!("/verify-email?token={token}")).await;
        assert!(page.status == 200 && page.text.contains("<button"), "{}", page.text);
    }
    assert_eq!(users(&server).await, 0);
    let answer = client.post_form("/verify-email", &[("token", &token)]).await;
    assert!(answer.status == 200 && answer.text.contains("confirmed"), "{}", answer.text);
    assert!(can_sign_in(&server, PASSWORD).await, "the registering browser needs no second password");
}

#[tokio::test]
async fn the_password_of_the_registration_counts_for_its_client_or_when_it_is_repeated() {
    for proof in ["registration", "password"] {
        let server = TestApp::start().await;
        let registration = register(&mut server.client(), PASSWORD).await["registration"].clone();
        let token = server.mailed_token(ANN, "/verify-email").await;
        let value = if proof == "password" { json!(PASSWORD) } else { registration };
        let answer =
            server.client().post("/api/v1/verify-email", json!({ "token": token, proof: value })).await;
        assert_eq!((answer.status, &answer.json["status"]), (200, &Value::Null), "{proof}: {}", answer.text);
        assert!(can_sign_in(&server, PASSWORD).await);
    }
}

#[tokio::test]
async fn a_stranger_cannot_plant_a_password_on_an_address() {
    let server = TestApp::start().await;
    register(&mut server.client(), "the-strangers-own-choice").await;
    let token = server.mailed_token(ANN, "/verify-email").await;
    let mut owner = server.client();
    let answer = owner.post("/api/v1/verify-email", json!({ "token": token })).await;
    assert_eq!((answer.status, answer.json["status"].as_str()), (200, Some("password_required")));
    assert!(!can_sign_in(&server, "the-strangers-own-choice").await);
    let body = json!({ "token": answer.json["passwordToken"], "password": PASSWORD });
    assert_eq!(owner.post("/api/v1/password/reset", body).await.status, 200);
    assert!(can_sign_in(&server, PASSWORD).await);
}

#[tokio::test]
async fn registrations_of_one_address_do_not_see_each_other_and_the_first_proof_voids_the_rest() {
    let server = TestApp::start().await;
    let (mut stranger, mut owner) = (server.client(), server.client());
    register(&mut stranger, "the-strangers-own-choice").await;
    let strangers_token = server.mailed_token(ANN, "/verify-email").await;
    server.advance(Duration::from_secs(1));
    register(&mut owner, PASSWORD).await;
    let code = server.mailed_code(ANN).await;
    let answer = stranger.post("/api/v1/verify-email", json!({ "email": ANN, "code": code })).await;
    assert_eq!(answer.code(), "invalid_code", "the owner's code is not the stranger's");
    let answer = owner.post("/api/v1/verify-email", json!({ "email": ANN, "code": code })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = stranger.post("/api/v1/verify-email", json!({ "token": strangers_token })).await;
    assert_eq!(answer.code(), "invalid_token");
    assert!(can_sign_in(&server, PASSWORD).await);
}

#[tokio::test]
async fn links_and_codes_expire() {
    let server = TestApp::start().await;
    let mut client = server.client();
    register(&mut client, PASSWORD).await;
    let (token, code) = (server.mailed_token(ANN, "/verify-email").await, server.mailed_code(ANN).await);
    server.advance(Duration::from_secs(30 * 60 + 1));
    let answer = client.post("/api/v1/verify-email", json!({ "email": ANN, "code": code })).await;
    assert_eq!(answer.code(), "invalid_code");
    server.advance(Duration::from_secs(24 * 3600));
    let answer = client.post("/api/v1/verify-email", json!({ "token": token })).await;
    assert_eq!(answer.code(), "invalid_token");
    assert_eq!(users(&server).await, 0);
}

#[tokio::test]
async fn a_link_works_once_also_when_it_is_used_eight_times_at_the_same_moment() {
    let server = TestApp::start().await;
    let mut client = server.client();
    register(&mut client, PASSWORD).await;
    let token = server.mailed_token(ANN, "/verify-email").await;
    let calls = (0..8).map(|_| {
        let (mut tab, body) = (client.clone(), json!({ "token": token }));
        tokio::spawn(async move { tab.post("/api/v1/verify-email", body).await.status })
    });
    let mut done = 0;
    for call in calls.collect::<Vec<_>>() {
        done += usize::from(call.await.unwrap() == 200);
    }
    assert_eq!((done, users(&server).await), (1, 1));
}

#[tokio::test]
async fn five_wrong_codes_kill_the_code_but_not_the_link_and_resend_keeps_the_count() {
    let server = TestApp::start().await;
    let mut client = server.client();
    register(&mut client, PASSWORD).await;
    for _ in 0..5 {
        let right = server.mailed_code(ANN).await;
        let wrong = if right == "000000" { "000001" } else { "000000" };
        let answer = client.post("/api/v1/verify-email", json!({ "email": ANN, "code": wrong })).await;
        assert_eq!((answer.status, answer.code()), (401, "invalid_code"));
    }
    server.advance(Duration::from_secs(1));
    assert_eq!(client.post("/api/v1/verify-email/resend", json!({ "email": ANN })).await.status, 202);
    let code = server.mailed_code(ANN).await;
    let answer = client.post("/api/v1/verify-email", json!({ "email": ANN, "code": code })).await;
    assert_eq!(answer.code(), "invalid_code", "the right code, but there are no tries left");
    let token = server.mailed_token(ANN, "/verify-email").await;
    assert_eq!(client.post("/api/v1/verify-email", json!({ "token": token })).await.status, 200);
}

#[tokio::test]
async fn resend_replaces_link_and_code_and_answers_alike_for_strangers() {
    let server = TestApp::start().await;
    let mut client = server.client();
    register(&mut client, PASSWORD).await;
    let former = server.mailed_token(ANN, "/verify-email").await;
    server.advance(Duration::from_secs(1));
    let known = client.post("/api/v1/verify-email/resend", json!({ "email": ANN })).await;
    let unknown =
        server.client().post("/api/v1/verify-email/resend", json!({ "email": "no@example.com" })).await;
    assert_eq!((known.status, &known.json), (202, &unknown.json));
    assert_eq!(unknown.status, 202);
    assert!(server.mails_to("no@example.com").await.is_empty());
    let fresh = server.mailed_token(ANN, "/verify-email").await;
    assert_ne!(former, fresh);
    assert_eq!(client.post("/api/v1/verify-email", json!({ "token": former })).await.code(), "invalid_token");
    assert_eq!(client.post("/api/v1/verify-email", json!({ "token": fresh })).await.status, 200);
}

/// Names of headers, without those whose value is new in every answer.
fn header_names(answer: &crate::support::Answer) -> Vec<String> {
    answer.headers.keys().map(ToString::to_string).collect()
}

#[tokio::test]
async fn registering_a_known_address_looks_and_costs_like_a_new_one_and_tells_its_owner() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let mut seen = Vec::new();
    for email in [ANN, "new@example.com"] {
        server.advance(Duration::from_secs(1));
        let before = server.app.hashing.computed();
        let answer =
            server.client().post("/api/v1/register", json!({ "email": email, "password": PASSWORD })).await;
        let keys: Vec<String> = answer.json.as_object().unwrap().keys().cloned().collect();
        seen.push((answer.status, keys, header_names(&answer), server.app.hashing.computed() - before));
    }
    assert_eq!(seen[0], seen[1]);
    let mail = server.latest_mail(ANN).await;
    assert!(mail["subject"].as_str().unwrap().contains("account"), "{}", mail["subject"]);
    assert_eq!(mail["codes"], json!([]), "nothing in it could complete the registration");
    assert_eq!(users(&server).await, 1);
}

#[tokio::test]
async fn wrong_unknown_disabled_and_passwordless_sign_ins_look_and_cost_alike() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    server.sign_up("closed@example.com").await;
    server.sign_up("empty@example.com").await;
    let mut tx = server.app.db.begin().await.unwrap();
    tx.execute("update users set disabled_at = 1 where email_normalised = 'closed@example.com'", &[])
        .await
        .unwrap();
    tx.execute("update users set password_hash = null where email_normalised = 'empty@example.com'", &[])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let cases = [
        (ANN, OTHER_PASSWORD),
        ("nobody@example.com", PASSWORD),
        ("closed@example.com", PASSWORD),
        ("empty@example.com", PASSWORD),
        ("nobody", PASSWORD),
    ];
    let mut seen = Vec::new();
    for (identifier, password) in cases {
        let before = server.app.hashing.computed();
        let body = json!({ "identifier": identifier, "password": password });
        let answer = server.client().post("/api/v1/login", body).await;
        let mut problem = answer.json.clone();
        problem["requestId"] = Value::Null;
        seen.push((answer.status, problem, header_names(&answer), server.app.hashing.computed() - before));
    }
    assert_eq!(seen[0].1["code"], "invalid_credentials");
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
}

#[tokio::test]
async fn people_sign_in_by_address_or_username_in_any_case() {
    let server = TestApp::start().await;
    server
        .sign_up_as(
            json!({ "email": "Ann@Example.COM", "password": PASSWORD, "username": "Ann_1", "name": "Ann" }),
        )
        .await;
    for (field, value) in [
        ("email", "ANN@example.com"),
        ("username", "ann_1"),
        ("identifier", "ANN_1"),
        ("identifier", ANN),
        ("email", "ann_1"),
    ] {
        let answer =
            server.client().post("/api/v1/login", json!({ field: value, "password": PASSWORD })).await;
        assert_eq!(answer.status, 200, "{field} {value}: {}", answer.text);
        assert_eq!(answer.json["user"]["username"], "Ann_1");
    }
}

#[tokio::test]
async fn two_spellings_of_an_address_are_one_account() {
    let server = TestApp::start().await;
    server.sign_up("a@x.io").await;
    server.advance(Duration::from_secs(1));
    server.client().post("/api/v1/register", json!({ "email": "A@X.io", "password": PASSWORD })).await;
    assert!(server.latest_mail("a@x.io").await["links"].to_string().contains("/password/forgot"));
    server.sign_up("b@bücher.example").await;
    let answer = server
        .client()
        .post("/api/v1/login", json!({ "email": "B@xn--bcher-kva.example", "password": PASSWORD }))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_taken_username_is_refused_whatever_the_address() {
    let server = TestApp::start().await;
    server.sign_up_as(json!({ "email": ANN, "password": PASSWORD, "username": "ann" })).await;
    for email in [ANN, "bob@example.com"] {
        let body = json!({ "email": email, "password": PASSWORD, "username": "ANN" });
        let answer = server.client().post("/api/v1/register", body).await;
        assert_eq!((answer.status, answer.code()), (409, "username_taken"));
    }
}

#[tokio::test]
async fn immediate_registration_signs_in_at_once_and_tells_of_known_addresses() {
    let server = TestApp::start_with(|config| config.registration.mode = RegistrationMode::Immediate).await;
    let mut client = server.client();
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" });
    let answer = client.post("/api/v1/register", body.clone()).await;
    assert_eq!(
        (answer.status, answer.json["user"]["emailVerified"].as_bool()),
        (201, Some(false)),
        "{}",
        answer.text
    );
    client.keep_tokens(&answer);
    assert_eq!(client.get("/api/v1/me").await.status, 200);
    assert_eq!(client.post("/api/v1/register", body).await.code(), "email_taken");
    let code = server.mailed_code(ANN).await;
    let answer = client.post("/api/v1/verify-email", json!({ "email": ANN, "code": code })).await;
    assert_eq!((answer.status, &answer.json["status"]), (200, &Value::Null), "{}", answer.text);
    assert_eq!(client.get("/api/v1/me").await.json["user"]["emailVerified"], true);
}

#[tokio::test]
async fn in_immediate_mode_the_owner_of_the_mailbox_wipes_what_a_stranger_set_up() {
    let server = TestApp::start_with(|config| config.registration.mode = RegistrationMode::Immediate).await;
    let mut stranger = server.client();
    let body = json!({ "email": ANN, "password": OTHER_PASSWORD, "tokenDelivery": "body" });
    let answer = stranger.post("/api/v1/register", body).await;
    stranger.keep_tokens(&answer);
    let token = server.mailed_token(ANN, "/verify-email").await;
    let answer = server.client().post("/api/v1/verify-email", json!({ "token": token })).await;
    assert_eq!(answer.json["status"], "password_required", "{}", answer.text);
    assert_eq!(stranger.get("/api/v1/me").await.code(), "session_revoked");
    assert!(!can_sign_in(&server, OTHER_PASSWORD).await);
}

#[tokio::test]
async fn in_immediate_mode_resend_keeps_the_count_of_tries_and_the_registering_client() {
    let server = TestApp::start_with(|config| config.registration.mode = RegistrationMode::Immediate).await;
    let mut client = server.client();
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" });
    let answer = client.post("/api/v1/register", body).await;
    client.keep_tokens(&answer);
    for _ in 0..5 {
        let right = server.mailed_code(ANN).await;
        let wrong = if right == "000000" { "000001" } else { "000000" };
        client.post("/api/v1/verify-email", json!({ "email": ANN, "code": wrong })).await;
    }
    server.advance(Duration::from_secs(1));
    assert_eq!(client.post("/api/v1/verify-email/resend", json!({ "email": ANN })).await.status, 202);
    let code = server.mailed_code(ANN).await;
    let answer = client.post("/api/v1/verify-email", json!({ "email": ANN, "code": code })).await;
    assert_eq!(answer.code(), "invalid_code", "no tries left");
    let token = server.mailed_token(ANN, "/verify-email").await;
    let answer = client.post("/api/v1/verify-email", json!({ "token": token })).await;
    assert_eq!((answer.status, &answer.json["status"]), (200, &Value::Null), "{}", answer.text);
    assert_eq!(client.get("/api/v1/me").await.status, 200, "still signed in");
}
