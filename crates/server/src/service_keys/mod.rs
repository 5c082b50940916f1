//! Service keys: how other services prove themselves, and what they may ask.
//!
//! Invariants: the secret is shown once and stored only as digest; a wrong key costs one look-up at most, and none when it
//! has not even the form of one; a revoked key opens nothing from the next request on.
mod service;
mod store;

pub use service::{Credential, Service, credential};

use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::db::{Statements, Tx};
use crate::error::{Code, Error, Result};
use crate::ids::RowId;
use crate::names::has_control_characters;
use crate::roles::Authority;
use crate::web::Client;
use hallpass_crypto::secret::{Kind as Secret, Opaque};
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use utoipa::ToSchema;

/// Longest name of a key, in characters.
const NAME_MAX: usize = 100;
/// Longest life of a key that ends by itself: beyond, an instant in microseconds might not hold it, and nobody means it.
pub const MOST_LIFE: Duration = Duration::from_secs(3650 * 86_400);
/// A key's last use is written at most this often.
const USED_EVERY: Duration = Duration::from_secs(60);

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Asking whether a token allows something.
    Authorize,
    /// Asking about one token (RFC 7662).
    Introspect,
    /// Following what was revoked.
    Revocations,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Authorize, Self::Introspect, Self::Revocations];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Introspect => "introspect",
            Self::Revocations => "revocations",
        }
    }

    /// The scope of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// A service key, without its secret.
#[derive(Clone, Debug)]
pub struct ServiceKey {
    /// Id; the user name of HTTP Basic.
    pub id: RowId,
    /// What operators call it.
    pub name: String,
    /// What it allows, sorted.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, give or take a minute.
    pub last_used_at: Option<Timestamp>,
    /// When an operator ended it.
    pub revoked_at: Option<Timestamp>,
}

/// A service key as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceKeyView {
    /// Id.
    pub id: String,
    /// What operators call it.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<&'static str>,
    /// `live`, `expired` or `revoked`.
    pub state: &'static str,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub expires_at: Option<String>,
    /// RFC 3339, give or take a minute.
    pub last_used_at: Option<String>,
    /// RFC 3339.
    pub revoked_at: Option<String>,
}

impl ServiceKey {
    /// Whether it opens anything.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }

    /// What operators see.
    pub fn view(&self, now: Timestamp) -> ServiceKeyView {
        let state = match (self.revoked_at, self.is_live(now)) {
            (Some(_), _) => "revoked",
            (None, true) => "live",
            (None, false) => "expired",
        };
        ServiceKeyView {
            id: self.id.to_string(),
            name: self.name.clone(),
            scopes: self.scopes.iter().map(|scope| scope.name()).collect(),
            state,
            created_at: self.created_at.rfc3339(),
            expires_at: self.expires_at.map(Timestamp::rfc3339),
            last_used_at: self.last_used_at.map(Timestamp::rfc3339),
            revoked_at: self.revoked_at.map(Timestamp::rfc3339),
        }
    }
}

/// A key to be made.
pub struct NewKey<'a> {
    /// What to call it.
    pub name: &'a str,
    /// What it is to allow.
    pub scopes: &'a [Scope],
    /// After how long it ends by itself.
    pub life: Option<Duration>,
}

/// Makes a key; returns it with its secret, which nobody can show again.
///
/// # Errors
/// [`Code::ValidationFailed`] for a bad name or no scope.
pub async fn create(
    app: &App,
    tx: &mut Tx,
    by: Authority<'_>,
    client: &Client,
    new: &NewKey<'_>,
) -> Result<(ServiceKey, String)> {
    let NewKey { name, scopes, life } = *new;
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX || has_control_characters(name) {
        let text = format!("the name needs 1 to {NAME_MAX} characters, none of them a control character");
        return Err(Error::field("name", "invalid_value", &text));
    }
    let mut scopes = scopes.to_vec();
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(Error::field("scopes", "required", "name at least one scope"));
    }
    let now = app.now();
    let secret = Opaque::mint(Secret::ServiceKey, app.random_bytes());
    let key = ServiceKey {
        id: RowId(app.new_id(now)),
        name: name.to_owned(),
        scopes,
        created_at: now,
        expires_at: life.map(|life| now.plus(life)),
        last_used_at: None,
        revoked_at: None,
    };
    store::insert(tx, &key, &secret.digest()).await?;
    let view = key.view(now);
    let detail = json!({
        "by": by.name(), "key": view.id, "name": view.name, "scopes": view.scopes, "expiresAt": view.expires_at,
    });
    audit::record(app, tx, Event::new(Kind::ServiceKeyCreated, client).detail(detail), now);
    Ok((key, secret.expose()))
}

/// All keys, oldest first.
pub async fn list(mut db: impl Statements) -> Result<Vec<ServiceKey>> {
    Ok(store::all(&mut db).await?)
}

/// Ends a key. Returns whether it was not ended before.
///
/// # Errors
/// [`Code::NotFound`].
pub async fn revoke(app: &App, tx: &mut Tx, by: Authority<'_>, client: &Client, id: RowId) -> Result<bool> {
    let now = app.now();
    if !store::revoke(tx, id, now).await? {
        let known = store::find(tx, id).await?;
        return known.map(|_| false).ok_or_else(|| Error::new(Code::NotFound));
    }
    let event = Event::new(Kind::ServiceKeyRevoked, client);
    audit::record(app, tx, event.detail(json!({ "by": by.name(), "key": id })), now);
    Ok(true)
}

/// Whether a key opens anything now.
pub async fn is_live(app: &App, id: RowId) -> Result<bool> {
    let now = app.now();
    Ok(store::find(&mut &app.db, id).await?.is_some_and(|key| key.is_live(now)))
}

/// The live key of a secret; form first, then one look-up by digest.
async fn of_secret(app: &App, text: &str) -> Result<Option<ServiceKey>> {
    let Some(secret) = Opaque::parse(Secret::ServiceKey, text) else {
        return Ok(None);
    };
    let now = app.now();
    let found = store::find_by_hash(&mut &app.db, &secret.digest()).await?;
    let Some(key) = found.filter(|key| key.is_live(now)) else {
        return Ok(None);
    };
    if key.last_used_at.is_none_or(|used| used.plus(USED_EVERY) <= now) {
        note_use(app, &key, now).await;
    }
    Ok(Some(key))
}

/// Notes a use. A database that takes no writes must not keep services from asking.
async fn note_use(app: &App, key: &ServiceKey, now: Timestamp) {
    if let Err(error) = store::used(&mut &app.db, key.id, now, now.minus(USED_EVERY)).await {
        tracing::warn!(%error, "the last use of a service key could not be written");
    }
}
