//! Webhooks: endpoints that are told what happens, with the signatures of Standard Webhooks.
//!
//! Invariants: `events` writes what is told, in the transaction of the fact; here it is delivered at least once, under the same
//! `webhook-id` every time, in no promised order. What it says of user and session is read at the attempt: late news never
//! overwrite fresh ones, and of a deleted account nothing is left but its id. Of an answer nothing is kept but its status.
//! A secret is stored sealed and shown once. An endpoint that hangs or fails holds up nobody, no other endpoint either.
mod deliveries;
mod send;
mod store;
pub mod worker;

pub use deliveries::{Delivery, DeliveryView, State, deliveries, replay, replay_dead};
pub use send::{Pinged, ping};

use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::config::check_url;
use crate::db::{Statements, Tx};
use crate::error::{Code, Error, Result};
use crate::ids::RowId;
use crate::names::has_control_characters;
use crate::roles::Authority;
use crate::subscriptions::{EventType, Subscription};
use crate::web::Client;

use hallpass_crypto::webhook::WebhookSecret;
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// Endpoints that there may be.
pub const ENDPOINTS: usize = 20;
/// Longest name, in characters.
const NAME_MAX: usize = 100;
/// Longest time for which a former secret signs as well.
pub const OVERLAP_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Sealed secrets.
#[derive(Clone)]
struct Secrets {
    current: Vec<u8>,
    former: Option<Vec<u8>>,
    former_until: Option<Timestamp>,
}

/// An endpoint.
#[derive(Clone)]
pub struct Endpoint {
    /// Id.
    pub id: RowId,
    /// What operators call it.
    pub name: String,
    /// Where it is told.
    pub url: String,
    /// Patterns of what it is told, sorted.
    pub types: Vec<String>,
    secrets: Secrets,
    /// When it was set up.
    pub created_at: Timestamp,
    /// Since when it is told nothing.
    pub disabled_at: Option<Timestamp>,
    /// `operator`, `failing` or `gone`.
    pub disabled_reason: Option<String>,
    /// Since when every attempt failed.
    pub failing_since: Option<Timestamp>,
    /// Since when so much waits that further events are left out.
    pub full_since: Option<Timestamp>,
}

/// An endpoint as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointView {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Where it is told.
    pub url: String,
    /// What it is told.
    pub types: Vec<String>,
    /// `enabled` or `disabled`.
    pub status: &'static str,
    /// Why it is disabled: `operator`, `failing` or `gone`.
    pub disabled_reason: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub disabled_at: Option<String>,
    /// Since when every attempt failed, RFC 3339.
    pub failing_since: Option<String>,
    /// Since when so much waits that further events are left out, RFC 3339.
    pub full_since: Option<String>,
    /// Until when a former secret signs as well, RFC 3339.
    pub former_secret_until: Option<String>,
}

impl Endpoint {
    /// What operators see.
    pub fn view(&self, now: Timestamp) -> EndpointView {
        let former = self.secrets.former_until.filter(|until| *until > now);
        EndpointView {
            id: self.id.to_string(),
            name: self.name.clone(),
            url: self.url.clone(),
            types: self.types.clone(),
            status: if self.disabled_at.is_some() { "disabled" } else { "enabled" },
            disabled_reason: self.disabled_reason.clone(),
            created_at: self.created_at.rfc3339(),
            disabled_at: self.disabled_at.map(Timestamp::rfc3339),
            failing_since: self.failing_since.map(Timestamp::rfc3339),
            full_since: self.full_since.map(Timestamp::rfc3339),
            former_secret_until: former.map(Timestamp::rfc3339),
        }
    }
}

/// An endpoint to be set up.
pub struct NewEndpoint<'a> {
    /// What to call it.
    pub name: &'a str,
    /// Where it is told.
    pub url: &'a str,
    /// Types or patterns: `user.created`, `user.*`, `*`.
    pub types: &'a [String],
}

/// Commits what was done to endpoints; every node tells by it within two seconds.
///
/// # Errors
/// The database's; then nothing was written.
pub async fn commit(app: &App, mut tx: Tx) -> Result<()> {
    tx.then_wake(&app.webhooks_wake);
    tx.commit().await?;
    // Done is done: a secret that is shown once must not get lost by what the worker does anyway.
    if let Err(error) = refresh(app).await {
        tracing::warn!(%error, "webhooks could not be read anew; the worker will");
    }
    Ok(())
}

/// Sets an endpoint up; returns it with its secret, which nobody can show again. [`commit`] ends it, as everything here that changes
/// an endpoint.
///
/// # Errors
/// [`Code::ValidationFailed`] for a bad name, address or type, and beyond [`ENDPOINTS`].
pub async fn create(
    app: &App,
    tx: &mut Tx,
    by: Authority<'_>,
    client: &Client,
    new: &NewEndpoint<'_>,
) -> Result<(Endpoint, Zeroizing<String>)> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX || has_control_characters(name) {
        let text = format!("the name needs 1 to {NAME_MAX} characters, none of them a control character");
        return Err(Error::field("name", "invalid_value", &text));
    }
    let url = check_url(new.url).map_err(|text| Error::field("url", "invalid_value", &text))?;
    let types = checked_types(new.types)?;
    let now = app.now();
    let id = RowId(app.new_id(now));
    let secret = WebhookSecret::from_bytes(app.random_bytes());
    let secrets = Secrets { current: seal(app, id, &secret), former: None, former_until: None };
    let endpoint = Endpoint {
        id,
        name: name.to_owned(),
        url: url.to_string(),
        types,
        secrets,
        created_at: now,
        disabled_at: None,
        disabled_reason: None,
        failing_since: None,
        full_since: None,
    };
    tx.lock("webhook_endpoints").await?;
    if store::all(tx).await?.len() >= ENDPOINTS {
        let text = format!("there are {ENDPOINTS} endpoints; delete one first");
        return Err(Error::field("url", "too_many", &text));
    }
    store::insert(tx, &endpoint).await?;
    let host = url.host_str().unwrap_or_default();
    let detail = json!({ "endpoint": id, "name": endpoint.name, "host": host, "types": endpoint.types, "by": by.name() });
    audit::record(app, tx, Event::new(Kind::WebhookCreated, client).detail(detail), now);
    Ok((endpoint, secret.expose()))
}

/// Patterns sorted, each once.
fn checked_types(types: &[String]) -> Result<Vec<String>> {
    let mut types: Vec<String> = types.iter().map(|one| one.trim().to_owned()).collect();
    types.sort_unstable();
    types.dedup();
    let unknown = |one: &&String| !EventType::ALL.iter().any(|event| event.matches(one));
    if let Some(unknown) = types.iter().find(unknown) {
        let names: Vec<&str> = EventType::ALL.iter().map(|event| event.name()).collect();
        let text = format!("\"{unknown}\" is none of {}, user.*, session.*, *", names.join(", "));
        return Err(Error::field("types", "invalid_value", &text));
    }
    if types.is_empty() {
        return Err(Error::field("types", "required", "name at least one event"));
    }
    Ok(types)
}

/// All endpoints, oldest first.
pub async fn list(mut db: impl Statements) -> Result<Vec<Endpoint>> {
    Ok(store::all(&mut db).await?)
}

/// One endpoint.
///
/// # Errors
/// [`Code::NotFound`].
pub async fn find(mut db: impl Statements, id: RowId) -> Result<Endpoint> {
    store::find(&mut db, id).await?.ok_or_else(|| Error::new(Code::NotFound))
}

/// Gives an endpoint another secret. For a while, at most [`OVERLAP_MAX`], the former one signs as well; one that did so already does no more.
/// Returns the new secret.
///
/// # Errors
/// [`Code::NotFound`]; [`Code::Unavailable`] when somebody else rotates it at the same time.
pub async fn rotate_secret(
    app: &App,
    tx: &mut Tx,
    by: Authority<'_>,
    client: &Client,
    id: RowId,
    overlap: Duration,
) -> Result<Zeroizing<String>> {
    let now = app.now();
    let endpoint = find(&mut *tx, id).await?;
    let secret = WebhookSecret::from_bytes(app.random_bytes());
    let until = now.plus(overlap.min(OVERLAP_MAX));
    let keeps = until > now;
    let secrets = Secrets {
        current: seal(app, id, &secret),
        former: keeps.then(|| endpoint.secrets.current.clone()),
        former_until: keeps.then_some(until),
    };
    if !store::set_secrets(tx, id, &endpoint.secrets.current, &secrets).await? {
        return Err(Error::new(Code::Unavailable));
    }
    let event = Event::new(Kind::WebhookSecretRotated, client);
    audit::record(app, tx, event.detail(json!({ "endpoint": id, "by": by.name() })), now);
    Ok(secret.expose())
}

/// Tells an endpoint nothing any more, or again. What waits meanwhile is told afterwards, if that comes soon enough.
/// Returns whether anything changed.
///
/// # Errors
/// [`Code::NotFound`].
pub async fn set_disabled(
    app: &App,
    tx: &mut Tx,
    by: Authority<'_>,
    client: &Client,
    id: RowId,
    disabled: bool,
) -> Result<bool> {
    let now = app.now();
    find(&mut *tx, id).await?;
    let (changed, kind) = if disabled {
        (store::disable(tx, id, "operator", now).await?, Kind::WebhookDisabled)
    } else {
        (store::enable(tx, id).await?, Kind::WebhookEnabled)
    };
    if changed {
        let detail = json!({ "endpoint": id, "by": by.name() });
        audit::record(app, tx, Event::new(kind, client).detail(detail), now);
    }
    Ok(changed)
}

/// Removes an endpoint and all that waits for it.
///
/// # Errors
/// [`Code::NotFound`].
pub async fn delete(app: &App, tx: &mut Tx, by: Authority<'_>, client: &Client, id: RowId) -> Result<()> {
    let now = app.now();
    let endpoint = find(&mut *tx, id).await?;
    if !store::delete(tx, id).await? {
        return Err(Error::new(Code::NotFound));
    }
    let detail = json!({ "endpoint": id, "name": endpoint.name, "by": by.name() });
    audit::record(app, tx, Event::new(Kind::WebhookDeleted, client).detail(detail), now);
    Ok(())
}

/// Reads who wants to be told what, and leaves out those for whom too much waits. Called at start, by the worker every two seconds, and
/// by the verbs that change it. Returns the endpoints that are enabled.
///
/// # Errors
/// The database's.
pub async fn refresh(app: &App) -> Result<Vec<Endpoint>> {
    let mut endpoints = store::all(&mut &app.db).await?;
    endpoints.retain(|endpoint| endpoint.disabled_at.is_none());
    let most = i64::from(app.config.webhooks.max_waiting);
    let mut waiting = 0;
    for endpoint in &mut endpoints {
        let waits = store::waiting(&mut &app.db, endpoint.id, most).await?;
        waiting += waits;
        note_fullness(app, endpoint, waits, most).await?;
    }
    app.metrics.webhooks_waiting.set(waiting);
    let taking = endpoints.iter().filter(|endpoint| endpoint.full_since.is_none());
    let subscription =
        |endpoint: &Endpoint| Subscription { endpoint: endpoint.id, patterns: endpoint.types.clone() };
    app.subscriptions.replace(taking.map(subscription).collect());
    Ok(endpoints)
}

/// Full at the limit, and again open when a tenth of it is free.
async fn note_fullness(app: &App, endpoint: &mut Endpoint, waits: i64, most: i64) -> Result<()> {
    let now = app.now();
    match endpoint.full_since {
        None if waits >= most => {
            let mut tx = app.db.begin().await?;
            if store::set_full(&mut tx, endpoint.id, now).await? {
                let client = Client::system();
                let event = Event::new(Kind::WebhookFull, &client);
                audit::record(app, &mut tx, event.detail(json!({ "endpoint": endpoint.id })), now);
                tx.commit().await?;
                tracing::error!(endpoint = %endpoint.id, waits, "too much waits for a webhook: further events are left out");
            }
            endpoint.full_since = Some(now);
        }
        Some(_) if waits < most - most / 10 => {
            store::clear_full(&mut &app.db, endpoint.id).await?;
            endpoint.full_since = None;
        }
        _ => {}
    }
    Ok(())
}

/// Seals anew the secrets that were sealed under a former secret key.
///
/// # Errors
/// The database's, or a secret that no key opens.
pub async fn reseal(app: &App) -> Result<()> {
    let stale = |sealed: &Vec<u8>| app.secrets.sealer.is_stale(sealed);
    for endpoint in store::all(&mut &app.db).await? {
        let former = endpoint.secrets.former.as_ref();
        if !stale(&endpoint.secrets.current) && !former.is_some_and(stale) {
            continue;
        }
        let renew =
            |sealed: &Vec<u8>| Ok::<_, Error>(seal(app, endpoint.id, &open(app, endpoint.id, sealed)?));
        let renewed = Secrets {
            current: renew(&endpoint.secrets.current)?,
            former: former.map(renew).transpose()?,
            former_until: endpoint.secrets.former_until,
        };
        store::set_secrets(&mut &app.db, endpoint.id, &endpoint.secrets.current, &renewed).await?;
    }
    Ok(())
}

/// Removes a batch of deliveries that are done with; returns how many.
///
/// # Errors
/// The database's.
pub async fn purge(app: &App, tx: &mut Tx, now: Timestamp) -> Result<u64> {
    let settings = &app.config.webhooks;
    Ok(store::purge(tx, now.minus(settings.keep_delivered), now.minus(settings.keep_dead)).await?)
}

/// Removes a batch of what belongs to no endpoint any more; returns how many rows.
///
/// # Errors
/// The database's.
pub async fn purge_orphans(tx: &mut Tx) -> Result<u64> {
    Ok(store::purge_orphans(tx).await?)
}

fn bound_to(id: RowId) -> Vec<u8> {
    format!("webhook_endpoints/{id}").into_bytes()
}

fn seal(app: &App, id: RowId, secret: &WebhookSecret) -> Vec<u8> {
    app.secrets.sealer.seal(secret.expose().as_bytes(), &bound_to(id), app.random_bytes())
}

fn open(app: &App, id: RowId, sealed: &[u8]) -> Result<WebhookSecret> {
    let text = app.secrets.sealer.open(sealed, &bound_to(id)).map_err(Error::internal)?;
    let secret = std::str::from_utf8(&text).ok().and_then(WebhookSecret::parse);
    secret.ok_or_else(|| Error::internal("the secret of a webhook is malformed"))
}
