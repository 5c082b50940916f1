//! Failures and other costly events, counted on this node by key. Which are counted and how many are too many is the
//! business of `limits`.
use crate::clock::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Buckets kept, at about 60 bytes each; beyond, the lightest make room.
const BUCKETS: usize = 100_000;
/// Without a further event for so long, a growing wait starts anew.
const FORGET_AFTER: Duration = Duration::from_secs(86_400);
/// The first of the growing waits.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What is counted: a budget and a digest or id within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Keeps the budgets apart.
    pub budget: u8,
    /// Whom or what it is about.
    pub subject: [u8; 16],
}

/// How many are too many.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// After `free` events a wait of 1 s, doubled by each further event up to `longest`.
    Growing {
        /// Events before the first wait.
        free: u32,
        /// The longest wait.
        longest: Duration,
    },
    /// At most `most` events within `span`, counted from the first.
    Window {
        /// Events within the span.
        most: u32,
        /// How long they count.
        span: Duration,
    },
}

/// One count that an event goes to.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    /// Under which key.
    pub key: Key,
    /// By which rule.
    pub rule: Rule,
}

/// Events under one key.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    count: u32,
    since: Timestamp,
    latest: Timestamp,
    /// Whether somebody was refused since the latest event.
    refused: bool,
}

impl Bucket {
    /// After a step of the clock back, events of the future count as of now, so that no wait grows by the step.
    fn follow_clock_back(&mut self, now: Timestamp) {
        self.since = self.since.min(now);
        self.latest = self.latest.min(now);
    }
}

/// Why an event must not happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When it may.
    pub opens: Timestamp,
    /// Whether this is the first refusal of the present wait; only that one is worth a line in the audit log.
    pub first: bool,
}

impl Rule {
    /// When the next event may happen, or `None` for at once.
    fn opens(&self, bucket: &Bucket, now: Timestamp) -> Option<Timestamp> {
        let opens = match *self {
            Self::Growing { free, longest } => {
                let beyond = bucket.count.checked_sub(free)?;
                bucket.latest.plus((FIRST_WAIT * (1 << beyond.min(20))).min(longest))
            }
            Self::Window { most, span } => {
                if bucket.count < most {
                    return None;
                }
                bucket.since.plus(span)
            }
        };
        (opens > now).then_some(opens)
    }

    /// Whether the bucket's time is over, so that it starts anew.
    fn is_over(&self, bucket: &Bucket, now: Timestamp) -> bool {
        match *self {
            Self::Growing { .. } => bucket.latest.plus(FORGET_AFTER) <= now,
            Self::Window { span, .. } => bucket.since.plus(span) <= now,
        }
    }
}

/// All counts of this node.
#[derive(Default)]
pub struct Counters(Mutex<HashMap<Key, Bucket>>);

impl Counters {
    /// Counts one event under every key, or under none. Returns how many were counted before under the first key.
    ///
    /// # Errors
    /// When it may happen.
    pub fn reserve(&self, charges: &[Charge], now: Timestamp) -> Result<u32, Refused> {
        let mut buckets = self.lock();
        for charge in charges {
            if let Some(bucket) = buckets.get_mut(&charge.key) {
                bucket.follow_clock_back(now);
            }
        }
        if let Some(opens) = opens(&buckets, charges, now) {
            return Err(Refused { opens, first: note_refusal(&mut buckets, charges, now) });
        }
        if buckets.len() >= BUCKETS {
            make_room(&mut buckets, now);
        }
        let mut before = None;
        for charge in charges {
            let fresh = Bucket { count: 0, since: now, latest: now, refused: false };
            let bucket = buckets.entry(charge.key).or_insert(fresh);
            if charge.rule.is_over(bucket, now) {
                *bucket = fresh;
            }
            before.get_or_insert(bucket.count);
            bucket.count = bucket.count.saturating_add(1);
            bucket.latest = bucket.latest.max(now);
            bucket.refused = false;
        }
        Ok(before.unwrap_or(0))
    }

    /// Takes one event back.
    pub fn give_back(&self, charges: &[Charge]) {
        let mut buckets = self.lock();
        for charge in charges {
            if let Some(bucket) = buckets.get_mut(&charge.key) {
                bucket.count = bucket.count.saturating_sub(1);
                if bucket.count == 0 {
                    buckets.remove(&charge.key);
                }
            }
        }
    }

    /// Forgets a key altogether.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn opens(buckets: &HashMap<Key, Bucket>, charges: &[Charge], now: Timestamp) -> Option<Timestamp> {
    charges.iter().filter_map(|charge| charge.rule.opens(buckets.get(&charge.key)?, now)).max()
}

/// Whether nobody was refused before in any of the closed buckets; notes that somebody is now.
fn note_refusal(buckets: &mut HashMap<Key, Bucket>, charges: &[Charge], now: Timestamp) -> bool {
    let mut first = true;
    for charge in charges {
        if let Some(bucket) = buckets.get_mut(&charge.key)
            && charge.rule.opens(bucket, now).is_some()
        {
            first &= !std::mem::replace(&mut bucket.refused, true);
        }
    }
    first
}

/// Drops what nobody added to for a day, then the lightest buckets: whoever floods the table with single events drives
/// out their own, not the count of somebody's guesses.
fn make_room(buckets: &mut HashMap<Key, Bucket>, now: Timestamp) {
    buckets.retain(|_, bucket| bucket.latest.plus(FORGET_AFTER) > now);
    let mut least = 1;
    while buckets.len() > BUCKETS / 4 * 3 {
        buckets.retain(|_, bucket| bucket.count > least);
        least *= 2;
    }
}
