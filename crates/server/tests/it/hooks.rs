//! Other systems that are asked before somebody registers or signs in: what they hear, what their word does, and what happens
//! without it.
use crate::factors::ann_with_an_app;
use crate::passkeys::{enrol, sign_in as by_passkey};
use crate::support::receiver::{Receiver, Reply};
use crate::support::{Answer, Client, PASSWORD, SecurityKey, TestApp};
use hallpass::config::{Config, OnFailure, RegistrationMode, Secret, check_production};
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.com";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn allow() -> Reply {
    Reply::Body(json!({ "allow": true }).to_string())
}

fn refuse() -> Reply {
    Reply::Body(json!({ "allow": false, "message": "Not on Sundays.", "code": "sunday" }).to_string())
}

/// A server that asks before a sign-in.
async fn asking(reply: Reply, change: impl FnOnce(&mut Config)) -> (TestApp, Receiver) {
    let receiver = Receiver::start(reply).await;
    let server = TestApp::start_with(|config| {
        config.hooks.before_login = Some(receiver.url());
        config.hooks.secret = Some(Secret::new(SECRET));
        change(config);
    })
    .await;
    (server, receiver)
}

async fn log_in(client: &mut Client) -> Answer {
    client.post("/api/v1/login", json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" })).await
}

#[track_caller]
fn is_refused(answer: &Answer) {
    assert_eq!((answer.status, answer.code()), (403, "refused_by_hook"), "{}", answer.text);
    assert_eq!(
        (&answer.json["detail"], &answer.json["reason"]),
        (&json!("Not on Sundays."), &json!("sunday"))
    );
}

async fn sessions_of_ann(server: &TestApp) -> usize {
    let user = hallpass::users::find_login(&server.app.db, ANN).await.unwrap().unwrap().user;
    hallpass::sessions::live(&server.app.db, user.id, server.app.now()).await.unwrap().len()
}

#[tokio::test]
async fn before_a_sign_in_the_hook_hears_who_with_what_and_no_secret() {
    let (server, receiver) = asking(allow(), |_| {}).await;
    server.sign_up(ANN).await;
    assert!(receiver.got().is_empty());
    let mut ann = server.client().with_agent("Walnut/1.0");
    assert_eq!(log_in(&mut ann).await.status, 200);
    let got = receiver.got();
    assert_eq!(got.len(), 1);
    assert!(got[0].is_signed_by(SECRET) && !got[0].body.contains(PASSWORD));
    let json = got[0].json();
    assert_eq!(json["type"], "before_login");
    assert_eq!((&json["data"]["user"]["email"], &json["data"]["amr"]), (&json!(ANN), &json!(["pwd"])));
    let client = json!({ "ip": "127.0.0.1", "userAgent": "Walnut/1.0", "deviceName": null });
    assert_eq!(json["data"]["client"], client);
}

#[tokio::test]
async fn a_refused_sign_in_begins_no_session_and_leaves_an_event() {
    let (server, _receiver) = asking(refuse(), |_| {}).await;
    server.sign_up(ANN).await;
    let mails = server.mails_to(ANN).await.len();
    is_refused(&log_in(&mut server.client()).await);
    assert_eq!((sessions_of_ann(&server).await, server.mails_to(ANN).await.len()), (0, mails));
    let seen = server.app.metrics.render();
    assert!(seen.contains("hallpass_hooks_total{outcome=\"refused\"} 1"), "{seen}");
    let events =
        hallpass::audit::latest(&server.app.db, &hallpass::audit::Filter::default(), 1).await.unwrap();
    assert_eq!(events[0].kind, "login_refused");
    assert!(events[0].detail.as_ref().unwrap().contains("refused_by_hook"));
}

#[tokio::test]
async fn nobody_is_asked_about_a_sign_in_that_proves_nothing() {
    let (server, receiver) = asking(allow(), |_| {}).await;
    server.sign_up(ANN).await;
    for email in [ANN, "nobody@example.com"] {
        let body = json!({ "email": email, "password": "wrong-wrong-wrong" });
        assert_eq!(server.client().post("/api/v1/login", body).await.code(), "invalid_credentials");
    }
    assert!(receiver.got().is_empty());
}

#[tokio::test]
async fn with_a_second_factor_the_hook_is_asked_once_when_both_are_proven() {
    let (server, receiver) = asking(allow(), |_| {}).await;
    let (_, app, _) = ann_with_an_app(&server).await;
    let before = receiver.got().len();
    let mut ann = server.client();
    assert_eq!(log_in(&mut ann).await.json["status"], "second_factor_required");
    assert_eq!(receiver.got().len(), before, "nothing begins yet");
    server.advance(Duration::from_secs(60));
    let wrong = ann.post("/api/v1/verify", json!({ "otp": app.wrong_code(&server) })).await;
    assert_eq!((wrong.code(), receiver.got().len()), ("invalid_code", before));
    receiver.behave(refuse());
    is_refused(&ann.post("/api/v1/verify", json!({ "otp": app.code(&server) })).await);
    receiver.behave(allow());
    // What was proven was not used up: it is the hook that changed its mind.
    let right = ann.post("/api/v1/verify", json!({ "otp": app.code(&server) })).await;
    assert_eq!(right.status, 200, "{}", right.text);
    let got = receiver.got();
    assert_eq!(got.len(), before + 2);
    assert_eq!(got[before + 1].json()["data"]["amr"], json!(["pwd", "otp", "mfa"]));
    // It is used up now.
    assert_eq!(ann.post("/api/v1/verify", json!({ "otp": app.code(&server) })).await.status, 401);
}

#[tokio::test]
async fn every_way_in_asks() {
    let (server, receiver) = asking(allow(), |config| config.login.passwordless = true).await;
    server.sign_up(ANN).await;
    let mut bob = server.signed_in("bob@example.com").await;
    let mut key = SecurityKey::of(&server);
    enrol(&mut bob, &mut key).await;
    receiver.behave(refuse());
    let before = receiver.got().len();
    is_refused(&log_in(&mut server.client()).await);
    is_refused(&by_passkey(&server, &mut key).await);
    let mut browser = server.client();
    browser.post("/api/v1/login/email", json!({ "email": ANN })).await;
    let code = server.mailed_code(ANN).await;
    is_refused(&browser.post("/api/v1/verify", json!({ "otp": code })).await);
    let link = server.mailed_token(ANN, "/sign-in").await;
    let pressed = server.client().post_form("/sign-in", &[("token", &link)]).await;
    assert!(pressed.status == 403 && pressed.text.contains("Not on Sundays."), "{}", pressed.text);
    assert_eq!(receiver.got().len(), before + 4);
    assert_eq!(sessions_of_ann(&server).await, 0);
    receiver.behave(allow());
    assert_eq!(by_passkey(&server, &mut key).await.status, 200);
    assert_eq!(server.client().post_form("/sign-in", &[("token", &link)]).await.status, 200);
    assert_eq!(sessions_of_ann(&server).await, 1);
}

#[tokio::test]
async fn a_registration_that_signs_in_at_once_asks_too_and_leaves_no_account_when_refused() {
    let (server, receiver) =
        asking(refuse(), |config| config.registration.mode = RegistrationMode::Immediate).await;
    let body = json!({ "email": ANN, "password": PASSWORD });
    is_refused(&server.client().post("/api/v1/register", body.clone()).await);
    assert!(hallpass::users::find_login(&server.app.db, ANN).await.unwrap().is_none());
    assert_eq!(receiver.got()[0].json()["data"]["user"]["id"], Value::Null);
    receiver.behave(allow());
    assert_eq!(server.client().post("/api/v1/register", body).await.status, 201);
}

#[tokio::test]
async fn before_a_registration_the_hook_is_asked_alike_for_known_and_unknown_addresses() {
    let receiver = Receiver::start(allow()).await;
    let server = TestApp::start_with(|config| {
        config.hooks.before_register = Some(receiver.url());
        config.hooks.secret = Some(Secret::new(SECRET));
    })
    .await;
    server.sign_up(ANN).await;
    let before = receiver.got().len();
    for email in [ANN, "bob@example.com"] {
        let body =
            json!({ "email": email, "password": PASSWORD, "username": "somebody", "name": "Some Body" });
        assert_eq!(server.client().post("/api/v1/register", body).await.status, 202);
    }
    let got = receiver.got();
    let told = |at: usize| {
        let mut data = got[at].json()["data"].clone();
        data["email"].take();
        data
    };
    assert_eq!((got.len(), told(before)), (before + 2, told(before + 1)));
    assert_eq!(told(before)["username"], "somebody");
    assert!(got.iter().all(|one| one.is_signed_by(SECRET) && !one.body.contains(PASSWORD)));
    receiver.behave(refuse());
    let (hashes, statements) = (server.app.hashing.computed(), server.app.db.statements());
    let mut answers = Vec::new();
    for email in [ANN, "carol@example.com"] {
        let answer =
            server.client().post("/api/v1/register", json!({ "email": email, "password": PASSWORD })).await;
        is_refused(&answer);
        answers.push(server.app.db.statements());
    }
    assert_eq!(answers[0] - statements, answers[1] - answers[0]);
    assert_eq!(server.app.hashing.computed(), hashes, "nothing dear before the word");
}

#[tokio::test]
async fn without_a_word_the_setting_decides() {
    for (rule, status) in [(None, 503), (Some(OnFailure::Refuse), 503), (Some(OnFailure::Allow), 200)] {
        let (server, receiver) = asking(allow(), |config| {
            config.hooks.before_login_on_failure = rule;
            config.hooks.timeout = Duration::from_millis(200);
        })
        .await;
        server.sign_up(ANN).await;
        for reply in [
            Reply::Hang,
            Reply::Endless,
            Reply::Status(500),
            Reply::Body("yes".into()),
            Reply::Body("{\"allow\":\"true\"}".into()),
            Reply::Body("{}".into()),
            Reply::Body(format!("{{\"allow\":true,\"x\":\"{}\"}}", "y".repeat(20_000))),
            Reply::Header(302, "location", "/elsewhere".into()),
            Reply::HangUp,
        ] {
            // One right answer between them keeps the breaker closed.
            assert_eq!(log_in(&mut server.client()).await.status, 200);
            receiver.next(reply.clone());
            let answer = log_in(&mut server.client()).await;
            assert_eq!(answer.status, status, "{reply:?}: {}", answer.text);
            if status == 503 {
                assert_eq!((answer.code(), answer.header("retry-after")), ("hook_failed", "1"));
            }
        }
    }
}

#[tokio::test]
async fn a_hook_that_fails_again_and_again_is_left_alone_for_a_while() {
    for reply in [Reply::Status(500), Reply::Hang] {
        let (server, receiver) =
            asking(reply, |config| config.hooks.timeout = Duration::from_millis(200)).await;
        server.sign_up(ANN).await;
        for _ in 0..8 {
            assert_eq!(log_in(&mut server.client()).await.code(), "hook_failed");
        }
        assert_eq!(receiver.got().len(), 5);
        receiver.behave(allow());
        assert_eq!(log_in(&mut server.client()).await.code(), "hook_failed");
        server.clock.last_longer(Duration::from_secs(11));
        assert_eq!(log_in(&mut server.client()).await.status, 200);
        assert_eq!(log_in(&mut server.client()).await.status, 200);
        assert_eq!(receiver.got().len(), 7);
    }
}

#[tokio::test]
async fn while_a_hook_hangs_sessions_are_checked_and_refreshed_and_others_sign_out() {
    let (server, receiver) = asking(allow(), |config| config.hooks.timeout = Duration::from_secs(5)).await;
    let mut ann = server.signed_in(ANN).await;
    receiver.behave(Reply::Hang);
    let before = receiver.got().len();
    let mut waiting = server.client();
    let hanging = tokio::spawn(async move { log_in(&mut waiting).await });
    receiver.wait_for(before + 1).await;
    // The sign-in waits, and holds nothing that anybody needs: writes go through.
    assert_eq!(ann.get("/api/v1/me").await.status, 200);
    assert_eq!(ann.refresh().await.status, 200);
    assert_eq!(ann.patch("/api/v1/me", json!({ "name": "Ann" })).await.status, 200);
    assert!(!hanging.is_finished());
    receiver.behave(Reply::Status(500));
    receiver.let_go();
    assert_eq!(hanging.await.unwrap().code(), "hook_failed");
}

#[tokio::test]
async fn what_a_hook_says_is_cut_and_cleaned() {
    let message = format!("a\u{0}b\r\nc{}", "d".repeat(1000));
    let reply = Reply::Body(json!({ "allow": false, "message": message, "code": "Bad Code\n" }).to_string());
    let (server, receiver) = asking(reply, |_| {}).await;
    server.sign_up(ANN).await;
    let answer = log_in(&mut server.client()).await;
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(detail.starts_with("abcddd") && detail.chars().count() == 300, "{detail}");
    assert_eq!(answer.json["reason"], Value::Null);
    receiver.behave(Reply::Body(json!({ "allow": false, "message": "\n" }).to_string()));
    let answer = log_in(&mut server.client()).await;
    assert_eq!(answer.json["detail"], "This is not allowed here. Ask the operator of the service.");
}

#[tokio::test]
async fn many_sign_ins_at_once_are_all_asked_about_within_bounds() {
    let (server, receiver) = asking(allow(), |_| {}).await;
    server.sign_up(ANN).await;
    let mut parallel = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let mut client = server.client();
        parallel.spawn(async move { log_in(&mut client).await.status });
    }
    assert_eq!(parallel.join_all().await, [200; 6]);
    assert_eq!((receiver.got().len(), sessions_of_ann(&server).await), (6, 6));
}

#[test]
fn settings_of_hooks_are_checked_and_production_has_to_choose() {
    let mut config = Config::default();
    config.hooks.before_login = Some("nonsense".into());
    config.hooks.before_register = Some("https://example.com/hook".into());
    config.hooks.timeout = Duration::from_secs(6);
    config.webhooks.allow_private = vec!["10.0.0.0/33".into()];
    let wrong: Vec<String> = config.validate().unwrap_err().into_iter().map(|problem| problem.path).collect();
    assert_eq!(wrong, ["hooks.timeout", "webhooks.allow_private", "hooks.before_login", "hooks.secret"]);
    config.hooks.secret = Some(Secret::new("secret"));
    assert!(config.validate().unwrap_err().iter().any(|problem| problem.problem.contains("whsec_")));
    config.server.mode = hallpass::config::Mode::Production;
    let refused = |config: &Config| {
        let paths = check_production(config).into_iter().map(|problem| problem.path);
        paths.filter(|path| path.starts_with("hooks")).collect::<Vec<_>>()
    };
    assert_eq!(refused(&config), ["hooks.before_register_on_failure", "hooks.before_login_on_failure"]);
    config.hooks.before_register_on_failure = Some(OnFailure::Allow);
    config.hooks.before_login_on_failure = Some(OnFailure::Refuse);
    assert!(refused(&config).is_empty());
}

#[tokio::test]
async fn a_refusal_stands_whatever_else_the_answer_has_and_a_list_is_no_word() {
    let rule = |rule| move |config: &mut Config| config.hooks.before_login_on_failure = Some(rule);
    let (server, receiver) = asking(allow(), rule(OnFailure::Allow)).await;
    server.sign_up(ANN).await;
    for body in [
        json!({ "allow": false, "code": 403 }),
        json!({ "allow": false, "message": { "en": "Not on Sundays." } }),
        json!({ "allow": false, "message": ["no"], "code": null, "more": [1] }),
    ] {
        receiver.next(Reply::Body(body.to_string()));
        let answer = log_in(&mut server.client()).await;
        assert_eq!((answer.status, answer.code()), (403, "refused_by_hook"), "{body}: {}", answer.text);
        assert_eq!(answer.json["detail"], "This is not allowed here. Ask the operator of the service.");
        assert_eq!(answer.json["reason"], Value::Null);
    }
    receiver
        .next(Reply::Body(json!({ "allow": false, "message": "Not on Sundays.", "code": 403 }).to_string()));
    assert_eq!(log_in(&mut server.client()).await.json["detail"], "Not on Sundays.");
    let marked = b"HTTP/1.1 200 X\r\ncontent-length: 42\r\n\r\n\xef\xbb\xbf{\"allow\":false,\"message\":\"Pas \xe0 No\xebl.\"}".to_vec();
    receiver.next(Reply::Raw(marked));
    assert_eq!(log_in(&mut server.client()).await.json["detail"], "Pas \u{fffd} No\u{fffd}l.");
    let (server, receiver) = asking(allow(), rule(OnFailure::Refuse)).await;
    server.sign_up(ANN).await;
    for body in ["[true,null,null]", "[true]", "{\"allow\":1}", "{\"Allow\":true}", "true"] {
        receiver.next(Reply::Body(body.into()));
        assert_eq!(log_in(&mut server.client()).await.code(), "hook_failed", "{body}");
        assert_eq!(log_in(&mut server.client()).await.status, 200);
    }
}

#[tokio::test]
async fn before_an_invitation_becomes_an_account_the_hook_is_asked_and_a_refusal_leaves_the_link_good() {
    let receiver = Receiver::start(refuse()).await;
    let server = TestApp::start_with(|config| {
        config.hooks.before_register = Some(receiver.url());
        config.hooks.secret = Some(Secret::new(SECRET));
    })
    .await;
    crate::invitations::invited(&server, ANN).await;
    assert!(receiver.got().is_empty(), "whoever invites is not asked about");
    let token = server.mailed_token(ANN, "/invitation").await;
    let body = |password: &str| json!({ "token": token, "password": password, "username": "anna" });
    let mut ann = server.client().with_agent("Walnut/1.0");
    assert_eq!(ann.post("/api/v1/invitations/accept", body("short")).await.status, 422);
    assert!(receiver.got().is_empty(), "not before the rules");
    let hashes = server.app.hashing.computed();
    is_refused(&ann.post("/api/v1/invitations/accept", body(PASSWORD)).await);
    let page = ann.post_form("/invitation", &[("token", &token), ("password", PASSWORD)]).await;
    assert!(page.status == 403 && page.text.contains("Not on Sundays."), "{}", page.text);
    assert_eq!(server.app.hashing.computed(), hashes, "nothing dear before the word");
    assert!(hallpass::users::find_login(&server.app.db, ANN).await.unwrap().is_none());
    let got = receiver.got();
    assert!(got.len() == 2 && got.iter().all(|one| one.is_signed_by(SECRET) && !one.body.contains(PASSWORD)));
    assert!(!got[0].body.contains(&token));
    let json = got[0].json();
    let invitation = hallpass::invitations::list(&server.app.db, None, 1).await.unwrap().remove(0);
    assert_eq!(json["type"], "before_register");
    let data = json!({
        "email": ANN, "username": "anna", "name": "Ann", "invitation": { "id": invitation.id },
        "client": { "ip": "127.0.0.1", "userAgent": "Walnut/1.0", "deviceName": null },
    });
    assert_eq!(json["data"], data);
    receiver.behave(allow());
    assert_eq!(ann.post("/api/v1/invitations/accept", body(PASSWORD)).await.status, 201);
    // Who registers has none.
    server.sign_up("bob@example.com").await;
    assert_eq!(receiver.got().last().unwrap().json()["data"]["invitation"], Value::Null);
}
