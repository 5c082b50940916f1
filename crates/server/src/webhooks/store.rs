//! Rows of `webhook_endpoints`, and what becomes of those of `webhook_deliveries`.
//!
//! `next_attempt_at` is the queue: a row waits until then, a claimed row until its claim runs out, and a settled row for ever.
use super::{Delivery, Endpoint, Secrets, State};
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements};
use crate::ids::{RowId, SessionId, UserId};

type Result<T> = std::result::Result<T, DbError>;

/// `next_attempt_at` of a row that nobody has to look at again.
const NEVER: Timestamp = Timestamp(i64::MAX);

fn endpoint(mut row: Row) -> Result<Endpoint> {
    Ok(Endpoint {
        id: row.row_id()?,
        name: row.text()?,
        url: row.text()?,
        types: row.text()?.split(' ').map(str::to_owned).collect(),
        secrets: Secrets {
            current: row.bytes()?,
            former: row.maybe_bytes()?,
            former_until: row.maybe_time()?,
        },
        created_at: row.time()?,
        disabled_at: row.maybe_time()?,
        disabled_reason: row.maybe_text()?,
        failing_since: row.maybe_time()?,
        full_since: row.maybe_time()?,
    })
}

pub(super) async fn insert(db: &mut impl Statements, new: &Endpoint) -> Result<()> {
    let sql = "insert into webhook_endpoints (id, name, url, types, secret, created_at)
         values ($1, $2, $3, $4, $5, $6)";
    let types = new.types.join(" ");
    let params = [
        new.id.into(),
        (&new.name).into(),
        (&new.url).into(),
        (&types).into(),
        (&new.secrets.current).into(),
        new.created_at.into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

pub(super) async fn all(db: &mut impl Statements) -> Result<Vec<Endpoint>> {
    let sql = "select id, name, url, types, secret, former_secret, former_until, created_at, disabled_at,
         disabled_reason, failing_since, full_since from webhook_endpoints order by id";
    db.query(sql, &[]).await?.into_iter().map(endpoint).collect()
}

pub(super) async fn find(db: &mut impl Statements, id: RowId) -> Result<Option<Endpoint>> {
    let sql = "select id, name, url, types, secret, former_secret, former_until, created_at, disabled_at,
         disabled_reason, failing_since, full_since from webhook_endpoints where id = $1";
    db.query_opt(sql, &[id.into()]).await?.map(endpoint).transpose()
}

/// Replaces the secrets, provided that the current one is still the one that was read.
pub(super) async fn set_secrets(
    db: &mut impl Statements,
    id: RowId,
    read: &[u8],
    new: &Secrets,
) -> Result<bool> {
    let sql = "update webhook_endpoints set secret = $1, former_secret = $2, former_until = $3
         where id = $4 and secret = $5";
    let params = [
        (&new.current).into(),
        new.former.as_deref().into(),
        new.former_until.into(),
        id.into(),
        read.into(),
    ];
    Ok(db.execute(sql, &params).await? == 1)
}

pub(super) async fn enable(db: &mut impl Statements, id: RowId) -> Result<bool> {
    let sql = "update webhook_endpoints set disabled_at = null, disabled_reason = null, failing_since = null
         where id = $1 and disabled_at is not null";
    Ok(db.execute(sql, &[id.into()]).await? == 1)
}

pub(super) async fn disable(
    db: &mut impl Statements,
    id: RowId,
    reason: &str,
    now: Timestamp,
) -> Result<bool> {
    let sql = "update webhook_endpoints set disabled_at = $1, disabled_reason = $2
         where id = $3 and disabled_at is null";
    Ok(db.execute(sql, &[now.into(), reason.into(), id.into()]).await? == 1)
}

/// Notes that an attempt failed, if those before it did not.
pub(super) async fn failed(db: &mut impl Statements, id: RowId, now: Timestamp) -> Result<()> {
    let sql = "update webhook_endpoints set failing_since = $1 where id = $2 and failing_since is null";
    db.execute(sql, &[now.into(), id.into()]).await.map(drop)
}

pub(super) async fn works(db: &mut impl Statements, id: RowId) -> Result<()> {
    let sql = "update webhook_endpoints set failing_since = null where id = $1 and failing_since is not null";
    db.execute(sql, &[id.into()]).await.map(drop)
}

/// Disables an endpoint that has failed all the time since before an instant.
pub(super) async fn disable_failing(
    db: &mut impl Statements,
    id: RowId,
    since: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    let sql = "update webhook_endpoints set disabled_at = $1, disabled_reason = 'failing'
         where id = $2 and disabled_at is null and failing_since <= $3";
    Ok(db.execute(sql, &[now.into(), id.into(), since.into()]).await? == 1)
}

pub(super) async fn set_full(db: &mut impl Statements, id: RowId, now: Timestamp) -> Result<bool> {
    let sql = "update webhook_endpoints set full_since = $1 where id = $2 and full_since is null";
    Ok(db.execute(sql, &[now.into(), id.into()]).await? == 1)
}

pub(super) async fn clear_full(db: &mut impl Statements, id: RowId) -> Result<()> {
    let sql = "update webhook_endpoints set full_since = null where id = $1 and full_since is not null";
    db.execute(sql, &[id.into()]).await.map(drop)
}

pub(super) async fn delete(db: &mut impl Statements, id: RowId) -> Result<bool> {
    let sql = "delete from webhook_endpoints where id = $1";
    let deleted = db.execute(sql, &[id.into()]).await? == 1;
    db.execute("delete from webhook_deliveries where endpoint_id = $1", &[id.into()]).await?;
    Ok(deleted)
}

/// How many deliveries wait for an endpoint, counted up to a limit.
pub(super) async fn waiting(db: &mut impl Statements, id: RowId, limit: i64) -> Result<i64> {
    let sql = "select count(*) from (select 1 from webhook_deliveries
         where endpoint_id = $1 and next_attempt_at < $2 limit $3) as waiting";
    let found = db.query_opt(sql, &[id.into(), NEVER.into(), limit.into()]).await?;
    found.map_or(Ok(0), |mut row| row.int())
}

fn delivery(mut row: Row) -> Result<Delivery> {
    let (id, endpoint, kind) = (row.row_id()?, row.row_id()?, row.text()?);
    Ok(Delivery {
        id,
        endpoint,
        kind,
        user: row.maybe_text()?.as_deref().and_then(UserId::parse),
        session: row.maybe_text()?.as_deref().and_then(SessionId::parse),
        reason: row.maybe_text()?,
        happened_at: row.time()?,
        attempts: row.int()?,
        next_attempt_at: row.time()?,
        delivered_at: row.maybe_time()?,
        dead_at: row.maybe_time()?,
        last_attempt_at: row.maybe_time()?,
        last_status: row.maybe_int()?,
        last_error: row.maybe_text()?,
    })
}

/// What has to be tried now, longest due first.
pub(super) async fn due(
    db: &mut impl Statements,
    endpoint: RowId,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Delivery>> {
    let sql = "select id, endpoint_id, type, user_id, session_id, reason, happened_at, attempts,
         next_attempt_at, delivered_at, dead_at, last_attempt_at, last_status, last_error
         from webhook_deliveries where endpoint_id = $1 and next_attempt_at <= $2
         order by next_attempt_at, id limit $3";
    let rows = db.query(sql, &[endpoint.into(), now.into(), limit.into()]).await?;
    rows.into_iter().map(delivery).collect()
}

/// Whether the row is now this node's alone, until the claim runs out. Asks whether the endpoint is enabled at this moment: what the
/// worker knows of endpoints is older.
pub(super) async fn claim(db: &mut impl Statements, row: &Delivery, until: Timestamp) -> Result<bool> {
    let sql = "update webhook_deliveries set next_attempt_at = $1 where id = $2 and next_attempt_at = $3
         and endpoint_id in (select id from webhook_endpoints where id = $4 and disabled_at is null)";
    let params = [until.into(), row.id.into(), row.next_attempt_at.into(), row.endpoint.into()];
    Ok(db.execute(sql, &params).await? == 1)
}

/// What came of an attempt.
pub(super) struct Tried<'a> {
    pub(super) id: RowId,
    pub(super) claimed_until: Timestamp,
    pub(super) now: Timestamp,
    pub(super) status: Option<i64>,
    pub(super) error: &'a str,
}

pub(super) async fn delivered(db: &mut impl Statements, tried: &Tried<'_>) -> Result<()> {
    // Also when the claim ran out meanwhile: it was taken.
    let sql = "update webhook_deliveries set delivered_at = $1, last_attempt_at = $1, next_attempt_at = $2,
         attempts = attempts + 1, last_status = $3, last_error = null, dead_at = null
         where id = $4 and delivered_at is null";
    let params = [tried.now.into(), NEVER.into(), tried.status.into(), tried.id.into()];
    db.execute(sql, &params).await.map(drop)
}

/// Puts a claimed row back; nothing when the claim ran out and somebody else has the row.
pub(super) async fn retry(db: &mut impl Statements, tried: &Tried<'_>, at: Timestamp) -> Result<()> {
    let sql = "update webhook_deliveries set next_attempt_at = $1, last_attempt_at = $2,
         attempts = attempts + 1, last_status = $3, last_error = $4
         where id = $5 and next_attempt_at = $6";
    let params = [
        at.into(),
        tried.now.into(),
        tried.status.into(),
        tried.error.into(),
        tried.id.into(),
        tried.claimed_until.into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

pub(super) async fn give_up(db: &mut impl Statements, tried: &Tried<'_>) -> Result<()> {
    let sql = "update webhook_deliveries set dead_at = $1, last_attempt_at = $1, next_attempt_at = $2,
         attempts = attempts + 1, last_status = $3, last_error = $4
         where id = $5 and next_attempt_at = $6";
    let params = [
        tried.now.into(),
        NEVER.into(),
        tried.status.into(),
        tried.error.into(),
        tried.id.into(),
        tried.claimed_until.into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

pub(super) async fn find_delivery(db: &mut impl Statements, id: RowId) -> Result<Option<Delivery>> {
    let sql = "select id, endpoint_id, type, user_id, session_id, reason, happened_at, attempts,
         next_attempt_at, delivered_at, dead_at, last_attempt_at, last_status, last_error
         from webhook_deliveries where id = $1";
    db.query_opt(sql, &[id.into()]).await?.map(delivery).transpose()
}

/// Deliveries of an endpoint, newest first, older than a cursor.
pub(super) async fn deliveries(
    db: &mut impl Statements,
    endpoint: RowId,
    state: Option<State>,
    before: Option<RowId>,
    limit: i64,
) -> Result<Vec<Delivery>> {
    let sql = "select id, endpoint_id, type, user_id, session_id, reason, happened_at, attempts,
         next_attempt_at, delivered_at, dead_at, last_attempt_at, last_status, last_error
         from webhook_deliveries where endpoint_id = $1 and id < $2
         and ($3 = '' or case when delivered_at is not null then 'delivered'
         when dead_at is not null then 'dead' else 'waiting' end = $3) order by id desc limit $4";
    // Behind every id.
    let before = before.map_or_else(|| "g".to_owned(), |id| id.to_string());
    let state = state.map_or("", State::name);
    let params = [endpoint.into(), (&before).into(), state.into(), limit.into()];
    db.query(sql, &params).await?.into_iter().map(delivery).collect()
}

/// Makes one delivery due anew, as if it had never been tried; not while it is being tried for the first time.
pub(super) async fn replay(db: &mut impl Statements, id: RowId, now: Timestamp) -> Result<bool> {
    let sql = "update webhook_deliveries set next_attempt_at = $1, attempts = 0, delivered_at = null, dead_at = null
         where id = $2 and last_attempt_at is not null";
    Ok(db.execute(sql, &[now.into(), id.into()]).await? == 1)
}

/// Makes what was given up since an instant due anew, oldest first, at most so many.
pub(super) async fn replay_dead(
    db: &mut impl Statements,
    endpoint: RowId,
    since: Timestamp,
    now: Timestamp,
    limit: i64,
) -> Result<u64> {
    let sql = "update webhook_deliveries set next_attempt_at = $1, attempts = 0, dead_at = null
         where id in (select id from webhook_deliveries where endpoint_id = $2 and dead_at >= $3
         order by dead_at, id limit $4)";
    db.execute(sql, &[now.into(), endpoint.into(), since.into(), limit.into()]).await
}

/// Removes a batch of what is done with; returns how many rows.
pub(super) async fn purge(
    db: &mut impl Statements,
    delivered_before: Timestamp,
    dead_before: Timestamp,
) -> Result<u64> {
    let sql = "delete from webhook_deliveries where id in (select id from webhook_deliveries
         where delivered_at < $1 order by delivered_at limit 500)";
    let delivered = db.execute(sql, &[delivered_before.into()]).await?;
    let sql = "delete from webhook_deliveries where id in (select id from webhook_deliveries
         where dead_at < $1 limit 500)";
    let dead = db.execute(sql, &[dead_before.into()]).await?;
    let sql = "delete from webhook_deliveries where id in (select id from webhook_deliveries
         where endpoint_id in (select id from webhook_endpoints where disabled_at < $1)
         and next_attempt_at < $1 limit 500)";
    let left = db.execute(sql, &[dead_before.into()]).await?;
    Ok(delivered + dead + left)
}

/// Removes a batch of what was written for an endpoint while somebody deleted it; returns how many rows. Walks from one endpoint to the next
/// by the index, since hardly anything is ever found.
pub(super) async fn purge_orphans(db: &mut impl Statements) -> Result<u64> {
    let mut after = String::new();
    loop {
        let sql =
            "select endpoint_id from webhook_deliveries where endpoint_id > $1 order by endpoint_id limit 1";
        let Some(mut row) = db.query_opt(sql, &[(&after).into()]).await? else { return Ok(0) };
        after = row.text()?;
        let sql = "select id from webhook_endpoints where id = $1";
        if db.query_opt(sql, &[(&after).into()]).await?.is_none() {
            let sql = "delete from webhook_deliveries where id in
                 (select id from webhook_deliveries where endpoint_id = $1 limit 500)";
            return db.execute(sql, &[(&after).into()]).await;
        }
    }
}
