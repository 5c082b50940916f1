//! Who somebody is and what they may do, said anew.
use crate::admin::Actor;
use crate::admin::actor::Deed;
use crate::admin::etag::Read;
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::codes;
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::login;
use crate::mail::{self, Message};
use crate::names::Email;
use crate::users::{self, Profile, User};
use serde_json::json;

/// What an account is to be; `None` leaves a field as it is.
#[derive(Default)]
pub(in crate::admin) struct Change {
    /// Name and username.
    pub(in crate::admin) profile: Profile,
    /// Another address, and whether whoever changes it answers for it.
    pub(in crate::admin) email: Option<(Email, bool)>,
}

/// Changes name, username or address. The owner is told at the address that was proven so far, since the last two sign in; links and codes
/// that went there open nothing any more. The present address in other letters stays as proven as it was.
///
/// # Errors
/// [`Code::NotFound`], [`Code::Outdated`], [`Code::EmailTaken`], [`Code::UsernameTaken`], [`Code::Forbidden`],
/// [`Code::ReauthenticationRequired`].
pub(in crate::admin) async fn change(
    app: &App,
    by: &Actor<'_>,
    id: UserId,
    change: &Change,
    read: &Read,
) -> Result<User> {
    let mut deed = by.begin(app, id).await?;
    deed.expect(read)?;
    let former = deed.user.clone();
    users::change_profile(app, &mut deed.tx, &former, &change.profile, deed.now).await?;
    let same = |email: &Email| email.normalised == former.email_normalised;
    let answered_for = change.email.as_ref().filter(|(email, verified)| same(email) && *verified);
    let respelt = change.email.as_ref().filter(|(email, _)| same(email) && email.typed != former.email);
    if let Some((email, _)) = respelt {
        users::set_email(app, &mut deed.tx, id, email, former.email_verified_at, deed.now).await?;
    }
    let proven = answered_for.is_some() && former.email_verified_at.is_none();
    if proven {
        users::verify_email(app, &mut deed.tx, id, deed.now).await?;
    }
    let moved = change.email.as_ref().filter(|(email, _)| !same(email));
    if let Some((email, verified)) = moved {
        if !users::set_email(app, &mut deed.tx, id, email, verified.then_some(deed.now), deed.now).await? {
            return Err(Error::new(Code::EmailTaken));
        }
        codes::kill_all(&mut deed.tx, id).await?;
        // They would give the account to whoever had the former address.
        codes::kill_returns(&mut deed.tx, id).await?;
        login::forget_attempts(&mut deed.tx, id).await?;
        // What somebody began to register under this address must not touch the account.
        login::forget_address(&mut deed.tx, &email.normalised).await?;
    }
    if proven || moved.is_some() {
        deed.by.vouch(&mut deed.tx, id).await?;
    }
    let user = deed.reload().await?;
    let Deed { mut tx, by, now, .. } = deed;
    // An address that nobody has proven may be a stranger's, who must not be flooded with mail.
    if former.email_verified_at.is_some() {
        for message in notices(&by, &former, &user, now.rfc3339()) {
            mail::enqueue(app, &mut tx, &former.email, &message, now).await?;
        }
    }
    let event = Event::new(Kind::ProfileChanged, by.client).user(id);
    audit::record(app, &mut tx, event.detail(json!({ "by": by.name() })), now);
    if proven {
        let event = Event::new(Kind::EmailVerified, by.client).user(id);
        audit::record(app, &mut tx, event.detail(json!({ "by": by.name() })), now);
    }
    if let Some((_, verified)) = moved {
        let event = Event::new(Kind::EmailChanged, by.client).user(id).identifier(&former.email_normalised);
        audit::record(app, &mut tx, event.detail(json!({ "by": by.name(), "verified": verified })), now);
    }
    mail::commit(app, tx).await?;
    Ok(user)
}

/// What the owner has to know of a change.
fn notices(by: &Actor<'_>, former: &User, user: &User, at: String) -> Vec<Message> {
    let device = || by.word("the operator", "an administrator").to_owned();
    let mut notices = Vec::new();
    if former.username != user.username {
        let username = user.username.clone();
        notices.push(Message::UsernameChanged { username, at: at.clone(), ip: by.place(), device: device() });
    }
    if former.email_normalised != user.email_normalised {
        notices.push(Message::EmailChanged { new_email: user.email.clone(), at, device: device() });
    }
    notices
}

/// Counts an address as proven, for whoever made sure whose it is. Returns whether that changed something.
///
/// # Errors
/// [`Code::NotFound`], [`Code::Forbidden`], [`Code::ReauthenticationRequired`].
pub async fn verify_email(app: &App, by: &Actor<'_>, id: UserId) -> Result<bool> {
    let Deed { mut tx, by, user, now } = by.begin(app, id).await?;
    if user.email_verified_at.is_some() {
        return Ok(false);
    }
    users::verify_email(app, &mut tx, id, now).await?;
    by.vouch(&mut tx, id).await?;
    let event = Event::new(Kind::EmailVerified, by.client).user(id);
    audit::record(app, &mut tx, event.detail(json!({ "by": by.name() })), now);
    tx.commit().await?;
    Ok(true)
}
