//! Change of address: the new one confirms, the old one is told and can undo, for a while even after the change.
mod pages;
mod routes;

pub use pages::routes as page_routes;
pub use routes::routes;

use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::codes::{self, Issue, Purpose};
use crate::db::Tx;
use crate::devices;
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::limits;
use crate::mail::{self, Message};
use crate::names::Email;
use crate::passkeys;
use crate::passwords;
use crate::sessions::{self, Current};
use crate::users::{self, User};
use crate::web::Client;
use serde_json::json;
use std::time::Duration;

/// Whoever changed the address may have been in the account for so long before.
const BEFORE_CHANGE: Duration = Duration::from_secs(86_400);

/// Asks the new address to confirm and tells the present one, with a link to undo.
///
/// # Errors
/// [`Code::ReauthenticationRequired`].
pub async fn request_change(app: &App, current: &Current, client: &Client, new: &Email) -> Result<()> {
    let now = app.now();
    current.require_fresh(app, now)?;
    if new.normalised == current.user.email_normalised && new.typed == current.user.email {
        return Err(Error::field("email", "unchanged", "This is the present address."));
    }
    let user = &current.user;
    let owner = users::find_by_email(&app.db, new).await?;
    let free = owner.is_none_or(|owner| owner.id == user.id);
    limits::spend_mail(app, client).await?;
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, user.id).await?;
    let current = current.anew(app, &mut tx, now).await?;
    current.require_fresh(app, now)?;
    let user = &current.user;
    let allowed = mail::may_send(app, &mut tx, &new.typed, now).await?;
    let settings = &app.config.codes;
    let issue = |purpose, subject, ttl| Issue {
        purpose,
        user: Some(user.id),
        subject: Some(subject),
        code: None,
        client: None,
        ttl,
    };
    let confirm = issue(Purpose::ChangeEmail, &new.typed, settings.verify_link_ttl);
    let confirm = codes::issue(app, &mut tx, &confirm, now).await?;
    let undo = issue(Purpose::UndoEmailChange, &user.email, settings.email_undo_ttl);
    let undo = codes::issue(app, &mut tx, &undo, now).await?;
    let message = if free {
        let link = format!("{}/email/confirm?token={}", app.public_url, confirm.expose());
        Message::EmailChangeConfirm { link, seconds: settings.verify_link_ttl.as_secs() }
    } else {
        // The caller must not learn that the address has an account; its owner may.
        Message::AccountExists { reset_link: format!("{}/password/forgot", app.public_url) }
    };
    mail::enqueue_or_pretend(app, &mut tx, allowed.then_some(new.typed.as_str()), &message, now).await?;
    let notice = Message::EmailChangeNotice {
        new_email: new.typed.clone(),
        undo_link: format!("{}/email/undo?token={}", app.public_url, undo.expose()),
        days: settings.email_undo_ttl.as_secs() / 86_400,
    };
    mail::enqueue(app, &mut tx, &user.email, &notice, now).await?;
    let event = Event::new(Kind::EmailChangeRequested, client).user(user.id).session(current.session.id);
    audit::record(app, &mut tx, event, now);
    mail::commit(app, tx).await
}

/// Completes a change by the link that the new address got.
///
/// # Errors
/// [`Code::InvalidToken`].
pub async fn confirm_change(app: &App, client: &Client, token: &str) -> Result<User> {
    let now = app.now();
    let invalid = || Error::new(Code::InvalidToken);
    let found = codes::peek(&app.db, Purpose::ChangeEmail, token, now).await?;
    let new = found.subject.as_deref().and_then(Email::parse).ok_or_else(invalid)?;
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, found.user).await?;
    codes::take(&mut tx, &found, now).await?;
    let former = reload(&mut tx, found.user).await?;
    if !users::change_email(app, &mut tx, found.user, &new, now).await? {
        return Err(invalid());
    }
    // Links that were mailed to the former address open nothing any more, but for the undo.
    codes::kill_all(&mut tx, found.user).await?;
    // The former address as a keyed hash: should the account be deleted one day, what happened to it then can be found and erased.
    let event = Event::new(Kind::EmailChanged, client).user(found.user).identifier(&former.email_normalised);
    audit::record(app, &mut tx, event, now);
    let user = reload(&mut tx, found.user).await?;
    tx.commit().await?;
    Ok(user)
}

/// Takes a change back: before it was confirmed, or after. Then all sessions end and the owner gets a reset link,
/// since whoever changed the address was signed in.
///
/// # Errors
/// [`Code::InvalidToken`].
pub async fn undo_change(app: &App, client: &Client, token: &str) -> Result<()> {
    let now = app.now();
    let invalid = || Error::new(Code::InvalidToken);
    let found = codes::peek(&app.db, Purpose::UndoEmailChange, token, now).await?;
    let old = found.subject.as_deref().and_then(Email::parse).ok_or_else(invalid)?;
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, found.user).await?;
    codes::take(&mut tx, &found, now).await?;
    let former = reload(&mut tx, found.user).await?;
    if !users::change_email(app, &mut tx, found.user, &old, now).await? {
        return Err(invalid());
    }
    // Whoever changed the address was signed in on one of them.
    devices::forget_all(&mut tx, found.user, None).await?;
    let revoked = sessions::revoke_all(app, &mut tx, found.user, None, "email_change_undone", now).await?;
    let since = found.id.made_at().minus(BEFORE_CHANGE);
    let suspected = passkeys::suspect_since(&mut tx, found.user, since, now).await?;
    codes::kill_all(&mut tx, found.user).await?;
    codes::kill_later_returns(&mut tx, &found).await?;
    let issue = Issue {
        purpose: Purpose::ResetPassword,
        user: Some(found.user),
        subject: None,
        code: None,
        client: None,
        ttl: app.config.codes.reset_ttl,
    };
    let secret = codes::issue(app, &mut tx, &issue, now).await?;
    let link = passwords::link_of(app, &secret);
    let seconds = app.config.codes.reset_ttl.as_secs();
    mail::enqueue(app, &mut tx, &old.typed, &Message::EmailChangeUndone {}, now).await?;
    mail::enqueue(app, &mut tx, &old.typed, &Message::PasswordReset { link, seconds }, now).await?;
    let event = Event::new(Kind::EmailChangeUndone, client)
        .user(found.user)
        .identifier(&former.email_normalised)
        .detail(json!({ "revoked": revoked, "passkeysSuspected": suspected }));
    audit::record(app, &mut tx, event, now);
    mail::commit(app, tx).await
}

async fn reload(tx: &mut Tx, id: UserId) -> Result<User> {
    users::find_in(tx, id).await?.ok_or_else(|| Error::new(Code::InvalidToken))
}
