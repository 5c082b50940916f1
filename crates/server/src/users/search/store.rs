//! Walks through users, and the terms that some of them go by. What is limited is limited before anything is joined, so that no plan
//! can read more.
use super::super::User;
use super::super::store::{login, users};
use crate::db::{DbError, Row, Statements, Value};
use crate::ids::UserId;

type Result<T> = std::result::Result<T, DbError>;

pub(super) async fn walk_disabled(db: &mut impl Statements, after: &str, limit: i64) -> Result<Vec<User>> {
    let sql = "select id, email, email_normalised, email_verified_at, username, name, password_hash, roles,
         disabled_at, created_at, last_login_at, factors, updated_at from users
         where disabled_at is not null and id > $1 order by id limit $2";
    users(db.query(sql, &[after.into(), limit.into()]).await?)
}

pub(super) async fn walk_unverified(db: &mut impl Statements, after: &str, limit: i64) -> Result<Vec<User>> {
    let sql = "select id, email, email_normalised, email_verified_at, username, name, password_hash, roles,
         disabled_at, created_at, last_login_at, factors, updated_at from users
         where email_verified_at is null and id > $1 order by id limit $2";
    users(db.query(sql, &[after.into(), limit.into()]).await?)
}

pub(super) async fn walk_role(
    db: &mut impl Statements,
    role: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<User>> {
    let sql = "select id, email, email_normalised, email_verified_at, username, name, password_hash, roles,
         disabled_at, created_at, last_login_at, factors, updated_at
         from (select user_id from user_roles where role = $1 and user_id > $2 order by user_id limit $3) as walked
         join users on id = user_id order by id";
    users(db.query(sql, &[role.into(), after.into(), limit.into()]).await?)
}

/// Terms behind one of them and before another, with whose they are.
pub(super) async fn walk_terms(
    db: &mut impl Statements,
    term: &[u8],
    after: &str,
    end: &[u8],
    limit: i64,
) -> Result<Vec<(Option<Vec<u8>>, User)>> {
    let sql =
        "select term, id, email, email_normalised, email_verified_at, username, name, password_hash, roles,
         disabled_at, created_at, last_login_at, factors, updated_at
         from (select term, user_id from user_terms where (term, user_id) > ($1, $2) and term < $3
             order by term, user_id limit $4) as walked
         join users on id = user_id order by term, id";
    let rows = db.query(sql, &[term.into(), after.into(), end.into(), limit.into()]).await?;
    let found = |mut row: Row| Ok((Some(row.bytes()?), login(row)?.user));
    rows.into_iter().map(found).collect()
}

async fn number(db: &mut impl Statements, sql: &'static str, params: &[Value<'_>]) -> Result<i64> {
    db.query_opt(sql, params).await?.map_or(Ok(0), |mut row| row.int())
}

/// How many have a role, counted up to a limit.
pub(super) async fn count_role(db: &mut impl Statements, role: &str, limit: i64) -> Result<i64> {
    let sql = "select count(*) from (select user_id from user_roles where role = $1 limit $2) as walked";
    number(db, sql, &[role.into(), limit.into()]).await
}

pub(super) async fn count_disabled(db: &mut impl Statements, limit: i64) -> Result<i64> {
    let sql = "select count(*) from (select id from users where disabled_at is not null limit $1) as walked";
    number(db, sql, &[limit.into()]).await
}

pub(super) async fn count_unverified(db: &mut impl Statements, limit: i64) -> Result<i64> {
    let sql =
        "select count(*) from (select id from users where email_verified_at is null limit $1) as walked";
    number(db, sql, &[limit.into()]).await
}

/// Users whose terms were made from something else than what they are now. The condition is that of the index.
pub(super) async fn outdated_terms(db: &mut impl Statements, limit: i64) -> Result<Vec<UserId>> {
    let sql = "select id from users
         where searched_as <> email || ' ' || coalesce(username, '') || ' ' || coalesce(name, '') order by id limit $1";
    db.query(sql, &[limit.into()]).await?.into_iter().map(|mut row| row.user_id()).collect()
}

/// Removes a user's terms if they are outdated, and notes that they are made anew. Returns whether they have to be.
pub(super) async fn take_terms(db: &mut impl Statements, id: UserId) -> Result<bool> {
    let sql = "update users set searched_as = email || ' ' || coalesce(username, '') || ' ' || coalesce(name, '')
         where id = $1 and searched_as <> email || ' ' || coalesce(username, '') || ' ' || coalesce(name, '')";
    if db.execute(sql, &[id.into()]).await? == 0 {
        return Ok(false);
    }
    db.execute("delete from user_terms where user_id = $1", &[id.into()]).await?;
    Ok(true)
}

pub(super) async fn put_terms(db: &mut impl Statements, id: UserId, terms: &[String]) -> Result<()> {
    // Six at a time, which is all for most people; what is left over is the last one again.
    for chunk in terms.chunks(6) {
        let last = chunk.len() - 1;
        let mut params = vec![Value::from(id)];
        params.extend((0..6).map(|place| chunk[place.min(last)].as_bytes().into()));
        let sql = "insert into user_terms (term, user_id) values ($2, $1), ($3, $1), ($4, $1), ($5, $1), ($6, $1), ($7, $1)
             on conflict do nothing";
        db.execute(sql, &params).await?;
    }
    Ok(())
}
