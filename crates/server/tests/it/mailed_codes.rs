//! A mailed code at every sign-in, tokens in cookies, one session per user: what system C of `docs/acceptance.md` does.
use crate::factors::MINUTE;
use crate::support::{Answer, Client, PASSWORD, TestApp};
use hallpass::config::EmailOtp;
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";
const COOKIES: [&str; 3] = ["accessToken", "refreshToken", "csrfToken"];

async fn server() -> TestApp {
    TestApp::start_with(|config| {
        config.login.email_otp = EmailOtp::Always;
        config.sessions.max_per_user = 1;
    })
    .await
}

async fn first_step(client: &mut Client, email: &str) -> Answer {
    let body = json!({ "email": email, "password": PASSWORD, "tokenDelivery": "cookies" });
    let answer = client.post("/api/v1/login", body).await;
    assert_eq!((answer.status, &answer.json["status"]), (200, &json!("second_factor_required")));
    assert_eq!(answer.json["methods"], json!(["email_otp"]));
    answer
}

#[tokio::test]
async fn a_code_is_mailed_at_every_sign_in_and_only_then_come_the_cookies() {
    let server = server().await;
    server.sign_up_as(json!({ "name": "Ann", "email": ANN, "password": PASSWORD })).await;
    let mut phone = server.client();
    let mut codes = Vec::new();
    for _ in 0..2 {
        let answer = first_step(&mut phone, ANN).await;
        assert_eq!(answer.json["expiresIn"], 300);
        assert!(COOKIES.iter().all(|name| answer.set_cookie(name).is_none()), "no tokens yet");
        let code = server.mailed_code(ANN).await;
        let done = phone.post("/api/v1/verify", json!({ "email": ANN, "otp": code })).await;
        assert_eq!((done.status, &done.json["user"]["name"]), (200, &json!("Ann")), "{}", done.text);
        assert!(COOKIES.iter().all(|name| done.set_cookie(name).is_some()));
        assert_eq!((&done.json["accessToken"], &done.json["refreshToken"]), (&Value::Null, &Value::Null));
        codes.push(code);
    }
    let me = phone.get("/api/v1/me").await;
    assert_eq!((me.status, &me.json["user"]["email"]), (200, &json!(ANN)));
    assert!(me.json["session"]["id"].is_string());
    server.advance(MINUTE * 16);
    assert_eq!(phone.get("/api/v1/me").await.status, 401, "a quarter of an hour and the leeway are over");
    assert_eq!(phone.post_nothing("/api/v1/refresh").await.status, 200);
    assert_eq!(phone.get("/api/v1/me").await.status, 200);

    // Another device: the former one is out, and told so by a 401 that clears its cookies.
    let mut laptop = server.client().at("203.0.113.5").with_agent("another browser");
    first_step(&mut laptop, ANN).await;
    assert_eq!(phone.get("/api/v1/me").await.status, 200, "the password alone forces nobody out");
    let code = server.mailed_code(ANN).await;
    laptop.post("/api/v1/verify", json!({ "email": ANN, "otp": code })).await;
    let out = phone.post_nothing("/api/v1/refresh").await;
    assert_eq!((out.status, out.code()), (401, "session_revoked"));
    assert!(phone.cookie("refreshToken").is_none() && phone.cookie("accessToken").is_none());

    assert_eq!(
        laptop.post_nothing("/api/v1/logout").await.code(),
        "csrf_failed",
        "C asks for the header too"
    );
    let csrf = laptop.cookie("csrfToken").unwrap().to_owned();
    let mut laptop = laptop.with_header("x-csrf-token", &csrf);
    assert_eq!(laptop.post_nothing("/api/v1/logout").await.status, 200);
    assert!(COOKIES.iter().all(|name| laptop.cookie(name).is_none()));
    assert_eq!(laptop.get("/api/v1/me").await.status, 401);
}

#[tokio::test]
async fn a_code_serves_only_who_passed_the_password_once_and_for_its_own_address() {
    let server = server().await;
    server.sign_up(ANN).await;
    server.sign_up("bob@example.com").await;
    let mut ann = server.client();
    first_step(&mut ann, ANN).await;
    let code = server.mailed_code(ANN).await;
    let body = json!({ "email": ANN, "otp": code });

    // Somebody who knows address and code, but passed no password, and somebody who passed that of another account.
    let mut stranger = server.client().at("198.51.100.7").with_agent("curl/8");
    assert_eq!(stranger.post("/api/v1/verify", body.clone()).await.code(), "invalid_attempt");
    assert_eq!(
        stranger.post("/api/v1/verify/resend", json!({ "email": ANN })).await.code(),
        "invalid_attempt"
    );
    first_step(&mut stranger, "bob@example.com").await;
    assert_eq!(stranger.post("/api/v1/verify", body.clone()).await.code(), "invalid_attempt");
    assert_eq!(stranger.post("/api/v1/verify", json!({ "otp": code })).await.code(), "invalid_code");

    // The examples of C sign in as one address and verify another: that must fail, and costs the owner nothing but a try.
    let other = ann.post("/api/v1/verify", json!({ "email": "ved@example.com", "otp": code })).await;
    assert_eq!((other.status, other.code()), (401, "invalid_attempt"));
    let as_number = json!({ "email": "Ann@Example.com", "otp": code.parse::<u32>().unwrap() });
    let mut twin = ann.clone();
    let done = ann.post("/api/v1/verify", as_number).await;
    assert_eq!(done.status, 200, "a number, as some clients send it: {}", done.text);
    assert_eq!(twin.post("/api/v1/verify", body).await.code(), "invalid_attempt", "used");
}
