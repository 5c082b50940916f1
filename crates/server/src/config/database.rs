//! Where facts are stored, and what nodes share.
use super::values::{Secret, duration};
use crate::clock::Clock;
use crate::db::Options;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Where facts are stored.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite:<path>`, or `postgres://<user>:<password>@<host>/<database>` with `sslmode` (`verify-full` or `disable`; without it a server on another machine must offer TLS) and `sslrootcert`. Default: `hallpass.db` in the data folder. Also `HALLPASS_DATABASE_URL`.
    pub url: Option<Secret>,
    /// The same PostgreSQL database without the pooler that `database.url` leads through: announcements between nodes (`LISTEN`) cannot pass one in transaction mode. Default: `database.url`.
    pub direct_url: Option<Secret>,
    /// Where `hallpass move-to-postgres` moves an embedded database: a `postgres://` URL. Also `HALLPASS_MOVE_TO`.
    pub move_to: Option<Secret>,
    /// Whether announcements go over `LISTEN` and `NOTIFY`. False for databases that do not have them; then Redis carries them.
    pub listen: bool,
    /// Connections to PostgreSQL at most, on this node.
    pub pool_size: u32,
    /// How long a call waits for a free connection, and for an answer of PostgreSQL, before it answers 503.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub timeout: Duration,
    /// Whether PostgreSQL prepares each statement once for each connection. Set it to false behind a pooler in transaction mode that does not follow prepared statements (PgBouncer before 1.21).
    pub prepared_statements: bool,
    /// Whether refreshes that arrive while others are under way are committed together, in one transaction. Set it to false for a distributed database, where a transaction over the rows of several sessions costs more than several.
    pub group_commit: bool,
}

/// A Redis or Valkey server that nodes share, beside PostgreSQL.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// `redis://<user>:<password>@<host>:<port>/<database>`, or `rediss://` with TLS. Without it PostgreSQL keeps what nodes share; an embedded database needs none. Also `HALLPASS_REDIS_URL`.
    pub url: Option<Secret>,
    /// What every key begins with.
    pub prefix: String,
    /// How long a call waits for an answer before PostgreSQL does the work.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub timeout: Duration,
    /// Whether nodes leave there, sealed and for a minute, what they have read of sessions and users, so that others need not ask PostgreSQL. Takes about 1.4 kB for each session that was in use during the last minute.
    pub share_rows: bool,
}

impl Default for Redis {
    fn default() -> Self {
        Self { url: None, prefix: "hallpass".into(), timeout: Duration::from_millis(100), share_rows: true }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            direct_url: None,
            move_to: None,
            listen: true,
            pool_size: 16,
            timeout: Duration::from_secs(5),
            prepared_statements: true,
            group_commit: true,
        }
    }
}

impl Redis {
    /// For the client.
    pub fn options(&self) -> crate::redis::Options {
        crate::redis::Options { prefix: self.prefix.clone(), timeout: self.timeout }
    }
}

impl Database {
    /// For the adapter, with the clock that tells how long ago something was.
    pub fn options(&self, clock: Arc<dyn Clock>) -> Options {
        Options {
            pool_size: usize::try_from(self.pool_size).unwrap_or(1).max(1),
            patience: self.timeout,
            direct_url: self.direct_url.as_ref().map(|url| url.expose().to_owned()),
            prepared_statements: self.prepared_statements,
            group_commit: self.group_commit,
            listen: self.listen,
            clock,
            ..Options::default()
        }
    }
}
