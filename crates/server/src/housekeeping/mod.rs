//! What has to be done now and then: keys on schedule, sightings written, what is over removed.
//!
//! Invariants: only the node that has the lease removes rows, and it asks for the lease again in the transaction of each batch; a batch
//! is small (500 rows), so that nobody waits long for it; killed at any moment, what was committed is whole and the next run goes on.
mod purge;
mod store;

pub use purge::purge_once;

use crate::app::App;
use crate::audit::{self, Anchor};
use crate::bus::KEYS;
use crate::error::Result;
use crate::factors;
use crate::keys;
use crate::sessions;
use crate::statistics;
use crate::users;
use crate::webhooks;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at};

/// A sighting is written within this time, well under the 5 s that the rotation rule counts with.
const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// Keys are looked at this often, so that a rotation that nobody announces is noticed: by another process on an embedded database.
const KEYS_EVERY: Duration = Duration::from_secs(1);
/// The same while a rotation was announced that may not be committed yet.
const PENDING_KEYS_EVERY: Duration = Duration::from_millis(100);
/// Events of the audit log are counted this often.
const COUNTED_EVERY: Duration = Duration::from_secs(5);
/// Sessions are looked for this often whose administrator may no longer act in them: services that follow hear of it within a second.
const LAPSED_EVERY: Duration = Duration::from_millis(500);
/// Secrets under a former key are looked for this often.
const RESEAL_EVERY: Duration = Duration::from_secs(3600);
/// Expired rows are removed this often.
const PURGE_EVERY: Duration = Duration::from_secs(600);
/// Users whom something else than this version of the server made or changed are looked for this often.
const INDEX_EVERY: Duration = Duration::from_secs(60);
/// The ends of the chains of the audit log are noted this often by each node.
const NOTE_EVERY: Duration = Duration::from_secs(3600);

/// Runs until told to stop; writes the last sightings before it ends.
pub async fn run(app: App, stop: watch::Receiver<bool>) {
    // Beside each other: what removes, mends and counts may take long, sightings cannot wait.
    tokio::join!(keep(&app, stop.clone()), tidy_up(&app, stop.clone()), count(&app, stop));
}

fn every(duration: Duration) -> Interval {
    let mut ticks = interval(duration);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

async fn count(app: &App, mut stop: watch::Receiver<bool>) {
    let mut ticks = every(COUNTED_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => break,
        }
        if let Err(error) = statistics::count(app).await {
            tracing::warn!(%error, "events could not be counted, it will be tried again");
        }
    }
}

/// What may take long, one after the other.
async fn tidy_up(app: &App, mut stop: watch::Receiver<bool>) {
    let (mut purge, mut index) = (every(PURGE_EVERY), every(INDEX_EVERY));
    // While a former secret key is named nodes may still seal under it; without one nothing is stale.
    let mut stale = every(RESEAL_EVERY);
    let former_keys = !app.config.keys.previous_secret_keys.is_empty();
    loop {
        let (what, result) = tokio::select! {
            _ = purge.tick() => ("purge", until(&mut stop.clone(), purge_once(app)).await),
            _ = index.tick() => ("index users", until(&mut stop.clone(), index_users(app)).await),
            _ = stale.tick(), if former_keys => ("seal anew", until(&mut stop.clone(), reseal(app)).await),
            _ = stop.changed() => break,
        };
        if let Err(error) = result {
            tracing::warn!(%error, what, "housekeeping failed, it will be tried again");
        }
    }
}

/// Leaves what may take long where it is when the server stops: each of its transactions stands for itself.
async fn until(stop: &mut watch::Receiver<bool>, work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::select! {
        result = work => result,
        _ = stop.changed() => Ok(()),
    }
}

async fn keep(app: &App, mut stop: watch::Receiver<bool>) {
    let (mut flush, mut keys) = (every(FLUSH_EVERY), every(KEYS_EVERY));
    let (mut lapsed, mut pending) = (every(LAPSED_EVERY), every(PENDING_KEYS_EVERY));
    let mut heard = app.db.bus().listen();
    let mut loaded = None;
    // Not at once: what came before the start was noted by then, or is a moment old.
    let mut note = interval_at(Instant::now() + NOTE_EVERY, NOTE_EVERY);
    let mut noted = None;
    loop {
        let (what, result) = tokio::select! {
            _ = flush.tick() => ("write sightings", sessions::flush_presence(app).await),
            _ = keys.tick() => ("maintain keys", keys::maintain(app).await),
            _ = heard.changed() => ("load announced keys", load_announced(app, &mut loaded).await),
            _ = pending.tick(), if app.db.bus().is_pending(KEYS) => ("maintain keys", keys::maintain(app).await),
            _ = lapsed.tick() => ("end lapsed impersonations", sessions::end_lapsed(app).await),
            _ = note.tick() => ("note the ends of the audit log", note_ends(app, &mut noted).await),
            _ = stop.changed() => break,
        };
        if let Err(error) = result {
            tracing::warn!(%error, what, "housekeeping failed, it will be tried again");
        }
    }
    if let Err(error) = sessions::flush_presence(app).await {
        tracing::warn!(%error, "the last sightings could not be written");
    }
}

/// Loads the keys anew if something was announced of them since they were loaded last.
async fn load_announced(app: &App, loaded: &mut Option<(u64, u32)>) -> Result<()> {
    // Before the read, so that what is announced meanwhile is heard.
    let stamp = app.db.bus().stamp(KEYS);
    if *loaded != Some(stamp) {
        keys::maintain(app).await?;
        *loaded = Some(stamp);
    }
    Ok(())
}

async fn note_ends(app: &App, noted: &mut Option<Anchor>) -> Result<()> {
    *noted = audit::note_ends(app, noted.take()).await?;
    Ok(())
}

/// Seals the secrets of authenticator apps and webhooks anew that were sealed under a former secret key, page by page, and signs the ends
/// of the audit log's chains.
pub async fn reseal(app: &App) -> Result<()> {
    let mut cursor = Some(String::new());
    while let Some(after) = cursor {
        let mut tx = app.db.begin().await?;
        cursor = factors::reseal(app, &mut tx, &after).await?;
        tx.commit().await?;
    }
    webhooks::reseal(app).await?;
    audit::sign_ends_anew(app).await
}

/// Lets users be found whom an older version of the server or an import made or changed, batch by batch.
pub async fn index_users(app: &App) -> Result<()> {
    loop {
        let mut tx = app.db.begin().await?;
        let indexed = users::index(&mut tx).await?;
        tx.commit().await?;
        if indexed == 0 {
            return Ok(());
        }
    }
}
