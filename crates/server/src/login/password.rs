//! Signing in by password. Unknown, wrong, disabled and without a password look alike, in answer and in work.
use super::admit::{Admitted, Proven, admit, count};
use super::consent::{self, Consent, Question, Verdict};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::error::{Code, Error, Result};
use crate::hashing::Password;
use crate::ids::UserId;
use crate::limits::{self, Budget, Subject};
use crate::mail;
use crate::sessions::{Delivery, amr};
use crate::users::{self, Login, User};
use crate::web::Client;
use serde_json::json;

/// What a sign-in by password needs.
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

/// Signs in by password, as far as it goes.
///
/// # Errors
/// [`Code::InvalidCredentials`], [`Code::RateLimited`], [`Code::Busy`], [`Code::SessionLimitReached`].
pub async fn sign_in(app: &App, client: &Client, request: SignIn) -> Result<Admitted> {
    count(app, try_sign_in(app, client, request).await)
}

async fn try_sign_in(app: &App, client: &Client, request: SignIn) -> Result<Admitted> {
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
        Ok(Attempt::Right(admitted)) => {
            reservation.succeeded(app).await;
            Ok(admitted)
        }
        Ok(Attempt::Wrong(user, reason)) => {
            record_failure(app, client, Kind::LoginFailed, user.as_deref(), &identifier, reason).await?;
            Err(Error::new(Code::InvalidCredentials))
        }
        Ok(Attempt::Changed | Attempt::Ask(_)) => Err(Error::new(Code::InvalidCredentials)),
        Err(error) => {
            reservation.cancelled(app).await;
            Err(error)
        }
    }
}

enum Attempt {
    Right(Admitted),
    /// With the account it was about, if there is one, and the reason for the audit log.
    Wrong(Option<Box<User>>, &'static str),
    /// The hash is not the verified one any more, or the account was disabled.
    Changed,
    /// The hook has to be asked first.
    Ask(Question),
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
    let right = Right { request, user: user.id, old_hash, better: better.as_deref(), failures };
    match enter(app, client, &right, None).await? {
        Attempt::Ask(question) => {
            let consent = consent::ask(app, client, &question).await?;
            enter(app, client, &right, Some(&consent)).await
        }
        other => Ok(other),
    }
}

/// A password that was verified.
struct Right<'a> {
    request: &'a SignIn,
    user: UserId,
    old_hash: &'a String,
    /// A hash of the same password after today's settings, if the old one is not.
    better: Option<&'a str>,
    failures: u32,
}

async fn enter(app: &App, client: &Client, right: &Right<'_>, consent: Option<&Consent>) -> Result<Attempt> {
    let Right { request, user, old_hash, better, failures } = *right;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    if let Some(better) = better
        && !users::upgrade_password(&mut tx, user, old_hash, better).await?
    {
        return Ok(Attempt::Changed);
    }
    // Verifying takes a while, in which a second factor may have come.
    let Some(user) = &users::find_in(&mut tx, user).await? else { return Ok(Attempt::Changed) };
    let proven = Proven {
        user,
        password_hash: Some(better.unwrap_or(old_hash)),
        client,
        amr: amr::PASSWORD,
        delivery: request.delivery,
        device_name: request.device_name.as_deref(),
        failures,
        consent,
    };
    match admit(app, &mut tx, &proven, now).await {
        Ok(Verdict::Admitted(admitted)) => {
            mail::commit(app, tx).await?;
            Ok(Attempt::Right(admitted))
        }
        Ok(Verdict::Changed) => Ok(Attempt::Changed),
        Ok(Verdict::Ask(question)) => Ok(Attempt::Ask(question)),
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
    let event = Event::new(kind, client);
    let event = match user {
        Some(user) => event.user(user.id),
        None => event.identifier(identifier),
    };
    audit::record_alone(app, event.detail(json!({ "reason": reason }))).await
}
