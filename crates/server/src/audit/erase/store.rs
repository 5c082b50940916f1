//! Rows of `erasures`, and what is personal in those of `audit_events`.
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements, Tx, Value};
use crate::ids::{RowId, UserId};

/// Where an event is.
pub(super) struct Place {
    pub(super) id: RowId,
    pub(super) chain: Option<String>,
    pub(super) seq: i64,
}

/// An account that was deleted.
pub(super) struct Erasure {
    pub(super) user: String,
    pub(super) identifiers: String,
}

/// Keyed hashes of addresses in the events about a user.
pub(super) async fn identifiers_of(db: &mut impl Statements, user: UserId) -> Result<Vec<String>, DbError> {
    let sql = "select distinct identifier_hash from audit_events where user_id = $1 and identifier_hash is not null";
    db.query(sql, &[user.into()]).await?.into_iter().map(|mut row| row.text()).collect()
}

pub(super) async fn ask_erasure(
    db: &mut impl Statements,
    user: UserId,
    identifiers: &str,
    due: Timestamp,
) -> Result<(), DbError> {
    let sql =
        "insert into erasures (user_id, identifiers, due_at) values ($1, $2, $3) on conflict do nothing";
    db.execute(sql, &[user.into(), identifiers.into(), due.into()]).await.map(drop)
}

pub(super) async fn erasures_due(
    db: &mut impl Statements,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Erasure>, DbError> {
    let sql =
        "select user_id, identifiers from erasures where due_at <= $1 order by due_at, user_id limit $2";
    let rows = db.query(sql, &[now.into(), limit.into()]).await?;
    rows.into_iter().map(|mut row| Ok(Erasure { user: row.text()?, identifiers: row.text()? })).collect()
}

pub(super) async fn erased(db: &mut impl Statements, user: &str) -> Result<(), DbError> {
    db.execute("delete from erasures where user_id = $1", &[user.into()]).await.map(drop)
}

fn place(mut row: Row) -> Result<Place, DbError> {
    Ok(Place { id: row.row_id()?, chain: row.maybe_text()?, seq: row.maybe_int()?.unwrap_or_default() })
}

/// That of the deletion, if it names no address, keeps on whose authority it was done.
pub(super) async fn unerased_of_user(
    db: &mut impl Statements,
    user: &str,
    limit: i64,
) -> Result<Vec<Place>, DbError> {
    let sql = "select id, chain, seq from audit_events
         where user_id = $1 and erased_by is null and kind <> 'personal_data_erased'
         and (kind <> 'user_deleted' or ip is not null) order by id limit $2";
    db.query(sql, &[user.into(), limit.into()]).await?.into_iter().map(place).collect()
}

/// Of an address that belonged to nobody when they happened.
pub(super) async fn unerased_of_identifier(
    db: &mut impl Statements,
    identifier: &str,
    limit: i64,
) -> Result<Vec<Place>, DbError> {
    let sql = "select id, chain, seq from audit_events
         where identifier_hash = $1 and user_id is null and erased_by is null order by id limit $2";
    db.query(sql, &[identifier.into(), limit.into()]).await?.into_iter().map(place).collect()
}

/// Removes what is personal from events.
pub(super) async fn blank(tx: &mut Tx, events: &[RowId], erased_by: i64) -> Result<(), DbError> {
    let sql = "update audit_events set identifier_hash = null, ip = null, user_agent = null, request_id = null, detail = null,
         personal_salt = null, erased_by = $1 where id = $2";
    let sets: Vec<Vec<Value<'_>>> = events.iter().map(|id| vec![erased_by.into(), (*id).into()]).collect();
    tx.query_each(sql, &sets).await.map(drop)
}
