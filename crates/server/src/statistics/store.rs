//! Rows of `daily_counts`, `counted_chains` and `daily_users`; sums over `users` and `sessions`.
use crate::clock::Timestamp;
use crate::db::{DbError, Statements};
use crate::ids::UserId;
use std::collections::BTreeMap;

type Result<T> = std::result::Result<T, DbError>;

pub(super) async fn counted(db: &mut impl Statements) -> Result<BTreeMap<String, i64>> {
    let rows = db.query("select chain, seq from counted_chains", &[]).await?;
    rows.into_iter().map(|mut row| Ok((row.text()?, row.int()?))).collect()
}

pub(super) async fn set_counted(db: &mut impl Statements, chain: &str, seq: i64) -> Result<()> {
    let sql = "insert into counted_chains (chain, seq) values ($1, $2)
         on conflict (chain) do update set seq = excluded.seq";
    db.execute(sql, &[chain.into(), seq.into()]).await.map(drop)
}

pub(super) async fn add(db: &mut impl Statements, day: Timestamp, name: &str, value: i64) -> Result<()> {
    let sql = "insert into daily_counts (day, name, value) values ($1, $2, $3)
         on conflict (day, name) do update set value = daily_counts.value + excluded.value";
    db.execute(sql, &[day.into(), name.into(), value.into()]).await.map(drop)
}

pub(super) async fn set(db: &mut impl Statements, day: Timestamp, name: &str, value: i64) -> Result<()> {
    let sql = "insert into daily_counts (day, name, value) values ($1, $2, $3)
         on conflict (day, name) do update set value = excluded.value";
    db.execute(sql, &[day.into(), name.into(), value.into()]).await.map(drop)
}

pub(super) async fn value(db: &mut impl Statements, day: Timestamp, name: &str) -> Result<Option<i64>> {
    let sql = "select value from daily_counts where day = $1 and name = $2";
    db.query_opt(sql, &[day.into(), name.into()]).await?.map(|mut row| row.int()).transpose()
}

pub(super) async fn between(
    db: &mut impl Statements,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(Timestamp, String, i64)>> {
    let sql = "select day, name, value from daily_counts where day >= $1 and day <= $2";
    let rows = db.query(sql, &[from.into(), to.into()]).await?;
    rows.into_iter().map(|mut row| Ok((row.time()?, row.text()?, row.int()?))).collect()
}

/// Notes that a user was active; whether that is news. An account that is gone is nobody's.
pub(super) async fn note_user(db: &mut impl Statements, day: Timestamp, user: UserId) -> Result<bool> {
    let sql = "insert into daily_users (day, user_id) select $1, id from users where id = $2
         on conflict (day, user_id) do nothing";
    Ok(db.execute(sql, &[day.into(), user.into()]).await? == 1)
}

/// Forgets some of those who were active before a day.
pub(super) async fn forget_users(db: &mut impl Statements, before: Timestamp) -> Result<u64> {
    let sql = "delete from daily_users where day < $1 and user_id in
         (select user_id from daily_users where day < $1 order by day, user_id limit 1000)";
    db.execute(sql, &[before.into()]).await
}

/// How many of the accounts after an id there are, and the last of them; `None` when these were all.
pub(super) async fn users_after(
    db: &mut impl Statements,
    after: &str,
    limit: i64,
) -> Result<(i64, Option<String>)> {
    let sql = "select count(*), max(id) from (select id from users where id > $1 order by id limit $2) page";
    page(db.query_opt(sql, &[after.into(), limit.into()]).await?)
}

/// The same of the live sessions, `limit` rows at a time.
pub(super) async fn live_after(
    db: &mut impl Statements,
    after: &str,
    now: Timestamp,
    limit: i64,
) -> Result<(i64, Option<String>)> {
    let sql = "select count(case when revoked_at is null and expires_at > $3 then 1 end), max(id) from
         (select id, revoked_at, expires_at from sessions where id > $1 order by id limit $2) page";
    page(db.query_opt(sql, &[after.into(), limit.into(), now.into()]).await?)
}

fn page(row: Option<crate::db::Row>) -> Result<(i64, Option<String>)> {
    match row {
        Some(mut row) => Ok((row.int()?, row.maybe_text()?)),
        None => Ok((0, None)),
    }
}
