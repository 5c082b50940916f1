//! Rows of `one_time_secrets`.
use super::Found;
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements};
use crate::ids::{RowId, UserId};

type Result<T> = std::result::Result<T, DbError>;

pub(super) struct NewSecret<'a> {
    pub(super) id: RowId,
    pub(super) purpose: &'static str,
    pub(super) user: Option<UserId>,
    pub(super) hash: [u8; 32],
    pub(super) client_hash: Option<[u8; 32]>,
    pub(super) subject: Option<&'a str>,
    pub(super) code: Option<([u8; 32], Timestamp)>,
    pub(super) failed_tries: i64,
    pub(super) now: Timestamp,
    pub(super) expires_at: Timestamp,
}

pub(super) async fn insert(db: &mut impl Statements, secret: &NewSecret<'_>) -> Result<()> {
    let sql =
        "insert into one_time_secrets (id, purpose, user_id, secret_hash, client_hash, subject, code_mac,
         code_expires_at, failed_tries, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let params = [
        secret.id.into(),
        secret.purpose.into(),
        secret.user.into(),
        (&secret.hash).into(),
        secret.client_hash.as_ref().map(<[u8; 32]>::as_slice).into(),
        secret.subject.into(),
        secret.code.as_ref().map(|(mac, _)| mac.as_slice()).into(),
        secret.code.map(|(_, expires_at)| expires_at).into(),
        secret.failed_tries.into(),
        secret.now.into(),
        secret.expires_at.into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

fn found(row: &mut Row) -> Result<Found> {
    Ok(Found {
        id: row.row_id()?,
        user: row.user_id()?,
        subject: row.maybe_text()?,
        client_hash: row.maybe_digest()?,
    })
}

pub(super) async fn peek(
    db: &mut impl Statements,
    purpose: &str,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Found>> {
    let sql = "select id, user_id, subject, client_hash from one_time_secrets
         where secret_hash = $1 and purpose = $2 and used_at is null and expires_at > $3 and user_id is not null";
    let row = db.query_opt(sql, &[hash.into(), purpose.into(), now.into()]).await?;
    row.map(|mut row| found(&mut row)).transpose()
}

pub(super) async fn take(db: &mut impl Statements, id: RowId, now: Timestamp) -> Result<bool> {
    let sql =
        "update one_time_secrets set used_at = $2 where id = $1 and used_at is null and expires_at > $2";
    Ok(db.execute(sql, &[id.into(), now.into()]).await? == 1)
}

pub(super) async fn count_try(
    db: &mut impl Statements,
    purpose: &str,
    user: UserId,
    max_tries: u32,
    now: Timestamp,
) -> Result<Option<(Found, [u8; 32])>> {
    let sql = "update one_time_secrets set failed_tries = failed_tries + 1
         where user_id = $1 and purpose = $2 and used_at is null and code_expires_at > $3 and failed_tries < $4
         returning id, user_id, subject, client_hash, code_mac";
    let row =
        db.query_opt(sql, &[user.into(), purpose.into(), now.into(), i64::from(max_tries).into()]).await?;
    row.map(|mut row| Ok((found(&mut row)?, row.digest()?))).transpose()
}

pub(super) async fn failed_tries(
    db: &mut impl Statements,
    user: Option<UserId>,
    purpose: &str,
    now: Timestamp,
) -> Result<i64> {
    let sql = "select coalesce(max(failed_tries), 0) from one_time_secrets
         where user_id = $1 and purpose = $2 and used_at is null and code_expires_at > $3";
    let row = db.query_opt(sql, &[user.into(), purpose.into(), now.into()]).await?;
    row.map_or(Ok(0), |mut row| row.int())
}

pub(super) async fn client_of(
    db: &mut impl Statements,
    purpose: &str,
    user: UserId,
    now: Timestamp,
) -> Result<Option<[u8; 32]>> {
    let sql = "select client_hash from one_time_secrets
         where user_id = $1 and purpose = $2 and used_at is null and expires_at > $3 order by id desc limit 1";
    let row = db.query_opt(sql, &[user.into(), purpose.into(), now.into()]).await?;
    row.map_or(Ok(None), |mut row| row.maybe_digest())
}

pub(super) async fn kill_later(
    db: &mut impl Statements,
    user: UserId,
    [one, other]: [&str; 2],
    id: RowId,
) -> Result<()> {
    let sql = "delete from one_time_secrets where user_id = $1 and purpose in ($2, $3) and id > $4";
    db.execute(sql, &[user.into(), one.into(), other.into(), id.into()]).await.map(drop)
}

pub(super) async fn kill_purpose(
    db: &mut impl Statements,
    user: Option<UserId>,
    purpose: &str,
) -> Result<()> {
    let sql = "delete from one_time_secrets where user_id = $1 and purpose = $2";
    db.execute(sql, &[user.into(), purpose.into()]).await.map(drop)
}

pub(super) async fn kill_all(db: &mut impl Statements, user: UserId, [but, nor]: [&str; 2]) -> Result<()> {
    let sql = "delete from one_time_secrets where user_id = $1 and purpose not in ($2, $3)";
    db.execute(sql, &[user.into(), but.into(), nor.into()]).await.map(drop)
}

pub(super) async fn issued_since(
    db: &mut impl Statements,
    purpose: &str,
    user: UserId,
    since: Timestamp,
) -> Result<i64> {
    let sql = "select count(*) from one_time_secrets
         where user_id = $1 and purpose = $2 and used_at is null and created_at > $3";
    let row = db.query_opt(sql, &[user.into(), purpose.into(), since.into()]).await?;
    row.map_or(Ok(0), |mut row| row.int())
}

pub(super) async fn purge(db: &mut impl Statements, before: Timestamp) -> Result<u64> {
    let sql = "delete from one_time_secrets where id in
         (select id from one_time_secrets where expires_at < $1 limit 500)";
    db.execute(sql, &[before.into()]).await
}
