//! The sign-in attempt: what lies between a first proof and the session that needs another one.
//!
//! Invariants: its token is stored as a hash; it serves the client that passed the first step, for minutes, for one session, with
//! a few tries over all methods together; a try counts before it is judged.
mod store;

use super::policy::Needs;
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::db::{Statements, Tx};
use crate::error::{Code, Error, Result};
use crate::ids::{RowId, UserId};
use crate::names::Email;
use crate::sessions::Delivery;
use crate::users::{self, User};
use crate::web::Client;
use hallpass_crypto::code;
use hallpass_crypto::rotation::Origin;
use hallpass_crypto::secret::{Kind, Opaque};
use std::time::Duration;

/// Life of an attempt. A mailed code has its own, and setting up an app takes longer.
pub(super) const LIFE: Duration = Duration::from_secs(5 * 60);
/// Life of an attempt in which a second factor is set up.
pub(super) const ENROLMENT_LIFE: Duration = Duration::from_secs(15 * 60);
/// Wrong tries after which an attempt is over.
pub(super) const TRIES: u32 = 5;
/// Codes that one attempt may have mailed.
const SENDS: i64 = 4;
/// Codes that may be mailed to one user within [`MAILS_SPAN`], beside those of sign-ins that were finished.
const MAILS: i64 = 10;
/// The same to a mailbox that nobody has proven.
const MAILS_UNPROVEN: i64 = 3;
const MAILS_SPAN: Duration = Duration::from_secs(15 * 60);
const DAY: Duration = Duration::from_secs(86_400);
/// Name of the mailed code's purpose in its MAC.
const CODE_PURPOSE: &str = "sign_in";

/// An attempt that is still open.
pub(super) struct Attempt {
    pub(super) id: RowId,
    /// Nobody in decoys.
    pub(super) user: Option<UserId>,
    /// Keyed hash of the address that was given, where it may belong to nobody.
    pub(super) identifier_hash: Option<String>,
    /// Digest of the password hash that was verified.
    pub(super) credential: Option<[u8; 32]>,
    /// What was proven (RFC 8176).
    pub(super) amr: String,
    pub(super) needs: Needs,
    code_mac: Option<[u8; 32]>,
    code_expires_at: Option<Timestamp>,
    sends: i64,
    pub(super) failed_tries: i64,
    origin: Origin,
    pub(super) delivery: Delivery,
    pub(super) device_name: Option<String>,
    failures: i64,
}

/// What an attempt begins with.
pub(super) struct Opening<'a> {
    pub(super) user: Option<UserId>,
    pub(super) identifier_hash: Option<&'a str>,
    pub(super) credential: Option<[u8; 32]>,
    pub(super) amr: &'a str,
    pub(super) needs: Needs,
    /// A code that is mailed, with its life.
    pub(super) code: Option<(&'a str, Duration)>,
    /// The token of a mailed link.
    pub(super) link: Option<&'a Opaque>,
    pub(super) client: &'a Client,
    pub(super) delivery: Delivery,
    pub(super) device_name: Option<&'a str>,
    /// Failures of the first step before it was passed.
    pub(super) failures: u32,
    pub(super) life: Duration,
}

/// A row to be.
struct New<'a> {
    id: RowId,
    token_hash: [u8; 32],
    link_hash: Option<[u8; 32]>,
    user: Option<UserId>,
    identifier_hash: Option<&'a str>,
    credential: Option<[u8; 32]>,
    amr: &'a str,
    needs: Needs,
    code: Option<([u8; 32], Timestamp)>,
    origin: Origin,
    delivery: Delivery,
    device_name: Option<&'a str>,
    failures: u32,
    now: Timestamp,
    expires_at: Timestamp,
}

/// Begins an attempt. Returns its token, which only the client gets.
pub(super) async fn open(app: &Inner, tx: &mut Tx, opening: &Opening<'_>, now: Timestamp) -> Result<Opaque> {
    let token = Opaque::mint(Kind::Attempt, app.random_bytes());
    let id = RowId(app.new_id(now));
    let row = New {
        id,
        token_hash: token.digest(),
        link_hash: opening.link.map(Opaque::digest),
        user: opening.user,
        identifier_hash: opening.identifier_hash,
        credential: opening.credential,
        amr: opening.amr,
        needs: opening.needs,
        code: opening.code.map(|(text, life)| (mac(app, id, text), now.plus(life))),
        origin: opening.client.origin(),
        delivery: opening.delivery,
        device_name: opening.device_name,
        failures: opening.failures,
        now,
        expires_at: now.plus(opening.life),
    };
    store::insert(tx, &row).await?;
    Ok(token)
}

fn mac(app: &Inner, id: RowId, text: &str) -> [u8; 32] {
    code::mac(&app.secrets.codes, CODE_PURPOSE, &id.to_string(), text)
}

/// The open attempt that a token names, for the client that passed its first step: one whose network and program both differ is
/// another one.
///
/// # Errors
/// [`Code::InvalidAttempt`].
pub(super) async fn find(
    mut db: impl Statements,
    client: &Client,
    token: &str,
    now: Timestamp,
) -> Result<Attempt> {
    let invalid = || Error::new(Code::InvalidAttempt);
    let token = Opaque::parse(Kind::Attempt, token).ok_or_else(invalid)?;
    let attempt = store::by_token(&mut db, &token.digest(), now).await?.ok_or_else(invalid)?;
    let here = client.origin();
    let same = here.network == attempt.origin.network || here.agent == attempt.origin.agent;
    if same && attempt.failed_tries < i64::from(TRIES) { Ok(attempt) } else { Err(invalid()) }
}

/// The latest open attempt that this very client, by network and program, has begun with the password of an address.
///
/// # Errors
/// [`Code::InvalidAttempt`], whether the address has an account or not.
pub(super) async fn find_latest(
    app: &Inner,
    client: &Client,
    email: &Email,
    now: Timestamp,
) -> Result<Attempt> {
    let user = users::find_by_email(&app.db, email).await?;
    // An unknown address costs the same.
    let user = user.map_or_else(|| UserId(app.new_id(now)), |user| user.id);
    let found = store::latest(&mut &app.db, user, &client.origin(), TRIES, now).await?;
    found.ok_or_else(|| Error::new(Code::InvalidAttempt))
}

/// The open attempt whose mailed link this is the token of.
///
/// # Errors
/// [`Code::InvalidToken`].
pub(super) async fn find_by_link(mut db: impl Statements, token: &str, now: Timestamp) -> Result<Attempt> {
    let invalid = || Error::new(Code::InvalidToken);
    let token = Opaque::parse(Kind::SignInLink, token).ok_or_else(invalid)?;
    store::by_link(&mut db, &token.digest(), now).await?.ok_or_else(invalid)
}

/// Counts a try, which stays one unless the transaction is dropped.
///
/// # Errors
/// [`Code::InvalidAttempt`] when the attempt is over.
pub(super) async fn count_try(tx: &mut Tx, id: RowId, now: Timestamp) -> Result<Attempt> {
    store::count_try(tx, id, TRIES, now).await?.ok_or_else(|| Error::new(Code::InvalidAttempt))
}

/// Another code, and another link if one goes with it.
pub(super) struct Renewed<'a> {
    pub(super) code: &'a str,
    pub(super) link: Option<&'a Opaque>,
    /// Whether they are mailed. If not, the former ones stay, and the wish counts all the same.
    pub(super) mailed: bool,
}

/// Puts what is mailed now in the place of what was mailed before; the tries stay counted. `false` when there were too many wishes
/// already.
pub(super) async fn renew(
    app: &Inner,
    tx: &mut Tx,
    attempt: &Attempt,
    renewed: &Renewed<'_>,
    now: Timestamp,
) -> Result<bool> {
    let code_mac = mac(app, attempt.id, renewed.code);
    let renewal = store::Renewal {
        id: attempt.id,
        mac: renewed.mailed.then_some(code_mac),
        link_hash: renewed.link.filter(|_| renewed.mailed).map(Opaque::digest),
        expires_at: now.plus(app.config.codes.sign_in_code_life()),
        most_sends: SENDS,
    };
    Ok(store::renew(tx, &renewal, now).await?)
}

/// Whether one more code may be mailed to a user who has proven something already. Not counted with the mails that anybody can ask
/// for, so that strangers who ask for them keep no owner out. A mailbox that nobody has proven may be that of somebody
/// whose address a stranger registered: it gets as few as of those.
pub(super) async fn may_mail_code(tx: &mut Tx, user: &User, now: Timestamp) -> Result<bool> {
    let most = if user.email_verified_at.is_some() { MAILS } else { MAILS_UNPROVEN };
    tx.lock(&format!("sign-in-mails/{}", user.id)).await?;
    Ok(store::codes_mailed(tx, user.id, now.minus(MAILS_SPAN)).await? < most)
}

/// Whether a wrong try is one of which the owner is told: every fifth within a day, however they are spread over attempts, so that
/// nobody who knows the password guesses unseen by a few tries in each.
pub(super) async fn is_to_be_told(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<bool> {
    Ok(store::tries(tx, user, now.minus(DAY)).await? % i64::from(TRIES) == 0)
}

/// That no further code is mailed for now.
pub(super) fn too_many_mails() -> Error {
    let seconds = u32::try_from(MAILS_SPAN.as_secs()).unwrap_or(u32::MAX);
    Error::new(Code::RateLimited).with_limit("sign_in_mails", u32::try_from(MAILS).unwrap_or(0), seconds)
}

/// Ends an attempt that has served.
///
/// # Errors
/// [`Code::InvalidAttempt`] when a parallel call was faster.
pub(super) async fn take(tx: &mut Tx, attempt: &Attempt) -> Result<()> {
    if store::take(tx, attempt.id).await? { Ok(()) } else { Err(Error::new(Code::InvalidAttempt)) }
}

/// Ends every attempt of a user.
pub(super) async fn forget_user(tx: &mut Tx, user: UserId) -> Result<()> {
    store::forget_user(tx, user).await?;
    Ok(())
}

/// Ends the attempts that were begun by an address alone, by its keyed hash.
pub(super) async fn forget_identifier(tx: &mut Tx, hash: &str) -> Result<()> {
    store::forget_identifier(tx, hash).await?;
    Ok(())
}

/// Removes what has expired, a batch at a time; returns how many.
pub(super) async fn purge(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    Ok(store::purge(tx, before).await?)
}

impl Attempt {
    /// Whose it is, or somebody who does not exist, to ask the database for all the same.
    pub(super) fn user_or_decoy(&self) -> UserId {
        self.user.unwrap_or(UserId(self.id.0))
    }

    /// Whether this is the mailed code.
    pub(super) fn is_code(&self, app: &Inner, typed: &str, now: Timestamp) -> bool {
        let (Some(stored), Some(expires_at)) = (&self.code_mac, self.code_expires_at) else { return false };
        let Some(typed) = code::normalise(typed) else { return false };
        let right = code::verify(&app.secrets.codes, CODE_PURPOSE, &self.id.to_string(), &typed, stored);
        right && expires_at > now
    }

    /// Whether another code may be mailed.
    pub(super) fn may_send(&self) -> bool {
        self.code_mac.is_some() && self.sends < SENDS
    }

    /// Failures of the first step before it was passed.
    pub(super) fn failures(&self) -> u32 {
        u32::try_from(self.failures).unwrap_or(u32::MAX)
    }
}
