//! Storage: the only place that knows engines.
//!
//! Values are text, bigint and bytes, each possibly null; nothing else crosses. One SQL text serves every engine, with
//! `$1` placeholders (the card is in CONTRIBUTING.md). Reads go through [`Db`], writes through a [`Tx`] whose
//! `commit` returns only when the change is durable. Dropping a [`Tx`] undoes it.
mod backup;
mod row;
mod sqlite;
mod version;
mod writer;

pub use row::{Row, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

    /// Whether a retry may succeed without anybody fixing a defect.
    pub fn is_temporary(&self) -> bool {
        matches!(self.kind, Kind::Full | Kind::Busy | Kind::Io)
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

struct Inner {
    engine: sqlite::Sqlite,
    /// Statements run since the start.
    statements: AtomicU64,
}

impl Inner {
    fn count(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }
}

impl Db {
    /// Opens or creates the database that a URL names: `sqlite:<path>`. Does not migrate.
    ///
    /// # Errors
    /// [`Kind::Open`] with a sentence for the operator.
    pub fn open(url: &str) -> Result<Self> {
        let engine = sqlite::Sqlite::open(&sqlite_path(url)?)?;
        Ok(Self(Arc::new(Inner { engine, statements: AtomicU64::new(0) })))
    }

    /// Brings the schema up to date, all pending migrations in one transaction; returns the names of those applied.
    pub fn migrate(&self) -> Result<Vec<String>> {
        self.0.engine.migrate()
    }

    /// Names of the migrations that [`Db::migrate`] would apply.
    pub fn pending_migrations(&self) -> Result<Vec<String>> {
        self.0.engine.pending_migrations()
    }

    /// Starts a write transaction, in fair order behind those that wait already.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(Tx { job: self.0.engine.begin().await?, db: Arc::clone(&self.0) })
    }

    /// Statements run since the start; tests compare it between known and unknown accounts.
    pub fn statements(&self) -> u64 {
        self.0.statements.load(Ordering::Relaxed)
    }

    /// Checks that a statement is understood by the engine.
    pub fn prepare(&self, sql: &str) -> Result<()> {
        self.0.engine.prepare(sql)
    }

    /// Reads every page and checks the structure; returns the findings, empty when healthy.
    pub fn check(&self) -> Result<Vec<String>> {
        self.0.engine.check()
    }

    /// Copies the live database into a new file; `progress` gets remaining and total pages.
    pub fn backup(&self, target: &Path, progress: &mut dyn FnMut(usize, usize)) -> Result<()> {
        backup::backup(self.0.engine.path(), target, progress)
    }

    /// What changes with every commit, whatever process makes it; whoever read something at a version may rely on it for
    /// as long as the version is the same. `None` when that cannot be told: then ask the database.
    pub fn version(&self) -> Option<Version> {
        self.0.engine.version()
    }

    /// The file of an embedded database.
    pub fn path(&self) -> &Path {
        self.0.engine.path()
    }
}

/// Replaces the database file that a URL names with a checked copy of a backup; the former file is kept beside it.
/// Returns the path of the kept file, if there was one. No server may run on it.
pub fn restore(url: &str, source: &Path) -> Result<Option<PathBuf>> {
    backup::restore(source, &sqlite_path(url)?)
}

/// The file that `sqlite:<path>` or `sqlite://<path>` names.
pub fn sqlite_path(url: &str) -> Result<PathBuf> {
    let path = url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
    match path {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ => Err(DbError::new(
            Kind::Open,
            "database.url must be sqlite:<path>; this version stores in embedded SQLite only",
        )),
    }
}

impl Statements for &Db {
    async fn query(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        self.0.count();
        self.0.engine.read(sql, params)
    }

    async fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
        let mut tx = self.begin().await?;
        let changed = tx.execute(sql, params).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

/// A write transaction. Keep nothing slow between its statements: on SQLite others wait for it.
pub struct Tx {
    job: writer::Job,
    db: Arc<Inner>,
}

impl Tx {
    /// Makes the change durable, together with others that wait; returns only then.
    pub async fn commit(self) -> Result<()> {
        self.job.commit().await
    }
}

impl Statements for Tx {
    async fn query(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        self.db.count();
        self.job.run(|conn| sqlite::query(conn, sql, params))
    }

    async fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
        self.db.count();
        self.job.run(|conn| sqlite::execute(conn, sql, params))
    }
}
