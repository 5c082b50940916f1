//! Rows of `users`.
use super::{Factor, Login, NewUser, Newcomer, User};
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements, Tx, Value};
use crate::ids::UserId;
use crate::names::{Email, Username};

type Result<T> = std::result::Result<T, DbError>;

fn login(mut row: Row) -> Result<Login> {
    read(&mut row)
}

fn read(row: &mut Row) -> Result<Login> {
    let id = row.user_id()?;
    let email = row.text()?;
    let email_normalised = row.text()?;
    let email_verified_at = row.maybe_time()?;
    let username = row.maybe_text()?;
    let name = row.maybe_text()?;
    let password_hash = row.maybe_text()?;
    let roles = row.text()?.split(' ').filter(|role| !role.is_empty()).map(str::to_owned).collect();
    let has_password = password_hash.is_some();
    let (disabled_at, created_at, last_login_at) = (row.maybe_time()?, row.time()?, row.maybe_time()?);
    let factors = Factor::read(&row.text()?);
    let updated_at = row.time()?;
    let user = User {
        id,
        email,
        email_normalised,
        email_verified_at,
        username,
        name,
        has_password,
        roles,
        disabled_at,
        created_at,
        last_login_at,
        factors,
        updated_at,
    };
    Ok(Login { user, password_hash })
}

pub(super) async fn find_credentials(db: &mut impl Statements, id: UserId) -> Result<Option<Login>> {
    let sql = "select id, email, email_normalised, email_verified_at, username, name, password_hash, roles,
         disabled_at, created_at, last_login_at, factors, updated_at from users where id = $1";
    db.query_opt(sql, &[id.into()]).await?.map(login).transpose()
}

pub(super) async fn find(db: &mut impl Statements, id: UserId) -> Result<Option<User>> {
    Ok(find_credentials(db, id).await?.map(|login| login.user))
}

pub(super) async fn find_by_email(db: &mut impl Statements, normalised: &str) -> Result<Option<Login>> {
    let sql = "select id, email, email_normalised, email_verified_at, username, name, password_hash, roles,
         disabled_at, created_at, last_login_at, factors, updated_at from users where email_normalised = $1";
    db.query_opt(sql, &[normalised.into()]).await?.map(login).transpose()
}

pub(super) async fn find_by_username(db: &mut impl Statements, normalised: &str) -> Result<Option<Login>> {
    let sql = "select id, email, email_normalised, email_verified_at, username, name, password_hash, roles,
         disabled_at, created_at, last_login_at, factors, updated_at from users where username_normalised = $1";
    db.query_opt(sql, &[normalised.into()]).await?.map(login).transpose()
}

pub(super) struct NewRow<'a> {
    pub(super) id: UserId,
    pub(super) new: &'a NewUser<'a>,
    pub(super) username: Option<&'a Username>,
    pub(super) roles: &'a str,
    pub(super) now: Timestamp,
}

pub(super) async fn insert(db: &mut impl Statements, row: &NewRow<'_>) -> Result<bool> {
    let sql =
        "insert into users (id, email, email_normalised, email_verified_at, username, username_normalised,
         name, password_hash, password_changed_at, roles, created_at, updated_at, searched_as)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12) on conflict do nothing";
    let username = row.username.map_or("", |username| &username.typed);
    // As the index of those whose terms are outdated says it.
    let searched_as = format!("{} {username} {}", row.new.email.typed, row.new.name.unwrap_or_default());
    let params = [
        row.id.into(),
        (&row.new.email.typed).into(),
        (&row.new.email.normalised).into(),
        row.new.email_verified_at.into(),
        row.username.map(|username| username.typed.as_str()).into(),
        row.username.map(|username| username.normalised.as_str()).into(),
        row.new.name.into(),
        row.new.password_hash.into(),
        row.new.password_hash.map(|_| row.now).into(),
        row.roles.into(),
        row.now.into(),
        (&searched_as).into(),
    ];
    Ok(db.execute(sql, &params).await? == 1)
}

pub(super) async fn note_login(
    db: &mut impl Statements,
    id: UserId,
    verified_hash: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let sql = "update users set last_login_at = $2
         where id = $1 and disabled_at is null and coalesce(password_hash, '') = $3";
    Ok(db.execute(sql, &[id.into(), now.into(), verified_hash.unwrap_or_default().into()]).await? == 1)
}

pub(super) async fn set_password(
    db: &mut impl Statements,
    id: UserId,
    hash: &str,
    now: Timestamp,
) -> Result<()> {
    let sql = "update users set password_hash = $2, password_changed_at = $3,
         updated_at = case when updated_at < $3 then $3 else updated_at + 1 end where id = $1";
    db.execute(sql, &[id.into(), hash.into(), now.into()]).await.map(drop)
}

pub(super) async fn change_password(
    db: &mut impl Statements,
    id: UserId,
    old: &str,
    new: &str,
    now: Timestamp,
) -> Result<bool> {
    let sql = "update users set password_hash = $3, password_changed_at = $4,
         updated_at = case when updated_at < $4 then $4 else updated_at + 1 end where id = $1 and password_hash = $2";
    Ok(db.execute(sql, &[id.into(), old.into(), new.into(), now.into()]).await? == 1)
}

pub(super) async fn clear_password(db: &mut impl Statements, id: UserId, now: Timestamp) -> Result<()> {
    let sql = "update users set password_hash = null,
         updated_at = case when updated_at < $2 then $2 else updated_at + 1 end where id = $1";
    db.execute(sql, &[id.into(), now.into()]).await.map(drop)
}

pub(super) async fn upgrade_password(
    db: &mut impl Statements,
    id: UserId,
    old: &str,
    new: &str,
) -> Result<bool> {
    let sql = "update users set password_hash = $3 where id = $1 and password_hash = $2";
    Ok(db.execute(sql, &[id.into(), old.into(), new.into()]).await? == 1)
}

pub(super) async fn verify_email(db: &mut impl Statements, id: UserId, now: Timestamp) -> Result<bool> {
    let sql = "update users set email_verified_at = $2,
         updated_at = case when updated_at < $2 then $2 else updated_at + 1 end where id = $1 and email_verified_at is null";
    Ok(db.execute(sql, &[id.into(), now.into()]).await? == 1)
}

pub(super) async fn change_email(
    db: &mut impl Statements,
    id: UserId,
    email: &Email,
    now: Timestamp,
) -> Result<bool> {
    let sql = "update users set email = $2, email_normalised = $3, email_verified_at = $4,
         updated_at = case when updated_at < $4 then $4 else updated_at + 1 end where id = $1 and disabled_at is null";
    let params = [id.into(), (&email.typed).into(), (&email.normalised).into(), now.into()];
    Ok(db.execute(sql, &params).await? == 1)
}

pub(super) async fn set_email(
    db: &mut impl Statements,
    id: UserId,
    email: &Email,
    verified_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool> {
    let sql = "update users set email = $2, email_normalised = $3, email_verified_at = $4,
         updated_at = case when updated_at < $5 then $5 else updated_at + 1 end where id = $1";
    let params =
        [id.into(), (&email.typed).into(), (&email.normalised).into(), verified_at.into(), now.into()];
    Ok(db.execute(sql, &params).await? == 1)
}

pub(super) async fn set_name(
    db: &mut impl Statements,
    id: UserId,
    name: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    let sql = "update users set name = $2,
         updated_at = case when updated_at < $3 then $3 else updated_at + 1 end where id = $1";
    db.execute(sql, &[id.into(), name.into(), now.into()]).await.map(drop)
}

pub(super) async fn set_username(
    db: &mut impl Statements,
    id: UserId,
    username: Option<&Username>,
    now: Timestamp,
) -> Result<()> {
    let sql = "update users set username = $2, username_normalised = $3,
         updated_at = case when updated_at < $4 then $4 else updated_at + 1 end where id = $1";
    let typed = username.map(|username| username.typed.as_str());
    let normalised = username.map(|username| username.normalised.as_str());
    db.execute(sql, &[id.into(), typed.into(), normalised.into(), now.into()]).await.map(drop)
}

pub(super) async fn set_disabled(
    db: &mut impl Statements,
    id: UserId,
    disabled_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool> {
    let sql = "update users set disabled_at = $2,
         updated_at = case when updated_at < $3 then $3 else updated_at + 1 end where id = $1";
    Ok(db.execute(sql, &[id.into(), disabled_at.into(), now.into()]).await? == 1)
}

/// Returns whether that changed something.
pub(super) async fn set_roles(
    db: &mut impl Statements,
    id: UserId,
    roles: &str,
    now: Timestamp,
) -> Result<bool> {
    let sql = "update users set roles = $2,
         updated_at = case when updated_at < $3 then $3 else updated_at + 1 end where id = $1 and roles <> $2";
    Ok(db.execute(sql, &[id.into(), roles.into(), now.into()]).await? == 1)
}

/// Returns whether that changed something.
pub(super) async fn set_factors(
    db: &mut impl Statements,
    id: UserId,
    factors: &str,
    now: Timestamp,
) -> Result<bool> {
    let sql = "update users set factors = $2,
         updated_at = case when updated_at < $3 then $3 else updated_at + 1 end where id = $1 and factors <> $2";
    Ok(db.execute(sql, &[id.into(), factors.into(), now.into()]).await? == 1)
}

pub(super) async fn delete(db: &mut impl Statements, id: UserId) -> Result<bool> {
    Ok(db.execute("delete from users where id = $1", &[id.into()]).await? == 1)
}

/// What an imported row has beside what was given.
pub(super) struct ImportRow {
    pub(super) roles: String,
    pub(super) factors: String,
    pub(super) now: Timestamp,
}

fn import_params<'a>(user: &'a Newcomer<'a>, row: &'a ImportRow) -> Vec<Value<'a>> {
    vec![
        user.id.into(),
        (&user.email.typed).into(),
        (&user.email.normalised).into(),
        user.email_verified_at.into(),
        user.username.map(|username| username.typed.as_str()).into(),
        user.username.map(|username| username.normalised.as_str()).into(),
        user.name.into(),
        user.password_hash.into(),
        user.password_changed_at.into(),
        (&row.roles).into(),
        (&row.factors).into(),
        user.disabled_at.into(),
        user.created_at.into(),
        row.now.into(),
        user.last_login_at.into(),
    ]
}

/// Returns of each whether it was inserted.
pub(super) async fn import(tx: &mut Tx, users: &[Newcomer<'_>], rows: &[ImportRow]) -> Result<Vec<bool>> {
    let sql =
        "insert into users (id, email, email_normalised, email_verified_at, username, username_normalised,
         name, password_hash, password_changed_at, roles, factors, disabled_at, created_at, updated_at, last_login_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         on conflict do nothing returning id";
    let sets: Vec<_> = users.iter().zip(rows).map(|(user, row)| import_params(user, row)).collect();
    Ok(tx.query_each(sql, &sets).await?.iter().map(|inserted| !inserted.is_empty()).collect())
}

pub(super) async fn carry(
    db: &mut impl Statements,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<(Login, Option<Timestamp>)>> {
    let sql = "select id, email, email_normalised, email_verified_at, username, name, password_hash, roles,
         disabled_at, created_at, last_login_at, factors, updated_at, password_changed_at from users
         where id > $1 order by id limit $2";
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let rows = db.query(sql, &[(&after).into(), limit.into()]).await?;
    rows.into_iter().map(|mut row| Ok((read(&mut row)?, row.maybe_time()?))).collect()
}

fn users(rows: Vec<Row>) -> Result<Vec<User>> {
    rows.into_iter().map(|row| login(row).map(|login| login.user)).collect()
}

pub(super) async fn list(db: &mut impl Statements, after: &str, limit: i64) -> Result<Vec<User>> {
    let sql = "select id, email, email_normalised, email_verified_at, username, name, password_hash, roles,
         disabled_at, created_at, last_login_at, factors, updated_at from users where id > $1 order by id limit $2";
    users(db.query(sql, &[after.into(), limit.into()]).await?)
}

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

// What is limited is limited before anything is joined, so that no plan can read more.

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
