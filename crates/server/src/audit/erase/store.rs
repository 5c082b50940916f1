//! Rows of `erasures`, and what is personal in those of `audit_events`.
use super::super::StoredEvent;
use super::super::store::stored;
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements, Tx, Value};
use crate::ids::{RowId, UserId};

/// An account that was deleted.
pub(super) struct Erasure {
    pub(super) user: String,
    pub(super) identifiers: String,
    pub(super) due: Timestamp,
    pub(super) mac: Vec<u8>,
}

/// What an event is about.
#[derive(Clone, Copy)]
pub(super) enum About<'a> {
    User(&'a str),
    /// An address that belonged to nobody when it happened, by its keyed hash.
    Identifier(&'a str),
}

/// Events about a user that have the keyed hash of an address.
pub(super) async fn with_identifier(
    db: &mut impl Statements,
    user: UserId,
) -> Result<Vec<StoredEvent>, DbError> {
    let sql = "select coalesce(chain, ''), coalesce(seq, 0), id, at, kind, result, actor, user_id, session_id, request_id,
         identifier_hash, ip, user_agent, detail, personal_salt, personal_hash, hash, erased_by from audit_events
         where user_id = $1 and identifier_hash is not null";
    db.query(sql, &[user.into()]).await?.into_iter().map(stored).collect()
}

/// In the place of any that is there: no more than one can be right.
pub(super) async fn ask_erasure(db: &mut impl Statements, asked: &Erasure) -> Result<(), DbError> {
    let sql = "insert into erasures (user_id, identifiers, due_at, mac) values ($1, $2, $3, $4)
         on conflict (user_id) do update set identifiers = excluded.identifiers, due_at = excluded.due_at, mac = excluded.mac";
    let params = [
        asked.user.as_str().into(),
        asked.identifiers.as_str().into(),
        asked.due.into(),
        asked.mac.as_slice().into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

fn erasure(mut row: Row) -> Result<Erasure, DbError> {
    Ok(Erasure { user: row.text()?, identifiers: row.text()?, due: row.time()?, mac: row.bytes()? })
}

pub(super) async fn erasures_due(
    db: &mut impl Statements,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Erasure>, DbError> {
    let sql = "select user_id, identifiers, due_at, mac from erasures where due_at <= $1 order by due_at, user_id limit $2";
    db.query(sql, &[now.into(), limit.into()]).await?.into_iter().map(erasure).collect()
}

/// All of them after one, in the order of the users.
pub(super) async fn erasures_after(
    db: &mut impl Statements,
    after: &str,
    limit: i64,
) -> Result<Vec<Erasure>, DbError> {
    let sql =
        "select user_id, identifiers, due_at, mac from erasures where user_id > $1 order by user_id limit $2";
    db.query(sql, &[after.into(), limit.into()]).await?.into_iter().map(erasure).collect()
}

/// Puts another MAC to an erasure, unless it is another one by now.
pub(super) async fn sign(db: &mut impl Statements, asked: &Erasure, mac: &[u8]) -> Result<(), DbError> {
    let sql = "update erasures set mac = $1 where user_id = $2 and mac = $3";
    let params = [mac.into(), asked.user.as_str().into(), asked.mac.as_slice().into()];
    db.execute(sql, &params).await.map(drop)
}

pub(super) async fn erased(db: &mut impl Statements, user: &str) -> Result<(), DbError> {
    db.execute("delete from erasures where user_id = $1", &[user.into()]).await.map(drop)
}

/// Whether there is an account of this id.
pub(super) async fn is_there(db: &mut impl Statements, user: &str) -> Result<bool, DbError> {
    Ok(db.query_opt("select id from users where id = $1", &[user.into()]).await?.is_some())
}

/// What is not erased yet, in the order of the ids, after one of them. An event of the deletion that names no address is left out:
/// it keeps on whose authority it was done.
pub(super) async fn unerased(
    db: &mut impl Statements,
    about: About<'_>,
    after: &str,
    limit: i64,
) -> Result<Vec<StoredEvent>, DbError> {
    let of_user = "select coalesce(chain, ''), coalesce(seq, 0), id, at, kind, result, actor, user_id, session_id, request_id,
         identifier_hash, ip, user_agent, detail, personal_salt, personal_hash, hash, erased_by from audit_events
         where user_id = $1 and id > $2 and erased_by is null and kind <> 'personal_data_erased'
         and (kind <> 'user_deleted' or ip is not null) order by id limit $3";
    let of_identifier = "select coalesce(chain, ''), coalesce(seq, 0), id, at, kind, result, actor, user_id, session_id, request_id,
         identifier_hash, ip, user_agent, detail, personal_salt, personal_hash, hash, erased_by from audit_events
         where identifier_hash = $1 and id > $2 and user_id is null and erased_by is null order by id limit $3";
    let (sql, about) = match about {
        About::User(user) => (of_user, user),
        About::Identifier(hash) => (of_identifier, hash),
    };
    db.query(sql, &[about.into(), after.into(), limit.into()]).await?.into_iter().map(stored).collect()
}

/// Removes what is personal from events.
pub(super) async fn blank(tx: &mut Tx, events: &[RowId], erased_by: i64) -> Result<(), DbError> {
    let sql = "update audit_events set identifier_hash = null, ip = null, user_agent = null, request_id = null, detail = null,
         personal_salt = null, erased_by = $1 where id = $2";
    let sets: Vec<Vec<Value<'_>>> = events.iter().map(|id| vec![erased_by.into(), (*id).into()]).collect();
    tx.query_each(sql, &sets).await.map(drop)
}
