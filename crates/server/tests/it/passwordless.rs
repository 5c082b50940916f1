//! Signing in by the mailbox: alone, or as the second step after a password.
use crate::factors::{MINUTE, claims, first_step};
use crate::support::{Client, PASSWORD, TestApp};
use hallpass::config::{EmailOtp, RegistrationMode};
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";

async fn passwordless() -> TestApp {
    TestApp::start_with(|config| config.login.passwordless = true).await
}

async fn ask(client: &mut Client, email: &str) -> Value {
    let answer = client.post("/api/v1/login/email", json!({ "email": email, "tokenDelivery": "body" })).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json
}

#[tokio::test]
async fn a_mailed_code_signs_in_where_it_was_asked_for() {
    let server = passwordless().await;
    server.sign_up(ANN).await;
    let mut phone = server.client();
    let asked = ask(&mut phone, ANN).await;
    assert_eq!((&asked["methods"], &asked["expiresIn"]), (&json!(["email_otp"]), &json!(600)));
    let code = server.mailed_code(ANN).await;
    let done = phone.post("/api/v1/verify", json!({ "otp": code })).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let token = claims(done.json["accessToken"].as_str().unwrap());
    assert_eq!((&token["acr"], &token["amr"]), (&json!("aal1"), &json!(["email"])));
    let link = server.mailed_token(ANN, "/sign-in").await;
    let mut browser = server.client();
    let late = browser.post_form("/sign-in", &[("token", &link)]).await;
    assert_eq!(late.status, 400, "the attempt has served: {}", late.text);
}

#[tokio::test]
async fn a_mailed_link_signs_in_the_browser_whose_button_was_pressed_and_opening_it_changes_nothing() {
    let server = passwordless().await;
    server.sign_up(ANN).await;
    let mut phone = server.client();
    ask(&mut phone, ANN).await;
    let token = server.mailed_token(ANN, "/sign-in").await;
    let mut scanner = server.client().at("198.51.100.9").with_agent("scanner");
    for _ in 0..3 {
        assert_eq!(scanner.get(&format!("/sign-in?token={token}")).await.status, 200);
    }
    let mut laptop = server.client().at("203.0.113.8").with_agent("another browser");
    let pressed = laptop.post_form("/sign-in", &[("token", &token)]).await;
    assert_eq!(pressed.status, 200, "{}", pressed.text);
    assert!(pressed.text.contains("You are signed in"));
    assert!(laptop.cookie("refreshToken").is_some());
    let refreshed = laptop.post_nothing("/api/v1/refresh").await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    let again = server.client().post_form("/sign-in", &[("token", &token)]).await;
    assert_eq!(again.status, 400, "single use");
    let code = server.mailed_code(ANN).await;
    let also = phone.post("/api/v1/verify", json!({ "otp": code })).await;
    assert_eq!(also.code(), "invalid_attempt", "the code goes with the link");
}

#[tokio::test]
async fn a_mailed_link_lives_ten_minutes_and_its_code_five() {
    let server = passwordless().await;
    server.sign_up(ANN).await;
    let mut phone = server.client();
    ask(&mut phone, ANN).await;
    let code = server.mailed_code(ANN).await;
    server.advance(MINUTE * 5);
    assert_eq!(phone.post("/api/v1/verify", json!({ "otp": code })).await.code(), "invalid_code");
    let token = server.mailed_token(ANN, "/sign-in").await;
    server.advance(MINUTE * 5);
    let late = server.client().post_form("/sign-in", &[("token", &token)]).await;
    assert_eq!(late.status, 400, "{}", late.text);
}

#[tokio::test]
async fn after_the_link_the_browser_goes_where_the_setting_says() {
    let server = TestApp::start_with(|config| {
        config.login.passwordless = true;
        config.login.after_link_url = Some("https://app.example.com/home".into());
    })
    .await;
    server.sign_up(ANN).await;
    ask(&mut server.client(), ANN).await;
    let token = server.mailed_token(ANN, "/sign-in").await;
    let pressed = server.client().post_form("/sign-in", &[("token", &token)]).await;
    assert_eq!((pressed.status, pressed.header("refresh")), (200, "0; url=https://app.example.com/home"));
}

#[tokio::test]
async fn a_second_factor_is_asked_for_after_the_mailbox_too() {
    let server = passwordless().await;
    let mut ann = server.signed_in(ANN).await;
    let (app, _) = ann.set_up_totp(&server).await;
    server.advance(MINUTE);
    let mut phone = server.client();
    ask(&mut phone, ANN).await;
    let wanted = phone.post("/api/v1/verify", json!({ "otp": server.mailed_code(ANN).await })).await;
    assert_eq!(wanted.json["status"], "second_factor_required", "{}", wanted.text);
    let done = phone.post("/api/v1/verify", json!({ "otp": app.code(&server) })).await;
    assert_eq!(done.json["session"]["amr"], json!(["email", "otp", "mfa"]), "{}", done.text);

    server.advance(MINUTE);
    ask(&mut phone, ANN).await;
    let token = server.mailed_token(ANN, "/sign-in").await;
    let mut browser = server.client();
    let asked = browser.post_form("/sign-in", &[("token", &token)]).await;
    assert!(
        asked.text.contains("authenticator app") && browser.cookie("refreshToken").is_none(),
        "{}",
        asked.text
    );
    let wrong = browser.post_form("/sign-in/code", &[("otp", &app.wrong_code(&server))]).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    let remember = [("otp", app.code(&server)), ("rememberDevice", "yes".to_owned())];
    let remember = remember.each_ref().map(|(name, value)| (*name, value.as_str()));
    let done = browser.post_form("/sign-in/code", &remember).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert!(browser.cookie("refreshToken").is_some() && browser.cookie("attempt").is_none());
    browser.log_in(json!({ "email": ANN, "password": PASSWORD })).await;
}

#[tokio::test]
async fn nobody_learns_who_has_an_account() {
    let server = passwordless().await;
    server.sign_up(ANN).await;
    let shape = |json: &Value| {
        let mut json = json.clone();
        json["attempt"] = json!(json["attempt"].as_str().unwrap().len());
        json
    };
    let (mut known, mut unknown) = (server.client(), server.client());
    let (first, second) = (ask(&mut known, ANN).await, ask(&mut unknown, "nobody@example.com").await);
    assert_eq!(shape(&first), shape(&second));
    for round in 0..2 {
        for (otp, email) in [("000000", None), ("12", None), ("000000", Some("other@example.com"))] {
            let body = json!({ "otp": otp, "email": email });
            let (a, b) = (
                known.post("/api/v1/verify", body.clone()).await,
                unknown.post("/api/v1/verify", body).await,
            );
            assert_eq!((a.status, a.code()), (b.status, b.code()), "{round} {otp} {email:?}");
        }
        let (a, b) = (
            known.post_nothing("/api/v1/verify/resend").await,
            unknown.post_nothing("/api/v1/verify/resend").await,
        );
        assert_eq!((a.status, &a.json["message"]), (b.status, &b.json["message"]));
    }
    assert!(server.mails_to("nobody@example.com").await.is_empty());
}

#[tokio::test]
async fn guesses_over_many_attempts_of_one_address_share_their_count_known_or_not() {
    let server = passwordless().await;
    server.sign_up(ANN).await;
    for email in [ANN, "nobody@example.com"] {
        let mut statuses = Vec::new();
        for _ in 0..4 {
            let mut thief = server.client().at("198.51.100.7");
            ask(&mut thief, email).await;
            for _ in 0..2 {
                statuses.push(thief.post("/api/v1/verify", json!({ "otp": "000000" })).await.status);
            }
        }
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429], "{email}");
    }
}

#[tokio::test]
async fn strangers_who_ask_for_mails_in_a_name_keep_nobody_out_on_a_known_device() {
    let server = passwordless().await;
    server.sign_up(ANN).await;
    let mut laptop = server.sign_in(ANN).await;
    for number in 0..20 {
        let mut stranger = server.client().at(&format!("198.51.100.{number}"));
        ask(&mut stranger, ANN).await;
    }
    let before = server.mails_to(ANN).await.len();
    let mut elsewhere = server.client();
    ask(&mut elsewhere, ANN).await;
    assert_eq!(server.mails_to(ANN).await.len(), before, "the address has had its mails");
    laptop.bearer = None;
    ask(&mut laptop, ANN).await;
    assert_eq!(server.mails_to(ANN).await.len(), before + 1);
    let done = laptop.post("/api/v1/verify", json!({ "otp": server.mailed_code(ANN).await })).await;
    assert_eq!(done.status, 200, "{}", done.text);
}

#[tokio::test]
async fn who_proves_the_mailbox_first_wipes_what_a_stranger_planted() {
    let server = TestApp::start_with(|config| {
        config.login.passwordless = true;
        config.registration.mode = RegistrationMode::Immediate;
    })
    .await;
    let mut stranger = server.client();
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "body" });
    let planted = stranger.post("/api/v1/register", body.clone()).await;
    stranger.keep_tokens(&planted);
    let mut ann = server.client().at("203.0.113.8");
    ask(&mut ann, ANN).await;
    let done = ann.post("/api/v1/verify", json!({ "otp": server.mailed_code(ANN).await })).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(done.json["user"]["emailVerified"], true);
    assert_eq!(done.json["user"]["factors"], json!([]), "no password");
    assert_eq!(stranger.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(stranger.post("/api/v1/login", body).await.code(), "invalid_credentials");
    ann.keep_tokens(&done);
    assert_eq!(ann.get("/api/v1/me").await.status, 200, "her own session stays");
}

#[tokio::test]
async fn a_code_after_the_password_is_asked_for_as_the_setting_says() {
    let server = TestApp::start_with(|config| config.login.email_otp = EmailOtp::NewDevice).await;
    server.sign_up(ANN).await;
    let mut phone = server.client();
    let wanted = first_step(&mut phone, ANN).await;
    assert_eq!(wanted["methods"], json!(["email_otp"]));
    let done =
        phone.post("/api/v1/verify", json!({ "otp": server.mailed_code(ANN).await, "email": ANN })).await;
    assert_eq!(done.json["session"]["amr"], json!(["pwd", "email"]), "{}", done.text);
    assert_eq!(done.json["session"]["acr"], "aal1", "a mailed code is no second factor (NIST SP 800-63B-4)");
    // The device is known now; another one is not.
    phone.log_in(json!({ "email": ANN, "password": PASSWORD })).await;
    first_step(&mut server.client(), ANN).await;

    let server = TestApp::start_with(|config| config.login.email_otp = EmailOtp::Always).await;
    server.sign_up(ANN).await;
    let mut phone = server.client();
    for _ in 0..2 {
        first_step(&mut phone, ANN).await;
        let done = phone.post("/api/v1/verify", json!({ "otp": server.mailed_code(ANN).await })).await;
        assert_eq!(done.status, 200, "{}", done.text);
    }
    // Who has a second factor is asked for that instead.
    let mut ann = server.client();
    first_step(&mut ann, ANN).await;
    let done = ann.post("/api/v1/verify", json!({ "otp": server.mailed_code(ANN).await })).await;
    ann.keep_tokens(&done);
    ann.set_up_totp(&server).await;
    assert_eq!(first_step(&mut server.client(), ANN).await["methods"], json!(["recovery_code", "totp"]));
}

#[tokio::test]
async fn another_code_voids_the_former_one_and_keeps_the_count() {
    let server = TestApp::start_with(|config| config.login.email_otp = EmailOtp::Always).await;
    server.sign_up(ANN).await;
    let mut phone = server.client();
    first_step(&mut phone, ANN).await;
    let former = server.mailed_code(ANN).await;
    for _ in 0..3 {
        let wrong = if former == "000000" { "000001" } else { "000000" };
        assert_eq!(phone.post("/api/v1/verify", json!({ "otp": wrong })).await.code(), "invalid_code");
    }
    assert_eq!(phone.post_nothing("/api/v1/verify/resend").await.status, 202);
    let code = server.mailed_code(ANN).await;
    if code != former {
        assert_eq!(phone.post("/api/v1/verify", json!({ "otp": former })).await.code(), "invalid_code");
    }
    assert_eq!(phone.post("/api/v1/verify", json!({ "otp": code })).await.status, 200, "the fifth try");
    for _ in 0..3 {
        first_step(&mut phone, ANN).await;
        for _ in 0..3 {
            phone.post_nothing("/api/v1/verify/resend").await;
        }
        let fifth = phone.post_nothing("/api/v1/verify/resend").await;
        assert!(matches!(fifth.code(), "invalid_attempt" | "rate_limited"), "{}", fifth.text);
    }
    let body = json!({ "email": ANN, "password": PASSWORD });
    let flood = server.client().post("/api/v1/login", body).await;
    assert_eq!((flood.status, flood.code()), (429, "rate_limited"), "no bombs into the mailbox");
    server.advance(MINUTE * 15);
    first_step(&mut phone, ANN).await;
}

#[tokio::test]
async fn a_mailed_code_expires_and_serves_its_own_attempt_only() {
    let server = TestApp::start_with(|config| {
        config.login.email_otp = EmailOtp::Always;
        config.codes.otp_ttl = Some(std::time::Duration::from_secs(60));
    })
    .await;
    server.sign_up(ANN).await;
    let (mut phone, mut laptop) = (server.client(), server.client());
    first_step(&mut phone, ANN).await;
    let code = server.mailed_code(ANN).await;
    first_step(&mut laptop, ANN).await;
    let others = server.mailed_code(ANN).await;
    if code != others {
        assert_eq!(laptop.post("/api/v1/verify", json!({ "otp": code })).await.code(), "invalid_code");
    }
    server.advance(MINUTE);
    assert_eq!(phone.post("/api/v1/verify", json!({ "otp": code })).await.code(), "invalid_code", "expired");
}

#[tokio::test]
async fn mail_alone_signs_nobody_in_unless_it_is_switched_on() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let refused = server.client().post("/api/v1/login/email", json!({ "email": ANN })).await;
    assert_eq!(refused.status, 404, "{}", refused.text);
    let settings = server.client().get("/api/v1/settings").await;
    assert_eq!(settings.json["login"]["methods"], json!(["password", "passkey"]));
    let settings = passwordless().await.client().get("/api/v1/settings").await;
    assert_eq!(settings.json["login"]["methods"], json!(["password", "passkey", "email"]));
}

#[tokio::test]
async fn a_disabled_account_gets_in_by_no_step() {
    let server = passwordless().await;
    let mut ann = server.signed_in(ANN).await;
    let (app, _) = ann.set_up_totp(&server).await;
    server.advance(MINUTE);
    let (mut by_password, mut by_mail) = (server.client(), server.client());
    first_step(&mut by_password, ANN).await;
    ask(&mut by_mail, ANN).await;
    let (code, link) = (server.mailed_code(ANN).await, server.mailed_token(ANN, "/sign-in").await);
    let user = hallpass::users::find_login(&server.app.db, ANN).await.unwrap().unwrap().user;
    let mut tx = server.app.db.begin().await.unwrap();
    hallpass::users::set_disabled(&server.app, &mut tx, user.id, true, server.app.now()).await.unwrap();
    tx.commit().await.unwrap();
    let otp = app.code(&server);
    assert_eq!(by_password.post("/api/v1/verify", json!({ "otp": otp })).await.code(), "invalid_attempt");
    let mailed = by_mail.post("/api/v1/verify", json!({ "otp": code })).await;
    assert_eq!(mailed.code(), "invalid_code", "as for an address that nobody has");
    assert_eq!(server.client().post_form("/sign-in", &[("token", &link)]).await.status, 400);
}

#[tokio::test]
async fn a_code_that_the_limit_of_mails_kept_back_leaves_the_mailed_one_good() {
    let server = passwordless().await;
    server.sign_up(ANN).await;
    let mut phone = server.client();
    ask(&mut phone, ANN).await;
    // The verification, the link and one more: that was the third mail.
    assert_eq!(phone.post_nothing("/api/v1/verify/resend").await.status, 202);
    let mails = server.mails_to(ANN).await.len();
    let code = server.mailed_code(ANN).await;
    assert_eq!(phone.post_nothing("/api/v1/verify/resend").await.status, 202);
    assert_eq!(server.mails_to(ANN).await.len(), mails, "kept back");
    assert_eq!(phone.post("/api/v1/verify", json!({ "otp": code })).await.status, 200);
}

#[tokio::test]
async fn testing_addresses_against_an_attempt_costs_its_tries() {
    let server = TestApp::start_with(|config| config.login.email_otp = EmailOtp::Always).await;
    server.sign_up(ANN).await;
    let mut phone = server.client();
    first_step(&mut phone, ANN).await;
    let code = server.mailed_code(ANN).await;
    for number in 0..5 {
        let body = json!({ "otp": code, "email": format!("ann{number}@example.com") });
        assert_eq!(phone.post("/api/v1/verify", body).await.code(), "invalid_attempt");
    }
    let late = phone.post("/api/v1/verify", json!({ "otp": code, "email": ANN })).await;
    assert_eq!(late.code(), "invalid_attempt", "its five tries are gone");
}
