//! Typed, sortable ids: UUIDv7 (RFC 9562) from the injected clock and randomness. Never secrets.
use crate::clock::Timestamp;
use crate::random::{Random, bytes};
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// A step of the clock back by more is believed; ids then start anew from there.
const SMALL_STEP_MILLIS: u64 = 10_000;
/// Ids of one millisecond that a counter of 12 bits keeps in order.
const LAST_OF_MILLISECOND: u16 = 0xfff;

/// Keeps the ids of this process in the order in which they were made (RFC 9562 6.2, method 1), also within one
/// millisecond and over small steps of the clock back.
#[derive(Default)]
pub struct Sequence(Mutex<(u64, u16)>);

impl Sequence {
    /// A new UUIDv7: milliseconds, a counter, 62 random bits.
    pub fn next(&self, now: Timestamp, random: &dyn Random) -> Uuid {
        let (millis, counter) = self.step(u64::try_from(now.micros() / 1000).unwrap_or(0));
        let mut rest = bytes::<10>(random);
        rest[..2].copy_from_slice(&counter.to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
    }

    fn step(&self, millis: u64) -> (u64, u16) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = match *last {
            (former, _) if millis > former || former - millis > SMALL_STEP_MILLIS => (millis, 0),
            (former, LAST_OF_MILLISECOND) => (former + 1, 0),
            (former, counter) => (former, counter + 1),
        };
        *last
    }
}

/// Declares an id type; every one has the same few conversions.
macro_rules! id {
    ($(#[$doc:meta] $name:ident),+) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// From its hyphenated lower-case text; nothing else passes.
            pub fn parse(text: &str) -> Option<Self> {
                let id = Uuid::try_parse(text).ok()?;
                (text.len() == 36 && id.to_string() == text).then_some(Self(id))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }
    )+};
}

/// Milliseconds since the epoch, as the id says.
fn millis(id: Uuid) -> i64 {
    i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX)
}

fn is_later(id: Uuid, at: Timestamp) -> bool {
    millis(id) > at.micros().div_euclid(1000)
}

impl SessionId {
    /// The time within the id, by the clock of the node that made it.
    pub fn begun_at(&self) -> Timestamp {
        Timestamp(millis(self.0).saturating_mul(1000))
    }

    /// Whether the time within the id is later than the millisecond of an instant.
    pub fn begun_after(&self, at: Timestamp) -> bool {
        is_later(self.0, at)
    }
}

impl RowId {
    /// The time within the id, by the clock of the node that made it.
    pub fn made_at(&self) -> Timestamp {
        Timestamp(millis(self.0).saturating_mul(1000))
    }

    /// Whether the time within the id is later than the millisecond of an instant.
    pub fn made_after(&self, at: Timestamp) -> bool {
        is_later(self.0, at)
    }
}

id!(
    /// A person's account.
    UserId,
    /// One sign-in on one device; also the refresh-token family.
    SessionId,
    /// A device as one person's.
    DeviceId,
    /// Any other row.
    RowId
);
