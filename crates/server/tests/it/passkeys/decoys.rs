//! Nobody learns who has an account or a passkey.
use super::{ANN, BOB, enrol, present, request};
use crate::support::{Answer, SecurityKey, TestApp};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The answer without what is random in every one.
fn shape(answer: &Answer) -> Value {
    let mut json = answer.json.clone();
    json["ceremony"] = json!(json["ceremony"].as_str().unwrap().len());
    json["options"]["challenge"] = json!(json["options"]["challenge"].as_str().unwrap().len());
    let ids = json["options"]["allowCredentials"].as_array_mut().unwrap();
    for id in ids {
        let bytes = BASE64URL_NOPAD.decode(id["id"].as_str().unwrap().as_bytes()).unwrap();
        assert!([16, 20, 32, 48, 64].contains(&bytes.len()));
        id["id"] = json!("");
    }
    json
}

fn ids(begun: &Value) -> BTreeSet<String> {
    let list = begun["options"]["allowCredentials"].as_array().unwrap();
    list.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn asking_for_the_passkeys_of_an_identifier_tells_nothing() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    server.sign_up(BOB).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let mut all = Vec::new();
    for identifier in [ANN, BOB, "nobody@example.com", "nobody", "not an address@", "ann"] {
        let before = server.app.db.statements();
        let answer =
            server.client().post("/api/v1/login/passkey/options", json!({ "identifier": identifier })).await;
        let statements = server.app.db.statements() - before;
        let headers: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        all.push((answer.status, shape(&answer), headers, statements));
    }
    assert_eq!(all[0].0, 200);
    for one in &all {
        assert_eq!(one, &all[0]);
    }
}

#[tokio::test]
async fn ids_that_do_not_exist_stay_the_same_and_are_told_from_real_ones_by_nobody() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut client = server.client();
    let nobody = ids(&request(&mut client, Some("nobody@example.com")).await);
    assert_eq!(nobody.len(), 5);
    assert_eq!(nobody, ids(&request(&mut client, Some(" Nobody@Example.com")).await));
    assert_ne!(nobody, ids(&request(&mut client, Some("somebody@example.com")).await));
    let before = ids(&request(&mut client, Some(ANN)).await);
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let after = ids(&request(&mut client, Some(ANN)).await);
    assert_eq!(after.len(), 5);
    assert!(after.contains(&key.ids()[0]) && before.intersection(&after).count() == 4);
    for _ in 0..7 {
        enrol(&mut ann, &mut key).await;
    }
    let many = ids(&request(&mut client, Some(ANN)).await);
    assert!(many.len() == 5 && many.iter().all(|id| key.ids().contains(id)));
    // Another node, another start: the same.
    let node = server.second_node().await;
    assert_eq!(nobody, ids(&request(&mut node.client(), Some("nobody@example.com")).await));
}

#[tokio::test]
async fn a_forged_answer_for_a_real_or_a_made_up_id_costs_and_says_the_same() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let mut client = server.client();
    let mut seen = Vec::new();
    for identifier in [ANN, "nobody@example.com"] {
        let begun = request(&mut client, Some(identifier)).await;
        for id in ids(&begun) {
            let mut liar = key.cloned();
            liar.origin = "https://evil.example".into();
            liar.set_id(0, &id);
            let before = server.app.db.statements();
            let forged = liar.answer(0, &begun["options"]);
            let answer = present(&mut client, &begun, forged).await;
            seen.push((answer.status, answer.json["detail"].clone(), server.app.db.statements() - before));
        }
    }
    assert!(seen.len() == 10 && seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
}
