//! The pages behind mailed links, in a real browser without JavaScript.
use crate::support::browser::Browser;
use crate::support::served::Served;
use crate::support::{OTHER_PASSWORD, PASSWORD};
use serde_json::json;

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
