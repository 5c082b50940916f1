//! Limits against guessing and mail floods, counted on this node. Failures are reserved before anything is verified
//! and given back on success, so that parallel guesses cannot exceed them.
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::counters::Bucket;
use crate::error::{Code, Error, Result};
use std::collections::HashMap;
use std::time::Duration;

/// Failures of one account from one network before waits begin.
const FREE_FAILURES: u32 = 5;
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Failures of one network, whatever the account.
const NETWORK_FAILURES: u32 = 50;
/// For how long failures of a network count.
const NETWORK_SPAN: Duration = Duration::from_secs(15 * 60);
/// Without a failure for so long, an account's count from a network starts anew.
const FORGET_AFTER: Duration = Duration::from_secs(86_400);
/// Buckets kept; beyond, the ones whose time is over go first.
const BUCKETS: usize = 100_000;

/// A reserved failure.
pub struct Reservation {
    account: String,
    network: String,
}

/// Reserves a failure of `account` from `network`.
///
/// # Errors
/// [`Code::RateLimited`] with the wait; the same whether the account exists or not.
pub fn reserve(app: &Inner, account: &str, network: &str) -> Result<Reservation> {
    let key = Reservation {
        account: format!("account/{account}/{network}"),
        network: format!("network/{network}"),
    };
    if !app.config.limits.enabled {
        return Ok(key);
    }
    let now = app.now();
    let mut buckets = app.counters.lock();
    if buckets.len() > BUCKETS {
        buckets.retain(|_, bucket| bucket.latest.plus(NETWORK_SPAN) > now);
    }
    let network_opens = buckets.get(&key.network).and_then(network_opens);
    let account_opens = buckets.get(&key.account).and_then(account_opens);
    if let Some(opens) = network_opens.max(account_opens).filter(|opens| *opens > now) {
        return Err(limited(opens, now));
    }
    count(&mut buckets, &key.account, now, |bucket| bucket.latest.plus(FORGET_AFTER) <= now);
    count(&mut buckets, &key.network, now, |bucket| bucket.since.plus(NETWORK_SPAN) <= now);
    Ok(key)
}

impl Reservation {
    /// It was no failure: the account's count starts anew, the network gets its one back.
    pub fn succeeded(self, app: &Inner) {
        let mut buckets = app.counters.lock();
        buckets.remove(&self.account);
        give_back(&mut buckets, &self.network);
    }

    /// Nothing was verified, for example because the queue was full.
    pub fn cancelled(self, app: &Inner) {
        let mut buckets = app.counters.lock();
        give_back(&mut buckets, &self.account);
        give_back(&mut buckets, &self.network);
    }
}

fn give_back(buckets: &mut HashMap<String, Bucket>, key: &str) {
    if let Some(bucket) = buckets.get_mut(key) {
        bucket.failures = bucket.failures.saturating_sub(1);
    }
}

fn limited(opens: Timestamp, now: Timestamp) -> Error {
    let seconds = (opens.micros() - now.micros()).div_euclid(1_000_000) + 1;
    Error::new(Code::RateLimited).with_retry_after(u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// When an account with failures from a network may be tried again: 1 s after the fifth, then twice as long each time.
fn account_opens(bucket: &Bucket) -> Option<Timestamp> {
    let beyond = bucket.failures.checked_sub(FREE_FAILURES)?;
    let wait = Duration::from_secs(1 << beyond.min(20)).min(LONGEST_WAIT);
    Some(bucket.latest.plus(wait))
}

/// When a network with too many failures may try again.
fn network_opens(bucket: &Bucket) -> Option<Timestamp> {
    (bucket.failures >= NETWORK_FAILURES).then(|| bucket.since.plus(NETWORK_SPAN))
}

/// Counts a failure; a bucket that is over starts anew.
fn count(
    buckets: &mut HashMap<String, Bucket>,
    key: &str,
    now: Timestamp,
    is_over: impl Fn(&Bucket) -> bool,
) {
    let fresh = Bucket { failures: 0, since: now, latest: now };
    let bucket = buckets.entry(key.to_owned()).or_insert(fresh);
    if is_over(bucket) {
        *bucket = fresh;
    }
    bucket.failures = bucket.failures.saturating_add(1);
    bucket.latest = now;
}
