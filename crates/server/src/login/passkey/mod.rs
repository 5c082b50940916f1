//! Signing in by passkey alone, and proving identity again by one. The authenticator verified the user, so what is proven is two factors: to have the key, and to
//! be or know what opens it.
mod routes;

pub use routes::routes;

use super::{begin_session, failure, record_failure};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::limits::{self, Budget, Reservation, Subject};
use crate::passkeys::{self, Asserted, Bound, Challenge, Whom};
use crate::sessions::{self, Current, Delivery, Issued, Session, Start};
use crate::telemetry::Outcome;
use crate::users::{self, User};
use crate::web::Client;
use serde_json::Value;

/// What a refused caller is told, whatever was wrong.
const NOT_ACCEPTED: &str = "The passkey was not accepted. Begin again.";

/// What a sign-in by passkey needs.
pub struct PasskeySignIn {
    /// From the options.
    pub ceremony: String,
    /// What the authenticator answered.
    pub credential: Value,
    /// How tokens travel.
    pub delivery: Delivery,
    /// What the owner calls the device.
    pub device_name: Option<String>,
}

/// What a page needs to ask for a passkey: anybody's, or those of an address or username. The answer does not tell whether
/// anybody has it.
pub async fn challenge(app: &App, identifier: Option<&str>) -> Result<Challenge> {
    let whom = identifier.map_or(Whom::Anyone, Whom::Identifier);
    passkeys::begin_assertion(app, Bound::SignIn, whom).await
}

/// Signs in by passkey alone.
///
/// # Errors
/// [`Code::InvalidCredentials`] whatever was wrong, [`Code::RateLimited`], [`Code::SessionLimitReached`].
pub async fn sign_in(app: &App, client: &Client, request: PasskeySignIn) -> Result<(User, Issued)> {
    let result = try_sign_in(app, client, request).await;
    let outcome = match &result {
        Ok(_) => "ok",
        Err(error) if error.code == Code::InvalidCredentials => "wrong",
        Err(error) if error.code == Code::RateLimited => "limited",
        Err(_) => "refused",
    };
    app.metrics.logins.get_or_create(&Outcome { outcome }).inc();
    result
}

async fn try_sign_in(app: &App, client: &Client, request: PasskeySignIn) -> Result<(User, Issued)> {
    let reservation = reserve(app, client).await?;
    match decide(app, client, request).await {
        Ok(Some(done)) => {
            reservation.succeeded(app).await;
            Ok(done)
        }
        Ok(None) => Err(Error::new(Code::InvalidCredentials).with_detail(NOT_ACCEPTED)),
        Err(error) => {
            reservation.cancelled(app).await;
            Err(error)
        }
    }
}

/// A signature cannot be guessed, but every refusal is written down.
async fn reserve(app: &App, client: &Client) -> Result<Reservation> {
    match limits::reserve(app, Budget::Passkeys, Subject::Nobody, client).await {
        Ok(reservation) => Ok(reservation),
        Err(limited) => {
            if limited.first {
                record_failure(app, client, Kind::LoginLimited, None, "", "limited").await?;
            }
            Err(limited.error)
        }
    }
}

/// `None` when the proof is refused; the event says why.
async fn decide(app: &App, client: &Client, request: PasskeySignIn) -> Result<Option<(User, Issued)>> {
    let PasskeySignIn { ceremony, credential, delivery, device_name } = request;
    let checked = passkeys::check_assertion(app, Bound::SignIn, None, &ceremony, credential).await?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let asserted = passkeys::accept(app, &mut tx, client, checked, now).await?;
    let user = match &asserted {
        Some(asserted) => admit(app, &mut tx, client, asserted, now).await?,
        None => None,
    };
    let (Some(asserted), Some(user)) = (asserted, user) else {
        tx.commit().await?;
        return Ok(None);
    };
    let amr = if asserted.backup_eligible { "mfa swk user" } else { "hwk mfa user" };
    let start = Start { user: &user, client, amr, delivery, device_name: device_name.as_deref() };
    let begun = begin_session(app, &mut tx, &start, 0, now).await;
    match &begun {
        Err(error) if error.code == Code::SessionLimitReached => {
            // The passkey has served all the same: its ceremony does not serve once more.
            let event = failure(client, Kind::LoginRefused, Some(&user), "", "session_limit");
            audit::record(app, &mut tx, event, now).await?;
        }
        Err(_) => return begun.map(Some),
        Ok(_) => {}
    }
    tx.commit().await?;
    begun.map(Some)
}

/// The user of a proof, provided that the account is open; notes the sign-in.
async fn admit(
    app: &App,
    tx: &mut Tx,
    client: &Client,
    asserted: &Asserted,
    now: Timestamp,
) -> Result<Option<User>> {
    if users::note_passkey_login(tx, asserted.user, now).await? {
        return users::find_in(tx, asserted.user).await;
    }
    if let Some(user) = users::find_in(tx, asserted.user).await? {
        let event = failure(client, Kind::LoginFailed, Some(&user), "", "disabled");
        audit::record(app, tx, event, now).await?;
    }
    Ok(None)
}

/// What a page needs to ask for a fresh proof in a session.
pub async fn challenge_again(app: &App, current: &Current) -> Result<Challenge> {
    let bound = Bound::Session(current.session.id);
    passkeys::begin_assertion(app, bound, Whom::User(current.user.id)).await
}

/// Proves identity again by passkey. The user has to be verified: to have the key alone says that somebody has it.
///
/// # Errors
/// [`Code::InvalidCredentials`] whatever was wrong, [`Code::RateLimited`], [`Code::SessionRevoked`].
pub async fn prove_again(
    app: &App,
    current: &Current,
    client: &Client,
    ceremony: &str,
    credential: Value,
) -> Result<Session> {
    let id = current.session.id;
    let reservation = limits::reserve(app, Budget::Passkeys, Subject::Session(id), client).await?;
    let checked =
        passkeys::check_assertion(app, Bound::Session(id), Some(current.user.id), ceremony, credential)
            .await?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let asserted = passkeys::accept(app, &mut tx, client, checked, now).await?;
    let proven = asserted.is_some_and(|asserted| asserted.user_verified);
    if proven && !sessions::set_auth_time(&mut tx, id, now).await? {
        return Err(Error::new(Code::SessionRevoked));
    }
    let kind = if proven { Kind::Reauthenticated } else { Kind::ReauthenticationFailed };
    let event = Event::new(kind, client).user(current.user.id).session(id);
    audit::record(app, &mut tx, event, now).await?;
    tx.commit().await?;
    if !proven {
        return Err(Error::new(Code::InvalidCredentials).with_detail(NOT_ACCEPTED));
    }
    reservation.succeeded(app).await;
    Ok(Session { auth_time: now, ..Session::clone(&current.session) })
}
