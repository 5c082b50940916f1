//! The one test binary: Hallpass as its clients see it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it fails")]

mod support;

mod acceptance;
mod account;
mod accounts;
mod admin;
mod audit;
mod bad_input;
mod browser;
mod cli;
mod cluster;
mod concurrency;
mod config;
mod crash;
mod csrf;
mod defects;
mod devices;
mod emails;
mod every_route;
mod factors;
mod hostile;
mod import;
mod limits;
mod mail;
mod mailed_codes;
mod moving;
mod nodes;
mod openapi;
mod ops;
mod passkeys;
mod passwordless;
mod passwords;
mod proxies;
mod requirements;
mod revocations;
mod roles;
mod rotation;
mod secrets;
mod services;
mod sessions;
mod sql;
mod takeover;
mod tidy;
mod tokens;
mod uniform;
