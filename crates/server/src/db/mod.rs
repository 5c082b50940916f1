//! Storage: the only place that knows engines.
//!
//! Values are text, bigint and bytes, each possibly null; nothing else crosses. One SQL text serves every engine, with
//! `$1` placeholders (the card is in CONTRIBUTING.md). Reads go through [`Db`], writes through a [`Tx`] whose
//! `commit` returns only when the change is durable. Dropping a [`Tx`] undoes it. What waits for a server is boxed, so that
//! the futures of an embedded database stay small.
mod backup;
mod migrations;
mod postgres;
mod row;
mod server;
mod sqlite;
mod transfer;
mod tx;
mod url;
mod version;
mod writer;

use crate::bus::{Bus, Proof};
use crate::clock::Timestamp;
use crate::ids::{SessionId, UserId};
pub use row::{Row, Value};
pub use server::{Options, ServerFacts};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
pub use transfer::{Done, Moved, Progress, Standing, Transfer, undo_mark};
use tx::Job;
pub use tx::Tx;
pub use url::{check_url, is_embedded, shown, sqlite_path};
pub use version::Version;

/// Why a statement failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No space left on the device.
    Full,
    /// Another process holds the database.
    Busy,
    /// The operating system refused to read or write.
    Io,
    /// The file is not a healthy database.
    Corrupt,
    /// The database server cannot be reached, or is about to stop.
    Away,
    /// A constraint was violated.
    Constraint,
    /// Opening or migrating failed.
    Open,
    /// A column had another type than expected.
    Decode,
    /// Anything else, for example a defect in a statement.
    Other,
}

/// A failed database operation. Its text is for the log, never for a client.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct DbError {
    /// The class.
    pub kind: Kind,
    /// What happened, for an operator.
    pub message: String,
}

impl DbError {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// A row that must be there is not.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(Kind::Corrupt, message)
    }

    /// Whether a retry may succeed without anybody fixing a defect. After a violated constraint too: what conflicts is
    /// looked for before, so somebody else was faster, and the next attempt finds it.
    pub fn is_temporary(&self) -> bool {
        matches!(self.kind, Kind::Full | Kind::Busy | Kind::Io | Kind::Away | Kind::Constraint)
    }
}

type Result<T> = std::result::Result<T, DbError>;

/// What both a [`Tx`] and (outside a transaction) a `&Db` can do.
pub trait Statements: Send {
    /// Runs a statement and collects its rows.
    fn query(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<Row>>> + Send;

    /// Runs a statement and counts the rows that it changed.
    fn execute(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> impl Future<Output = Result<u64>> + Send;

    /// The first row, if any.
    fn query_opt(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> impl Future<Output = Result<Option<Row>>> + Send {
        async move { Ok(self.query(sql, params).await?.into_iter().next()) }
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(Box<postgres::Postgres>),
}

struct Inner {
    engine: Engine,
    bus: Arc<Bus>,
    /// Statements run since the start.
    statements: AtomicU64,
}

impl Inner {
    fn count(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }
}

/// What has to be unchanged for an earlier read to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency(Unchanged);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unchanged {
    /// The whole file.
    File(Version),
    /// What was announced about a session and a user.
    Notices(Proof),
}

/// What only an embedded database can do.
fn embedded_only(what: &str) -> DbError {
    DbError::new(
        Kind::Other,
        format!("{what} works on an embedded database; use the tools of PostgreSQL (docs/operating.md)"),
    )
}

impl Db {
    /// Opens or creates the database that a URL names: `sqlite:<path>` or `postgres://…`. Does not migrate; a database
    /// server is not asked yet.
    ///
    /// # Errors
    /// [`Kind::Open`] with a sentence for the operator.
    pub fn open(url: &str, options: &Options) -> Result<Self> {
        let engine = if postgres::is_postgres(url) {
            Engine::Postgres(Box::new(postgres::Postgres::open(url, options)?))
        } else {
            Engine::Sqlite(sqlite::Sqlite::open(&sqlite_path(url)?)?)
        };
        Ok(Self(Arc::new(Inner {
            engine,
            bus: Bus::new(Arc::clone(&options.clock), options.longest_commit()),
            statements: AtomicU64::new(0),
        })))
    }

    /// What other nodes announce.
    pub fn bus(&self) -> &Arc<Bus> {
        &self.0.bus
    }

    /// What a database server says of itself; `None` for an embedded database.
    pub async fn server_facts(&self) -> Result<Option<ServerFacts>> {
        match &self.0.engine {
            Engine::Sqlite(_) => Ok(None),
            Engine::Postgres(engine) => Box::pin(engine.facts()).await.map(Some),
        }
    }

    /// By how many microseconds an instant of this node's is ahead of the database server's clock; negative when behind,
    /// 0 for an embedded database.
    pub async fn clock_ahead(&self, now: Timestamp) -> Result<i64> {
        match &self.0.engine {
            Engine::Sqlite(_) => Ok(0),
            Engine::Postgres(engine) => Ok(now.micros().saturating_sub(Box::pin(engine.clock()).await?)),
        }
    }

    /// Whether this node may rely on what it has read, because it would hear of every change.
    pub fn hears(&self) -> bool {
        match &self.0.engine {
            Engine::Sqlite(_) => true,
            Engine::Postgres(_) => self.0.bus.is_live(),
        }
    }

    /// Hears what other nodes announce until told to stop.
    pub async fn listen(&self, stop: watch::Receiver<bool>) {
        match &self.0.engine {
            // Its file says by itself that it has changed.
            Engine::Sqlite(_) => {}
            Engine::Postgres(engine) => Box::pin(engine.listen(&self.0.bus, stop)).await,
        }
    }

    /// Brings the schema up to date, all pending migrations in one transaction; returns the names of those applied.
    pub async fn migrate(&self) -> Result<Vec<String>> {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.migrate(),
            Engine::Postgres(engine) => Box::pin(engine.migrate()).await,
        }
    }

    /// Names of the migrations that [`Db::migrate`] would apply.
    pub async fn pending_migrations(&self) -> Result<Vec<String>> {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.pending_migrations(),
            Engine::Postgres(engine) => Box::pin(engine.pending_migrations()).await,
        }
    }

    /// Starts a write transaction, in fair order behind those that wait already.
    pub async fn begin(&self) -> Result<Tx> {
        let job = match &self.0.engine {
            Engine::Sqlite(engine) => Job::Sqlite(engine.begin().await?),
            Engine::Postgres(engine) => Job::Postgres(Box::new(engine.begin().await?)),
        };
        Ok(Tx::new(job, Arc::clone(&self.0)))
    }

    /// Runs one writing statement as a transaction of its own: on a database server one round trip, which it may share with others
    /// of other callers.
    pub async fn write(&self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        match &self.0.engine {
            Engine::Sqlite(_) => {
                let mut tx = self.begin().await?;
                let rows = tx.query(sql, params).await?;
                tx.commit().await?;
                Ok(rows)
            }
            Engine::Postgres(engine) => {
                self.0.count();
                Box::pin(engine.write(sql, params)).await
            }
        }
    }

    /// Runs a writing statement once for each set of values. Each stands for itself: an embedded database stores them
    /// together, a server locks one row after the other, so that two nodes that write the same rows never block each
    /// other for good.
    pub async fn write_each(&self, sql: &'static str, sets: &[Vec<Value<'_>>]) -> Result<()> {
        match &self.0.engine {
            Engine::Sqlite(_) => {
                let mut tx = self.begin().await?;
                for params in sets {
                    tx.execute(sql, params).await?;
                }
                tx.commit().await
            }
            Engine::Postgres(engine) => Box::pin(engine.execute_each(sql, sets)).await,
        }
    }

    /// Statements run since the start; tests compare it between known and unknown accounts.
    pub fn statements(&self) -> u64 {
        self.0.statements.load(Ordering::Relaxed)
    }

    /// Checks that a statement is understood by the engine.
    pub async fn prepare(&self, sql: &str) -> Result<()> {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.prepare(sql),
            Engine::Postgres(engine) => Box::pin(engine.prepare(sql)).await,
        }
    }

    /// Reads every page of an embedded database and checks the structure; returns the findings, empty when healthy.
    pub fn check(&self) -> Result<Vec<String>> {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.check(),
            Engine::Postgres(_) => Err(embedded_only("checking the file")),
        }
    }

    /// Copies the live embedded database into a new file; `progress` gets remaining and total pages.
    pub fn backup(&self, target: &Path, progress: &mut dyn FnMut(usize, usize)) -> Result<()> {
        backup::backup(self.path().ok_or_else(|| embedded_only("`hallpass backup`"))?, target, progress)
    }

    /// What changes with every commit to an embedded database, whatever process makes it. `None` when that cannot be told.
    pub fn version(&self) -> Option<Version> {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.version(),
            Engine::Postgres(_) => None,
        }
    }

    /// Asked before something is read of a user and a session: what was read holds for as long as the answer is the same.
    /// `None` when that cannot be told: then ask the database.
    pub fn currency(&self, user: UserId, session: Option<SessionId>) -> Option<Currency> {
        let unchanged = match &self.0.engine {
            Engine::Sqlite(_) => self.version().map(Unchanged::File),
            Engine::Postgres(_) => self.0.bus.proof(user, session).map(Unchanged::Notices),
        };
        unchanged.map(Currency)
    }

    /// The file of an embedded database.
    pub fn path(&self) -> Option<&Path> {
        match &self.0.engine {
            Engine::Sqlite(engine) => Some(engine.path()),
            Engine::Postgres(_) => None,
        }
    }

    /// The database in words for an operator, without a password.
    pub fn shown(&self) -> String {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.path().display().to_string(),
            Engine::Postgres(engine) => engine.shown(),
        }
    }
}

/// Replaces the database file that a URL names with a checked copy of a backup; the former file is kept beside it.
/// Returns the path of the kept file, if there was one. No server may run on it.
pub fn restore(url: &str, source: &Path) -> Result<Option<PathBuf>> {
    backup::restore(source, &sqlite_path(url)?)
}

impl Statements for &Db {
    async fn query(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        self.0.count();
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.read(sql, params),
            Engine::Postgres(engine) => Box::pin(engine.run(sql, params)).await,
        }
    }

    async fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
        if let Engine::Postgres(engine) = &self.0.engine {
            self.0.count();
            return Box::pin(engine.execute(sql, params)).await;
        }
        let mut tx = self.begin().await?;
        let changed = tx.execute(sql, params).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

impl<S: Statements> Statements for &mut S {
    async fn query(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        S::query(self, sql, params).await
    }

    async fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
        S::execute(self, sql, params).await
    }
}
