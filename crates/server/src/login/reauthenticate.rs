//! A fresh proof of identity within a session: moves `auth_time`, and by a second factor raises `acr`. Nothing else does.
use super::admit::code_message;
use super::passkey::Answered;
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::codes::{self, Issue, Purpose};
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::factors::{self, By, Typed};
use crate::hashing::Password;
use crate::limits::{self, Budget, Subject};
use crate::mail;
use crate::passkeys::{self, Bound};
use crate::passwords;
use crate::sessions::{self, Current, EMAIL_OTP, Session, amr};
use crate::users::Factor;
use crate::web::Client;
use serde_json::json;

use super::second::Method;

/// What proves identity again.
pub enum Fresh {
    /// The password; for accounts without a second factor.
    Password(Password),
    /// A code that was typed, and what it is; guessed if not said.
    Typed(String, Option<Method>),
    /// What an authenticator answered.
    Passkey(Answered),
}

/// Proves identity again.
///
/// # Errors
/// [`Code::InvalidCredentials`], [`Code::InvalidCode`], [`Code::RateLimited`], [`Code::Busy`];
/// [`Code::ReauthenticationRequired`] with the methods that would do.
pub async fn reauthenticate(app: &App, current: &Current, client: &Client, fresh: Fresh) -> Result<Session> {
    match fresh {
        Fresh::Password(password) => {
            refuse_unless(app, current, "password")?;
            passwords::prove(app, current, client, password).await?;
            let tx = app.db.begin().await?;
            note(app, tx, current, client, &[amr::PASSWORD]).await
        }
        Fresh::Typed(typed, method) => {
            let default = if current.needs_factor(app) {
                Method::Factor(Typed::guess(&typed))
            } else {
                Method::EmailOtp
            };
            let method = method.unwrap_or(default);
            let name = match method {
                Method::EmailOtp => EMAIL_OTP,
                Method::Factor(factor) => factor.name(),
            };
            refuse_unless(app, current, name)?;
            by_code(app, current, client, &typed, method).await
        }
        Fresh::Passkey(answered) => {
            refuse_unless(app, current, Factor::Passkey.name())?;
            by_passkey(app, current, client, answered).await
        }
    }
}

/// Refuses a method that would not prove enough: a password alone must not be enough where a second factor is set up, nor a
/// mailbox alone where a password is.
fn refuse_unless(app: &App, current: &Current, method: &str) -> Result<()> {
    let ways = current.ways_to_prove(app);
    if ways.contains(&method) {
        return Ok(());
    }
    let text = "This does not prove enough. Use one of methods.";
    Err(Error::new(Code::ReauthenticationRequired).with_detail(text).with_methods(ways))
}

async fn by_code(
    app: &App,
    current: &Current,
    client: &Client,
    typed: &str,
    method: Method,
) -> Result<Session> {
    let subject = Subject::Session(current.session.id);
    let reservation = limits::reserve(app, Budget::Codes, subject, client).await?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let methods = match method {
        Method::Factor(factor) => {
            let by = By::owner(current, client);
            let right = factors::take(app, &mut tx, &by, factor, typed, now).await?;
            right.then(|| factor.methods().to_vec())
        }
        Method::EmailOtp => {
            let normalised = hallpass_crypto::code::normalise(typed).unwrap_or_default();
            let user = current.user.id;
            let found =
                codes::try_code(app, &mut tx, Purpose::Reauthenticate, user, &normalised, now).await?;
            let here = current.session.id.to_string();
            match found.filter(|found| found.subject.as_ref() == Some(&here)) {
                Some(found) => {
                    codes::take(&mut tx, &found, now).await.map_err(|_| Error::new(Code::InvalidCode))?;
                    Some(vec![amr::EMAIL])
                }
                None => None,
            }
        }
    };
    let Some(methods) = methods else { return Err(wrong(app, tx, current, client, "wrong_code").await?) };
    let session = note(app, tx, current, client, &methods).await?;
    reservation.succeeded(app).await;
    Ok(session)
}

async fn by_passkey(app: &App, current: &Current, client: &Client, answered: Answered) -> Result<Session> {
    let (id, user) = (current.session.id, current.user.id);
    let reservation = limits::reserve(app, Budget::Passkeys, Subject::Session(id), client).await?;
    let Answered { ceremony, credential } = answered;
    let bound = Bound::Session(id);
    let checked = passkeys::check_assertion(app, bound, Some(user), &ceremony, credential).await?;
    let mut tx = app.db.begin().await?;
    let asserted = passkeys::accept(app, &mut tx, client, checked, app.now()).await?;
    // Where it is no second factor it has to be two by itself.
    let enough = asserted.filter(|asserted| asserted.user_verified || current.needs_factor(app));
    let Some(asserted) = enough else { return Err(wrong(app, tx, current, client, "passkey").await?) };
    let session = note(app, tx, current, client, &asserted.methods()).await?;
    reservation.succeeded(app).await;
    Ok(session)
}

/// Records a proof that failed.
async fn wrong(
    app: &App,
    mut tx: Tx,
    current: &Current,
    client: &Client,
    reason: &'static str,
) -> Result<Error> {
    let event = Event::new(Kind::ReauthenticationFailed, client);
    let event = event.user(current.user.id).session(current.session.id);
    audit::record(app, &mut tx, event.detail(json!({ "reason": reason })), app.now());
    mail::commit(app, tx).await?;
    Ok(Error::new(Code::InvalidCode))
}

async fn note(
    app: &App,
    mut tx: Tx,
    current: &Current,
    client: &Client,
    methods: &[&str],
) -> Result<Session> {
    let now = app.now();
    let session = sessions::note_proof(&mut tx, &current.session, methods, now).await?;
    let event = Event::new(Kind::Reauthenticated, client).user(current.user.id).session(current.session.id);
    audit::record(app, &mut tx, event.detail(json!({ "methods": methods })), now);
    mail::commit(app, tx).await?;
    Ok(session)
}

/// Mails a code that proves identity again, to an account that has neither password nor second factor.
///
/// # Errors
/// [`Code::ReauthenticationRequired`] with the methods that would do instead, [`Code::RateLimited`].
pub async fn send_code(app: &App, current: &Current, client: &Client) -> Result<()> {
    refuse_unless(app, current, EMAIL_OTP)?;
    limits::spend_sign_in_mail(app, current.user.id).await?;
    let now = app.now();
    let code = codes::new_code(app);
    let life = app.config.codes.sign_in_code_life();
    let here = current.session.id.to_string();
    let mut tx = app.db.begin().await?;
    let issue = Issue {
        purpose: Purpose::Reauthenticate,
        user: Some(current.user.id),
        subject: Some(&here),
        code: Some((&code, life)),
        client: None,
        ttl: life,
    };
    codes::issue(app, &mut tx, &issue, now).await?;
    mail::enqueue(app, &mut tx, &current.user.email, &code_message(app, client, code), now).await?;
    mail::commit(app, tx).await
}
