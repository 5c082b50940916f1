//! Rows of `passkeys` and `passkey_ceremonies`.
use super::Passkey;
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements};
use crate::ids::{RowId, UserId};

type Result<T> = std::result::Result<T, DbError>;

fn passkey(mut row: Row) -> Result<Passkey> {
    Ok(Passkey {
        id: row.row_id()?,
        user: row.user_id()?,
        credential_id: row.bytes()?,
        public_key: row.text()?,
        sign_count: u32::try_from(row.int()?).unwrap_or(u32::MAX),
        flags: row.int()?,
        transports: row.text()?,
        name: row.text()?,
        created_at: row.time()?,
        last_used_at: row.maybe_time()?,
        suspect_at: row.maybe_time()?,
    })
}

pub(super) async fn of_user(db: &mut impl Statements, user: UserId) -> Result<Vec<Passkey>> {
    let sql =
        "select id, user_id, credential_id, public_key, sign_count, flags, transports, name, created_at,
         last_used_at, suspect_at from passkeys where user_id = $1 order by id";
    db.query(sql, &[user.into()]).await?.into_iter().map(passkey).collect()
}

pub(super) async fn by_credential(db: &mut impl Statements, credential_id: &[u8]) -> Result<Option<Passkey>> {
    let sql =
        "select id, user_id, credential_id, public_key, sign_count, flags, transports, name, created_at,
         last_used_at, suspect_at from passkeys where credential_id = $1";
    db.query_opt(sql, &[credential_id.into()]).await?.map(passkey).transpose()
}

/// `false` when the credential is enrolled already, by whomever.
pub(super) async fn insert(db: &mut impl Statements, new: &Passkey) -> Result<bool> {
    let sql =
        "insert into passkeys (id, user_id, credential_id, public_key, sign_count, flags, transports, name,
         created_at, last_used_at, suspect_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict do nothing";
    let params = [
        new.id.into(),
        new.user.into(),
        (&new.credential_id).into(),
        (&new.public_key).into(),
        i64::from(new.sign_count).into(),
        new.flags.into(),
        (&new.transports).into(),
        (&new.name).into(),
        new.created_at.into(),
        new.last_used_at.into(),
        new.suspect_at.into(),
    ];
    Ok(db.execute(sql, &params).await? == 1)
}

pub(super) async fn rename(
    db: &mut impl Statements,
    user: UserId,
    id: RowId,
    name: &str,
) -> Result<Option<Passkey>> {
    let sql = "update passkeys set name = $3 where id = $1 and user_id = $2
         returning id, user_id, credential_id, public_key, sign_count, flags, transports, name, created_at,
         last_used_at, suspect_at";
    db.query_opt(sql, &[id.into(), user.into(), name.into()]).await?.map(passkey).transpose()
}

pub(super) async fn delete(db: &mut impl Statements, user: UserId, id: RowId) -> Result<Option<Passkey>> {
    let sql = "delete from passkeys where id = $1 and user_id = $2
         returning id, user_id, credential_id, public_key, sign_count, flags, transports, name, created_at,
         last_used_at, suspect_at";
    db.query_opt(sql, &[id.into(), user.into()]).await?.map(passkey).transpose()
}

pub(super) async fn delete_all(db: &mut impl Statements, user: UserId) -> Result<()> {
    db.execute("delete from passkeys where user_id = $1", &[user.into()]).await.map(drop)
}

/// What came of noting a use.
pub(super) enum Used {
    /// Noted; with whether it is suspect by now.
    Now { suspect: bool },
    /// The counter has reached or passed this value meanwhile.
    Counted,
    /// The passkey was removed meanwhile.
    Gone,
}

/// Notes a use, provided that the counter grows, or is and stays 0 (WebAuthn Level 3, 7.2 step 22).
pub(super) async fn note_use(
    db: &mut impl Statements,
    id: RowId,
    sign_count: u32,
    flags: i64,
    now: Timestamp,
) -> Result<Used> {
    let sql = "update passkeys set sign_count = $2, flags = $3, last_used_at = $4
         where id = $1 and (sign_count < $2 or (sign_count = 0 and $2 = 0)) returning suspect_at";
    let params = [id.into(), i64::from(sign_count).into(), flags.into(), now.into()];
    if let Some(mut row) = db.query_opt(sql, &params).await? {
        return Ok(Used::Now { suspect: row.maybe_time()?.is_some() });
    }
    let left = db.query_opt("select id from passkeys where id = $1", &[id.into()]).await?;
    Ok(if left.is_some() { Used::Counted } else { Used::Gone })
}

/// `false` when it was suspect before.
pub(super) async fn suspect(db: &mut impl Statements, id: RowId, now: Timestamp) -> Result<bool> {
    let sql = "update passkeys set suspect_at = $2 where id = $1 and suspect_at is null";
    Ok(db.execute(sql, &[id.into(), now.into()]).await? == 1)
}

/// Returns how many were not suspect before.
pub(super) async fn suspect_since(
    db: &mut impl Statements,
    user: UserId,
    since: Timestamp,
    now: Timestamp,
) -> Result<u64> {
    let sql =
        "update passkeys set suspect_at = $3 where user_id = $1 and created_at >= $2 and suspect_at is null";
    db.execute(sql, &[user.into(), since.into(), now.into()]).await
}

/// Notes that a ceremony has served. `false` when it had before: of parallel calls exactly one gets `true`.
pub(super) async fn spend(
    db: &mut impl Statements,
    challenge_hash: &[u8; 32],
    expires_at: Timestamp,
) -> Result<bool> {
    let sql =
        "insert into passkey_ceremonies (challenge_hash, expires_at) values ($1, $2) on conflict do nothing";
    Ok(db.execute(sql, &[challenge_hash.into(), expires_at.into()]).await? == 1)
}

pub(super) async fn purge(db: &mut impl Statements, before: Timestamp) -> Result<u64> {
    let sql = "delete from passkey_ceremonies where challenge_hash in
         (select challenge_hash from passkey_ceremonies where expires_at < $1 limit 500)";
    db.execute(sql, &[before.into()]).await
}
