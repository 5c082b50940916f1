//! What happened, by the day.
//!
//! Invariants: an answer reads daily rows and never events; every link of a chain of the audit log is counted in the transaction that
//! notes how far the chain was counted, so each counts once, on however many nodes; who was active is forgotten when the day is over.
mod store;

use crate::app::App;
use crate::audit::{self, Kind, StoredEvent};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::Result;
use crate::ids::UserId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A day.
const DAY: Duration = Duration::from_secs(86_400);
/// Events counted in one transaction.
const BATCH: i64 = 500;
/// Active users noted in one transaction.
const ACTIVE_AT_ONCE: usize = 200;
/// Transactions of one call, so that housekeeping goes on while a long log is counted for the first time.
const BATCHES: usize = 20;
/// Totals are measured this often.
const MEASURED_EVERY: Duration = Duration::from_secs(600);
/// Rows looked at by one statement while totals are measured: it runs for milliseconds.
const MEASURED_AT_ONCE: i64 = 2000;
/// One node counts at a time.
const LOCK: &str = "statistics";

/// Users who used a session or signed in.
const ACTIVE_USERS: &str = "active_users";
/// Accounts.
const USERS: &str = "users";
/// Live sessions.
const LIVE_SESSIONS: &str = "live_sessions";
/// When the totals were measured.
const MEASURED_AT: &str = "measured_at";

/// The first instant of the day of an instant, UTC.
pub fn day_of(at: Timestamp) -> Timestamp {
    let length = i64::try_from(DAY.as_micros()).unwrap_or(i64::MAX);
    Timestamp(at.micros().div_euclid(length).saturating_mul(length))
}

/// Counts what was written into the audit log since the last call, and measures the totals now and then.
pub async fn count(app: &App) -> Result<()> {
    count_active(app).await?;
    for _ in 0..BATCHES {
        if !count_batch(app).await? {
            break;
        }
    }
    measure(app).await
}

/// Counts some events; returns whether more are left.
async fn count_batch(app: &App) -> Result<bool> {
    let ends = audit::lengths(&app.db).await?;
    let counted = store::counted(&mut &app.db).await?;
    if ends.iter().all(|(chain, end)| counted.get(chain).copied().unwrap_or(0) >= *end) {
        return Ok(false);
    }
    let mut tx = app.db.begin().await?;
    tx.lock(LOCK).await?;
    // Read again inside: another node may have been first.
    let counted = store::counted(&mut tx).await?;
    let (mut left, mut events) = (BATCH, Vec::new());
    for (chain, end) in &ends {
        let after = counted.get(chain).copied().unwrap_or(0);
        if after >= *end || left == 0 {
            continue;
        }
        let links = audit::links(&mut tx, chain, after, left).await?;
        let length = i64::try_from(links.len()).unwrap_or(left);
        let last = links.last().map_or(after, |link| link.seq);
        // All of them came, or were removed from the log before they could be counted.
        let reached = if length < left { last.max(*end) } else { last };
        store::set_counted(&mut tx, chain, reached).await?;
        left -= length;
        events.extend(links);
    }
    add(&mut tx, &events).await?;
    if left > 0 {
        // Nothing is behind, so nobody is counted again for a day that is over.
        store::forget_users(&mut tx, day_of(app.now()).minus(DAY)).await?;
    }
    tx.commit().await?;
    Ok(left == 0)
}

async fn add(tx: &mut Tx, events: &[StoredEvent]) -> Result<()> {
    let mut sums: BTreeMap<(Timestamp, &str), i64> = BTreeMap::new();
    let mut active = BTreeSet::new();
    for event in events {
        *sums.entry((day_of(event.at), &event.kind)).or_default() += 1;
        if event.kind == Kind::LoginSucceeded.name() {
            active.extend(event.user.as_deref().and_then(UserId::parse).map(|user| (user, event.at)));
        }
    }
    for ((day, kind), sum) in sums {
        store::add(tx, day, kind, sum).await?;
    }
    add_active(tx, active).await
}

async fn add_active(tx: &mut Tx, users: impl IntoIterator<Item = (UserId, Timestamp)>) -> Result<()> {
    let mut sums: BTreeMap<Timestamp, i64> = BTreeMap::new();
    for (user, at) in users {
        let day = day_of(at);
        if store::note_user(tx, day, user).await? {
            *sums.entry(day).or_default() += 1;
        }
    }
    for (day, sum) in sums {
        store::add(tx, day, ACTIVE_USERS, sum).await?;
    }
    Ok(())
}

/// Counts the users whose sessions this node has seen in use for the first time on a day.
async fn count_active(app: &App) -> Result<()> {
    let users = app.presence.take_active();
    for (done, chunk) in users.chunks(ACTIVE_AT_ONCE).enumerate() {
        if let Err(error) = count_chunk(app, chunk).await {
            // Not lost: the next call counts them.
            for (user, at) in &users[done * ACTIVE_AT_ONCE..] {
                app.presence.note_active(*user, *at);
            }
            return Err(error);
        }
    }
    Ok(())
}

async fn count_chunk(app: &App, users: &[(UserId, Timestamp)]) -> Result<()> {
    let mut tx = app.db.begin().await?;
    tx.lock(LOCK).await?;
    add_active(&mut tx, users.iter().copied()).await?;
    Ok(tx.commit().await?)
}

/// Counts accounts and live sessions, in small steps, if nobody has lately.
async fn measure(app: &App) -> Result<()> {
    let now = app.now();
    let day = day_of(now);
    let last = store::value(&mut &app.db, day, MEASURED_AT).await?;
    if last.is_some_and(|at| Timestamp(at).plus(MEASURED_EVERY) > now) {
        return Ok(());
    }
    // First, so that other nodes do not begin as well.
    store::set(&mut &app.db, day, MEASURED_AT, now.micros()).await?;
    let (mut users, mut after) = (0, Some(String::new()));
    while let Some(cursor) = after {
        let (count, next) = store::users_after(&mut &app.db, &cursor, MEASURED_AT_ONCE).await?;
        (users, after) = (users + count, next);
        tokio::task::yield_now().await;
    }
    let (mut live, mut after) = (0, Some(String::new()));
    while let Some(cursor) = after {
        let (count, next) = store::live_after(&mut &app.db, &cursor, now, MEASURED_AT_ONCE).await?;
        (live, after) = (live + count, next);
        tokio::task::yield_now().await;
    }
    store::set(&mut &app.db, day, USERS, users).await?;
    store::set(&mut &app.db, day, LIVE_SESSIONS, live).await?;
    Ok(())
}

/// What a day was like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// Its first instant, UTC.
    pub begins: Timestamp,
    /// Events by their kind.
    pub events: BTreeMap<String, i64>,
    /// Users who used a session or signed in.
    pub active_users: i64,
    /// Accounts, as measured last on that day.
    pub users: Option<i64>,
    /// Live sessions, as measured last on that day.
    pub live_sessions: Option<i64>,
    /// When the totals were measured.
    pub measured_at: Option<Timestamp>,
}

impl Day {
    fn empty(begins: Timestamp) -> Self {
        let events = BTreeMap::new();
        Self { begins, events, active_users: 0, users: None, live_sessions: None, measured_at: None }
    }
}

/// Every day from that of one instant to that of another, in order.
pub async fn days(app: &App, from: Timestamp, to: Timestamp) -> Result<Vec<Day>> {
    let (from, to) = (day_of(from), day_of(to));
    let mut days = BTreeMap::new();
    let mut begins = from;
    while begins <= to {
        days.insert(begins, Day::empty(begins));
        begins = begins.plus(DAY);
    }
    for (day, name, value) in store::between(&mut &app.db, from, to).await? {
        let Some(day) = days.get_mut(&day) else { continue };
        match name.as_str() {
            ACTIVE_USERS => day.active_users = value,
            USERS => day.users = Some(value),
            LIVE_SESSIONS => day.live_sessions = Some(value),
            MEASURED_AT => day.measured_at = Some(Timestamp(value)),
            _ => drop(day.events.insert(name, value)),
        }
    }
    Ok(days.into_values().collect())
}
