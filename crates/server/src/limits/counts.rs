//! Where counts are kept: in memory beside an embedded database, else where all nodes see them, in Redis or in PostgreSQL.
//!
//! Invariant: what counts is decided by the rules of `counters` alone, on all of an event's counts at once. Without Redis
//! the database counts, and without both nothing is tried: limits never turn into none.
use super::store;
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::counters::{Bucket, Charge, Entry, FORGET_AFTER};
use crate::error::Result;
use crate::redis::Redis;
use std::collections::BTreeMap;

/// Does something with the counts of some keys, as if nobody else did anything meanwhile. It may be done several times,
/// of which one counts.
///
/// # Errors
/// When there is no place to count.
pub(super) async fn change<T: Send>(
    app: &Inner,
    charges: &[Charge],
    now: Timestamp,
    work: impl Fn(&mut [Entry]) -> T + Send + Sync,
) -> Result<T> {
    if charges.is_empty() || app.config.embedded() {
        return Ok(app.counters.change(charges, now, work));
    }
    if let Some(redis) = &app.redis {
        match in_redis(redis, charges, &work).await {
            Ok(done) => return Ok(done),
            Err(error) => {
                app.metrics.limits_fallbacks.inc();
                tracing::warn!(error, "Redis does not count, so the database does");
            }
        }
    }
    in_database(app, charges, now, work).await
}

/// As [`change`], after the outcome is known and told: a failure is logged, and the count stays too high for a while.
pub(super) async fn settle(app: &Inner, charges: &[Charge], work: impl Fn(&mut [Entry]) + Send + Sync) {
    if let Err(error) = change(app, charges, app.now(), work).await {
        tracing::warn!(%error, "a count could not be taken back");
    }
}

async fn in_redis<T>(
    redis: &Redis,
    charges: &[Charge],
    work: impl Fn(&mut [Entry]) -> T,
) -> Result<T, String> {
    let names: Vec<String> = charges.iter().map(|charge| redis.key("limit", &charge.key.bytes())).collect();
    redis
        .change(&names, FORGET_AFTER, |values| {
            let entry = |(charge, value): (&Charge, &String)| Entry { charge: *charge, bucket: read(value) };
            let mut entries: Vec<Entry> = charges.iter().zip(values).map(entry).collect();
            let done = work(&mut entries);
            (done, entries.iter().map(write).collect())
        })
        .await
}

fn read(value: &str) -> Option<Bucket> {
    let numbers: Option<Vec<i64>> = value.split(' ').map(|number| number.parse().ok()).collect();
    Bucket::from_numbers(numbers?.try_into().ok()?)
}

fn write(entry: &Entry) -> String {
    let numbers = |bucket: Bucket| bucket.numbers().map(|number| number.to_string()).join(" ");
    entry.bucket.map(numbers).unwrap_or_default()
}

async fn in_database<T>(
    app: &Inner,
    charges: &[Charge],
    now: Timestamp,
    work: impl Fn(&mut [Entry]) -> T,
) -> Result<T> {
    // In the order of keys, so that no two transactions wait for each other.
    let keys: BTreeMap<[u8; 17], &Charge> =
        charges.iter().map(|charge| (charge.key.bytes(), charge)).collect();
    let sorted: Vec<[u8; 17]> = keys.keys().copied().collect();
    let mut tx = app.db.begin().await?;
    let buckets = store::lock(&mut tx, &sorted, now).await?;
    let kept: BTreeMap<[u8; 17], Option<Bucket>> = sorted.iter().copied().zip(buckets).collect();
    let entry =
        |charge: &Charge| Entry { charge: *charge, bucket: kept.get(&charge.key.bytes()).copied().flatten() };
    let mut entries: Vec<Entry> = charges.iter().map(entry).collect();
    let done = work(&mut entries);
    store::write(&mut tx, &entries, now).await?;
    tx.commit_loosely().await?;
    Ok(done)
}
