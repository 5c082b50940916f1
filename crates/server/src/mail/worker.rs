//! Empties the outbox: claims one row at a time, delivers it, writes down what came of it.
//!
//! A claim is a compare-and-set of the time of the next attempt, so several nodes do not send a mail twice. A node that
//! dies in between lets its claim run out, and the mail is tried again: better twice than never.
use super::smtp::{Failure, Mailer, Outgoing};
use super::{open, store};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::telemetry::Outcome;
use crate::web::Client;
use serde_json::json;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// What is due is looked for at least this often.
const EVERY: Duration = Duration::from_secs(2);
/// Rows fetched at once.
const BATCH: i64 = 50;
/// The first wait after a failure; doubled with each.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// How long a claim outlives the longest delivery: time for the database.
const CLAIM_SLACK: Duration = Duration::from_secs(60);
/// Begins the last error of a mail that failed because the server was out of reach.
const OUT_OF_REACH: &str = "server: ";

/// What one run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Taken by the server.
    pub sent: u64,
    /// To be tried again.
    pub retried: u64,
    /// Refused for good, or tried for too long.
    pub given_up: u64,
}

/// Delivers when woken, and every two seconds what is due, until told to stop; a delivery under way is finished.
pub async fn run(app: App, mut stop: watch::Receiver<bool>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.outbox_wake.notified() => {}
            _ = ticks.tick() => {}
            () = told_to(&mut stop) => return,
        }
        if let Err(error) = deliver_due(&app, &|| !*stop.borrow()).await {
            tracing::warn!(%error, "the outbox could not be worked on, it will be tried again");
        }
    }
}

async fn told_to(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could tell.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Delivers everything that is due now. Does nothing with the dev mailbox.
///
/// # Errors
/// The database's. A failed delivery is none, it is in the report.
pub async fn run_once(app: &App) -> Result<Report> {
    deliver_due(app, &|| true).await
}

async fn deliver_due(app: &App, go_on: &(dyn Fn() -> bool + Send + Sync)) -> Result<Report> {
    let mut report = Report::default();
    if app.config.dev_mailbox() {
        return Ok(report);
    }
    let mut mailer: Option<Mailer> = None;
    let mut in_reach = true;
    'batches: loop {
        let due = store::due(&mut &app.db, app.now(), BATCH).await?;
        let last = due.len() < usize::try_from(BATCH).unwrap_or_default();
        for mail in &due {
            if !go_on() {
                break 'batches;
            }
            in_reach = one(app, &mut mailer, mail, &mut report).await?;
            // The others would only wait for the same server; they stay due.
            if !in_reach {
                break 'batches;
            }
        }
        if last {
            break;
        }
    }
    if let Some(mailer) = mailer {
        mailer.close().await;
    }
    let waiting = store::waiting(&mut &app.db).await?;
    app.metrics.outbox.set(waiting.all);
    // The server is back: what waits for no other reason need not wait its hour.
    if in_reach && report.sent > 0 && waiting.failed > 0 {
        let hurried = store::hurry(&mut &app.db, app.now(), OUT_OF_REACH).await?;
        if hurried > 0 {
            app.outbox_wake.notify_one();
        }
    }
    Ok(report)
}

/// Tries one mail; false when the server is out of reach.
async fn one(app: &App, mailer: &mut Option<Mailer>, mail: &store::Due, report: &mut Report) -> Result<bool> {
    let now = app.now();
    if mail.recipient.is_empty() {
        store::sent(&mut &app.db, mail.id, now).await?;
        return Ok(true);
    }
    let claimed_until = now.plus(app.config.mail.timeout).plus(CLAIM_SLACK);
    if !store::claim(&mut &app.db, mail, claimed_until).await? {
        return Ok(true);
    }
    let result = deliver(app, mailer, mail).await;
    let now = app.now();
    match result {
        Ok(()) => {
            store::sent(&mut &app.db, mail.id, now).await?;
            report.sent += 1;
            app.metrics.mail_up.set(1.0);
            count(app, "sent");
            tracing::info!(mail = %mail.id, kind = mail.kind, "mail sent");
        }
        Err(Failure::Refused(reason)) => {
            give_up(app, mail, &reason, report).await?;
        }
        Err(Failure::Later(reason)) => {
            app.metrics.mail_up.set(0.0);
            later(app, mail, claimed_until, &reason, report).await?;
        }
        Err(Failure::Server(reason)) => {
            app.metrics.mail_up.set(0.0);
            later(app, mail, claimed_until, &format!("{OUT_OF_REACH}{reason}"), report).await?;
            return Ok(false);
        }
    }
    Ok(true)
}

async fn deliver(app: &App, mailer: &mut Option<Mailer>, mail: &store::Due) -> Result<(), Failure> {
    // Perhaps the operator brings the former secret key back.
    let payload = open(app, mail.id, &mail.payload).map_err(Failure::Later)?;
    let mailer = match mailer {
        Some(mailer) => mailer,
        None => {
            let made = Mailer::new(&app.config.mail, &app.public_url).map_err(Failure::Server)?;
            mailer.insert(made.ok_or_else(|| Failure::Server("mail.smtp_url is not set".into()))?)
        }
    };
    let outgoing =
        Outgoing { id: mail.id, to: &payload.to, content: &payload.content, date: mail.created_at };
    mailer.deliver(&outgoing).await
}

async fn later(
    app: &App,
    mail: &store::Due,
    claimed_until: Timestamp,
    reason: &str,
    report: &mut Report,
) -> Result<()> {
    let now = app.now();
    if mail.created_at.plus(app.config.mail.give_up_after) <= now {
        return give_up(app, mail, reason, report).await;
    }
    let at = now.plus(wait(mail.attempts, u16::from_be_bytes(app.random_bytes())));
    store::retry(&mut &app.db, mail, claimed_until, at, reason).await?;
    report.retried += 1;
    count(app, "retried");
    tracing::warn!(mail = %mail.id, kind = mail.kind, reason, next = at.rfc3339(), "mail not delivered, will be tried again");
    Ok(())
}

async fn give_up(app: &App, mail: &store::Due, reason: &str, report: &mut Report) -> Result<()> {
    let now = app.now();
    let client = Client::system();
    let event = Event::new(Kind::MailGivenUp, &client);
    let mut tx = app.db.begin().await?;
    store::give_up(&mut tx, mail.id, now, reason).await?;
    audit::record(app, &mut tx, event.detail(json!({ "mail": mail.id, "kind": mail.kind })), now);
    tx.commit().await?;
    report.given_up += 1;
    count(app, "given_up");
    tracing::error!(mail = %mail.id, kind = mail.kind, reason, "mail given up");
    Ok(())
}

fn count(app: &App, outcome: &'static str) {
    app.metrics.mails.get_or_create(&Outcome { outcome }).inc();
}

/// The wait after `failures` earlier failures: doubling, less up to a fifth, so that mails do not come back in step.
fn wait(failures: i64, random: u16) -> Duration {
    let doublings = u32::try_from(failures).unwrap_or(u32::MAX).min(16);
    let full = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    full.saturating_sub(full * u32::from(random) / u32::from(u16::MAX) / 5)
}
