//! Reset by a mailed link. Known and unknown addresses run the same statements.
use super::{Context, changed_message, check_rules, hash};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::codes::{self, Found, Issue, Purpose};
use crate::db::Tx;
use crate::devices;
use crate::error::{Code, Error, Result};
use crate::hashing::Password;
use crate::ids::UserId;
use crate::limits;
use crate::mail::{self, Message};
use crate::names::Email;
use crate::sessions;
use crate::users;
use crate::web::Client;
use hallpass_crypto::secret::Opaque;
use std::time::Duration;

/// Sends a reset link to the address if it has an account; nobody but the mailbox learns whether.
pub async fn forgot(app: &App, client: &Client, email: &Email) -> Result<()> {
    limits::spend_mail(app, client).await?;
    let now = app.now();
    let user = users::find_by_email(&app.db, email).await?.filter(|user| user.disabled_at.is_none());
    let mut tx = app.db.begin().await?;
    let allowed = mail::may_send(app, &mut tx, &email.typed, now).await?;
    let issue = Issue {
        purpose: Purpose::ResetPassword,
        user: user.as_ref().map(|user| user.id).filter(|_| allowed),
        subject: None,
        code: None,
        client: None,
        ttl: app.config.codes.reset_ttl,
    };
    let secret = codes::issue(app, &mut tx, &issue, now).await?;
    let link = link_of(app, &secret);
    let message = Message::PasswordReset { link, seconds: app.config.codes.reset_ttl.as_secs() };
    let recipient = user.as_ref().map(|user| user.email.as_str()).filter(|_| allowed);
    mail::enqueue_or_pretend(app, &mut tx, recipient, &message, now).await?;
    let event = Event::new(Kind::PasswordResetRequested, client);
    let event = match &user {
        Some(user) => event.user(user.id),
        None => event.identifier(&email.normalised),
    };
    audit::record(app, &mut tx, event, now);
    mail::commit(app, tx).await
}

/// Whom a reset or first-password token belongs to.
///
/// # Errors
/// [`Code::InvalidToken`].
pub(super) async fn peek(app: &App, token: &str) -> Result<Found> {
    let now = app.now();
    match codes::peek(&app.db, Purpose::ResetPassword, token, now).await {
        Err(error) if error.code == Code::InvalidToken => {
            codes::peek(&app.db, Purpose::SetPassword, token, now).await
        }
        other => other,
    }
}

/// Sets a new password by a mailed link; all sessions end, nobody is signed in.
///
/// # Errors
/// [`Code::InvalidToken`], [`Code::ValidationFailed`] (the link stays good), [`Code::Busy`].
pub async fn reset(app: &App, client: &Client, token: &str, password: Password) -> Result<()> {
    let found = peek(app, token).await?;
    let invalid = || Error::new(Code::InvalidToken);
    let user = users::find(&app.db, found.user).await?.ok_or_else(invalid)?;
    check_rules(app, "password", &password, &Context::of(&user)).await?;
    let hash = hash(app, password).await?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, found.user).await?;
    codes::take(&mut tx, &found, now).await?;
    let user = users::find_in(&mut tx, found.user).await?.filter(|user| user.disabled_at.is_none());
    let user = user.ok_or_else(invalid)?;
    users::set_password(&mut tx, user.id, &hash, now).await?;
    // Whoever holds the mailed link has proven the mailbox.
    users::verify_email(app, &mut tx, user.id, now).await?;
    if user.email_verified_at.is_none() {
        // Until now the account may have been a stranger's.
        devices::forget_all(&mut tx, user.id, None).await?;
    }
    sessions::revoke_all(app, &mut tx, user.id, None, "password_reset", now).await?;
    codes::kill_all(&mut tx, user.id).await?;
    audit::record(app, &mut tx, Event::new(Kind::PasswordReset, client).user(user.id), now);
    mail::enqueue(app, &mut tx, &user.email, &changed_message(client, now), now).await?;
    mail::commit(app, tx).await?;
    limits::forgive(app, user.id, client).await;
    Ok(())
}

/// Where the token of a link is traded for a password of one's own.
pub fn link_of(app: &App, token: &Opaque) -> String {
    format!("{}/password/reset?token={}", app.public_url, token.expose())
}

/// The token with which somebody chooses a password in an account that has none, or none any more. Not one of "forgot
/// password", which the next kills: anybody can ask for that.
///
/// # Errors
/// The database's.
pub async fn issue_choice(
    app: &App,
    tx: &mut Tx,
    user: UserId,
    ttl: Duration,
    now: Timestamp,
) -> Result<Opaque> {
    let issue = Issue {
        purpose: Purpose::SetPassword,
        user: Some(user),
        subject: None,
        code: None,
        client: None,
        ttl,
    };
    codes::issue(app, tx, &issue, now).await
}
