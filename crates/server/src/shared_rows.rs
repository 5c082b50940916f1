//! Rows that nodes read for each other: what one of them has read of a session or a user lies sealed in Redis for a minute.
//!
//! Invariants: what is taken from there counts only while this node would have heard whatever changed it since it was read
//! ([`crate::bus::Bus::silent_at`]), so nothing that Redis forgets, keeps, brings back or makes up lets anybody in;
//! what does not serve is read from the database, and nobody is refused without having asked it.
//! `docs/decisions/shared-rows.md` has the reasons.
use crate::clock::Timestamp;
use crate::db::{Db, DbError, Row, Statements};
use crate::ids::{SessionId, UserId};
use crate::random::{Random, bytes};
use crate::redis::Redis;
use crate::telemetry::Outcome;
use hallpass_crypto::digest::sha256;
use hallpass_crypto::ring::Keys;
use hallpass_crypto::seal::{open_under, seal_under};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::sync::Arc;
use std::time::Duration;

/// How long ago the database may have said it.
const AGE: Duration = Duration::from_secs(60);
/// By how much the clocks of nodes may differ: each by 30 s from the database's, which is what `/health/ready` bears.
const APART: Duration = Duration::from_secs(60);
/// Bytes that make the key of each value: more values are sealed than one key of AES-GCM is good for.
const SALT: usize = 16;

type Result<T> = std::result::Result<T, DbError>;

/// See the module's doc.
pub struct SharedRows {
    redis: Arc<Redis>,
    keys: Keys,
    random: Arc<dyn Random>,
    asked: Family<Outcome, Counter>,
}

/// A row: the statement that reads it by its id, and what is announced when it changes.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// Has one parameter: the id of the session, or without one that of the user.
    pub sql: &'static str,
    /// Whose row.
    pub user: UserId,
    /// The session, if it is the row of one.
    pub session: Option<SessionId>,
}

impl Wanted {
    fn id(&self) -> String {
        self.session.map_or_else(|| self.user.to_string(), |session| session.to_string())
    }

    /// By the statement too, so that a version that reads other columns finds none of its predecessor's.
    fn name(&self) -> [u8; 32] {
        sha256(format!("{}\n{}", self.id(), self.sql).as_bytes())
    }

    async fn ask(&self, mut db: &Db) -> Result<Option<Row>> {
        db.query_opt(self.sql, &[self.id().as_str().into()]).await
    }
}

/// Reads a row, from where another node may have put it or from the database. What does not pass `serves` is read from
/// the database, whoever said so.
///
/// # Errors
/// The database's, and those of `parse`.
pub async fn read<T>(
    shared: Option<&SharedRows>,
    db: &Db,
    wanted: Wanted,
    now: Timestamp,
    parse: impl Fn(&mut Row) -> Result<T>,
    serves: impl Fn(&T) -> bool,
) -> Result<Option<T>> {
    let silent = || db.bus().silent_at(wanted.user, wanted.session, AGE + APART);
    let Some(shared) = shared.filter(|_| silent().is_some()) else {
        return wanted.ask(db).await?.map(|mut row| parse(&mut row)).transpose();
    };
    let name = wanted.name();
    let found = shared.get(&name).await;
    // Asking took time; and ages are told by the clock that was looked at with the silence.
    let found = found.filter(|(at, _)| silent().is_some_and(|now| is_fresh(*at, now)));
    let found = found.and_then(|(_, mut row)| parse(&mut row).ok()).filter(&serves);
    shared.count(if found.is_some() { "hit" } else { "miss" });
    if found.is_some() {
        return Ok(found);
    }
    let Some(mut row) = wanted.ask(db).await? else { return Ok(None) };
    let text = row.to_json();
    let value = parse(&mut row)?;
    if let Some(text) = text.filter(|_| serves(&value)) {
        shared.put(&name, &text, now).await;
    }
    Ok(Some(value))
}

fn is_fresh(at: Timestamp, now: Timestamp) -> bool {
    at <= now.plus(APART) && at.plus(AGE) >= now
}

impl SharedRows {
    /// Rows in a Redis, sealed under keys of their own; `asked` counts hits and misses.
    pub fn new(
        redis: Arc<Redis>,
        keys: Keys,
        random: Arc<dyn Random>,
        asked: Family<Outcome, Counter>,
    ) -> Self {
        Self { redis, keys, random, asked }
    }

    /// A row and when it was read.
    async fn get(&self, name: &[u8; 32]) -> Option<(Timestamp, Row)> {
        let value = self.redis.get(&self.redis.key("row", name)).await.ok()??;
        let (salt, sealed) = value.split_at_checked(SALT)?;
        let keys = self.keys.macs(&[salt, name].concat());
        let opened = keys.iter().find_map(|key| open_under(key, sealed, name).ok())?;
        let (at, row) = opened.split_first_chunk()?;
        Some((Timestamp(i64::from_be_bytes(*at)), Row::from_json(row)?))
    }

    /// Whether it is kept does not matter to whoever asked.
    async fn put(&self, name: &[u8; 32], row: &[u8], at: Timestamp) {
        let salt: [u8; SALT] = bytes(&*self.random);
        let key = self.keys.mac(&[salt.as_slice(), name].concat());
        let plain = [at.micros().to_be_bytes().as_slice(), row].concat();
        let sealed = seal_under(&key, &plain, name, bytes(&*self.random));
        let value = [salt.as_slice(), &sealed].concat();
        let _ = self.redis.set(&self.redis.key("row", name), &value, AGE).await;
    }

    fn count(&self, outcome: &'static str) {
        self.asked.get_or_create(&Outcome { outcome }).inc();
    }
}
