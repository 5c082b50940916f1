//! The audit log: who did what, from where, with which result. Append-only, written in the transaction of the fact.
//!
//! Invariants: no secret and no unknown identifier in clear ever enters an event; events outlive the account; each event
//! carries the hash of the one before it, and the last hash is under a key that is not in the database
//! (`docs/decisions/audit.md`).
mod chain;
mod kind;
mod store;
mod verify;

pub use kind::Kind;
pub use verify::{Anchor, Report, verify};

use crate::app::Inner;
use crate::clock::Timestamp;
use crate::db::{Statements, Tx};
use crate::error::Result;
use crate::geoip::Place;
use crate::ids::{RowId, SessionId, UserId};
use crate::web::Client;
use crate::web::client::Caller;
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::Value;
pub use store::StoredEvent;
use utoipa::ToSchema;

/// The chain of an embedded database: it has one writer at a time, whatever process that is in.
const CHAIN: &str = "main";

/// An event to be recorded.
pub struct Event<'a> {
    kind: Kind,
    client: &'a Client,
    user: Option<UserId>,
    session: Option<SessionId>,
    identifier: Option<&'a str>,
    detail: Option<Value>,
}

impl<'a> Event<'a> {
    /// An event of a caller.
    pub fn new(kind: Kind, client: &'a Client) -> Self {
        Self { kind, client, user: None, session: None, identifier: None, detail: None }
    }

    /// Whom it is about.
    #[must_use]
    pub fn user(mut self, user: UserId) -> Self {
        self.user = Some(user);
        self
    }

    /// Which session it is about.
    #[must_use]
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// A normalised identifier that may belong to nobody; stored as keyed hash.
    #[must_use]
    pub fn identifier(mut self, identifier: &'a str) -> Self {
        self.identifier = Some(identifier);
        self
    }

    /// Further facts, without secrets.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = Some(detail);
        self
    }
}

/// Writes an event in the caller's transaction, as the next link of the chain.
pub async fn record(app: &Inner, tx: &mut Tx, event: Event<'_>, now: Timestamp) -> Result<()> {
    let identifier =
        event.identifier.map(|text| HEXLOWER.encode(&app.secrets.identifiers.mac(text.as_bytes())));
    let link = store::next_link(tx, CHAIN).await?;
    let mut row = StoredEvent {
        chain: CHAIN.to_owned(),
        seq: link.seq,
        id: RowId(app.new_id(now)),
        at: now,
        kind: event.kind.name().to_owned(),
        result: if event.kind.failed() { "failure" } else { "success" }.to_owned(),
        actor: Some(event.client.caller.name().to_owned()),
        user: event.user.map(|id| id.to_string()),
        session: event.session.map(|id| id.to_string()),
        request: event.client.request.clone(),
        identifier_hash: identifier,
        ip: (event.client.caller == Caller::Person).then(|| event.client.ip.to_string()),
        agent: event.client.agent.clone(),
        detail: event.detail.map(|detail| detail.to_string()),
        salt: Some(app.random_bytes::<16>().to_vec()),
        personal_hash: None,
        hash: None,
    };
    row.personal_hash = Some(chain::personal_hash(&row).to_vec());
    let hash = chain::hash(link.head.as_deref(), &row);
    row.hash = Some(hash.to_vec());
    store::insert(tx, &row).await?;
    let mac = app.secrets.audit.mac(&chain::head_message(CHAIN, link.seq, &hash));
    Ok(store::set_head(tx, CHAIN, &hash, &mac).await?)
}

/// Writes an event that is a fact of its own.
pub async fn record_alone(app: &Inner, event: Event<'_>) -> Result<()> {
    let mut tx = app.db.begin().await?;
    record(app, &mut tx, event, app.now()).await?;
    Ok(tx.commit().await?)
}

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// About this user.
    pub user: Option<UserId>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Events after a number of the chain, oldest first, at most `limit`.
pub async fn list(
    mut db: impl Statements,
    filter: &Filter,
    after: i64,
    limit: i64,
) -> Result<Vec<StoredEvent>> {
    Ok(store::list(&mut db, CHAIN, filter, after, limit).await?)
}

/// The last `limit` events, oldest first.
pub async fn latest(mut db: impl Statements, filter: &Filter, limit: i64) -> Result<Vec<StoredEvent>> {
    Ok(store::latest(&mut db, CHAIN, filter, limit).await?)
}

/// One line of a user's own security log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// Id, also the cursor of the next page.
    pub id: String,
    /// When, RFC 3339.
    pub at: String,
    /// What happened.
    pub kind: String,
    /// `success` or `failure`.
    pub result: String,
    /// The session it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// From which address.
    pub ip: Option<String>,
    /// Where that is, if the server can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// With which program.
    pub user_agent: Option<String>,
    /// Further facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub detail: Option<Value>,
}

/// A user's events, newest first, at most `limit`, older than the cursor.
pub async fn of_user(app: &Inner, user: UserId, before: Option<RowId>, limit: i64) -> Result<Vec<EventView>> {
    let mut events = store::of_user(&mut &app.db, user, before, limit).await?;
    for event in &mut events {
        event.place = event.ip.as_deref().and_then(|ip| app.places.of_text(ip));
    }
    Ok(events)
}
