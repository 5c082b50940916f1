//! What has to be done now and then: keys on schedule, sightings written, expired rows removed in small batches.
use crate::app::App;
use crate::audit::{self, Anchor, Event, Kind};
use crate::codes;
use crate::devices;
use crate::error::Result;
use crate::factors;
use crate::keys;
use crate::limits;
use crate::login;
use crate::mail;
use crate::passkeys;
use crate::revocations;
use crate::sessions;
use crate::web::Client;
use crate::webhooks;
use serde_json::json;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

/// A sighting is written within this time, well under the 5 s that the rotation rule counts with.
const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// Keys are looked at this often, so that a rotation by another process is noticed.
const KEYS_EVERY: Duration = Duration::from_secs(10);
/// Secrets under a former key are looked for this often.
const RESEAL_EVERY: Duration = Duration::from_secs(3600);
/// Expired rows are removed this often.
const PURGE_EVERY: Duration = Duration::from_secs(600);
/// The ends of the chains of the audit log are noted this often by each node.
const NOTE_EVERY: Duration = Duration::from_secs(3600);
/// Expired secrets and registrations stay this long, so that support can tell "expired" from "never existed".
const KEEP_EXPIRED: Duration = Duration::from_secs(7 * 86_400);

/// Runs until told to stop; writes the last sightings before it ends.
pub async fn run(app: App, mut stop: watch::Receiver<bool>) {
    let every = |duration| {
        let mut ticks = interval(duration);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks
    };
    let (mut flush, mut keys, mut purge) = (every(FLUSH_EVERY), every(KEYS_EVERY), every(PURGE_EVERY));
    // While a former secret key is named nodes may still seal under it; without one nothing is stale.
    let mut stale = every(RESEAL_EVERY);
    let former_keys = !app.config.keys.previous_secret_keys.is_empty();
    // Not at once: what came before the start was noted by then, or is a moment old.
    let mut note = interval_at(Instant::now() + NOTE_EVERY, NOTE_EVERY);
    let mut noted = None;
    loop {
        let (what, result) = tokio::select! {
            _ = flush.tick() => ("write sightings", sessions::flush_presence(&app).await),
            _ = keys.tick() => ("maintain keys", keys::maintain(&app).await),
            _ = purge.tick() => ("purge", purge_once(&app).await),
            _ = stale.tick(), if former_keys => ("seal anew", reseal(&app).await),
            _ = note.tick() => ("note the ends of the audit log", note_ends(&app, &mut noted).await),
            _ = stop.changed() => break,
        };
        if let Err(error) = result {
            tracing::warn!(%error, what, "housekeeping failed, it will be tried again");
        }
    }
    if let Err(error) = sessions::flush_presence(&app).await {
        tracing::warn!(%error, "the last sightings could not be written");
    }
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

/// Removes what has expired long ago, batch by batch.
pub async fn purge_once(app: &App) -> Result<()> {
    let now = app.now();
    let before = now.minus(KEEP_EXPIRED);
    let mut sum = 0;
    loop {
        let mut tx = app.db.begin().await?;
        let removed = codes::purge(&mut tx, before).await?
            + login::purge(&mut tx, before).await?
            + factors::purge(&mut tx, before).await?
            + limits::purge(&mut tx, app.now()).await?
            + devices::purge(&mut tx, now).await?
            + mail::purge(&mut tx, before).await?
            + passkeys::purge(&mut tx, before).await?
            + sessions::purge(&mut tx, before).await?
            + revocations::purge(app, &mut tx, now).await?
            + webhooks::purge(app, &mut tx, now).await?;
        tx.commit().await?;
        sum += removed;
        if removed == 0 {
            break;
        }
    }
    if sum > 0 {
        let client = Client::system();
        let event = Event::new(Kind::ExpiredRemoved, &client).detail(json!({ "rows": sum }));
        audit::record_alone(app, event).await?;
    }
    Ok(())
}
