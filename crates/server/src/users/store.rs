//! Rows of `users`.
use super::{Factor, Login, NewUser, Newcomer, User};
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements, Tx, Value};
use crate::ids::UserId;
use crate::names::{Email, Username};
use crate::shared_rows::{self, Wanted};

type Result<T> = std::result::Result<T, DbError>;

pub(in crate::users) fn login(mut row: Row) -> Result<Login> {
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

/// As [`find`]; one that may come in also as another node has read it. Reads whether there is a password, and not its hash.
pub(super) async fn find_known(app: &Inner, id: UserId, now: Timestamp) -> Result<Option<User>> {
    let sql = "select id, email, email_normalised, email_verified_at, username, name,
         case when password_hash is null then null else '' end, roles,
         disabled_at, created_at, last_login_at, factors, updated_at from users where id = $1";
    let wanted = Wanted { sql, user: id, session: None };
    let user = |row: &mut Row| read(row).map(|login| login.user);
    let open = |user: &User| user.disabled_at.is_none();
    shared_rows::read(app.shared_rows.as_ref(), &app.db, wanted, now, user, open).await
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

pub(super) async fn vouchers(db: &mut impl Statements, id: UserId) -> Result<Vec<UserId>> {
    let row = db.query_opt("select vouchers from users where id = $1", &[id.into()]).await?;
    let text = row.map(|mut row| row.maybe_text()).transpose()?.flatten().unwrap_or_default();
    Ok(text.split(' ').filter_map(UserId::parse).collect())
}

pub(super) async fn set_vouchers(db: &mut impl Statements, id: UserId, by: &[UserId]) -> Result<()> {
    let text = by.iter().map(UserId::to_string).collect::<Vec<_>>().join(" ");
    let text = Some(text.as_str()).filter(|text| !text.is_empty());
    db.execute("update users set vouchers = $2 where id = $1", &[id.into(), text.into()]).await.map(drop)
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

/// When the account was changed last: later with every change.
pub(super) async fn updated_at(db: &mut impl Statements, id: UserId) -> Result<Option<Timestamp>> {
    let row = db.query_opt("select updated_at from users where id = $1", &[id.into()]).await?;
    row.map(|mut row| row.time()).transpose()
}

pub(super) async fn delete(db: &mut impl Statements, id: UserId) -> Result<bool> {
    Ok(db.execute("delete from users where id = $1", &[id.into()]).await? == 1)
}

pub(in crate::users) fn users(rows: Vec<Row>) -> Result<Vec<User>> {
    rows.into_iter().map(|row| login(row).map(|login| login.user)).collect()
}

pub(super) async fn list(db: &mut impl Statements, after: &str, limit: i64) -> Result<Vec<User>> {
    let sql = "select id, email, email_normalised, email_verified_at, username, name, password_hash, roles,
         disabled_at, created_at, last_login_at, factors, updated_at from users where id > $1 order by id limit $2";
    users(db.query(sql, &[after.into(), limit.into()]).await?)
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
