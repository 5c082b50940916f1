//! A passkey that an intruder enrolled is no way in any more once the owner has said who it was.
use super::{ANN, enrol, present, request, sign_in};
use crate::support::{Client, PASSWORD, SecurityKey, TestApp};
use hallpass::db::Statements;
use serde_json::{Value, json};
use std::time::Duration;

/// Ann with a passkey of her own, and somebody on another device who knew her password and has enrolled one too.
async fn intruded(server: &TestApp) -> (SecurityKey, SecurityKey, Client) {
    let mut ann = server.signed_in(ANN).await;
    let (mut own, mut planted) = (SecurityKey::of(server), SecurityKey::of(server));
    enrol(&mut ann, &mut own).await;
    server.advance(Duration::from_secs(3600));
    let mut intruder = server.client().at("203.0.113.9").with_agent("Elsewhere/1");
    let wanted = intruder.post("/api/v1/login", json!({ "email": ANN, "password": PASSWORD })).await;
    // How the second step was passed does not matter here; that it was is the worst case.
    let begun =
        intruder.post("/api/v1/verify/passkey/options", json!({ "attempt": wanted.json["attempt"] })).await;
    let passkey = own.get(&begun.json["options"]);
    let body = json!({ "ceremony": begun.json["ceremony"], "passkey": passkey });
    let done = intruder.post("/api/v1/verify", body).await;
    assert_eq!(done.status, 200, "{}", done.text);
    intruder.keep_tokens(&done);
    server.advance(Duration::from_secs(60));
    enrol(&mut intruder, &mut planted).await;
    assert_eq!(sign_in(server, &mut planted).await.status, 200);
    (own, planted, intruder)
}

#[tokio::test]
async fn disowning_the_sign_in_ends_the_planted_passkey_as_a_way_in_and_leaves_the_owners() {
    let server = TestApp::start().await;
    let (mut own, mut planted, _) = intruded(&server).await;
    let link = server.mailed_token(ANN, "/not-me").await;
    // The newest such mail tells of the sign-in by the planted passkey; the one before of the intruder's first.
    let mails = server.mails_to(ANN).await;
    let links = mails.iter().flat_map(|mail| mail["links"].as_array().unwrap().clone());
    let links: Vec<String> = links.filter_map(|link| link.as_str().map(str::to_owned)).collect();
    let mut told: Vec<&str> = links.iter().filter_map(|link| link.split("/not-me?token=").nth(1)).collect();
    told.dedup();
    assert!(told.len() >= 2 && told[0] == link, "{links:?}");
    let first = told.last().unwrap();
    let pressed = server.client().post("/api/v1/not-me", json!({ "token": first })).await;
    assert_eq!(pressed.status, 200, "{}", pressed.text);
    let refused = sign_in(&server, &mut planted).await;
    assert_eq!((refused.status, refused.code()), (401, "invalid_credentials"), "{}", refused.text);
    assert_eq!(sign_in(&server, &mut own).await.status, 200, "hers is older than the sign-in");
}

#[tokio::test]
async fn taking_an_address_back_ends_what_was_planted_since_too() {
    let server = TestApp::start().await;
    let (mut own, mut planted, mut intruder) = intruded(&server).await;
    server.advance(Duration::from_secs(2 * 86_400));
    let _ = intruder.post_nothing("/api/v1/refresh").await;
    let session = sign_in(&server, &mut planted).await;
    intruder.keep_tokens(&session);
    // What is enrolled right before the address is changed counts as planted as well.
    let mut another = SecurityKey::of(&server);
    enrol(&mut intruder, &mut another).await;
    server.advance(Duration::from_secs(300));
    let changed = intruder.post("/api/v1/email/change", json!({ "email": "thief@example.com" })).await;
    assert_eq!(changed.status, 202, "{}", changed.text);
    let undo = server.mailed_token(ANN, "/email/undo").await;
    let undone = server.client().post("/api/v1/email/undo", json!({ "token": undo })).await;
    assert_eq!(undone.status, 200, "{}", undone.text);
    assert_eq!(sign_in(&server, &mut another).await.code(), "invalid_credentials");
    let mine = sign_in(&server, &mut own).await;
    assert_eq!(mine.status, 200, "{}", mine.text);
    let mut ann = server.client();
    ann.keep_tokens(&mine);
    let listed = ann.get("/api/v1/factors/passkeys").await;
    let suspect = |passkey: &Value| passkey["suspectAt"].is_string();
    let marks: Vec<bool> = listed.json["passkeys"].as_array().unwrap().iter().map(suspect).collect();
    assert_eq!(marks, [false, false, true], "only what came within a day of the change");
}

#[tokio::test]
async fn a_sign_in_that_waits_for_the_database_meanwhile_opens_nothing() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    let id = enrol(&mut ann, &mut key).await["id"].as_str().unwrap().to_owned();
    let mut client = server.client();
    let begun = request(&mut client, None).await;
    let credential = key.get(&begun["options"]);
    let mut tx = server.app.db.begin().await.unwrap();
    let sql = "update passkeys set suspect_at = $1 where id = $2";
    assert_eq!(tx.execute(sql, &[server.app.now().into(), (&id).into()]).await.unwrap(), 1);
    let waiting = tokio::spawn(async move { present(&mut client, &begun, credential).await });
    // Others get their answers meanwhile: then the call has looked at the passkey. If not, it comes too late anyway.
    for _ in 0..50 {
        server.client().get("/api/v1/settings").await;
        tokio::task::yield_now().await;
    }
    tx.commit().await.unwrap();
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.code()), (401, "invalid_credentials"), "{}", answer.text);
    assert_eq!(super::refusals(&server).await, ["suspect"]);
}
