//! Rows of `devices`.
use super::Device;
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements};
use crate::ids::{DeviceId, UserId};

type Result<T> = std::result::Result<T, DbError>;

/// A sign-in as the device shows it.
pub(super) struct Sighting<'a> {
    pub(super) user: UserId,
    pub(super) name: Option<&'a str>,
    pub(super) ip: &'a str,
    pub(super) agent: Option<&'a str>,
    pub(super) now: Timestamp,
}

fn device(mut row: Row) -> Result<Device> {
    Ok(Device {
        id: row.device_id()?,
        user: row.user_id()?,
        name: row.maybe_text()?,
        ip: row.text()?,
        user_agent: row.maybe_text()?,
        created_at: row.time()?,
        last_sign_in_at: row.time()?,
        trusted_until: row.maybe_time()?,
    })
}

pub(super) async fn find(
    db: &mut impl Statements,
    secret_hash: &[u8; 32],
    user: UserId,
) -> Result<Option<Device>> {
    let sql =
        "select id, user_id, name, ip, user_agent, created_at, last_sign_in_at, trusted_until from devices
         where secret_hash = $1 and user_id = $2";
    db.query_opt(sql, &[secret_hash.into(), user.into()]).await?.map(device).transpose()
}

pub(super) async fn of_user(db: &mut impl Statements, user: UserId) -> Result<Vec<Device>> {
    let sql =
        "select id, user_id, name, ip, user_agent, created_at, last_sign_in_at, trusted_until from devices
         where user_id = $1 order by last_sign_in_at desc, id desc";
    db.query(sql, &[user.into()]).await?.into_iter().map(device).collect()
}

pub(super) async fn seen(
    db: &mut impl Statements,
    secret_hash: &[u8; 32],
    sighting: &Sighting<'_>,
) -> Result<Option<Device>> {
    let sql = "update devices set name = coalesce($3, name), ip = $4, user_agent = $5, last_sign_in_at = $6
         where secret_hash = $1 and user_id = $2
         returning id, user_id, name, ip, user_agent, created_at, last_sign_in_at, trusted_until";
    let params = [
        secret_hash.into(),
        sighting.user.into(),
        sighting.name.into(),
        sighting.ip.into(),
        sighting.agent.into(),
        sighting.now.into(),
    ];
    db.query_opt(sql, &params).await?.map(device).transpose()
}

pub(super) async fn insert(
    db: &mut impl Statements,
    id: DeviceId,
    secret_hash: &[u8; 32],
    sighting: &Sighting<'_>,
) -> Result<()> {
    let sql =
        "insert into devices (id, user_id, secret_hash, name, ip, user_agent, created_at, last_sign_in_at)
         values ($1, $2, $3, $4, $5, $6, $7, $7)";
    let params = [
        id.into(),
        sighting.user.into(),
        secret_hash.into(),
        sighting.name.into(),
        sighting.ip.into(),
        sighting.agent.into(),
        sighting.now.into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

/// Gives the latest people of a device its new secret; for the others it is not the same device any more.
pub(super) async fn move_to(
    db: &mut impl Statements,
    former: &[u8; 32],
    new: &[u8; 32],
    most: i64,
) -> Result<()> {
    let sql = "update devices set secret_hash = $2 where id in (select id from devices where secret_hash = $1
         order by last_sign_in_at desc, id desc limit $3)";
    db.execute(sql, &[former.into(), new.into(), most.into()]).await?;
    db.execute("delete from devices where secret_hash = $1", &[former.into()]).await.map(drop)
}

pub(super) async fn trust(db: &mut impl Statements, id: DeviceId, until: Timestamp) -> Result<bool> {
    let sql = "update devices set trusted_until = $2 where id = $1";
    Ok(db.execute(sql, &[id.into(), until.into()]).await? == 1)
}

pub(super) async fn distrust(db: &mut impl Statements, id: DeviceId) -> Result<()> {
    let sql = "update devices set trusted_until = null where id = $1";
    db.execute(sql, &[id.into()]).await.map(drop)
}

pub(super) async fn distrust_all(db: &mut impl Statements, user: UserId) -> Result<()> {
    let sql = "update devices set trusted_until = null where user_id = $1 and trusted_until is not null";
    db.execute(sql, &[user.into()]).await.map(drop)
}

pub(super) async fn forget(db: &mut impl Statements, user: UserId, id: DeviceId) -> Result<bool> {
    let sql = "delete from devices where id = $1 and user_id = $2";
    Ok(db.execute(sql, &[id.into(), user.into()]).await? == 1)
}

pub(super) async fn forget_all(
    db: &mut impl Statements,
    user: UserId,
    except: Option<DeviceId>,
) -> Result<u64> {
    let except = except.map(|id| id.to_string()).unwrap_or_default();
    let sql = "delete from devices where user_id = $1 and id <> $2";
    db.execute(sql, &[user.into(), (&except).into()]).await
}

pub(super) async fn purge(db: &mut impl Statements, before: Timestamp) -> Result<u64> {
    let sql = "delete from devices where id in (select id from devices where last_sign_in_at < $1 limit 500)";
    db.execute(sql, &[before.into()]).await
}
