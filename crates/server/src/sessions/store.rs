//! Rows of `sessions`.
use super::access::Named;
use super::{Delivery, Impersonator, Session};
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::db::{Db, DbError, Row, Statements, Value};
use crate::ids::{DeviceId, SessionId, UserId};
use crate::presence::Seen;
use crate::shared_rows::{self, Wanted};
use hallpass_crypto::rotation::{Chain, Origin};

type Result<T> = std::result::Result<T, DbError>;

fn number(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn session(row: &mut Row) -> Result<Session> {
    Ok(Session {
        id: row.session_id()?,
        user_id: row.user_id()?,
        client_id: row.text()?,
        generation: number(row.int()?),
        confirmed_at: row.maybe_time()?,
        delivery: Delivery::from_name(&row.text()?),
        amr: row.text()?,
        auth_time: row.time()?,
        ip: row.text()?,
        user_agent: row.maybe_text()?,
        device_name: row.maybe_text()?,
        device: row.maybe_device_id()?,
        created_at: row.time()?,
        last_seen_at: row.time()?,
        expires_at: row.time()?,
        absolute_expires_at: row.time()?,
        revoked_at: row.maybe_time()?,
        factor_at: row.maybe_time()?,
        impersonator: impersonator(row)?,
    })
}

fn impersonator(row: &mut Row) -> Result<Option<Impersonator>> {
    let (user, session) = (row.maybe_text()?, row.maybe_text()?);
    let user = user.as_deref().and_then(UserId::parse);
    let session = session.as_deref().and_then(SessionId::parse);
    Ok(user.zip(session).map(|(user, session)| Impersonator { user, session }))
}

pub(super) async fn insert(
    db: &mut impl Statements,
    session: &Session,
    token_hash: &[u8; 32],
    origin: &Origin,
) -> Result<()> {
    let sql = "insert into sessions (id, user_id, client_id, generation, current_hash, rotated_at, rotated_network,
         rotated_agent, delivery, amr, auth_time, ip, user_agent, device_name, created_at, last_seen_at, expires_at,
         absolute_expires_at, factor_at, device_id, impersonator_id, impersonator_session_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $18, $11, $12, $13, $6, $6, $14, $15, $16, $17, $19, $20)";
    let by = session.impersonator.map(|by| (by.user.to_string(), by.session.to_string()));
    let params = [
        session.id.into(),
        session.user_id.into(),
        (&session.client_id).into(),
        i64::from(session.generation).into(),
        token_hash.into(),
        session.created_at.into(),
        (&origin.network).into(),
        (&origin.agent).into(),
        session.delivery.name().into(),
        (&session.amr).into(),
        (&session.ip).into(),
        session.user_agent.as_deref().into(),
        session.device_name.as_deref().into(),
        session.expires_at.into(),
        session.absolute_expires_at.into(),
        session.factor_at.into(),
        session.device.into(),
        session.auth_time.into(),
        by.as_ref().map(|(user, _)| user.as_str()).into(),
        by.as_ref().map(|(_, session)| session.as_str()).into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

/// What a rotation writes.
pub(super) struct Rotation<'a> {
    pub(super) id: SessionId,
    pub(super) presented_hash: [u8; 32],
    pub(super) successor_hash: [u8; 32],
    pub(super) handover: &'a [u8],
    pub(super) origin: &'a Origin,
    pub(super) idle_until: Timestamp,
    pub(super) now: Timestamp,
}

/// The one compare-and-set of a rotation. `None` when the presented token is not the current one of a live session.
pub(super) async fn rotate(db: &Db, rotation: &Rotation<'_>) -> Result<Option<Session>> {
    let sql =
        "update sessions set generation = generation + 1, current_hash = $3, previous_hash = current_hash,
         handover = $4, rotated_at = $5, rotated_network = $6, rotated_agent = $7, confirmed_at = null,
         last_seen_at = $5,
         expires_at = case when absolute_expires_at < $8 then absolute_expires_at else $8 end
         where id = $1 and current_hash = $2 and revoked_at is null and expires_at > $5
         returning id, user_id, client_id, generation, confirmed_at, delivery, amr, auth_time, ip, user_agent,
         device_name, device_id, created_at, last_seen_at, expires_at, absolute_expires_at, revoked_at, factor_at, impersonator_id, impersonator_session_id";
    let params = [
        rotation.id.into(),
        (&rotation.presented_hash).into(),
        (&rotation.successor_hash).into(),
        rotation.handover.into(),
        rotation.now.into(),
        (&rotation.origin.network).into(),
        (&rotation.origin.agent).into(),
        rotation.idle_until.into(),
    ];
    db.write(sql, &params).await?.first_mut().map(session).transpose()
}

/// The chain of a session, for the unhappy path.
pub(super) async fn chain(
    db: &mut impl Statements,
    id: SessionId,
) -> Result<Option<(Session, Chain, Option<Vec<u8>>)>> {
    let sql = "select id, user_id, client_id, generation, confirmed_at, delivery, amr, auth_time, ip, user_agent,
         device_name, device_id, created_at, last_seen_at, expires_at, absolute_expires_at, revoked_at, factor_at, impersonator_id, impersonator_session_id,
         current_hash, previous_hash, rotated_at, rotated_network, rotated_agent, late_retry_generation, handover
         from sessions where id = $1";
    let Some(mut row) = db.query_opt(sql, &[id.into()]).await? else {
        return Ok(None);
    };
    let session = session(&mut row)?;
    let chain = Chain {
        generation: session.generation,
        confirmed_at: session.confirmed_at.map(Timestamp::micros),
        current_hash: row.digest()?,
        previous_hash: row.maybe_digest()?,
        rotated_at: row.int()?,
        rotated_from: Origin { network: row.text()?, agent: row.text()? },
        late_retry_generation: row.maybe_int()?.map(number),
    };
    Ok(Some((session, chain, row.maybe_bytes()?)))
}

/// Notes a late retry, unless the generation has moved on or was seen meanwhile.
pub(super) async fn late_retry(db: &mut impl Statements, id: SessionId, generation: u32) -> Result<bool> {
    let sql = "update sessions set late_retry_generation = $2
         where id = $1 and generation = $2 and confirmed_at is null and revoked_at is null";
    Ok(db.execute(sql, &[id.into(), i64::from(generation).into()]).await? == 1)
}

pub(super) async fn seen(db: &Db, sightings: &[(SessionId, Seen)]) -> Result<()> {
    let sql = "update sessions set
         last_seen_at = case when last_seen_at < $2 then $2 else last_seen_at end,
         confirmed_at = case when generation = $3 and confirmed_at is null then $2 else confirmed_at end
         where id = $1 and revoked_at is null";
    let values = |(id, seen): &(SessionId, Seen)| {
        vec![(*id).into(), seen.at.into(), i64::from(seen.generation).into()]
    };
    let sets: Vec<Vec<Value<'_>>> = sightings.iter().map(values).collect();
    db.write_each(sql, &sets).await
}

const FIND: &str =
    "select id, user_id, client_id, generation, confirmed_at, delivery, amr, auth_time, ip, user_agent,
     device_name, device_id, created_at, last_seen_at, expires_at, absolute_expires_at, revoked_at, factor_at, impersonator_id, impersonator_session_id
     from sessions where id = $1";

pub(super) async fn find(db: &mut impl Statements, id: SessionId) -> Result<Option<Session>> {
    db.query_opt(FIND, &[id.into()]).await?.map(|mut row| session(&mut row)).transpose()
}

/// As [`find`] for a token of this generation; a live one also as another node has read it since that was issued.
pub(super) async fn find_known(app: &Inner, named: Named, now: Timestamp) -> Result<Option<Session>> {
    let wanted = Wanted { sql: FIND, user: named.user, session: Some(named.session) };
    let serves = |session: &Session| {
        session.revoked_at.is_none() && session.expires_at > now && session.generation >= named.generation
    };
    shared_rows::read(app.shared_rows.as_ref(), &app.db, wanted, now, session, serves).await
}

pub(super) async fn live_of_user(
    db: &mut impl Statements,
    user: UserId,
    now: Timestamp,
) -> Result<Vec<Session>> {
    let sql =
        "select id, user_id, client_id, generation, confirmed_at, delivery, amr, auth_time, ip, user_agent,
         device_name, device_id, created_at, last_seen_at, expires_at, absolute_expires_at, revoked_at, factor_at, impersonator_id, impersonator_session_id
         from sessions where user_id = $1 and revoked_at is null and expires_at > $2 order by created_at, id";
    let rows = db.query(sql, &[user.into(), now.into()]).await?;
    rows.into_iter().map(|mut row| session(&mut row)).collect()
}

pub(super) async fn revoke(
    db: &mut impl Statements,
    id: SessionId,
    reason: &str,
    now: Timestamp,
) -> Result<Option<UserId>> {
    let sql = "update sessions set revoked_at = $3, revoked_reason = $2, handover = null
         where id = $1 and revoked_at is null and expires_at > $3 returning user_id";
    let ended = db.query_opt(sql, &[id.into(), reason.into(), now.into()]).await?;
    ended.map(|mut row| row.user_id()).transpose()
}

pub(super) async fn revoke_all(
    db: &mut impl Statements,
    user: UserId,
    except: Option<SessionId>,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<SessionId>> {
    let sql = "update sessions set revoked_at = $4, revoked_reason = $3, handover = null
         where user_id = $1 and id <> $2 and revoked_at is null and expires_at > $4 returning id";
    let except = except.map(|id| id.to_string()).unwrap_or_default();
    let ended = db.query(sql, &[user.into(), (&except).into(), reason.into(), now.into()]).await?;
    ended.into_iter().map(|mut row| row.session_id()).collect()
}

pub(super) async fn revoke_of_device(
    db: &mut impl Statements,
    user: UserId,
    device: DeviceId,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<SessionId>> {
    let sql = "update sessions set revoked_at = $4, revoked_reason = $3, handover = null
         where user_id = $1 and device_id = $2 and revoked_at is null and expires_at > $4 returning id";
    let ended = db.query(sql, &[user.into(), device.into(), reason.into(), now.into()]).await?;
    ended.into_iter().map(|mut row| row.session_id()).collect()
}

/// Ends the live sessions in which somebody acts from other sessions: from `only` this one, from all but `except`.
pub(super) async fn revoke_impersonations(
    db: &mut impl Statements,
    by: UserId,
    only: Option<SessionId>,
    except: Option<SessionId>,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<(UserId, SessionId)>> {
    let sql = "update sessions set revoked_at = $4, revoked_reason = $5, handover = null
         where impersonator_id = $1 and ($2 = '' or impersonator_session_id = $2) and impersonator_session_id <> $3
         and revoked_at is null and expires_at > $4 returning user_id, id";
    let text = |id: Option<SessionId>| id.map(|id| id.to_string()).unwrap_or_default();
    let (only, except) = (text(only), text(except));
    let params = [by.into(), (&only).into(), (&except).into(), now.into(), reason.into()];
    let ended = db.query(sql, &params).await?;
    ended.into_iter().map(|mut row| Ok((row.user_id()?, row.session_id()?))).collect()
}

/// The live sessions in which somebody acts as another.
pub(super) async fn impersonations(db: &mut impl Statements, now: Timestamp) -> Result<Vec<Session>> {
    let sql =
        "select id, user_id, client_id, generation, confirmed_at, delivery, amr, auth_time, ip, user_agent,
         device_name, device_id, created_at, last_seen_at, expires_at, absolute_expires_at, revoked_at, factor_at, impersonator_id, impersonator_session_id
         from sessions where impersonator_id is not null and revoked_at is null and expires_at > $1";
    let rows = db.query(sql, &[now.into()]).await?;
    rows.into_iter().map(|mut row| session(&mut row)).collect()
}

/// Moves the time of the latest proof, and with `factor` that of the latest second factor.
pub(super) async fn note_proof(
    db: &mut impl Statements,
    id: SessionId,
    amr: &str,
    factor: bool,
    now: Timestamp,
) -> Result<bool> {
    let sql = "update sessions set auth_time = $2, amr = $3, factor_at = coalesce($4, factor_at)
         where id = $1 and revoked_at is null and expires_at > $2";
    Ok(db.execute(sql, &[id.into(), now.into(), amr.into(), factor.then_some(now).into()]).await? == 1)
}

pub(super) async fn purge(db: &mut impl Statements, before: Timestamp) -> Result<u64> {
    let sql =
        "delete from sessions where id in (select id from sessions where absolute_expires_at < $1 limit 500)";
    db.execute(sql, &[before.into()]).await
}
