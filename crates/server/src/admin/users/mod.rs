//! What operators and administrators do to other people's accounts.
//!
//! Invariants: every verb takes an [`super::Actor`] and asks in its one transaction again whether that one may still do it to this account;
//! whatever could give an account away is told to its owner by mail; nobody is shown a link to an account that somebody owns
//! already, but for an operator; an account never gains more than those could give who may know what opens it.
mod changing;
mod closing;
mod credentials;
mod making;
mod roles;
mod routes;
mod sessions;

pub use changing::verify_email;
pub use closing::{Switched, delete, set_disabled};
pub use credentials::{Link, NewPassword, Reset, reset_factors, set_password};
pub use making::{NewAccount, create};
pub use roles::{RolesSet, change_roles};
pub use routes::routes;
pub use sessions::{end_session, end_sessions};
