//! The audit log: who did what, from where, with which result. Append-only, written in the transaction of the fact.
//!
//! Invariants: no secret and no unknown identifier in clear ever enters an event; events outlive the account; each event
//! carries the hash of the one before it in its chain, and the last hash of each chain is under a key that is not in the
//! database; the ends of the chains are the last rows that a transaction takes, in the order of their names; now and then the
//! chain `main` notes how far the others are (`docs/decisions/audit.md`).
mod anchor;
mod chain;
mod erase;
mod kind;
mod prune;
mod search;
mod store;
mod told;
mod verify;
mod view;

pub use anchor::Anchor;
pub use erase::{ask_erasure, erase_due};
pub use kind::Kind;
pub use prune::prune;
pub use search::{Searched, Walked, search, walk};
pub use verify::{Report, verify};
pub use view::AuditEvent;

use crate::app::{App, Inner};
use crate::clock::Timestamp;
use crate::db::{Db, DbError, Statements, Tx};
use crate::error::Result;
use crate::events;
use crate::geoip::Place;
use crate::ids::{RowId, SessionId, UserId};
use crate::web::Client;
use crate::web::client::Caller;
use data_encoding::HEXLOWER;
use hallpass_crypto::digest::equal;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
pub use store::StoredEvent;
use utoipa::ToSchema;
use uuid::Uuid;

/// An event to be recorded.
pub struct Event<'a> {
    kind: Kind,
    client: &'a Client,
    user: Option<UserId>,
    session: Option<SessionId>,
    identifier: Option<&'a str>,
    identifier_hash: Option<String>,
    detail: Option<Value>,
    impersonal: bool,
}

impl<'a> Event<'a> {
    /// An event of a caller.
    pub fn new(kind: Kind, client: &'a Client) -> Self {
        Self {
            kind,
            client,
            user: None,
            session: None,
            identifier: None,
            identifier_hash: None,
            detail: None,
            impersonal: false,
        }
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

    /// The same where only the keyed hash is known, in hexadecimal digits.
    #[must_use]
    pub fn identifier_hash(mut self, hash: &str) -> Self {
        self.identifier_hash = Some(hash.to_owned());
        self
    }

    /// Leaves out from where and with which program, if a person did it.
    #[must_use]
    pub fn impersonal(mut self) -> Self {
        self.impersonal = self.client.caller == Caller::Person;
        self
    }

    /// Further facts, without secrets.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = Some(detail);
        self
    }
}

/// Has an event written by the commit of the caller's transaction, as the next link of its chain, and told to the systems that
/// want to hear of it.
pub fn record(app: &App, tx: &mut Tx, event: Event<'_>, now: Timestamp) {
    if let Some(what) = told::told_as(event.kind) {
        let (user, session) = (event.user, event.session.filter(|_| told::is_about_session(what)));
        events::note(app, tx, events::Event { what, user, session, reason: None }, now);
    }
    let hashed = |text: &str| HEXLOWER.encode(&app.secrets.identifiers.mac(text.as_bytes()));
    let identifier = event.identifier.map(hashed).or_else(|| event.identifier_hash.clone());
    let user = event.user.map(|id| id.to_string());
    let chain = chain::of(user.as_deref(), identifier.as_deref());
    let row = stored(app, chain, event, user, identifier, now);
    let app = app.clone();
    tx.at_last(chain, move |tx| Box::pin(async move { link(&app, tx, chain, row).await.map(drop) }));
}

/// An event as it will be stored, but for its place in the chain.
fn stored(
    app: &Inner,
    chain: &str,
    event: Event<'_>,
    user: Option<String>,
    identifier: Option<String>,
    now: Timestamp,
) -> StoredEvent {
    let client = Some(event.client).filter(|_| !event.impersonal);
    let mut row = StoredEvent {
        chain: chain.to_owned(),
        seq: 0,
        id: RowId(Uuid::nil()),
        at: now,
        kind: event.kind.name().to_owned(),
        result: if event.kind.failed() { "failure" } else { "success" }.to_owned(),
        actor: Some(event.client.caller.name().to_owned()),
        user,
        session: event.session.map(|id| id.to_string()),
        request: client.and_then(|client| client.request.clone()),
        identifier_hash: identifier,
        ip: client.filter(|client| client.caller == Caller::Person).map(|client| client.ip.to_string()),
        agent: client.and_then(|client| client.agent.clone()),
        detail: event.detail.map(|detail| detail.to_string()),
        salt: Some(app.random_bytes::<16>().to_vec()),
        personal_hash: None,
        hash: None,
        erased_by: None,
    };
    row.personal_hash = Some(chain::personal_hash(&row).to_vec());
    row
}

/// Writes an event as the next link of its chain, whose end stays locked until the transaction ends. Its id is made
/// here, so that ids follow each other as the links do and little time lies between id and commit. The new end is signed only
/// if the former one was: what somebody else wrote must not become good by what follows. Returns its number.
async fn link(app: &Inner, tx: &mut Tx, chain: &'static str, mut row: StoredEvent) -> Result<i64, DbError> {
    let link = store::next_link(tx, chain).await?;
    row.seq = link.seq;
    row.id = RowId(app.new_id(app.now()));
    let hash = chain::hash(link.before.head.as_deref(), &row);
    row.hash = Some(hash.to_vec());
    store::insert(tx, &row).await?;
    let good = link.before.head.is_none() || is_signed(app, chain, &link.before);
    if !good {
        tracing::error!(
            chain,
            "this end of the audit log is not under the secret key: see `hallpass audit verify`"
        );
    }
    let mac = app.secrets.audit.mac(&chain::head_message(chain, link.seq, &hash));
    store::set_head(tx, chain, &hash, Some(mac.as_slice()).filter(|_| good)).await?;
    Ok(link.seq)
}

/// Writes an event that is a fact of its own.
pub async fn record_alone(app: &App, event: Event<'_>) -> Result<()> {
    let mut tx = app.db.begin().await?;
    record(app, &mut tx, event, app.now());
    Ok(tx.commit().await?)
}

/// Notes in the chain `main` how far the others are, so that none of them can be put back or dropped unnoticed, unless
/// `main` is too. Nothing is written when that is what was `noted` last; returns what is noted now.
pub async fn note_ends(app: &App, noted: Option<Anchor>) -> Result<Option<Anchor>> {
    let anchor = Anchor::of_the_others(&store::ends(&mut &app.db).await?);
    if anchor != noted
        && let Some(anchor) = &anchor
    {
        let client = Client::system();
        record_alone(app, Event::new(Kind::AuditAnchored, &client).detail(anchor.detail())).await?;
    }
    Ok(anchor)
}

/// Whether the end of a chain is under our key, or a former one of ours.
fn is_signed(app: &Inner, chain: &str, end: &store::End) -> bool {
    end.head.as_deref().zip(end.mac.as_deref()).is_some_and(|(head, mac)| {
        app.secrets.audit.verify_mac(&chain::head_message(chain, end.seq, head), mac)
    })
}

/// Signs the ends that are under a former secret key with the present one, so that the former can leave the settings: a chain
/// in which nothing happens would stay under it. An end under neither is left for the check to find. The same for erasures that wait.
pub async fn sign_ends_anew(app: &App) -> Result<()> {
    for (chain, end) in store::ends(&mut &app.db).await? {
        let (Some(head), Some(former)) = (&end.head, &end.mac) else { continue };
        let message = chain::head_message(&chain, end.seq, head);
        let mac = app.secrets.audit.mac(&message);
        if !equal(&mac, former) && app.secrets.audit.verify_mac(&message, former) {
            store::sign(&mut &app.db, &chain, &end, &mac).await?;
        }
    }
    erase::sign_anew(app).await
}

/// Signs the ends that are under no key of ours, on the word of an operator who has looked at what `verify` finds: after the secret key
/// was lost, or somebody wrote into the log. The event in `main` tells which. Returns their chains.
pub async fn sign_foreign_ends(app: &App) -> Result<Vec<String>> {
    let mut signed = BTreeSet::new();
    // Again, for the chains that have gone on between reading and signing.
    loop {
        let mut ends = store::ends(&mut &app.db).await?;
        ends.retain(|chain, end| end.head.is_some() && !is_signed(app, chain, end));
        if ends.is_empty() {
            break;
        }
        for (chain, end) in ends {
            let mac = app.secrets.audit.mac(&chain::head_message(
                &chain,
                end.seq,
                end.head.as_deref().unwrap_or_default(),
            ));
            if store::sign(&mut &app.db, &chain, &end, &mac).await? {
                signed.insert(chain);
            }
        }
    }
    let signed: Vec<String> = signed.into_iter().collect();
    if !signed.is_empty() {
        let detail = serde_json::json!({ "chains": signed });
        record_alone(app, Event::new(Kind::AuditEndsSigned, &Client::local()).detail(detail)).await?;
    }
    Ok(signed)
}

/// The event of a finished check. It notes what was seen, as [`note_ends`] does.
pub async fn record_check(app: &App, report: &Report) -> Result<()> {
    let mut detail = report.noted.as_ref().map_or_else(|| serde_json::json!({}), Anchor::detail);
    detail["events"] = report.events.into();
    detail["findings"] = report.findings.len().into();
    let client = Client::local();
    record_alone(app, Event::new(Kind::AuditVerified, &client).detail(detail)).await
}

/// How many links each chain has.
pub async fn lengths(mut db: impl Statements) -> Result<BTreeMap<String, i64>> {
    Ok(store::ends(&mut db).await?.into_iter().map(|(chain, end)| (chain, end.seq)).collect())
}

/// Links of a chain after a number, in their order, at most `limit`.
pub async fn links(mut db: impl Statements, chain: &str, after: i64, limit: i64) -> Result<Vec<StoredEvent>> {
    Ok(store::links(&mut db, chain, after, limit).await?)
}

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// About this user.
    pub user: Option<UserId>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Whether it tells of a failure.
    pub failed: Option<bool>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Events of all chains that pass a filter, after one of them, oldest first, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn list(
    db: &Db,
    filter: &Filter,
    mut after: Option<RowId>,
    limit: usize,
) -> Result<Vec<StoredEvent>> {
    let mut events = Vec::new();
    loop {
        let step = walk(db, filter, after, None).await?;
        events.extend(step.events);
        if events.len() >= limit || step.next.is_none() {
            events.truncate(limit);
            return Ok(events);
        }
        after = step.next;
    }
}

/// The last `limit` events that pass a filter, oldest first.
///
/// # Errors
/// The database's.
pub async fn latest(db: &Db, filter: &Filter, limit: usize) -> Result<Vec<StoredEvent>> {
    let (mut events, mut before) = (Vec::new(), None);
    while events.len() < limit {
        let found = search(db, filter, before, limit - events.len()).await?;
        events.extend(found.events);
        before = found.next;
        if before.is_none() {
            break;
        }
    }
    events.reverse();
    Ok(events)
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

impl EventView {
    /// The same for the owner of the account, who sees which administrator did something, but not from where.
    #[must_use]
    pub fn for_owner(mut self, owner: UserId) -> Self {
        let by = self.detail.as_ref().and_then(|detail| detail.get("by")).and_then(Value::as_str);
        if by.and_then(UserId::parse).is_some_and(|by| by != owner) {
            (self.ip, self.place, self.user_agent) = (None, None, None);
        }
        self
    }
}

/// A user's events, newest first, at most `limit`, older than the cursor.
pub async fn of_user(app: &Inner, user: UserId, before: Option<RowId>, limit: i64) -> Result<Vec<EventView>> {
    let mut events = store::of_user(&mut &app.db, user, before, limit).await?;
    for event in &mut events {
        event.place = event.ip.as_deref().and_then(|ip| app.places.of_text(ip));
    }
    Ok(events)
}
