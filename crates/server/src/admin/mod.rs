//! The administration: what some people may do to the accounts of others and to the server.
//!
//! Invariants: every route of it names the one permission that it takes, in the type of its guard; nobody gives what they do
//! not hold, and nobody acts on an account that may do more than their own or has a role that they have not; what a guard let through is checked again
//! inside the transaction, so that a right that was taken meanwhile opens nothing.
mod actor;
mod audit;
mod etag;
mod first;
mod impersonation;
mod invitations;
mod keys;
mod needs;
mod pages;
mod query;
mod roles;
mod service_keys;
mod settings;
mod statistics;
pub mod users;
mod webhooks;

pub use actor::Actor;
pub use first::first_administrator_link;
pub use needs::{Need, PERMISSIONS};
pub use pages::routes as page_routes;

use crate::app::{App, Inner};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::roles::{Authority, Grants, lock};
use crate::sessions::Current;
use crate::web::Routes;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::marker::PhantomData;

/// The routes of the administration.
pub fn routes() -> Routes {
    Routes::new()
        .merge(audit::routes())
        .merge(impersonation::routes())
        .merge(invitations::routes())
        .merge(keys::routes())
        .merge(roles::routes())
        .merge(service_keys::routes())
        .merge(settings::routes())
        .merge(statistics::routes())
        .merge(users::routes())
        .merge(webhooks::routes())
}

/// Somebody who holds a permission of the server's own. As an extractor it is what guards a route.
#[derive(Clone, Debug)]
pub struct Admin<N> {
    /// Who, in which session.
    pub current: Current,
    need: PhantomData<N>,
}

impl<N: Need> Admin<N> {
    fn of(current: Current) -> Result<Self> {
        require(&current, N::PERMISSION)?;
        Ok(Self { current, need: PhantomData })
    }

    /// What this administrator can hand on.
    pub fn authority(&self) -> Authority<'_> {
        Authority::Holder(self.current.user.id, &self.current.grants)
    }

    /// Lets only those go on who proved their identity lately (ASVS 7.5.3).
    ///
    /// # Errors
    /// [`Code::ReauthenticationRequired`].
    pub fn require_fresh(&self, app: &Inner) -> Result<()> {
        self.current.require_fresh(app, app.now())
    }

    /// Begins something that takes a fresh proof: its transaction, and this administrator as that sees them.
    ///
    /// # Errors
    /// [`Code::ReauthenticationRequired`]; as [`Self::begin_at_once`].
    pub async fn begin(&self, app: &Inner) -> Result<(Tx, Self)> {
        self.require_fresh(app)?;
        self.begin_at_once(app).await
    }

    /// The same for what only closes doors, which must not wait for a proof.
    ///
    /// # Errors
    /// [`Code::SessionRevoked`], [`Code::Forbidden`].
    pub async fn begin_at_once(&self, app: &Inner) -> Result<(Tx, Self)> {
        let mut tx = app.db.begin().await?;
        // Whoever takes rights holds it: what is asked for again is what is so.
        lock(&mut tx).await?;
        let anew = self.anew(app, &mut tx, app.now()).await?;
        Ok((tx, anew))
    }

    /// The same as a transaction sees it.
    ///
    /// # Errors
    /// [`Code::SessionRevoked`], [`Code::Forbidden`].
    pub async fn anew(&self, app: &Inner, tx: &mut Tx, now: Timestamp) -> Result<Self> {
        Self::of(self.current.anew(app, tx, now).await?)
    }

    /// The same as the database has it now: for what takes long.
    ///
    /// # Errors
    /// [`Code::SessionRevoked`], [`Code::Forbidden`].
    pub async fn reread(&self, app: &Inner, now: Timestamp) -> Result<Self> {
        Self::of(self.current.reread(app, &mut &app.db, now).await?)
    }

    /// Lets nobody act on an account that may do more than the own one.
    ///
    /// # Errors
    /// [`Code::Forbidden`].
    pub fn require_above(&self, other: &Grants) -> Result<()> {
        require_above(&self.current.grants, other)
    }
}

/// Lets only those go on who hold a permission, in a session of their own.
///
/// # Errors
/// [`Code::Forbidden`], naming it; [`Code::Impersonated`].
fn require(current: &Current, permission: &str) -> Result<()> {
    if current.session.impersonator.is_some() {
        return Err(Error::new(Code::Impersonated));
    }
    if current.grants.allows(permission) {
        return Ok(());
    }
    Err(Error::new(Code::Forbidden).with_detail(format!("This needs the permission {permission}.")))
}

/// Lets nobody act on an account that may do more than the own one: whoever resets a password or a factor, or takes
/// another's place, has that account's rights.
///
/// # Errors
/// [`Code::Forbidden`].
fn require_above(own: &Grants, other: &Grants) -> Result<()> {
    if own.covers(other) {
        return Ok(());
    }
    Err(Error::new(Code::Forbidden)
        .with_detail("This account may do more than yours, or has a role that you have not."))
}

impl<N: Need> FromRequestParts<App> for Admin<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        Self::of(Current::from_request_parts(parts, app).await?)
    }
}
