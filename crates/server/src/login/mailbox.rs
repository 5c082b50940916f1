//! Proof of the mailbox, by link or by code.
//!
//! The password chosen at registration counts only when the verifying client is the one that registered or repeats
//! it; otherwise the owner of the mailbox chooses one now. So nobody can plant a password on another's address.
use super::signup::CODE_PURPOSE;
use super::store::{self, Pending};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::codes::{self, Found, Purpose};
use crate::db::Tx;
use crate::devices;
use crate::emails;
use crate::error::{Code, Error, Result};
use crate::hashing::Password;
use crate::ids::UserId;
use crate::limits::{self, Budget, Subject};
use crate::mail::{self, Message};
use crate::names::{Email, Username};
use crate::passwords;
use crate::sessions;
use crate::users::{self, NewUser, User, Way};
use crate::web::Client;
use hallpass_crypto::code;
use hallpass_crypto::digest::equal;
use hallpass_crypto::secret::{Kind as SecretKind, Opaque};

/// What shows that the mailbox is the caller's.
pub enum Proof {
    /// Token of the mailed link.
    Link(String),
    /// Code beside the link.
    Code(Email, String),
}

/// What makes the password chosen at registration count.
pub struct SameClient {
    /// The secret that the registering client got.
    pub registration: Option<String>,
    /// The password, repeated.
    pub password: Option<Password>,
}

/// What came of a proof.
pub enum Verified {
    /// The account is ready.
    Done(User),
    /// The owner has to choose a password now, with this token.
    PasswordRequired(User, Opaque),
}

/// Verifies a mailbox.
///
/// # Errors
/// [`Code::InvalidToken`] for links, [`Code::InvalidCode`] for codes, [`Code::RegistrationClosed`] when the settings have changed
/// since, [`Code::Busy`].
pub async fn verify_email(app: &App, client: &Client, proof: Proof, same: SameClient) -> Result<Verified> {
    match proof {
        Proof::Link(token) if token.starts_with(SecretKind::EmailChange.prefix()) => {
            emails::confirm_change(app, client, &token).await.map(Verified::Done)
        }
        Proof::Link(token) => by_link(app, client, &token, same).await,
        Proof::Code(email, typed) => by_code(app, client, &email, &typed, same).await,
    }
}

/// Verifies a mailbox because its link was opened, provided that it is the client that registered. For another one nothing happens,
/// and nothing is returned: scanners open what comes by mail.
///
/// # Errors
/// [`Code::InvalidToken`].
pub async fn verify_by_opening(
    app: &App,
    client: &Client,
    token: &str,
    registration: Option<String>,
) -> Result<Option<Verified>> {
    let now = app.now();
    let secret = Opaque::parse(SecretKind::VerifyLink, token);
    let secret = secret.ok_or_else(|| Error::new(Code::InvalidToken))?;
    let registered_by = match store::by_link(&mut &app.db, &secret.digest(), now).await? {
        Some(pending) => Some(pending.client_hash),
        None => codes::peek(&app.db, Purpose::VerifyEmail, token, now).await?.client_hash,
    };
    let same = SameClient { registration, password: None };
    if !is_same_client(app, &same, registered_by.as_ref(), None).await? {
        return Ok(None);
    }
    by_link(app, client, token, same).await.map(Some)
}

async fn by_link(app: &App, client: &Client, token: &str, same: SameClient) -> Result<Verified> {
    let now = app.now();
    let invalid = || Error::new(Code::InvalidToken);
    let secret = Opaque::parse(SecretKind::VerifyLink, token).ok_or_else(invalid)?;
    if let Some(pending) = store::by_link(&mut &app.db, &secret.digest(), now).await? {
        let proven =
            is_same_client(app, &same, Some(&pending.client_hash), Some(&pending.password_hash)).await?;
        let mut tx = app.db.begin().await?;
        let verified = complete(app, &mut tx, client, &pending, proven).await?.ok_or_else(invalid)?;
        mail::commit(app, tx).await?;
        return Ok(verified);
    }
    let found = codes::peek(&app.db, Purpose::VerifyEmail, token, now).await?;
    existing(app, client, &found, same, None).await
}

/// Under the limits of guessing, beside the tries that the code itself has.
async fn by_code(
    app: &App,
    client: &Client,
    email: &Email,
    typed: &str,
    same: SameClient,
) -> Result<Verified> {
    let subject = Subject::Identifier(&email.normalised);
    let reservation = limits::reserve(app, Budget::Codes, subject, client).await?;
    let result = try_by_code(app, client, email, typed, same).await;
    match &result {
        Ok(_) => reservation.succeeded(app).await,
        Err(error) if error.code == Code::InvalidCode => {}
        Err(_) => reservation.cancelled(app).await,
    }
    result
}

async fn try_by_code(
    app: &App,
    client: &Client,
    email: &Email,
    typed: &str,
    same: SameClient,
) -> Result<Verified> {
    let now = app.now();
    let wrong = || Error::new(Code::InvalidCode);
    let typed = code::normalise(typed).ok_or_else(wrong)?;
    if let Some(user) =
        users::find_by_email(&app.db, email).await?.filter(|user| user.email_verified_at.is_none())
    {
        let mut tx = app.db.begin().await?;
        let found = codes::try_code(app, &mut tx, Purpose::VerifyEmail, user.id, &typed, now).await?;
        tx.commit().await?;
        return match found {
            Some(found) => existing(app, client, &found, same, Some(Code::InvalidCode)).await,
            None => Err(wrong()),
        };
    }
    let pending = try_pending(app, client, email, &typed, &same, now).await?.ok_or_else(wrong)?;
    let proven = is_same_client(app, &same, Some(&pending.client_hash), Some(&pending.password_hash)).await?;
    let mut tx = app.db.begin().await?;
    let verified = complete(app, &mut tx, client, &pending, proven).await?.ok_or_else(wrong)?;
    mail::commit(app, tx).await?;
    Ok(verified)
}

/// Compares a code with the pending registrations of an address, or with the one that the client names. Each try
/// counts, and is stored, before the comparison.
async fn try_pending(
    app: &App,
    client: &Client,
    email: &Email,
    typed: &str,
    same: &SameClient,
    now: Timestamp,
) -> Result<Option<Pending>> {
    let named = same.registration.as_deref().and_then(|text| Opaque::parse(SecretKind::Registration, text));
    let named = named.map(|secret| secret.digest());
    let mut tx = app.db.begin().await?;
    let candidates =
        store::count_try(&mut tx, &email.normalised, named, app.config.codes.max_tries, now).await?;
    let right = candidates.into_iter().find(|pending| {
        code::verify(&app.secrets.codes, CODE_PURPOSE, &pending.id.to_string(), typed, &pending.code_mac)
    });
    if right.is_none() {
        let event = Event::new(Kind::CodeFailed, client).identifier(&email.normalised);
        audit::record(app, &mut tx, event, now);
    }
    tx.commit().await?;
    Ok(right)
}

/// Whether the verifying client is the one that registered.
async fn is_same_client(
    app: &App,
    same: &SameClient,
    client_hash: Option<&[u8; 32]>,
    password_hash: Option<&String>,
) -> Result<bool> {
    let secret = same.registration.as_deref().and_then(|text| Opaque::parse(SecretKind::Registration, text));
    if let (Some(secret), Some(hash)) = (secret, client_hash)
        && equal(&secret.digest(), hash)
    {
        return Ok(true);
    }
    match (&same.password, password_hash) {
        (Some(password), Some(hash)) => {
            Ok(app.hashing.verify(password.clone(), Some(hash.clone())).await?.right)
        }
        _ => Ok(false),
    }
}

/// Makes the user of a pending registration; the others of the address are void. `None` when it is gone.
async fn complete(
    app: &App,
    tx: &mut Tx,
    client: &Client,
    pending: &Pending,
    proven: bool,
) -> Result<Option<Verified>> {
    let now = app.now();
    if !store::take(tx, pending.id, now).await? {
        return Ok(None);
    }
    let Some(email) = Email::parse(&pending.email) else {
        return Ok(None);
    };
    let username = pending.username.as_deref().and_then(Username::parse);
    let new = NewUser {
        way: Way::SignUp,
        email: &email,
        username: username.as_ref(),
        name: pending.name.as_deref(),
        password_hash: proven.then_some(pending.password_hash.as_str()),
        email_verified_at: Some(now),
        roles: &[],
    };
    let Some(user) = users::create(app, tx, &new, now).await? else {
        return Ok(None);
    };
    store::forget(tx, &email.normalised).await?;
    audit::record(app, tx, Event::new(Kind::UserCreated, client).user(user.id), now);
    audit::record(app, tx, Event::new(Kind::EmailVerified, client).user(user.id), now);
    mail::enqueue(app, tx, &user.email, &Message::Welcome {}, now).await?;
    finish(app, tx, user, proven, now).await.map(Some)
}

async fn finish(app: &App, tx: &mut Tx, user: User, proven: bool, now: Timestamp) -> Result<Verified> {
    if proven {
        return Ok(Verified::Done(user));
    }
    let token = passwords::issue_choice(app, tx, user.id, app.config.codes.reset_ttl, now).await?;
    if app.config.compat.authy {
        // Its front ends know no page that takes the token of the answer: the proven mailbox gets the way to one.
        let link = passwords::link_of(app, &token);
        let seconds = app.config.codes.reset_ttl.as_secs();
        mail::enqueue(app, tx, &user.email, &Message::PasswordWanted { link, seconds }, now).await?;
    }
    Ok(Verified::PasswordRequired(user, token))
}

/// Notes that whoever signs in through the mailbox has proven it. If nobody had before, what was set up by then is wiped, password
/// and sessions, since a stranger may have done it. Returns user and password hash as they are now.
pub(super) async fn claim(
    app: &App,
    tx: &mut Tx,
    client: &Client,
    user: User,
    password_hash: Option<String>,
    now: Timestamp,
) -> Result<(User, Option<String>)> {
    if user.email_verified_at.is_some() {
        return Ok((user, password_hash));
    }
    wipe(app, tx, user.id, now).await?;
    audit::record(app, tx, Event::new(Kind::EmailVerified, client).user(user.id), now);
    let user = users::find_in(tx, user.id).await?.ok_or_else(|| Error::new(Code::InvalidAttempt))?;
    Ok((user, None))
}

/// Marks the mailbox as proven and removes what was set up before. The caller holds `users::lock_factors`.
async fn wipe(app: &App, tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    users::verify_email(app, tx, user, now).await?;
    users::clear_password(tx, user, now).await?;
    devices::forget_all(tx, user, None).await?;
    sessions::revoke_all(app, tx, user, None, "mailbox_proven", now).await?;
    // A change to the stranger's address may be waiting for its confirmation.
    codes::kill_all(tx, user).await
}

/// Verifies a user that exists already (`immediate` mode). Unless the client that registered does it, whatever was
/// set up before the mailbox was proven is wiped: password, devices and sessions.
async fn existing(
    app: &App,
    client: &Client,
    found: &Found,
    same: SameClient,
    failure: Option<Code>,
) -> Result<Verified> {
    let now = app.now();
    let invalid = || Error::new(failure.unwrap_or(Code::InvalidToken));
    let login = users::find_credentials(&app.db, found.user).await?.ok_or_else(invalid)?;
    let proven = is_same_client(app, &same, found.client_hash.as_ref(), login.password_hash.as_ref()).await?;
    let mut tx = app.db.begin().await?;
    users::lock_factors(&mut tx, found.user).await?;
    codes::take(&mut tx, found, now).await.map_err(|_| invalid())?;
    if proven {
        users::verify_email(app, &mut tx, found.user, now).await?;
    } else {
        wipe(app, &mut tx, found.user, now).await?;
    }
    audit::record(app, &mut tx, Event::new(Kind::EmailVerified, client).user(found.user), now);
    let user = users::find_in(&mut tx, found.user).await?.ok_or_else(invalid)?;
    let verified = finish(app, &mut tx, user, proven, now).await?;
    mail::commit(app, tx).await?;
    Ok(verified)
}
