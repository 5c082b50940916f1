//! Second factors: authenticator apps and recovery codes, and what holds for every kind.
//!
//! Invariants: whoever changes the second factors of a user holds `users::lock_factors` for the rest of the transaction, in which
//! event and mail are written as well; only the owner of a proven mailbox can set one up, so nobody plants one on another's
//! address; recovery codes exist beside another factor only; a password reset touches none of this.
mod carry;
mod recovery;
mod routes;
mod store;
mod totp;

pub use carry::{Carried, CarriedTotp, carry, import};
pub use routes::routes;
pub use totp::{TotpSetup, reseal};

use crate::app::{App, Inner};
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::config::FactorPolicy;
use crate::db::{Statements, Tx};
use crate::error::{Code, Error, Result};
use crate::ids::{SessionId, UserId};
use crate::limits::{self, Budget, Subject};
use crate::mail::{self, Message};
use crate::sessions::{self, Current, Session, amr, device};
use crate::users::{self, Factor, User};
use crate::web::Client;
use hallpass_crypto::code;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// Who changes something, and in which session if in one.
pub struct By<'a> {
    /// Whose factors.
    pub user: &'a User,
    /// From where.
    pub client: &'a Client,
    /// In which session.
    pub session: Option<SessionId>,
}

impl<'a> By<'a> {
    /// The owner, in a session.
    pub fn owner(current: &'a Current, client: &'a Client) -> Self {
        Self { user: &current.user, client, session: Some(current.session.id) }
    }

    fn event(&self, kind: Kind) -> Event<'a> {
        let event = Event::new(kind, self.client).user(self.user.id);
        match self.session {
            Some(session) => event.session(session),
            None => event,
        }
    }
}

/// Whether a user may not be without a second factor.
pub fn is_required(app: &Inner, user: &User) -> bool {
    let settings = &app.config.factors;
    settings.policy == FactorPolicy::Required
        || user.roles.iter().any(|role| settings.required_roles.contains(role))
}

/// Whoever registers a stranger's address must not plant a factor before its owner comes.
///
/// # Errors
/// [`Code::EmailNotVerified`].
pub fn require_mailbox(user: &User) -> Result<()> {
    if user.email_verified_at.is_some() { Ok(()) } else { Err(Error::new(Code::EmailNotVerified)) }
}

/// Whether the owner may change second factors now.
///
/// # Errors
/// [`Code::NotFound`] when they are off, [`Code::EmailNotVerified`], [`Code::ReauthenticationRequired`].
pub fn may_change(app: &Inner, current: &Current, now: Timestamp) -> Result<()> {
    if app.config.factors.policy == FactorPolicy::Off {
        return Err(Error::new(Code::NotFound).with_detail("Second factors are switched off here."));
    }
    require_mailbox(&current.user)?;
    current.require_fresh(app, now)
}

/// [`may_change`] once more, as the transaction sees it, which holds the lock from then on.
async fn still_may(app: &App, tx: &mut Tx, current: &Current, now: Timestamp) -> Result<Current> {
    users::lock_factors(tx, current.user.id).await?;
    let current = current.anew(app, tx, now).await?;
    may_change(app, &current, now)?;
    Ok(current)
}

/// Notes that a factor was set up, with event and mail. Returns new recovery codes if the user has none. The caller holds the lock.
///
/// # Errors
/// The database's.
pub async fn added(
    app: &App,
    tx: &mut Tx,
    by: &By<'_>,
    factor: Factor,
    now: Timestamp,
) -> Result<Option<Vec<String>>> {
    let user = by.user.id;
    users::set_factor(app, tx, user, factor, true, now).await?;
    audit::record(app, tx, by.event(Kind::FactorAdded).detail(json!({ "factor": factor.name() })), now);
    tell(app, tx, by, "added", factor, now).await?;
    first_codes(app, tx, by, now).await
}

/// Makes recovery codes beside a second factor that was just noted, if the user has none. The caller holds the lock.
///
/// # Errors
/// The database's.
pub async fn first_codes(app: &App, tx: &mut Tx, by: &By<'_>, now: Timestamp) -> Result<Option<Vec<String>>> {
    let user = by.user.id;
    let known = users::find_in(tx, user).await?;
    if known.is_some_and(|user| user.factors.contains(&Factor::RecoveryCode)) {
        return Ok(None);
    }
    let codes = recovery::renew(app, tx, user, now).await?;
    users::set_factor(app, tx, user, Factor::RecoveryCode, true, now).await?;
    audit::record(app, tx, by.event(Kind::RecoveryCodesIssued), now);
    Ok(Some(codes))
}

/// Notes that the last factor of its kind was removed, with event and mail; with the last second factor go the recovery codes.
/// The caller holds the lock.
///
/// # Errors
/// [`Code::FactorRequired`] when the user may not be without a second factor.
pub async fn removed(app: &App, tx: &mut Tx, by: &By<'_>, factor: Factor, now: Timestamp) -> Result<()> {
    users::set_factor(app, tx, by.user.id, factor, false, now).await?;
    leave(app, tx, by, now).await?;
    audit::record(app, tx, by.event(Kind::FactorRemoved).detail(json!({ "factor": factor.name() })), now);
    tell(app, tx, by, "removed", factor, now).await
}

/// What follows when a factor is gone: recovery codes do not stay alone. The caller holds the lock.
///
/// # Errors
/// [`Code::FactorRequired`] when the user may not be without a second factor.
pub async fn leave(app: &App, tx: &mut Tx, by: &By<'_>, now: Timestamp) -> Result<()> {
    let user = by.user.id;
    let left = users::find_in(tx, user).await?.is_some_and(|user| user.has_second_factor());
    if !left {
        if is_required(app, by.user) {
            return Err(Error::new(Code::FactorRequired));
        }
        store::remove_codes(tx, user).await?;
        users::set_factor(app, tx, user, Factor::RecoveryCode, false, now).await?;
    }
    Ok(())
}

/// Tells the owner by mail.
async fn tell(
    app: &App,
    tx: &mut Tx,
    by: &By<'_>,
    change: &'static str,
    factor: Factor,
    now: Timestamp,
) -> Result<()> {
    let message = Message::FactorChanged {
        change,
        factor: factor.name(),
        at: now.rfc3339(),
        ip: by.client.ip.to_string(),
        device: device::describe(by.client.agent.as_deref().unwrap_or_default()),
    };
    mail::enqueue(app, tx, &by.user.email, &message, now).await
}

/// Begins to set up an authenticator app.
///
/// # Errors
/// As [`may_change`]; [`Code::FactorExists`].
pub async fn begin_totp(app: &App, current: &Current) -> Result<TotpSetup> {
    let now = app.now();
    may_change(app, current, now)?;
    let mut tx = app.db.begin().await?;
    let current = still_may(app, &mut tx, current, now).await?;
    let setup = begin_totp_in(app, &mut tx, &current.user, now).await?;
    tx.commit().await?;
    Ok(setup)
}

/// As [`begin_totp`], inside a sign-in, which has its own proofs.
///
/// # Errors
/// [`Code::FactorExists`].
pub async fn begin_totp_in(app: &App, tx: &mut Tx, user: &User, now: Timestamp) -> Result<TotpSetup> {
    users::lock_factors(tx, user.id).await?;
    totp::begin(app, tx, user, now).await
}

/// Confirms an authenticator app by its first code. Returns the session as it is now, and recovery codes if there were none.
///
/// # Errors
/// As [`may_change`]; [`Code::InvalidCode`], [`Code::RateLimited`].
pub async fn confirm_totp(
    app: &App,
    current: &Current,
    client: &Client,
    typed: &str,
) -> Result<(Session, Option<Vec<String>>)> {
    let now = app.now();
    may_change(app, current, now)?;
    let reservation =
        limits::reserve(app, Budget::Codes, Subject::Session(current.session.id), client).await?;
    let mut tx = app.db.begin().await?;
    let current = &still_may(app, &mut tx, current, now).await?;
    let by = By::owner(current, client);
    let Some(codes) = confirm_totp_in(app, &mut tx, &by, typed, now).await? else {
        drop(tx);
        let event =
            by.event(Kind::SecondFactorFailed).detail(json!({ "method": "totp", "reason": "enrolment" }));
        audit::record_alone(app, event).await?;
        return Err(Error::new(Code::InvalidCode));
    };
    let methods = [amr::TOTP, amr::SEVERAL_FACTORS];
    let session = sessions::note_proof(&mut tx, &current.session, &methods, now).await?;
    mail::commit(app, tx).await?;
    reservation.succeeded(app).await;
    Ok((session, codes))
}

/// As [`confirm_totp`], inside a sign-in. Nothing when the code is wrong.
///
/// # Errors
/// The database's.
pub async fn confirm_totp_in(
    app: &App,
    tx: &mut Tx,
    by: &By<'_>,
    typed: &str,
    now: Timestamp,
) -> Result<Option<Option<Vec<String>>>> {
    users::lock_factors(tx, by.user.id).await?;
    if !totp::confirm(app, tx, by.user.id, typed, now).await? {
        return Ok(None);
    }
    added(app, tx, by, Factor::Totp, now).await.map(Some)
}

/// Removes the authenticator app.
///
/// # Errors
/// As [`may_change`]; [`Code::NotFound`], [`Code::FactorRequired`].
pub async fn remove_totp(app: &App, current: &Current, client: &Client) -> Result<()> {
    let now = app.now();
    may_change(app, current, now)?;
    let mut tx = app.db.begin().await?;
    let current = &still_may(app, &mut tx, current, now).await?;
    if !store::remove_totp(&mut tx, current.user.id).await? {
        return Err(Error::new(Code::NotFound).with_detail("No authenticator app is set up."));
    }
    removed(app, &mut tx, &By::owner(current, client), Factor::Totp, now).await?;
    mail::commit(app, tx).await
}

/// Makes new recovery codes; the former ones are void.
///
/// # Errors
/// As [`may_change`]; [`Code::FactorRequired`] without another second factor.
pub async fn renew_recovery_codes(app: &App, current: &Current, client: &Client) -> Result<Vec<String>> {
    let now = app.now();
    may_change(app, current, now)?;
    let mut tx = app.db.begin().await?;
    let current = &still_may(app, &mut tx, current, now).await?;
    let by = By::owner(current, client);
    if !current.user.has_second_factor() {
        let text = "Recovery codes stand in for another second factor. Set up one first.";
        return Err(Error::new(Code::FactorRequired).with_detail(text));
    }
    let codes = recovery::renew(app, &mut tx, current.user.id, now).await?;
    users::set_factor(app, &mut tx, current.user.id, Factor::RecoveryCode, true, now).await?;
    audit::record(app, &mut tx, by.event(Kind::RecoveryCodesIssued), now);
    tell(app, &mut tx, &by, "added", Factor::RecoveryCode, now).await?;
    mail::commit(app, tx).await?;
    Ok(codes)
}

/// A second factor that people type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Code of an authenticator app.
    Totp,
    /// Recovery code.
    RecoveryCode,
}

impl Typed {
    /// What something typed can only be: six digits, or else a recovery code.
    pub fn guess(typed: &str) -> Self {
        if code::normalise(typed).is_some() { Self::Totp } else { Self::RecoveryCode }
    }

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Totp => Factor::Totp.name(),
            Self::RecoveryCode => Factor::RecoveryCode.name(),
        }
    }

    /// What it adds to the methods of a session.
    pub const fn methods(self) -> [&'static str; 2] {
        match self {
            Self::Totp => [amr::TOTP, amr::SEVERAL_FACTORS],
            Self::RecoveryCode => [amr::RECOVERY_CODE, amr::SEVERAL_FACTORS],
        }
    }
}

/// Takes what was typed as a second factor, and uses it up. `false` when it is wrong or was used. A used recovery code is told by
/// mail.
///
/// # Errors
/// The database's.
pub async fn take(
    app: &App,
    tx: &mut Tx,
    by: &By<'_>,
    method: Typed,
    typed: &str,
    now: Timestamp,
) -> Result<bool> {
    users::lock_factors(tx, by.user.id).await?;
    if method == Typed::Totp {
        return totp::take(app, tx, by.user.id, typed, now).await;
    }
    let Some(left) = recovery::take(tx, by.user.id, typed, now).await? else { return Ok(false) };
    audit::record(app, tx, by.event(Kind::RecoveryCodeUsed).detail(json!({ "left": left })), now);
    let message = Message::RecoveryCodeUsed {
        left,
        few: left <= recovery::FEW,
        at: now.rfc3339(),
        ip: by.client.ip.to_string(),
        device: device::describe(by.client.agent.as_deref().unwrap_or_default()),
    };
    mail::enqueue(app, tx, &by.user.email, &message, now).await?;
    Ok(true)
}

/// Removes authenticator app and recovery codes, for an operator who helps somebody that lost them. The caller holds the lock and
/// writes event and mail.
///
/// # Errors
/// The database's.
pub async fn remove_all(app: &App, tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    store::remove_totp(tx, user).await?;
    store::remove_codes(tx, user).await?;
    users::set_factor(app, tx, user, Factor::Totp, false, now).await?;
    users::set_factor(app, tx, user, Factor::RecoveryCode, false, now).await
}

/// An authenticator app as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TotpView {
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub last_used_at: Option<String>,
}

/// Recovery codes as their owner sees them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryCodesView {
    /// How many can still be used.
    pub left: i64,
    /// Whether it is time to make new ones.
    pub few: bool,
}

/// The authenticator app of a user, if one is set up.
pub async fn totp_of(db: impl Statements, user: UserId) -> Result<Option<TotpView>> {
    let view = |(created_at, last_used_at): (Timestamp, Option<Timestamp>)| TotpView {
        created_at: created_at.rfc3339(),
        last_used_at: last_used_at.map(Timestamp::rfc3339),
    };
    Ok(totp::about(db, user).await?.map(view))
}

/// The recovery codes of a user, if there are any.
pub async fn recovery_codes_of(mut db: impl Statements, user: &User) -> Result<Option<RecoveryCodesView>> {
    if !user.factors.contains(&Factor::RecoveryCode) {
        return Ok(None);
    }
    let left = store::codes_left(&mut db, user.id).await?;
    Ok(Some(RecoveryCodesView { left, few: left <= recovery::FEW }))
}

/// Removes what was begun and never confirmed, a batch at a time; returns how many.
pub async fn purge(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    Ok(store::purge_totp(tx, before).await?)
}
