//! The dev mailbox, and the limit of mails to an address.
use super::{deliver_to, enqueue, outbox, reset_mail, with_server};
use crate::support::TestApp;
use crate::support::smtp::{SmtpServer, Tls};
use hallpass::mail::worker::{Report, run_once};
use hallpass::mail::{self, Message};
use serde_json::json;
use std::time::Duration;

fn verify_mail(code: &str) -> Message {
    let link = "http://localhost:3000/verify-email?token=a-123456-b".into();
    Message::VerifyEmail { link, code: code.into(), link_seconds: 86_400, code_seconds: 1800 }
}

#[tokio::test]
async fn the_mailbox_shows_mails_newest_first_with_their_links_and_codes() {
    let app = TestApp::start().await;
    enqueue(&app.app, "Ann@example.com", &verify_mail("111111")).await;
    app.advance(Duration::from_secs(1));
    enqueue(&app.app, "ann@example.com", &verify_mail("222222")).await;
    enqueue(&app.app, "bob@example.com", &verify_mail("333333")).await;
    let mails = app.mails_to("ANN@Example.COM").await;
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0]["codes"], json!(["222222"]));
    assert_eq!(mails[1]["codes"], json!(["111111"]));
    assert_eq!(mails[1]["to"], "Ann@example.com");
    assert_eq!(mails[1]["links"], json!(["http://localhost:3000/verify-email?token=a-123456-b"]));
    assert_eq!(mails[1]["subject"], "Confirm your address for Hallpass");
    assert_eq!(mails[1]["at"], "2026-01-01T00:00:00.000Z");
    assert!(mails[1]["html"].as_str().unwrap().contains("111111"));
    let all = app.client().get("/dev/mailbox.json").await;
    assert_eq!(all.json["messages"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn the_mailbox_page_has_links_to_click_and_escapes_the_rest() {
    let app = TestApp::start_with(|config| config.mail.product_name = "<b>Acme</b>".into()).await;
    enqueue(&app.app, "ann@example.com", &verify_mail("111111")).await;
    let page = app.client().get("/dev/mailbox").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        page.text.contains("<a href=\"http:&#x2f;&#x2f;localhost:3000&#x2f;verify-email?token=a-123456-b\">")
    );
    assert!(!page.text.contains("<b>Acme"), "{}", page.text);
}

#[tokio::test]
async fn outside_development_there_is_no_mailbox() {
    let (_server, app) = with_server(Tls::Implicit).await;
    for path in ["/dev/mailbox", "/dev/mailbox.json"] {
        let answer = app.client().get(path).await;
        assert_eq!((answer.status, answer.code()), (404, "not_found"));
    }
}

#[tokio::test]
async fn a_foreign_name_for_this_machine_opens_no_mailbox() {
    let app = TestApp::start().await;
    for (host, status) in [("evil.example", 404), ("localhost:3000", 200), ("127.0.0.1:3000", 200)] {
        let answer = app.client().with_header("host", host).get("/dev/mailbox.json").await;
        assert_eq!(answer.status, status, "{host}");
    }
}

#[tokio::test]
async fn development_mail_is_never_sent_later() {
    let app = TestApp::start().await;
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    assert_eq!(run_once(&app.app).await.unwrap(), Report::default());
    assert_eq!(mail::health(&app.app).await.unwrap().waiting, 0);
    let server = SmtpServer::start(Tls::Implicit).await;
    let app = app.restart_with(|config| deliver_to(config, &server)).await;
    app.advance(Duration::from_secs(3600));
    assert_eq!(run_once(&app.app).await.unwrap(), Report::default());
    assert_eq!(server.mails().len(), 0);
}

#[tokio::test]
async fn the_stored_mail_is_sealed() {
    let (server, app) = with_server(Tls::Implicit).await;
    drop(server);
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    assert!(outbox(&app.app).await[0].has_payload);
    let stored = app.everything_stored();
    assert!(stored.contains("ann@example.com") && !stored.contains("token=abc"));
}

async fn may_send(app: &TestApp, to: &str) -> bool {
    let mut tx = app.app.db.begin().await.unwrap();
    mail::may_send(&app.app, &mut tx, to, app.app.now()).await.unwrap()
}

#[tokio::test]
async fn an_address_gets_three_mails_in_a_quarter_of_an_hour_that_anybody_can_ask_for() {
    let app = TestApp::start().await;
    for _ in 0..3 {
        assert!(may_send(&app, "ann@example.com").await);
        enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    }
    assert!(!may_send(&app, "ann@example.com").await);
    assert!(!may_send(&app, "ANN@example.com").await, "case makes no difference");
    assert!(may_send(&app, "bob@example.com").await);
    app.advance(Duration::from_secs(15 * 60));
    assert!(may_send(&app, "ann@example.com").await);
}

#[tokio::test]
async fn an_address_gets_ten_such_mails_a_day_and_any_number_about_its_own_doings() {
    let app = TestApp::start().await;
    for _ in 0..10 {
        enqueue(&app.app, "ann@example.com", &reset_mail()).await;
        enqueue(&app.app, "bob@example.com", &Message::Welcome {}).await;
        app.advance(Duration::from_secs(3600));
    }
    assert!(!may_send(&app, "ann@example.com").await);
    assert!(may_send(&app, "bob@example.com").await);
    app.advance(Duration::from_secs(15 * 3600));
    assert!(may_send(&app, "ann@example.com").await);
}

#[tokio::test]
async fn with_limits_off_any_number_of_mails_goes_out() {
    let app = TestApp::start_with(|config| config.limits.enabled = false).await;
    for _ in 0..20 {
        enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    }
    assert!(may_send(&app, "ann@example.com").await);
}
