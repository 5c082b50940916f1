//! What the front ends of Authy's family and of Authify do on their own: when they refresh, when they try again.
use super::authy::{login, sign_in, with_ann};
use super::{ANN, COOKIES, PASSWORD, authify, authy_on};
use crate::support::{Answer, Client, TestApp};
use axum::http::Method;
use serde_json::json;
use std::time::Duration;

/// What their interceptor does with an answer.
enum Next {
    Refresh,
    AskForCsrf,
    Nothing,
}

/// Those that refresh on any 403 but one about CSRF.
fn on_403(answer: &Answer) -> Next {
    match (answer.status, answer.code().starts_with("CSRF_")) {
        (403, true) => Next::AskForCsrf,
        (403, false) => Next::Refresh,
        _ => Next::Nothing,
    }
}

/// Those that refresh on a 401 with the one code.
fn on_expired(answer: &Answer) -> Next {
    match (answer.status, answer.code()) {
        (401, "ACCESS_TOKEN_EXPIRED") => Next::Refresh,
        (403, code) if code.starts_with("CSRF_") => Next::AskForCsrf,
        _ => Next::Nothing,
    }
}

/// A call as axios makes it, once more after what the interceptor does about a failure.
async fn call(client: &mut Client, habit: fn(&Answer) -> Next, method: Method, path: &str) -> Answer {
    let first = attempt(client, method.clone(), path).await;
    match habit(&first) {
        Next::Refresh => {
            assert_eq!(attempt(client, Method::POST, "/api/v1/refresh").await.status, 200);
        }
        Next::AskForCsrf => {
            let answer = attempt(client, Method::POST, "/api/v1/refresh-csrf").await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(answer.json["csrfToken"], client.cookie("csrfToken").unwrap());
        }
        Next::Nothing => return first,
    }
    attempt(client, method, path).await
}

async fn attempt(client: &mut Client, method: Method, path: &str) -> Answer {
    let csrf = client.cookie("csrfToken").unwrap_or_default().to_owned();
    let mut headers =
        vec![("accept", "application/json, text/plain, */*"), ("sec-fetch-site", "same-origin")];
    if !csrf.is_empty() {
        headers.push(("x-csrf-token", &csrf));
    }
    // An empty object is what axios posts for `{}`.
    let body = if method == Method::POST { b"{}".to_vec() } else { Vec::new() };
    if method == Method::POST {
        headers.push(("content-type", "application/json"));
    }
    client.raw(method, path, &headers, body).await
}

/// What a browser does with a cookie whose life is over.
fn forget(client: &mut Client, name: &str) {
    client.cookies.remove(name).unwrap();
}

#[tokio::test]
async fn a_missing_access_cookie_is_a_403_on_which_they_refresh_and_try_again() {
    let (server, mut browser) = with_ann().await;
    server.advance(Duration::from_secs(901));
    forget(&mut browser, "accessToken");
    let missing = browser.clone().get("/api/v1/me").await;
    assert_eq!((missing.status, missing.code()), (403, "ACCESS_TOKEN_EXPIRED"));
    assert!(browser.cookie("refreshToken").is_some(), "still needed");
    let me = call(&mut browser, on_403, Method::GET, "/api/v1/me").await;
    assert_eq!((me.status, &me.json["user"]["email"]), (200, &json!(ANN)));
    // An expired token that still comes, from a browser whose clock is late: 401, and no cookie is lost.
    let mut late = browser.clone();
    server.advance(Duration::from_secs(1000));
    let expired = late.get("/api/v1/me").await;
    assert_eq!((expired.status, expired.code()), (401, "ACCESS_TOKEN_EXPIRED"));
    assert!(late.cookie("refreshToken").is_some() && late.cookie("accessToken").is_some());
}

#[tokio::test]
async fn with_the_other_setting_it_is_a_401_with_the_code_that_others_wait_for() {
    let server = TestApp::start_with(|config| {
        authy_on(config);
        config.compat.missing_access_status = 401;
    })
    .await;
    let mut browser = server.client();
    super::authy::register(&mut browser, ANN).await;
    let path = super::authy::mailed_path(&server, ANN).await;
    browser.get(&path).await;
    sign_in(&server, &mut browser, ANN).await;
    forget(&mut browser, "accessToken");
    assert_eq!(call(&mut browser, on_expired, Method::GET, "/api/v1/me").await.status, 200);
    let nobody = server.client().get("/api/v1/me").await;
    assert_eq!((nobody.status, nobody.code()), (401, "NOT_AUTHENTICATED"), "nothing to refresh with");
}

#[tokio::test]
async fn a_lost_csrf_cookie_is_asked_for_and_the_sign_out_tried_again() {
    for habit in [on_403, on_expired] {
        let (_server, mut browser) = with_ann().await;
        forget(&mut browser, "csrfToken");
        let out = call(&mut browser, habit, Method::POST, "/api/v1/logout").await;
        assert_eq!(out.status, 200, "{}", out.text);
        assert!(COOKIES.iter().all(|name| browser.cookie(name).is_none()));
        // Pressed twice.
        assert_eq!(attempt(&mut browser, Method::POST, "/api/v1/logout").await.status, 200);
    }
}

#[tokio::test]
async fn signing_out_works_after_the_access_cookie_has_gone() {
    let (server, mut browser) = with_ann().await;
    server.advance(Duration::from_secs(1000));
    forget(&mut browser, "accessToken");
    let mut twin = browser.clone();
    assert_eq!(attempt(&mut browser, Method::POST, "/api/v1/logout").await.status, 200);
    assert_eq!(attempt(&mut twin, Method::POST, "/api/v1/refresh").await.status, 401, "the session is over");
}

#[tokio::test]
async fn the_csrf_token_of_another_session_is_given_to_nobody() {
    let (server, browser) = with_ann().await;
    let stranger = server.client().post_nothing("/api/v1/refresh-csrf").await;
    assert_eq!((stranger.status, stranger.code()), (403, "NOT_AUTHENTICATED"));
    let foreign = [("origin", "https://evil.example")];
    let answer = browser.clone().raw(Method::POST, "/api/v1/refresh-csrf", &foreign, Vec::new()).await;
    assert_eq!((answer.status, answer.code()), (403, "origin_not_allowed"));
    let changed = browser.clone().patch("/api/v1/me", json!({ "name": "Eve" })).await;
    assert_eq!((changed.status, changed.code()), (403, "csrf_failed"), "native routes stay as they are");
}

#[tokio::test]
async fn a_code_comes_as_number_or_with_spaces_and_a_second_try_asks_again() {
    let (server, _) = with_ann().await;
    let mut browser = server.client();
    login(&mut browser, ANN).await;
    let otp = server.mailed_code(ANN).await;
    let number: u64 = otp.parse().unwrap();
    let done = browser.post("/api/v1/verify", json!({ "email": "Ann@Example.com ", "otp": number })).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let mut browser = server.client();
    login(&mut browser, ANN).await;
    let spaced = format!(" {} ", server.mailed_code(ANN).await);
    assert_eq!(browser.post("/api/v1/verify", json!({ "email": ANN, "otp": spaced })).await.status, 200);
}

#[tokio::test]
async fn tokens_of_the_former_server_that_browsers_still_have_stand_in_nobodys_way() {
    let old = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpZCI6IjY1In0.c2ln";
    let (server, _) = with_ann().await;
    let mut browser = server.client();
    for name in COOKIES {
        browser.cookies.insert(name.into(), (old.into(), "/".into()));
    }
    assert_eq!(attempt(&mut browser, Method::GET, "/api/v1/me").await.status, 403, "as one without a token");
    assert_eq!(attempt(&mut browser, Method::POST, "/api/v1/refresh").await.status, 401);
    assert!(COOKIES.iter().all(|name| browser.cookie(name).is_none()), "dead ones go");
    for name in COOKIES {
        browser.cookies.insert(name.into(), (old.into(), "/".into()));
    }
    assert_eq!(sign_in(&server, &mut browser, ANN).await.status, 200);
    assert_eq!(attempt(&mut browser, Method::GET, "/api/v1/me").await.status, 200, "ours took their place");
    let mut again = browser.clone();
    assert_eq!(attempt(&mut again, Method::POST, "/api/v1/refresh").await.status, 200);

    let server = authify().await;
    let mut browser = server.client();
    browser.cookies.insert("refreshToken".into(), (old.into(), "/".into()));
    let body = json!({ "username": "ann", "email": ANN, "password": PASSWORD });
    assert_eq!(browser.post("/api/auth/register", body).await.status, 201);
    assert_eq!(browser.get("/api/auth/refresh-token").await.status, 200);
}
