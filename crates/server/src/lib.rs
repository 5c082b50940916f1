//! Hallpass: an authentication server in one binary.
//!
//! The map. A module may use those of the groups above it and, without a cycle, those of its own; never those below.

// ── platform: machinery and shared words; knows no feature
pub mod app;
pub mod breaker;
pub mod bus;
pub mod clock;
pub mod config;
pub mod cookies;
pub mod counters;
pub mod db;
pub mod error;
pub mod feed;
pub mod gates;
pub mod geoip;
pub mod hashing;
pub mod ids;
pub mod names;
pub mod outgoing;
pub mod presence;
pub mod proxies;
pub mod random;
pub mod recall;
pub mod redis;
pub mod secret_key;
pub mod shared_rows;
pub mod signing;
pub mod subscriptions;
pub mod telemetry;
pub mod templates;
pub mod web;

// ── ground: every feature may use these
pub mod audit;
pub mod devices;
pub mod events;
pub mod keys;
pub mod limits;
pub mod mail;
pub mod revocations;
pub mod roles;
pub mod users;

// ── features: one folder per way of proving or holding something
pub mod codes;
pub mod emails;
pub mod factors;
pub mod hooks;
pub mod known_devices;
pub mod passkeys;
pub mod passwords;
pub mod service_keys;
pub mod sessions;
pub mod statistics;
pub mod webhooks;

// ── flows: put features together
pub mod account;
pub mod admin;
pub mod compat;
pub mod forward_auth;
pub mod housekeeping;
pub mod import;
pub mod invitations;
pub mod login;
pub mod services;

// ── edge: HTTP, the command line
pub mod cli;
pub mod health;
pub mod openapi;
pub mod proxy_protocol;
pub mod router;
pub mod server;
pub mod start;
