//! Another code for a sign-in that waits for one.
use super::admit::code_message;
use super::attempt;
use super::passwordless;
use super::second::owner;
use crate::app::App;
use crate::clock::Timestamp;
use crate::codes;
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::mail;
use crate::users::User;
use crate::web::Client;

/// Mails another code; the former one dies, wrong tries stay counted.
///
/// # Errors
/// [`Code::InvalidAttempt`], [`Code::RateLimited`].
pub async fn resend(app: &App, client: &Client, token: &str) -> Result<()> {
    let now = app.now();
    let attempt = attempt::find(&app.db, client, token, now).await?;
    if !attempt.may_send() {
        return Err(Error::new(Code::InvalidAttempt).with_detail("No further code is sent for this sign-in."));
    }
    if attempt.identifier_hash.is_some() {
        limits::spend_mail(app, client).await?;
    }
    let code = codes::new_code(app);
    let link = attempt.identifier_hash.as_ref().map(|_| passwordless::new_link(app));
    let on_device = match &attempt.identifier_hash {
        None => None,
        Some(_) => passwordless::may_mail_on_device(app, client, attempt.user).await?,
    };
    let mut tx = app.db.begin().await?;
    let login = owner(app, &mut tx, &attempt).await?;
    let user = login.as_ref().map(|login| &login.user);
    let allowed = match (attempt.identifier_hash.as_deref(), on_device) {
        (None, _) => may_mail(&mut tx, user, now).await?,
        (Some(_), Some(allowed)) => allowed,
        (Some(hash), None) => {
            let to = user.map_or(hash, |user| user.email.as_str());
            mail::may_send(app, &mut tx, to, now).await?
        }
    };
    // What nobody gets must not take the place of what was mailed.
    let renewed = attempt::Renewed { code: &code, link: link.as_ref(), mailed: allowed };
    if !attempt::renew(app, &mut tx, &attempt, &renewed, now).await? {
        return Err(Error::new(Code::InvalidAttempt));
    }
    let message = match link {
        None => code_message(app, client, code),
        Some(link) => passwordless::link_message(app, client, &link, code),
    };
    let recipient = user.filter(|_| allowed).map(|user| user.email.as_str());
    mail::enqueue_or_pretend(app, &mut tx, recipient, &message, now).await?;
    mail::commit(app, tx).await
}

/// Whether the owner of an attempt, who has proven the password, may get another code.
///
/// # Errors
/// [`Code::RateLimited`], which tells nothing that the first step did not.
async fn may_mail(tx: &mut Tx, user: Option<&User>, now: Timestamp) -> Result<bool> {
    let Some(user) = user else { return Ok(false) };
    if attempt::may_mail_code(tx, user, now).await? { Ok(true) } else { Err(attempt::too_many_mails()) }
}
