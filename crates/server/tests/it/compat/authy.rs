//! Authy, as its page walks through it, and the defects that its routes must not bring back.
use super::{ANN, COOKIES, OTHERS_PASSWORD, PASSWORD, authy, authy_on, message, told};
use crate::support::{Answer, Client, TestApp};
use axum::http::Method;
use hallpass::config::Mode;
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

pub(super) async fn register(client: &mut Client, email: &str) -> Answer {
    client.post("/api/v1/register", json!({ "name": "Ann", "email": email, "password": PASSWORD })).await
}

/// The path of the link in the newest mail that has one.
pub(super) async fn mailed_path(server: &TestApp, email: &str) -> String {
    let mails = server.mails_to(email).await;
    let link = mails.iter().find_map(|mail| mail["links"][0].as_str()).unwrap();
    link.strip_prefix(&server.app.public_url).unwrap_or(link).to_owned()
}

pub(super) async fn login(client: &mut Client, email: &str) -> Answer {
    client.post("/api/v1/login", json!({ "email": email, "password": PASSWORD })).await
}

/// Password and mailed code.
pub(super) async fn sign_in(server: &TestApp, client: &mut Client, email: &str) -> Answer {
    assert_eq!(login(client, email).await.status, 200);
    let otp = server.mailed_code(email).await;
    client.post("/api/v1/verify", json!({ "email": email, "otp": otp })).await
}

/// A server with an account, whose owner's browser is signed in.
pub(super) async fn with_ann() -> (TestApp, Client) {
    let server = authy().await;
    let mut browser = server.client();
    register(&mut browser, ANN).await;
    let path = mailed_path(&server, ANN).await;
    assert_eq!(browser.get(&path).await.status, 201);
    assert_eq!(sign_in(&server, &mut browser, ANN).await.status, 200);
    (server, browser)
}

#[tokio::test]
async fn its_walk_through_goes_word_for_word() {
    let server = authy().await;
    let mut browser = server.client();
    let answer = register(&mut browser, ANN).await;
    let words = "If your email is valid, a verification link has been sent. It will expire in 24 hours";
    assert_eq!(told(&answer), (200, words), "{}", answer.text);
    assert!(COOKIES.iter().all(|name| answer.set_cookie(name).is_none()));
    assert_eq!(told(&login(&mut browser, ANN).await), (400, "Invalid credentials"), "no account yet");

    let path = mailed_path(&server, ANN).await;
    assert!(path.starts_with("/api/v1/verify/"), "{path}");
    let opened = browser.get(&path).await;
    assert_eq!(told(&opened), (201, "Account created & Email verified"), "{}", opened.text);
    assert_eq!((&opened.json["user"]["name"], &opened.json["user"]["email"]), (&json!("Ann"), &json!(ANN)));
    assert!(opened.json["user"]["_id"].is_string());
    assert_eq!(told(&browser.get(&path).await), (400, "Verification expired"), "once");

    let first = login(&mut browser, ANN).await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(message(&first), "An OTP has been sent to your email. It will be valid for 5 minutes");
    assert!(COOKIES.iter().all(|name| first.set_cookie(name).is_none()), "no tokens yet");
    let otp = server.mailed_code(ANN).await;
    // Its page signs in as one address and verifies another; that must fail.
    let other = browser.post("/api/v1/verify", json!({ "email": "ved@example.com", "otp": otp })).await;
    assert_eq!(told(&other), (400, "OTP expired"));
    let done = browser.post("/api/v1/verify", json!({ "email": ANN, "otp": otp })).await;
    assert_eq!(told(&done), (200, "Welcome Ann"), "{}", done.text);
    let expected = [
        ("accessToken", "Path=/; Max-Age=900; HttpOnly; SameSite=Lax"),
        ("refreshToken", "Path=/; Max-Age=604800; HttpOnly; SameSite=Strict"),
        ("csrfToken", "Path=/; Max-Age=604800; SameSite=Lax"),
    ];
    for (name, attributes) in expected {
        assert!(done.set_cookie(name).unwrap().ends_with(attributes), "{:?}", done.set_cookie(name));
    }
    assert_eq!(done.json["sessionInfo"]["csrfToken"], browser.cookie("csrfToken").unwrap());
    assert!(done.json["accessToken"].is_null() && done.json["refreshToken"].is_null());
    assert!(!done.text.contains("argon2") && !done.text.contains(&otp));

    let me = browser.get("/api/v1/me").await;
    assert_eq!((me.status, &me.json["user"]["email"]), (200, &json!(ANN)));
    assert_eq!((&me.json["user"]["_id"], &me.json["user"]["role"]), (&me.json["user"]["id"], &json!("user")));
    for field in ["sessionId", "loginTime", "lastActivity"] {
        assert!(me.json["sessionInfo"][field].is_string(), "{field}");
    }

    let refreshed = browser.post_nothing("/api/v1/refresh").await;
    assert_eq!(told(&refreshed), (200, "Token refreshed"), "{}", refreshed.text);
    assert!(COOKIES.iter().all(|name| refreshed.set_cookie(name).is_some()));

    let refused = browser.post_nothing("/api/v1/logout").await;
    assert_eq!((refused.status, refused.code()), (403, "CSRF_TOKEN_MISSING"));
    let csrf = browser.cookie("csrfToken").unwrap().to_owned();
    let mut browser = browser.with_header("x-csrf-token", &csrf);
    assert_eq!(told(&browser.post_nothing("/api/v1/logout").await), (200, "Logged out successfully"));
    assert!(COOKIES.iter().all(|name| browser.cookie(name).is_none()));
    assert_eq!(told(&browser.get("/api/v1/me").await), (403, "Please Login - no token"));
}

#[tokio::test]
async fn its_failures_have_their_status_and_words_and_always_a_code() {
    let (server, mut browser) = with_ann().await;
    let mut nobody = server.client();
    for body in [json!({}), json!({ "email": 7 }), json!({ "email": "x", "password": "" })] {
        for path in ["/api/v1/register", "/api/v1/login", "/api/v1/verify"] {
            let answer = nobody.post(path, body.clone()).await;
            assert_eq!((answer.status, answer.code()), (400, "validation_failed"), "{path} {body}");
            let problem = &answer.json["error"][0];
            assert_eq!(problem["message"], answer.json["message"]);
            assert!(problem["field"].is_string() && problem["code"].is_string());
        }
    }
    let wrong = json!({ "email": ANN, "password": "not-the-password" });
    let unknown = json!({ "email": "nobody@example.com", "password": "not-the-password" });
    for body in [wrong, unknown] {
        let answer = nobody.post("/api/v1/login", body).await;
        assert_eq!(told(&answer), (400, "Invalid credentials"));
        assert_eq!(answer.header("www-authenticate"), "", "only a 401 asks for a token");
    }
    login(&mut nobody, ANN).await;
    let answer = nobody.post("/api/v1/verify", json!({ "email": ANN, "otp": "000000" })).await;
    assert_eq!((answer.status, message(&answer), answer.code()), (400, "Invalid OTP", "invalid_code"));
    server.advance(MINUTE * 6);
    let late = json!({ "email": ANN, "otp": server.mailed_code(ANN).await });
    assert_eq!(told(&nobody.post("/api/v1/verify", late).await), (400, "OTP expired"));
    assert_eq!(
        told(&nobody.post_nothing("/api/v1/verify/no-such-token").await),
        (400, "Verification expired")
    );
    let none = server.client().post_nothing("/api/v1/refresh").await;
    assert_eq!(
        (none.status, message(&none), none.code()),
        (401, "Invalid refresh token", "invalid_refresh_token")
    );

    let mut evil = browser.clone().with_header("x-csrf-token", "0".repeat(64).as_str());
    let forged = evil.post_nothing("/api/v1/logout").await;
    assert_eq!((forged.status, forged.code()), (403, "CSRF_TOKEN_INVALID"));
    assert_eq!(browser.get("/api/v1/me").await.status, 200);
    // Words of people who try and try.
    let mut answer = login(&mut nobody, ANN).await;
    for _ in 0..12 {
        answer = nobody.post("/api/v1/login", json!({ "email": "x@example.com", "password": "guess" })).await;
    }
    assert_eq!(told(&answer), (429, "Too many requests, try again later"));
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_sign_in_elsewhere_ends_the_former_one_and_takes_its_cookies() {
    let (server, mut phone) = with_ann().await;
    let mut laptop = server.client().at("203.0.113.5").with_agent("another browser");
    login(&mut laptop, ANN).await;
    assert_eq!(phone.get("/api/v1/me").await.status, 200, "the password alone forces nobody out");
    let otp = server.mailed_code(ANN).await;
    assert_eq!(laptop.post("/api/v1/verify", json!({ "email": ANN, "otp": otp })).await.status, 200);
    let mut refresher = phone.clone();
    let out = phone.get("/api/v1/me").await;
    assert_eq!(out.status, 401);
    assert!(message(&out).starts_with("Session Expired. You have been logged in from another device"));
    assert!(COOKIES.iter().all(|name| phone.cookie(name).is_none()));
    let out = refresher.post_nothing("/api/v1/refresh").await;
    assert_eq!((out.status, out.code()), (401, "session_revoked"));
    assert!(message(&out).starts_with("Session Expired"));
    assert!(COOKIES.iter().all(|name| refresher.cookie(name).is_none()));
    assert_eq!(laptop.get("/api/v1/me").await.status, 200);
}

#[tokio::test]
async fn of_sign_ins_at_the_same_moment_one_session_is_left() {
    let (server, _) = with_ann().await;
    let mut ready = Vec::new();
    for number in 0..6 {
        let mut client = server.client().with_agent(&format!("browser {number}"));
        assert_eq!(login(&mut client, ANN).await.status, 200);
        ready.push((client, server.mailed_code(ANN).await));
    }
    let calls = ready.into_iter().map(|(mut client, otp)| async move {
        let answer = client.post("/api/v1/verify", json!({ "email": ANN, "otp": otp })).await;
        (client, answer.status)
    });
    let mut done = futures_util::future::join_all(calls).await;
    assert!(done.iter().all(|(_, status)| *status == 200));
    let mut live = 0;
    for (client, _) in &mut done {
        live += usize::from(client.get("/api/v1/me").await.status == 200);
    }
    assert_eq!(live, 1);
}

#[tokio::test]
async fn the_link_alone_serves_the_browser_that_registered_and_nobody_else() {
    let server = authy().await;
    let mut browser = server.client();
    register(&mut browser, ANN).await;
    let path = mailed_path(&server, ANN).await;
    // A scanner, a prefetch, a link checker.
    let shown = server.client().get(&path).await;
    assert_eq!(shown.status, 200);
    assert!(
        shown.header("content-type").starts_with("text/html") && shown.text.contains("<button"),
        "{}",
        shown.text
    );
    let ahead = browser.clone().raw(Method::GET, &path, &[("sec-purpose", "prefetch")], Vec::new()).await;
    assert_eq!((ahead.status, ahead.code()), (400, "bad_request"));
    assert_eq!(browser.clone().raw(Method::HEAD, &path, &[], Vec::new()).await.status, 200);
    assert_eq!(login(&mut server.client(), ANN).await.status, 400, "nothing has come into being");
    let accept = [("accept", "text/html,application/xhtml+xml"), ("sec-fetch-site", "cross-site")];
    let page = browser.raw(Method::GET, &path, &accept, Vec::new()).await;
    assert_eq!(page.status, 200, "from the mail, which is another site");
    assert!(page.text.contains("Your address is confirmed"), "{}", page.text);
    assert_eq!(sign_in(&server, &mut browser, ANN).await.status, 200);
    let late = browser.raw(Method::GET, &path, &accept, Vec::new()).await;
    assert!(late.status == 400 && late.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn nobody_plants_a_password_on_anothers_address() {
    let server = authy().await;
    let mut squatter = server.client();
    register(&mut squatter, ANN).await;
    let path = mailed_path(&server, ANN).await;
    let mut owner = server.client().at("203.0.113.5").with_agent("the owner's");
    let verified = owner.post_nothing(&path).await;
    assert_eq!(
        (verified.status, &verified.json["status"]),
        (201, &json!("password_required")),
        "{}",
        verified.text
    );
    assert_eq!(login(&mut squatter, ANN).await.status, 400, "the squatter's password opens nothing");
    let body = json!({ "token": verified.json["passwordToken"], "password": OTHERS_PASSWORD });
    assert_eq!(owner.post("/api/v1/password/reset", body).await.status, 200);
    assert_eq!(
        owner.post("/api/v1/login", json!({ "email": ANN, "password": OTHERS_PASSWORD })).await.status,
        200
    );
    // The page with the button leads there as well.
    register(&mut squatter, "bob@example.com").await;
    let path = mailed_path(&server, "bob@example.com").await;
    let token = path.rsplit('/').next().unwrap();
    let page = owner.post_form("/verify-email", &[("token", token)]).await;
    assert!(page.status == 200 && page.text.contains("password"), "{}", page.text);
}

#[tokio::test]
async fn a_known_address_is_told_to_its_mailbox_or_by_setting_to_everybody() {
    let (server, _) = with_ann().await;
    let unknown = register(&mut server.client(), "new@example.com").await;
    let known = register(&mut server.client(), ANN).await;
    assert_eq!((told(&known), known.text.len()), (told(&unknown), unknown.text.len()));
    assert!(server.latest_mail(ANN).await["text"].as_str().unwrap().contains("already"));
    let server = server.restart_with(|config| config.compat.tell_known_addresses = true).await;
    let mails = server.mails_to(ANN).await.len();
    let known = register(&mut server.client(), ANN).await;
    assert_eq!((told(&known), known.code()), ((400, "Email already in use"), "email_taken"));
    assert_eq!(server.mails_to(ANN).await.len(), mails);
    let weak = json!({ "name": "Ann", "email": ANN, "password": "123456" });
    assert_eq!(
        server.client().post("/api/v1/register", weak).await.code(),
        "validation_failed",
        "rules come first"
    );
}

#[tokio::test]
async fn a_code_serves_only_who_passed_the_password_and_dies_after_five_tries() {
    let (server, _) = with_ann().await;
    let mut browser = server.client();
    login(&mut browser, ANN).await;
    let otp = server.mailed_code(ANN).await;
    let body = json!({ "email": ANN, "otp": otp });
    let mut stranger = server.client().at("198.51.100.7").with_agent("curl/8");
    assert_eq!(told(&stranger.post("/api/v1/verify", body.clone()).await), (400, "OTP expired"));
    let resend = stranger.post("/api/v1/verify/resend", json!({ "email": ANN })).await;
    assert_eq!(resend.code(), "invalid_attempt", "no code without the password");
    // Another network, or another program, is another client, which an address alone does not name the attempt for.
    for mut other in [server.client().at("198.51.100.7"), server.client().with_agent("curl/8")] {
        assert_eq!(told(&other.post("/api/v1/verify", body.clone()).await), (400, "OTP expired"));
    }
    let guess = if otp == "123456" { "654321" } else { "123456" };
    for _ in 0..5 {
        browser.post("/api/v1/verify", json!({ "email": ANN, "otp": guess })).await;
        server.advance(Duration::from_secs(20));
    }
    assert_eq!(told(&browser.post("/api/v1/verify", body).await), (400, "OTP expired"));
}

#[tokio::test]
async fn operators_of_queries_reach_nothing_in_bodies_and_cookies() {
    let (server, browser) = with_ann().await;
    for operator in [json!({ "$gt": "" }), json!({ "$ne": null }), json!([ANN])] {
        for path in ["/api/v1/login", "/api/v1/register", "/api/v1/verify"] {
            for body in [
                json!({ "email": operator, "password": PASSWORD, "otp": "123456" }),
                json!({ "email": ANN, "password": operator, "otp": operator }),
            ] {
                assert_eq!(browser.clone().post(path, body).await.status, 400, "{path}");
            }
        }
    }
    for value in ["j:{\"$ne\":null}", "j%3A%7B%22%24ne%22%3Anull%7D"] {
        let mut client = server.client();
        for name in ["accessToken", "refreshToken", "attempt"] {
            client.cookies.insert(name.into(), (value.into(), "/".into()));
        }
        assert_eq!(client.clone().post_nothing("/api/v1/refresh").await.status, 401);
        assert!([401, 403].contains(&client.get("/api/v1/me").await.status));
        let answer = client.post("/api/v1/verify", json!({ "email": ANN, "otp": "123456" })).await;
        assert_eq!(answer.status, 400);
    }
    // A refresh token is no access token.
    let mut swapped = server.client();
    let token = browser.cookie("refreshToken").unwrap().to_owned();
    swapped.cookies.insert("accessToken".into(), (token, "/".into()));
    assert!([401, 403].contains(&swapped.get("/api/v1/me").await.status));
}

#[tokio::test]
async fn cookies_of_a_front_end_on_another_site_and_its_page_for_the_link() {
    let server = TestApp::start_with(|config| {
        authy_on(config);
        config.server.public_url = Some("https://auth.example.com".into());
        config.server.mode = Mode::Development;
        config.server.allowed_origins = vec!["https://app.example.net".into()];
        config.compat.cross_site_cookies = true;
        config.compat.verify_page = Some("https://app.example.net/token/".into());
    })
    .await;
    let mut browser = server
        .client()
        .with_header("origin", "https://app.example.net")
        .with_header("sec-fetch-site", "cross-site");
    register(&mut browser, ANN).await;
    let mailed = mailed_path(&server, ANN).await;
    let token = mailed.strip_prefix("https://app.example.net/token/").unwrap();
    assert_eq!(browser.post_nothing(&format!("/api/v1/verify/{token}")).await.status, 201);
    let done = sign_in(&server, &mut browser, ANN).await;
    assert_eq!(done.status, 200, "{}", done.text);
    for name in COOKIES {
        let line = done.set_cookie(name).unwrap();
        assert!(line.contains("; Secure; SameSite=None"), "{line}");
    }
    // Such a page cannot read the cookie; the token is in the body.
    let csrf = done.json["sessionInfo"]["csrfToken"].as_str().unwrap().to_owned();
    let evil = [("origin", "https://evil.example"), ("x-csrf-token", csrf.as_str())];
    let mut forced = browser.clone();
    forced.extra.clear();
    for path in ["/api/v1/logout", "/api/v1/refresh", "/api/v1/refresh-csrf"] {
        let answer = forced.raw(Method::POST, path, &evil, Vec::new()).await;
        assert_eq!((answer.status, answer.code()), (403, "origin_not_allowed"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
    let mut browser = browser.with_header("x-csrf-token", &csrf);
    assert_eq!(browser.post_nothing("/api/v1/logout").await.status, 200);
    assert!(COOKIES.iter().all(|name| browser.cookie(name).is_none()));
    assert_eq!(done.json["user"]["name"], Value::from("Ann"));
}
