//! Rows of `service_keys`.
use super::{Scope, ServiceKey};
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements};
use crate::ids::RowId;

type Result<T> = std::result::Result<T, DbError>;

fn key(mut row: Row) -> Result<ServiceKey> {
    Ok(ServiceKey {
        id: row.row_id()?,
        name: row.text()?,
        scopes: row.text()?.split(' ').filter_map(Scope::from_name).collect(),
        created_at: row.time()?,
        expires_at: row.maybe_time()?,
        last_used_at: row.maybe_time()?,
        revoked_at: row.maybe_time()?,
    })
}

pub(super) async fn insert(db: &mut impl Statements, key: &ServiceKey, hash: &[u8; 32]) -> Result<()> {
    let sql = "insert into service_keys (id, name, secret_hash, scopes, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6)";
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
    let scopes = scopes.join(" ");
    let params = [
        key.id.into(),
        (&key.name).into(),
        hash.into(),
        (&scopes).into(),
        key.created_at.into(),
        key.expires_at.into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

pub(super) async fn all(db: &mut impl Statements) -> Result<Vec<ServiceKey>> {
    let sql = "select id, name, scopes, created_at, expires_at, last_used_at, revoked_at from service_keys
         order by created_at, id";
    db.query(sql, &[]).await?.into_iter().map(key).collect()
}

pub(super) async fn find(db: &mut impl Statements, id: RowId) -> Result<Option<ServiceKey>> {
    let sql = "select id, name, scopes, created_at, expires_at, last_used_at, revoked_at from service_keys
         where id = $1";
    db.query_opt(sql, &[id.into()]).await?.map(key).transpose()
}

pub(super) async fn find_by_hash(db: &mut impl Statements, hash: &[u8; 32]) -> Result<Option<ServiceKey>> {
    let sql = "select id, name, scopes, created_at, expires_at, last_used_at, revoked_at from service_keys
         where secret_hash = $1";
    db.query_opt(sql, &[hash.into()]).await?.map(key).transpose()
}

pub(super) async fn used(
    db: &mut impl Statements,
    id: RowId,
    now: Timestamp,
    before: Timestamp,
) -> Result<()> {
    let sql = "update service_keys set last_used_at = $2
         where id = $1 and (last_used_at is null or last_used_at <= $3)";
    db.execute(sql, &[id.into(), now.into(), before.into()]).await.map(drop)
}

pub(super) async fn revoke(db: &mut impl Statements, id: RowId, now: Timestamp) -> Result<bool> {
    let sql = "update service_keys set revoked_at = $2 where id = $1 and revoked_at is null";
    Ok(db.execute(sql, &[id.into(), now.into()]).await? == 1)
}
