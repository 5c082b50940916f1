//! Passkeys: enrolment and removal in a session, and signing in by one alone.
mod abuse;
mod browser;
mod bytes;
mod decoys;
mod parallel;
mod planted;
mod second;

use crate::support::{Answer, Client, PASSWORD, SecurityKey, TestApp};
use hallpass::db::Statements;
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
/// An app on Android, as clients there name it.
const ANDROID: &str = "android:apk-key-hash:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

/// Begins an enrolment.
async fn creation(client: &mut Client) -> Value {
    let answer = client.post_nothing("/api/v1/factors/passkeys/options").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

/// Ends an enrolment.
async fn finish(client: &mut Client, begun: &Value, credential: Value) -> Answer {
    let body = json!({ "ceremony": begun["ceremony"], "credential": credential, "name": "Blue key" });
    client.post("/api/v1/factors/passkeys", body).await
}

/// Enrols a passkey and returns its view.
pub(crate) async fn enrol(client: &mut Client, key: &mut SecurityKey) -> Value {
    let begun = creation(client).await;
    let credential = key.create(&begun["options"]);
    let answer = finish(client, &begun, credential).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    client.keep_tokens(&answer);
    answer.json["passkey"].clone()
}

/// Begins a sign-in by passkey.
async fn request(client: &mut Client, identifier: Option<&str>) -> Value {
    let answer = client.post("/api/v1/login/passkey/options", json!({ "identifier": identifier })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

/// Ends a sign-in by passkey.
async fn present(client: &mut Client, begun: &Value, credential: Value) -> Answer {
    let body = json!({ "ceremony": begun["ceremony"], "credential": credential, "tokenDelivery": "body" });
    client.post("/api/v1/login/passkey", body).await
}

/// Signs in by passkey alone.
pub(crate) async fn sign_in(server: &TestApp, key: &mut SecurityKey) -> Answer {
    let mut client = server.client();
    let begun = request(&mut client, None).await;
    let credential = key.get(&begun["options"]);
    present(&mut client, &begun, credential).await
}

/// Kind and reason of a user's latest event; reasons are in the own log, never in an answer.
async fn latest_event(client: &mut Client) -> (String, Value) {
    let answer = client.get("/api/v1/events").await;
    let event = &answer.json["events"][0];
    (event["kind"].as_str().unwrap().to_owned(), event["detail"].clone())
}

/// Reasons of all refusals in the audit log, oldest first.
async fn refusals(server: &TestApp) -> Vec<String> {
    let sql = "select detail from audit_events where kind = 'passkey_refused' order by id";
    let rows = (&server.app.db).query(sql, &[]).await.unwrap();
    let detail = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    rows.into_iter()
        .map(|mut row| detail(row.text().unwrap())["reason"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_passkey_is_enrolled_and_signs_in_alone_as_two_factors() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    let begun = creation(&mut ann).await;
    let options = &begun["options"];
    assert_eq!(options["rp"]["id"], "localhost");
    assert_eq!(options["user"]["name"], ANN);
    let handle =
        data_encoding::BASE64URL_NOPAD.decode(options["user"]["id"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(handle.len(), 16);
    assert_eq!(creation(&mut ann).await["options"]["user"]["id"], options["user"]["id"], "stable");
    assert_eq!(options["challenge"].as_str().unwrap().len(), 43, "32 bytes");
    assert_eq!(options["attestation"], "none");
    assert_eq!(options["timeout"], 300_000);
    assert_eq!(options["authenticatorSelection"]["residentKey"], "preferred");
    assert_eq!(options["authenticatorSelection"]["userVerification"], "preferred");
    assert_eq!(options["excludeCredentials"], json!([]));
    let credential = key.create(options);
    let answer = finish(&mut ann, &begun, credential).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let passkey = &answer.json["passkey"];
    assert_eq!(passkey["name"], "Blue key");
    assert_eq!(passkey["transports"], json!(["nfc", "usb"]));
    assert_eq!((&passkey["userVerified"], &passkey["backupEligible"]), (&json!(true), &json!(false)));
    assert_eq!(passkey["lastUsedAt"], Value::Null);
    assert_eq!(server.latest_mail(ANN).await["subject"], "A passkey was added to your account at Hallpass");
    assert_eq!(latest_event(&mut ann).await.0, "passkey_added");
    assert_eq!(
        ann.get("/api/v1/me").await.json["user"]["factors"],
        json!(["password", "passkey", "recovery_code"])
    );

    server.advance(Duration::from_secs(60));
    let answer = sign_in(&server, &mut key).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json["user"]["email"], ANN);
    assert_eq!(answer.json["session"]["amr"], json!(["hwk", "user", "mfa"]));
    let mut client = server.client();
    client.keep_tokens(&answer);
    let me = client.get("/api/v1/me").await;
    assert_eq!(me.status, 200);
    assert_eq!(me.json["user"]["lastLoginAt"], answer.json["session"]["createdAt"]);
    let listed = client.get("/api/v1/factors/passkeys").await.json;
    assert_eq!(listed["passkeys"][0]["lastUsedAt"], answer.json["session"]["createdAt"]);
    assert_eq!(creation(&mut client).await["options"]["excludeCredentials"][0]["id"], key.ids()[0]);
}

#[tokio::test]
async fn a_passkey_of_a_password_manager_says_so_and_may_have_no_counter() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    (key.backup, key.step, key.id_length) = ((true, false), 0, 16);
    let passkey = enrol(&mut ann, &mut key).await;
    assert_eq!((&passkey["backupEligible"], &passkey["backedUp"]), (&json!(true), &json!(false)));
    key.backup.1 = true;
    for _ in 0..2 {
        let answer = sign_in(&server, &mut key).await;
        assert_eq!(answer.json["session"]["amr"], json!(["swk", "user", "mfa"]), "{}", answer.text);
    }
    let listed = ann.get("/api/v1/factors/passkeys").await.json;
    assert_eq!(listed["passkeys"][0]["backedUp"], true);
}

#[tokio::test]
async fn a_key_that_forgets_its_user_signs_in_when_the_person_says_who_it_is() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    key.tells_user = false;
    assert_eq!(sign_in(&server, &mut key).await.code(), "invalid_credentials");
    let mut client = server.client();
    let begun = request(&mut client, Some(" Ann@Example.com ")).await;
    let credential = key.get(&begun["options"]);
    assert_eq!(present(&mut client, &begun, credential).await.status, 200);
    assert_eq!(refusals(&server).await, ["no_user_handle"]);
}

#[tokio::test]
async fn passkeys_have_names_and_go_when_they_are_removed() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let (mut one, mut other) = (SecurityKey::of(&server), SecurityKey::of(&server));
    let first = enrol(&mut ann, &mut one).await;
    enrol(&mut ann, &mut other).await;
    let path = format!("/api/v1/factors/passkeys/{}", first["id"].as_str().unwrap());
    let renamed = ann.patch(&path, json!({ "name": "  Green key " })).await;
    assert_eq!(renamed.json["passkey"]["name"], "Green key", "{}", renamed.text);
    assert_eq!(latest_event(&mut ann).await.0, "passkey_renamed");
    assert_eq!(ann.patch(&path, json!({ "name": "x".repeat(65) })).await.problems(), ["name: too_long"]);

    let mut bob = server.signed_in(BOB).await;
    assert_eq!(bob.patch(&path, json!({ "name": "mine" })).await.code(), "not_found");
    assert_eq!(bob.delete(&path).await.code(), "not_found");

    assert_eq!(ann.delete(&path).await.status, 200);
    assert_eq!(ann.delete(&path).await.code(), "not_found");
    let mail = server.latest_mail(ANN).await;
    assert_eq!(mail["subject"], "A passkey was removed from your account at Hallpass");
    assert!(mail["text"].as_str().unwrap().contains("Green key"), "{mail}");
    assert_eq!(sign_in(&server, &mut one).await.code(), "invalid_credentials");
    assert_eq!(sign_in(&server, &mut other).await.status, 200);
    assert_eq!(
        ann.get("/api/v1/me").await.json["user"]["factors"],
        json!(["password", "passkey", "recovery_code"])
    );
    let left = ann.get("/api/v1/factors/passkeys").await.json["passkeys"].clone();
    let path = format!("/api/v1/factors/passkeys/{}", left[0]["id"].as_str().unwrap());
    assert_eq!(ann.delete(&path).await.status, 200);
    assert_eq!(ann.get("/api/v1/me").await.json["user"]["factors"], json!(["password"]));
}

#[tokio::test]
async fn changes_need_a_fresh_proof_of_identity() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    let passkey = enrol(&mut ann, &mut key).await;
    let path = format!("/api/v1/factors/passkeys/{}", passkey["id"].as_str().unwrap());
    server.advance(Duration::from_secs(8 * 60));
    let begun = creation(&mut ann).await;
    let credential = key.create(&begun["options"]);
    server.advance(Duration::from_secs(2 * 60));
    let answers = [
        ann.post_nothing("/api/v1/factors/passkeys/options").await,
        finish(&mut ann, &begun, credential.clone()).await,
        ann.patch(&path, json!({ "name": "x" })).await,
        ann.delete(&path).await,
    ];
    for answer in answers {
        assert_eq!(answer.code(), "reauthentication_required");
    }
    let again = ann.post_nothing("/api/v1/reauthenticate/passkey/options").await.json;
    let body = json!({ "ceremony": again["ceremony"], "passkey": key.answer(0, &again["options"]) });
    let proof = ann.post("/api/v1/reauthenticate", body).await;
    ann.keep_tokens(&proof);
    assert_eq!(finish(&mut ann, &begun, credential).await.status, 201);
}

#[tokio::test]
async fn nobody_enrols_before_the_mailbox_is_proven() {
    let server = TestApp::start_with(|config| {
        config.registration.mode = hallpass::config::RegistrationMode::Immediate;
    })
    .await;
    let mut planter = server.client();
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" });
    let answer = planter.post("/api/v1/register", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    planter.keep_tokens(&answer);
    let answer = planter.post_nothing("/api/v1/factors/passkeys/options").await;
    assert_eq!((answer.status, answer.code()), (403, "email_not_verified"));
}

#[tokio::test]
async fn a_user_has_at_most_twenty_passkeys() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    for _ in 0..19 {
        enrol(&mut ann, &mut key).await;
    }
    let (one, other) = (creation(&mut ann).await, creation(&mut ann).await);
    let credential = key.create(&one["options"]);
    assert_eq!(finish(&mut ann, &one, credential).await.status, 201);
    let credential = key.create(&other["options"]);
    let answer = finish(&mut ann, &other, credential).await;
    assert_eq!((answer.status, answer.code()), (409, "passkey_limit_reached"));
    assert_eq!(ann.post_nothing("/api/v1/factors/passkeys/options").await.code(), "passkey_limit_reached");
}

#[tokio::test]
async fn the_export_has_the_passkeys_and_deletion_takes_them() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let export = ann.get("/api/v1/me/export").await.json;
    assert_eq!(export["passkeys"][0]["name"], "Blue key", "{export}");
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    assert_eq!(sign_in(&server, &mut key).await.code(), "invalid_credentials");
    assert_eq!(refusals(&server).await, ["unknown_credential"]);
}

#[tokio::test]
async fn a_parent_domain_serves_several_origins() {
    let server = TestApp::start_with(|config| {
        config.server.public_url = Some("https://auth.example.com".into());
        config.passkeys.rp_id = Some("example.com".into());
        config.passkeys.origins = vec!["https://app.example.com".into(), ANDROID.into()];
    })
    .await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    for own in ["https://app.example.com", ANDROID] {
        key.origin = own.into();
        assert_eq!(sign_in(&server, &mut key).await.status, 200, "{own}");
    }
    let other_app = ANDROID.replace('u', "v");
    for foreign in [
        "https://example.com",
        "https://app.example.com:444",
        "http://app.example.com",
        "https://x.app.example.com",
        &other_app,
    ] {
        key.origin = foreign.into();
        assert_eq!(sign_in(&server, &mut key).await.code(), "invalid_credentials", "{foreign}");
    }
    assert_eq!(refusals(&server).await, ["origin"; 5]);
}

#[test]
fn settings_that_no_browser_would_take_stop_the_start() {
    let wrong = |public: &str, id: Option<&str>, origin: Option<&str>| {
        let mut config = hallpass::config::Config::default();
        config.server.public_url = Some(public.into());
        config.passkeys.rp_id = id.map(str::to_owned);
        config.passkeys.origins = origin.into_iter().map(str::to_owned).collect();
        config.validate().err().into_iter().flatten().map(|error| error.path).collect::<Vec<_>>()
    };
    let auth = "https://auth.example.com";
    assert!(wrong(auth, None, None).is_empty());
    assert!(wrong(auth, Some("example.com"), Some("https://app.example.com")).is_empty());
    assert!(wrong("http://localhost:3000", None, Some("http://localhost:5173")).is_empty());
    for id in [
        "com",
        "Example.com",
        "other.com",
        "ample.com",
        "auth.example.com.",
        "",
        "https://example.com",
        "192.0.2.1",
    ] {
        assert_eq!(wrong(auth, Some(id), None), ["passkeys.rp_id"], "{id}");
    }
    for origin in [
        "https://app.example.com",
        "https://auth.example.com/",
        "http://auth.example.com",
        "auth.example.com",
        "android:apk-key-hash:short",
    ] {
        assert_eq!(wrong(auth, None, Some(origin)), ["passkeys.origins"], "{origin}");
    }
}

#[tokio::test]
async fn used_ceremonies_are_forgotten_after_a_while() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    sign_in(&server, &mut key).await;
    let count = async || {
        let mut rows = (&server.app.db).query("select count(*) from passkey_ceremonies", &[]).await.unwrap();
        rows[0].int().unwrap()
    };
    assert_eq!(count().await, 2);
    server.advance(Duration::from_secs(8 * 86_400));
    hallpass::housekeeping::purge_once(&server.app).await.unwrap();
    assert_eq!(count().await, 0);
}
