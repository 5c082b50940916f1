//! Authify, as its page walks through it, and the defects that its routes must not bring back.
use super::{ANN, OTHERS_PASSWORD, PASSWORD, authify, authify_on, message, told};
use crate::support::{Answer, Client, TestApp};
use axum::http::Method;
use hallpass::config::{Mode, RegistrationMode};
use serde_json::{Value, json};
use std::time::Duration;

async fn register(client: &mut Client, username: &str, email: &str) -> Answer {
    let body = json!({ "username": username, "email": email, "password": PASSWORD });
    let answer = client.post("/api/auth/register", body).await;
    client.keep_tokens(&answer);
    answer
}

async fn login(client: &mut Client, email: &str) -> Answer {
    let answer = client.post("/api/auth/login", json!({ "email": email, "password": PASSWORD })).await;
    client.keep_tokens(&answer);
    answer
}

/// A server with an account, and its owner's browser, signed in.
async fn with_ann() -> (TestApp, Client) {
    let server = authify().await;
    let mut browser = server.client();
    assert_eq!(register(&mut browser, "ann", ANN).await.status, 201);
    (server, browser)
}

#[tokio::test]
async fn its_walk_through_goes_word_for_word() {
    let server = authify().await;
    let mut browser = server.client();
    let answer = register(&mut browser, "ann", ANN).await;
    assert_eq!(told(&answer), (201, "User registered successfully"), "{}", answer.text);
    assert_eq!(answer.json["user"]["email"], ANN);
    assert!(answer.json["user"]["id"].is_string() && answer.json["accessToken"].is_string());
    assert!(answer.set_cookie("refreshToken").is_some(), "in at once");
    assert!(answer.json.get("refreshToken").is_none() && !answer.text.contains("$argon2"));

    let mut browser = server.client();
    let answer = login(&mut browser, ANN).await;
    assert_eq!(told(&answer), (201, "User logged in successfully"), "{}", answer.text);
    assert_eq!(
        (&answer.json["user"]["uesrname"], &answer.json["user"]["username"]),
        (&json!("ann"), &json!("ann"))
    );
    assert_eq!(answer.json["accessToken"], answer.json["token"]);
    let line = answer.set_cookie("refreshToken").unwrap();
    assert!(line.ends_with("; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict"), "{line}");

    let me = browser.get("/api/auth/get-me").await;
    assert_eq!(told(&me), (200, "User fetched successfully"));
    assert_eq!((&me.json["user"]["username"], &me.json["user"]["email"]), (&json!("ann"), &json!(ANN)));

    let former = browser.cookie("refreshToken").unwrap().to_owned();
    let refreshed = browser.get("/api/auth/refresh-token").await;
    assert_eq!(told(&refreshed), (200, "Access Token refreshed successfully"));
    assert_eq!(refreshed.header("cache-control"), "no-store");
    assert_ne!(browser.cookie("refreshToken").unwrap(), former, "rotated");
    browser.keep_tokens(&refreshed);
    assert_eq!(browser.get("/api/auth/get-me").await.status, 200);

    let out = browser.get("/api/auth/logout").await;
    assert_eq!(told(&out), (200, "user logged out successfully"));
    assert!(browser.cookie("refreshToken").is_none());
    assert_eq!(told(&browser.get("/api/auth/get-me").await).0, 401, "at once, not after 15 minutes");

    let (mut phone, mut laptop) = (server.client(), server.client());
    login(&mut phone, ANN).await;
    login(&mut laptop, ANN).await;
    let out = laptop.get("/api/auth/logout-all").await;
    assert_eq!(told(&out), (200, "Logged out form all devices successfully"));
    assert!(laptop.cookie("refreshToken").is_none());
    assert_eq!(phone.get("/api/auth/get-me").await.status, 401);
    assert_eq!(phone.get("/api/auth/refresh-token").await.status, 401);
}

#[tokio::test]
async fn its_failures_have_their_status_and_words_and_always_a_code() {
    let (server, _) = with_ann().await;
    let mut other = server.client();
    for (username, email) in [("ann", "bob@example.com"), ("bob", ANN), ("Ann", "bob@example.com")] {
        let taken = register(&mut other, username, email).await;
        assert_eq!(told(&taken), (409, "Username or Email is already exists"), "{username} {email}");
    }
    let wrong = json!({ "email": ANN, "password": "not-the-password" });
    let unknown = json!({ "email": "nobody@example.com", "password": "not-the-password" });
    for body in [wrong, unknown] {
        let answer = server.client().post("/api/auth/login", body).await;
        assert_eq!(told(&answer), (401, "Invalid email or password"));
        assert_eq!(answer.code(), "invalid_credentials");
        assert_eq!(answer.header("content-type"), "application/json");
    }
    let mut nobody = server.client();
    assert_eq!(told(&nobody.get("/api/auth/get-me").await), (401, "Token not found"));
    let words = "Refresh token not found, You are not allowed to access this page";
    assert_eq!(told(&nobody.get("/api/auth/refresh-token").await), (401, words));
    assert_eq!(told(&nobody.get("/api/auth/logout").await), (400, "Refresh token not found"));
    assert_eq!(told(&nobody.get("/api/auth/logout-all").await), (400, "Refresh Token Not Found"));
    for (path, status) in [("refresh-token", 401), ("logout", 400), ("logout-all", 401)] {
        nobody.cookies.insert("refreshToken".into(), ("eyJhbGciOiJIUzI1NiJ9.e30.x".into(), "/".into()));
        let answer = nobody.get(&format!("/api/auth/{path}")).await;
        assert_eq!(told(&answer), (status, "Invalid Refresh Token"), "{path}");
        assert!(
            !answer.code().is_empty() && nobody.cookie("refreshToken").is_none(),
            "{path}: a dead cookie goes"
        );
    }
    // What ended in a 500 page with paths of files there.
    for body in [json!({}), json!({ "email": ANN }), json!({ "email": 1, "password": [] })] {
        for path in ["/api/auth/register", "/api/auth/login"] {
            let answer = server.client().post(path, body.clone()).await;
            assert_eq!((answer.status, answer.code()), (400, "validation_failed"), "{path} {body}");
            assert_eq!(answer.json["error"][0]["message"], answer.json["message"]);
        }
    }
    let broken = [("content-type", "application/json")];
    for path in ["/api/auth/register", "/api/auth/login"] {
        let answer = server.client().raw(Method::POST, path, &broken, b"{".to_vec()).await;
        assert_eq!((answer.status, answer.code()), (400, "malformed_json"));
    }
    let unnamed = json!({ "email": "carl@example.com", "password": PASSWORD });
    for username in [None, Some(Value::Null), Some(json!("")), Some(json!(" "))] {
        let mut body = unnamed.clone();
        if let Some(username) = username {
            body["username"] = username;
        }
        let answer = server.client().post("/api/auth/register", body.clone()).await;
        assert_eq!((answer.status, &answer.json["error"][0]["field"]), (400, &json!("username")), "{body}");
    }
}

#[tokio::test]
async fn state_changes_by_get_are_taken_from_own_pages_only_and_never_ahead_of_a_wish() {
    let (server, browser) = with_ann().await;
    let refused = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ];
    for path in ["/api/auth/refresh-token", "/api/auth/logout", "/api/auth/logout-all"] {
        for method in [Method::GET, Method::POST] {
            for (name, value) in refused {
                let mut caller = browser.clone();
                let answer = caller.raw(method.clone(), path, &[(name, value)], Vec::new()).await;
                assert!(
                    [400, 403].contains(&answer.status),
                    "{method} {path} {name}: {value}: {}",
                    answer.text
                );
                assert!(!message(&answer).is_empty() && !answer.code().is_empty());
                assert!(answer.headers.get("set-cookie").is_none(), "{method} {path} {name}: {value}");
            }
        }
        let head = browser.clone().raw(Method::HEAD, path, &[], Vec::new()).await;
        assert_eq!(head.status, 405, "{path}: a link checker");
    }
    let mut browser = browser;
    for site in ["same-origin", "none"] {
        let answer = browser
            .raw(Method::GET, "/api/auth/refresh-token", &[("sec-fetch-site", site)], Vec::new())
            .await;
        assert_eq!(answer.status, 200, "nothing was changed by the calls above, and {site} may");
    }
    let own = [("origin", server.app.public_url.as_str())];
    assert_eq!(browser.raw(Method::POST, "/api/auth/logout", &own, Vec::new()).await.status, 200);
}

#[tokio::test]
async fn signing_out_can_be_repeated_and_an_ended_or_used_token_signs_nobody_out_everywhere() {
    let (server, mut browser) = with_ann().await;
    let mut live = server.client();
    login(&mut live, ANN).await;
    let mut twin = browser.clone();
    assert_eq!(browser.get("/api/auth/logout").await.status, 200);
    let again = twin.get("/api/auth/logout").await;
    assert_eq!(told(&again), (200, "user logged out successfully"), "the answer may have been lost");
    assert!(twin.cookie("refreshToken").is_none());

    let mut ended = server.client();
    login(&mut ended, ANN).await;
    let dead = ended.cookies.clone();
    ended.get("/api/auth/logout").await;
    ended.cookies = dead;
    assert_eq!(told(&ended.get("/api/auth/logout-all").await), (401, "Invalid Refresh Token"));
    // One that was traded for the next.
    let mut used = live.clone();
    assert_eq!(live.get("/api/auth/refresh-token").await.status, 200);
    assert_eq!(used.get("/api/auth/logout-all").await.status, 401);
    // An access token in the cookie, and a refresh token as Bearer.
    let mut mixed = live.clone();
    mixed.cookies.insert("refreshToken".into(), (live.bearer.clone().unwrap(), "/".into()));
    assert_eq!(mixed.get("/api/auth/logout-all").await.status, 401);
    let mut swapped = live.clone();
    swapped.bearer = live.cookie("refreshToken").map(str::to_owned);
    assert_eq!(swapped.get("/api/auth/get-me").await.status, 401);
    assert_eq!(live.get("/api/auth/get-me").await.status, 200, "nobody was harmed");
}

#[tokio::test]
async fn operators_of_queries_reach_nothing_and_reuse_ends_the_session() {
    let (server, mut browser) = with_ann().await;
    for operator in [json!({ "$gt": "" }), json!({ "$regex": "^a" }), json!([ANN])] {
        for path in ["/api/auth/login", "/api/auth/register"] {
            let body = json!({ "username": "x1x", "email": operator, "password": PASSWORD });
            assert_eq!(server.client().post(path, body).await.status, 400);
            let body = json!({ "username": operator, "email": "x@example.com", "password": operator });
            assert_eq!(server.client().post(path, body).await.status, 400);
        }
    }
    for path in ["refresh-token", "logout", "logout-all"] {
        let mut client = server.client();
        client.cookies.insert("refreshToken".into(), ("j:{\"$ne\":null}".into(), "/".into()));
        let answer = client.get(&format!("/api/auth/{path}")).await;
        assert_eq!(message(&answer), "Invalid Refresh Token", "{path}");
    }
    let mut thief = browser.clone().at("198.51.100.7").with_agent("curl/8");
    for _ in 0..2 {
        server.advance(Duration::from_secs(60));
        let answer = browser.get("/api/auth/refresh-token").await;
        assert_eq!(answer.status, 200);
        browser.keep_tokens(&answer);
    }
    let caught = thief.get("/api/auth/refresh-token").await;
    assert_eq!((caught.status, caught.code()), (401, "refresh_token_reused"));
    assert_eq!(browser.get("/api/auth/get-me").await.status, 401, "the chain is dead");
}

#[tokio::test]
async fn parallel_refreshes_of_one_cookie_get_one_successor() {
    let (_server, browser) = with_ann().await;
    let calls = (0..20).map(|_| {
        let mut tab = browser.clone();
        async move {
            let answer = tab.get("/api/auth/refresh-token").await;
            (answer.status, tab.cookie("refreshToken").map(str::to_owned))
        }
    });
    let results = futures_util::future::join_all(calls).await;
    assert!(results.iter().all(|result| result.0 == 200 && *result == results[0]), "{results:?}");
    assert_ne!(results[0].1.as_deref(), browser.cookie("refreshToken"));
}

#[tokio::test]
async fn who_registers_on_anothers_address_loses_everything_when_its_owner_proves_it() {
    let server = authify().await;
    let mut squatter = server.client().at("198.51.100.7").with_agent("curl/8");
    assert_eq!(register(&mut squatter, "squatter", ANN).await.status, 201);
    let me = squatter.get("/api/v1/me").await;
    assert_eq!((me.status, &me.json["user"]["emailVerified"]), (200, &json!(false)));
    // The owner opens the link of the mail that came unasked.
    let token = server.mailed_token(ANN, "/verify-email").await;
    let mut owner = server.client();
    let verified = owner.post("/api/v1/verify-email", json!({ "token": token })).await;
    assert_eq!(verified.json["status"], "password_required", "{}", verified.text);
    let body = json!({ "token": verified.json["passwordToken"], "password": OTHERS_PASSWORD });
    assert_eq!(owner.post("/api/v1/password/reset", body).await.status, 200);
    assert_eq!(squatter.get("/api/auth/get-me").await.status, 401);
    assert_eq!(squatter.get("/api/auth/refresh-token").await.status, 401);
    assert_eq!(login(&mut squatter, ANN).await.status, 401, "the planted password opens nothing");
    let body = json!({ "email": ANN, "password": OTHERS_PASSWORD });
    assert_eq!(owner.post("/api/auth/login", body).await.status, 201);
}

#[tokio::test]
async fn a_client_without_user_agent_registers_and_two_at_once_share_no_name() {
    let server = authify().await;
    let mut bare = server.client();
    bare.agent = None;
    assert_eq!(register(&mut bare, "bare", "bare@example.com").await.status, 201);
    let calls = (0..6).map(|number| {
        let mut client = server.client();
        async move { register(&mut client, "dora", &format!("dora{}@example.com", number % 2)).await }
    });
    let answers = futures_util::future::join_all(calls).await;
    let in_at_once = answers.iter().filter(|answer| answer.status == 201).count();
    assert!((1..=2).contains(&in_at_once), "one for each address at most");
    let named: Vec<&Value> = answers
        .iter()
        .map(|answer| &answer.json["user"]["username"])
        .filter(|name| **name == json!("dora"))
        .collect();
    assert_eq!(named.len(), 1);
    assert!(answers.iter().all(|answer| [201, 409].contains(&answer.status)));
}

#[tokio::test]
async fn the_status_of_signing_in_and_the_mode_of_registering_can_be_chosen() {
    let server = TestApp::start_with(|config| {
        authify_on(config);
        config.compat.login_status = 200;
        config.registration.mode = RegistrationMode::Pending;
    })
    .await;
    let mut browser = server.client();
    let answer = register(&mut browser, "ann", ANN).await;
    assert_eq!((answer.status, &answer.json["accessToken"]), (202, &Value::Null), "{}", answer.text);
    let token = server.mailed_token(ANN, "/verify-email").await;
    assert_eq!(browser.post("/api/v1/verify-email", json!({ "token": token })).await.status, 200);
    assert_eq!(login(&mut browser, ANN).await.status, 200);
}

#[tokio::test]
async fn on_https_its_cookies_keep_their_names_and_are_secure() {
    let server = TestApp::start_with(|config| {
        authify_on(config);
        config.server.public_url = Some("https://auth.example.com".into());
        config.server.mode = Mode::Development;
    })
    .await;
    let mut browser = server.client();
    let answer = register(&mut browser, "ann", ANN).await;
    let line = answer.set_cookie("refreshToken").unwrap();
    assert!(line.ends_with("; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Strict"), "{line}");
    assert!(answer.set_cookie("__Host-device").is_some(), "what no former client knows keeps its prefix");
    let out = browser.get("/api/auth/logout").await;
    let line = out.set_cookie("refreshToken").unwrap();
    assert!(line.ends_with("; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict"), "{line}");
}

#[tokio::test]
async fn native_routes_serve_the_same_session_so_that_a_front_end_can_move_over() {
    let (_server, mut browser) = with_ann().await;
    assert_eq!(browser.get("/api/v1/sessions").await.json["sessions"].as_array().unwrap().len(), 1);
    let refreshed = browser.post_nothing("/api/v1/refresh").await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    browser.keep_tokens(&refreshed);
    assert_eq!(browser.get("/api/auth/get-me").await.status, 200);
    // Signed in by the native route with both tokens in cookies: Authify's front end finds its token in the body all the same.
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "cookies" });
    assert_eq!(browser.post("/api/v1/login", body).await.json["accessToken"], Value::Null);
    let refreshed = browser.get("/api/auth/refresh-token").await;
    assert!(refreshed.json["accessToken"].is_string(), "{}", refreshed.text);
}
