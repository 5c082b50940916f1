//! What somebody who knows the password, or stole a session, cannot do.
use super::{MINUTE, ann_with_an_app, first_step};
use crate::support::{OTHER_PASSWORD, PASSWORD, TestApp};
use futures_util::future::join_all;
use serde_json::{Value, json};

#[tokio::test]
async fn five_wrong_codes_end_an_attempt_and_the_owner_is_told_that_somebody_has_the_password() {
    let server = TestApp::start().await;
    let (_, app, codes) = ann_with_an_app(&server).await;
    let mut thief = server.client().at("198.51.100.7");
    first_step(&mut thief, "ann@example.com").await;
    for (method, otp) in
        [("totp", "000000"), ("recovery_code", "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA"), ("email_otp", "123456")]
    {
        let wrong = thief.post("/api/v1/verify", json!({ "otp": otp, "method": method })).await;
        assert_eq!((wrong.status, wrong.code()), (401, "invalid_code"), "{method}");
    }
    for _ in 0..2 {
        assert_eq!(
            thief.post("/api/v1/verify", json!({ "otp": app.wrong_code(&server) })).await.code(),
            "invalid_code"
        );
    }
    for right in [app.code(&server), codes[0].clone()] {
        let over = thief.post("/api/v1/verify", json!({ "otp": right })).await;
        assert_eq!((over.status, over.code()), (401, "invalid_attempt"), "over, even with a right code");
    }
    let mail = server.latest_mail("ann@example.com").await;
    assert_eq!(mail["subject"], "A sign-in to Hallpass was stopped");
    assert!(mail["text"].as_str().unwrap().contains("198.51.100.7"));
}

#[tokio::test]
async fn a_thousand_parallel_guesses_get_five_tries_in_all() {
    let server = TestApp::start().await;
    let (_, app, _) = ann_with_an_app(&server).await;
    let mut thief = server.client().at("198.51.100.7");
    let wanted = first_step(&mut thief, "ann@example.com").await;
    let wrong = app.wrong_code(&server);
    let guess = |_| {
        let mut client = thief.clone();
        let body = json!({ "otp": wrong, "attempt": wanted["attempt"] });
        async move { client.post("/api/v1/verify", body).await.code().to_owned() }
    };
    let codes = join_all((0..1000).map(guess)).await;
    assert_eq!(codes.iter().filter(|code| *code == "invalid_code").count(), 5);
    // The others have to wait, or come when the attempt is over.
    let over = codes.iter().filter(|code| *code == "rate_limited" || *code == "invalid_attempt");
    assert_eq!(over.count(), 995, "{codes:?}");
}

#[tokio::test]
async fn new_attempts_bring_no_new_tries_beyond_the_waits() {
    let server = TestApp::start().await;
    let (_, app, _) = ann_with_an_app(&server).await;
    let mut tried = 0;
    for number in 0..40 {
        let mut thief = server.client().at("198.51.100.7");
        let body = json!({ "email": "ann@example.com", "password": PASSWORD });
        let wanted = thief.post("/api/v1/login", body).await;
        assert_eq!(wanted.status, 200, "the password is right: {}", wanted.text);
        let guess = thief.post("/api/v1/verify", json!({ "otp": app.wrong_code(&server) })).await;
        assert!(matches!(guess.status, 401 | 429), "{number}: {}", guess.text);
        tried += u32::from(guess.status == 401);
    }
    assert_eq!(tried, 5, "then each guess costs a wait that doubles");
}

#[tokio::test]
async fn guesses_spread_over_attempts_and_networks_are_told_all_the_same() {
    let server = TestApp::start().await;
    let (_, app, _) = ann_with_an_app(&server).await;
    let told = async || {
        let mails = server.mails_to("ann@example.com").await;
        mails.iter().filter(|mail| mail["subject"] == "A sign-in to Hallpass was stopped").count()
    };
    for number in 1..=10 {
        let mut thief = server.client().at(&format!("198.51.{number}.7"));
        first_step(&mut thief, "ann@example.com").await;
        let wrong = thief.post("/api/v1/verify", json!({ "otp": app.wrong_code(&server) })).await;
        assert_eq!(wrong.code(), "invalid_code");
        assert_eq!(told().await, number / 5, "one mail for five tries, after {number}");
        server.advance(MINUTE * 60);
    }
    // Who mistypes now and then is left in peace.
    server.advance(MINUTE * 60 * 24);
    for _ in 0..3 {
        let mut ann = server.client();
        first_step(&mut ann, "ann@example.com").await;
        for _ in 0..2 {
            ann.post("/api/v1/verify", json!({ "otp": app.wrong_code(&server) })).await;
        }
        let done = ann.post("/api/v1/verify", json!({ "otp": app.code(&server) })).await;
        assert_eq!(done.status, 200, "{}", done.text);
        server.advance(MINUTE);
    }
    assert_eq!(told().await, 2);
}

#[tokio::test]
async fn a_code_that_is_right_serves_one_of_many_parallel_attempts() {
    let server = TestApp::start().await;
    let (_, app, codes) = ann_with_an_app(&server).await;
    for otp in [app.code(&server), codes[0].clone()] {
        let mut clients = Vec::new();
        for number in 0..4 {
            // Each from a network of its own, so that it is not the limits that stop them.
            let mut client = server.client().at(&format!("198.51.100.{number}"));
            first_step(&mut client, "ann@example.com").await;
            clients.push(client);
        }
        let finish = |mut client: crate::support::Client| {
            let body = json!({ "otp": otp });
            async move { client.post("/api/v1/verify", body).await.status }
        };
        let mut statuses = join_all(clients.into_iter().map(finish)).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401, 401, 401], "{otp}");
        server.advance(MINUTE);
    }
}

#[tokio::test]
async fn an_attempt_serves_once_for_minutes_and_for_its_own_client() {
    let server = TestApp::start().await;
    let (_, app, codes) = ann_with_an_app(&server).await;
    let mut phone = server.client().at("192.0.2.1");
    let wanted = first_step(&mut phone, "ann@example.com").await;
    let body = json!({ "otp": app.code(&server), "attempt": wanted["attempt"] });
    let mut stranger = server.client().at("198.51.100.7").with_agent("curl/8");
    assert_eq!(
        stranger.post("/api/v1/verify", body.clone()).await.code(),
        "invalid_attempt",
        "another client"
    );
    // The network alone may change: people walk out of their wireless network.
    let mut moved = phone.clone().at("203.0.113.5");
    assert_eq!(moved.post("/api/v1/verify", body.clone()).await.status, 200);
    let used = json!({ "otp": codes[0], "attempt": wanted["attempt"] });
    assert_eq!(phone.post("/api/v1/verify", used).await.code(), "invalid_attempt", "used");

    first_step(&mut phone, "ann@example.com").await;
    server.advance(MINUTE * 5);
    let late = phone.post("/api/v1/verify", json!({ "otp": app.code(&server) })).await;
    assert_eq!(late.code(), "invalid_attempt", "too late");
    for odd in ["", "hp_at_", "hp_rt_abc", "x"] {
        let mut client = server.client();
        let refused = client.post("/api/v1/verify", json!({ "otp": "123456", "attempt": odd })).await;
        assert_eq!((refused.status, refused.code()), (401, "invalid_attempt"), "{odd:?}");
    }
}

#[tokio::test]
async fn one_users_code_is_nothing_in_anothers_attempt() {
    let server = TestApp::start().await;
    let (_, app, codes) = ann_with_an_app(&server).await;
    let mut bob = server.signed_in("bob@example.com").await;
    bob.set_up_totp(&server).await;
    server.advance(MINUTE);
    let mut thief = server.client();
    first_step(&mut thief, "bob@example.com").await;
    for otp in [app.code(&server), codes[0].clone()] {
        assert_eq!(thief.post("/api/v1/verify", json!({ "otp": otp })).await.code(), "invalid_code");
    }
    let other = json!({ "otp": app.code(&server), "email": "ann@example.com" });
    assert_eq!(thief.post("/api/v1/verify", other).await.code(), "invalid_attempt", "about another address");
}

#[tokio::test]
async fn a_reset_of_the_password_neither_skips_nor_removes_a_factor_and_ends_attempts() {
    let server = TestApp::start().await;
    let (_, app, _) = ann_with_an_app(&server).await;
    let mut thief = server.client();
    first_step(&mut thief, "ann@example.com").await;
    let mut ann = server.client();
    ann.post("/api/v1/password/forgot", json!({ "email": "ann@example.com" })).await;
    let token = server.mailed_token("ann@example.com", "/password/reset").await;
    let reset =
        ann.post("/api/v1/password/reset", json!({ "token": token, "password": OTHER_PASSWORD })).await;
    assert_eq!(reset.status, 200);
    let stale = thief.post("/api/v1/verify", json!({ "otp": app.code(&server) })).await;
    assert_eq!(stale.code(), "invalid_attempt", "begun with the former password");
    let body = json!({ "email": "ann@example.com", "password": OTHER_PASSWORD });
    let wanted = ann.post("/api/v1/login", body).await;
    assert_eq!(wanted.json["status"], "second_factor_required");
    assert_eq!(ann.post("/api/v1/verify", json!({ "otp": app.code(&server) })).await.status, 200);
}

#[tokio::test]
async fn parallel_confirmations_and_removals_leave_one_consistent_state() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in("ann@example.com").await;
    let setup = ann.post_nothing("/api/v1/factors/totp").await;
    let app = crate::support::Authenticator::of(&setup.json);
    let confirm = |_| {
        let (mut client, otp) = (ann.clone(), app.code(&server));
        async move { client.post("/api/v1/factors/totp/confirm", json!({ "otp": otp })).await }
    };
    let answers = join_all((0..5).map(confirm)).await;
    let confirmed: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(confirmed.len(), 1, "one of them set it up");
    ann.keep_tokens(confirmed[0]);
    let codes = confirmed[0].json["recoveryCodes"].as_array().unwrap().clone();
    let remove = |_| {
        let mut client = ann.clone();
        async move { client.delete("/api/v1/factors/totp").await.status }
    };
    let mut statuses = join_all((0..4).map(remove)).await;
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert_eq!(statuses[1..], [404, 404, 404]);
    assert_eq!(ann.get("/api/v1/me").await.json["user"]["factors"], json!(["password"]));
    // What went with the app does not come back with the next one.
    server.advance(MINUTE);
    let (_, fresh) = ann.set_up_totp(&server).await;
    assert!(codes.iter().all(|code| !fresh.contains(&code.as_str().unwrap().to_owned())));
    let mut phone = server.client();
    first_step(&mut phone, "ann@example.com").await;
    let old = phone.post("/api/v1/verify", json!({ "otp": codes[0] })).await;
    assert_eq!(old.code(), "invalid_code");
}

#[tokio::test]
async fn a_stolen_database_has_neither_secret_nor_code_in_clear() {
    let server =
        TestApp::start_with(|config| config.login.email_otp = hallpass::config::EmailOtp::Always).await;
    server.sign_up("bob@example.com").await;
    let mut bob = server.client();
    let wanted = first_step(&mut bob, "bob@example.com").await;
    let code = server.mailed_code("bob@example.com").await;
    let done = bob.post("/api/v1/verify", json!({ "otp": code })).await;
    bob.keep_tokens(&done);
    let setup = bob.post_nothing("/api/v1/factors/totp").await;
    let stored = server.everything_stored();
    let secret = setup.json["secret"].as_str().unwrap();
    for clear in [secret, wanted["attempt"].as_str().unwrap()] {
        assert!(!stored.contains(clear), "{clear}");
    }
    let bytes = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    assert!(!stored.contains(&*String::from_utf8_lossy(&bytes)), "the secret's bytes");
}

#[tokio::test]
async fn events_tell_what_happened_to_factors_and_nothing_of_what_was_typed() {
    let server = TestApp::start().await;
    let (mut ann, app, codes) = ann_with_an_app(&server).await;
    let mut phone = server.client();
    first_step(&mut phone, "ann@example.com").await;
    phone.post("/api/v1/verify", json!({ "otp": "000000" })).await;
    phone.post("/api/v1/verify", json!({ "otp": codes[1] })).await;
    ann.post("/api/v1/reauthenticate", json!({ "otp": app.code(&server) })).await;
    ann.delete("/api/v1/factors/totp").await;
    let events = ann.get("/api/v1/events").await;
    let kinds: Vec<&str> =
        events.json["events"].as_array().unwrap().iter().filter_map(|event| event["kind"].as_str()).collect();
    for kind in [
        "factor_removed",
        "reauthenticated",
        "login_succeeded",
        "recovery_code_used",
        "second_factor_failed",
        "second_factor_required",
        "recovery_codes_issued",
        "factor_added",
    ] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    let text = events.text;
    assert!(!text.contains(&codes[1]) && !text.contains("000000"), "{text}");
    assert_eq!(events.json["next"], Value::Null);
}
