//! What arrives, and how it travels.
use super::{deliver_to, enqueue, outbox, reset_mail, with_server};
use crate::support::TestApp;
use crate::support::smtp::{Received, SmtpServer, Tls};
use hallpass::mail::worker::{self, run_once};
use hallpass::mail::{self, Message};
use mail_parser::{Message as Parsed, MessageParser};
use std::time::Duration;
use tokio::sync::watch;

fn parse(mail: &Received) -> Parsed<'_> {
    MessageParser::default().parse(mail.raw.as_bytes()).unwrap()
}

fn header(mail: &Received, name: &str) -> String {
    parse(mail).header_raw(name).unwrap_or_default().trim().to_owned()
}

#[tokio::test]
async fn a_mail_goes_out_over_implicit_tls_with_login() {
    let (server, app) = with_server(Tls::Implicit).await;
    enqueue(&app.app, "Ann@Example.com", &reset_mail()).await;
    assert_eq!(run_once(&app.app).await.unwrap().sent, 1);
    let mails = server.mails();
    let [mail] = &mails[..] else { panic!("one mail, not {}", mails.len()) };
    assert!(mail.logged_in);
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("no-reply@example.com", "Ann@Example.com"));
    assert_eq!(server.heard_in_clear(), Vec::<String>::new());
}

#[tokio::test]
async fn with_starttls_nothing_but_hello_is_said_in_the_clear() {
    let (server, app) = with_server(Tls::Upgraded).await;
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    assert_eq!(run_once(&app.app).await.unwrap().sent, 1);
    assert!(server.mails()[0].logged_in);
    assert_eq!(server.heard_in_clear(), ["EHLO localhost", "STARTTLS"]);
}

#[tokio::test]
async fn a_mail_has_text_and_html_and_says_that_no_person_wrote_it() {
    let (server, app) = with_server(Tls::Implicit).await;
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    run_once(&app.app).await.unwrap();
    let mail = &server.mails()[0];
    let parsed = parse(mail);
    assert!(mail.raw.contains("multipart/alternative"));
    assert_eq!(parsed.subject(), Some("Choose a new password for Hallpass"));
    assert!(parsed.body_text(0).unwrap().contains("https://auth.example.com/password/reset?token=abc"));
    assert!(parsed.body_html(0).unwrap().contains("<h1>Choose a new password</h1>"));
    assert_eq!(header(mail, "Auto-Submitted"), "auto-generated");
    assert_eq!(header(mail, "From"), "Example <no-reply@example.com>");
    assert_eq!(header(mail, "Date"), "Thu, 01 Jan 2026 00:00:00 +0000");
    assert!(header(mail, "Message-ID").ends_with("@localhost>"));
    assert!(mail.raw.is_ascii(), "no server has to know 8BITMIME");
}

#[tokio::test]
async fn several_mails_go_out_oldest_first() {
    let (server, app) = with_server(Tls::Implicit).await;
    for name in ["one", "two", "three"] {
        enqueue(&app.app, &format!("{name}@example.com"), &Message::Welcome {}).await;
        app.advance(Duration::from_secs(1));
    }
    assert_eq!(run_once(&app.app).await.unwrap().sent, 3);
    let recipients: Vec<String> = server.mails().into_iter().map(|mail| mail.to).collect();
    assert_eq!(recipients, ["one@example.com", "two@example.com", "three@example.com"]);
}

#[tokio::test]
async fn names_and_subjects_may_have_any_letters() {
    let server = SmtpServer::start(Tls::Implicit).await;
    let app = TestApp::start_with(|config| {
        deliver_to(config, &server);
        config.mail.product_name = "Prüfstelle Ångström 漢字".into();
        config.mail.from = "Grüße von Łukasz <no-reply@example.com>".into();
    })
    .await;
    enqueue(&app.app, "ann@example.com", &Message::Welcome {}).await;
    assert_eq!(run_once(&app.app).await.unwrap().sent, 1);
    let mail = &server.mails()[0];
    let parsed = parse(mail);
    assert_eq!(parsed.subject(), Some("Welcome to Prüfstelle Ångström 漢字"));
    assert_eq!(parsed.from().unwrap().first().unwrap().name(), Some("Grüße von Łukasz"));
    assert!(parsed.body_text(0).unwrap().contains("Prüfstelle Ångström 漢字"));
}

#[tokio::test]
async fn a_line_break_in_a_name_or_address_adds_no_header_and_no_recipient() {
    let server = SmtpServer::start(Tls::Implicit).await;
    let app = TestApp::start_with(|config| {
        deliver_to(config, &server);
        config.mail.product_name = "Acme\r\nBcc: evil@example.net\r\n\r\nBody".into();
    })
    .await;
    enqueue(&app.app, "ann@example.com", &Message::Welcome {}).await;
    let device = "Firefox\r\n.\r\nRCPT TO:<evil@example.net>".to_owned();
    let at = "2026-01-01T00:00:00Z".to_owned();
    enqueue(&app.app, "ann@example.com", &Message::PasswordChanged { at, ip: "::1".into(), device }).await;
    enqueue(&app.app, "ann@example.com>\r\nRCPT TO:<evil@example.net", &Message::Welcome {}).await;
    let report = run_once(&app.app).await.unwrap();
    assert_eq!((report.sent, report.given_up), (2, 1));
    assert_eq!(server.asked(), 2);
    for mail in server.mails() {
        assert_eq!(mail.to, "ann@example.com");
        assert!(parse(&mail).bcc().is_none());
        assert!(parse(&mail).subject().unwrap().contains("Acme Bcc: evil@example.net Body"));
    }
}

#[tokio::test]
async fn a_sent_mail_leaves_no_text_behind() {
    let (_server, app) = with_server(Tls::Implicit).await;
    enqueue(&app.app, "ann@example.com", &reset_mail()).await;
    assert!(outbox(&app.app).await[0].has_payload);
    run_once(&app.app).await.unwrap();
    let row = &outbox(&app.app).await[0];
    assert!(row.sent && !row.given_up && !row.has_payload);
    assert_eq!(run_once(&app.app).await.unwrap(), worker::Report::default());
}

#[tokio::test]
async fn two_nodes_at_once_send_a_mail_once() {
    let (server, app) = with_server(Tls::Implicit).await;
    let other = app.second_node().await;
    for number in 0..10 {
        enqueue(&app.app, &format!("ann{number}@example.com"), &Message::Welcome {}).await;
    }
    let (one, two) = tokio::join!(run_once(&app.app), run_once(&other.app));
    assert_eq!(one.unwrap().sent + two.unwrap().sent, 10);
    let mut recipients: Vec<String> = server.mails().into_iter().map(|mail| mail.to).collect();
    recipients.sort();
    recipients.dedup();
    assert_eq!((recipients.len(), server.mails().len()), (10, 10));
}

#[tokio::test]
async fn what_was_undone_sends_nothing() {
    let (server, app) = with_server(Tls::Implicit).await;
    let mut tx = app.app.db.begin().await.unwrap();
    mail::enqueue(&app.app, &mut tx, "ann@example.com", &reset_mail(), app.app.now()).await.unwrap();
    drop(tx);
    assert_eq!(run_once(&app.app).await.unwrap().sent, 0);
    assert_eq!(server.mails().len(), 0);
}

#[tokio::test]
async fn a_decoy_goes_nowhere() {
    let (server, app) = with_server(Tls::Implicit).await;
    let mut tx = app.app.db.begin().await.unwrap();
    mail::enqueue_or_pretend(&app.app, &mut tx, None, &reset_mail(), app.app.now()).await.unwrap();
    mail::commit(&app.app, tx).await.unwrap();
    assert_eq!(run_once(&app.app).await.unwrap(), worker::Report::default());
    assert_eq!(server.asked(), 0);
    let row = &outbox(&app.app).await[0];
    assert!(!row.has_payload && row.recipient.is_empty());
}

#[tokio::test]
async fn the_worker_delivers_when_woken_and_stops_when_told() {
    let (server, app) = with_server(Tls::Upgraded).await;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(worker::run(app.app.clone(), stopped));
    enqueue(&app.app, "ann@example.com", &Message::Welcome {}).await;
    let arrived = async {
        while server.mails().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), arrived).await.unwrap();
    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(10), running).await.unwrap().unwrap();
    assert!(outbox(&app.app).await[0].sent);
}

#[tokio::test]
async fn old_rows_are_purged_but_not_waiting_ones() {
    let (server, app) = with_server(Tls::Implicit).await;
    enqueue(&app.app, "ann@example.com", &Message::Welcome {}).await;
    run_once(&app.app).await.unwrap();
    drop(server);
    enqueue(&app.app, "bob@example.com", &Message::Welcome {}).await;
    app.advance(Duration::from_secs(86_400 * 8));
    let mut tx = app.app.db.begin().await.unwrap();
    let removed = mail::purge(&mut tx, app.app.now().minus(Duration::from_secs(86_400 * 7))).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(removed, 1);
    assert_eq!(outbox(&app.app).await[0].recipient, "bob@example.com");
}
