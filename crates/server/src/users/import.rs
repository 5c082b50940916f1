//! Accounts that come from elsewhere, many in one transaction, or go there.
use super::factor::{self, Factor};
use super::{Login, store};
use crate::clock::Timestamp;
use crate::db::{Statements, Tx};
use crate::error::Result;
use crate::ids::UserId;
use crate::names::{Email, Username};
use crate::roles;

/// An account to be taken over.
pub struct Newcomer<'a> {
    /// Id, the one that it had or a new one.
    pub id: UserId,
    /// Address.
    pub email: &'a Email,
    /// When the mailbox was proven.
    pub email_verified_at: Option<Timestamp>,
    /// Public name.
    pub username: Option<&'a Username>,
    /// Display name.
    pub name: Option<&'a str>,
    /// A form that `hallpass_crypto::password::verify` knows.
    pub password_hash: Option<&'a str>,
    /// When that password was chosen, if there is one.
    pub password_changed_at: Option<Timestamp>,
    /// Names of roles beyond `user`, which exist.
    pub roles: &'a [String],
    /// Second factors whose secrets follow in the same transaction.
    pub factors: &'a [Factor],
    /// Since when it is closed.
    pub disabled_at: Option<Timestamp>,
    /// When it came into being.
    pub created_at: Timestamp,
    /// The latest sign-in.
    pub last_login_at: Option<Timestamp>,
}

/// What became of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The account exists.
    Created,
    /// The address has an account.
    EmailTaken,
    /// The username belongs to somebody.
    UsernameTaken,
    /// The id belongs to another account.
    IdTaken,
}

/// Creates accounts, in order; those that are in the way stay as they are. The caller holds [`lock_import`] and
/// `roles::lock`.
///
/// # Errors
/// The database's.
pub async fn import(tx: &mut Tx, users: &[Newcomer<'_>], now: Timestamp) -> Result<Vec<Admission>> {
    let rows: Vec<store::ImportRow> = users.iter().map(|user| row(user, now)).collect();
    let created = store::import(tx, users, &rows).await?;
    let members: Vec<(UserId, &[String])> = users
        .iter()
        .zip(&created)
        .filter(|(_, created)| **created)
        .map(|(user, _)| (user.id, user.roles))
        .collect();
    roles::note_newcomers(tx, &members).await?;
    let mut admissions = Vec::with_capacity(users.len());
    for (user, created) in users.iter().zip(created) {
        admissions.push(if created { Admission::Created } else { in_the_way(tx, user).await? });
    }
    Ok(admissions)
}

/// Lets imports that run at the same time wait for each other: each takes many addresses, in an order of its own.
///
/// # Errors
/// The database's.
pub async fn lock_import(tx: &mut Tx) -> Result<()> {
    Ok(tx.lock("import").await?)
}

/// Accounts with their password hashes, and when these were chosen, in the order of ids after one: to be taken elsewhere.
pub async fn carry(
    mut db: impl Statements,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<(Login, Option<Timestamp>)>> {
    Ok(store::carry(&mut db, after, limit).await?)
}

fn row(user: &Newcomer<'_>, now: Timestamp) -> store::ImportRow {
    let mut names: Vec<&str> = user.roles.iter().map(String::as_str).chain([roles::USER]).collect();
    names.sort_unstable();
    names.dedup();
    let mut factors = user.factors.to_vec();
    factors.sort_unstable();
    factors.dedup();
    store::ImportRow { roles: names.join(" "), factors: factor::write(&factors), now }
}

async fn in_the_way(tx: &mut Tx, user: &Newcomer<'_>) -> Result<Admission> {
    if store::find_by_email(tx, &user.email.normalised).await?.is_some() {
        return Ok(Admission::EmailTaken);
    }
    if let Some(username) = user.username
        && store::find_by_username(tx, &username.normalised).await?.is_some()
    {
        return Ok(Admission::UsernameTaken);
    }
    Ok(Admission::IdTaken)
}
