//! Coming in: sign-up, sign-in, fresh proof of identity. The only module that starts sessions, so that no way in can
//! forget what every sign-in needs.
//!
//! Every way in (`password`, `passkey`, `passwordless`, `signup`, `second`) ends at `admit`, which asks `policy` what is missing and begins
//! either the session or an `attempt` that waits for it.
mod admit;
mod attempt;
mod consent;
mod impersonate;
mod mailbox;
mod pages;
mod passkey;
mod password;
mod passwordless;
mod policy;
mod reauthenticate;
mod resend;
mod routes;
mod second;
mod settings;
mod signup;
mod store;

pub use admit::{Admitted, SignedIn, Wanted};
pub use impersonate::{Impersonate, impersonate};
pub use mailbox::{Proof, SameClient, Verified, verify_by_opening, verify_email};
pub use pages::routes as page_routes;
pub use passkey::Answered;
pub use password::{SignIn, sign_in};
pub use reauthenticate::reauthenticate;
pub use routes::{
    FinishRequest, LoginRequest, RegisterRequest, WantedBody, attempt_cookie, over, registration_cookie,
    routes, wanted_body,
};
pub use second::{Finish, Given, Method, Which, finish};
pub use signup::{Registered, SignUp, forget_address, register, resend};

use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::Result;
use crate::ids::UserId;

/// Ends the sign-ins of a user that are under way.
///
/// # Errors
/// The database's.
pub async fn forget_attempts(tx: &mut Tx, user: UserId) -> Result<()> {
    attempt::forget_user(tx, user).await
}

/// Ends the sign-ins that were begun by an address alone, because its account is being deleted.
///
/// # Errors
/// The database's.
pub async fn forget_attempts_of_address(app: &App, tx: &mut Tx, email_normalised: &str) -> Result<()> {
    attempt::forget_identifier(tx, &second::hash_of(app, email_normalised)).await
}

/// Removes registrations that were never completed, a batch at a time; returns how many.
///
/// # Errors
/// The database's.
pub async fn purge_registrations(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    signup::purge(tx, before).await
}

/// Removes sign-ins that were never completed, a batch at a time; returns how many.
///
/// # Errors
/// The database's.
pub async fn purge_attempts(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    attempt::purge(tx, before).await
}
