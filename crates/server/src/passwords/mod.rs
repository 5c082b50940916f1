//! Passwords: the rules for new ones, verification, change, reset by mail.
//!
//! Invariants: a password is verified and hashed outside of any transaction; the transaction that stores a new hash
//! also ends sessions, kills open link tokens, writes the event and the mail.
mod pages;
mod reset;
mod routes;

pub use pages::{choose_page, routes as page_routes};
pub use reset::{forgot, issue_choice, link_of, reset};
pub use routes::routes;

use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::codes;
use crate::error::{Code, Error, FieldProblem, Result};
use crate::hashing::Password;
use crate::limits::{self, Budget, Subject};
use crate::mail::{self, Message};
use crate::sessions::{self, Current, device};
use crate::users::{self, User};
use crate::web::Client;
use hallpass_crypto::strength::{self, Policy};

/// What a new password must not consist of.
pub struct Context<'a> {
    /// The owner's address.
    pub email: &'a str,
    /// The owner's public name.
    pub username: Option<&'a str>,
    /// The owner's display name.
    pub name: Option<&'a str>,
}

impl<'a> Context<'a> {
    /// Of an account.
    pub fn of(user: &'a User) -> Self {
        Self { email: &user.email, username: user.username.as_deref(), name: user.name.as_deref() }
    }
}

/// Checks a new password; every reason is machine-readable.
///
/// # Errors
/// [`Code::ValidationFailed`] with each reason, [`Code::Busy`].
pub async fn check_rules(app: &App, field: &str, password: &Password, context: &Context<'_>) -> Result<()> {
    let problems = problems(app, field, password, context).await?;
    if problems.is_empty() { Ok(()) } else { Err(Error::validation(problems)) }
}

/// Judged by the hashing workers: an estimate of a well-chosen text takes as long as a hash, and must not hold up others.
async fn problems(
    app: &App,
    field: &str,
    password: &Password,
    context: &Context<'_>,
) -> Result<Vec<FieldProblem>> {
    let settings = &app.config.passwords;
    let policy = Policy {
        min_length: settings.min_length,
        max_length: settings.max_length,
        min_score: settings.min_score,
    };
    let local = context.email.split('@').next().unwrap_or_default();
    let host = app.public_url.split("://").nth(1).unwrap_or_default();
    let mut words = vec![context.email, local, host, app.config.mail.product_name.as_str()];
    words.extend(context.username);
    words.extend(context.name);
    words.extend(host.split(['.', ':']).filter(|label| label.len() > 3));
    words.extend(settings.context_words.iter().map(String::as_str));
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let password = password.clone();
    let judge = move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        strength::check(&password, &words, &policy)
    };
    let weaknesses = app.hashing.run(judge).await?;
    let problem = |weakness: &strength::Weakness| FieldProblem {
        field: field.into(),
        code: weakness.code().into(),
        message: message(*weakness, &policy),
    };
    Ok(weaknesses.iter().map(problem).collect())
}

/// The sentence, with the setting's number where there is one.
fn message(weakness: strength::Weakness, policy: &Policy) -> String {
    match weakness {
        strength::Weakness::TooShort => format!("Use at least {} characters.", policy.min_length),
        strength::Weakness::TooLong => format!("Use at most {} characters.", policy.max_length),
        other => other.message().into(),
    }
}

/// Hashes a new password.
///
/// # Errors
/// [`Code::Busy`].
pub async fn hash(app: &App, password: Password) -> Result<String> {
    app.hashing.hash(password, app.random_bytes()).await
}

/// Verifies the password of a signed-in user, under the limit of failures.
///
/// # Errors
/// [`Code::InvalidCredentials`], [`Code::RateLimited`], [`Code::Busy`].
pub async fn prove(app: &App, current: &Current, client: &Client, password: Password) -> Result<String> {
    let subject = Subject::Session(current.session.id);
    let reservation = limits::reserve(app, Budget::Passwords, subject, client).await?;
    let login = users::find_credentials(&app.db, current.user.id).await?;
    let stored = login.and_then(|login| login.password_hash);
    let verified = match app.hashing.verify(password, stored.clone()).await {
        Ok(verified) => verified,
        Err(error) => {
            reservation.cancelled(app).await;
            return Err(error);
        }
    };
    match stored.filter(|_| verified.right) {
        Some(hash) => {
            reservation.succeeded(app).await;
            Ok(hash)
        }
        None => {
            let now = app.now();
            let mut tx = app.db.begin().await?;
            let event = Event::new(Kind::ReauthenticationFailed, client);
            let event = event.user(current.user.id).session(current.session.id);
            audit::record(app, &mut tx, event, now);
            tx.commit().await?;
            Err(Error::new(Code::InvalidCredentials).with_detail("The password is wrong."))
        }
    }
}

/// Changes the password of a signed-in user; the other sessions end.
///
/// # Errors
/// [`Code::InvalidCredentials`], [`Code::ValidationFailed`], [`Code::RateLimited`], [`Code::Busy`];
/// [`Code::ReauthenticationRequired`] for accounts with a second factor.
pub async fn change(
    app: &App,
    current: &Current,
    client: &Client,
    old: Password,
    new: Password,
) -> Result<()> {
    if current.needs_factor(app) {
        current.require_fresh(app, app.now())?;
    }
    check_rules(app, "newPassword", &new, &Context::of(&current.user)).await?;
    if *old == *new {
        return Err(Error::field(
            "newPassword",
            "unchanged",
            "The new password is the same as the current one.",
        ));
    }
    let old_hash = prove(app, current, client, old).await?;
    let new_hash = hash(app, new).await?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, current.user.id).await?;
    let current = &current.anew(app, &mut tx, now).await?;
    if current.needs_factor(app) {
        current.require_fresh(app, now)?;
    }
    // Provided that nobody changed it meanwhile.
    if !users::note_password_change(&mut tx, current.user.id, &old_hash, &new_hash, now).await? {
        return Err(Error::new(Code::InvalidCredentials).with_detail("The password was changed meanwhile."));
    }
    let reason = "password_changed";
    sessions::revoke_all(app, &mut tx, current.user.id, Some(current.session.id), reason, now).await?;
    if !current.needs_factor(app) {
        sessions::note_proof(&mut tx, &current.session, &[sessions::amr::PASSWORD], now).await?;
    }
    codes::kill_all(&mut tx, current.user.id).await?;
    let event = Event::new(Kind::PasswordChanged, client).user(current.user.id).session(current.session.id);
    audit::record(app, &mut tx, event, now);
    // An address that nobody has proven may be a stranger's, who must not be buried in mails.
    if current.user.email_verified_at.is_some() {
        mail::enqueue(app, &mut tx, &current.user.email, &changed_message(client, now), now).await?;
    }
    mail::commit(app, tx).await
}

fn changed_message(client: &Client, now: Timestamp) -> Message {
    Message::PasswordChanged {
        at: now.rfc3339(),
        ip: client.ip.to_string(),
        device: device::describe(client.agent.as_deref().unwrap_or_default()),
    }
}
