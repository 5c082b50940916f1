//! Rows of `signing_keys` and the secret key's name in `meta`.
use super::StoredKey;
use crate::clock::Timestamp;
use crate::db::{DbError, Kind, Row, Statements};
use hallpass_crypto::jwk::Algorithm;

type Result<T> = std::result::Result<T, DbError>;

pub(super) async fn all(db: &mut impl Statements) -> Result<Vec<StoredKey>> {
    let sql = "select kid, algorithm, sealed_private, public_jwk, created_at, signs_from, retired_at
         from signing_keys order by created_at, kid";
    db.query(sql, &[]).await?.into_iter().map(key).collect()
}

fn key(mut row: Row) -> Result<StoredKey> {
    let kid = row.text()?;
    let name = row.text()?;
    let algorithm = Algorithm::from_name(&name);
    let unknown = || DbError {
        kind: Kind::Decode,
        message: format!("signing key {kid} has the unknown algorithm {name}"),
    };
    Ok(StoredKey {
        algorithm: algorithm.ok_or_else(unknown)?,
        kid,
        sealed_private: row.maybe_bytes()?,
        public_jwk: row.maybe_text()?,
        created_at: row.time()?,
        signs_from: row.time()?,
        retired_at: row.maybe_time()?,
    })
}

pub(super) async fn insert(db: &mut impl Statements, key: &StoredKey) -> Result<()> {
    let sql = "insert into signing_keys (kid, algorithm, sealed_private, public_jwk, created_at, signs_from)
         values ($1, $2, $3, $4, $5, $6)";
    let params = [
        (&key.kid).into(),
        key.algorithm.name().into(),
        key.sealed_private.as_deref().into(),
        key.public_jwk.as_deref().into(),
        key.created_at.into(),
        key.signs_from.into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

/// A symmetric key keeps its secret until it is gone, since it verifies with it.
pub(super) async fn retire(db: &mut impl Statements, kid: &str, now: Timestamp) -> Result<()> {
    let sql = "update signing_keys set retired_at = $2,
         sealed_private = case when public_jwk is null then sealed_private else null end
         where kid = $1 and retired_at is null";
    db.execute(sql, &[kid.into(), now.into()]).await.map(drop)
}

/// Unless it was retired meanwhile.
pub(super) async fn reseal(db: &mut impl Statements, kid: &str, sealed: &[u8]) -> Result<()> {
    let sql = "update signing_keys set sealed_private = $2 where kid = $1 and sealed_private is not null";
    db.execute(sql, &[kid.into(), sealed.into()]).await.map(drop)
}

pub(super) async fn remove(db: &mut impl Statements, kid: &str) -> Result<()> {
    db.execute("delete from signing_keys where kid = $1", &[kid.into()]).await.map(drop)
}

pub(super) async fn fingerprint(db: &mut impl Statements) -> Result<Option<String>> {
    let row = db.query_opt("select value from meta where name = 'secret_key'", &[]).await?;
    row.map(|mut row| row.text()).transpose()
}

pub(super) async fn set_fingerprint(db: &mut impl Statements, value: &str) -> Result<()> {
    let sql = "insert into meta (name, value) values ('secret_key', $1)
         on conflict (name) do update set value = excluded.value";
    db.execute(sql, &[value.into()]).await.map(drop)
}
