//! Hallpass, the pure half: bytes in, bytes out. No clock, no I/O, no async; time and random bytes are
//! arguments.

/// Files sealed with a passphrase, in the age format.
#[cfg(feature = "passwords")]
pub mod age;
/// Six-digit codes: making, keying, and reading what people type.
pub mod code;
/// Signed CSRF tokens bound to one session.
pub mod csrf;
/// SHA-256, HMAC-SHA-256, HKDF-SHA-256 and constant-time comparison.
pub mod digest;
/// Signing and verifying keys, parsed once, and their JSON Web Key form.
pub mod jwk;
/// Signing and verifying compact JSON Web Tokens.
pub mod jwt;
/// Password hashes: Argon2id for our own, many others for imported ones.
#[cfg(feature = "passwords")]
pub mod password;
/// Permissions: names, wildcards, and which covers which.
pub mod permission;
/// Recovery codes: making, keying, and reading what people type.
pub mod recovery_code;
/// The master secrets of the server and the keys derived from them.
pub mod ring;
/// The rotation of refresh tokens, as a state machine.
pub mod rotation;
/// Authenticated encryption of columns and of the hand-over of a rotation.
pub mod seal;
/// Opaque bearer secrets: links, service keys, refresh tokens.
pub mod secret;
/// What makes a new password acceptable.
#[cfg(feature = "passwords")]
pub mod strength;
/// State that a client carries between two calls, sealed.
pub mod ticket;
/// Time-based one-time passwords of authenticator apps.
pub mod totp;
/// Signatures of webhooks (Standard Webhooks).
pub mod webhook;
