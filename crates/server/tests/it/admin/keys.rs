//! Signing keys, service keys and settings in the hands of administrators.
use crate::support::{Client, PASSWORD, TestApp};
use hallpass::service_keys::Scope;
use serde_json::{Value, json};
use std::time::Duration;

/// The newest event of a kind, as the log tells it.
async fn event(boss: &mut Client, kind: &str) -> Value {
    let answer = boss.get(&format!("/api/v1/admin/audit?kind={kind}")).await;
    answer.json["events"][0].clone()
}

#[tokio::test]
async fn a_service_key_is_made_used_seen_and_ended() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let body = json!({ "name": "billing", "scopes": ["introspect", "revocations"], "expiresIn": 3600 });
    let made = boss.post("/api/v1/admin/service-keys", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (key, view) = (made.json["key"].as_str().unwrap(), &made.json["serviceKey"]);
    assert_eq!((&view["name"], &view["state"]), (&json!("billing"), &json!("live")));
    assert_eq!(view["scopes"], json!(["introspect", "revocations"]));
    assert!(!server.everything_stored().contains(key), "the secret is nowhere");
    let mut service = server.client();
    service.bearer = Some(key.to_owned());
    assert_eq!(service.get("/api/v1/revocations").await.status, 200);
    let listed = boss.get("/api/v1/admin/service-keys").await;
    assert!(!listed.text.contains(key));
    assert!(listed.json["serviceKeys"][0]["lastUsedAt"].is_string(), "{}", listed.text);
    let path = format!("/api/v1/admin/service-keys/{}", view["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(boss.delete(&path).await.status, 200);
    }
    let refused = service.get("/api/v1/revocations").await;
    assert_eq!((refused.status, refused.code()), (401, "invalid_service_key"));
    let me = boss.get("/api/v1/me").await.json["user"]["id"].clone();
    for kind in ["service_key_created", "service_key_revoked"] {
        let event = event(&mut boss, kind).await;
        assert_eq!((&event["detail"]["by"], &event["actor"]), (&me, &json!("person")), "{event}");
    }
}

#[tokio::test]
async fn a_service_key_ends_by_itself() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let body = json!({ "name": "billing", "scopes": ["revocations"], "expiresIn": 60 });
    let made = boss.post("/api/v1/admin/service-keys", body).await;
    let mut service = server.client();
    service.bearer = Some(made.json["key"].as_str().unwrap().to_owned());
    server.advance(Duration::from_secs(59));
    assert_eq!(service.get("/api/v1/revocations").await.status, 200);
    server.advance(Duration::from_secs(1));
    assert_eq!(service.get("/api/v1/revocations").await.status, 401);
    assert_eq!(boss.get("/api/v1/admin/service-keys").await.json["serviceKeys"][0]["state"], "expired");
}

#[tokio::test]
async fn bad_service_keys_are_refused_with_every_problem() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    for (body, problems) in [
        (json!({}), &["name: required", "scopes: required"][..]),
        (json!({ "name": "a", "scopes": null }), &["scopes: required"]),
        (json!({ "name": "a", "scopes": [] }), &["scopes: required"]),
        (json!({ "name": "a", "scopes": ["everything"] }), &["scopes: invalid_value"]),
        (json!({ "name": "a", "scopes": "introspect" }), &["scopes: wrong_type"]),
        (
            json!({ "name": 7, "scopes": ["introspect"], "expiresIn": 0 }),
            &["expiresIn: invalid_value", "name: wrong_type"],
        ),
        (json!({ "name": "a", "scopes": ["introspect"], "expiresIn": "1h" }), &["expiresIn: wrong_type"]),
        (json!({ "name": "a", "scopes": ["introspect"], "expiresIn": 1.5 }), &["expiresIn: invalid_value"]),
        (
            json!({ "name": "a", "scopes": ["introspect"], "expiresIn": u64::MAX }),
            &["expiresIn: invalid_value"],
        ),
        (json!({ "name": "a".repeat(101), "scopes": ["introspect"] }), &["name: invalid_value"]),
    ] {
        let answer = boss.post("/api/v1/admin/service-keys", body.clone()).await;
        let expected: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!((answer.status, answer.problems()), (422, expected), "{body}");
    }
    assert_eq!(boss.get("/api/v1/admin/service-keys").await.json["serviceKeys"], json!([]));
    assert_eq!(boss.delete("/api/v1/admin/service-keys/7").await.status, 404);
}

#[tokio::test]
async fn signing_keys_are_rotated_with_overlap_or_without() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let first = boss.get("/api/v1/admin/keys").await.json["keys"][0]["kid"].clone();
    server.advance(Duration::from_secs(1));
    let rotated = boss.post_nothing("/api/v1/admin/keys/rotate").await;
    assert_eq!((rotated.status, &rotated.json["formerDropped"]), (200, &json!(false)), "{}", rotated.text);
    let listed = boss.get("/api/v1/admin/keys").await;
    assert_eq!(listed.status, 200, "a token of the former key is taken");
    let states: Vec<_> =
        listed.json["keys"].as_array().unwrap().iter().map(|key| key["state"].clone()).collect();
    assert_eq!(states, ["signing", "retired"]);
    assert_eq!(listed.json["keys"][0]["kid"], rotated.json["kid"]);
    assert_ne!(first, rotated.json["kid"]);
    assert!(!listed.text.contains("sealed") && !listed.text.contains("\"d\""));
    assert_eq!(boss.refresh().await.status, 200);
    let dropped = boss.post("/api/v1/admin/keys/rotate", json!({ "dropFormer": true })).await;
    assert_eq!(dropped.status, 200);
    assert_eq!(boss.get("/api/v1/me").await.status, 401, "its token was signed by a key that is gone");
    assert_eq!(boss.refresh().await.status, 200);
    let me = boss.get("/api/v1/me").await.json["user"]["id"].clone();
    for kind in ["signing_key_created", "signing_key_removed"] {
        assert_eq!(event(&mut boss, kind).await["detail"]["by"], me);
    }
    let wrong = boss.post("/api/v1/admin/keys/rotate", json!({ "dropFormer": "yes" })).await;
    assert_eq!(wrong.problems(), ["dropFormer: wrong_type"], "and nothing is rotated by mistake");
}

#[tokio::test]
async fn keys_are_changed_only_with_a_fresh_proof_of_identity() {
    let server = TestApp::start().await;
    let mut boss = server.boss().await;
    let (key, _) = server.service_key("billing", &[Scope::Introspect], None).await;
    server.advance(Duration::from_secs(14 * 60));
    let body = json!({ "name": "shop", "scopes": ["introspect"] });
    let path = format!("/api/v1/admin/service-keys/{}", key.id);
    for answer in [
        boss.post("/api/v1/admin/service-keys", body.clone()).await,
        boss.delete(&path).await,
        boss.post_nothing("/api/v1/admin/keys/rotate").await,
        boss.get("/api/v1/admin/audit/export").await,
    ] {
        assert_eq!((answer.status, answer.code()), (403, "reauthentication_required"));
    }
    assert_eq!(boss.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await.status, 200);
    assert_eq!(boss.post("/api/v1/admin/service-keys", body).await.status, 201);
}

#[tokio::test]
async fn settings_are_shown_without_secrets() {
    let server = TestApp::start_with(|config| {
        config.keys.previous_secret_keys =
            vec![hallpass::config::Secret::new("Zk3vQ9mT1rYb7Wc5Xe2Hn8Jd4Lf6Pg0As+Ut/Oi3KqM=")];
    })
    .await;
    let mut boss = server.boss().await;
    let answer = boss.get("/api/v1/admin/settings").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json["settings"]["sessions"]["access_ttl"], "15m");
    assert_eq!(answer.json["settings"]["server"]["public_url"], server.app.public_url.as_str());
    assert_eq!(answer.json["settings"]["keys"]["previous_secret_keys"], json!(["(hidden)"]));
    assert!(!answer.text.contains(&server.secret_key()) && !answer.text.contains("Zk3vQ9"));
    if let Some(database) = &server.app.config.database.url {
        assert!(!answer.text.contains(database.expose()), "it may hold a password");
    }
}

#[tokio::test]
async fn settings_show_no_secrets_in_addresses() {
    let server = TestApp::start().await;
    let bearer = server.boss().await.bearer;
    // The hooks answer nobody, so nobody could sign in afterwards.
    let server = server.restart_with(|config| {
        config.hooks.secret = Some(hallpass::config::Secret::new("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"));
        config.hooks.before_register =
            Some("https://hooks.example.com/register?key=geheim&v=2&geheim".into());
        config.hooks.before_login = Some("https://hooks.example.com/login".into());
        config.forward_auth.sign_in_url = Some("https://ann:geheim@app.example.com/sign-in?x=geheim".into());
        config.login.after_link_url = Some("https://geheim@app.example.com/?a".into());
    });
    let server = server.await;
    let mut boss = server.client();
    boss.bearer = bearer;
    let answer = boss.get("/api/v1/admin/settings").await;
    assert!(!answer.text.contains("geheim"), "{}", answer.text);
    let settings = &answer.json["settings"];
    let shown = "https://hooks.example.com/register?key=(hidden)&v=(hidden)&(hidden)";
    assert_eq!(settings["hooks"]["before_register"], shown);
    assert_eq!(settings["hooks"]["before_login"], "https://hooks.example.com/login");
    assert_eq!(settings["forward_auth"]["sign_in_url"], "https://app.example.com/sign-in?x=(hidden)");
    assert_eq!(settings["login"]["after_link_url"], "https://app.example.com/?(hidden)");
    assert_eq!(settings["server"]["public_url"], server.app.public_url.as_str());
}
