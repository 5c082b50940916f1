//! Rows of `roles`, and the name of their latest change.
use super::{Role, USER};
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements, Tx, Value};
use crate::ids::UserId;

type Result<T> = std::result::Result<T, DbError>;

fn role(mut row: Row) -> Result<Role> {
    Ok(Role {
        name: row.text()?,
        description: row.maybe_text()?,
        permissions: row.text()?.split(' ').filter(|one| !one.is_empty()).map(str::to_owned).collect(),
        created_at: Some(row.time()?),
        updated_at: Some(row.time()?),
    })
}

pub(super) async fn all(db: &mut impl Statements) -> Result<Vec<Role>> {
    let sql = "select name, description, permissions, created_at, updated_at from roles order by name";
    db.query(sql, &[]).await?.into_iter().map(role).collect()
}

pub(super) async fn find(db: &mut impl Statements, name: &str) -> Result<Option<Role>> {
    let sql = "select name, description, permissions, created_at, updated_at from roles where name = $1";
    db.query_opt(sql, &[name.into()]).await?.map(role).transpose()
}

pub(super) async fn put(
    db: &mut impl Statements,
    role: &Role,
    created_at: Timestamp,
    updated_at: Timestamp,
) -> Result<()> {
    let sql = "insert into roles (name, description, permissions, created_at, updated_at) values ($1, $2, $3, $4, $5)
         on conflict (name) do update set description = excluded.description, permissions = excluded.permissions,
         updated_at = excluded.updated_at";
    let permissions = role.permissions.join(" ");
    let params = [
        (&role.name).into(),
        role.description.as_deref().into(),
        (&permissions).into(),
        created_at.into(),
        updated_at.into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

pub(super) async fn delete(db: &mut impl Statements, name: &str) -> Result<()> {
    db.execute("delete from roles where name = $1", &[name.into()]).await.map(drop)
}

/// Writes who has which role, beside the column of `users`.
pub(super) async fn set_members(db: &mut impl Statements, user: UserId, roles: &[String]) -> Result<()> {
    db.execute("delete from user_roles where user_id = $1", &[user.into()]).await?;
    for role in roles.iter().filter(|role| *role != USER) {
        let sql = "insert into user_roles (role, user_id) values ($1, $2) on conflict do nothing";
        db.execute(sql, &[role.into(), user.into()]).await?;
    }
    Ok(())
}

pub(super) async fn add_members(tx: &mut Tx, members: &[(UserId, &[String])]) -> Result<()> {
    let sql = "insert into user_roles (role, user_id) values ($1, $2) on conflict do nothing";
    let held = members.iter().flat_map(|(user, roles)| roles.iter().map(|role| (*user, role)));
    let held = held.filter(|(_, role)| *role != USER);
    let sets: Vec<Vec<Value<'_>>> = held.map(|(user, role)| vec![role.into(), user.into()]).collect();
    tx.query_each(sql, &sets).await.map(drop)
}

/// Whether somebody else has the role and an open account.
pub(super) async fn has_other_member(db: &mut impl Statements, name: &str, except: UserId) -> Result<bool> {
    let sql = "select user_id from user_roles where role = $1 and user_id <> $2
         and exists (select 1 from users where users.id = user_roles.user_id and disabled_at is null) limit 1";
    Ok(db.query_opt(sql, &[name.into(), except.into()]).await?.is_some())
}

pub(super) async fn has_members(db: &mut impl Statements, name: &str) -> Result<bool> {
    let sql = "select user_id from user_roles where role = $1 limit 1";
    Ok(db.query_opt(sql, &[name.into()]).await?.is_some())
}

/// Whether an invitation that opens an account names the role.
pub(super) async fn is_promised(db: &mut impl Statements, name: &str, now: Timestamp) -> Result<bool> {
    // An underscore of the name stands for any character there, so what is found is looked at.
    let sql =
        "select roles from invitations where accepted_at is null and revoked_at is null and expires_at > $1
         and ' ' || roles || ' ' like $2";
    let like = format!("% {name} %");
    for mut row in db.query(sql, &[now.into(), (&like).into()]).await? {
        if row.text()?.split(' ').any(|role| role == name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which change was the latest, see `catalogue::as_of`; nothing before the first one.
pub(super) async fn version(db: &mut impl Statements) -> Result<String> {
    let row = db.query_opt("select value from meta where name = 'roles'", &[]).await?;
    row.map(|mut row| row.text()).transpose().map(Option::unwrap_or_default)
}

pub(super) async fn set_version(db: &mut impl Statements, version: &str) -> Result<()> {
    let sql = "insert into meta (name, value) values ('roles', $1)
         on conflict (name) do update set value = excluded.value";
    db.execute(sql, &[version.into()]).await.map(drop)
}
