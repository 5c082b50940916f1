//! Signing keys: made, published ahead, rotated with overlap, private parts sealed at rest.
//!
//! A key's life: published (`created_at`), signs (`signs_from`), retired when its successor signs (`retired_at`, the
//! private part is removed), gone when the last token it signed has expired. The JWKS shows all but the last.
//!
//! Invariants: a key that signs at once, and one that is gone, is announced to every node with the commit; a node that is shown a
//! key it does not know looks for it before it refuses; keys that were read earlier never replace those that were read later.
mod routes;
mod store;

pub use routes::routes;

use crate::app::{App, Inner};
use crate::audit::{self, Event, Kind};
use crate::bus::Notice;
use crate::clock::Timestamp;
use crate::config::SigningAlgorithm;
use crate::db::{Statements, Tx};
use crate::error::{Code, Error, Result};
use crate::roles::Authority;
use crate::signing::{KeySet, Looked};
use crate::web::Client;
use data_encoding::HEXLOWER;
use hallpass_crypto::jwk::{Algorithm, SigningKey, VerifyingKey};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// One node at a time decides about keys.
const LOCK: &str = "keys";
/// How long a retired key is still published beyond the life of the tokens that it signed.
const OVERLAP: Duration = Duration::from_secs(3600);
/// Keys that nobody has made are looked for no more often than this, however many tokens name some.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A signing key as stored.
pub struct StoredKey {
    /// Key id.
    pub kid: String,
    /// Algorithm.
    pub algorithm: Algorithm,
    /// Private part under the secret key; removed on retirement.
    pub(crate) sealed_private: Option<Vec<u8>>,
    /// Public part.
    pub public_jwk: Option<String>,
    /// Published since.
    pub created_at: Timestamp,
    /// Signs since.
    pub signs_from: Timestamp,
    /// Replaced since.
    pub retired_at: Option<Timestamp>,
}

/// A signing key as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningKeyView {
    /// Key id.
    pub kid: String,
    /// Algorithm.
    pub algorithm: &'static str,
    /// `signing`, `next` or `retired`.
    pub state: &'static str,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub signs_from: String,
    /// RFC 3339.
    pub retired_at: Option<String>,
}

/// The public name of the secret key that the database was made with, if it was noted yet.
pub async fn noted_secret_key(mut db: impl Statements) -> Result<Option<String>> {
    Ok(store::fingerprint(&mut db).await?)
}

/// Whether the secret key belongs to this database, noted at the first start.
///
/// # Errors
/// A sentence for the operator when it does not.
pub async fn check_secret_key(app: &App) -> Result<std::result::Result<(), String>> {
    let mut tx = app.db.begin().await?;
    tx.lock(LOCK).await?;
    let current = &app.secrets.fingerprint;
    let stored = store::fingerprint(&mut tx).await?;
    match stored {
        None => store::set_fingerprint(&mut tx, current).await?,
        Some(stored) if &stored == current => return Ok(Ok(())),
        Some(stored) if app.secrets.previous_fingerprints.contains(&stored) => {
            store::set_fingerprint(&mut tx, current).await?;
            // So that the former key can leave the settings.
            seal_anew(app, &mut tx).await?;
        }
        Some(_) => {
            return Ok(Err("keys.secret_key: this is not the secret key that the database was made with; \
                 restore the former key, or name it in keys.previous_secret_keys to change over"
                .into()));
        }
    }
    tx.commit().await?;
    Ok(Ok(()))
}

/// Seals the private keys under the present secret key.
async fn seal_anew(app: &App, tx: &mut Tx) -> Result<()> {
    for key in store::all(tx).await? {
        let Some(sealed) = key.sealed_private.filter(|sealed| app.secrets.sealer.is_stale(sealed)) else {
            continue;
        };
        let aad = aad(&key.kid);
        let private = app.secrets.sealer.open(&sealed, aad.as_bytes()).map_err(Error::internal)?;
        let sealed = app.secrets.sealer.seal(&private, aad.as_bytes(), app.random_bytes());
        store::set_sealed(tx, &key.kid, &sealed).await?;
    }
    Ok(())
}

/// Loads the keys into memory, makes the first one, does what the schedule asks for. Called at start, regularly, and when other keys
/// were announced.
pub async fn maintain(app: &App) -> Result<()> {
    let _turn = app.signing.turn().await;
    look(app).await
}

/// Loads the keys for a token that names none of those in memory: another node may sign with a new one before this node has heard of
/// it. One caller looks for all who wait, and at most once a second.
pub async fn look_again(app: &App) -> Result<()> {
    let asked = app.clock.monotonic();
    let mut turn = app.signing.turn().await;
    let now = app.clock.monotonic();
    if let Some(last) = turn.as_ref()
        && (last.at >= asked || now.saturating_sub(last.at) < LOOK_EVERY)
    {
        // A good token must not be called a bad one because nobody could look.
        return if last.answered { Ok(()) } else { Err(Error::new(Code::Unavailable)) };
    }
    let found = look(app).await;
    *turn = Some(Looked { at: now, answered: found.is_ok() });
    found
}

/// Called in its turn.
async fn look(app: &App) -> Result<()> {
    let now = app.now();
    let keys = store::all(&mut &app.db).await?;
    if needs_writing(app, &keys, now) {
        let mut tx = app.db.begin().await?;
        tx.lock(LOCK).await?;
        // Read again inside: another node may have been first.
        let keys = store::all(&mut tx).await?;
        if needs_writing(app, &keys, now) {
            write_schedule(app, &mut tx, &keys, now).await?;
            tx.commit().await?;
        }
        let keys = store::all(&mut &app.db).await?;
        return install(app, &keys, now);
    }
    install(app, &keys, now)
}

/// Makes a new key that signs at once; the former ones verify until their tokens have expired, or not at all. The caller commits
/// and then calls [`maintain`]; other nodes hear of it.
pub async fn rotate(
    app: &App,
    tx: &mut Tx,
    by: Authority<'_>,
    client: &Client,
    drop_former: bool,
) -> Result<String> {
    let now = app.now();
    tx.lock(LOCK).await?;
    let former = store::all(tx).await?;
    let by = By { name: &by.name(), client };
    tx.announce(Notice::Keys);
    let kid = create(app, tx, &by, now, now).await?;
    for key in former {
        if drop_former {
            remove(app, tx, &key.kid, &by, now).await?;
        } else {
            store::retire(tx, &key.kid, now).await?;
        }
    }
    Ok(kid)
}

/// Who causes a change of keys, for the audit log.
struct By<'a> {
    name: &'a str,
    client: &'a Client,
}

/// All keys, newest first.
pub async fn list(app: &App) -> Result<Vec<SigningKeyView>> {
    let now = app.now();
    let keys = store::all(&mut &app.db).await?;
    let signing = signing_key(app, &keys, now).map(|key| key.kid.clone());
    let view = |key: &StoredKey| SigningKeyView {
        kid: key.kid.clone(),
        algorithm: key.algorithm.name(),
        state: if Some(&key.kid) == signing.as_ref() {
            "signing"
        } else if key.retired_at.is_none() && key.signs_from > now {
            "next"
        } else {
            "retired"
        },
        created_at: key.created_at.rfc3339(),
        signs_from: key.signs_from.rfc3339(),
        retired_at: key.retired_at.map(Timestamp::rfc3339),
    };
    Ok(keys.iter().rev().map(view).collect())
}

fn algorithm(app: &Inner) -> Algorithm {
    match app.config.keys.algorithm {
        SigningAlgorithm::EdDSA => Algorithm::EdDsa,
        SigningAlgorithm::ES256 => Algorithm::Es256,
        SigningAlgorithm::RS256 => Algorithm::Rs256,
        SigningAlgorithm::HS256 => Algorithm::Hs256,
    }
}

/// The newest key of the configured algorithm whose time has come, or the next one if there is no other: it was made to sign at once
/// by a node whose clock is ahead.
fn signing_key<'k>(app: &Inner, keys: &'k [StoredKey], now: Timestamp) -> Option<&'k StoredKey> {
    let usable = |key: &&StoredKey| {
        key.algorithm == algorithm(app) && key.retired_at.is_none() && key.sealed_private.is_some()
    };
    let come =
        keys.iter().filter(usable).filter(|key| key.signs_from <= now).max_by_key(|key| key.signs_from);
    come.or_else(|| keys.iter().filter(usable).min_by_key(|key| key.signs_from))
}

/// When nothing that a retired key signed can be alive any more.
fn gone_at(app: &Inner, key: &StoredKey) -> Option<Timestamp> {
    let life = app.config.sessions.access_ttl + app.config.sessions.leeway + OVERLAP;
    key.retired_at.map(|retired| retired.plus(life))
}

fn wants_successor(app: &Inner, signing: &StoredKey, keys: &[StoredKey], now: Timestamp) -> bool {
    let settings = &app.config.keys;
    let due = signing.signs_from.plus(settings.rotate_every).minus(settings.publish_ahead);
    !settings.rotate_every.is_zero() && due <= now && !keys.iter().any(|key| key.signs_from > now)
}

fn needs_writing(app: &Inner, keys: &[StoredKey], now: Timestamp) -> bool {
    let Some(signing) = signing_key(app, keys, now) else {
        return true;
    };
    wants_successor(app, signing, keys, now)
        || keys.iter().any(|key| is_replaced(key, signing) || gone_at(app, key).is_some_and(|at| at <= now))
}

fn is_replaced(key: &StoredKey, signing: &StoredKey) -> bool {
    key.kid != signing.kid && key.retired_at.is_none() && key.signs_from <= signing.signs_from
}

async fn write_schedule(app: &App, tx: &mut Tx, keys: &[StoredKey], now: Timestamp) -> Result<()> {
    let by = By { name: "system", client: &Client::system() };
    match signing_key(app, keys, now) {
        None => {
            tx.announce(Notice::Keys);
            create(app, tx, &by, now, now).await?;
            for key in keys.iter().filter(|key| key.retired_at.is_none()) {
                store::retire(tx, &key.kid, now).await?;
            }
        }
        Some(signing) => {
            if wants_successor(app, signing, keys, now) {
                create(app, tx, &by, now, now.plus(app.config.keys.publish_ahead)).await?;
            }
            for key in keys.iter().filter(|key| is_replaced(key, signing)) {
                store::retire(tx, &key.kid, now).await?;
            }
        }
    }
    for key in keys.iter().filter(|key| gone_at(app, key).is_some_and(|at| at <= now)) {
        tx.announce(Notice::Keys);
        remove(app, tx, &key.kid, &by, now).await?;
    }
    Ok(())
}

async fn remove(app: &App, tx: &mut Tx, kid: &str, by: &By<'_>, now: Timestamp) -> Result<()> {
    store::remove(tx, kid).await?;
    let event = Event::new(Kind::SigningKeyRemoved, by.client);
    audit::record(app, tx, event.detail(serde_json::json!({ "by": by.name, "kid": kid })), now);
    Ok(())
}

async fn create(
    app: &App,
    tx: &mut Tx,
    by: &By<'_>,
    now: Timestamp,
    signs_from: Timestamp,
) -> Result<String> {
    let hmac_id = HEXLOWER.encode(&app.random_bytes::<16>());
    let key = SigningKey::generate(algorithm(app), &hmac_id).map_err(Error::internal)?;
    let private = key.to_pkcs8().map_err(Error::internal)?;
    let sealed = app.secrets.sealer.seal(&private, aad(key.kid()).as_bytes(), app.random_bytes());
    let stored = StoredKey {
        kid: key.kid().to_owned(),
        algorithm: algorithm(app),
        sealed_private: Some(sealed),
        public_jwk: key.verifying_key().to_jwk().map(|jwk| jwk.to_string()),
        created_at: now,
        signs_from,
        retired_at: None,
    };
    store::insert(tx, &stored).await?;
    let detail = serde_json::json!({
        "by": by.name, "kid": stored.kid, "algorithm": stored.algorithm.name(),
    });
    audit::record(app, tx, Event::new(Kind::SigningKeyCreated, by.client).detail(detail), now);
    Ok(stored.kid)
}

fn aad(kid: &str) -> String {
    format!("signing_keys/{kid}")
}

fn open(app: &Inner, key: &StoredKey) -> Result<Option<SigningKey>> {
    let Some(sealed) = &key.sealed_private else {
        return Ok(None);
    };
    let private = app.secrets.sealer.open(sealed, aad(&key.kid).as_bytes()).map_err(Error::internal)?;
    SigningKey::from_pkcs8(key.algorithm, &key.kid, &private).map(Some).map_err(Error::internal)
}

/// Puts the keys into memory.
fn install(app: &App, keys: &[StoredKey], now: Timestamp) -> Result<()> {
    let current = app.signing.current();
    let signing = signing_key(app, keys, now).map(|key| key.kid.as_str());
    let same_signer = current.active.as_ref().map(SigningKey::kid) == signing;
    let same_keys = current.verifying.len() == keys.len()
        && keys.iter().all(|key| current.verifying.contains_key(&key.kid));
    if same_signer && same_keys && signing.is_some() {
        return Ok(());
    }
    let mut set = KeySet::default();
    for key in keys {
        let private = open(app, key)?;
        let public = match (&private, &key.public_jwk) {
            (Some(private), _) => Some(private.verifying_key()),
            (None, Some(jwk)) => verifying(jwk)?,
            (None, None) => None,
        };
        if let Some(public) = public {
            set.jwks.extend(public.to_jwk());
            set.verifying.insert(key.kid.clone(), public);
        }
        if Some(key.kid.as_str()) == signing {
            set.active = private;
        }
    }
    app.signing.replace(set);
    Ok(())
}

fn verifying(jwk: &str) -> Result<Option<VerifyingKey>> {
    let jwk: serde_json::Value = serde_json::from_str(jwk).map_err(Error::internal)?;
    VerifyingKey::from_jwk(&jwk).map(Some).map_err(Error::internal)
}
