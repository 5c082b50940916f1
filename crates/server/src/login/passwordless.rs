//! Signing in by the mailbox alone: a mailed link, or the code beside it. Known and unknown addresses run the same statements and
//! get the same answer; only the mail differs.
use super::admit::{Admitted, count};
use super::attempt::{self, Opening};
use super::consent::{self, Consent, Verdict};
use super::policy::Needs;
use super::second::{Step, go_on, identifier_hash, owner};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::codes;
use crate::devices;
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::limits;
use crate::mail::{self, Message};
use crate::names::Email;
use crate::sessions::{Delivery, amr, device};
use crate::users;
use crate::web::Client;
use hallpass_crypto::secret::{Kind as SecretKind, Opaque};
use std::time::Duration;

/// A wish to sign in by the mailbox.
pub struct ByMail {
    /// Address of the account.
    pub email: Email,
    /// How tokens travel.
    pub delivery: Delivery,
    /// What the owner calls the device.
    pub device_name: Option<String>,
}

/// Mails link and code to the address if it has an account; nobody but the mailbox learns whether. Returns the token of the
/// attempt that the code finishes, and its life.
///
/// # Errors
/// [`Code::NotFound`] when it is switched off, [`Code::RateLimited`] about the caller's network only.
pub async fn request(app: &App, client: &Client, wish: &ByMail) -> Result<(Opaque, Duration)> {
    if !app.config.login.passwordless {
        return Err(Error::new(Code::NotFound).with_detail("Signing in by mail alone is switched off here."));
    }
    limits::spend_mail(app, client).await?;
    let now = app.now();
    let user = users::find_by_email(&app.db, &wish.email).await?.filter(|user| user.disabled_at.is_none());
    let link = new_link(app);
    let code = codes::new_code(app);
    let life = app.config.login.link_ttl;
    let on_device = may_mail_on_device(app, client, user.as_ref().map(|user| user.id)).await?;
    let mut tx = app.db.begin().await?;
    let allowed = match on_device {
        Some(allowed) => allowed,
        None => mail::may_send(app, &mut tx, &wish.email.typed, now).await?,
    };
    let recipient = user.as_ref().filter(|_| allowed);
    let hash = identifier_hash(app, &wish.email);
    let opening = Opening {
        user: recipient.map(|user| user.id),
        identifier_hash: Some(&hash),
        credential: None,
        amr: "",
        needs: Needs::EmailCode,
        code: Some((&code, app.config.codes.sign_in_code_life())),
        link: Some(&link),
        client,
        delivery: wish.delivery,
        device_name: wish.device_name.as_deref(),
        failures: 0,
        life,
    };
    let token = attempt::open(app, &mut tx, &opening, now).await?;
    let message = link_message(app, client, &link, code);
    mail::enqueue_or_pretend(app, &mut tx, recipient.map(|user| user.email.as_str()), &message, now).await?;
    let event = Event::new(Kind::SignInMailRequested, client);
    let event = match &user {
        Some(user) => event.user(user.id),
        None => event.identifier(&wish.email.normalised),
    };
    audit::record(app, &mut tx, event, now);
    mail::commit(app, tx).await?;
    Ok((token, life))
}

/// The token of a link to be mailed.
pub(super) fn new_link(app: &App) -> Opaque {
    Opaque::mint(SecretKind::SignInLink, app.random_bytes())
}

/// The mail with link and code.
pub(super) fn link_message(app: &App, client: &Client, link: &Opaque, code: String) -> Message {
    Message::SignInLink {
        link: format!("{}/sign-in?token={}", app.public_url, link.expose()),
        code,
        link_seconds: app.config.login.link_ttl.as_secs(),
        code_seconds: app.config.codes.sign_in_code_life().as_secs(),
        ip: client.ip.to_string(),
        device: device::describe(client.agent.as_deref().unwrap_or_default()),
    }
}

/// Whether one more mail may go out, if this is a device where the user has signed in: there it is counted for the user, so that
/// strangers who ask for mails in the user's name lock nobody out. Nothing on any other device.
///
/// # Errors
/// The database's, or no place to count.
pub(super) async fn may_mail_on_device(
    app: &App,
    client: &Client,
    user: Option<UserId>,
) -> Result<Option<bool>> {
    let device = devices::recognise(app, &app.db, client, user).await?;
    let Some(user) = user.filter(|_| device.is_some()) else { return Ok(None) };
    match limits::spend_sign_in_mail(app, user).await {
        Ok(()) => Ok(Some(true)),
        Err(error) if error.code == Code::RateLimited => Ok(Some(false)),
        Err(error) => Err(error),
    }
}

/// Signs in the browser in which a mailed link was confirmed, as far as it goes.
///
/// # Errors
/// [`Code::InvalidToken`], [`Code::SessionLimitReached`].
pub async fn by_link(app: &App, client: &Client, token: &str) -> Result<Admitted> {
    let mut result = try_link(app, client, token, None).await;
    if let Ok(Verdict::Ask(question)) = &result {
        result = match consent::ask(app, client, question).await {
            Ok(consent) => try_link(app, client, token, Some(&consent)).await,
            Err(error) => Err(error),
        };
    }
    count(app, result.and_then(|verdict| verdict.admitted(Code::InvalidToken)))
}

async fn try_link(app: &App, client: &Client, token: &str, consent: Option<&Consent>) -> Result<Verdict> {
    let now = app.now();
    let mut attempt = attempt::find_by_link(&app.db, token, now).await?;
    let invalid = |error: Error| match error.code {
        Code::InvalidAttempt => Error::new(Code::InvalidToken),
        _ => error,
    };
    // It is this browser that gets in, whatever asked for the mail; and who asked may be a stranger, who names nothing.
    attempt.delivery = Delivery::Cookie;
    attempt.device_name = None;
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, attempt.user_or_decoy()).await?;
    let login = owner(app, &mut tx, &attempt).await.map_err(invalid)?;
    let login = login.ok_or_else(|| Error::new(Code::InvalidToken))?;
    attempt::take(&mut tx, &attempt).await.map_err(invalid)?;
    let step = Step { methods: vec![amr::EMAIL], recovery_codes: None, remember_device: false, consent };
    go_on(app, tx, client, &attempt, (login.user, login.password_hash), step).await.map_err(invalid)
}
