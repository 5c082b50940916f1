//! Settings: `hallpass.toml`, then `.env`, then the environment, then flags. Checked at start, with the path of the mistake.
mod aliases;
mod check;
mod compat;
mod database;
mod devices;
mod factors;
mod forward_auth;
mod load;
mod passkeys;
mod reference;
mod registration;
mod retention;
mod sections;
mod server;
mod values;
mod webhooks;

pub use check::check_production;
pub use compat::Compat;
pub use database::{Database, Redis};
pub use devices::{Geoip, Notices};
pub use factors::{EmailOtp, FactorPolicy, Factors, Login};
pub use forward_auth::ForwardAuth;
pub use load::{Sources, load};
pub use passkeys::Passkeys;
pub use reference::reference;
pub use registration::{Access, Registration, RegistrationMode};
pub use retention::Retention;
pub use sections::*;
pub use server::{ForwardedHeader, Mode, Profile, Server};
pub use values::{Secret, parse_network};
pub use webhooks::{Hooks, OnFailure, Webhooks, check_url};

use crate::clock::Clock;
use crate::db::{self, Db, DbError, Options};
use crate::redis::Redis as RedisClient;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;
use utoipa::ToSchema;

/// Everything that can be set. Each section is a table in `hallpass.toml`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `default`, or `strict` for ASVS 5.0 level 3: shorter lifetimes, no late retry, no remembered devices, 15-character passwords, strong hashing.
    pub profile: Profile,
    /// Where the server listens and how it is reached.
    pub server: Server,
    /// Where facts are stored.
    pub database: Database,
    /// What nodes share beside PostgreSQL.
    pub redis: Redis,
    /// Secret and signing keys.
    pub keys: Keys,
    /// Sessions and their tokens.
    pub sessions: Sessions,
    /// Password rules and hashing.
    pub passwords: Passwords,
    /// Passkeys (WebAuthn).
    pub passkeys: Passkeys,
    /// How accounts come into being.
    pub registration: Registration,
    /// How people sign in.
    pub login: Login,
    /// Second factors: authenticator apps, recovery codes, passkeys.
    pub factors: Factors,
    /// Reverse proxies that ask before they let a request through.
    pub forward_auth: ForwardAuth,
    /// Mailed links and codes.
    pub codes: Codes,
    /// Outgoing mail.
    pub mail: Mail,
    /// Mails about what happens to an account.
    pub notices: Notices,
    /// From where people come, by their address.
    pub geoip: Geoip,
    /// Limits against abuse.
    pub limits: Limits,
    /// Route profiles, for front ends that were written against one of the systems that Hallpass replaces; see `docs/migrating.md`.
    pub compat: Compat,
    /// Other systems that are told what happens (`docs/webhooks.md`).
    pub webhooks: Webhooks,
    /// Other systems that are asked before somebody registers or signs in (`docs/webhooks.md`).
    pub hooks: Hooks,
    /// For how long what is over is kept.
    pub retention: Retention,
    /// Logs and metrics.
    pub telemetry: Telemetry,
}

/// A setting that stops the start: where, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ConfigError {
    /// Path of the setting, for example `sessions.refresh_ttl`.
    pub path: String,
    /// What is wrong and what to do.
    pub problem: String,
}

impl ConfigError {
    /// A problem with one setting.
    pub fn new(path: &str, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

impl Config {
    /// Whether development conveniences are on: plain http, loopback origins, the dev mailbox without SMTP.
    pub fn development(&self) -> bool {
        match self.server.mode {
            Mode::Development => true,
            Mode::Production => false,
            Mode::Auto => self.mail.smtp_url.is_none() && self.listens_on_loopback(),
        }
    }

    /// Whether mail goes to the dev mailbox instead of an SMTP server.
    pub fn dev_mailbox(&self) -> bool {
        self.development() && self.mail.smtp_url.is_none()
    }

    fn listens_on_loopback(&self) -> bool {
        self.server.listen.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
    }

    /// The address that people and tokens (`iss`) name, without a trailing slash.
    pub fn public_url(&self) -> String {
        match &self.server.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let port = self.server.listen.parse::<SocketAddr>().map_or(3000, |address| address.port());
                format!("http://localhost:{port}")
            }
        }
    }

    /// Whether browsers reach the server by https, so that cookies can be Secure and carry a prefix.
    pub fn https(&self) -> bool {
        self.public_url().starts_with("https://")
    }

    /// The `aud` of access tokens: by default the public URL.
    pub fn audience(&self) -> String {
        self.sessions.audience.clone().unwrap_or_else(|| self.public_url())
    }

    /// The database's URL: by default SQLite in the data folder.
    pub fn database_url(&self) -> String {
        match &self.database.url {
            Some(url) => url.expose().to_owned(),
            None => format!("sqlite:{}", self.server.data_dir.join("hallpass.db").display()),
        }
    }

    /// Whether the database is a file of this node's, so that no other node can share it.
    pub fn embedded(&self) -> bool {
        db::is_embedded(&self.database_url())
    }

    /// Every setting in effect, what follows from others included, without secrets: those that are kept as such, and what addresses carry in
    /// user information and queries.
    ///
    /// # Errors
    /// None that occur.
    pub fn shown(&self) -> Result<serde_json::Value, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        value["server"]["public_url"] = self.public_url().into();
        value["database"]["url"] = db::shown(&self.database_url()).into();
        value["sessions"]["audience"] = self.audience().into();
        hide_in_addresses(&mut value);
        Ok(value)
    }

    /// Opens the configured database; Redis carries announcements as well, if it is given.
    ///
    /// # Errors
    /// [`db::Kind::Open`] with a sentence for the operator.
    pub fn open_database(
        &self,
        clock: Arc<dyn Clock>,
        redis: Option<Arc<RedisClient>>,
    ) -> Result<Db, DbError> {
        let options = Options { redis, ..self.database.options(clock) };
        Db::open(&self.database_url(), &options)
    }

    /// The configured Redis, which is of use beside a database server only. Connects later.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn open_redis(&self) -> Result<Option<Arc<RedisClient>>, String> {
        let url = self.redis.url.as_ref().filter(|_| !self.embedded());
        let opened = url.map(|url| RedisClient::open(url.expose(), &self.redis.options()));
        Ok(opened.transpose()?.map(Arc::new))
    }

    /// The file that keeps a generated secret key.
    pub fn secret_key_file(&self) -> PathBuf {
        self.server.data_dir.join("secret.key")
    }

    /// Checks what types cannot say.
    ///
    /// # Errors
    /// Every mistake found, each with its path.
    pub fn validate(&self) -> Result<(), Vec<ConfigError>> {
        let mut problems = check::check(self);
        if let Err(error) = db::check_url(&self.database_url()) {
            problems.push(ConfigError::new("database.url", error.message));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// Hides what addresses carry beside the place: `https://user:password@…` and `?key=…`. In every text, so that no later setting is forgotten.
fn hide_in_addresses(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            if let Some(shown) = without_secrets(text) {
                *text = shown;
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(hide_in_addresses),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(hide_in_addresses),
        _ => {}
    }
}

/// An address without what only its reader should know; `None` for what has nothing of the kind.
fn without_secrets(text: &str) -> Option<String> {
    const HIDDEN: &str = "(hidden)";
    let mut url = Url::parse(text).ok().filter(Url::has_host)?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !has_user && url.query().is_none() {
        return None;
    }
    let names: Vec<String> = url
        .query_pairs()
        .map(|(name, value)| if value.is_empty() { HIDDEN.into() } else { format!("{name}={HIDDEN}") })
        .collect();
    if url.query().is_some() {
        url.set_query(Some(&names.join("&")));
    }
    // An address that has no place for them cannot have had them.
    let hidden = url.set_username("").and_then(|()| url.set_password(None));
    Some(hidden.map_or_else(|()| HIDDEN.into(), |()| url.into()))
}
