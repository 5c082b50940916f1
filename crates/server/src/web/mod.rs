//! What handlers use: bodies with our errors, the client, cookies, CSRF, and the one layer around every answer.
pub mod client;
pub mod csrf;
pub mod fields;
pub mod form;
pub mod json;
pub mod layer;
pub mod page;

pub use client::Client;
pub use fields::{Fields, FromFields};
pub use json::{Body, MaybeBody};
