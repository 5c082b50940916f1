//! Second factors as their owner sees them: set up, used, removed, and a fresh proof for whatever changes them.
mod abuse;
mod operator;
mod stepping_up;
mod ways_in;

use crate::support::{Authenticator, Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::config::{HashCost, Profile, Secret};
use hallpass::db::Statements;
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// The first step of a sign-in with what the account needs next.
pub(crate) async fn first_step(client: &mut Client, email: &str) -> Value {
    let body = json!({ "email": email, "password": PASSWORD, "tokenDelivery": "body" });
    let answer = client.post("/api/v1/login", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json["accessToken"], Value::Null, "no session yet");
    answer.json
}

/// Ann, signed in, with an authenticator app.
pub(crate) async fn ann_with_an_app(server: &TestApp) -> (Client, Authenticator, Vec<String>) {
    let mut ann = server.signed_in("ann@example.com").await;
    let (app, codes) = ann.set_up_totp(server).await;
    // The code that confirmed it has served.
    server.advance(MINUTE);
    (ann, app, codes)
}

/// What is in an access token.
pub(crate) fn claims(token: &str) -> Value {
    let body = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(body.as_bytes()).unwrap()).unwrap()
}

#[tokio::test]
async fn an_authenticator_app_is_set_up_by_its_first_code_and_asked_for_from_then_on() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in("ann@example.com").await;
    let setup = ann.post_nothing("/api/v1/factors/totp").await;
    assert_eq!(setup.status, 201, "{}", setup.text);
    assert!(
        setup.json["uri"].as_str().unwrap().starts_with("otpauth://totp/Hallpass:ann%40example.com?secret=")
    );
    assert!(setup.json["qr"].as_str().unwrap().starts_with("<svg"));
    // Not confirmed yet: a sign-in goes on as before.
    server.sign_in("ann@example.com").await;
    let app = Authenticator::of(&setup.json);
    let wrong = ann.post("/api/v1/factors/totp/confirm", json!({ "otp": app.wrong_code(&server) })).await;
    assert_eq!((wrong.status, wrong.code()), (401, "invalid_code"));
    let confirmed = ann.post("/api/v1/factors/totp/confirm", json!({ "otp": app.code(&server) })).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    assert_eq!(confirmed.json["recoveryCodes"].as_array().unwrap().len(), 10);
    let token = claims(confirmed.json["accessToken"].as_str().unwrap());
    assert_eq!((&token["acr"], &token["amr"]), (&json!("aal2"), &json!(["pwd", "otp", "mfa"])));
    let me = ann.get("/api/v1/me").await;
    assert_eq!(me.json["user"]["factors"], json!(["password", "recovery_code", "totp"]));
    assert_eq!(
        server.latest_mail("ann@example.com").await["subject"],
        "A new way to prove it is you at Hallpass"
    );

    server.advance(MINUTE);
    let mut phone = server.client();
    let wanted = first_step(&mut phone, "ann@example.com").await;
    assert_eq!(wanted["status"], "second_factor_required");
    assert_eq!(wanted["methods"], json!(["recovery_code", "totp"]));
    assert_eq!(wanted["expiresIn"], 300);
    let done = phone.post("/api/v1/verify", json!({ "otp": app.code(&server) })).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let token = claims(done.json["accessToken"].as_str().unwrap());
    assert_eq!((&token["acr"], &token["amr"]), (&json!("aal2"), &json!(["pwd", "otp", "mfa"])));
    assert_eq!(done.json["session"]["acr"], "aal2");
    assert!(done.json["refreshToken"].is_string(), "the wish of the first step counts");
    assert!(phone.cookie("attempt").is_none(), "the attempt is over");
}

#[tokio::test]
async fn a_recovery_code_stands_in_once_and_its_owner_is_told_how_many_are_left() {
    let server = TestApp::start().await;
    let (mut ann, _, codes) = ann_with_an_app(&server).await;
    let sloppy = codes[0].to_lowercase().replace('-', " ");
    let mut phone = server.client();
    first_step(&mut phone, "ann@example.com").await;
    let done = phone.post("/api/v1/verify", json!({ "otp": sloppy })).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(done.json["session"]["amr"], json!(["pwd", "recovery_code", "mfa"]));
    // The latest one tells of the new device.
    let mail = &server.mails_to("ann@example.com").await[1];
    assert_eq!(mail["subject"], "A recovery code was used at Hallpass");
    assert!(mail["text"].as_str().unwrap().contains("9 codes can still be used"), "{mail}");

    first_step(&mut phone, "ann@example.com").await;
    let again = phone.post("/api/v1/verify", json!({ "otp": codes[0] })).await;
    assert_eq!((again.status, again.code()), (401, "invalid_code"));
    for code in &codes[1..7] {
        first_step(&mut phone, "ann@example.com").await;
        assert_eq!(phone.post("/api/v1/verify", json!({ "otp": code })).await.status, 200);
    }
    let factors = ann.get("/api/v1/factors").await;
    assert_eq!(factors.json["recoveryCodes"], json!({ "left": 3, "few": true }));
    assert!(server.latest_mail("ann@example.com").await["text"].as_str().unwrap().contains("Make new ones"));
}

#[tokio::test]
async fn new_recovery_codes_void_the_former_ones() {
    let server = TestApp::start().await;
    let (mut ann, _, old) = ann_with_an_app(&server).await;
    let renewed = ann.post_nothing("/api/v1/factors/recovery-codes").await;
    assert_eq!(renewed.status, 201, "{}", renewed.text);
    let new: Vec<&str> =
        renewed.json["recoveryCodes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let mut phone = server.client();
    first_step(&mut phone, "ann@example.com").await;
    assert_eq!(phone.post("/api/v1/verify", json!({ "otp": old[0] })).await.code(), "invalid_code");
    assert_eq!(phone.post("/api/v1/verify", json!({ "otp": new[0] })).await.status, 200);
}

#[tokio::test]
async fn removing_the_app_takes_the_recovery_codes_along_and_signing_in_is_as_before() {
    let server = TestApp::start().await;
    let (mut ann, app, _) = ann_with_an_app(&server).await;
    assert_eq!(ann.post_nothing("/api/v1/factors/totp").await.code(), "factor_exists");
    assert_eq!(ann.delete("/api/v1/factors/totp").await.status, 200);
    assert_eq!(ann.get("/api/v1/me").await.json["user"]["factors"], json!(["password"]));
    assert_eq!(ann.get("/api/v1/factors").await.json["recoveryCodes"], Value::Null);
    assert_eq!(ann.delete("/api/v1/factors/totp").await.status, 404);
    assert_eq!(ann.post_nothing("/api/v1/factors/recovery-codes").await.code(), "factor_required");
    server.sign_in("ann@example.com").await;
    // Set up anew: another secret.
    let (other, codes) = ann.set_up_totp(&server).await;
    assert_eq!(codes.len(), 10);
    assert_ne!(other.code(&server), app.code(&server));
}

#[tokio::test]
async fn the_overview_tells_what_is_set_up_and_no_secret() {
    let server = TestApp::start().await;
    let (mut ann, _, codes) = ann_with_an_app(&server).await;
    let factors = ann.get("/api/v1/factors").await;
    assert_eq!(factors.status, 200, "{}", factors.text);
    assert_eq!(factors.json["password"], true);
    assert!(factors.json["totp"]["createdAt"].is_string() && factors.json["totp"]["lastUsedAt"].is_string());
    assert_eq!((&factors.json["policy"], &factors.json["required"]), (&json!("optional"), &json!(false)));
    let export = ann.get("/api/v1/me/export").await;
    assert_eq!(export.json["factors"], factors.json);
    let stored = server.everything_stored();
    for code in codes {
        assert!(
            !stored.contains(&code) && !stored.contains(&code.replace('-', "")),
            "a recovery code in clear"
        );
    }
}

#[tokio::test]
async fn nobody_sets_a_factor_up_before_the_mailbox_is_proven_or_where_they_are_off() {
    let server = TestApp::start_with(|config| {
        config.registration.mode = hallpass::config::RegistrationMode::Immediate;
    })
    .await;
    let mut planter = server.client();
    let body = json!({ "email": "ann@example.com", "password": PASSWORD, "tokenDelivery": "body" });
    let registered = planter.post("/api/v1/register", body).await;
    planter.keep_tokens(&registered);
    let refused = planter.post_nothing("/api/v1/factors/totp").await;
    assert_eq!((refused.status, refused.code()), (403, "email_not_verified"));

    let server =
        TestApp::start_with(|config| config.factors.policy = hallpass::config::FactorPolicy::Off).await;
    let mut ann = server.signed_in("ann@example.com").await;
    assert_eq!(ann.post_nothing("/api/v1/factors/totp").await.status, 404);
}

#[tokio::test]
async fn who_has_to_have_a_factor_proves_the_mailbox_and_sets_one_up_at_the_sign_in() {
    let server = TestApp::start_with(|config| {
        config.factors.policy = hallpass::config::FactorPolicy::Required;
    })
    .await;
    server.sign_up("ann@example.com").await;
    let mut ann = server.client();
    let wanted = first_step(&mut ann, "ann@example.com").await;
    assert_eq!(
        (&wanted["status"], &wanted["methods"]),
        (&json!("second_factor_required"), &json!(["email_otp"]))
    );
    assert_eq!(
        ann.post_nothing("/api/v1/verify/enrol").await.code(),
        "invalid_attempt",
        "not before the mailbox"
    );
    let code = server.mailed_code("ann@example.com").await;
    let enrolment = ann.post("/api/v1/verify", json!({ "otp": code })).await;
    assert_eq!(enrolment.status, 200, "{}", enrolment.text);
    assert_eq!(
        (&enrolment.json["status"], &enrolment.json["methods"]),
        (&json!("enrolment_required"), &json!(["totp"]))
    );
    let setup = ann.post_nothing("/api/v1/verify/enrol").await;
    assert_eq!(setup.status, 201, "{}", setup.text);
    let app = Authenticator::of(&setup.json);
    let done = ann.post("/api/v1/verify", json!({ "otp": app.code(&server) })).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(done.json["recoveryCodes"].as_array().unwrap().len(), 10);
    assert_eq!(done.json["session"]["amr"], json!(["pwd", "email", "otp", "mfa"]));
    ann.keep_tokens(&done);
    let kept = ann.delete("/api/v1/factors/totp").await;
    assert_eq!((kept.status, kept.code()), (409, "factor_required"), "it has to stay");

    server.advance(MINUTE);
    let wanted = first_step(&mut ann, "ann@example.com").await;
    assert_eq!(wanted["methods"], json!(["recovery_code", "totp"]));
    assert_eq!(ann.post("/api/v1/verify", json!({ "otp": app.code(&server) })).await.status, 200);
}

#[tokio::test]
async fn a_role_can_need_a_factor_that_others_may_do_without() {
    let server = TestApp::start_with(|config| config.factors.required_roles = vec!["admin".into()]).await;
    server.sign_up("ann@example.com").await;
    server.sign_in("ann@example.com").await;
    let hash = server.app.hashing.hash(PASSWORD.to_owned().into(), server.app.random_bytes()).await.unwrap();
    let now = server.app.now();
    let new = hallpass::users::NewUser {
        way: hallpass::users::Way::Appointed,
        email: &hallpass::names::Email::parse("root@example.com").unwrap(),
        username: None,
        name: None,
        password_hash: Some(&hash),
        email_verified_at: Some(now),
        roles: &["admin".to_owned()],
    };
    let mut tx = server.app.db.begin().await.unwrap();
    hallpass::users::create(&server.app, &mut tx, &new, now).await.unwrap();
    tx.commit().await.unwrap();
    let wanted = first_step(&mut server.client(), "root@example.com").await;
    assert_eq!(wanted["methods"], json!(["email_otp"]));
}

#[tokio::test]
async fn an_app_that_is_not_confirmed_in_time_is_begun_anew() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in("ann@example.com").await;
    let app = Authenticator::of(&ann.post_nothing("/api/v1/factors/totp").await.json);
    server.advance(MINUTE * 15);
    ann.post("/api/v1/reauthenticate", json!({ "password": PASSWORD })).await;
    let late = ann.post("/api/v1/factors/totp/confirm", json!({ "otp": app.code(&server) })).await;
    assert_eq!((late.status, late.code()), (401, "invalid_code"), "{}", late.text);
    assert_eq!(ann.get("/api/v1/me").await.json["user"]["factors"], json!(["password"]));
    ann.set_up_totp(&server).await;
}

#[tokio::test]
async fn a_code_counts_in_its_step_and_the_next_by_the_clock_of_the_server() {
    for (profile, in_the_next) in [(Profile::Default, 200), (Profile::Strict, 401)] {
        let server = TestApp::start_with(|config| {
            config.profile = profile;
            config.passwords.hash = HashCost::Strong;
            config.keys.pepper = Some(Secret::new("kJ7x-fresh-bytes-of-32-characters-1"));
        })
        .await;
        let (_, app, _) = ann_with_an_app(&server).await;
        for (steps, status) in [(-2, 401), (1, 401), (-1, in_the_next), (0, 200)] {
            let mut phone = server.client().with_header("date", "Fri, 01 Jan 2100 00:00:00 GMT");
            first_step(&mut phone, "ann@example.com").await;
            let body = json!({ "otp": app.code_in(&server, steps), "time": 4_102_444_800_u64 });
            let answer = phone.post("/api/v1/verify", body).await;
            assert_eq!(answer.status, status, "{profile:?}, {steps} steps from now: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn who_lost_phone_and_password_comes_back_by_mail_and_a_recovery_code() {
    let server = TestApp::start().await;
    let (_, lost, codes) = ann_with_an_app(&server).await;
    let mut ann = server.client();
    ann.post("/api/v1/password/forgot", json!({ "email": "ann@example.com" })).await;
    let token = server.mailed_token("ann@example.com", "/password/reset").await;
    let body = json!({ "token": token, "password": OTHER_PASSWORD });
    assert_eq!(ann.post("/api/v1/password/reset", body).await.status, 200);
    let body = json!({ "email": "ann@example.com", "password": OTHER_PASSWORD });
    assert_eq!(ann.post("/api/v1/login", body.clone()).await.json["status"], "second_factor_required");
    let done = ann.post("/api/v1/verify", json!({ "otp": codes[0] })).await;
    assert_eq!(done.status, 200, "{}", done.text);
    ann.keep_tokens(&done);
    // The lost app goes at once, and a new one comes with new codes.
    assert_eq!(ann.delete("/api/v1/factors/totp").await.status, 200);
    let (app, fresh) = ann.set_up_totp(&server).await;
    assert!(!fresh.contains(&codes[1]));
    server.advance(MINUTE);
    let mut phone = server.client();
    for (otp, status) in [(lost.code(&server), 401), (codes[1].clone(), 401), (app.code(&server), 200)] {
        phone.post("/api/v1/login", body.clone()).await;
        assert_eq!(phone.post("/api/v1/verify", json!({ "otp": otp })).await.status, status);
    }
}

#[tokio::test]
async fn a_secret_has_160_bits_of_its_own_for_each_user() {
    let server = TestApp::start().await;
    let mut secrets = Vec::new();
    for email in ["ann@example.com", "bob@example.com"] {
        let mut client = server.signed_in(email).await;
        for _ in 0..2 {
            let setup = client.post_nothing("/api/v1/factors/totp").await;
            let secret =
                data_encoding::BASE32_NOPAD.decode(setup.json["secret"].as_str().unwrap().as_bytes());
            secrets.push(secret.unwrap());
        }
    }
    assert!(secrets.iter().all(|secret| secret.len() == 20));
    secrets.sort();
    secrets.dedup();
    assert_eq!(secrets.len(), 4, "one of its own for each beginning");
}

#[tokio::test]
async fn every_change_of_an_app_or_of_recovery_codes_is_told_by_mail() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in("ann@example.com").await;
    let mut told = server.mails_to("ann@example.com").await.len();
    let mut latest = async |said: &str| {
        let mails = server.mails_to("ann@example.com").await;
        told += 1;
        assert_eq!(mails.len(), told, "one mail for one change: {}", mails[0]);
        assert!(mails[0]["text"].as_str().unwrap().contains(said), "{}", mails[0]);
    };
    ann.set_up_totp(&server).await;
    latest("An authenticator app was set up for your account").await;
    ann.post_nothing("/api/v1/factors/recovery-codes").await;
    latest("New recovery codes were made for your account").await;
    ann.delete("/api/v1/factors/totp").await;
    latest("An authenticator app was removed from your account").await;
}

#[tokio::test]
async fn who_deletes_the_account_leaves_neither_app_nor_codes_behind() {
    let server = TestApp::start().await;
    let (mut ann, app, _) = ann_with_an_app(&server).await;
    first_step(&mut server.client(), "ann@example.com").await;
    let fresh = ann.post("/api/v1/reauthenticate", json!({ "otp": app.code(&server) })).await;
    ann.keep_tokens(&fresh);
    assert_eq!(ann.delete("/api/v1/me").await.status, 200);
    for sql in [
        "select count(*) from totp_secrets",
        "select count(*) from recovery_codes",
        "select count(*) from sign_in_attempts",
        "select count(*) from devices",
    ] {
        let mut row = (&mut &server.app.db).query_opt(sql, &[]).await.unwrap().unwrap();
        assert_eq!(row.int().unwrap(), 0, "{sql}");
    }
}

#[tokio::test]
async fn every_step_of_a_sign_in_is_counted_by_what_came_of_it() {
    let server = TestApp::start_with(|config| config.login.passwordless = true).await;
    let (_, app, _) = ann_with_an_app(&server).await;
    let mut phone = server.client();
    first_step(&mut phone, "ann@example.com").await;
    phone.post("/api/v1/verify", json!({ "otp": app.wrong_code(&server) })).await;
    phone.post("/api/v1/verify", json!({ "otp": app.code(&server) })).await;
    server.client().post("/api/v1/login/email", json!({ "email": "ann@example.com" })).await;
    let link = server.mailed_token("ann@example.com", "/sign-in").await;
    server.client().post_form("/sign-in", &[("token", &link)]).await;
    let metrics = server.client().get("/metrics").await;
    // The sign-in of before there was an app, and the second step; the first step, and the link.
    for (outcome, count) in [("ok", 2), ("second_factor", 2), ("wrong", 1)] {
        let expected = format!("hallpass_logins_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.text.contains(&expected), "{expected}{}", metrics.text);
    }
}
