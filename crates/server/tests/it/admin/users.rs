//! People's accounts, in the hands of administrators.
mod held;
mod promoted;
mod refused;
mod search;

use crate::support::operator::BOSS;
use crate::support::{Answer, Client, PASSWORD, TestApp};
use axum::http::Method;
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.com";

/// The path of somebody's account.
async fn of(server: &TestApp, email: &str) -> String {
    let user = hallpass::users::find_login(&server.app.db, email).await.unwrap().unwrap().user;
    format!("/api/v1/admin/users/{}", user.id)
}

async fn send_matching(client: &Client, method: Method, path: &str, tag: &str, body: Value) -> Answer {
    client.clone().with_header("if-match", tag).send(method, path, Some(body)).await
}

async fn patch(client: &Client, path: &str, tag: &str, body: Value) -> Answer {
    send_matching(client, Method::PATCH, path, tag, body).await
}

async fn put_roles(client: &Client, path: &str, tag: &str, roles: Value) -> Answer {
    send_matching(client, Method::PUT, &format!("{path}/roles"), tag, json!({ "roles": roles })).await
}

async fn log_in(server: &TestApp, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password, "tokenDelivery": "body" });
    server.client().post("/api/v1/login", body).await
}

#[tokio::test]
async fn an_account_is_made_with_a_password_or_with_a_link_that_is_shown_once() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    server.define_role("editor", &["articles:read"]).await;
    let body = json!({ "email": "Ann@Example.com", "username": "ann", "name": "Ann Ash", "password": PASSWORD,
        "emailVerified": true, "roles": ["editor"] });
    let made = boss.post("/api/v1/admin/users", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json["user"]["roles"], json!(["editor", "user"]));
    assert!(made.json.get("link").is_none() && !made.header("etag").is_empty());
    assert_eq!(log_in(&server, ANN, PASSWORD).await.status, 200);
    let made = boss.post("/api/v1/admin/users", json!({ "email": "ben@example.com" })).await;
    assert_eq!((made.status, &made.json["user"]["emailVerified"]), (201, &json!(false)));
    let token = made.json["link"].as_str().unwrap().split("token=").nth(1).unwrap().to_owned();
    let body = json!({ "token": token, "password": PASSWORD });
    assert_eq!(server.client().post("/api/v1/password/reset", body.clone()).await.status, 200);
    assert_eq!(server.client().post("/api/v1/password/reset", body).await.code(), "invalid_token");
    assert_eq!(log_in(&server, "ben@example.com", PASSWORD).await.status, 200);
    for (body, expected) in [
        (json!({ "email": "ANN@example.com" }), (409, "email_taken")),
        (json!({ "email": "new@example.com", "username": "Ann" }), (409, "username_taken")),
        (json!({ "email": "new@example.com", "roles": ["nothing"] }), (422, "validation_failed")),
        (json!({ "email": "new@example.com", "password": "new@example.com" }), (422, "validation_failed")),
        (json!({ "email": "new", "roles": 7, "name": "a\u{202e}b" }), (422, "validation_failed")),
    ] {
        let answer = boss.post("/api/v1/admin/users", body.clone()).await;
        assert_eq!((answer.status, answer.code()), expected, "{body}");
    }
    assert!(boss.get("/api/v1/admin/users?q=new@").await.json["users"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_change_that_rests_on_what_is_outdated_is_refused() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let mut ann = server.signed_in(ANN).await;
    let path = of(&server, ANN).await;
    let read = boss.get(&path).await;
    assert_eq!((read.status, &read.json["user"]["email"]), (200, &json!(ANN)));
    server.sign_in(ANN).await;
    assert_eq!(boss.get(&path).await.header("etag"), read.header("etag"), "signing in is no change");
    // Within one microsecond, which is how long the clock of the tests stands.
    let changed = patch(&boss, &path, read.header("etag"), json!({ "name": "Ann Ash" })).await;
    assert_eq!((changed.status, &changed.json["user"]["name"]), (200, &json!("Ann Ash")));
    assert_ne!(changed.header("etag"), read.header("etag"));
    let late = patch(&boss, &path, read.header("etag"), json!({ "name": "Ann Oak" })).await;
    assert_eq!((late.status, late.code()), (412, "outdated"));
    let late = put_roles(&boss, &path, read.header("etag"), json!(["admin"])).await;
    assert_eq!((late.status, late.code()), (412, "outdated"));
    let blind = boss.patch(&path, json!({ "name": "Ann Oak" })).await;
    assert_eq!((blind.status, blind.code()), (428, "precondition_required"));
    let own = ann.patch("/api/v1/me", json!({ "name": "Ann Elm" })).await;
    assert_eq!(own.status, 200, "{}", own.text);
    let late = patch(&boss, &path, changed.header("etag"), json!({ "name": "Ann Oak" })).await;
    assert_eq!(late.code(), "outdated", "the owner's own change is not lost either");
    let anyhow = patch(&boss, &path, "*", json!({ "name": null, "username": "ann" })).await;
    assert_eq!(anyhow.json["user"]["name"], Value::Null);
    assert_eq!(server.latest_mail(ANN).await["subject"], "Your username at Hallpass was changed");
}

#[tokio::test]
async fn another_address_is_told_to_the_former_one_and_voids_what_was_mailed_there() {
    let server = TestApp::start().await;
    let boss = server.boss().await;
    server.signed_in(ANN).await;
    server.sign_up("ben@example.com").await;
    let path = of(&server, ANN).await;
    server.client().post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    let link = server.mailed_token(ANN, "/password/reset").await;
    let taken = patch(&boss, &path, "*", json!({ "email": "BEN@example.com" })).await;
    assert_eq!((taken.status, taken.code()), (409, "email_taken"));
    let changed = patch(&boss, &path, "*", json!({ "email": "new@example.com" })).await;
    assert_eq!(changed.json["user"]["email"], "new@example.com");
    assert_eq!(changed.json["user"]["emailVerified"], false);
    let mail = server.latest_mail(ANN).await;
    assert_eq!(mail["subject"], "The address of your account at Hallpass was changed");
    assert!(mail["text"].as_str().unwrap().contains("An administrator has replaced"), "{mail}");
    let body = json!({ "token": link, "password": crate::support::OTHER_PASSWORD });
    assert_eq!(server.client().post("/api/v1/password/reset", body).await.code(), "invalid_token");
    let proven = json!({ "email": "newer@example.com", "emailVerified": true });
    assert_eq!(patch(&boss, &path, "*", proven).await.json["user"]["emailVerified"], true);
    let odd = patch(&boss, &path, "*", json!({ "emailVerified": true })).await;
    assert_eq!(odd.problems(), ["emailVerified: invalid_value"]);
    assert_eq!(log_in(&server, "newer@example.com", PASSWORD).await.status, 200);
    let found = boss.clone().get("/api/v1/admin/users?q=newer").await;
    assert_eq!(found.json["users"][0]["email"], "newer@example.com");
    let gone = boss.clone().get("/api/v1/admin/users?q=ann@").await;
    assert_eq!(gone.json["users"], json!([]));
}

#[tokio::test]
async fn the_present_address_can_be_answered_for_and_spelt_otherwise_without_losing_its_proof() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let body = json!({ "email": ANN, "password": PASSWORD });
    assert_eq!(boss.post("/api/v1/admin/users", body).await.json["user"]["emailVerified"], false);
    let path = of(&server, ANN).await;
    let unproven = patch(&boss, &path, "*", json!({ "email": "Ann@example.com" })).await;
    assert_eq!(
        (&unproven.json["user"]["email"], &unproven.json["user"]["emailVerified"]),
        (&json!("Ann@example.com"), &json!(false))
    );
    let proven = json!({ "email": "Ann@example.com", "emailVerified": true });
    let proven = patch(&boss, &path, unproven.header("etag"), proven).await;
    assert_eq!((proven.status, &proven.json["user"]["emailVerified"]), (200, &json!(true)));
    assert_ne!(proven.header("etag"), unproven.header("etag"));
    let kinds = boss.get(&format!("{path}/events?limit=2")).await.json;
    assert_eq!(kinds["events"][0]["kind"], "email_verified", "{kinds}");
    for body in [json!({ "email": "ANN@example.com" }), json!({ "email": ANN, "emailVerified": false })] {
        let answer = patch(&boss, &path, "*", body.clone()).await;
        assert_eq!(
            (&answer.json["user"]["email"], &answer.json["user"]["emailVerified"]),
            (&body["email"], &json!(true))
        );
    }
    assert!(server.mails_to(ANN).await.is_empty(), "it is the same mailbox");
}

#[tokio::test]
async fn a_closed_account_is_out_at_once_until_it_is_opened() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let mut ann = server.signed_in(ANN).await;
    let path = of(&server, ANN).await;
    let closed = boss.post_nothing(&format!("{path}/disable")).await;
    assert_eq!((closed.status, &closed.json["user"]["status"]), (200, &json!("disabled")));
    assert_eq!(ann.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(log_in(&server, ANN, PASSWORD).await.status, 401);
    assert_eq!(boss.post_nothing(&format!("{path}/disable")).await.status, 200, "again");
    let opened = boss.post_nothing(&format!("{path}/enable")).await;
    assert_eq!(opened.json["user"]["status"], "active");
    assert_eq!(log_in(&server, ANN, PASSWORD).await.status, 200);
    let events = boss.get(&format!("{path}/events?limit=3")).await.json;
    let kinds: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["login_succeeded", "device_added", "user_enabled"]);
    let older = boss.get(&format!("{path}/events?cursor={}", events["next"].as_str().unwrap())).await;
    assert_eq!(older.json["events"][1]["kind"], "user_disabled", "{}", older.text);
}

#[tokio::test]
async fn a_password_that_is_taken_away_is_chosen_anew_by_the_mailbox_alone() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let mut ann = server.signed_in(ANN).await;
    let path = of(&server, ANN).await;
    let reset = boss.post_nothing(&format!("{path}/reset-password")).await;
    assert_eq!(
        (&reset.json["sessionsEnded"], &reset.json["mailed"]),
        (&json!(1), &json!(true)),
        "{}",
        reset.text
    );
    assert!(!reset.text.contains("token="), "the administrator gets no link: {}", reset.text);
    assert_eq!(ann.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(log_in(&server, ANN, PASSWORD).await.status, 401);
    let token = server.mailed_token(ANN, "/password/reset").await;
    let body = json!({ "token": token, "password": crate::support::OTHER_PASSWORD });
    assert_eq!(server.client().post("/api/v1/password/reset", body).await.status, 200);
    assert_eq!(log_in(&server, ANN, crate::support::OTHER_PASSWORD).await.status, 200);
    boss.post_nothing(&format!("{path}/disable")).await;
    let closed = boss.post_nothing(&format!("{path}/reset-password")).await;
    assert_eq!((closed.status, &closed.json["mailed"]), (200, &json!(false)));
}

#[tokio::test]
async fn factors_sessions_and_addresses_are_reset_and_the_owner_sees_by_whom_but_not_from_where() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await.at("198.51.100.9");
    let mut ann = server.signed_in(ANN).await;
    let mut elsewhere = server.sign_in(ANN).await;
    let path = of(&server, ANN).await;
    let listed = boss.get(&format!("{path}/sessions")).await.json;
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 2);
    let newest = listed["sessions"][0]["id"].as_str().unwrap();
    let one = format!("{path}/sessions/{newest}");
    assert_eq!(boss.delete(&one).await.status, 200);
    assert_eq!(boss.delete(&one).await.code(), "not_found", "it has ended");
    assert_eq!(elsewhere.get("/api/v1/me").await.code(), "session_revoked");
    let others = format!("{}/sessions/{}", of(&server, BOSS).await, "01900000-0000-7000-8000-000000000000");
    assert_eq!(boss.delete(&others).await.status, 403, "the own account");
    let ended = boss.post_nothing(&format!("{path}/end-sessions")).await;
    assert_eq!(ended.json["sessionsEnded"], 1);
    assert_eq!(ann.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(boss.post_nothing(&format!("{path}/verify-email")).await.status, 200);
    let reset = boss.post_nothing(&format!("{path}/reset-factors")).await;
    assert_eq!((reset.status, &reset.json["sessionsEnded"]), (200, &json!(0)));
    let mail = server.latest_mail(ANN).await;
    assert_eq!(mail["subject"], "Your second factor at Hallpass was removed");
    assert!(!mail["text"].as_str().unwrap().contains("198.51.100.9"), "{mail}");
    let mut ann = server.sign_in(ANN).await;
    let own = ann.get("/api/v1/events").await;
    let boss_id = boss.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned();
    assert!(
        own.text.contains(&format!("\"by\":\"{boss_id}\"")) && own.text.contains("factors_reset"),
        "{}",
        own.text
    );
    assert!(!own.text.contains("198.51.100.9"), "{}", own.text);
    let export = ann.get("/api/v1/me/export").await;
    assert!(export.text.contains("factors_reset") && !export.text.contains("198.51.100.9"));
    let all = boss.get(&format!("{path}/events")).await;
    assert!(all.text.contains("198.51.100.9"), "administrators see it: {}", all.text);
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_to_be_found_by() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let mut ann = server.signed_in(ANN).await;
    let path = of(&server, ANN).await;
    assert_eq!(boss.delete(&path).await.status, 200);
    assert_eq!(ann.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(boss.get(&path).await.status, 404);
    assert_eq!(boss.get("/api/v1/admin/users?q=ann").await.json["users"], json!([]));
    assert_eq!(server.latest_mail(ANN).await["subject"], "Your account at Hallpass was deleted");
    for path in [&path, "/api/v1/admin/users/nobody"] {
        assert_eq!(boss.delete(path).await.code(), "not_found");
        assert_eq!(boss.get(&format!("{path}/sessions")).await.code(), "not_found");
        assert_eq!(boss.post_nothing(&format!("{path}/disable")).await.code(), "not_found");
    }
    assert!(boss.get(&format!("{path}/events")).await.text.contains("user_deleted"), "the trail stays");
}

#[tokio::test]
async fn only_what_closes_doors_needs_no_fresh_proof_of_identity() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    server.sign_up(ANN).await;
    let path = of(&server, ANN).await;
    server.advance(Duration::from_secs(14 * 60));
    let asks = (403, "reauthentication_required");
    let body = json!({ "email": "new@example.com" });
    let answers = [
        boss.post("/api/v1/admin/users", body.clone()).await,
        patch(&boss, &path, "*", body).await,
        put_roles(&boss, &path, "*", json!([])).await,
        boss.post_nothing(&format!("{path}/enable")).await,
        boss.post_nothing(&format!("{path}/verify-email")).await,
        boss.post_nothing(&format!("{path}/reset-password")).await,
        boss.post_nothing(&format!("{path}/reset-factors")).await,
        boss.delete(&path).await,
    ];
    for answer in answers {
        assert_eq!((answer.status, answer.code()), asks, "{}", answer.text);
    }
    for what in ["end-sessions", "disable"] {
        assert_eq!(boss.post_nothing(&format!("{path}/{what}")).await.status, 200, "{what}");
    }
}
