//! "This was not me": the link of the mail about a new device, and what an intruder can do about it.
use super::{ANN, PHONE, copy_of, devices, sign_in, told};
use crate::support::{Answer, Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::db::Statements;
use serde_json::{Value, json};
use std::time::Duration;

const THIEF: &str = "thief@example.com";
const NEW_PASSWORD: &str = "nine*purple*lanterns";

/// Ann on her laptop, an intruder with her password, and the link of the mail that told it.
async fn intruded(server: &TestApp) -> (Client, Client, String) {
    server.sign_up(ANN).await;
    let mut laptop = server.client();
    sign_in(&mut laptop, ANN).await;
    server.advance(Duration::from_secs(60));
    let mut intruder = server.client().at("203.0.113.9").with_agent(PHONE);
    sign_in(&mut intruder, ANN).await;
    server.advance(Duration::from_secs(60));
    let link = server.mailed_token(ANN, "/not-me").await;
    (laptop, intruder, link)
}

async fn press(server: &TestApp, token: &str) -> Answer {
    server.client().post("/api/v1/not-me", json!({ "token": token })).await
}

async fn login(client: &mut Client, email: &str, password: &str) -> Answer {
    let answer = client.post("/api/v1/login", json!({ "email": email, "password": password })).await;
    client.keep_tokens(&answer);
    answer
}

/// Sets the new password with what a pressed link gave, and asserts that it opens the account at this address.
async fn choose(server: &TestApp, pressed: &Answer) {
    assert_eq!(pressed.status, 200, "{}", pressed.text);
    let body = json!({ "token": pressed.json["passwordToken"], "password": NEW_PASSWORD });
    let answer = server.client().post("/api/v1/password/reset", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(login(&mut server.client(), ANN, NEW_PASSWORD).await.status, 200);
}

/// Moves the account to the intruder's address.
async fn take_the_address(server: &TestApp, intruder: &mut Client) {
    let answer = intruder.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    intruder.keep_tokens(&answer);
    assert_eq!(intruder.post("/api/v1/email/change", json!({ "email": THIEF })).await.status, 202);
    let token = server.mailed_token(THIEF, "/email/confirm").await;
    assert_eq!(server.client().post("/api/v1/email/confirm", json!({ "token": token })).await.status, 200);
}

#[tokio::test]
async fn the_link_ends_all_sessions_makes_the_device_unknown_and_starts_a_reset() {
    let server = TestApp::start().await;
    let (mut laptop, mut intruder, link) = intruded(&server).await;
    let pressed = press(&server, &link).await;
    for session in [&mut laptop, &mut intruder] {
        assert_eq!(session.get("/api/v1/me").await.code(), "session_revoked");
    }
    let again = login(&mut intruder, ANN, PASSWORD).await;
    assert_eq!(again.code(), "invalid_credentials", "the password that was used is void at once");
    choose(&server, &pressed).await;
    laptop.log_in(json!({ "email": ANN, "password": NEW_PASSWORD })).await;
    let seen = devices(&mut laptop).await;
    assert!(seen.iter().all(|device| device["ip"] != "203.0.113.9"), "{seen:?}");
    let events = laptop.get("/api/v1/events").await.json["events"].as_array().unwrap().clone();
    let disowned = events.iter().find(|event| event["kind"] == "sign_in_disowned").unwrap();
    let detail =
        json!({ "revoked": 2, "allSessions": true, "addressRestored": false, "passkeysSuspected": 0 });
    assert_eq!(disowned["detail"], detail);
    let subjects: Vec<Value> =
        server.mails_to(ANN).await.iter().map(|mail| mail["subject"].clone()).collect();
    assert!(subjects.iter().any(|subject| subject.as_str().unwrap().starts_with("We ended a sign-in")));
}

#[tokio::test]
async fn the_page_changes_nothing_until_its_button_is_pressed_and_goes_on_to_the_password() {
    let server = TestApp::start().await;
    let (mut laptop, mut intruder, link) = intruded(&server).await;
    for _ in 0..3 {
        let page = server.client().get(&format!("/not-me?token={link}")).await;
        assert_eq!(page.status, 200);
        for fact in ["Safari on iOS", "203.0.113.9", "type=\"checkbox\"", " checked", "This was not me"] {
            assert!(page.text.contains(fact), "{fact}: {}", page.text);
        }
        assert_eq!(page.header("referrer-policy"), "no-referrer");
    }
    assert_eq!(intruder.get("/api/v1/me").await.status, 200, "looking changes nothing");
    // With the box empty: only the sign-in and others on its device.
    let mut second = intruder.clone();
    sign_in(&mut second, ANN).await;
    let page = server.client().post_form("/not-me", &[("token", &link)]).await;
    assert!(page.status == 200 && page.text.contains("name=\"password\""), "{}", page.text);
    for session in [&mut second, &mut intruder] {
        assert_eq!(session.get("/api/v1/me").await.code(), "session_revoked");
    }
    assert_eq!(laptop.get("/api/v1/me").await.status, 200);
    let token = page.text.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let form = [("token", token), ("password", NEW_PASSWORD)];
    assert_eq!(server.client().post_form("/password/reset", &form).await.status, 200);
    assert_eq!(login(&mut server.client(), ANN, NEW_PASSWORD).await.status, 200);
    let used = server.client().get(&format!("/not-me?token={link}")).await;
    assert!(used.status == 400 && used.text.contains("not valid any more"), "{}", used.text);
}

#[tokio::test]
async fn with_the_box_the_page_ends_all_sessions() {
    let server = TestApp::start().await;
    let (mut laptop, _, link) = intruded(&server).await;
    let form = [("token", link.as_str()), ("end_others", "yes")];
    assert_eq!(server.client().post_form("/not-me", &form).await.status, 200);
    assert_eq!(laptop.get("/api/v1/me").await.code(), "session_revoked");
}

#[tokio::test]
async fn of_parallel_presses_one_counts_and_no_link_serves_twice() {
    let server = TestApp::start().await;
    let (_, _, link) = intruded(&server).await;
    let presses = (0..8).map(|_| press(&server, &link));
    let answers = futures_util::future::join_all(presses).await;
    let right: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(right.len(), 1);
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.code() == "invalid_token"));
    choose(&server, right[0]).await;
    assert_eq!(press(&server, &link).await.code(), "invalid_token");
}

#[tokio::test]
async fn the_link_outlives_a_changed_password_other_links_and_further_sign_ins() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let (_, mut intruder, link) = intruded(&server).await;
    let body = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    assert_eq!(intruder.post("/api/v1/password/change", body).await.status, 200);
    for _ in 0..30 {
        let body = json!({ "email": ANN, "password": OTHER_PASSWORD });
        server.client().at("203.0.113.9").log_in(body).await;
    }
    intruder.post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    intruder.post_nothing("/api/v1/logout").await;
    server.advance(Duration::from_secs(6 * 86_400));
    let pressed = press(&server, &link).await;
    assert_eq!(login(&mut intruder, ANN, OTHER_PASSWORD).await.code(), "invalid_credentials");
    // Nor does asking for a reset end what the link gave.
    intruder.post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    choose(&server, &pressed).await;
}

#[tokio::test]
async fn an_intruder_who_took_the_address_loses_it_and_every_link_to_come_back() {
    let server = TestApp::start().await;
    let (_, mut intruder, link) = intruded(&server).await;
    take_the_address(&server, &mut intruder).await;
    server.advance(Duration::from_secs(1));
    // Whatever can be collected in the other mailbox.
    let mut elsewhere = server.client().at("203.0.113.10");
    assert_eq!(login(&mut elsewhere, THIEF, PASSWORD).await.status, 200);
    elsewhere.post("/api/v1/password/forgot", json!({ "email": THIEF })).await;
    intruder.post("/api/v1/email/change", json!({ "email": "third@example.com" })).await;
    let collected = [
        ("/api/v1/not-me", server.mailed_token(THIEF, "/not-me").await),
        ("/api/v1/password/reset", server.mailed_token(THIEF, "/password/reset").await),
        ("/api/v1/email/undo", server.mailed_token(THIEF, "/email/undo").await),
        ("/api/v1/email/confirm", server.mailed_token("third@example.com", "/email/confirm").await),
    ];
    let pressed = press(&server, &link).await;
    for (path, token) in &collected {
        let body = json!({ "token": token, "password": OTHER_PASSWORD });
        assert_eq!(server.client().post(path, body).await.code(), "invalid_token", "{path}");
    }
    choose(&server, &pressed).await;
    for client in [&mut intruder, &mut elsewhere] {
        assert_eq!(client.get("/api/v1/me").await.code(), "session_revoked");
    }
    assert_eq!(login(&mut server.client(), THIEF, NEW_PASSWORD).await.code(), "invalid_credentials");
    let thiefs: Vec<_> = server.mails_to(THIEF).await;
    assert!(thiefs.iter().all(|mail| !mail["text"].as_str().unwrap().contains("We ended")), "{thiefs:?}");
    assert!(told(&server, ANN).await > 1, "mails go to the owner again");
}

#[tokio::test]
async fn undoing_a_change_of_address_kills_the_links_that_the_other_mailbox_got() {
    let server = TestApp::start().await;
    let (_, mut intruder, _) = intruded(&server).await;
    take_the_address(&server, &mut intruder).await;
    server.advance(Duration::from_secs(1));
    assert_eq!(login(&mut server.client(), THIEF, PASSWORD).await.status, 200);
    let thiefs = server.mailed_token(THIEF, "/not-me").await;
    let undo = server.mailed_token(ANN, "/email/undo").await;
    assert_eq!(server.client().post("/api/v1/email/undo", json!({ "token": undo })).await.status, 200);
    assert_eq!(press(&server, &thiefs).await.code(), "invalid_token");
    let mails = told(&server, ANN).await;
    assert_eq!(login(&mut copy_of(&intruder, &server), ANN, PASSWORD).await.status, 200);
    assert_eq!(told(&server, ANN).await, mails + 1, "the intruder's device is unknown again");
}

#[tokio::test]
async fn the_link_lives_seven_days_and_is_good_for_nothing_else() {
    let server = TestApp::start().await;
    let (_, mut intruder, link) = intruded(&server).await;
    for path in
        ["/api/v1/password/reset", "/api/v1/verify-email", "/api/v1/email/confirm", "/api/v1/email/undo"]
    {
        let body = json!({ "token": link, "password": NEW_PASSWORD });
        assert_eq!(server.client().post(path, body).await.code(), "invalid_token", "{path}");
    }
    intruder.post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    let reset = server.mailed_token(ANN, "/password/reset").await;
    for wrong in [reset.as_str(), "hp_nm_", "hp_nm_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x"] {
        assert_eq!(press(&server, wrong).await.code(), "invalid_token");
    }
    let odd = server.client().post("/api/v1/not-me", json!({ "token": link, "endOthers": "no" })).await;
    assert_eq!(odd.problems(), ["endOthers: wrong_type"]);
    server.advance(Duration::from_secs(7 * 86_400 - 61));
    let early = server.client().get(&format!("/not-me?token={link}")).await;
    assert_eq!(early.status, 200);
    server.advance(Duration::from_secs(1));
    assert_eq!(press(&server, &link).await.code(), "invalid_token");
}

#[tokio::test]
async fn accounts_without_a_password_or_closed_ones_get_no_way_to_set_one() {
    for sql in [
        "update users set password_hash = null where email_normalised = 'ann@example.com'",
        "update users set disabled_at = 1 where email_normalised = 'ann@example.com'",
    ] {
        let server = TestApp::start().await;
        let (_, _, link) = intruded(&server).await;
        let mut tx = server.app.db.begin().await.unwrap();
        tx.execute(sql, &[]).await.unwrap();
        tx.commit().await.unwrap();
        let pressed = press(&server, &link).await;
        assert_eq!((pressed.status, pressed.json.get("passwordToken")), (200, None), "{}", pressed.text);
    }
}

#[tokio::test]
async fn the_owner_of_the_link_is_signed_in_nowhere() {
    let server = TestApp::start().await;
    let (_, _, link) = intruded(&server).await;
    let mut owner = server.client();
    let answer = owner.post("/api/v1/not-me", json!({ "token": link })).await;
    assert!(answer.status == 200 && answer.headers.get("set-cookie").is_none());
    assert_eq!(owner.get("/api/v1/me").await.status, 401);
}
