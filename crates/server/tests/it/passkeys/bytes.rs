//! What authenticators answer, cut and turned byte by byte: refused or taken, never a failure of the server.
use super::{ANN, creation, enrol, finish, present, request};
use crate::support::{SecurityKey, TestApp};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

/// Every cut of some bytes, and every byte turned around.
fn spoilt(text: &Value) -> Vec<Value> {
    let bytes = BASE64URL_NOPAD.decode(text.as_str().unwrap().as_bytes()).unwrap();
    let cut = (0..bytes.len()).map(|end| bytes[..end].to_vec());
    let turned = (0..bytes.len()).flat_map(|at| {
        [0x01, 0x20, 0x80, 0xff].map(|mask| {
            let mut changed = bytes.clone();
            changed[at] ^= mask;
            changed
        })
    });
    cut.chain(turned).map(|bytes| BASE64URL_NOPAD.encode(&bytes).into()).collect()
}

#[tokio::test]
async fn no_spoilt_enrolment_makes_the_server_fail() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let mut begun = creation(&mut ann).await;
    let mut right = key.create(&begun["options"]);
    for place in 0..spoilt(&right["response"]["attestationObject"]).len() {
        let mut wrong = right.clone();
        wrong["response"]["attestationObject"] =
            spoilt(&right["response"]["attestationObject"])[place].clone();
        let answer = finish(&mut ann, &begun, wrong).await;
        // Bytes that say nothing here, such as the make of the authenticator, may be any.
        if answer.status == 201 {
            let path = format!("/api/v1/factors/passkeys/{}", answer.json["passkey"]["id"].as_str().unwrap());
            assert_eq!(ann.delete(&path).await.status, 200);
            begun = creation(&mut ann).await;
            right = key.create(&begun["options"]);
        } else {
            assert_eq!((answer.status, answer.code()), (400, "invalid_passkey"), "{place}");
        }
    }
}

#[tokio::test]
async fn no_spoilt_proof_signs_in_or_makes_the_server_fail() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let mut client = server.client();
    let begun = request(&mut client, None).await;
    let right = key.get(&begun["options"]);
    for part in ["authenticatorData", "signature", "userHandle"] {
        for (place, spoilt) in spoilt(&right["response"][part]).into_iter().enumerate() {
            let mut wrong = right.clone();
            wrong["response"][part] = spoilt;
            let answer = present(&mut client, &begun, wrong).await;
            assert_eq!((answer.status, answer.code()), (401, "invalid_credentials"), "{part} {place}");
        }
    }
    for place in (0..begun["ceremony"].as_str().unwrap().len()).step_by(7) {
        let mut cut = begun.clone();
        cut["ceremony"] = begun["ceremony"].as_str().unwrap()[..place].into();
        assert!([401, 422].contains(&present(&mut client, &cut, right.clone()).await.status), "{place}");
    }
    assert_eq!(present(&mut client, &begun, right).await.status, 200);
}
