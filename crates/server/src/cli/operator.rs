//! What an operator does to accounts and sessions: each verb is one transaction with its audit event and its mail.
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::codes::{self, Issue, Purpose};
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::hashing::Password;
use crate::ids::{SessionId, UserId};
use crate::login;
use crate::mail::{self, Message};
use crate::names::{Email, Username};
use crate::passwords;
use crate::roles::{self, Authority};
use crate::sessions;
use crate::users::{self, NewUser, User, Way};
use crate::web::Client;
use serde_json::json;
use std::time::Duration;

/// An account to be made.
pub(super) struct NewAccount {
    /// Address.
    pub(super) email: Email,
    /// Public name.
    pub(super) username: Option<Username>,
    /// Display name.
    pub(super) name: Option<String>,
    /// `None` for a link to choose one.
    pub(super) password: Option<Password>,
    /// Roles beyond `user`.
    pub(super) roles: Vec<String>,
    /// Whether the operator answers for the address.
    pub(super) verified: bool,
}

/// A one-time link to choose a password.
pub(super) struct Link {
    /// To be opened in a browser.
    pub(super) url: String,
    /// End of its life.
    pub(super) expires_at: Timestamp,
}

/// Makes an account.
///
/// # Errors
/// [`Code::EmailTaken`], [`Code::UsernameTaken`].
pub(super) async fn create(app: &App, new: &NewAccount) -> Result<(User, Option<Link>)> {
    let hash = match &new.password {
        Some(password) => Some(passwords::hash(app, password.clone()).await?),
        None => None,
    };
    let now = app.now();
    let client = Client::local();
    let mut tx = app.db.begin().await?;
    roles::lock(&mut tx).await?;
    let given = roles::check_given(&mut tx, Authority::Operator, &new.roles).await?;
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
    // What somebody began to register under this address must not touch the account.
    login::forget_address(&mut tx, &user.email_normalised).await?;
    let event = Event::new(Kind::UserCreated, &client).user(user.id);
    audit::record(app, &mut tx, event.detail(json!({ "by": "operator" })), now);
    let link = match hash {
        Some(_) => None,
        None => Some(link(app, &mut tx, user.id, app.config.codes.verify_link_ttl, now).await?),
    };
    tx.commit().await?;
    Ok((user, link))
}

/// Replaces the password, or takes it away in favour of a link to choose one. All sessions end.
///
/// # Errors
/// [`Code::NotFound`] when the account went away meanwhile.
pub(super) async fn set_password(
    app: &App,
    user: &User,
    password: Option<Password>,
) -> Result<(u64, Option<Link>)> {
    let hash = match password {
        Some(password) => Some(passwords::hash(app, password).await?),
        None => None,
    };
    let now = app.now();
    let client = Client::local();
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, user.id).await?;
    users::find_in(&mut tx, user.id).await?.ok_or_else(|| Error::new(Code::NotFound))?;
    let ended = sessions::revoke_all(app, &mut tx, user.id, None, "password_set_by_operator", now).await?;
    codes::kill_all(&mut tx, user.id).await?;
    let link = match &hash {
        Some(hash) => {
            users::set_password(&mut tx, user.id, hash, now).await?;
            None
        }
        None => {
            users::clear_password(&mut tx, user.id, now).await?;
            Some(link(app, &mut tx, user.id, app.config.codes.verify_link_ttl, now).await?)
        }
    };
    let detail =
        json!({ "by": "operator", "chosen": if link.is_some() { "by link" } else { "by operator" } });
    let event = Event::new(Kind::PasswordReset, &client).user(user.id).detail(detail);
    audit::record(app, &mut tx, event, now);
    let message = Message::PasswordChanged {
        at: now.rfc3339(),
        ip: client.ip.to_string(),
        device: "the operator's command line".into(),
    };
    mail::enqueue(app, &mut tx, &user.email, &message, now).await?;
    mail::commit(app, tx).await?;
    Ok((ended, link))
}

async fn link(app: &App, tx: &mut Tx, user: UserId, ttl: Duration, now: Timestamp) -> Result<Link> {
    let issue = Issue {
        purpose: Purpose::SetPassword,
        user: Some(user),
        subject: None,
        code: None,
        client: None,
        ttl,
    };
    let secret = codes::issue(app, tx, &issue, now).await?;
    let url = format!("{}/password/reset?token={}", app.public_url, secret.expose());
    Ok(Link { url, expires_at: now.plus(ttl) })
}

/// What came of closing or opening an account.
pub(super) struct Switched {
    /// The account afterwards.
    pub(super) user: User,
    /// Whether anything had to be done.
    pub(super) changed: bool,
    /// Sessions that ended.
    pub(super) ended: u64,
}

/// Closes an account and ends its sessions, or opens it.
///
/// # Errors
/// [`Code::NotFound`] when the account went away meanwhile.
pub(super) async fn set_disabled(app: &App, id: UserId, disabled: bool) -> Result<Switched> {
    let now = app.now();
    let client = Client::local();
    let not_found = || Error::new(Code::NotFound);
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, id).await?;
    let user = users::find_in(&mut tx, id).await?.ok_or_else(not_found)?;
    if user.disabled_at.is_some() == disabled {
        return Ok(Switched { user, changed: false, ended: 0 });
    }
    users::set_disabled(app, &mut tx, id, disabled, now).await?;
    let ended =
        if disabled { sessions::revoke_all(app, &mut tx, id, None, "user_disabled", now).await? } else { 0 };
    let kind = if disabled { Kind::UserDisabled } else { Kind::UserEnabled };
    let detail = json!({ "by": "operator", "sessions": ended });
    audit::record(app, &mut tx, Event::new(kind, &client).user(id).detail(detail), now);
    let user = users::find_in(&mut tx, id).await?.ok_or_else(not_found)?;
    tx.commit().await?;
    Ok(Switched { user, changed: true, ended })
}

/// Gives roles to a user and takes some; returns the account afterwards and whether that changed something.
///
/// # Errors
/// [`Code::NotFound`] when the account went away meanwhile, [`Code::ValidationFailed`], [`Code::LastAdministrator`].
pub(super) async fn set_roles(
    app: &App,
    id: UserId,
    add: &[String],
    remove: &[String],
) -> Result<(User, bool)> {
    let now = app.now();
    let not_found = || Error::new(Code::NotFound);
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, id).await?;
    roles::lock(&mut tx).await?;
    let user = users::find_in(&mut tx, id).await?.ok_or_else(not_found)?;
    let kept = user.roles.iter().filter(|role| !remove.contains(role));
    let wanted: Vec<String> = kept.chain(add).cloned().collect();
    let names = roles::check_given(&mut tx, Authority::Operator, &wanted).await?;
    let changed = users::set_roles(app, &mut tx, &user, &names, now).await?;
    if changed {
        let client = Client::local();
        let event = Event::new(Kind::UserRolesChanged, &client).user(id);
        let detail = json!({ "by": "operator", "roles": names, "former": user.roles });
        audit::record(app, &mut tx, event.detail(detail), now);
    }
    let user = users::find_in(&mut tx, id).await?.ok_or_else(not_found)?;
    tx.commit().await?;
    Ok((user, changed))
}

/// Ends one session. Returns whether it was live.
pub(super) async fn end_session(app: &App, id: SessionId) -> Result<bool> {
    let now = app.now();
    let client = Client::local();
    let Some(session) = sessions::find_live(&app.db, id, now).await? else { return Ok(false) };
    let mut tx = app.db.begin().await?;
    if !sessions::revoke(app, &mut tx, id, "ended_by_operator", now).await? {
        return Ok(false);
    }
    let event = Event::new(Kind::SessionsRevoked, &client).user(session.user_id).session(id);
    audit::record(app, &mut tx, event.detail(json!({ "by": "operator", "revoked": 1 })), now);
    tx.commit().await?;
    Ok(true)
}

/// Ends all sessions of a user; returns how many.
pub(super) async fn end_sessions(app: &App, user: UserId) -> Result<u64> {
    let now = app.now();
    let client = Client::local();
    let mut tx = app.db.begin().await?;
    let revoked = sessions::revoke_all(app, &mut tx, user, None, "ended_by_operator", now).await?;
    if revoked > 0 {
        let event = Event::new(Kind::SessionsRevoked, &client).user(user);
        audit::record(app, &mut tx, event.detail(json!({ "by": "operator", "revoked": revoked })), now);
        tx.commit().await?;
    }
    Ok(revoked)
}
