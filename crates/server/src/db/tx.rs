//! Write transactions, on whichever engine.
use super::{DbError, Engine, Inner, Result, Row, Statements, Value, postgres, sqlite, writer};
use crate::bus::{Bus, Notice};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::Notify;

pub(super) enum Job {
    Sqlite(writer::Job),
    Postgres(Box<postgres::Job>),
}

/// What is written as the last of a transaction.
type Last = Box<dyn for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<()>> + Send + Sync>;

/// Has this node take note of what a transaction changed, without waiting to hear of it. Also when the commit failed, since it
/// may have been the answer that was lost, and when nobody waits for it any more.
struct Told<'t> {
    bus: &'t Bus,
    notices: &'t [Notice],
    committed: bool,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        match (self.notices.is_empty(), self.committed) {
            (true, _) => {}
            (false, true) => self.bus.hear(self.notices),
            (false, false) => self.bus.expect(self.notices),
        }
    }
}

/// A write transaction. Keep nothing slow between its statements: others wait for it, or for what it has locked.
pub struct Tx {
    job: Job,
    db: Arc<Inner>,
    notices: Vec<Notice>,
    last: Vec<(&'static str, Last)>,
    wakes: Vec<Arc<Notify>>,
}

impl Tx {
    pub(super) fn new(job: Job, db: Arc<Inner>) -> Self {
        Self { job, db, notices: Vec::new(), last: Vec::new(), wakes: Vec::new() }
    }

    /// Has something written as the last of the transaction, by its commit, in the order of `row`. For rows that many
    /// transactions change: each holds them only while it commits, and none waits for anything else meanwhile but for such a
    /// row that comes later in the order, so that no circle of transactions waits for each other over them.
    pub fn at_last<F>(&mut self, row: &'static str, write: F)
    where
        F: for<'t> FnOnce(&'t mut Self) -> BoxFuture<'t, Result<()>> + Send + Sync + 'static,
    {
        self.last.push((row, Box::new(write)));
    }

    /// Lets transactions that take the same name run one after the other, on every node, until they end. For rules
    /// about rows that do not exist yet; what exists is decided by compare-and-set.
    pub async fn lock(&mut self, name: &str) -> Result<()> {
        match &mut self.job {
            // It has one writer at a time anyway.
            Job::Sqlite(_) => Ok(()),
            Job::Postgres(job) => Box::pin(job.lock(name)).await,
        }
    }

    /// Makes the change durable, together with others that wait; returns only then.
    pub async fn commit(mut self) -> Result<()> {
        let mut last = std::mem::take(&mut self.last);
        // Stable: what is written to one row keeps its order.
        last.sort_by_key(|(row, _)| *row);
        for (_, write) in last {
            write(&mut self).await?;
        }
        let mut told = Told { bus: &self.db.bus, notices: &self.notices, committed: false };
        let result = match (self.job, &self.db.engine) {
            (Job::Sqlite(job), _) => job.commit().await,
            (Job::Postgres(job), Engine::Postgres(engine)) => {
                Box::pin(engine.commit(job, &Notice::write(&self.notices))).await
            }
            (Job::Postgres(_), Engine::Sqlite(_)) => Err(DbError::missing("a transaction of another engine")),
        };
        told.committed = result.is_ok();
        drop(told);
        if result.is_ok() {
            self.wakes.iter().for_each(|waiting| waiting.notify_one());
        }
        result
    }

    /// Wakes somebody once the change is durable.
    pub fn then_wake(&mut self, waiting: &Arc<Notify>) {
        if !self.wakes.iter().any(|known| Arc::ptr_eq(known, waiting)) {
            self.wakes.push(Arc::clone(waiting));
        }
    }

    /// As [`Tx::commit`] without waiting for the disk: for what may be lost in a power cut, such as counts.
    pub async fn commit_loosely(mut self) -> Result<()> {
        if let Job::Postgres(job) = &mut self.job {
            Box::pin(job.loosen()).await?;
        }
        self.commit().await
    }

    /// Runs a statement once for each set of values, in order, on a database server in one round trip for all.
    pub async fn query_each(&mut self, sql: &'static str, sets: &[Vec<Value<'_>>]) -> Result<Vec<Vec<Row>>> {
        self.db.count();
        match &mut self.job {
            Job::Sqlite(job) => {
                sets.iter().map(|params| job.run(|conn| sqlite::query(conn, sql, params))).collect()
            }
            Job::Postgres(job) => Box::pin(job.query_each(sql, sets)).await,
        }
    }

    /// Has every node learn, with the commit, that what it has read of something is outdated.
    pub fn announce(&mut self, notice: Notice) {
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }
}

impl Statements for Tx {
    async fn query(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        self.db.count();
        match &mut self.job {
            Job::Sqlite(job) => job.run(|conn| sqlite::query(conn, sql, params)),
            Job::Postgres(job) => Box::pin(job.query(sql, params)).await,
        }
    }

    async fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
        self.db.count();
        match &mut self.job {
            Job::Sqlite(job) => job.run(|conn| sqlite::execute(conn, sql, params)),
            Job::Postgres(job) => Box::pin(job.execute(sql, params)).await,
        }
    }
}
