//! Rules for new passwords, change, reset by mail, upgrade of old hashes.
use crate::support::{OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::db::{Statements, Value as Param};
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.com";

async fn login_status(server: &TestApp, password: &str) -> u16 {
    server.client().post("/api/v1/login", json!({ "email": ANN, "password": password })).await.status
}

async fn forgotten(server: &TestApp) -> String {
    server.advance(Duration::from_secs(1));
    assert_eq!(server.client().post("/api/v1/password/forgot", json!({ "email": ANN })).await.status, 202);
    server.mailed_token(ANN, "/password/reset").await
}

#[tokio::test]
async fn forgot_answers_and_costs_alike_for_known_and_unknown_addresses() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let mut seen = Vec::new();
    for email in [ANN, "nobody@example.com"] {
        let before = server.app.hashing.computed();
        let answer = server.client().post("/api/v1/password/forgot", json!({ "email": email })).await;
        let names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        seen.push((answer.status, answer.json, names, server.app.hashing.computed() - before));
    }
    assert_eq!(seen[0], seen[1]);
    assert!(server.mails_to("nobody@example.com").await.is_empty());
}

#[tokio::test]
async fn a_reset_ends_all_sessions_replaces_the_password_and_tells_the_owner() {
    let server = TestApp::start().await;
    let mut phone = server.signed_in(ANN).await;
    let token = forgotten(&server).await;
    server.advance(Duration::from_secs(1));
    let body = json!({ "token": token, "password": OTHER_PASSWORD });
    assert_eq!(server.client().post("/api/v1/password/reset", body.clone()).await.status, 200);
    assert_eq!(phone.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(phone.refresh().await.code(), "session_revoked");
    assert_eq!(
        (login_status(&server, PASSWORD).await, login_status(&server, OTHER_PASSWORD).await),
        (401, 200)
    );
    assert_eq!(server.client().post("/api/v1/password/reset", body).await.code(), "invalid_token", "used");
    let subject = server.latest_mail(ANN).await["subject"].as_str().unwrap().to_lowercase();
    assert!(subject.contains("password"), "{subject}");
}

#[tokio::test]
async fn of_eight_parallel_uses_of_a_reset_link_one_succeeds() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let token = forgotten(&server).await;
    let calls: Vec<_> = (0..8)
        .map(|number| {
            let mut client = server.client();
            let body = json!({ "token": token, "password": format!("{OTHER_PASSWORD}-{number}") });
            tokio::spawn(async move { client.post("/api/v1/password/reset", body).await.status })
        })
        .collect();
    let mut done = 0;
    for call in calls {
        done += usize::from(call.await.unwrap() == 200);
    }
    assert_eq!(done, 1);
}

#[tokio::test]
async fn reset_links_expire_and_die_when_the_password_changes_or_another_is_asked_for() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let reset = |token: &str| json!({ "token": token, "password": "nine*purple*lanterns" });
    let expired = forgotten(&server).await;
    server.advance(Duration::from_secs(30 * 60));
    assert_eq!(server.client().post("/api/v1/password/reset", reset(&expired)).await.code(), "invalid_token");
    let former = forgotten(&server).await;
    let newer = forgotten(&server).await;
    assert_eq!(server.client().post("/api/v1/password/reset", reset(&former)).await.code(), "invalid_token");
    let answer = client.refresh().await;
    client.keep_tokens(&answer);
    let body = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    assert_eq!(client.post("/api/v1/password/change", body).await.status, 200);
    assert_eq!(server.client().post("/api/v1/password/reset", reset(&newer)).await.code(), "invalid_token");
}

#[tokio::test]
async fn a_weak_password_leaves_the_link_good_and_the_page_says_what_to_change() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let token = forgotten(&server).await;
    let body = json!({ "token": token, "password": "short" });
    let answer = server.client().post("/api/v1/password/reset", body).await;
    assert_eq!((answer.status, answer.problems().contains(&"password: too_short".to_owned())), (422, true));
    let page = server.client().get(&format!("/password/reset?token={token}")).await;
    assert!(page.status == 200 && page.text.contains("new-password"), "{}", page.text);
    let weak =
        server.client().post_form("/password/reset", &[("token", &token), ("password", "short")]).await;
    assert!(weak.status == 422 && weak.text.contains("at least 8 characters"), "{}", weak.text);
    let done = server
        .client()
        .post_form("/password/reset", &[("token", &token), ("password", OTHER_PASSWORD)])
        .await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(login_status(&server, OTHER_PASSWORD).await, 200);
    assert_eq!(server.client().get("/password/reset?token=nonsense").await.status, 400);
}

#[tokio::test]
async fn a_change_needs_the_present_password_and_ends_the_other_sessions_only() {
    let server = TestApp::start().await;
    let mut laptop = server.signed_in(ANN).await;
    let mut phone = server.sign_in(ANN).await;
    let change = |old: &str, new: &str| json!({ "currentPassword": old, "newPassword": new });
    let wrong = laptop.post("/api/v1/password/change", change(OTHER_PASSWORD, "nine*purple*lanterns")).await;
    assert_eq!((wrong.status, wrong.code()), (401, "invalid_credentials"));
    let same = laptop.post("/api/v1/password/change", change(PASSWORD, PASSWORD)).await;
    assert_eq!(same.problems(), ["newPassword: unchanged"]);
    let done = laptop.post("/api/v1/password/change", change(PASSWORD, OTHER_PASSWORD)).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(laptop.get("/api/v1/me").await.status, 200);
    assert_eq!(phone.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(
        (login_status(&server, PASSWORD).await, login_status(&server, OTHER_PASSWORD).await),
        (401, 200)
    );
}

#[tokio::test]
async fn reasons_of_a_refusal_are_machine_readable() {
    let server = TestApp::start().await;
    let long = "ab1-".repeat(64) + "x";
    let cases = [
        ("a", "too_short"),
        (long.as_str(), "too_long"),
        ("password123", "common"),
        ("Margaret1985", "contains_context"),
        ("aaaaaaaaaaaa", "too_guessable"),
    ];
    for (password, code) in cases {
        let body = json!({ "email": "margaret@example.com", "password": password });
        let answer = server.client().post("/api/v1/register", body).await;
        assert_eq!(answer.status, 422, "{password}");
        let problems = answer.problems();
        assert!(problems.contains(&format!("password: {code}")), "{password}: {problems:?}");
    }
    let just = "ab1-".repeat(64);
    let answer = server
        .client()
        .post("/api/v1/register", json!({ "email": ANN, "password": format!("{}Zq7!", &just[..252]) }))
        .await;
    assert_ne!(answer.problems(), ["password: too_long"]);
}

#[tokio::test]
async fn two_unicode_spellings_of_a_password_are_one() {
    let server = TestApp::start().await;
    server.sign_up_as(json!({ "email": ANN, "password": "caf\u{e9}-harbour-lantern" })).await;
    assert_eq!(login_status(&server, "cafe\u{301}-harbour-lantern").await, 200);
}

async fn stored_hash(server: &TestApp) -> String {
    let sql = "select password_hash from users where email_normalised = $1";
    let mut row = (&mut &server.app.db).query_opt(sql, &[ANN.into()]).await.unwrap().unwrap();
    row.text().unwrap()
}

async fn store_hash(server: &TestApp, hash: &str) {
    let mut tx = server.app.db.begin().await.unwrap();
    let params: [Param<'_>; 2] = [hash.into(), ANN.into()];
    tx.execute("update users set password_hash = $1 where email_normalised = $2", &params).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_bcrypt_hash_is_upgraded_at_sign_in_also_by_two_sign_ins_at_once() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    // Known answer of the John the Ripper test vectors.
    store_hash(&server, "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW").await;
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let mut client = server.client();
            let body = json!({ "email": ANN, "password": "U*U" });
            tokio::spawn(async move { client.post("/api/v1/login", body).await.status })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert!(stored_hash(&server).await.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_eq!(login_status(&server, "U*U").await, 200);
    assert_eq!(login_status(&server, "U*U*").await, 401);
}

#[tokio::test]
async fn a_stronger_setting_upgrades_hashes_at_the_next_sign_in() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let server =
        server.restart_with(|config| config.passwords.hash = hallpass::config::HashCost::Strong).await;
    assert_eq!(login_status(&server, PASSWORD).await, 200);
    assert!(stored_hash(&server).await.contains("m=65536,t=3"));
    assert_eq!(login_status(&server, PASSWORD).await, 200);
}

#[tokio::test]
async fn a_full_queue_answers_busy_with_a_time_to_retry() {
    let server = TestApp::start_with(|config| config.passwords.queue = 1).await;
    server.sign_up(ANN).await;
    let calls: Vec<_> = (0..30)
        .map(|number| {
            let mut client = server.client().at(&format!("10.0.0.{number}"));
            let body = json!({ "email": format!("u{number}@example.com"), "password": PASSWORD });
            tokio::spawn(async move { client.post("/api/v1/login", body).await })
        })
        .collect();
    let mut busy = 0;
    for call in calls {
        let answer = call.await.unwrap();
        assert!([401, 503].contains(&answer.status), "{}", answer.text);
        if answer.status == 503 {
            busy += 1;
            assert_eq!((answer.code(), answer.header("retry-after")), ("busy", "2"));
        }
    }
    assert!(busy > 0);
    assert_eq!(login_status(&server, PASSWORD).await, 200, "{}", Value::Null);
}

#[tokio::test]
async fn long_passwords_of_any_characters_count_exactly_as_they_are_typed() {
    let password = format!("  Grüße aus 東京 🗝️ \t{} ' \" <b> ", "k7!".repeat(70));
    assert!(password.chars().count() > 230);
    let server = TestApp::start().await;
    server.sign_up_as(json!({ "email": ANN, "password": password })).await;
    assert_eq!(login_status(&server, &password).await, 200);
    let others = [
        password.trim().to_owned(),
        password.to_lowercase(),
        password.chars().take(200).collect(),
        format!("{password}x"),
    ];
    for other in others {
        assert_eq!(login_status(&server, &other).await, 401, "{other}");
        server.advance(Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_password_is_as_good_after_ten_years() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    server.advance(Duration::from_secs(10 * 365 * 86_400));
    assert_eq!(login_status(&server, PASSWORD).await, 200);
}

#[tokio::test]
async fn the_page_masks_the_password_and_lets_managers_fill_it() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let token = forgotten(&server).await;
    let page = server.client().get(&format!("/password/reset?token={token}")).await;
    let field = page.text.split("<input").find(|part| part.contains("name=\"password\"")).unwrap();
    let field = field.split('>').next().unwrap();
    assert!(
        field.contains("type=\"password\"") && field.contains("autocomplete=\"new-password\""),
        "{field}"
    );
    assert!(!page.text.contains("onpaste") && !field.contains("maxlength"), "{field}");
}
