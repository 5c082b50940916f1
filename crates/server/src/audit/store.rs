//! Rows of `audit_events` and `audit_chains`.
use super::EventView;
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements};
use crate::ids::{RowId, UserId};
use std::collections::BTreeMap;

/// An event as it is stored.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// Which chain it is a link of.
    pub chain: String,
    /// Its number there.
    pub seq: i64,
    /// Id.
    pub id: RowId,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub kind: String,
    /// `success` or `failure`.
    pub result: String,
    /// `person`, `operator` or `system`.
    pub actor: Option<String>,
    /// The user it was about.
    pub user: Option<String>,
    /// The session it was about.
    pub session: Option<String>,
    /// The request that caused it.
    pub request: Option<String>,
    /// Keyed hash of an identifier that belongs to nobody.
    pub identifier_hash: Option<String>,
    /// From which address.
    pub ip: Option<String>,
    /// With which program.
    pub agent: Option<String>,
    /// Further facts, JSON.
    pub detail: Option<String>,
    /// Random bytes in the hash of what is personal.
    pub(super) salt: Option<Vec<u8>>,
    pub(super) personal_hash: Option<Vec<u8>>,
    /// Hash of the event and of the one before it.
    pub hash: Option<Vec<u8>>,
    /// Number of the later event of the chain that says that what was personal was erased.
    pub erased_by: Option<i64>,
}

impl StoredEvent {
    /// Whether nothing personal is left in it, nor what could confirm a guess.
    pub(super) fn is_blank(&self) -> bool {
        let texts = [&self.identifier_hash, &self.ip, &self.agent, &self.request, &self.detail];
        texts.iter().all(|text| text.is_none()) && self.salt.is_none()
    }
}

/// The place of the next event.
pub(super) struct Link {
    pub(super) seq: i64,
    /// The link before it.
    pub(super) before: End,
}

/// The end of a chain.
pub(super) struct End {
    pub(super) seq: i64,
    pub(super) head: Option<Vec<u8>>,
    pub(super) mac: Option<Vec<u8>>,
    /// Number and hash of the last link that was removed from the beginning.
    pub(super) cut: Option<(i64, Vec<u8>)>,
}

/// Counts of rows that no chain leads to.
pub(super) struct Strays {
    pub(super) unchained: i64,
    pub(super) expected: i64,
    pub(super) after: i64,
}

/// Takes the next number; the row stays locked until the transaction ends, so that nobody takes the same.
pub(super) async fn next_link(db: &mut impl Statements, chain: &'static str) -> Result<Link, DbError> {
    let sql = "update audit_chains set seq = seq + 1 where chain = $1 returning seq, head, mac";
    let row = db.query_opt(sql, &[chain.into()]).await?;
    let mut row = row.ok_or_else(|| DbError::missing("the audit chain is missing; restore a backup"))?;
    let seq = row.int()?;
    let before = End { seq: seq - 1, head: row.maybe_bytes()?, mac: row.maybe_bytes()?, cut: None };
    Ok(Link { seq, before })
}

/// Without a MAC the former one stays, which is not one of this end.
pub(super) async fn set_head(
    db: &mut impl Statements,
    chain: &'static str,
    head: &[u8],
    mac: Option<&[u8]>,
) -> Result<(), DbError> {
    let sql = "update audit_chains set head = $1, mac = coalesce($2, mac) where chain = $3";
    db.execute(sql, &[head.into(), mac.into(), chain.into()]).await.map(drop)
}

/// Puts another MAC to an end. `false` when the chain has gone on.
pub(super) async fn sign(
    db: &mut impl Statements,
    chain: &str,
    end: &End,
    mac: &[u8],
) -> Result<bool, DbError> {
    let sql = "update audit_chains set mac = $1 where chain = $2 and seq = $3 and head = $4";
    let params = [mac.into(), chain.into(), end.seq.into(), end.head.as_deref().into()];
    Ok(db.execute(sql, &params).await? == 1)
}

/// The ends of all chains as they are at one moment.
pub(super) async fn ends(db: &mut impl Statements) -> Result<BTreeMap<String, End>, DbError> {
    let sql = "select chain, seq, head, mac, cut_seq, cut_head from audit_chains where chain <> 'before'";
    let rows = db.query(sql, &[]).await?;
    let end = |mut row: Row| {
        let chain = row.text()?;
        let (seq, head, mac) = (row.int()?, row.maybe_bytes()?, row.maybe_bytes()?);
        let cut = row.maybe_int()?.zip(row.maybe_bytes()?);
        Ok((chain, End { seq, head, mac, cut }))
    };
    rows.into_iter().map(end).collect()
}

pub(super) async fn strays(db: &mut impl Statements) -> Result<Strays, DbError> {
    let sql = "select count(case when e.chain is null then 1 end),
         coalesce((select b.seq from audit_chains b where b.chain = 'before'), 0),
         count(case when e.chain is not null and (c.chain is null or e.seq is null or e.seq > c.seq or e.seq < 1
         or e.seq <= coalesce(c.cut_seq, 0)) then 1 end)
         from audit_events e left join audit_chains c on c.chain = e.chain and c.chain <> 'before'";
    let row = db.query_opt(sql, &[]).await?;
    let mut row = row.ok_or_else(|| DbError::missing("counting gave no row"))?;
    Ok(Strays { unchained: row.int()?, expected: row.int()?, after: row.int()? })
}

/// The hash of one link.
pub(super) async fn hash_of(
    db: &mut impl Statements,
    chain: &str,
    seq: i64,
) -> Result<Option<Vec<u8>>, DbError> {
    let sql = "select hash from audit_events where chain = $1 and seq = $2";
    match db.query_opt(sql, &[chain.into(), seq.into()]).await? {
        Some(mut row) => row.maybe_bytes(),
        None => Ok(None),
    }
}

pub(super) async fn insert(db: &mut impl Statements, event: &StoredEvent) -> Result<(), DbError> {
    let sql = "insert into audit_events (id, at, kind, result, user_id, session_id, identifier_hash, ip, user_agent, detail,
         chain, seq, actor, request_id, personal_salt, personal_hash, hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    let params = [
        event.id.into(),
        event.at.into(),
        (&event.kind).into(),
        (&event.result).into(),
        event.user.as_deref().into(),
        event.session.as_deref().into(),
        event.identifier_hash.as_deref().into(),
        event.ip.as_deref().into(),
        event.agent.as_deref().into(),
        event.detail.as_deref().into(),
        (&event.chain).into(),
        event.seq.into(),
        event.actor.as_deref().into(),
        event.request.as_deref().into(),
        event.salt.as_deref().into(),
        event.personal_hash.as_deref().into(),
        event.hash.as_deref().into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

/// Links of a chain after a number, in their order.
pub(super) async fn links(
    db: &mut impl Statements,
    chain: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<StoredEvent>, DbError> {
    let sql = "select chain, seq, id, at, kind, result, actor, user_id, session_id, request_id, identifier_hash, ip, user_agent,
         detail, personal_salt, personal_hash, hash, erased_by from audit_events
         where chain = $1 and seq > $2 order by seq limit $3";
    let rows = db.query(sql, &[chain.into(), after.into(), limit.into()]).await?;
    rows.into_iter().map(stored).collect()
}

/// Events after one of them, in the order of their ids, which is that of time, of one user or of all.
pub(super) async fn after(
    db: &mut impl Statements,
    user: Option<UserId>,
    after: Option<RowId>,
    limit: i64,
) -> Result<Vec<StoredEvent>, DbError> {
    let of_all = "select chain, seq, id, at, kind, result, actor, user_id, session_id, request_id, identifier_hash, ip, user_agent,
         detail, personal_salt, personal_hash, hash, erased_by from audit_events
         where chain is not null and id > $1 order by id limit $2";
    let of_one = "select chain, seq, id, at, kind, result, actor, user_id, session_id, request_id, identifier_hash, ip, user_agent,
         detail, personal_salt, personal_hash, hash, erased_by from audit_events
         where chain is not null and id > $1 and user_id = $3 order by id limit $2";
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let rows = match user {
        None => db.query(of_all, &[(&after).into(), limit.into()]).await?,
        Some(user) => db.query(of_one, &[(&after).into(), limit.into(), user.into()]).await?,
    };
    rows.into_iter().map(stored).collect()
}

/// Events before one of them, newest first, of one user or of all.
pub(super) async fn before(
    db: &mut impl Statements,
    user: Option<UserId>,
    before: Option<RowId>,
    limit: i64,
) -> Result<Vec<StoredEvent>, DbError> {
    let of_all = "select chain, seq, id, at, kind, result, actor, user_id, session_id, request_id, identifier_hash, ip, user_agent,
         detail, personal_salt, personal_hash, hash, erased_by from audit_events
         where chain is not null and id < $1 order by id desc limit $2";
    let of_one = "select chain, seq, id, at, kind, result, actor, user_id, session_id, request_id, identifier_hash, ip, user_agent,
         detail, personal_salt, personal_hash, hash, erased_by from audit_events
         where chain is not null and id < $1 and user_id = $3 order by id desc limit $2";
    // Ids are hexadecimal: this is after all of them.
    let before = before.map_or_else(|| "g".to_owned(), |id| id.to_string());
    let rows = match user {
        None => db.query(of_all, &[(&before).into(), limit.into()]).await?,
        Some(user) => db.query(of_one, &[(&before).into(), limit.into(), user.into()]).await?,
    };
    rows.into_iter().map(stored).collect()
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

pub(super) fn stored(mut row: Row) -> Result<StoredEvent, DbError> {
    Ok(StoredEvent {
        chain: row.text()?,
        seq: row.int()?,
        id: row.row_id()?,
        at: row.time()?,
        kind: row.text()?,
        result: row.text()?,
        actor: row.maybe_text()?,
        user: row.maybe_text()?,
        session: row.maybe_text()?,
        request: row.maybe_text()?,
        identifier_hash: row.maybe_text()?,
        ip: row.maybe_text()?,
        agent: row.maybe_text()?,
        detail: row.maybe_text()?,
        salt: row.maybe_bytes()?,
        personal_hash: row.maybe_bytes()?,
        hash: row.maybe_bytes()?,
        erased_by: row.maybe_int()?,
    })
}

fn view(mut row: Row) -> Result<EventView, DbError> {
    Ok(EventView {
        id: row.text()?,
        at: row.time()?.rfc3339(),
        kind: row.text()?,
        result: row.text()?,
        session_id: row.maybe_text()?,
        ip: row.maybe_text()?,
        place: None,
        user_agent: row.maybe_text()?,
        detail: row.maybe_text()?.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

/// Number of the last event of a kind in a chain, up to a number.
pub(super) async fn last_of(
    db: &mut impl Statements,
    chain: &str,
    kind: &str,
    until: i64,
) -> Result<Option<i64>, DbError> {
    let sql =
        "select seq from audit_events where chain = $1 and kind = $2 and seq <= $3 order by seq desc limit 1";
    let row = db.query_opt(sql, &[chain.into(), kind.into(), until.into()]).await?;
    row.map(|mut row| row.int()).transpose()
}

pub(super) async fn remove_until(db: &mut impl Statements, chain: &str, seq: i64) -> Result<(), DbError> {
    let sql = "delete from audit_events where chain = $1 and seq <= $2";
    db.execute(sql, &[chain.into(), seq.into()]).await.map(drop)
}

pub(super) async fn set_cut(
    db: &mut impl Statements,
    chain: &str,
    seq: i64,
    head: &[u8],
) -> Result<(), DbError> {
    let sql = "update audit_chains set cut_seq = $1, cut_head = $2 where chain = $3";
    db.execute(sql, &[seq.into(), head.into(), chain.into()]).await.map(drop)
}
