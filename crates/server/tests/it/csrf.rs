//! Cookies, CSRF tokens, origins, headers of every answer.
use crate::support::{Answer, Client, PASSWORD, TestApp};
use axum::http::Method;
use hallpass::config::Mode;
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.com";

async fn login(client: &mut Client, delivery: &str) -> Answer {
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": delivery });
    let answer = client.post("/api/v1/login", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

/// The attributes of a cookie that an answer sets, without its value.
fn attributes(answer: &Answer, name: &str) -> Option<String> {
    answer.set_cookie(name).map(|line| line.split_once("; ").unwrap().1.to_owned())
}

#[tokio::test]
async fn the_three_deliveries_put_tokens_where_they_say() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let refresh = Some("Path=/api/v1; Max-Age=604800; HttpOnly; SameSite=Strict".to_owned());
    let access = Some("Path=/; Max-Age=900; HttpOnly; SameSite=Lax".to_owned());
    let csrf = Some("Path=/; Max-Age=2592000; SameSite=Lax".to_owned());
    let cases = [
        ("cookie", [refresh.clone(), None, csrf.clone()], [true, false]),
        ("cookies", [refresh, access, csrf], [false, false]),
        ("body", [None, None, None], [true, true]),
    ];
    for (delivery, cookies, in_body) in cases {
        let answer = login(&mut server.client(), delivery).await;
        let set = ["refreshToken", "accessToken", "csrfToken"].map(|name| attributes(&answer, name));
        assert_eq!(set, cookies, "{delivery}");
        assert_eq!(answer.header("cache-control"), "no-store", "{delivery}");
        assert_eq!(
            [answer.json["accessToken"].is_string(), answer.json["refreshToken"].is_string()],
            in_body
        );
        assert!(answer.json["csrfToken"].is_string());
    }
    let wrong = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "carrier-pigeon" });
    assert_eq!(
        server.client().post("/api/v1/login", wrong).await.problems(),
        ["tokenDelivery: invalid_value"]
    );
}

#[tokio::test]
async fn on_https_cookies_are_secure_and_carry_their_prefix() {
    let server = TestApp::start_with(|config| {
        config.server.public_url = Some("https://auth.example.com".into());
        config.server.mode = Mode::Development;
    })
    .await;
    server.sign_up(ANN).await;
    let answer = login(&mut server.client(), "cookies").await;
    for (name, path) in
        [("__Secure-refreshToken", "/api/v1"), ("__Host-accessToken", "/"), ("__Host-csrfToken", "/")]
    {
        let line = answer.set_cookie(name).unwrap_or_else(|| panic!("{name}"));
        assert!(line.contains(&format!("; Path={path}; ")) && line.contains("; Secure"), "{line}");
    }
    assert!(answer.header("strict-transport-security").starts_with("max-age=63072000"));
}

#[tokio::test]
async fn unsafe_calls_by_cookie_need_the_token_of_their_own_session() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let (mut browser, mut other) = (server.client(), server.client());
    login(&mut browser, "cookies").await;
    login(&mut other, "cookies").await;
    assert_eq!(browser.get("/api/v1/me").await.status, 200, "reading needs none");
    let own = browser.cookie("csrfToken").unwrap().to_owned();
    let foreign = other.cookie("csrfToken").unwrap().to_owned();
    let name = json!({ "name": "Ann" });
    assert_eq!(browser.patch("/api/v1/me", name.clone()).await.code(), "csrf_failed");
    let mut wrong = browser.clone().with_header("x-csrf-token", &foreign);
    assert_eq!(wrong.patch("/api/v1/me", name.clone()).await.code(), "csrf_failed");
    // Both halves of another session's token do not help either.
    wrong.cookies.insert("csrfToken".into(), (foreign, "/".into()));
    assert_eq!(wrong.patch("/api/v1/me", name.clone()).await.code(), "csrf_failed");
    for header in ["x-csrf-token", "X-XSRF-Token", "csrf-token"] {
        let answer = browser.clone().with_header(header, &own).patch("/api/v1/me", name.clone()).await;
        assert_eq!(answer.status, 200, "{header}: {}", answer.text);
    }
    let bearer = login(&mut server.client(), "body").await.json["accessToken"].as_str().unwrap().to_owned();
    browser.bearer = Some(bearer);
    assert_eq!(browser.patch("/api/v1/me", name).await.status, 200, "the header wins and is exempt");
}

#[tokio::test]
async fn the_csrf_token_stays_the_same_through_a_refresh_and_can_be_asked_for() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let mut browser = server.client();
    let first = login(&mut browser, "cookies").await.json["csrfToken"].clone();
    server.advance(Duration::from_secs(60));
    let refreshed = browser.post_nothing("/api/v1/refresh").await;
    assert_eq!((refreshed.status, &refreshed.json["csrfToken"]), (200, &first));
    assert!(refreshed.json.get("refreshToken").is_none() && refreshed.json.get("accessToken").is_none());
    let asked = browser.get("/api/v1/csrf").await;
    assert_eq!((asked.status, &asked.json["csrfToken"]), (200, &first));
    assert!(asked.set_cookie("csrfToken").is_some());
}

#[tokio::test]
async fn calls_without_a_session_are_taken_from_own_and_allowed_pages_only() {
    let server = TestApp::start_with(|config| {
        config.server.public_url = Some("https://auth.example.com".into());
        config.server.mode = Mode::Production;
        config.mail.smtp_url = Some(hallpass::config::Secret::new("smtps://u:p@mail.example.com:465"));
        config.server.allowed_origins = vec!["https://app.example.com".into()];
    })
    .await;
    let cases = [
        (None, None, true),
        (Some("https://auth.example.com"), None, true),
        (Some("https://app.example.com"), Some("cross-site"), true),
        (None, Some("same-origin"), true),
        (None, Some("none"), true),
        (Some("null"), Some("same-origin"), true),
        (Some("null"), None, false),
        (Some("null"), Some("cross-site"), false),
        (Some("https://evil.example"), None, false),
        (Some("https://auth.example.com.evil.example"), None, false),
        (Some("http://auth.example.com"), None, false),
        (Some("http://localhost:5173"), None, false),
        (None, Some("same-site"), false),
        (None, Some("cross-site"), false),
    ];
    for path in [
        "register",
        "login",
        "login/email",
        "login/passkey",
        "login/passkey/options",
        "verify",
        "verify/resend",
        "verify/enrol",
        "verify/passkey/options",
        "verify-email",
        "verify-email/resend",
        "refresh",
        "logout",
        "password/forgot",
        "password/reset",
    ] {
        for (origin, site, allowed) in cases {
            let mut client = server.client();
            if let Some(origin) = origin {
                client = client.with_header("origin", origin);
            }
            if let Some(site) = site {
                client = client.with_header("sec-fetch-site", site);
            }
            let answer = client.post(&format!("/api/v1/{path}"), json!({})).await;
            let refused = answer.code() == "origin_not_allowed";
            assert_eq!(!refused, allowed, "{path} {origin:?} {site:?}: {}", answer.text);
            let echoed = answer.header("access-control-allow-origin");
            assert_eq!(
                !echoed.is_empty(),
                allowed && origin.is_some_and(|origin| origin != "null"),
                "{origin:?}"
            );
        }
    }
}

#[tokio::test]
async fn in_development_every_loopback_page_may_call_and_others_may_not() {
    let server = TestApp::start().await;
    for (origin, allowed) in [
        ("http://localhost:5173", true),
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:8080", true),
        ("http://localhost.evil.example", false),
        ("http://192.168.1.2", false),
    ] {
        let mut client = server.client().with_header("origin", origin);
        let answer = client.post("/api/v1/login", json!({})).await;
        assert_eq!(answer.code() != "origin_not_allowed", allowed, "{origin}");
        let preflight = [
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-csrf-token"),
        ];
        let answer = client.raw(Method::OPTIONS, "/api/v1/login", &preflight, Vec::new()).await;
        assert_eq!(answer.header("access-control-allow-origin") == origin, allowed, "{origin}");
    }
}

#[tokio::test]
async fn every_answer_has_its_security_headers_and_a_request_id() {
    let server = TestApp::start().await;
    for path in
        ["/api/v1/me", "/nowhere", "/docs", "/verify-email?token=x", "/health/live", "/api/v1/settings"]
    {
        let answer = server.client().get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{policy}");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert!(answer.header("x-request-id").len() >= 16, "{path}");
        if path.starts_with("/api") {
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        }
    }
    let given = server.client().with_header("x-request-id", "trace-0123456789").get("/nowhere").await;
    assert_eq!(
        (given.header("x-request-id"), &given.json["requestId"]),
        ("trace-0123456789", &json!("trace-0123456789"))
    );
    let odd = server.client().with_header("x-request-id", "a b<script>").get("/nowhere").await;
    assert_ne!(odd.json["requestId"], Value::from("a b<script>"));
}

#[tokio::test]
async fn cookies_are_small_and_live_at_most_400_days() {
    let server = TestApp::start_with(|config| {
        config.sessions.refresh_ttl = Duration::from_secs(400 * 86_400);
        config.sessions.absolute_ttl = Duration::from_secs(400 * 86_400);
    })
    .await;
    let email = format!("{}@{}.{}.example.com", "a".repeat(64), "b".repeat(63), "c".repeat(63));
    server.sign_up(&email).await;
    let mut browser = server.client();
    let body = json!({ "email": email, "password": PASSWORD, "tokenDelivery": "cookies" });
    let answer = browser.log_in(body).await;
    let lines: Vec<&str> =
        answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
    assert_eq!(lines.len(), 4, "refresh, access, CSRF, device");
    for line in lines {
        assert!(line.split(';').next().unwrap().len() <= 4096, "{line}");
        let age = line.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap();
        assert!(age.parse::<u64>().unwrap() <= 400 * 86_400, "{line}");
        assert!(!line.contains("Domain"), "{line}");
    }
    let mut longer = hallpass::config::Config::default();
    longer.sessions.refresh_ttl = Duration::from_secs(401 * 86_400);
    assert!(longer.validate().is_err());
}
