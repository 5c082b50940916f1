//! Mail: an outbox that is written with the fact it tells, a worker that empties it, a mailbox for development.
//!
//! Invariants: a mail exists exactly when the transaction of its fact was committed. It is delivered at least once, with
//! the same Message-ID every time, and its text is removed once an SMTP server has taken or finally refused it. Until
//! then it is sealed, since it carries secrets.
//!
//! With the dev mailbox there is nobody to deliver to: a row is given up in the moment it is written but keeps its text,
//! which no other row does. So the mailbox is a view on the outbox, nothing counts as waiting or failed, and an SMTP
//! server that is configured later never gets old development mail.
mod mailbox;
mod message;
mod smtp;
mod store;
pub mod worker;

pub use mailbox::routes;
pub use message::{Message, PasskeyNotice, Rendered};

use crate::app::{App, Inner};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ids::RowId;
use crate::names::Email;
use crate::templates::Templates;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zeroize::Zeroizing;

/// Mails to one address that anybody can ask for, in a short and in a long time.
const FLOOD: [(i64, Duration); 2] = [(3, Duration::from_secs(15 * 60)), (10, Duration::from_secs(86_400))];

/// What is sealed into a row.
#[derive(Serialize, Deserialize)]
struct Payload {
    /// The address as its owner typed it; the row itself has the one to look up by.
    to: String,
    #[serde(flatten)]
    content: Rendered,
}

/// Whether delivery works.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// Whether a mail waits although its delivery was tried.
    pub failing: bool,
    /// Mails that wait.
    pub waiting: i64,
    /// When the oldest of them was written.
    pub oldest: Option<Timestamp>,
}

/// Checks at start what would otherwise fail at the first mail: the templates, and the settings of delivery.
///
/// # Errors
/// A sentence for the operator that names the template or setting.
pub fn check(config: &Config, templates: &Templates) -> Result<(), String> {
    for message in Message::samples() {
        if let Err(error) = message.render(templates, &config.mail.product_name) {
            let (kind, name) = (message.kind(), error.name().unwrap_or_default());
            return Err(format!(
                "mail.templates_dir: the templates of the mail {kind} are broken: {error} {name}"
            ));
        }
    }
    smtp::Mailer::new(&config.mail, &config.public_url()).map(drop)
}

/// Writes a mail into the transaction of the fact that it tells.
///
/// # Errors
/// The database's, or a broken override of a template.
pub async fn enqueue(app: &App, tx: &mut Tx, to: &str, message: &Message, now: Timestamp) -> Result<()> {
    write(app, tx, Some(to), message, now).await
}

/// The same, or without a recipient a decoy: it costs as much, so that time does not tell who has an account, and the
/// worker throws it away.
///
/// # Errors
/// As [`enqueue`].
pub async fn enqueue_or_pretend(
    app: &App,
    tx: &mut Tx,
    to: Option<&str>,
    message: &Message,
    now: Timestamp,
) -> Result<()> {
    write(app, tx, to, message, now).await
}

async fn write(app: &App, tx: &mut Tx, to: Option<&str>, message: &Message, now: Timestamp) -> Result<()> {
    let content = message.render(&app.templates, &app.config.mail.product_name).map_err(Error::internal)?;
    let id = RowId(app.new_id(now));
    let payload = Payload { to: to.unwrap_or_default().to_owned(), content };
    let plain = Zeroizing::new(serde_json::to_vec(&payload).map_err(Error::internal)?);
    let sealed = app.secrets.sealer.seal(&plain, id.to_string().as_bytes(), app.random_bytes());
    let mail = store::NewMail {
        id,
        recipient: &to.map(lookup_form).unwrap_or_default(),
        kind: message.kind(),
        payload: &sealed,
        now,
        shelved: app.config.dev_mailbox(),
    };
    Ok(store::insert(tx, &mail).await?)
}

/// Commits and wakes the worker.
///
/// # Errors
/// The database's; then nothing was written.
pub async fn commit(app: &App, tx: Tx) -> Result<()> {
    tx.commit().await?;
    app.outbox_wake.notify_one();
    Ok(())
}

/// Whether an address may get one more mail that anybody can ask for: 3 in 15 minutes, 10 a day. Mails about what its
/// owner did are not counted and always sent. Asked in the transaction that writes the mail, so that parallel calls
/// do not exceed it.
///
/// # Errors
/// The database's.
pub async fn may_send(app: &App, tx: &mut Tx, to: &str, now: Timestamp) -> Result<bool> {
    if !app.config.limits.enabled {
        return Ok(true);
    }
    let [(few, short), (many, long)] = FLOOD;
    let recipient = lookup_form(to);
    tx.lock(&format!("mail/{recipient}")).await?;
    let (recent, today) = store::recent(tx, &recipient, now.minus(short), now.minus(long)).await?;
    Ok(recent < few && today < many)
}

/// How delivery is doing, from the outbox itself, so that a restart does not forget it.
///
/// # Errors
/// The database's.
pub async fn health(app: &App) -> Result<Health> {
    let waiting = store::waiting(&mut &app.db).await?;
    Ok(Health { failing: waiting.failed > 0, waiting: waiting.all, oldest: waiting.oldest })
}

/// Removes a batch of mails that are done with and older than `before` (at least a day ago: the limits count them).
///
/// # Errors
/// The database's.
pub async fn purge(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    Ok(store::purge(tx, before).await?)
}

/// Removes the mails to an address that are done with, because its account is being deleted. What waits is still delivered.
///
/// # Errors
/// The database's.
pub async fn forget(tx: &mut Tx, email_normalised: &str) -> Result<()> {
    Ok(store::forget(tx, email_normalised).await?)
}

/// Opens a row's payload; a sentence when that fails.
fn open(app: &Inner, id: RowId, sealed: &[u8]) -> Result<Payload, String> {
    let plain =
        app.secrets.sealer.open(sealed, id.to_string().as_bytes()).map_err(|error| error.to_string())?;
    serde_json::from_slice(&plain).map_err(|error| format!("the stored mail is malformed: {error}"))
}

/// The form of an address that rows are found by.
fn lookup_form(address: &str) -> String {
    Email::parse(address).map_or_else(|| address.trim().to_lowercase(), |email| email.normalised)
}
