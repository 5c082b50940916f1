//! What proves who somebody is, replaced by others.
use crate::admin::Actor;
use crate::admin::actor::Deed;
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::codes;
use crate::db::Tx;
use crate::devices;
use crate::error::Result;
use crate::factors;
use crate::hashing::Password;
use crate::ids::UserId;
use crate::login;
use crate::mail::{self, Message};
use crate::passkeys;
use crate::passwords;
use crate::sessions;
use crate::users::{self, User};
use serde_json::json;
use std::time::Duration;

/// A one-time link to choose a password.
pub struct Link {
    /// To be opened in a browser.
    pub url: String,
    /// End of its life.
    pub expires_at: Timestamp,
}

/// Where the next password comes from.
pub enum NewPassword {
    /// Whoever sets it chose it.
    Chosen(Password),
    /// The owner, by a link that whoever asks hands over.
    Link,
    /// The owner, by a link that only the mailbox gets.
    Mailed,
}

/// What came of replacing a password.
pub struct Reset {
    /// Sessions that ended.
    pub ended: u64,
    /// The link to hand over, if one was asked for.
    pub link: Option<Link>,
    /// Whether a link was mailed: not to a closed account, which no link opens.
    pub mailed: bool,
}

/// Replaces the password, or takes it away in favour of a link to choose one. All sessions end, and sign-ins under way.
///
/// # Errors
/// [`crate::error::Code::NotFound`] when the account went away meanwhile, [`crate::error::Code::Forbidden`],
/// [`crate::error::Code::ReauthenticationRequired`].
pub async fn set_password(app: &App, by: &Actor<'_>, id: UserId, new: NewPassword) -> Result<Reset> {
    by.require_fresh(app, app.now())?;
    let hash = match &new {
        NewPassword::Chosen(password) => Some(passwords::hash(app, password.clone()).await?),
        NewPassword::Link | NewPassword::Mailed => None,
    };
    let Deed { mut tx, by, user, now } = by.begin(app, id).await?;
    let reason = by.word("password_set_by_operator", "password_reset_by_administrator");
    // The user before devices and sessions, as a sign-in takes them: else they could wait for each other.
    match &hash {
        Some(hash) => users::set_password(&mut tx, user.id, hash, now).await?,
        None => users::clear_password(&mut tx, user.id, now).await?,
    }
    let ended = sessions::revoke_all(app, &mut tx, user.id, None, reason, now).await?;
    codes::kill_all(&mut tx, user.id).await?;
    login::forget_attempts(&mut tx, user.id).await?;
    let mut reset = Reset { ended, link: None, mailed: false };
    if matches!(new, NewPassword::Link) {
        reset.link = Some(link(app, &mut tx, user.id, app.config.codes.verify_link_ttl, now).await?);
    }
    if matches!(new, NewPassword::Mailed) && user.disabled_at.is_none() {
        let ttl = app.config.codes.reset_ttl;
        let link = link(app, &mut tx, user.id, ttl, now).await?.url;
        let message = Message::PasswordWanted { link, seconds: ttl.as_secs() };
        mail::enqueue(app, &mut tx, &user.email, &message, now).await?;
        reset.mailed = true;
    }
    let chosen = match new {
        NewPassword::Chosen(_) => "by operator",
        NewPassword::Link => "by link",
        NewPassword::Mailed => "by mail",
    };
    let event = Event::new(Kind::PasswordReset, by.client).user(user.id);
    audit::record(app, &mut tx, event.detail(json!({ "by": by.name(), "chosen": chosen })), now);
    let message = Message::PasswordChanged {
        at: now.rfc3339(),
        ip: by.place(),
        device: by.word("the operator's command line", "an administrator").into(),
    };
    mail::enqueue(app, &mut tx, &user.email, &message, now).await?;
    mail::commit(app, tx).await?;
    Ok(reset)
}

/// Takes away everything that proves identity in an account: from now on only its mailbox opens it, or the link that is returned to an operator.
pub(super) async fn begin_anew(app: &App, deed: &mut Deed<'_>) -> Result<Option<Link>> {
    let Deed { tx, by, user, now } = deed;
    let now = *now;
    users::clear_password(tx, user.id, now).await?;
    factors::remove_all(app, tx, user.id, now).await?;
    passkeys::remove_all(app, tx, user.id, now).await?;
    devices::forget_all(tx, user.id, None).await?;
    let ended = sessions::revoke_all(app, tx, user.id, None, "roles_beyond_vouchers", now).await?;
    codes::kill_all(tx, user.id).await?;
    codes::kill_returns(tx, user.id).await?;
    login::forget_attempts(tx, user.id).await?;
    users::forget_vouchers(tx, user.id).await?;
    let mut made = None;
    if user.disabled_at.is_none() {
        let operator = !by.is_administrator();
        let ttl = if operator { app.config.codes.verify_link_ttl } else { app.config.codes.reset_ttl };
        let link = link(app, tx, user.id, ttl, now).await?;
        if operator {
            made = Some(link);
        } else {
            let message = Message::PasswordWanted { link: link.url, seconds: ttl.as_secs() };
            mail::enqueue(app, tx, &user.email, &message, now).await?;
        }
    }
    tell_of_beginning_anew(app, tx, by, user, now).await?;
    let detail = json!({ "by": by.name(), "sessions": ended, "reason": "roles_beyond_vouchers" });
    for kind in [Kind::PasswordReset, Kind::FactorsReset] {
        audit::record(app, tx, Event::new(kind, by.client).user(user.id).detail(detail.clone()), now);
    }
    Ok(made)
}

/// Tells the owner what was taken away, if there was something.
async fn tell_of_beginning_anew(
    app: &App,
    tx: &mut Tx,
    by: &Actor<'_>,
    user: &User,
    now: Timestamp,
) -> Result<()> {
    let (at, ip) = (now.rfc3339(), by.place());
    let device = by.word("the operator's command line", "an administrator").to_owned();
    if !user.factors.is_empty() {
        let (at, ip, device) = (at.clone(), ip.clone(), device.clone());
        let message = Message::FactorChanged { change: "reset", factor: "all", at, ip, device };
        mail::enqueue(app, tx, &user.email, &message, now).await?;
    }
    if user.has_password {
        mail::enqueue(app, tx, &user.email, &Message::PasswordChanged { at, ip, device }, now).await?;
    }
    Ok(())
}

pub(super) async fn link(
    app: &App,
    tx: &mut Tx,
    user: UserId,
    ttl: Duration,
    now: Timestamp,
) -> Result<Link> {
    let token = passwords::issue_choice(app, tx, user, ttl, now).await?;
    Ok(Link { url: passwords::link_of(app, &token), expires_at: now.plus(ttl) })
}

/// Removes every second factor of somebody who lost them, for whoever made sure who asks. All sessions end, and the owner is
/// told by mail. Returns how many sessions were live.
///
/// # Errors
/// [`crate::error::Code::NotFound`], [`crate::error::Code::Forbidden`], [`crate::error::Code::ReauthenticationRequired`].
pub async fn reset_factors(app: &App, by: &Actor<'_>, id: UserId) -> Result<u64> {
    let Deed { mut tx, by, user, now } = by.begin(app, id).await?;
    factors::remove_all(app, &mut tx, user.id, now).await?;
    passkeys::remove_all(app, &mut tx, user.id, now).await?;
    login::forget_attempts(&mut tx, user.id).await?;
    let ended = sessions::revoke_all(app, &mut tx, user.id, None, "factors_reset", now).await?;
    let event = Event::new(Kind::FactorsReset, by.client).user(user.id);
    audit::record(app, &mut tx, event.detail(json!({ "by": by.name(), "sessions": ended })), now);
    let message = Message::FactorChanged {
        change: "reset",
        factor: "all",
        at: now.rfc3339(),
        ip: by.place(),
        device: by.word("the operator", "an administrator").into(),
    };
    mail::enqueue(app, &mut tx, &user.email, &message, now).await?;
    mail::commit(app, tx).await?;
    Ok(ended)
}
