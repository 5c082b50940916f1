//! Coming in: sign-up, sign-in, fresh proof of identity. The only module that starts sessions, so that no way in can
//! forget what every sign-in needs.
mod pages;
mod reauthenticate;
mod routes;
mod settings;
mod signup;
mod store;
mod verify;

pub use pages::routes as page_routes;
pub use reauthenticate::reauthenticate;
pub use routes::routes;
pub use signup::{Registered, SignUp, forget_address, purge, register, resend};
pub use verify::{Proof, Verified, verify_email};

use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::hashing::Password;
use crate::limits::{self, Budget, Subject};
use crate::sessions::{self, Delivery, Issued, Start};
use crate::telemetry::Outcome;
use crate::users::{self, Login, User};
use crate::web::Client;
use serde_json::json;

/// `amr` of a sign-in by password (RFC 8176).
const AMR_PASSWORD: &str = "pwd";

/// What a sign-in needs.
pub struct SignIn {
    /// Address or username.
    pub identifier: String,
    /// Password.
    pub password: Password,
    /// How tokens travel.
    pub delivery: Delivery,
    /// What the owner calls the device.
    pub device_name: Option<String>,
}

/// Signs in by password. Unknown, wrong, disabled and without a password look alike, in answer and in work.
///
/// # Errors
/// [`Code::InvalidCredentials`], [`Code::RateLimited`], [`Code::Busy`], [`Code::SessionLimitReached`].
pub async fn sign_in(app: &App, client: &Client, request: SignIn) -> Result<(User, Issued)> {
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

async fn try_sign_in(app: &App, client: &Client, request: SignIn) -> Result<(User, Issued)> {
    let identifier = request.identifier.trim().to_lowercase();
    let login = users::find_login(&app.db, &request.identifier).await?;
    let subject = match &login {
        Some(login) => Subject::User(login.user.id),
        None => Subject::Identifier(&identifier),
    };
    let reservation = match limits::reserve(app, Budget::Passwords, subject, client).await {
        Ok(reservation) => reservation,
        Err(limited) => {
            // Once for each wait: a flood of refused calls must not become a flood of rows.
            if limited.first {
                let user = login.as_ref().map(|login| &login.user);
                record_failure(app, client, Kind::LoginLimited, user, &identifier, "limited").await?;
            }
            return Err(limited.error);
        }
    };
    let failures = reservation.before;
    let mut attempt = attempt(app, client, &request, login, failures).await;
    if matches!(attempt, Ok(Attempt::Changed)) {
        // A parallel sign-in has replaced an outdated hash meanwhile; once more with the new one.
        let login = users::find_login(&app.db, &request.identifier).await?;
        attempt = self::attempt(app, client, &request, login, failures).await;
    }
    match attempt {
        Ok(Attempt::SignedIn(done)) => {
            reservation.succeeded(app).await;
            Ok(*done)
        }
        Ok(Attempt::Wrong(user, reason)) => {
            record_failure(app, client, Kind::LoginFailed, user.as_deref(), &identifier, reason).await?;
            Err(Error::new(Code::InvalidCredentials))
        }
        Ok(Attempt::Changed) => Err(Error::new(Code::InvalidCredentials)),
        Err(error) => {
            reservation.cancelled(app).await;
            Err(error)
        }
    }
}

enum Attempt {
    SignedIn(Box<(User, Issued)>),
    /// With the account it was about, if there is one, and the reason for the audit log.
    Wrong(Option<Box<User>>, &'static str),
    /// The hash is not the verified one any more, or the account was disabled.
    Changed,
}

async fn attempt(
    app: &App,
    client: &Client,
    request: &SignIn,
    login: Option<Login>,
    failures: u32,
) -> Result<Attempt> {
    let (user, stored) = login.map_or((None, None), |login| (Some(login.user), login.password_hash));
    let verified = app.hashing.verify(request.password.clone(), stored.clone()).await?;
    let (Some(user), Some(old_hash), true) = (&user, &stored, verified.right) else {
        let reason = match (&user, &stored) {
            (None, _) => "unknown",
            (Some(_), None) => "no_password",
            (Some(_), Some(_)) => "wrong_password",
        };
        return Ok(Attempt::Wrong(user.map(Box::new), reason));
    };
    if user.disabled_at.is_some() {
        return Ok(Attempt::Wrong(Some(Box::new(user.clone())), "disabled"));
    }
    let better = if verified.outdated {
        Some(app.hashing.hash(request.password.clone(), app.random_bytes()).await?)
    } else {
        None
    };
    let now = app.now();
    let mut tx = app.db.begin().await?;
    if !users::note_login(&mut tx, user.id, Some(old_hash), now).await? {
        return Ok(Attempt::Changed);
    }
    if let Some(better) = &better {
        users::upgrade_password(&mut tx, user.id, old_hash, better).await?;
    }
    let start = Start {
        user,
        client,
        amr: AMR_PASSWORD,
        delivery: request.delivery,
        device_name: request.device_name.as_deref(),
    };
    match begin_session(app, &mut tx, &start, failures, now).await {
        Ok(done) => {
            tx.commit().await?;
            Ok(Attempt::SignedIn(Box::new(done)))
        }
        Err(error) => {
            drop(tx);
            if error.code == Code::SessionLimitReached {
                record_failure(app, client, Kind::LoginRefused, Some(user), "", "session_limit").await?;
            }
            Err(error)
        }
    }
}

async fn record_failure(
    app: &App,
    client: &Client,
    kind: Kind,
    user: Option<&User>,
    identifier: &str,
    reason: &'static str,
) -> Result<()> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let event = Event::new(kind, client);
    let event = match user {
        Some(user) => event.user(user.id),
        None => event.identifier(identifier),
    };
    audit::record(app, &mut tx, event.detail(json!({ "reason": reason })), now);
    Ok(tx.commit().await?)
}

/// Starts the session with its event, which tells how many failures came before; every way in ends here.
async fn begin_session(
    app: &App,
    tx: &mut Tx,
    start: &Start<'_>,
    failures: u32,
    now: Timestamp,
) -> Result<(User, Issued)> {
    let issued = sessions::start(app, tx, start, now).await?;
    let event = Event::new(Kind::LoginSucceeded, start.client).user(start.user.id).session(issued.session.id);
    let event = if failures > 0 { event.detail(json!({ "afterFailures": failures })) } else { event };
    audit::record(app, tx, event, now);
    let user =
        users::find_in(tx, start.user.id).await?.ok_or_else(|| Error::new(Code::InvalidCredentials))?;
    Ok((user, issued))
}
