//! The pages behind mailed links, in a real browser without JavaScript.
use crate::support::browser::Browser;
use crate::support::served::Served;
use crate::support::{OTHER_PASSWORD, PASSWORD};
use serde_json::json;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_person_confirms_an_address_and_chooses_and_resets_a_password_in_a_browser_without_javascript() {
    let running = Served::start().await;
    let server = &running.test;
    let browser = Browser::start(false).await;
    let email = "ann@example.com";
    let mut client = server.client();
    client.post("/api/v1/register", json!({ "email": email, "password": PASSWORD })).await;

    // Another device than the one that registered: so a password is chosen here.
    let token = server.mailed_token(email, "/verify-email").await;
    browser.open(&format!("{}/verify-email?token={token}", server.app.public_url)).await;
    browser.shows("Press the button").await;
    assert_ne!(browser.style("button", "background-color").await, "rgba(0, 0, 0, 0)");
    assert_eq!(browser.style("button", "cursor").await, "pointer", "the stylesheet is loaded");
    browser.press("button").await;
    browser.shows("Choose a password").await;
    browser.type_into("#password", "short").await;
    browser.press("button").await;
    browser.shows("at least 8 characters").await;
    browser.type_into("#password", PASSWORD).await;
    browser.press("button").await;
    browser.shows("Your password was set").await;
    server.sign_in(email).await;

    browser.open(&format!("{}/password/forgot", server.app.public_url)).await;
    browser.type_into("input[name=email]", email).await;
    browser.press("button").await;
    browser.shows("Look into your mailbox").await;
    let token = server.mailed_token(email, "/password/reset").await;
    browser.open(&format!("{}/password/reset?token={token}", server.app.public_url)).await;
    browser.type_into("#password", OTHER_PASSWORD).await;
    browser.press("button").await;
    browser.shows("Your password was set").await;
    let answer = server.client().post("/api/v1/login", json!({ "email": email, "password": PASSWORD })).await;
    assert_eq!(answer.code(), "invalid_credentials");

    browser.stop().await;
    running.stop().await;
}

#[tokio::test]
async fn a_person_says_that_a_sign_in_was_somebody_elses_in_a_browser_without_javascript() {
    let running = Served::start().await;
    let server = &running.test;
    let browser = Browser::start(false).await;
    let email = "ann@example.com";
    let mut laptop = server.signed_in(email).await;
    let mut intruder = server.sign_in(email).await;
    let token = server.mailed_token(email, "/not-me").await;
    browser.open(&format!("{}/not-me?token={token}", server.app.public_url)).await;
    browser.shows("Was this not you?").await;
    browser.shows("Firefox on Linux").await;
    show(&browser, "not-me").await;
    browser.press("label.check").await;
    browser.press("button").await;
    browser.shows("Choose a password").await;
    show(&browser, "not-me-pressed").await;
    assert_eq!(intruder.get("/api/v1/me").await.code(), "session_revoked");
    assert_eq!(laptop.get("/api/v1/me").await.status, 200, "the box was emptied");
    browser.type_into("#password", OTHER_PASSWORD).await;
    browser.press("button").await;
    browser.shows("Your password was set").await;
    let body = json!({ "email": email, "password": OTHER_PASSWORD });
    assert_eq!(server.client().post("/api/v1/login", body).await.status, 200);
    browser.stop().await;
    running.stop().await;
}

/// Keeps what a person sees, if somebody wants to look: in the folder that SCREENSHOTS names.
async fn show(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("SCREENSHOTS") {
        let picture = data_encoding::BASE64.decode(browser.screenshot().await.as_bytes()).unwrap();
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
    }
}

#[tokio::test]
async fn a_person_signs_in_by_a_mailed_link_and_the_code_of_an_app_in_a_browser_without_javascript() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let application = format!("http://{}/home", elsewhere.local_addr().unwrap());
    let home = axum::Router::new().route("/home", axum::routing::get(async || "At home."));
    let application_task = tokio::spawn(axum::serve(elsewhere, home).into_future());
    let running = Served::start_with(|config| {
        config.login.passwordless = true;
        config.login.after_link_url = Some(application.clone());
    })
    .await;
    let server = &running.test;
    let mut ann = server.signed_in("ann@example.com").await;
    let (app, _) = ann.set_up_totp(server).await;
    server.advance(std::time::Duration::from_secs(60));
    let browser = Browser::start(false).await;
    server.client().post("/api/v1/login/email", json!({ "email": "ann@example.com" })).await;
    let token = server.mailed_token("ann@example.com", "/sign-in").await;
    browser.open(&format!("{}/sign-in?token={token}", server.app.public_url)).await;
    browser.shows("Press the button to sign in here").await;
    browser.press("button").await;
    browser.shows("One more step").await;
    browser.type_into("#otp", &app.wrong_code(server)).await;
    browser.press("button").await;
    browser.shows("The code is wrong").await;
    browser.type_into("#otp", &app.code(server)).await;
    browser.press("button").await;
    // The browser goes on to the application, on another origin.
    browser.shows("At home.").await;
    application_task.abort();
    browser.stop().await;
    running.stop().await;
}
