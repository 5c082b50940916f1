//! How long ago something was last heard of a session or a user. Several share a place, which costs a read now and then.
use super::{KEYS, ROLES};
use crate::clock::Timestamp;
use std::time::Duration;
use uuid::Uuid;

/// Places, 4 bytes each: with a hundred changes a second of which each counts for two minutes, one place in twenty is
/// one of those. Memory is taken only where something is written.
const PLACES: usize = 1 << 18;

/// A clock that moves by more than that between two looks was set, or the machine slept. By as much the clock of a node may be
/// wrong for `/health/ready`, and ages bear it.
const STEP: Duration = Duration::from_secs(30);

/// See the module's doc.
pub(super) struct Silence {
    /// Since when nothing was missed and nothing was heard that concerns everybody.
    since: Duration,
    /// What the clock showed when what lasts began, in microseconds since the epoch.
    begun: Timestamp,
    /// When it was heard, in seconds of the monotonic clock, counted from 1.
    heard: Vec<u32>,
}

impl Silence {
    /// Nothing is known of what was before.
    pub(super) fn new(clock: Timestamp, now: Duration) -> Self {
        Self { since: now, begun: clock.minus(now), heard: vec![0; PLACES] }
    }

    /// Something was heard.
    pub(super) fn end(&mut self, id: Uuid, now: Duration) {
        match id {
            ROLES => self.end_all(now),
            KEYS => {}
            _ => self.heard[place(id)] = seconds(now).saturating_add(1),
        }
    }

    /// Something was heard of everybody, or something was missed.
    pub(super) fn end_all(&mut self, now: Duration) {
        self.since = self.since.max(now);
    }

    /// Ages are told by the clock. What was read before it was set back looks younger by as much, so it takes longer by as
    /// much until nothing of it counts.
    pub(super) fn watch(&mut self, clock: Timestamp, now: Duration) {
        let begun = clock.minus(now);
        let step = Duration::from_micros(self.begun.micros().abs_diff(begun.micros()));
        if step > STEP {
            let back = if begun < self.begun { step } else { Duration::ZERO };
            self.end_all(now.saturating_add(back));
        }
        self.begun = begun;
    }

    /// Whether nothing was heard for so long.
    pub(super) fn lasts(&self, id: Uuid, now: Duration, length: Duration) -> bool {
        let heard = self.heard[place(id)];
        now.saturating_sub(self.since) >= length
            && (heard == 0 || seconds(now).saturating_sub(heard) > seconds(length))
    }
}

/// The end of a UUIDv7 is random.
fn place(id: Uuid) -> usize {
    usize::try_from(id.as_u128() & (PLACES as u128 - 1)).unwrap_or(0)
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
