//! The one test binary: Hallpass as its clients see it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it fails")]

mod support;

mod account;
mod accounts;
mod browser;
mod cli;
mod emails;
mod every_route;
mod mail;
mod openapi;
mod passwords;
mod rotation;
mod sessions;
mod sql;
mod tidy;
