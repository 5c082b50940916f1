//! What must not pass: every one is refused alike, and the audit log says why.
use super::{ANN, BOB, creation, enrol, finish, latest_event, present, refusals, request, sign_in};
use crate::support::{SecurityKey, TestApp};
use hallpass::ids::RowId;
use hallpass::passkeys::{Bound, Whom, accept, begin_assertion, check_assertion};
use hallpass::web::Client as Caller;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

type Lie = fn(&mut SecurityKey);

/// Ways to lie, and what the audit log calls them.
const LIES: [(&str, Lie); 12] = [
    ("origin", |key| key.origin = "https://evil.example".into()),
    ("origin", |key| key.origin = "http://localhost:3001".into()),
    ("origin", |key| key.origin = "https://localhost:3000".into()),
    ("rp_id", |key| key.rp_id = Some("evil.example".into())),
    ("challenge", |key| key.challenge = Some("A".repeat(43))),
    ("type", |key| key.kind = Some("payment.get")),
    ("user_not_present", |key| key.present = false),
    ("backup_flags", |key| key.backup = (false, true)),
    ("cross_origin", |key| key.place = json!({ "crossOrigin": true })),
    ("malformed", |key| key.place = json!({ "challenge": 7 })),
    ("malformed", |key| key.place = json!({ "origin": [] })),
    ("malformed", |key| key.challenge = Some("\u{0}".into())),
];

#[tokio::test]
async fn no_lie_enrols_a_passkey() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    for (reason, lie) in LIES {
        let mut key = SecurityKey::of(&server);
        lie(&mut key);
        let begun = creation(&mut ann).await;
        let credential = key.create(&begun["options"]);
        let answer = finish(&mut ann, &begun, credential).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_passkey"), "{reason}");
        let (kind, detail) = latest_event(&mut ann).await;
        assert_eq!((kind.as_str(), &detail["reason"]), ("passkey_refused", &json!(reason)));
    }
    assert_eq!(ann.get("/api/v1/factors/passkeys").await.json["passkeys"], json!([]));
}

#[tokio::test]
async fn no_lie_signs_in() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let mut ann = server.signed_in(ANN).await;
    let mut true_key = SecurityKey::of(&server);
    enrol(&mut ann, &mut true_key).await;
    let more: [(&str, Lie); 6] = [
        ("user_not_verified", |key| key.verifies = false),
        ("backup_flags", |key| key.backup = (true, true)),
        ("user_handle", |key| key.set_user(0, &[7; 16])),
        ("user_handle", |key| key.set_user(0, b"")),
        ("unknown_credential", |key| key.set_id(0, &"A".repeat(43))),
        ("cross_origin", |key| key.place = json!({ "topOrigin": "https://evil.example" })),
    ];
    let mut expected = Vec::new();
    let mut answers = Vec::new();
    for (reason, lie) in LIES.into_iter().chain(more) {
        let mut key = true_key.cloned();
        lie(&mut key);
        answers.push(sign_in(&server, &mut key).await);
        expected.push(reason);
    }
    assert_eq!(refusals(&server).await, expected);
    let told: Vec<Value> = answers
        .iter()
        .map(|answer| json!([answer.status, answer.json["code"], answer.json["detail"]]))
        .collect();
    assert!(told.iter().all(|one| *one == told[0]) && told[0][0] == 401, "{told:#?}");
    assert_eq!(sign_in(&server, &mut true_key).await.status, 200);
}

#[tokio::test]
async fn a_changed_signature_or_data_signs_in_nobody() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let mut ann = server.signed_in(ANN).await;
    let (mut key, mut stranger) = (SecurityKey::of(&server), SecurityKey::of(&server));
    enrol(&mut ann, &mut key).await;
    let mut client = server.client();
    let begun = request(&mut client, None).await;
    let right = key.get(&begun["options"]);
    // The stranger's own key under the name of Ann's, for Ann.
    stranger.create(&creation(&mut ann).await["options"]);
    stranger.set_id(0, &key.ids()[0]);
    let forged = stranger.answer(0, &begun["options"]);
    assert_eq!(present(&mut client, &begun, forged).await.code(), "invalid_credentials");
    for part in ["signature", "authenticatorData", "clientDataJSON"] {
        let mut changed = right.clone();
        let text = changed["response"][part].as_str().unwrap();
        // The last whole byte: a counter, a brace, the end of a number.
        let flipped = if text.ends_with('A') { "B" } else { "A" };
        changed["response"][part] = format!("{}{flipped}", &text[..text.len() - 1]).into();
        assert_eq!(present(&mut client, &begun, changed).await.code(), "invalid_credentials", "{part}");
    }
    for odd in
        [json!({}), json!({ "id": "x" }), json!({ "id": 7, "rawId": [], "response": null, "type": "x" })]
    {
        assert_eq!(present(&mut client, &begun, odd).await.code(), "invalid_credentials");
    }
    assert_eq!(refusals(&server).await[0], "signature");
    assert_eq!(present(&mut client, &begun, right).await.status, 200, "no refusal used the ceremony up");
}

#[tokio::test]
async fn a_proof_serves_once() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    let begun = creation(&mut ann).await;
    let credential = key.create(&begun["options"]);
    assert_eq!(finish(&mut ann, &begun, credential.clone()).await.status, 201);
    assert_eq!(finish(&mut ann, &begun, credential).await.code(), "invalid_passkey");
    // Another credential for the same challenge.
    let credential = key.create(&begun["options"]);
    assert_eq!(finish(&mut ann, &begun, credential).await.code(), "invalid_passkey");

    let mut client = server.client();
    let begun = request(&mut client, None).await;
    let proof = key.answer(0, &begun["options"]);
    assert_eq!(present(&mut client, &begun, proof.clone()).await.status, 200);
    assert_eq!(present(&mut client, &begun, proof.clone()).await.code(), "invalid_credentials");
    let listed = ann.get("/api/v1/factors/passkeys").await.json["passkeys"][0].clone();
    assert_eq!(listed["suspectAt"], Value::Null, "an answer sent twice is no copy of the key");
    let anew = request(&mut client, None).await;
    assert_eq!(present(&mut client, &anew, proof).await.code(), "invalid_credentials");
    let reasons = ["replayed", "replayed", "replayed", "challenge"];
    assert_eq!(refusals(&server).await, reasons);
}

#[tokio::test]
async fn a_ceremony_ends_after_five_minutes() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let (enrolling, mut client) = (creation(&mut ann).await, server.client());
    let signing = request(&mut client, None).await;
    server.advance(Duration::from_secs(299));
    let proof = key.get(&signing["options"]);
    assert_eq!(present(&mut client, &signing, proof).await.status, 200);
    let signing = request(&mut client, None).await;
    server.advance(Duration::from_secs(1));
    let credential = key.create(&enrolling["options"]);
    assert_eq!(finish(&mut ann, &enrolling, credential).await.code(), "invalid_passkey");
    server.advance(Duration::from_secs(299));
    let proof = key.answer(0, &signing["options"]);
    assert_eq!(present(&mut client, &signing, proof).await.code(), "invalid_credentials");
    assert_eq!(refusals(&server).await, ["ceremony", "ceremony"]);
}

#[tokio::test]
async fn a_ceremony_serves_nobody_else_and_nothing_else() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut other_session = server.client();
    let mut bob = server.signed_in(BOB).await;
    let (mut key, mut bobs) = (SecurityKey::of(&server), SecurityKey::of(&server));
    enrol(&mut ann, &mut key).await;
    enrol(&mut bob, &mut bobs).await;
    other_session.keep_tokens(&sign_in(&server, &mut key).await);
    let begun = creation(&mut ann).await;
    let credential = key.create(&begun["options"]);
    for thief in [&mut other_session, &mut bob] {
        assert_eq!(finish(thief, &begun, credential.clone()).await.code(), "invalid_passkey");
    }
    // What was begun for an enrolment does not sign in, and the other way round.
    let mut client = server.client();
    let proof = bobs.answer(0, &begun["options"]);
    assert_eq!(present(&mut client, &begun, proof).await.code(), "invalid_credentials");
    let signing = request(&mut client, None).await;
    let made = key.create(&json!({ "rp": begun["options"]["rp"], "user": begun["options"]["user"],
        "challenge": signing["options"]["challenge"] }));
    assert_eq!(finish(&mut ann, &signing, made).await.code(), "invalid_passkey");
    // Bob's passkey does not end what was begun for Ann.
    let for_ann = request(&mut client, Some(ANN)).await;
    let proof = bobs.answer(0, &for_ann["options"]);
    assert_eq!(present(&mut client, &for_ann, proof).await.code(), "invalid_credentials");
    assert_eq!(refusals(&server).await, ["ceremony", "ceremony", "ceremony", "ceremony", "other_user"]);
}

#[tokio::test]
async fn an_assertion_for_one_attempt_or_session_serves_no_other() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut bob = server.signed_in(BOB).await;
    let (mut key, mut bobs) = (SecurityKey::of(&server), SecurityKey::of(&server));
    enrol(&mut ann, &mut key).await;
    enrol(&mut bob, &mut bobs).await;
    let user = hallpass::users::find_login(&server.app.db, ANN).await.unwrap().unwrap().user.id;
    let caller = Caller::local();
    let session = hallpass::ids::SessionId(Uuid::from_u128(9));
    let bounds = [
        Bound::SignIn,
        Bound::Attempt(RowId(Uuid::from_u128(9))),
        Bound::Attempt(RowId(Uuid::from_u128(8))),
        Bound::Session(session),
    ];
    let app = &server.app;
    let judge = async |bound, ceremony: &str, proof: Value| {
        let checked = check_assertion(app, bound, Some(user), ceremony, proof).await.unwrap();
        let mut tx = app.db.begin().await.unwrap();
        let done = accept(app, &mut tx, &caller, checked, app.now()).await.unwrap();
        tx.commit().await.unwrap();
        done
    };
    for begun_for in bounds {
        let begun = begin_assertion(app, begun_for, Whom::User(user)).await.unwrap();
        assert_eq!(
            begun.options["userVerification"],
            if begun_for == Bound::SignIn { "required" } else { "preferred" }
        );
        assert_eq!(begun.options["allowCredentials"][0]["transports"], json!(["nfc", "usb"]));
        let proof = key.get(&begun.options);
        for other in bounds.into_iter().filter(|bound| *bound != begun_for) {
            assert!(judge(other, &begun.ceremony, proof.clone()).await.is_none(), "{begun_for:?} {other:?}");
        }
        assert!(judge(begun_for, &begun.ceremony, bobs.answer(0, &begun.options)).await.is_none());
        let asserted = judge(begun_for, &begun.ceremony, proof.clone()).await;
        let asserted = asserted.unwrap_or_else(|| panic!("{begun_for:?}"));
        assert!(asserted.user == user && asserted.user_verified && !asserted.backup_eligible);
        assert!(judge(begun_for, &begun.ceremony, proof).await.is_none(), "once");
    }
}

#[tokio::test]
async fn a_key_that_verified_nobody_at_enrolment_signs_in_alone_only_after_it_did_so_beside_a_password() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    key.verifies = false;
    assert_eq!(enrol(&mut ann, &mut key).await["userVerified"], false);
    key.verifies = true;
    assert_eq!(sign_in(&server, &mut key).await.code(), "invalid_credentials");
    assert_eq!(refusals(&server).await, ["not_enrolled_with_verification"]);
    let (app, user) =
        (&server.app, hallpass::users::find_login(&server.app.db, ANN).await.unwrap().unwrap().user.id);
    let prove = async |bound, key: &mut SecurityKey| {
        let begun = begin_assertion(app, bound, Whom::User(user)).await.unwrap();
        let checked =
            check_assertion(app, bound, Some(user), &begun.ceremony, key.get(&begun.options)).await.unwrap();
        let mut tx = app.db.begin().await.unwrap();
        let done = accept(app, &mut tx, &Caller::local(), checked, app.now()).await.unwrap();
        tx.commit().await.unwrap();
        done.unwrap()
    };
    let in_session = Bound::Session(hallpass::ids::SessionId(Uuid::from_u128(9)));
    assert!(!prove(in_session, &mut key).await.user_verified, "one factor does not vouch for itself");
    assert!(prove(Bound::Attempt(RowId(Uuid::from_u128(9))), &mut key).await.user_verified);
    assert_eq!(sign_in(&server, &mut key).await.status, 200);
}

#[tokio::test]
async fn a_credential_is_enrolled_once_whoever_tries() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut bob = server.signed_in(BOB).await;
    let (mut key, mut copy) = (SecurityKey::of(&server), SecurityKey::of(&server));
    enrol(&mut ann, &mut key).await;
    // Bob makes a credential with the id of Ann's; ids are no secrets.
    let begun = creation(&mut bob).await;
    let credential = copy.create_with_id(&begun["options"], &key.ids()[0]);
    assert_eq!(finish(&mut bob, &begun, credential).await.code(), "invalid_passkey");
    assert_eq!(latest_event(&mut bob).await.1["reason"], "known_credential");
    assert_eq!(bob.get("/api/v1/me").await.json["user"]["factors"], json!(["password"]));
    assert_eq!(sign_in(&server, &mut key).await.status, 200);
}

#[tokio::test]
async fn a_counter_that_does_not_grow_is_refused_marked_and_told_once() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let mut clone = key.cloned();
    assert_eq!(sign_in(&server, &mut key).await.status, 200);
    // Both have counted to one.
    assert_eq!(sign_in(&server, &mut clone).await.code(), "invalid_credentials");
    let (kind, detail) = latest_event(&mut ann).await;
    assert_eq!((kind.as_str(), &detail["name"]), ("passkey_cloned", &json!("Blue key")));
    let subject = "A passkey of your account at Hallpass may have been copied";
    assert_eq!(server.latest_mail(ANN).await["subject"], subject);
    let listed = ann.get("/api/v1/factors/passkeys").await.json["passkeys"][0].clone();
    assert!(listed["suspectAt"].is_string(), "{listed}");
    // Alone it opens nothing any more, neither the copy nor the true one.
    assert_eq!(sign_in(&server, &mut clone).await.code(), "invalid_credentials");
    assert_eq!(sign_in(&server, &mut key).await.code(), "invalid_credentials");
    let mails = server.mails_to(ANN).await;
    assert_eq!(mails.iter().filter(|mail| mail["subject"] == subject).count(), 1);
    // Without a counter there is none to grow, but it does not go back to that.
    key.step = 0;
    key.reset();
    assert_eq!(sign_in(&server, &mut key).await.code(), "invalid_credentials");
}

#[tokio::test]
async fn disabled_users_do_not_come_in() {
    use hallpass::db::Statements;
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let mut tx = server.app.db.begin().await.unwrap();
    tx.execute("update users set disabled_at = 1", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let answer = sign_in(&server, &mut key).await;
    assert_eq!((answer.status, answer.code()), (401, "invalid_credentials"));
}

#[tokio::test]
async fn floods_of_refused_passkeys_are_limited_and_delay_nobody_elsewhere() {
    let server = TestApp::start_with(|config| config.limits.network_failures = 10).await;
    let mut ann = server.signed_in(ANN).await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut ann, &mut key).await;
    let mut stranger = server.client().at("192.0.2.66");
    let begun = request(&mut stranger, None).await;
    let mut forged = key.cloned();
    forged.origin = "https://evil.example".into();
    let junk = forged.get(&begun["options"]);
    for _ in 0..10 {
        assert_eq!(present(&mut stranger, &begun, junk.clone()).await.status, 401);
    }
    let limited = present(&mut stranger, &begun, junk).await;
    assert_eq!((limited.status, limited.code()), (429, "rate_limited"));
    assert_eq!(refusals(&server).await.len(), 10);
    assert_eq!(sign_in(&server, &mut key).await.status, 200);
}
