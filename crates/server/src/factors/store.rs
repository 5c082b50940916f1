//! Rows of `totp_secrets` and `recovery_codes`.
use super::CarriedTotp;
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements, Tx, Value};
use crate::ids::{RowId, UserId};

type Result<T> = std::result::Result<T, DbError>;

/// An authenticator app, set up or about to be.
pub(super) struct Totp {
    pub(super) id: RowId,
    pub(super) sealed_secret: Vec<u8>,
    pub(super) created_at: Timestamp,
    pub(super) confirmed_at: Option<Timestamp>,
    pub(super) last_step: i64,
    pub(super) last_used_at: Option<Timestamp>,
}

fn totp(mut row: Row) -> Result<Totp> {
    Ok(Totp {
        id: row.row_id()?,
        sealed_secret: row.bytes()?,
        created_at: row.time()?,
        confirmed_at: row.maybe_time()?,
        last_step: row.int()?,
        last_used_at: row.maybe_time()?,
    })
}

pub(super) async fn find_totp(db: &mut impl Statements, user: UserId) -> Result<Option<Totp>> {
    let sql = "select id, sealed_secret, created_at, confirmed_at, last_step, last_used_at from totp_secrets
         where user_id = $1";
    db.query_opt(sql, &[user.into()]).await?.map(totp).transpose()
}

/// Puts a secret in the place of one that was never confirmed. `false` when a confirmed one is there.
pub(super) async fn begin_totp(
    db: &mut impl Statements,
    user: UserId,
    id: RowId,
    sealed: &[u8],
    now: Timestamp,
) -> Result<bool> {
    let sql = "insert into totp_secrets (user_id, id, sealed_secret, created_at, last_step) values ($1, $2, $3, $4, 0)
         on conflict (user_id) do update set id = excluded.id, sealed_secret = excluded.sealed_secret,
         created_at = excluded.created_at, last_step = 0 where totp_secrets.confirmed_at is null";
    Ok(db.execute(sql, &[user.into(), id.into(), sealed.into(), now.into()]).await? == 1)
}

/// Confirms a secret by a code of one of its time steps.
pub(super) async fn confirm_totp(
    db: &mut impl Statements,
    id: RowId,
    user: UserId,
    step: i64,
    now: Timestamp,
) -> Result<bool> {
    let sql = "update totp_secrets set confirmed_at = $4, last_step = $3, last_used_at = $4
         where user_id = $1 and id = $2 and confirmed_at is null";
    Ok(db.execute(sql, &[user.into(), id.into(), step.into(), now.into()]).await? == 1)
}

/// Takes the code of a time step, unless that step or a later one was taken.
pub(super) async fn take_step(
    db: &mut impl Statements,
    id: RowId,
    user: UserId,
    step: i64,
    now: Timestamp,
) -> Result<bool> {
    let sql = "update totp_secrets set last_step = $3, last_used_at = $4
         where user_id = $1 and id = $2 and confirmed_at is not null and last_step < $3";
    Ok(db.execute(sql, &[user.into(), id.into(), step.into(), now.into()]).await? == 1)
}

/// Returns whether a confirmed one was there.
pub(super) async fn remove_totp(db: &mut impl Statements, user: UserId) -> Result<bool> {
    let sql = "delete from totp_secrets where user_id = $1 returning confirmed_at";
    let removed = db.query_opt(sql, &[user.into()]).await?;
    Ok(removed.map(|mut row| row.maybe_time()).transpose()?.flatten().is_some())
}

/// Secrets that were begun and never confirmed.
pub(super) async fn purge_totp(db: &mut impl Statements, before: Timestamp) -> Result<u64> {
    let sql = "delete from totp_secrets where user_id in
         (select user_id from totp_secrets where confirmed_at is null and created_at < $1 limit 500)";
    db.execute(sql, &[before.into()]).await
}

/// Secrets in the order of users, after one.
pub(super) async fn totp_after(
    db: &mut impl Statements,
    after: &str,
    limit: i64,
) -> Result<Vec<(UserId, RowId, Vec<u8>)>> {
    let sql =
        "select user_id, id, sealed_secret from totp_secrets where user_id > $1 order by user_id limit $2";
    let rows = db.query(sql, &[after.into(), limit.into()]).await?;
    rows.into_iter().map(|mut row| Ok((row.user_id()?, row.row_id()?, row.bytes()?))).collect()
}

pub(super) async fn reseal_totp(
    db: &mut impl Statements,
    user: UserId,
    old: &[u8],
    new: &[u8],
) -> Result<u64> {
    let sql = "update totp_secrets set sealed_secret = $3 where user_id = $1 and sealed_secret = $2";
    db.execute(sql, &[user.into(), old.into(), new.into()]).await
}

pub(super) async fn insert_code(
    db: &mut impl Statements,
    id: RowId,
    user: UserId,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<()> {
    let sql = "insert into recovery_codes (id, user_id, code_hash, created_at) values ($1, $2, $3, $4)";
    let params: [Value<'_>; 4] = [id.into(), user.into(), hash.into(), now.into()];
    db.execute(sql, &params).await.map(drop)
}

pub(super) async fn remove_codes(db: &mut impl Statements, user: UserId) -> Result<u64> {
    db.execute("delete from recovery_codes where user_id = $1", &[user.into()]).await
}

pub(super) async fn take_code(
    db: &mut impl Statements,
    user: UserId,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<bool> {
    let sql =
        "update recovery_codes set used_at = $3 where user_id = $1 and code_hash = $2 and used_at is null";
    Ok(db.execute(sql, &[user.into(), hash.into(), now.into()]).await? == 1)
}

/// How many codes of a user are not used.
pub(super) async fn codes_left(db: &mut impl Statements, user: UserId) -> Result<i64> {
    let sql = "select count(*) from recovery_codes where user_id = $1 and used_at is null";
    let row = db.query_opt(sql, &[user.into()]).await?;
    row.map_or(Ok(0), |mut row| row.int())
}

/// A confirmed authenticator app from elsewhere.
pub(super) struct ImportedTotp<'a> {
    pub(super) user: UserId,
    pub(super) id: RowId,
    pub(super) totp: &'a CarriedTotp,
    pub(super) sealed: &'a [u8],
}

pub(super) async fn import_totp(tx: &mut Tx, apps: &[ImportedTotp<'_>]) -> Result<()> {
    let sql = "insert into totp_secrets (user_id, id, sealed_secret, created_at, confirmed_at, last_step, last_used_at)
         values ($1, $2, $3, $4, $4, $5, $6)";
    let sets: Vec<Vec<Value<'_>>> = apps
        .iter()
        .map(|app| {
            let CarriedTotp { created_at, last_step, last_used_at, .. } = app.totp;
            let (created_at, last_step) = ((*created_at).into(), (*last_step).into());
            vec![
                app.user.into(),
                app.id.into(),
                app.sealed.into(),
                created_at,
                last_step,
                (*last_used_at).into(),
            ]
        })
        .collect();
    tx.query_each(sql, &sets).await.map(drop)
}

pub(super) async fn import_codes(
    tx: &mut Tx,
    codes: &[(RowId, UserId, &[u8; 32])],
    now: Timestamp,
) -> Result<()> {
    let sql = "insert into recovery_codes (id, user_id, code_hash, created_at) values ($1, $2, $3, $4)
         on conflict do nothing";
    let sets: Vec<Vec<Value<'_>>> = codes
        .iter()
        .map(|(id, user, hash)| vec![(*id).into(), (*user).into(), (*hash).into(), now.into()])
        .collect();
    tx.query_each(sql, &sets).await.map(drop)
}

pub(super) async fn unused_codes(db: &mut impl Statements, user: UserId) -> Result<Vec<[u8; 32]>> {
    let sql = "select code_hash from recovery_codes where user_id = $1 and used_at is null order by id";
    db.query(sql, &[user.into()]).await?.into_iter().map(|mut row| row.digest()).collect()
}
