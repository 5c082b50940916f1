//! Looking through the log from its end or from its beginning. An index for every filter would cost every event; instead a search or a
//! step of a walk looks at so many rows at most and says from where to go on, so that no statement takes long however rare the kind is.
use super::{Filter, StoredEvent, store};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::Result;
use crate::ids::RowId;
use std::time::Duration;
use uuid::Uuid;

/// Rows read at a time.
const CHUNK: usize = 1000;
/// Rows that one search looks at.
const LOOKED_AT: usize = 10_000;
/// Longer than the commit of an event takes after the instant that it tells, and than clocks of nodes differ.
const SLACK: Duration = Duration::from_secs(60);

/// What a search has found.
#[derive(Debug)]
pub struct Searched {
    /// Newest first.
    pub events: Vec<StoredEvent>,
    /// From where to go on; nothing at the end.
    pub next: Option<RowId>,
}

/// Events that pass a filter, newest first, at most `limit`, older than `before`. There may be fewer of them, even none, with more to
/// come behind `next`.
///
/// # Errors
/// The database's.
pub async fn search(db: &Db, filter: &Filter, before: Option<RowId>, limit: usize) -> Result<Searched> {
    let mut cursor =
        [before, filter.until.map(|until| first_at(until.plus(SLACK)))].into_iter().flatten().min();
    let mut events = Vec::new();
    for _ in 0..LOOKED_AT.div_ceil(CHUNK) {
        let rows =
            store::before(&mut &*db, filter.user, cursor, i64::try_from(CHUNK).unwrap_or(i64::MAX)).await?;
        let last = rows.len() < CHUNK;
        for row in rows {
            if filter.since.is_some_and(|since| !row.id.made_after(since.minus(SLACK))) {
                return Ok(Searched { events, next: None });
            }
            cursor = Some(row.id);
            if passes(filter, &row) {
                events.push(row);
            }
            if events.len() == limit {
                return Ok(Searched { events, next: cursor });
            }
        }
        if last {
            return Ok(Searched { events, next: None });
        }
    }
    Ok(Searched { events, next: cursor })
}

/// A step of a walk.
#[derive(Debug)]
pub struct Walked {
    /// Oldest first.
    pub events: Vec<StoredEvent>,
    /// From where to go on; nothing at the end.
    pub next: Option<RowId>,
}

/// Looks at the next [`CHUNK`] events after one of them, oldest first, and returns those that pass a filter; there may be none, with more
/// to come behind `next`. Ends before what was made after `until`.
///
/// # Errors
/// The database's.
pub async fn walk(
    db: &Db,
    filter: &Filter,
    after: Option<RowId>,
    until: Option<Timestamp>,
) -> Result<Walked> {
    let from = after.max(filter.since.map(|since| first_at(since.minus(SLACK))));
    let until = [until, filter.until.map(|until| until.plus(SLACK))].into_iter().flatten().min();
    let limit = i64::try_from(CHUNK).unwrap_or(i64::MAX);
    let mut rows = store::after(&mut &*db, filter.user, from, limit).await?;
    let mut more = rows.len() == CHUNK;
    if let Some(end) = until.and_then(|until| rows.iter().position(|row| row.id.made_after(until))) {
        rows.truncate(end);
        more = false;
    }
    let next = rows.last().map(|row| row.id).filter(|_| more);
    rows.retain(|row| passes(filter, row));
    Ok(Walked { events: rows, next })
}

fn passes(filter: &Filter, row: &StoredEvent) -> bool {
    filter.kind.is_none_or(|kind| kind.name() == row.kind)
        && filter.failed.is_none_or(|failed| (row.result == "failure") == failed)
        && filter.since.is_none_or(|since| row.at >= since)
        && filter.until.is_none_or(|until| row.at < until)
}

/// The first id of a millisecond (RFC 9562 5.7: 48 bits of time come first).
fn first_at(at: Timestamp) -> RowId {
    let millis = u64::try_from(at.micros().div_euclid(1000)).unwrap_or(0);
    RowId(Uuid::from_u128(u128::from(millis) << 80))
}
