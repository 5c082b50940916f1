//! What handlers use: bodies with our errors, the client, cookies, CSRF, and the one layer around every answer.
pub mod client;
pub mod csrf;
pub mod documented;
pub mod fields;
pub mod form;
pub mod json;
pub mod layer;
pub mod page;
pub mod path;

pub use client::Client;
pub use csrf::OwnOrigin;
pub use documented::Routes;
pub(crate) use documented::handlers;
pub use fields::{Fields, FromFields};
pub use json::{Body, MaybeBody};
pub use path::{Segment, Segments};
