//! People's accounts: who they are, whether they may come in. No credential is checked here.
//!
//! Invariants: `email_normalised` and `username_normalised` are unique; the password hash leaves this module only
//! through [`Login`]; a disabled user has no live session (whoever disables ends them in the same transaction).
mod access;
mod create;
mod factor;
mod import;
mod search;
mod store;
mod terms;
mod view;
mod vouchers;

pub use access::{Way, check_access};
pub use create::{NewUser, create};
pub use factor::{Factor, lock_factors, set_factor};
pub use import::{Admission, Newcomer, carry, import, lock_import};
pub use search::{Found, Search, index, search};
pub use view::UserView;
pub use vouchers::{forget_vouchers, vouch, vouchers};

use crate::app::Inner;
use crate::bus::Notice;
use crate::clock::Timestamp;
use crate::db::{Currency, Kind as DbKind, Statements, Tx};
use crate::error::{Code, Error, Result};
use crate::ids::{RowId, UserId};
use crate::names::{Email, Username};
use crate::revocations::{self, Fact};
use crate::roles;
use hallpass_crypto::digest::sha256;
use std::sync::Arc;

/// An account.
#[derive(Clone, Debug)]
pub struct User {
    /// Id; `sub` of tokens.
    pub id: UserId,
    /// Where mail goes.
    pub email: String,
    /// What is unique.
    pub email_normalised: String,
    /// When the mailbox was proven.
    pub email_verified_at: Option<Timestamp>,
    /// Public name for signing in.
    pub username: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Whether a password is set.
    pub has_password: bool,
    /// Names of roles, sorted.
    pub roles: Vec<String>,
    /// Since when the account is closed by an operator.
    pub disabled_at: Option<Timestamp>,
    /// When the account came into being.
    pub created_at: Timestamp,
    /// The latest sign-in.
    pub last_login_at: Option<Timestamp>,
    /// Second factors that are set up, sorted.
    pub factors: Vec<Factor>,
    /// Later with every change of the account, but for sign-ins.
    pub updated_at: Timestamp,
}

impl User {
    fn terms(&self) -> Vec<String> {
        let (username, name) = (self.username.as_deref(), self.name.as_deref());
        terms::terms(&self.email_normalised, username, name)
    }

    /// Whether this account can administer the server.
    pub fn is_open_administrator(&self) -> bool {
        self.disabled_at.is_none() && self.roles.iter().any(|role| role == roles::ADMIN)
    }

    /// Whether a second factor is set up that serves again and again.
    pub fn has_second_factor(&self) -> bool {
        self.factors.iter().any(|factor| *factor != Factor::RecoveryCode)
    }
}

/// What a sign-in needs to know.
pub struct Login {
    /// Whose.
    pub user: User,
    /// PHC string.
    pub password_hash: Option<String>,
}

/// By id.
pub async fn find(mut db: impl Statements, id: UserId) -> Result<Option<User>> {
    Ok(store::find(&mut db, id).await?)
}

/// By id, from memory, or as another node has read it, as long as nothing that was announced says otherwise: for calls that are made all the time.
pub async fn find_known(app: &Inner, id: UserId, now: Timestamp) -> Result<Option<Arc<User>>> {
    if app.config.embedded() {
        // Reading is cheaper there than remembering.
        return Ok(find(&app.db, id).await?.map(Arc::new));
    }
    let name = sha256(&[b"user".as_slice(), id.0.as_bytes()].concat());
    // Before the read, so that what is announced meanwhile outdates it.
    let currency = app.db.currency(id, None);
    let known = app.recall.get::<(Option<Currency>, Arc<User>)>(&name);
    if let Some(known) = known.filter(|known| currency.is_some() && known.0 == currency) {
        return Ok(Some(Arc::clone(&known.1)));
    }
    let Some(user) = store::find_known(app, id, now).await? else { return Ok(None) };
    let user = Arc::new(user);
    app.recall.put(name, Arc::new((currency, Arc::clone(&user))));
    Ok(Some(user))
}

/// By id, inside a transaction.
pub async fn find_in(tx: &mut Tx, id: UserId) -> Result<Option<User>> {
    Ok(store::find(tx, id).await?)
}

/// What somebody may do at this moment: nothing when the account is gone or closed.
///
/// # Errors
/// The database's.
pub async fn grants_now(app: &Inner, db: &mut impl Statements, id: UserId) -> Result<roles::Grants> {
    match find(&mut *db, id).await?.filter(|user| user.disabled_at.is_none()) {
        Some(user) => roles::grants_in(app, db, &user.roles).await,
        None => Ok(roles::Grants::NONE),
    }
}

/// By what people type: an address when it has an `@`, else a username.
pub async fn find_login(mut db: impl Statements, identifier: &str) -> Result<Option<Login>> {
    if identifier.contains('@') {
        match Email::parse(identifier) {
            Some(email) => Ok(store::find_by_email(&mut db, &email.normalised).await?),
            None => Ok(store::find_by_email(&mut db, "").await?),
        }
    } else {
        Ok(store::find_by_username(&mut db, &identifier.trim().to_ascii_lowercase()).await?)
    }
}

/// By address.
pub async fn find_by_email(mut db: impl Statements, email: &Email) -> Result<Option<User>> {
    Ok(store::find_by_email(&mut db, &email.normalised).await?.map(|login| login.user))
}

/// By id, with the password hash.
pub async fn find_credentials(mut db: impl Statements, id: UserId) -> Result<Option<Login>> {
    Ok(store::find_credentials(&mut db, id).await?)
}

/// Whether a username belongs to somebody else than `except`.
pub async fn username_taken(
    mut db: impl Statements,
    username: &Username,
    except: Option<UserId>,
) -> Result<bool> {
    let owner = store::find_by_username(&mut db, &username.normalised).await?;
    Ok(owner.is_some_and(|owner| Some(owner.user.id) != except))
}

/// Gives the user these roles, as [`roles::check_given`] has checked them, and no others. Returns whether that changed something.
///
/// # Errors
/// [`Code::LastAdministrator`].
pub async fn set_roles(
    app: &Inner,
    tx: &mut Tx,
    user: &User,
    names: &[String],
    now: Timestamp,
) -> Result<bool> {
    if user.is_open_administrator() && !names.iter().any(|name| name == roles::ADMIN) {
        roles::keep_an_administrator(tx, user.id).await?;
    }
    let changed = store::set_roles(tx, user.id, &names.join(" "), now).await?;
    if changed {
        roles::note_members(tx, user.id, names).await?;
    }
    tell(app, tx, user.id, changed, now).await
}

/// Notes a sign-in, provided that the account is open and its password is still the one that was verified.
pub async fn note_login(
    tx: &mut Tx,
    id: UserId,
    verified_hash: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    // The time of the latest sign-in is shown to the owner, in every session.
    tx.announce(Notice::User(id));
    Ok(store::note_login(tx, id, verified_hash, now).await?)
}

/// Replaces the password hash.
pub async fn set_password(tx: &mut Tx, id: UserId, hash: &str, now: Timestamp) -> Result<()> {
    tx.announce(Notice::User(id));
    Ok(store::set_password(tx, id, hash, now).await?)
}

/// Replaces the password hash, provided that it is still the one that was verified.
pub async fn note_password_change(
    tx: &mut Tx,
    id: UserId,
    old: &str,
    new: &str,
    now: Timestamp,
) -> Result<bool> {
    Ok(store::change_password(tx, id, old, new, now).await?)
}

/// Takes the password away, so that only the mailbox can choose the next one.
pub async fn clear_password(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<()> {
    tx.announce(Notice::User(id));
    Ok(store::clear_password(tx, id, now).await?)
}

/// Replaces an outdated hash by a better one of the same password. `false` when the hash is another one by now.
pub async fn upgrade_password(tx: &mut Tx, id: UserId, old: &str, new: &str) -> Result<bool> {
    Ok(store::upgrade_password(tx, id, old, new).await?)
}

/// Marks the mailbox as proven, if it was not.
pub async fn verify_email(app: &Inner, tx: &mut Tx, id: UserId, now: Timestamp) -> Result<()> {
    let changed = store::verify_email(tx, id, now).await?;
    tell(app, tx, id, changed, now).await.map(drop)
}

/// Changes the address to a proven one. `false` when it belongs to somebody.
pub async fn change_email(
    app: &Inner,
    tx: &mut Tx,
    id: UserId,
    email: &Email,
    now: Timestamp,
) -> Result<bool> {
    if store::find_by_email(tx, &email.normalised).await?.is_some_and(|owner| owner.user.id != id) {
        return Ok(false);
    }
    let changed = store::change_email(tx, id, email, now).await?;
    search::note_terms(tx, id).await?;
    tell(app, tx, id, changed, now).await
}

/// Changes the address to one that an administrator answers for, proven at an instant or not. `false` when it belongs to somebody.
pub async fn set_email(
    app: &Inner,
    tx: &mut Tx,
    id: UserId,
    email: &Email,
    verified_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool> {
    if store::find_by_email(tx, &email.normalised).await?.is_some_and(|owner| owner.user.id != id) {
        return Ok(false);
    }
    let changed = store::set_email(tx, id, email, verified_at, now).await?;
    search::note_terms(tx, id).await?;
    tell(app, tx, id, changed, now).await
}

/// A change of the profile; `None` leaves a field as it is.
#[derive(Default)]
pub struct Profile {
    /// New display name, or its removal.
    pub name: Option<Option<String>>,
    /// New username, or its removal.
    pub username: Option<Option<Username>>,
}

/// Changes name or username.
///
/// # Errors
/// [`Code::UsernameTaken`].
pub async fn change_profile(
    app: &Inner,
    tx: &mut Tx,
    user: &User,
    profile: &Profile,
    now: Timestamp,
) -> Result<()> {
    if let Some(name) = &profile.name {
        store::set_name(tx, user.id, name.as_deref(), now).await?;
    }
    if let Some(username) = &profile.username {
        if let Some(username) = username {
            let owner = store::find_by_username(tx, &username.normalised).await?;
            if owner.is_some_and(|owner| owner.user.id != user.id) {
                return Err(Error::new(Code::UsernameTaken));
            }
        }
        store::set_username(tx, user.id, username.as_ref(), now).await?;
    }
    search::note_terms(tx, user.id).await?;
    let changed = profile.name.is_some() || profile.username.is_some();
    tell(app, tx, user.id, changed, now).await.map(drop)
}

/// Closes or opens the account. The caller ends the sessions in the same transaction.
///
/// # Errors
/// [`Code::LastAdministrator`].
pub async fn set_disabled(
    app: &Inner,
    tx: &mut Tx,
    id: UserId,
    disabled: bool,
    now: Timestamp,
) -> Result<bool> {
    if disabled {
        keep_an_administrator(tx, id).await?;
    }
    let changed = store::set_disabled(tx, id, disabled.then_some(now), now).await?;
    tell(app, tx, id, changed, now).await
}

/// Removes the account and what hangs on it. The caller ends the sessions before, in the same transaction.
///
/// # Errors
/// [`Code::LastAdministrator`], [`Code::AccountInUse`].
pub async fn delete(app: &Inner, tx: &mut Tx, id: UserId, now: Timestamp) -> Result<bool> {
    keep_an_administrator(tx, id).await?;
    let changed = store::delete(tx, id).await.map_err(|error| match error.kind {
        // Our own rows go with it; this is one of the application's.
        DbKind::Constraint => Error::new(Code::AccountInUse),
        _ => error.into(),
    })?;
    tell(app, tx, id, changed, now).await
}

/// Before an account closes or goes: if it is an administrator's, another one has to be left.
async fn keep_an_administrator(tx: &mut Tx, id: UserId) -> Result<()> {
    match store::find(tx, id).await? {
        Some(user) if user.is_open_administrator() => roles::keep_an_administrator(tx, id).await,
        _ => Ok(()),
    }
}

/// Records that what was read of a user is outdated, if something changed, and as of which state it no longer is. Returns whether it did.
async fn tell(app: &Inner, tx: &mut Tx, id: UserId, changed: bool, now: Timestamp) -> Result<bool> {
    if changed {
        let as_of = store::updated_at(tx, id).await?;
        revocations::record(app, tx, Fact::UserChanged(id, as_of), now).await?;
    }
    Ok(changed)
}

/// Users in order of creation, after a cursor.
pub async fn list(mut db: impl Statements, after: Option<RowId>, limit: i64) -> Result<Vec<User>> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    Ok(store::list(&mut db, &after, limit).await?)
}
