//! Side by side: a ceremony serves one of many, and what a user has set up is right whoever was first.
use super::{ANN, creation, enrol, finish, present, request, sign_in};
use crate::support::{PASSWORD, SecurityKey, TestApp};
use serde_json::json;

#[tokio::test]
async fn of_fifty_parallel_ends_of_one_ceremony_exactly_one_signs_in() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let mut ann = server.signed_in(ANN).await;
    for step in [0, 1] {
        let mut key = SecurityKey::of(&server);
        key.step = step;
        enrol(&mut ann, &mut key).await;
        let begun = request(&mut server.client(), None).await;
        let proof = key.get(&begun["options"]);
        let calls = (0..50).map(|_| {
            let (mut client, begun, proof) = (server.client(), begun.clone(), proof.clone());
            tokio::spawn(async move { present(&mut client, &begun, proof).await.status })
        });
        let mut statuses = Vec::new();
        for call in calls.collect::<Vec<_>>() {
            statuses.push(call.await.unwrap());
        }
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        let listed = ann.get("/api/v1/factors/passkeys").await.json;
        assert!(!listed.to_string().contains("suspectAt"), "{listed}");
        assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 49, "{statuses:?}");
    }
}

#[tokio::test]
async fn of_fifty_parallel_ends_of_one_enrolment_exactly_one_enrols() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    let begun = creation(&mut ann).await;
    let credentials: Vec<_> = (0..50).map(|_| key.create(&begun["options"])).collect();
    let calls = credentials.into_iter().map(|credential| {
        let (mut client, begun) = (ann.clone(), begun.clone());
        tokio::spawn(async move { finish(&mut client, &begun, credential).await.status })
    });
    let mut enrolled = 0;
    for call in calls.collect::<Vec<_>>() {
        enrolled += usize::from(call.await.unwrap() == 201);
    }
    assert_eq!(enrolled, 1);
    assert_eq!(ann.get("/api/v1/factors/passkeys").await.json["passkeys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn parallel_enrolments_and_removals_leave_what_a_user_has_right() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    for round in 0..6 {
        let mut key = SecurityKey::of(&server);
        let old = enrol(&mut ann, &mut key).await;
        let path = format!("/api/v1/factors/passkeys/{}", old["id"].as_str().unwrap());
        let begun = creation(&mut ann).await;
        let made = key.create(&begun["options"]);
        let (mut adding, mut removing) = (ann.clone(), ann.clone());
        let add = tokio::spawn(async move { finish(&mut adding, &begun, made).await });
        let remove = tokio::spawn(async move { removing.delete(&path).await.status });
        let (added, removed) = (add.await.unwrap(), remove.await.unwrap());
        assert_eq!((added.status, removed), (201, 200));
        let factors = ann.get("/api/v1/me").await.json["user"]["factors"].clone();
        assert_eq!(factors, json!(["password", "passkey", "recovery_code"]), "round {round}");
        let path = format!("/api/v1/factors/passkeys/{}", added.json["passkey"]["id"].as_str().unwrap());
        let removals = (0..4).map(|_| {
            let (mut client, path) = (ann.clone(), path.clone());
            tokio::spawn(async move { client.delete(&path).await.status })
        });
        let mut statuses = Vec::new();
        for removal in removals.collect::<Vec<_>>() {
            statuses.push(removal.await.unwrap());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 404, 404, 404]);
        assert_eq!(ann.get("/api/v1/me").await.json["user"]["factors"], json!(["password"]));
    }
}

#[tokio::test]
async fn twenty_is_the_most_also_side_by_side() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    for _ in 0..17 {
        enrol(&mut ann, &mut key).await;
    }
    let mut calls = Vec::new();
    for _ in 0..8 {
        let begun = creation(&mut ann).await;
        let made = key.create(&begun["options"]);
        let mut client = ann.clone();
        calls.push(tokio::spawn(async move { finish(&mut client, &begun, made).await.status }));
    }
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 201, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn a_session_that_was_ended_enrols_nothing_any_more() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut owner = server.sign_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    let begun = creation(&mut ann).await;
    let made = key.create(&begun["options"]);
    let change = json!({ "currentPassword": PASSWORD, "newPassword": crate::support::OTHER_PASSWORD });
    let enrolling = tokio::spawn(async move { finish(&mut ann, &begun, made).await });
    let changed = owner.post("/api/v1/password/change", change).await;
    let answer = enrolling.await.unwrap();
    // Who was first: with a passkey set up the password alone changes nothing.
    let expected = if answer.status == 201 { (403, "reauthentication_required") } else { (200, "") };
    assert_eq!((changed.status, changed.code()), expected, "{}", changed.text);
    let listed = owner.get("/api/v1/factors/passkeys").await.json["passkeys"].as_array().unwrap().len();
    match answer.status {
        201 => assert_eq!((listed, sign_in(&server, &mut key).await.status), (1, 200)),
        _ => assert_eq!((answer.code(), listed), ("session_revoked", 0)),
    }
}
