//! What every verb gets: settings, storage, time, randomness, keys. Built once, cloned cheaply.
use crate::breaker::Breaker;
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::cookies::CookieNames;
use crate::counters::Counters;
use crate::db::Db;
use crate::feed::Feed;
use crate::gates::Gates;
use crate::geoip::Places;
use crate::hashing::Hashing;
use crate::ids::Sequence;
use crate::outgoing::Outgoing;
use crate::presence::Presence;
use crate::proxies::Proxies;
use crate::random::{Random, bytes};
use crate::recall::Recall;
use crate::redis::Redis;
use crate::shared_rows::SharedRows;
use crate::signing::Signing;
use crate::subscriptions::Subscriptions;
use crate::telemetry::Metrics;
use crate::templates::Templates;
use hallpass_crypto::ring::{KeyRing, Keys, Purpose};
use hallpass_crypto::seal::Sealer;
use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;
use uuid::Uuid;

/// Keys derived from the secret key, one per purpose.
pub struct Secrets {
    /// MAC of refresh tokens.
    pub refresh: Keys,
    /// CSRF tokens.
    pub csrf: Keys,
    /// Mailed codes.
    pub codes: Keys,
    /// The head of the audit log.
    pub audit: Keys,
    /// Unknown identifiers in the audit log and in limits.
    pub identifiers: Keys,
    /// Passkey ceremonies under way, and ids of credentials that do not exist.
    pub passkeys: Keys,
    /// Sealing of mails and private keys at rest.
    pub sealer: Sealer,
    /// Public name of the current key.
    pub fingerprint: String,
    /// Public names of the former keys.
    pub previous_fingerprints: Vec<String>,
}

impl Secrets {
    /// Derives every key.
    pub fn new(ring: &KeyRing) -> Self {
        Self {
            refresh: ring.derive(Purpose::RefreshMac),
            csrf: ring.derive(Purpose::Csrf),
            codes: ring.derive(Purpose::Code),
            audit: ring.derive(Purpose::Audit),
            identifiers: ring.derive(Purpose::Identifier),
            passkeys: ring.derive(Purpose::Passkey),
            sealer: Sealer::new(ring),
            fingerprint: ring.fingerprint(),
            previous_fingerprints: ring.previous_fingerprints(),
        }
    }
}

/// One for each hook.
#[derive(Default)]
pub struct Breakers {
    /// Of `hooks.before_register`.
    pub before_register: Breaker,
    /// Of `hooks.before_login`.
    pub before_login: Breaker,
}

/// A link that was shown on the console.
pub struct FirstAdministrator {
    /// Digest of its token.
    pub digest: [u8; 32],
    /// End of its life.
    pub expires_at: Timestamp,
}

/// See the module's doc.
pub struct Inner {
    /// Settings, validated.
    pub config: Config,
    /// Storage.
    pub db: Db,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Password workers.
    pub hashing: Hashing,
    /// Derived keys.
    pub secrets: Secrets,
    /// Signing keys of access tokens.
    pub signing: Signing,
    /// Counters.
    pub metrics: Metrics,
    /// Mail and page templates.
    pub templates: Templates,
    /// Names and attributes of our cookies.
    pub cookies: CookieNames,
    /// What this node saw and has not yet written.
    pub presence: Presence,
    /// Access tokens that were checked.
    pub recall: Recall,
    /// What other nodes have read, if Redis keeps it.
    pub shared_rows: Option<SharedRows>,
    /// Failures counted against limits on this node.
    pub counters: Counters,
    /// What nodes share beside the database, if that is set.
    pub redis: Option<Arc<Redis>>,
    /// Attempts that are being verified.
    pub gates: Gates,
    /// From where people come.
    pub places: Places,
    /// Streams to other services.
    pub feed: Arc<Feed>,
    /// Whom to believe about the client's address.
    pub proxies: Proxies,
    /// Wakes the mail worker.
    pub outbox_wake: Notify,
    /// Calls to other people's servers.
    pub outgoing: Outgoing,
    /// How hooks are doing.
    pub breakers: Breakers,
    /// Who wants to be told what.
    pub subscriptions: Subscriptions,
    /// Wakes the worker of the webhooks.
    pub webhooks_wake: Arc<Notify>,
    /// `server.public_url`, settled.
    pub public_url: String,
    /// `sessions.audience`, settled.
    pub audience: String,
    /// The link that makes the first administrator, if one was shown.
    pub first_administrator: OnceLock<FirstAdministrator>,
    /// Order of ids.
    pub ids: Sequence,
    /// First half of request ids, new at every start.
    pub request_prefix: u64,
    /// Second half of request ids.
    pub request_counter: AtomicU64,
}

/// The application. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What [`App::new`] is built from.
pub struct Parts {
    /// Settings, validated.
    pub config: Config,
    /// Storage, migrated.
    pub db: Db,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The secret key and its predecessors.
    pub ring: KeyRing,
    /// Password workers.
    pub hashing: Hashing,
    /// Mail and page templates.
    pub templates: Templates,
    /// The Redis that nodes share.
    pub redis: Option<Arc<Redis>>,
    /// From where people come.
    pub places: Places,
}

impl App {
    /// Puts the parts together; signing keys are loaded by `keys::maintain`.
    pub fn new(parts: Parts) -> Self {
        let Parts { config, db, clock, random, ring, hashing, templates, redis, places } = parts;
        let request_prefix = u64::from_be_bytes(bytes(&*random));
        let metrics = Metrics::default();
        let share = |redis: &Arc<Redis>| {
            let (keys, random) = (ring.derive(Purpose::Share), Arc::clone(&random));
            SharedRows::new(Arc::clone(redis), keys, random, metrics.shared_rows.clone())
        };
        let shared_rows = redis.as_ref().filter(|_| config.redis.share_rows).map(share);
        Self(Arc::new(Inner {
            public_url: config.public_url(),
            audience: config.audience(),
            cookies: CookieNames::new(config.https()).for_profile(&config.compat),
            proxies: Proxies::new(&config.server),
            outgoing: Outgoing::new(&config),
            secrets: Secrets::new(&ring),
            config,
            db,
            clock,
            random,
            hashing,
            signing: Signing::default(),
            metrics,
            templates,
            presence: Presence::default(),
            recall: Recall::default(),
            shared_rows,
            counters: Counters::default(),
            redis,
            gates: Gates::default(),
            places,
            feed: Arc::default(),
            outbox_wake: Notify::new(),
            breakers: Breakers::default(),
            subscriptions: Subscriptions::default(),
            webhooks_wake: Arc::default(),
            first_administrator: OnceLock::new(),
            ids: Sequence::default(),
            request_prefix,
            request_counter: AtomicU64::new(0),
        }))
    }
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    /// The present instant; a verb asks once.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new id, later in order than those before.
    pub fn new_id(&self, now: Timestamp) -> Uuid {
        self.ids.next(now, &*self.random)
    }

    /// Fresh random bytes.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        bytes(&*self.random)
    }
}
