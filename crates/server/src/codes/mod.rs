//! One-time secrets: link tokens and the codes beside them; hashed, expiring, single use, bound to their purpose.
mod store;

use crate::app::Inner;
use crate::clock::Timestamp;
use crate::db::{Statements, Tx};
use crate::error::{Code, Error, Result};
use crate::ids::{RowId, UserId};
use hallpass_crypto::code;
use hallpass_crypto::secret::{Kind, Opaque};
use std::time::Duration;

/// What a secret is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Proves the mailbox of an account that exists already (`registration.mode = "immediate"`).
    VerifyEmail,
    /// Sets a new password.
    ResetPassword,
    /// Sets the first password of a proven mailbox.
    SetPassword,
    /// Proves a new address.
    ChangeEmail,
    /// Takes a change of address back.
    UndoEmailChange,
    /// Proves identity again in a session, by code only.
    Reauthenticate,
    /// Says that a sign-in was somebody else's.
    DisownSignIn,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::SetPassword => "set_password",
            Self::ChangeEmail => "change_email",
            Self::UndoEmailChange => "undo_email_change",
            Self::Reauthenticate => "reauthenticate",
            Self::DisownSignIn => "disown_sign_in",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::VerifyEmail => Kind::VerifyLink,
            Self::ResetPassword => Kind::ResetLink,
            Self::SetPassword => Kind::SetPassword,
            Self::ChangeEmail => Kind::EmailChange,
            Self::UndoEmailChange => Kind::EmailUndo,
            // Nobody gets the link, only the code.
            Self::Reauthenticate => Kind::Attempt,
            Self::DisownSignIn => Kind::NotMe,
        }
    }
}

/// The purposes whose links give an account back to the owner of its former mailbox. They do not die of what whoever
/// took the account over can do: change the password or the address, sign in again.
const RETURNS: [Purpose; 2] = [Purpose::UndoEmailChange, Purpose::DisownSignIn];

/// A secret to be issued.
pub struct Issue<'a> {
    /// What for.
    pub purpose: Purpose,
    /// For whom; `None` makes a decoy that costs the same and opens nothing.
    pub user: Option<UserId>,
    /// What it is about, for example the new address.
    pub subject: Option<&'a str>,
    /// A code beside the link, and its life.
    pub code: Option<(&'a str, Duration)>,
    /// The secret that only the asking client holds.
    pub client: Option<&'a Opaque>,
    /// Life of the link.
    pub ttl: Duration,
}

/// What a secret stood for.
#[derive(Clone, Debug)]
pub struct Found {
    pub(crate) id: RowId,
    /// Whose.
    pub user: UserId,
    /// What it is about.
    pub subject: Option<String>,
    /// Digest of the asking client's secret.
    pub client_hash: Option<[u8; 32]>,
}

/// Issues a secret; earlier ones of the same purpose and user die, but their wrong tries stay counted. Links that
/// give an account back do not die: whoever took it over could otherwise kill the owner's by doing the same again.
pub async fn issue(app: &Inner, tx: &mut Tx, issue: &Issue<'_>, now: Timestamp) -> Result<Opaque> {
    let secret = Opaque::mint(issue.purpose.kind(), app.random_bytes());
    let id = RowId(app.new_id(now));
    // So that of parallel wishes the last one's secret lives, and only that. A decoy is nobody's: it waits for no other.
    let whose = issue.user.map_or_else(|| id.to_string(), |user| user.to_string());
    tx.lock(&format!("codes/{}/{whose}", issue.purpose.name())).await?;
    let failed_tries = store::failed_tries(tx, issue.user, issue.purpose.name(), now).await?;
    if !RETURNS.contains(&issue.purpose) {
        store::kill_purpose(tx, issue.user, issue.purpose.name()).await?;
    }
    let row = store::NewSecret {
        id,
        purpose: issue.purpose.name(),
        user: issue.user,
        hash: secret.digest(),
        client_hash: issue.client.map(Opaque::digest),
        subject: issue.subject,
        code: issue.code.map(|(text, ttl)| {
            (code::mac(&app.secrets.codes, issue.purpose.name(), &id.to_string(), text), now.plus(ttl))
        }),
        failed_tries,
        now,
        expires_at: now.plus(issue.ttl),
    };
    store::insert(tx, &row).await?;
    Ok(secret)
}

/// A new code for people to type.
pub fn new_code(app: &Inner) -> String {
    code::six_digits(app.random_bytes())
}

/// What a link token stands for, without using it.
///
/// # Errors
/// [`Code::InvalidToken`].
pub async fn peek(mut db: impl Statements, purpose: Purpose, token: &str, now: Timestamp) -> Result<Found> {
    let invalid = || Error::new(Code::InvalidToken);
    let secret = Opaque::parse(purpose.kind(), token).ok_or_else(invalid)?;
    store::peek(&mut db, purpose.name(), &secret.digest(), now).await?.ok_or_else(invalid)
}

/// Uses a secret up: of parallel calls exactly one succeeds.
///
/// # Errors
/// [`Code::InvalidToken`] when it was used meanwhile.
pub async fn take(tx: &mut Tx, found: &Found, now: Timestamp) -> Result<()> {
    if store::take(tx, found.id, now).await? { Ok(()) } else { Err(Error::new(Code::InvalidToken)) }
}

/// Tries a code of a user's live secret. The try counts before the comparison, so that parallel guesses count too.
pub async fn try_code(
    app: &Inner,
    tx: &mut Tx,
    purpose: Purpose,
    user: UserId,
    typed: &str,
    now: Timestamp,
) -> Result<Option<Found>> {
    let tries = app.config.codes.max_tries;
    let Some((found, mac)) = store::count_try(tx, purpose.name(), user, tries, now).await? else {
        return Ok(None);
    };
    let right = code::verify(&app.secrets.codes, purpose.name(), &found.id.to_string(), typed, &mac);
    Ok(right.then_some(found))
}

/// Kills every secret of a user but those that give the account back: a changed credential voids them.
pub async fn kill_all(tx: &mut Tx, user: UserId) -> Result<()> {
    Ok(store::kill_all(tx, user, RETURNS.map(Purpose::name)).await?)
}

/// Kills the links to give the account back that were issued after one that was used: by then it was somebody else's,
/// and so perhaps the mailbox they went to.
pub async fn kill_later_returns(tx: &mut Tx, used: &Found) -> Result<()> {
    Ok(store::kill_later(tx, used.user, RETURNS.map(Purpose::name), used.id).await?)
}

/// Kills the links to give the account back, all of them: whoever answers for the account has said whose it is.
pub async fn kill_returns(tx: &mut Tx, user: UserId) -> Result<()> {
    let first = RowId(uuid::Uuid::nil());
    Ok(store::kill_later(tx, user, RETURNS.map(Purpose::name), first).await?)
}

/// How many secrets of a purpose a user was issued since an instant and has not used.
pub async fn issued_since(tx: &mut Tx, purpose: Purpose, user: UserId, since: Timestamp) -> Result<i64> {
    Ok(store::issued_since(tx, purpose.name(), user, since).await?)
}

/// Digest of the client's secret that a live secret of this purpose was issued with.
pub async fn client_of(
    mut db: impl Statements,
    purpose: Purpose,
    user: UserId,
    now: Timestamp,
) -> Result<Option<[u8; 32]>> {
    Ok(store::client_of(&mut db, purpose.name(), user, now).await?)
}

/// Removes what has expired, a batch at a time; returns how many.
pub async fn purge(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    Ok(store::purge(tx, before).await?)
}
