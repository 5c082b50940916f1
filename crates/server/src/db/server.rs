//! What is said to a database server, and what it says of itself.
use crate::clock::{Clock, SystemClock};
use crate::random::{SystemRandom, bytes};
use crate::redis::Redis;
use std::sync::Arc;
use std::time::Duration;

/// How to use a database server; an embedded database has no use for it.
#[derive(Clone)]
pub struct Options {
    /// Connections at most.
    pub pool_size: usize,
    /// How long to wait for a connection, and for an answer.
    pub patience: Duration,
    /// The same database for what a pooler in transaction mode cannot carry.
    pub direct_url: Option<String>,
    /// Whether statements are prepared once for each connection. Not every pooler that stands between bears it.
    pub prepared_statements: bool,
    /// Whether single writes of several callers are committed together.
    pub group_commit: bool,
    /// Whether announcements go over `LISTEN` and `NOTIFY`.
    pub listen: bool,
    /// Carries announcements as well.
    pub redis: Option<Arc<Redis>>,
    /// Names this node, differently at each start.
    pub node: [u8; 8],
    /// Tells how long ago a heartbeat was.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pool_size: 16,
            patience: Duration::from_secs(5),
            direct_url: None,
            prepared_statements: false,
            group_commit: true,
            listen: true,
            redis: None,
            node: bytes(&SystemRandom),
            clock: Arc::new(SystemClock::default()),
        }
    }
}

impl Options {
    /// How long after its announcement a commit may be over: a last statement and the commit, a second more each.
    pub(super) fn longest_commit(&self) -> Duration {
        (self.patience + Duration::from_secs(1)) * 2
    }
}

/// What a database server says of itself.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// As it calls it, such as `15.18`.
    pub version: String,
    /// The same as a number, such as 150018.
    pub version_number: i64,
    /// Where its tables stand; empty when there is no schema to use.
    pub schema: String,
    /// As whom we are connected.
    pub role: String,
    /// Whether that role may make tables.
    pub may_create: bool,
    /// Whether a commit waits for the disk.
    pub durable: bool,
    /// Connections that the server takes.
    pub max_connections: i64,
}
