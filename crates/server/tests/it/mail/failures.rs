//! What happens when a mail server is insecure, slow, down or unwilling.
use super::{deliver_to, enqueue, outbox, reset_mail, with_server};
use crate::support::TestApp;
use crate::support::smtp::{Behaviour, PASSWORD, SmtpServer, Tls, ca_file};
use hallpass::config::Secret;
use hallpass::mail::{self, Message, worker::run_once};
use std::time::Duration;

#[tokio::test]
async fn a_server_without_starttls_gets_neither_login_nor_mail() {
    let (server, app) = with_server(Tls::Never).await;
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    let report = run_once(&app.app).await.unwrap();
    assert_eq!((report.sent, report.retried), (0, 1));
    assert!(server.heard_in_clear().iter().all(|line| line.starts_with("EHLO") || line == "QUIT"));
    let row = &outbox(&app.app).await[0];
    assert!(row.has_payload && row.last_error.contains("STARTTLS"), "{row:?}");
}

#[tokio::test]
async fn a_server_with_an_untrusted_certificate_gets_nothing() {
    for tls in [Tls::Implicit, Tls::Upgraded] {
        let server = SmtpServer::start(tls).await;
        let app = TestApp::start_with(|config| {
            deliver_to(config, &server);
            config.mail.ca_file = None;
        })
        .await;
        enqueue(&app.app, "ann@example.com", &reset_mail()).await;
        assert_eq!(run_once(&app.app).await.unwrap().retried, 1);
        assert_eq!((server.asked(), server.mails().len()), (0, 0));
        assert!(outbox(&app.app).await[0].last_error.contains("certificate"));
    }
}

#[tokio::test]
async fn a_server_with_a_certificate_for_another_name_gets_nothing() {
    let server = SmtpServer::start(Tls::Implicit).await;
    let app = TestApp::start_with(|config| {
        deliver_to(config, &server);
        config.mail.smtp_url = Some(Secret::new(server.url_as("localhost")));
    })
    .await;
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    assert_eq!(run_once(&app.app).await.unwrap().retried, 1);
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn greylisting_is_retried_with_growing_waits() {
    let (server, app) = with_server(Tls::Implicit).await;
    server.behave(Behaviour::Greylist(4));
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    let mut waits = Vec::new();
    for attempt in 1..=4 {
        assert_eq!(run_once(&app.app).await.unwrap().retried, 1);
        let row = &outbox(&app.app).await[0];
        assert_eq!(row.attempts, attempt);
        assert!(row.last_error.contains("451"), "{row:?}");
        let wait = u64::try_from(row.next_attempt_at - app.app.now().micros()).unwrap();
        waits.push(wait);
        app.advance(Duration::from_micros(wait - 1));
        assert_eq!(run_once(&app.app).await.unwrap().retried, 0, "too early");
        app.advance(Duration::from_micros(1));
    }
    assert!(waits[0] >= 24_000_000 && waits[0] <= 30_000_000, "{waits:?}");
    assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
    assert_eq!(run_once(&app.app).await.unwrap().sent, 1);
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_refused_recipient_is_given_up_at_once_and_holds_nobody_up() {
    let (server, app) = with_server(Tls::Implicit).await;
    server.behave(Behaviour::RefuseNobody);
    enqueue(&app.app, "nobody@example.com", &reset_mail()).await;
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    let report = run_once(&app.app).await.unwrap();
    assert_eq!((report.sent, report.given_up, report.retried), (1, 1, 0));
    let rows = outbox(&app.app).await;
    let row = rows.iter().find(|row| row.recipient == "nobody@example.com").unwrap();
    assert!(row.given_up && !row.sent && !row.has_payload);
    assert!(row.last_error.contains("no such mailbox"), "{row:?}");
    let metrics = app.app.metrics.render();
    assert!(metrics.contains("hallpass_mails_total{outcome=\"given_up\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_refused_login_is_tried_again_and_shows_no_password() {
    let (server, app) = with_server(Tls::Implicit).await;
    server.behave(Behaviour::RefuseLogin);
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    assert_eq!(run_once(&app.app).await.unwrap().retried, 1);
    let row = &outbox(&app.app).await[0];
    assert!(row.last_error.contains("535") && !row.last_error.contains(PASSWORD), "{row:?}");
    server.behave(Behaviour::Accept);
    app.advance(Duration::from_secs(60));
    assert_eq!(run_once(&app.app).await.unwrap().sent, 1);
}

#[tokio::test]
async fn a_hanging_server_times_out_and_loses_nothing() {
    let server = SmtpServer::start(Tls::Implicit).await;
    let app = TestApp::start_with(|config| {
        deliver_to(config, &server);
        config.mail.timeout = Duration::from_millis(300);
    })
    .await;
    server.behave(Behaviour::Hang);
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    let report = tokio::time::timeout(Duration::from_secs(10), run_once(&app.app)).await.unwrap().unwrap();
    assert_eq!(report.retried, 1);
    assert!(outbox(&app.app).await[0].last_error.contains("no answer within 300ms"));
    server.behave(Behaviour::Accept);
    app.advance(Duration::from_secs(60));
    assert_eq!(run_once(&app.app).await.unwrap().sent, 1);
}

#[tokio::test]
async fn a_connection_lost_after_the_text_is_no_delivery() {
    let (server, app) = with_server(Tls::Upgraded).await;
    server.behave(Behaviour::DropAfterData);
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    assert_eq!(run_once(&app.app).await.unwrap().retried, 1);
    server.behave(Behaviour::Accept);
    app.advance(Duration::from_secs(60));
    assert_eq!(run_once(&app.app).await.unwrap().sent, 1);
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn what_waited_for_a_server_that_was_down_is_delivered_when_it_is_back() {
    let (server, app) = with_server(Tls::Implicit).await;
    let port = server.stop().await;
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    for _ in 0..5 {
        assert_eq!(run_once(&app.app).await.unwrap().retried, 1);
        assert_eq!(run_once(&app.app).await.unwrap().retried, 0, "it waits");
        app.advance(Duration::from_secs(3600));
    }
    assert_eq!(run_once(&app.app).await.unwrap().retried, 1);
    let server = SmtpServer::start_on(port, Tls::Implicit).await;
    // The first mail that gets through brings the others along, without waiting for their hour.
    enqueue(&app.app, "bob@example.com", &reset_mail()).await;
    assert_eq!(run_once(&app.app).await.unwrap().sent, 1);
    assert_eq!(run_once(&app.app).await.unwrap().sent, 1);
    let recipients: Vec<String> = server.mails().into_iter().map(|mail| mail.to).collect();
    assert_eq!(recipients, ["bob@example.com", "ann@example.com"]);
}

#[tokio::test]
async fn while_the_server_is_down_only_one_mail_a_run_knocks() {
    let (server, app) = with_server(Tls::Implicit).await;
    server.stop().await;
    for name in ["one", "two", "three"] {
        enqueue(&app.app, &format!("{name}@example.com"), &reset_mail()).await;
    }
    assert_eq!(run_once(&app.app).await.unwrap().retried, 1);
    assert_eq!(mail::health(&app.app).await.unwrap().waiting, 3);
}

#[tokio::test]
async fn after_two_days_of_trying_a_mail_is_given_up() {
    let (server, app) = with_server(Tls::Implicit).await;
    server.stop().await;
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    assert_eq!(run_once(&app.app).await.unwrap().retried, 1);
    app.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(run_once(&app.app).await.unwrap().given_up, 1);
    let row = &outbox(&app.app).await[0];
    assert!(row.given_up && !row.has_payload);
    assert!(!mail::health(&app.app).await.unwrap().failing);
}

#[tokio::test]
async fn a_node_that_died_during_a_delivery_leaves_the_mail_to_the_next() {
    let server = SmtpServer::start(Tls::Implicit).await;
    let app = TestApp::start_with(|config| deliver_to(config, &server)).await;
    server.behave(Behaviour::Hang);
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    let died = tokio::time::timeout(Duration::from_millis(300), run_once(&app.app)).await;
    assert!(died.is_err());
    server.behave(Behaviour::Accept);
    assert_eq!(run_once(&app.app).await.unwrap().sent, 0, "the claim still holds");
    app.advance(Duration::from_secs(120));
    assert_eq!(run_once(&app.app).await.unwrap().sent, 1);
}

#[tokio::test]
async fn a_certificate_file_that_vanished_keeps_mail_waiting_and_says_why() {
    let server = SmtpServer::start(Tls::Implicit).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("ca.pem");
    std::fs::copy(ca_file(), &copy).unwrap();
    let app = TestApp::start_with(|config| {
        deliver_to(config, &server);
        config.mail.ca_file = Some(copy.clone());
    })
    .await;
    std::fs::remove_file(&copy).unwrap();
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    assert_eq!(run_once(&app.app).await.unwrap().retried, 1);
    assert!(outbox(&app.app).await[0].last_error.contains("mail.ca_file"));
    std::fs::copy(ca_file(), &copy).unwrap();
    app.advance(Duration::from_secs(60));
    assert_eq!(run_once(&app.app).await.unwrap().sent, 1);
}

#[tokio::test]
async fn health_tells_of_waiting_mail_and_a_restart_does_not_forget() {
    let (server, app) = with_server(Tls::Implicit).await;
    let port = server.stop().await;
    assert!(!mail::health(&app.app).await.unwrap().failing);
    enqueue(&app.app, "ann@example.com", &Message::Welcome {}).await;
    let written = app.app.now();
    run_once(&app.app).await.unwrap();
    assert!(app.app.metrics.render().contains("hallpass_mail_up 0"));
    let app = app.restart_with(|_| {}).await;
    let health = mail::health(&app.app).await.unwrap();
    assert_eq!((health.failing, health.waiting, health.oldest), (true, 1, Some(written)));
    let _server = SmtpServer::start_on(port, Tls::Implicit).await;
    app.advance(Duration::from_secs(60));
    run_once(&app.app).await.unwrap();
    let health = mail::health(&app.app).await.unwrap();
    assert_eq!((health.failing, health.waiting, health.oldest), (false, 0, None));
    assert!(app.app.metrics.render().contains("hallpass_mail_up 1"));
}
