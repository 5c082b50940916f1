//! New rows of `webhook_deliveries`.
use super::Event;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx, Value};
use crate::ids::RowId;

/// Writes a row for each endpoint that is there and takes events.
pub(super) async fn insert(
    tx: &mut Tx,
    rows: &[(RowId, RowId)],
    event: &Event,
    now: Timestamp,
) -> Result<(), DbError> {
    let sql = "insert into webhook_deliveries
         (id, endpoint_id, type, user_id, session_id, reason, happened_at, attempts, next_attempt_at)
         select $1, id, $2, $3, $4, $5, $6, 0, $6 from webhook_endpoints where id = $7 and disabled_at is null";
    let sets: Vec<Vec<Value<'_>>> = rows
        .iter()
        .map(|(id, endpoint)| {
            vec![
                (*id).into(),
                event.what.name().into(),
                event.user.into(),
                event.session.into(),
                event.reason.into(),
                now.into(),
                (*endpoint).into(),
            ]
        })
        .collect();
    tx.query_each(sql, &sets).await.map(drop)
}
