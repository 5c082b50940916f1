//! Failures and other costly events, counted by key: the rules, and the counts of one node. Which are counted, how many
//! are too many and where nodes share their counts is the business of `limits`.
use crate::clock::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Buckets kept, at about 60 bytes each; beyond, the lightest make room.
const BUCKETS: usize = 100_000;
/// Without a further event for so long, a growing wait starts anew.
pub const FORGET_AFTER: Duration = Duration::from_secs(86_400);
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    count: u32,
    since: Timestamp,
    latest: Timestamp,
    /// Whether somebody was refused since the latest event.
    refused: bool,
}

impl Bucket {
    /// As numbers, to be kept elsewhere.
    pub fn numbers(&self) -> [i64; 4] {
        [i64::from(self.count), self.since.micros(), self.latest.micros(), i64::from(self.refused)]
    }

    /// From its numbers; none when nothing was counted.
    pub fn from_numbers([count, since, latest, refused]: [i64; 4]) -> Option<Self> {
        let count = u32::try_from(count).ok().filter(|count| *count > 0)?;
        Some(Self { count, since: Timestamp(since), latest: Timestamp(latest), refused: refused != 0 })
    }

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

impl Key {
    /// As bytes, to be kept elsewhere.
    pub fn bytes(&self) -> [u8; 17] {
        let mut bytes = [self.budget; 17];
        bytes[1..].copy_from_slice(&self.subject);
        bytes
    }
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

/// A count that an event goes to, with what was counted before.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// By which rule.
    pub charge: Charge,
    /// Events so far; none when nothing is kept.
    pub bucket: Option<Bucket>,
}

/// Counts one event in every entry, or in none. Returns how many were counted before in the first.
///
/// # Errors
/// When it may happen.
pub fn reserve(entries: &mut [Entry], now: Timestamp) -> Result<u32, Refused> {
    for bucket in entries.iter_mut().filter_map(|entry| entry.bucket.as_mut()) {
        bucket.follow_clock_back(now);
    }
    let opens = |entry: &Entry| entry.charge.rule.opens(entry.bucket.as_ref()?, now);
    if let Some(at) = entries.iter().filter_map(opens).max() {
        // The first refusal is one that nobody had before in any of the closed entries.
        let mut first = true;
        for bucket in entries
            .iter_mut()
            .filter(|entry| opens(entry).is_some())
            .filter_map(|entry| entry.bucket.as_mut())
        {
            first &= !std::mem::replace(&mut bucket.refused, true);
        }
        return Err(Refused { opens: at, first });
    }
    let mut before = None;
    for entry in entries {
        let kept = entry.bucket.filter(|bucket| !entry.charge.rule.is_over(bucket, now));
        let bucket = kept.unwrap_or(Bucket { count: 0, since: now, latest: now, refused: false });
        before.get_or_insert(bucket.count);
        let (count, latest) = (bucket.count.saturating_add(1), bucket.latest.max(now));
        entry.bucket = Some(Bucket { count, latest, refused: false, ..bucket });
    }
    Ok(before.unwrap_or(0))
}

/// Takes one event back from every entry.
pub fn give_back(entries: &mut [Entry]) {
    for entry in entries {
        let less = entry.bucket.map(|bucket| Bucket { count: bucket.count.saturating_sub(1), ..bucket });
        entry.bucket = less.filter(|bucket| bucket.count > 0);
    }
}

/// Forgets every entry.
pub fn forget(entries: &mut [Entry]) {
    for entry in entries {
        entry.bucket = None;
    }
}

/// All counts of this node.
#[derive(Default)]
pub struct Counters(Mutex<HashMap<Key, Bucket>>);

impl Counters {
    /// Does something with the counts under some keys, at once.
    pub fn change<T>(&self, charges: &[Charge], now: Timestamp, work: impl FnOnce(&mut [Entry]) -> T) -> T {
        let mut buckets = self.lock();
        let entry = |charge: &Charge| Entry { charge: *charge, bucket: buckets.get(&charge.key).copied() };
        let mut entries: Vec<Entry> = charges.iter().map(entry).collect();
        let done = work(&mut entries);
        if buckets.len() >= BUCKETS {
            make_room(&mut buckets, now);
        }
        for entry in entries {
            match entry.bucket {
                Some(bucket) => drop(buckets.insert(entry.charge.key, bucket)),
                None => drop(buckets.remove(&entry.charge.key)),
            }
        }
        done
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
