//! Rows of `audit_events`.
use super::EventView;
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements};
use crate::ids::{RowId, SessionId, UserId};

pub(super) struct NewEvent<'a> {
    pub(super) id: RowId,
    pub(super) at: Timestamp,
    pub(super) kind: &'static str,
    pub(super) result: &'static str,
    pub(super) user: Option<UserId>,
    pub(super) session: Option<SessionId>,
    pub(super) identifier_hash: Option<&'a str>,
    pub(super) ip: String,
    pub(super) agent: Option<&'a str>,
    pub(super) detail: Option<String>,
}

pub(super) async fn insert(db: &mut impl Statements, event: &NewEvent<'_>) -> Result<(), DbError> {
    let sql = "insert into audit_events (id, at, kind, result, user_id, session_id, identifier_hash, ip, user_agent, detail)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let params = [
        event.id.into(),
        event.at.into(),
        event.kind.into(),
        event.result.into(),
        event.user.into(),
        event.session.into(),
        event.identifier_hash.into(),
        (&event.ip).into(),
        event.agent.into(),
        event.detail.as_deref().into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

pub(super) async fn of_user(
    db: &mut impl Statements,
    user: UserId,
    before: Option<RowId>,
    limit: i64,
) -> Result<Vec<EventView>, DbError> {
    let sql = "select id, at, kind, result, session_id, ip, user_agent, detail from audit_events
         where user_id = $1 and id < $2 order by id desc limit $3";
    // Ids are hexadecimal: this is after all of them.
    let before = before.map_or_else(|| "g".to_owned(), |id| id.to_string());
    let rows = db.query(sql, &[user.into(), (&before).into(), limit.into()]).await?;
    rows.into_iter().map(view).collect()
}

fn view(mut row: Row) -> Result<EventView, DbError> {
    Ok(EventView {
        id: row.text()?,
        at: row.time()?.rfc3339(),
        kind: row.text()?,
        result: row.text()?,
        session_id: row.maybe_text()?,
        ip: row.maybe_text()?,
        user_agent: row.maybe_text()?,
        detail: row.maybe_text()?.and_then(|text| serde_json::from_str(&text).ok()),
    })
}
