//! New accounts.
use super::credentials::{Link, link};
use crate::admin::Actor;
use crate::admin::needs::{Need, UsersRoles};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::error::{Code, Error, Result};
use crate::hashing::Password;
use crate::login;
use crate::names::{Email, Username};
use crate::passwords;
use crate::roles;
use crate::users::{self, NewUser, User, Way};
use serde_json::json;

/// An account to be made.
pub struct NewAccount {
    /// Address.
    pub email: Email,
    /// Public name.
    pub username: Option<Username>,
    /// Display name.
    pub name: Option<String>,
    /// `None` for a link to choose one.
    pub password: Option<Password>,
    /// Roles beyond `user`.
    pub roles: Vec<String>,
    /// Whether whoever makes it answers for the address.
    pub verified: bool,
}

/// Makes an account. Roles take the permission to give them, beside that to make accounts.
///
/// # Errors
/// [`Code::EmailTaken`], [`Code::UsernameTaken`], [`Code::ValidationFailed`] for roles, [`Code::Forbidden`],
/// [`Code::ReauthenticationRequired`].
pub async fn create(app: &App, by: &Actor<'_>, new: &NewAccount) -> Result<(User, Option<Link>)> {
    let now = app.now();
    by.require_fresh(app, now)?;
    let hash = match &new.password {
        Some(password) => Some(passwords::hash(app, password.clone()).await?),
        None => None,
    };
    let now = app.now();
    let mut tx = app.db.begin().await?;
    roles::lock(&mut tx).await?;
    let by = by.anew(app, &mut tx, now).await?;
    if !new.roles.is_empty() {
        by.require(UsersRoles::PERMISSION)?;
    }
    let given = roles::check_given(&mut tx, by.authority(), &new.roles).await?;
    let row = NewUser {
        way: Way::Appointed,
        email: &new.email,
        username: new.username.as_ref(),
        name: new.name.as_deref(),
        password_hash: hash.as_deref(),
        email_verified_at: new.verified.then_some(now),
        roles: if new.roles.is_empty() { &[] } else { &given },
    };
    let user = users::create(app, &mut tx, &row, now).await?;
    let user =
        user.ok_or_else(|| Error::new(Code::EmailTaken).with_detail("this address has an account already"))?;
    if user.username.is_none() && new.username.is_some() {
        return Err(Error::new(Code::UsernameTaken).with_detail("this username belongs to somebody else"));
    }
    by.vouch(&mut tx, user.id).await?;
    // What somebody began to register under this address must not touch the account.
    login::forget_address(&mut tx, &user.email_normalised).await?;
    let event = Event::new(Kind::UserCreated, by.client).user(user.id);
    let detail = match given.as_slice() {
        [_, _, ..] => json!({ "by": by.name(), "roles": given }),
        _ => json!({ "by": by.name() }),
    };
    audit::record(app, &mut tx, event.detail(detail), now);
    let link = match hash {
        Some(_) => None,
        None => Some(link(app, &mut tx, user.id, app.config.codes.verify_link_ttl, now).await?),
    };
    tx.commit().await?;
    Ok((user, link))
}
