//! What other services are told: whether one token is good (RFC 7662), what it allows, and at once what was revoked.
//!
//! Invariants: an answer about a token rests on what the database says now; the feed says every revocation at least once,
//! however the clocks and commits of several nodes interleave; a heartbeat is sent only behind everything that was
//! committed before it (`docs/decisions/revocations-feed.md`).
mod authorize;
mod cursor;
mod introspect;
mod page;
mod reader;
mod routes;
mod stream;

pub use authorize::Needed;
pub use cursor::Cursor;
pub use routes::routes;
