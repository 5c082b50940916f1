//! Where facts are stored, and what nodes share.
use super::values::{Secret, duration};
use crate::db::Options;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Where facts are stored.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite:<path>`, or `postgres://<user>:<password>@<host>/<database>` with `sslmode` (`verify-full` or `disable`; without it a server on another machine must offer TLS) and `sslrootcert`. Default: `hallpass.db` in the data folder. Also `HALLPASS_DATABASE_URL`.
    pub url: Option<Secret>,
    /// Connections to PostgreSQL at most, on this node.
    pub pool_size: u32,
    /// How long a call waits for a free connection, and for an answer of PostgreSQL, before it answers 503.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub timeout: Duration,
    /// Whether PostgreSQL prepares each statement once for each connection. Set it to false behind a pooler in transaction mode that does not follow prepared statements (PgBouncer before 1.21).
    pub prepared_statements: bool,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, pool_size: 16, timeout: Duration::from_secs(5), prepared_statements: true }
    }
}

impl Database {
    /// For the adapter.
    pub fn options(&self) -> Options {
        Options {
            pool_size: usize::try_from(self.pool_size).unwrap_or(1).max(1),
            patience: self.timeout,
            prepared_statements: self.prepared_statements,
        }
    }
}
