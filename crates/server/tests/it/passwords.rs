//! Rules for new passwords, change, reset by mail, upgrade of old hashes.
use crate::support::{OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::db::{Statements, Value as Param};
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.com";

async fn login_status(server: &TestApp, password: &str) -> u16 {
    server.client().post("/api/v1/login", json!({ "email": ANN, "password": password })).await.status
}

async fn forgotten(server: &TestApp) -> String {
    server.advance(Duration::from_secs(1));
    assert_eq!(server.client().post("/api/v1/password/forgot", json!({ "email": ANN })).await.status, 202);
    server.mailed_token(ANN, "/password/reset").await
}

#[tokio::test]
async fn forgot_answers_and_costs_alike_for_known_and_unknown_addresses() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let mut seen = Vec::new();
    for email in [ANN, "nobody@example.com"] {
        let before = server.app.hashing.computed();
        let answer = server.client().post("/api/v1/password/forgot", json!({ "email": email })).await;
        let names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        seen.push((answer.status, answer.json, names, server.app.hashing.computed() - before));
    }
    assert_eq!(seen[0], seen[1]);
    assert!(server.mails_to("nobody@example.com").await.is_empty());
}

#[tokio::test]
async fn a_reset_ends_all_sessions_replaces_the_password_and_tells_the_owner() {
    let server = TestApp::start().await;
    let mut phone = server.signed_in(ANN).await;
    let token = forgotten(&server).await;
    server.advance(Duration::from_secs(1));
    let body = json!({ "token": token, "password": OTHER_PASSWORD });
    assert_eq!(server.client().post("/api/v1/password/reset", body.clone()).await.status, 200);
    assert_eq!(phone.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(phone.refresh().await.code(), "session_revoked");
    assert_eq!(
        (login_status(&server, PASSWORD).await, login_status(&server, OTHER_PASSWORD).await),
        (401, 200)
    );
    assert_eq!(server.client().post("/api/v1/password/reset", body).await.code(), "invalid_token", "used");
    // The latest mail tells of the new device that has just signed in.
    let subject = server.mails_to(ANN).await[1]["subject"].as_str().unwrap().to_lowercase();
    assert!(subject.contains("password"), "{subject}");
}

#[tokio::test]
async fn of_eight_parallel_uses_of_a_reset_link_one_succeeds() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let token = forgotten(&server).await;
    let calls: Vec<_> = (0..8)
        .map(|number| {
            let mut client = server.client();
            let body = json!({ "token": token, "password": format!("{OTHER_PASSWORD}-{number}") });
            tokio::spawn(async move { client.post("/api/v1/password/reset", body).await.status })
        })
        .collect();
    let mut done = 0;
    for call in calls {
        done += usize::from(call.await.unwrap() == 200);
    }
    assert_eq!(done, 1);
}

#[tokio::test]
async fn reset_links_expire_and_die_when_the_password_changes_or_another_is_asked_for() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let reset = |token: &str| json!({ "token": token, "password": "nine*purple*lanterns" });
    let expired = forgotten(&server).await;
    server.advance(Duration::from_secs(30 * 60));
    assert_eq!(server.client().post("/api/v1/password/reset", reset(&expired)).await.code(), "invalid_token");
    let former = forgotten(&server).await;
    let newer = forgotten(&server).await;
    assert_eq!(server.client().post("/api/v1/password/reset", reset(&former)).await.code(), "invalid_token");
    let answer = client.refresh().await;
    client.keep_tokens(&answer);
    let body = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    assert_eq!(client.post("/api/v1/password/change", body).await.status, 200);
    assert_eq!(server.client().post("/api/v1/password/reset", reset(&newer)).await.code(), "invalid_token");
}

#[tokio::test]
async fn a_weak_password_leaves_the_link_good_and_the_page_says_what_to_change() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let token = forgotten(&server).await;
    let body = json!({ "token": token, "password": "short" });
    let answer = server.client().post("/api/v1/password/reset", body).await;
    assert_eq!((answer.status, answer.problems().contains(&"password: too_short".to_owned())), (422, true));
    let page = server.client().get(&format!("/password/reset?token={token}")).await;
    assert!(page.status == 200 && page.text.contains("new-password"), "{}", page.text);
    let weak =
        server.client().post_form("/password/reset", &[("token", &token), ("password", "short")]).await;
    assert!(weak.status == 422 && weak.text.contains("at least 8 characters"), "{}", weak.text);
    let done = server
        .client()
        .post_form("/password/reset", &[("token", &token), ("password", OTHER_PASSWORD)])
        .await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(login_status(&server, OTHER_PASSWORD).await, 200);
    assert_eq!(server.client().get("/password/reset?token=nonsense").await.status, 400);
}

#[tokio::test]
async fn a_change_needs_the_present_password_and_ends_the_other_sessions_only() {
    let server = TestApp::start().await;
    let mut laptop = server.signed_in(ANN).await;
    let mut phone = server.sign_in(ANN).await;
    let change = |old: &str, new: &str| json!({ "currentPassword": old, "newPassword": new });
    let wrong = laptop.post("/api/v1/password/change", change(OTHER_PASSWORD, "nine*purple*lanterns")).await;
    assert_eq!((wrong.status, wrong.code()), (401, "invalid_credentials"));
    let same = laptop.post("/api/v1/password/change", change(PASSWORD, PASSWORD)).await;
    assert_eq!(same.problems(), ["newPassword: unchanged"]);
    server.advance(Duration::from_secs(1));
    let done = laptop.post("/api/v1/password/change", change(PASSWORD, OTHER_PASSWORD)).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let subject = server.latest_mail(ANN).await["subject"].to_string();
    assert!(subject.contains("password") && subject.contains("was changed"), "{subject}");
    assert_eq!(laptop.get("/api/v1/me").await.status, 200);
    assert_eq!(phone.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(
        (login_status(&server, PASSWORD).await, login_status(&server, OTHER_PASSWORD).await),
        (401, 200)
    );
}

#[tokio::test]
async fn reasons_of_a_refusal_are_machine_readable() {
    let server = TestApp::start().await;
    let long = "ab1-".repeat(64) + "x";
    let cases = [
        ("a", "too_short"),
        (long.as_str(), "too_long"),
        ("password123", "common"),
        ("Margaret1985", "contains_context"),
        ("aaaaaaaaaaaa", "too_guessable"),
    ];
    for (password, code) in cases {
        let body = json!({ "email": "margaret@example.com", "password": password });
        let answer = server.client().post("/api/v1/register", body).await;
        assert_eq!(answer.status, 422, "{password}");
        let problems = answer.problems();
        assert!(problems.contains(&format!("password: {code}")), "{password}: {problems:?}");
    }
    let just = "ab1-".repeat(64);
    let answer = server
        .client()
        .post("/api/v1/register", json!({ "email": ANN, "password": format!("{}Zq7!", &just[..252]) }))
        .await;
    assert_ne!(answer.problems(), ["password: too_long"]);
}

#[tokio::test]
async fn two_unicode_spellings_of_a_password_are_one() {
    let server = TestApp::start().await;
    server.sign_up_as(json!({ "email": ANN, "password": "caf\u{e9}-harbour-lantern" })).await;
    assert_eq!(login_status(&server, "cafe\u{301}-harbour-lantern").await, 200);
}

async fn stored_hash(server: &TestApp) -> String {
    let sql = "select password_hash from users where email_normalised = $1";
    let mut row = (&mut &server.app.db).query_opt(sql, &[ANN.into()]).await.unwrap().unwrap();
    row.text().unwrap()
}

async fn store_hash(server: &TestApp, hash: &str) {
    let mut tx = server.app.db.begin().await.unwrap();
    let params: [Param<'_>; 2] = [hash.into(), ANN.into()];
    tx.execute("update users set password_hash = $1 where email_normalised = $2", &params).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_bcrypt_hash_is_upgraded_at_sign_in_also_by_two_sign_ins_at_once() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    // Known answer of the John the Ripper test vectors.
    store_hash(&server, "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW").await;
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let mut client = server.client();
            let body = json!({ "email": ANN, "password": "U*U" });
            tokio::spawn(async move { client.post("/api/v1/login", body).await.status })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert!(stored_hash(&server).await.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_eq!(login_status(&server, "U*U").await, 200);
    assert_eq!(login_status(&server, "U*U*").await, 401);
}

#[tokio::test]
async fn a_stronger_setting_upgrades_hashes_at_the_next_sign_in() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let server =
        server.restart_with(|config| config.passwords.hash = hallpass::config::HashCost::Strong).await;
    assert_eq!(login_status(&server, PASSWORD).await, 200);
    assert!(stored_hash(&server).await.contains("m=65536,t=3"));
    assert_eq!(login_status(&server, PASSWORD).await, 200);
}

#[tokio::test]
async fn a_full_queue_answers_busy_with_a_time_to_retry() {
    let server = TestApp::start_with(|config| config.passwords.queue = 1).await;
    server.sign_up(ANN).await;
    let calls: Vec<_> = (0..30)
        .map(|number| {
            let mut client = server.client().at(&format!("10.0.0.{number}"));
            let body = json!({ "email": format!("u{number}@example.com"), "password": PASSWORD });
            tokio::spawn(async move { client.post("/api/v1/login", body).await })
        })
        .collect();
    let mut busy = 0;
    for call in calls {
        let answer = call.await.unwrap();
        assert!([401, 503].contains(&answer.status), "{}", answer.text);
        if answer.status == 503 {
            busy += 1;
            assert_eq!((answer.code(), answer.header("retry-after")), ("busy", "2"));
        }
    }
    assert!(busy > 0);
    assert_eq!(login_status(&server, PASSWORD).await, 200, "{}", Value::Null);
}

#[tokio::test]
async fn a_password_of_the_greatest_length_is_taken_whole_and_every_character_of_it_counts() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let words = "Correct mule battery staple ".repeat(10);
    let longest = format!(" {} ", words.chars().take(254).collect::<String>());
    assert_eq!(longest.chars().count(), 256);
    server.sign_up_as(json!({ "email": ANN, "password": longest })).await;
    assert_eq!(login_status(&server, &longest).await, 200);
    let cut: String = longest.chars().take(255).collect();
    let others = [cut.clone(), format!("{cut}x"), longest.trim().to_owned(), longest.to_lowercase()];
    for other in others {
        assert_eq!(login_status(&server, &other).await, 401, "{other:?}");
    }
}

#[tokio::test]
async fn spaces_emoji_and_every_script_are_fine_and_no_kind_of_character_is_required() {
    let passwords = [
        "correct mule battery staple",
        "\u{1f980} walks sideways home \u{1f30a}",
        "\u{43f}\u{44f}\u{442}\u{43d}\u{438}\u{446}\u{430} \u{43c}\u{43e}\u{43b}\u{43e}\u{43a}\u{43e}",
        "83927461058273649",
        "PLENTYOFWALNUTTREES",
        "<b>&quot;'--; \\ \t %00 ${x}",
    ];
    for password in passwords {
        let server = TestApp::start().await;
        server.sign_up_as(json!({ "email": ANN, "password": password })).await;
        assert_eq!(login_status(&server, password).await, 200, "{password}");
    }
}

#[tokio::test]
async fn a_password_does_not_age() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    server.advance(Duration::from_secs(5 * 365 * 86_400));
    hallpass::housekeeping::purge_once(&server.app).await.unwrap();
    assert_eq!(login_status(&server, PASSWORD).await, 200);
}

#[tokio::test]
async fn a_common_password_is_refused_at_registration_change_and_reset() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let token = forgotten(&server).await;
    let cases = [
        ("register", "password", json!({ "email": "bob@example.com", "password": "password123" })),
        (
            "password/change",
            "newPassword",
            json!({ "currentPassword": PASSWORD, "newPassword": "password123" }),
        ),
        ("password/reset", "password", json!({ "token": token, "password": "password123" })),
    ];
    for (path, field, body) in cases {
        let answer = client.post(&format!("/api/v1/{path}"), body).await;
        assert!(answer.problems().contains(&format!("{field}: common")), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn words_of_the_service_and_of_its_operator_make_no_password() {
    let server = TestApp::start_with(|config| {
        config.mail.product_name = "Turnipworks".into();
        config.server.public_url = Some("https://auth.cabbagefield.example".into());
        config.server.mode = hallpass::config::Mode::Development;
        config.passwords.context_words = vec!["marrowbridge".into()];
    })
    .await;
    for password in ["Turnipworks2026!", "cabbagefield99", "marrowbridge", "!!MARROWBRIDGE!!"] {
        let body = json!({ "email": ANN, "password": password });
        let answer = server.client().post("/api/v1/register", body).await;
        let problems = answer.problems();
        assert!(problems.contains(&"password: contains_context".to_owned()), "{password}: {problems:?}");
    }
}

#[tokio::test]
async fn the_form_masks_what_is_typed_and_leaves_paste_and_password_managers_alone() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let token = forgotten(&server).await;
    let page = server.client().get(&format!("/password/reset?token={token}")).await.text;
    let fields = page.split("<input").filter(|field| field.contains("name=\"password\""));
    let fields: Vec<&str> = fields.map(|field| field.split('>').next().unwrap()).collect();
    let [field] = fields[..] else { panic!("{page}") };
    assert!(
        field.contains("type=\"password\"") && field.contains("autocomplete=\"new-password\""),
        "{field}"
    );
    for hindrance in ["onpaste", "autocomplete=\"off\"", "readonly", "maxlength", "pattern"] {
        assert!(!field.contains(hindrance), "{field}");
    }
    assert!(!page.contains("<script") && !page.contains("value=\"\""), "nothing is filled in or watched");
}

#[tokio::test]
async fn no_call_knows_a_password_hint_or_a_secret_question() {
    let document = hallpass::openapi::document().to_lowercase();
    assert!(document.contains("currentpassword"), "the document lists the fields");
    for absent in ["hint", "question", "mother", "pet"] {
        let names = document.split('"').skip(1).step_by(2);
        // The hint of RFC 7662 is about a token.
        let names = names.filter(|name| !name.contains(' ') && *name != "token_type_hint");
        let names: Vec<&str> = names.filter(|name| name.contains(absent)).collect();
        assert!(names.is_empty(), "{absent}: {names:?}");
    }
}

#[tokio::test]
async fn asking_for_a_reset_changes_nothing_and_works_while_sign_ins_have_to_wait() {
    let server = TestApp::start().await;
    let mut phone = server.signed_in(ANN).await;
    for _ in 0..5 {
        assert_eq!(login_status(&server, OTHER_PASSWORD).await, 401);
    }
    assert_eq!(login_status(&server, PASSWORD).await, 429);
    let token = forgotten(&server).await;
    assert_eq!(phone.get("/api/v1/me").await.status, 200, "the session lives on");
    server.advance(Duration::from_secs(1));
    assert_eq!(login_status(&server, PASSWORD).await, 200, "the password is still good");
    let body = json!({ "token": token, "password": OTHER_PASSWORD });
    let mut browser = server.client();
    let done = browser.post("/api/v1/password/reset", body).await;
    assert_eq!(done.json, json!({ "message": "The password was set. Sign in with it." }));
    assert!(browser.cookies.is_empty(), "a reset signs nobody in");
}

#[tokio::test]
async fn mailed_links_name_the_configured_address_whatever_the_request_says() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    server.advance(Duration::from_secs(1));
    let mut caller = server
        .client()
        .with_header("host", "evil.example")
        .with_header("x-forwarded-host", "evil.example")
        .with_header("forwarded", "host=evil.example");
    assert_eq!(caller.post("/api/v1/password/forgot", json!({ "email": ANN })).await.status, 202);
    let mail = server.latest_mail(ANN).await;
    assert!(!mail.to_string().contains("evil.example"), "{mail}");
    assert!(
        mail["links"][0].as_str().unwrap().starts_with("http://localhost:3000/password/reset?"),
        "{mail}"
    );
}
