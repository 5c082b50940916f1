//! Sign-up: no user before the mailbox is proven (`pending`), or at once (`immediate`, the weaker choice).
//!
//! In `pending` a known and an unknown address run the same statements and get the same answer; only the mail differs.
use super::admit::{Admitted, Proven, admit};
use super::consent::{self, Consent, Verdict};
use super::store;
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::codes::{self, Issue, Purpose};
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::hashing::Password;
use crate::hooks::{self, Registration};
use crate::ids::RowId;
use crate::limits;
use crate::mail::{self, Message};
use crate::names::{Email, Username};
use crate::passwords::{self, Context};
use crate::sessions::{Delivery, amr};
use crate::users::{self, NewUser, User, Way};
use crate::web::Client;
use hallpass_crypto::code;
use hallpass_crypto::secret::{Kind as SecretKind, Opaque};

/// Name of the code's purpose in its MAC.
pub(super) const CODE_PURPOSE: &str = "pending_registration";

/// A wish for an account.
pub struct SignUp {
    /// Address.
    pub email: Email,
    /// Chosen password.
    pub password: Password,
    /// Public name.
    pub username: Option<Username>,
    /// Display name.
    pub name: Option<String>,
    /// How tokens travel, in `immediate` mode.
    pub delivery: Delivery,
    /// What the owner calls the device, in `immediate` mode.
    pub device_name: Option<String>,
}

/// What came of a sign-up. The secret proves, at verification, that it is the same client.
pub enum Registered {
    /// A mail is on its way; nobody learns whether the address was known.
    Pending(Opaque),
    /// The user exists, and is signed in as far as that goes.
    Admitted(Admitted, Opaque),
}

/// Registers.
///
/// # Errors
/// [`Code::RegistrationClosed`], [`Code::ValidationFailed`], [`Code::UsernameTaken`], [`Code::Busy`], [`Code::RefusedByHook`],
/// [`Code::HookFailed`]; in `immediate` mode [`Code::EmailTaken`].
pub async fn register(app: &App, client: &Client, wish: SignUp) -> Result<Registered> {
    users::check_access(app, Way::SignUp, &wish.email)?;
    let context = Context {
        email: &wish.email.typed,
        username: wish.username.as_ref().map(|name| name.typed.as_str()),
        name: wish.name.as_deref(),
    };
    // Before, and independently of, the address.
    passwords::check_rules(app, "password", &wish.password, &context).await?;
    if let Some(username) = &wish.username
        && users::username_taken(&app.db, username, None).await?
    {
        return Err(Error::new(Code::UsernameTaken));
    }
    limits::spend_registration(app, client).await?;
    let asked = Registration {
        email: &wish.email,
        username: wish.username.as_ref().map(|name| name.typed.as_str()),
        name: wish.name.as_deref(),
        device_name: wish.device_name.as_deref(),
        invitation: None,
    };
    hooks::before_register(app, client, &asked).await?;
    let hash = passwords::hash(app, wish.password.clone()).await?;
    match app.config.registration.mode {
        crate::config::RegistrationMode::Pending => {
            pending(app, client, &wish, &hash).await.map(Registered::Pending)
        }
        crate::config::RegistrationMode::Immediate => immediate(app, client, &wish, &hash).await,
    }
}

async fn pending(app: &App, client: &Client, wish: &SignUp, hash: &str) -> Result<Opaque> {
    let now = app.now();
    let known = users::find_by_email(&app.db, &wish.email).await?.is_some();
    if known && app.config.compat.authy && app.config.compat.tell_known_addresses {
        return Err(Error::new(Code::EmailTaken));
    }
    let registration = Opaque::mint(SecretKind::Registration, app.random_bytes());
    let link = Opaque::mint(SecretKind::VerifyLink, app.random_bytes());
    let typed_code = codes::new_code(app);
    let id = RowId(app.new_id(now));
    let row = store::NewPending {
        id,
        email: &wish.email,
        username: wish.username.as_ref().map(|name| name.typed.as_str()),
        name: wish.name.as_deref(),
        password_hash: hash,
        link_hash: (!known).then(|| link.digest()),
        code_mac: code::mac(&app.secrets.codes, CODE_PURPOSE, &id.to_string(), &typed_code),
        code_expires_at: now.plus(app.config.codes.verify_code_life()),
        client_hash: registration.digest(),
        now,
        expires_at: now.plus(app.config.codes.verify_link_ttl),
    };
    let mut tx = app.db.begin().await?;
    let allowed = mail::may_send(app, &mut tx, &wish.email.typed, now).await?;
    store::insert(&mut tx, &row).await?;
    let message = if known { account_exists(app) } else { verify_message(app, &link, typed_code) };
    mail::enqueue_or_pretend(app, &mut tx, allowed.then_some(wish.email.typed.as_str()), &message, now)
        .await?;
    let event = Event::new(Kind::RegistrationStarted, client).identifier(&wish.email.normalised);
    audit::record(app, &mut tx, event, now);
    mail::commit(app, tx).await?;
    Ok(registration)
}

fn account_exists(app: &App) -> Message {
    Message::AccountExists { reset_link: format!("{}/password/forgot", app.public_url) }
}

/// Where the mail leads: to the page with the button, or as the front ends of a profile expect it.
fn verify_link(app: &App, link: &Opaque) -> String {
    let token = link.expose();
    match &app.config.compat.verify_page {
        Some(page) if app.config.compat.authy => format!("{}/{token}", page.trim_end_matches('/')),
        None if app.config.compat.authy => format!("{}/api/v1/verify/{token}", app.public_url),
        _ => format!("{}/verify-email?token={token}", app.public_url),
    }
}

fn verify_message(app: &App, link: &Opaque, code: String) -> Message {
    let settings = &app.config.codes;
    Message::VerifyEmail {
        link: verify_link(app, link),
        code,
        link_seconds: settings.verify_link_ttl.as_secs(),
        code_seconds: settings.verify_code_life().as_secs(),
    }
}

async fn immediate(app: &App, client: &Client, wish: &SignUp, hash: &str) -> Result<Registered> {
    let registration = Opaque::mint(SecretKind::Registration, app.random_bytes());
    let mut verdict = begin(app, client, wish, (hash, &registration), None).await?;
    if let Verdict::Ask(question) = verdict {
        let consent = consent::ask(app, client, &question.of_new_account()).await?;
        verdict = begin(app, client, wish, (hash, &registration), Some(&consent)).await?;
    }
    Ok(Registered::Admitted(verdict.admitted(Code::EmailTaken)?, registration))
}

/// Makes the user and lets it in.
async fn begin(
    app: &App,
    client: &Client,
    wish: &SignUp,
    (hash, registration): (&str, &Opaque),
    consent: Option<&Consent>,
) -> Result<Verdict> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let new = NewUser {
        way: Way::SignUp,
        email: &wish.email,
        username: wish.username.as_ref(),
        name: wish.name.as_deref(),
        password_hash: Some(hash),
        email_verified_at: None,
        roles: &[],
    };
    let user = users::create(app, &mut tx, &new, now).await?.ok_or_else(|| Error::new(Code::EmailTaken))?;
    audit::record(app, &mut tx, Event::new(Kind::UserCreated, client).user(user.id), now);
    send_verification(app, &mut tx, &user, Some(registration), now).await?;
    let proven = Proven {
        user: &user,
        password_hash: Some(hash),
        client,
        amr: amr::PASSWORD,
        delivery: wish.delivery,
        device_name: wish.device_name.as_deref(),
        failures: 0,
        consent,
    };
    let verdict = admit(app, &mut tx, &proven, now).await?;
    if matches!(verdict, Verdict::Admitted(_)) {
        mail::commit(app, tx).await?;
    }
    Ok(verdict)
}

/// Mails link and code to a user that exists but has not proven the mailbox.
async fn send_verification(
    app: &App,
    tx: &mut Tx,
    user: &User,
    registration: Option<&Opaque>,
    now: Timestamp,
) -> Result<()> {
    let settings = &app.config.codes;
    let code = codes::new_code(app);
    let issue = Issue {
        purpose: Purpose::VerifyEmail,
        user: Some(user.id),
        subject: None,
        code: Some((&code, settings.verify_code_life())),
        client: registration,
        ttl: settings.verify_link_ttl,
    };
    let link = codes::issue(app, tx, &issue, now).await?;
    mail::enqueue(app, tx, &user.email, &verify_message(app, &link, code), now).await
}

/// Sends link and code once more; the former ones die, failed tries stay counted. The answer never tells.
///
/// # Errors
/// [`Code::RateLimited`], about the caller's network only.
pub async fn resend(app: &App, client: &Client, email: &Email, registration: Option<&str>) -> Result<()> {
    limits::spend_mail(app, client).await?;
    let now = app.now();
    let secret = registration.and_then(|text| Opaque::parse(SecretKind::Registration, text));
    let registered = secret.as_ref().map(Opaque::digest);
    let user = users::find_by_email(&app.db, email).await?;
    let mut tx = app.db.begin().await?;
    let allowed = mail::may_send(app, &mut tx, &email.typed, now).await?;
    if let Some(user) =
        user.filter(|user| user.email_verified_at.is_none() && user.disabled_at.is_none() && allowed)
    {
        // The client that registered stays the one whose password counts.
        let former = codes::client_of(&mut tx, Purpose::VerifyEmail, user.id, now).await?;
        let same = secret.as_ref().filter(|_| former.is_some() && former == registered);
        send_verification(app, &mut tx, &user, same, now).await?;
        return mail::commit(app, tx).await;
    }
    let pending = store::latest(&mut tx, &email.normalised, registered, now).await?.filter(|_| allowed);
    let link = Opaque::mint(SecretKind::VerifyLink, app.random_bytes());
    let code = codes::new_code(app);
    let id = pending.unwrap_or_else(|| RowId(app.new_id(now)));
    let renewal = store::Renewal {
        id,
        link_hash: link.digest(),
        code_mac: code::mac(&app.secrets.codes, CODE_PURPOSE, &id.to_string(), &code),
        code_expires_at: now.plus(app.config.codes.verify_code_life()),
    };
    let renewed = store::renew(&mut tx, &renewal).await?;
    let recipient = renewed.then_some(email.typed.as_str());
    mail::enqueue_or_pretend(app, &mut tx, recipient, &verify_message(app, &link, code), now).await?;
    mail::commit(app, tx).await
}

/// Drops what was pending for an address, for example because its account is being deleted.
pub async fn forget_address(tx: &mut Tx, email_normalised: &str) -> Result<()> {
    Ok(store::forget(tx, email_normalised).await?)
}

/// Removes registrations that were never completed, a batch at a time; returns how many.
pub(super) async fn purge(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    Ok(store::purge(tx, before).await?)
}
