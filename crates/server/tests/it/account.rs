//! The own account: look, change, export, delete, read its log.
use crate::support::{OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::config::RegistrationMode;
use hallpass::db::Statements;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const ANN: &str = "ann@example.com";

#[tokio::test]
async fn a_user_is_shown_with_exactly_the_fields_of_the_contract() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let answer = client.get("/api/v1/me").await;
    let mut keys: Vec<&String> = answer.json["user"].as_object().unwrap().keys().collect();
    keys.sort();
    let contract = [
        "createdAt",
        "email",
        "emailVerified",
        "factors",
        "id",
        "lastLoginAt",
        "name",
        "permissions",
        "roles",
        "status",
        "username",
    ];
    assert_eq!(keys, contract);
    assert_eq!(answer.json["user"]["roles"], json!(["user"]));
    assert_eq!(answer.json["session"]["current"], true);
}

#[tokio::test]
async fn name_and_username_can_be_set_left_and_removed() {
    let server = TestApp::start().await;
    server.sign_up_as(json!({ "email": "bob@example.com", "password": PASSWORD, "username": "bob" })).await;
    let mut client = server.signed_in(ANN).await;
    let answer = client.patch("/api/v1/me", json!({ "name": "Ann", "username": "ann" })).await;
    assert_eq!(
        (&answer.json["user"]["name"], &answer.json["user"]["username"]),
        (&json!("Ann"), &json!("ann"))
    );
    let answer =
        client.patch("/api/v1/me", json!({ "name": null, "roles": ["admin"], "email": "x@y.z" })).await;
    let user = &answer.json["user"];
    assert_eq!(
        (&user["name"], &user["username"], &user["email"]),
        (&Value::Null, &json!("ann"), &json!(ANN))
    );
    assert_eq!(user["roles"], json!(["user"]), "nobody raises their own rights");
    let answer = client.patch("/api/v1/me", json!({ "username": "BOB" })).await;
    assert_eq!((answer.status, answer.code()), (409, "username_taken"));
    let answer = client.patch("/api/v1/me", json!({ "username": "a@b", "name": "x\u{202e}y" })).await;
    assert_eq!(answer.problems(), ["name: control_characters", "username: invalid_username"]);
}

#[tokio::test]
async fn another_username_needs_a_fresh_proof_and_is_told_by_mail() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    client.patch("/api/v1/me", json!({ "username": "ann" })).await;
    let mail = server.latest_mail(ANN).await;
    assert_eq!(mail["subject"], "Your username at Hallpass was changed");
    assert!(mail["text"].as_str().unwrap().contains("is ann now"), "{mail}");
    server.advance(Duration::from_secs(600));
    let told = server.mails_to(ANN).await.len();
    for username in [json!("mallory"), json!("Ann"), Value::Null] {
        let refused = client.patch("/api/v1/me", json!({ "username": username, "name": "M" })).await;
        assert_eq!((refused.status, refused.code()), (403, "reauthentication_required"), "{username}");
    }
    let same = client.patch("/api/v1/me", json!({ "username": "ann", "name": "Ann" })).await;
    assert_eq!((same.status, &same.json["user"]["name"]), (200, &json!("Ann")), "the name signs nobody in");
    assert_eq!(server.mails_to(ANN).await.len(), told, "nothing changed, nothing is told");
    client.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await;
    assert_eq!(client.patch("/api/v1/me", json!({ "username": null })).await.status, 200);
    assert!(server.latest_mail(ANN).await["text"].as_str().unwrap().contains("was removed"));
}

#[tokio::test]
async fn an_address_that_nobody_has_proven_is_not_buried_in_notices() {
    let server = TestApp::start_with(|config| config.registration.mode = RegistrationMode::Immediate).await;
    let mut stranger = server.client();
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" });
    let registered = stranger.post("/api/v1/register", body).await;
    stranger.keep_tokens(&registered);
    let before = server.mails_to(ANN).await.len();
    for username in ["one", "two"] {
        assert_eq!(stranger.patch("/api/v1/me", json!({ "username": username })).await.status, 200);
    }
    for (old, new) in [(PASSWORD, OTHER_PASSWORD), (OTHER_PASSWORD, PASSWORD)] {
        let body = json!({ "currentPassword": old, "newPassword": new });
        assert_eq!(stranger.post("/api/v1/password/change", body).await.status, 200);
    }
    assert_eq!(server.mails_to(ANN).await.len(), before);
}

#[tokio::test]
async fn deleting_the_account_ends_everything_at_once_and_frees_the_address() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let former = client.get("/api/v1/me").await.json["user"]["id"].clone();
    server.advance(Duration::from_secs(600));
    assert_eq!(client.delete("/api/v1/me").await.code(), "reauthentication_required");
    client.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await;
    assert_eq!(client.delete("/api/v1/me").await.status, 200);
    assert_eq!(client.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(client.refresh().await.code(), "invalid_refresh_token");
    let sql = "select count(*) from audit_events where kind = 'user_deleted' and coalesce(detail, '') not like '%@%'";
    let mut row = (&mut &server.app.db).query_opt(sql, &[]).await.unwrap().unwrap();
    assert_eq!(row.int().unwrap(), 1, "the trail stays, without the address");
    server.advance(Duration::from_secs(3600));
    let newer = server.signed_in(ANN).await.get("/api/v1/me").await.json["user"]["id"].clone();
    assert!(newer.is_string() && newer != former, "the address is free, the account does not come back");
}

#[tokio::test]
async fn an_export_has_the_own_data_and_no_secret() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let answer = client.get("/api/v1/me/export").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json["user"]["email"], ANN);
    assert_eq!(answer.json["sessions"].as_array().unwrap().len(), 1);
    assert!(!answer.json["events"].as_array().unwrap().is_empty());
    for secret in ["argon2", "hp_", "hash", PASSWORD] {
        assert!(!answer.text.contains(secret), "{secret}");
    }
    server.advance(Duration::from_secs(600));
    assert_eq!(client.get("/api/v1/me/export").await.code(), "reauthentication_required");
}

#[tokio::test]
async fn the_own_log_is_paged_newest_first_without_gaps_or_repeats_and_shows_nobody_elses() {
    let server = TestApp::start().await;
    let mut other = server.signed_in("bob@example.com").await;
    let mut client = server.signed_in(ANN).await;
    for number in 0..7 {
        server.advance(Duration::from_secs(1));
        client.patch("/api/v1/me", json!({ "name": format!("Ann {number}") })).await;
        other.patch("/api/v1/me", json!({ "name": "Bob" })).await;
    }
    let (mut ids, mut times, mut cursor) = (BTreeSet::new(), Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/api/v1/events?limit=3{cursor}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        for event in page.json["events"].as_array().unwrap() {
            assert!(ids.insert(event["id"].to_string()), "an event came twice");
            times.push(event["at"].as_str().unwrap().to_owned());
        }
        let Some(next) = page.json["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    // user_created, email_verified, device_added, login_succeeded and seven changes of the profile
    assert_eq!(ids.len(), 11);
    assert!(times.windows(2).all(|pair| pair[0] >= pair[1]), "{times:?}");
    for query in ["limit=0", "limit=101", "limit=x", "cursor=nonsense"] {
        assert_eq!(client.get(&format!("/api/v1/events?{query}")).await.status, 422, "{query}");
    }
}

#[tokio::test]
async fn the_own_log_says_what_was_done_from_where_and_with_which_result() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let mut guesser = server.client().at("203.0.113.9").with_agent("guesser/1.0");
    guesser.post("/api/v1/login", json!({ "email": ANN, "password": "not-the-password" })).await;
    server.advance(Duration::from_secs(1));
    client.post("/api/v1/reauthenticate", json!({ "password": "not-the-password" })).await;
    client.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await;
    client.post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    client.post("/api/v1/email/change", json!({ "email": "new@example.com" })).await;
    let change = json!({ "currentPassword": PASSWORD, "newPassword": "nine*purple*lanterns" });
    client.post("/api/v1/password/change", change).await;
    client.delete("/api/v1/sessions").await;
    let events = client.get("/api/v1/events").await.json["events"].clone();
    let events = events.as_array().unwrap();
    let find = |kind: &str| {
        let found = events.iter().find(|event| event["kind"] == kind);
        found.unwrap_or_else(|| panic!("{kind} is not in the log: {events:#?}"))
    };
    for (kind, result) in [
        ("user_created", "success"),
        ("email_verified", "success"),
        ("login_succeeded", "success"),
        ("login_failed", "failure"),
        ("reauthentication_failed", "failure"),
        ("reauthenticated", "success"),
        ("password_reset_requested", "success"),
        ("email_change_requested", "success"),
        ("password_changed", "success"),
        ("sessions_revoked", "success"),
    ] {
        let event = find(kind);
        assert_eq!(event["result"], result, "{kind}");
        assert!(event["at"].as_str().unwrap().ends_with('Z') && event["ip"].is_string(), "{event}");
    }
    let failed = find("login_failed");
    assert_eq!((&failed["ip"], &failed["userAgent"]), (&json!("203.0.113.9"), &json!("guesser/1.0")));
}

#[tokio::test]
async fn a_fresh_server_has_no_account() {
    let server = TestApp::start().await;
    let mut row = (&mut &server.app.db).query_opt("select count(*) from users", &[]).await.unwrap().unwrap();
    assert_eq!(row.int().unwrap(), 0);
    for (name, password) in
        [("admin", "admin"), ("root", "root"), ("hallpass", "hallpass"), ("admin", PASSWORD)]
    {
        let body = json!({ "identifier": name, "password": password });
        assert_eq!(server.client().post("/api/v1/login", body).await.code(), "invalid_credentials");
    }
}

#[tokio::test]
async fn the_public_settings_say_what_a_sign_up_form_needs() {
    let server = TestApp::start().await;
    let answer = server.client().get("/api/v1/settings").await;
    assert_eq!((answer.status, &answer.json["registrationMode"]), (200, &json!("pending")));
    assert_eq!(
        answer.json["passwords"],
        json!({ "minLength": 8, "maxLength": 256, "maxBytes": 1024, "minScore": 3 })
    );
}
