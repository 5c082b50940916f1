//! "This was not me": the link of the mail about a new device.
//!
//! Whoever holds the link owns the mailbox that the account had when the sign-in was told. So the link undoes what the
//! other one can have done since: it gives the account its address back and takes the password that was used.
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::codes::{self, Found, Purpose};
use crate::db::Tx;
use crate::devices;
use crate::error::{Code, Error, Result};
use crate::ids::SessionId;
use crate::mail::{self, Message};
use crate::names::Email;
use crate::passkeys;
use crate::passwords;
use crate::sessions::{self, Session};
use crate::users::{self, User};
use crate::web::Client;
use hallpass_crypto::secret::Opaque;
use serde_json::json;

const REASON: &str = "disowned";

/// What came of a link.
pub struct Disowned {
    /// Sets the new password; nothing for an account that had none.
    pub password: Option<Opaque>,
}

/// What the link is about: the session that the mail told, and the address that the mail went to.
pub(super) fn subject(session: SessionId, email: &str) -> String {
    format!("{session} {email}")
}

fn parse(found: &Found) -> Option<(SessionId, Email)> {
    let (session, email) = found.subject.as_deref()?.split_once(' ')?;
    Some((SessionId::parse(session)?, Email::parse(email)?))
}

/// What a link is about, without using it: the user, and the session as long as it is kept.
///
/// # Errors
/// [`Code::InvalidToken`].
pub(super) async fn look(app: &App, token: &str) -> Result<(User, Option<Session>)> {
    let invalid = || Error::new(Code::InvalidToken);
    let found = codes::peek(&app.db, Purpose::DisownSignIn, token, app.now()).await?;
    let (session, _) = parse(&found).ok_or_else(invalid)?;
    let user = users::find(&app.db, found.user).await?.ok_or_else(invalid)?;
    Ok((user, sessions::find_any(&app.db, found.user, session).await?))
}

/// Ends the sign-in that the link tells of, and all others if wanted; makes its device unknown and the password void. The
/// holder of the link chooses a new password with what is returned; nobody is signed in.
///
/// # Errors
/// [`Code::InvalidToken`].
pub async fn disown(app: &App, client: &Client, token: &str, end_others: bool) -> Result<Disowned> {
    let now = app.now();
    let invalid = || Error::new(Code::InvalidToken);
    let found = codes::peek(&app.db, Purpose::DisownSignIn, token, now).await?;
    let (session, address) = parse(&found).ok_or_else(invalid)?;
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, found.user).await?;
    codes::take(&mut tx, &found, now).await?;
    // Before the account is read: a change of address that is being confirmed is over then, or will not be.
    codes::kill_all(&mut tx, found.user).await?;
    codes::kill_later_returns(&mut tx, &found).await?;
    let user = users::find_in(&mut tx, found.user).await?.ok_or_else(invalid)?;
    let restored = user.email_normalised != address.normalised
        && users::change_email(app, &mut tx, user.id, &address, now).await?;
    if user.has_password {
        users::clear_password(&mut tx, user.id, now).await?;
    }
    // Not the time in its id, which may lie behind an end of all sessions by a clock that was ahead.
    let begun = sessions::find_any(&mut tx, user.id, session).await?.map(|session| session.created_at);
    let revoked = end(app, &mut tx, &user, session, end_others, now).await?;
    let begun = begun.unwrap_or_else(|| session.begun_at());
    let suspected = passkeys::suspect_since(&mut tx, user.id, begun, now).await?;
    let password = if user.has_password && user.disabled_at.is_none() {
        Some(passwords::issue_choice(app, &mut tx, user.id, app.config.codes.reset_ttl, now).await?)
    } else {
        None
    };
    let message = Message::SignInDisowned { reset_link: format!("{}/password/forgot", app.public_url) };
    let to = if restored { &address.typed } else { &user.email };
    mail::enqueue(app, &mut tx, to, &message, now).await?;
    let event = Event::new(Kind::SignInDisowned, client).user(user.id).session(session);
    let detail = json!({
        "revoked": revoked, "allSessions": end_others, "addressRestored": restored, "passkeysSuspected": suspected
    });
    audit::record(app, &mut tx, event.detail(detail), now);
    mail::commit(app, tx).await?;
    Ok(Disowned { password })
}

/// Makes the device unknown and ends its sessions, or all; returns how many were live. No device stays trusted: what the
/// other one did on them is not known.
async fn end(app: &App, tx: &mut Tx, user: &User, id: SessionId, all: bool, now: Timestamp) -> Result<u64> {
    let session = sessions::find_any(&mut *tx, user.id, id).await?;
    let device = session.and_then(|session| session.device);
    if let Some(device) = device {
        devices::forget(tx, user.id, device).await?;
    }
    if all {
        return sessions::revoke_all(app, tx, user.id, None, REASON, now).await;
    }
    devices::distrust_all(tx, user.id).await?;
    let mut revoked = u64::from(sessions::revoke(app, tx, id, REASON, now).await?);
    if let Some(device) = device {
        revoked += sessions::revoke_of_device(app, tx, user.id, device, REASON, now).await?;
    }
    Ok(revoked)
}
