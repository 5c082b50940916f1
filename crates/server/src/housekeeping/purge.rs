//! Removing what is over: one node at a time, one kind of row after the other, a batch in each transaction.
use super::store;
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::codes;
use crate::db::Tx;
use crate::devices;
use crate::error::Result;
use crate::factors;
use crate::invitations;
use crate::limits;
use crate::login;
use crate::mail;
use crate::passkeys;
use crate::revocations;
use crate::sessions;
use crate::web::Client;
use crate::webhooks;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The lease's name.
const LEASE: &str = "purge";
/// How long a node that has died keeps others from going on. Each batch renews it, and takes milliseconds.
const LASTS: Duration = Duration::from_secs(120);

/// One kind of rows; in the order in which they are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Secrets,
    Registrations,
    Attempts,
    Factors,
    Ceremonies,
    Invitations,
    Counts,
    Devices,
    Mails,
    Sessions,
    Revocations,
    Webhooks,
    Orphans,
    Erasures,
    Events,
}

impl Step {
    const ALL: [Self; 15] = [
        Self::Secrets,
        Self::Registrations,
        Self::Attempts,
        Self::Factors,
        Self::Ceremonies,
        Self::Invitations,
        Self::Counts,
        Self::Devices,
        Self::Mails,
        Self::Sessions,
        Self::Revocations,
        Self::Webhooks,
        Self::Orphans,
        Self::Erasures,
        Self::Events,
    ];

    /// As the event names it.
    const fn name(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Registrations => "registrations",
            Self::Attempts => "attempts",
            Self::Factors => "factors",
            Self::Ceremonies => "ceremonies",
            Self::Invitations => "invitations",
            Self::Counts => "counts",
            Self::Devices => "devices",
            Self::Mails => "mails",
            Self::Sessions => "sessions",
            Self::Revocations => "revocations",
            Self::Webhooks => "webhooks",
            Self::Orphans => "orphans",
            Self::Erasures => "erasures",
            Self::Events => "events",
        }
    }

    /// Removes a batch; returns how many rows, none when nothing is left.
    async fn batch(self, app: &App, tx: &mut Tx, now: Timestamp) -> Result<u64> {
        let keep = &app.config.retention;
        match self {
            Self::Secrets => codes::purge(tx, now.minus(keep.secrets)).await,
            Self::Registrations => login::purge_registrations(tx, now.minus(keep.registrations)).await,
            Self::Attempts => login::purge_attempts(tx, now.minus(keep.attempts)).await,
            Self::Factors => factors::purge(tx, now.minus(keep.attempts)).await,
            Self::Ceremonies => passkeys::purge(tx, now.minus(keep.attempts)).await,
            Self::Invitations => invitations::purge(tx, now.minus(keep.invitations)).await,
            Self::Counts => limits::purge(tx, now).await,
            Self::Devices => devices::purge(tx, now.minus(keep.devices)).await,
            Self::Mails => mail::purge(tx, now.minus(keep.mails)).await,
            Self::Sessions => sessions::purge(tx, now.minus(keep.sessions)).await,
            Self::Revocations => revocations::purge(app, tx, now).await,
            Self::Webhooks => webhooks::purge(app, tx, now).await,
            Self::Orphans => webhooks::purge_orphans(tx).await,
            Self::Erasures => audit::erase_due(app, tx, now).await,
            Self::Events if keep.audit.is_zero() => Ok(0),
            Self::Events => audit::prune(app, tx, now.minus(keep.audit), now).await,
        }
    }
}

/// Removes what is over, unless another node is at it.
///
/// # Errors
/// The database's. What was removed by then stays removed; the next run goes on.
pub async fn purge_once(app: &App) -> Result<()> {
    let holder = format!("{:016x}", app.request_prefix);
    let now = app.now();
    let mut tx = app.db.begin().await?;
    if !store::take(&mut tx, LEASE, &holder, now, now.plus(LASTS)).await? {
        return Ok(());
    }
    tx.commit().await?;
    let mut removed = Map::new();
    for step in Step::ALL {
        let rows = run(app, &holder, step).await?;
        let Some(rows) = rows else { return Ok(()) };
        if rows > 0 && step != Step::Events && step != Step::Erasures {
            removed.insert(step.name().to_owned(), Value::from(rows));
        }
    }
    let mut tx = app.db.begin().await?;
    store::release(&mut tx, LEASE, &holder).await?;
    // What was done to the log itself has events of its own.
    if !removed.is_empty() {
        let client = Client::system();
        let rows: u64 = removed.values().filter_map(Value::as_u64).sum();
        let detail = json!({ "rows": rows, "of": removed });
        audit::record(app, &mut tx, Event::new(Kind::ExpiredRemoved, &client).detail(detail), app.now());
    }
    Ok(tx.commit().await?)
}

/// All batches of one kind. `None` when another node has taken over: this one was away for too long.
async fn run(app: &App, holder: &str, step: Step) -> Result<Option<u64>> {
    let mut sum = 0;
    loop {
        let now = app.now();
        let mut tx = app.db.begin().await?;
        // In the same transaction, so that a batch counts only while the lease is ours.
        if !store::renew(&mut tx, LEASE, holder, now.plus(LASTS)).await? {
            return Ok(None);
        }
        let rows = step.batch(app, &mut tx, now).await?;
        tx.commit().await?;
        sum += rows;
        if rows == 0 {
            return Ok(Some(sum));
        }
    }
}
