//! Typed, sortable ids: UUIDv7 (RFC 9562) from the injected clock and randomness. Never secrets.
use crate::clock::Timestamp;
use crate::random::{Random, bytes};
use uuid::Uuid;

/// A new UUIDv7.
pub fn uuid_v7(now: Timestamp, random: &dyn Random) -> Uuid {
    let millis = u64::try_from(now.micros() / 1000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes::<10>(random)).into_uuid()
}

/// Declares an id type; every one has the same few conversions.
macro_rules! id {
    ($(#[$doc:meta] $name:ident),+) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id.
            pub fn new(now: Timestamp, random: &dyn Random) -> Self {
                Self(uuid_v7(now, random))
            }

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

id!(
    /// A person's account.
    UserId,
    /// One sign-in on one device; also the refresh-token family.
    SessionId,
    /// Any other row.
    RowId
);
