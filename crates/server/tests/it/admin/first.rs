//! The first administrator.
use crate::support::{PASSWORD, TestApp};
use hallpass::admin::first_administrator_link;
use hallpass::config::Mode;
use serde_json::json;
use std::time::Duration;

const PATH: &str = "/first-administrator";

async fn token(server: &TestApp) -> String {
    let link = first_administrator_link(&server.app).await.unwrap().expect("a link");
    assert!(link.starts_with(&format!("{}{PATH}?token=hp_fa_", server.app.public_url)), "{link}");
    link.split("token=").nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn the_link_makes_an_administrator_once() {
    let server = TestApp::start().await;
    let token = token(&server).await;
    let mut browser = server.client();
    let page = browser.get(&format!("{PATH}?token={token}")).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("name=\"email\"") && page.text.contains("name=\"password\""));
    assert!(!server.everything_stored().contains(&token));
    let form = [("token", token.as_str()), ("email", "boss@example.com"), ("password", PASSWORD)];
    let (one, other) = (browser.clone(), server.client());
    let (mut one, mut other) = (one, other);
    let second = [("token", token.as_str()), ("email", "eve@example.com"), ("password", PASSWORD)];
    let (one, other) = tokio::join!(one.post_form(PATH, &form), other.post_form(PATH, &second));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400], "{} {}", one.text, other.text);
    let made = if one.status == 201 { "boss@example.com" } else { "eve@example.com" };
    let mut boss = server.sign_in(made).await;
    let me = boss.get("/api/v1/me").await.json;
    assert_eq!(
        (&me["user"]["roles"], &me["user"]["emailVerified"]),
        (&json!(["admin", "user"]), &json!(true))
    );
    assert_eq!(boss.get("/api/v1/admin/roles").await.status, 200);
    assert_eq!(browser.get(&format!("{PATH}?token={token}")).await.status, 400);
    assert_eq!(browser.post_form(PATH, &second).await.status, 400);
    assert_eq!(first_administrator_link(&server.app).await.unwrap(), None);
}

#[tokio::test]
async fn the_link_is_dead_once_there_is_an_administrator_or_a_day_is_over() {
    let server = TestApp::start().await;
    let token = token(&server).await;
    server.advance(Duration::from_secs(86_399));
    assert_eq!(server.client().get(&format!("{PATH}?token={token}")).await.status, 200);
    server.sign_up("boss@example.com").await;
    server.give_roles("boss@example.com", &["admin"]).await;
    let form = [("token", token.as_str()), ("email", "eve@example.com"), ("password", PASSWORD)];
    assert_eq!(server.client().post_form(PATH, &form).await.status, 400);

    let server = TestApp::start().await;
    let token = self::token(&server).await;
    server.advance(Duration::from_secs(86_400));
    let form = [("token", token.as_str()), ("email", "eve@example.com"), ("password", PASSWORD)];
    assert_eq!(server.client().post_form(PATH, &form).await.status, 400);
}

#[tokio::test]
async fn there_is_no_link_in_production_and_no_other_opens_the_page() {
    let server = TestApp::start().await;
    for token in ["", "hp_fa_AAAA", "x"] {
        assert_eq!(server.client().get(&format!("{PATH}?token={token}")).await.status, 400, "{token}");
    }
    let real = token(&server).await;
    let mut other = real.clone();
    let last = other.pop().unwrap();
    other.push(if last == 'A' { 'B' } else { 'A' });
    assert_eq!(server.client().get(&format!("{PATH}?token={other}")).await.status, 400);
    let production = |config: &mut hallpass::config::Config| {
        config.server.mode = Mode::Production;
        config.server.public_url = Some("https://auth.example.com".into());
        config.mail.smtp_url = Some(hallpass::config::Secret::new("smtp://mail.example.com:25"));
    };
    let server = TestApp::start_with(production).await;
    assert_eq!(first_administrator_link(&server.app).await.unwrap(), None);
    let form = [("token", real.as_str()), ("email", "eve@example.com"), ("password", PASSWORD)];
    assert_eq!(server.client().post_form(PATH, &form).await.status, 400);
}

#[tokio::test]
async fn the_form_says_what_is_wrong_and_another_sites_page_cannot_send_it() {
    let server = TestApp::start().await;
    server.sign_up("ann@example.com").await;
    let token = token(&server).await;
    for (email, password, text) in [
        ("ann", PASSWORD, "not an e-mail address"),
        ("boss@example.com", "short", "problems"),
        ("ann@example.com", PASSWORD, "has an account already"),
    ] {
        let form = [("token", token.as_str()), ("email", email), ("password", password)];
        let answer = server.client().post_form(PATH, &form).await;
        assert_eq!(answer.status, 422, "{email}");
        assert!(answer.text.contains(text), "{}", answer.text);
    }
    let form = [("token", token.as_str()), ("email", "eve@example.com"), ("password", PASSWORD)];
    let mut evil = server.client().with_header("origin", "https://evil.example.com");
    assert_eq!(evil.post_form(PATH, &form).await.status, 403);
}
