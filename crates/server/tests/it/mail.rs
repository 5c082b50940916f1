//! Mail: delivery, the outbox behind it, templates, the dev mailbox.
mod delivery;
mod failures;
mod mailbox;
mod templates;

use crate::support::TestApp;
use crate::support::smtp::{SmtpServer, Tls, ca_file};
use hallpass::app::App;
use hallpass::config::{Config, Mode, Secret};
use hallpass::db::Statements;
use hallpass::mail::{self, Message};

/// Delivery to this server.
pub fn deliver_to(config: &mut Config, server: &SmtpServer) {
    config.server.mode = Mode::Development;
    config.mail.smtp_url = Some(Secret::new(server.url()));
    config.mail.ca_file = Some(ca_file());
    config.mail.from = "Example <no-reply@example.com>".into();
}

/// A mail server and a server that delivers to it.
pub async fn with_server(tls: Tls) -> (SmtpServer, TestApp) {
    let server = SmtpServer::start(tls).await;
    let app = TestApp::start_with(|config| deliver_to(config, &server)).await;
    (server, app)
}

pub async fn enqueue(app: &App, to: &str, message: &Message) {
    let mut tx = app.db.begin().await.unwrap();
    mail::enqueue(app, &mut tx, to, message, app.now()).await.unwrap();
    mail::commit(app, tx).await.unwrap();
}

pub fn reset_mail() -> Message {
    Message::PasswordReset { link: "https://auth.example.com/password/reset?token=abc".into(), seconds: 1800 }
}

/// The outbox as an operator finds it.
#[derive(Debug)]
pub struct OutboxRow {
    pub recipient: String,
    pub has_payload: bool,
    pub attempts: i64,
    /// Microseconds since the epoch.
    pub next_attempt_at: i64,
    pub sent: bool,
    pub given_up: bool,
    pub last_error: String,
}

pub async fn outbox(app: &App) -> Vec<OutboxRow> {
    let sql = "select recipient, payload, attempts, next_attempt_at, sent_at, given_up_at, last_error
         from outbox order by id";
    let rows = (&app.db).query(sql, &[]).await.unwrap();
    let row = |mut row: hallpass::db::Row| OutboxRow {
        recipient: row.text().unwrap(),
        has_payload: row.maybe_bytes().unwrap().is_some(),
        attempts: row.int().unwrap(),
        next_attempt_at: row.int().unwrap(),
        sent: row.maybe_int().unwrap().is_some(),
        given_up: row.maybe_int().unwrap().is_some(),
        last_error: row.maybe_text().unwrap().unwrap_or_default(),
    };
    rows.into_iter().map(row).collect()
}
