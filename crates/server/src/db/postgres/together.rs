//! Writes that arrive while others are under way are sent together and committed together, as an embedded database does by
//! itself: one round trip and one commit for all of them.
//!
//! Invariants: nobody is answered before the commit; should anything but the connection fail, nothing of it was committed, and
//! each is done by itself; a transaction of several never waits for a lock for longer than [`FOR_LOCKS`], which is less than it
//! takes the server to look for a deadlock, so that nobody else's transaction is ever given up for it; and who does wait for
//! a lock keeps nobody else waiting.
use super::job::Connection;
use super::{Result, in_time, pool};
use crate::db::row::{Row, Value};
use crate::db::{DbError, Kind, Options};
use futures_util::future::{join_all, try_join_all};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a transaction of several waits for a lock. `deadlock_timeout` is a second, unless somebody set it.
const FOR_LOCKS: Duration = Duration::from_millis(50);
/// Statements of one transaction at most.
const MOST: usize = 64;
/// How many connections of a pool may be used at the same time.
const SHARE: usize = 4;

/// One caller's statement.
struct Waiting {
    sql: &'static str,
    params: Vec<Value<'static>>,
    answer: oneshot::Sender<Result<Vec<Row>>>,
}

#[derive(Default)]
struct Queue {
    under_way: usize,
    waiting: VecDeque<Waiting>,
}

/// See the module's doc.
pub(super) struct Together {
    queue: Mutex<Queue>,
    /// How many may be under way before others wait.
    lanes: usize,
    pool: Arc<pool::Pool>,
    patience: Duration,
    prepared: bool,
}

/// The right to be under way. When it ends, those who wait by then come next.
struct Turn(Arc<Together>);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        let most = queue.waiting.len().min(MOST);
        let next: Vec<Waiting> = queue.waiting.drain(..most).collect();
        match Handle::try_current() {
            Ok(runtime) if !next.is_empty() => {
                drop(queue);
                runtime.spawn(run(Self(Arc::clone(&self.0)), next));
            }
            // Without a runtime nobody waits any more.
            _ => queue.under_way -= 1,
        }
    }
}

impl Together {
    pub(super) fn new(pool: Arc<pool::Pool>, options: &Options) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            lanes: (options.pool_size / SHARE).max(1),
            pool,
            patience: options.patience,
            prepared: options.prepared_statements,
        })
    }

    /// Runs a statement that writes, by itself or with others of its kind.
    pub(super) async fn write(self: &Arc<Self>, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        let waits = {
            let mut queue = self.lock();
            if queue.under_way < self.lanes {
                queue.under_way += 1;
                None
            } else {
                let (answer, waits) = oneshot::channel();
                let params = params.iter().map(Value::to_owned).collect();
                queue.waiting.push_back(Waiting { sql, params, answer });
                Some(waits)
            }
        };
        match waits {
            None => {
                let turn = Turn(Arc::clone(self));
                let mut work = pin!(self.alone(sql, params));
                if let Ok(result) = timeout(FOR_LOCKS, &mut work).await {
                    return result;
                }
                // It waits for a lock, perhaps: nobody else waits for it.
                drop(turn);
                work.await
            }
            Some(waits) => {
                waits.await.unwrap_or_else(|_| Err(DbError::new(Kind::Away, "the server is stopping")))
            }
        }
    }

    async fn alone(&self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        let connection = self.connection().await?;
        let result = in_time(self.patience, connection.query(sql, params)).await;
        connection.settle(result)
    }

    async fn answer(&self, one: Waiting) {
        let rows = self.alone(one.sql, &one.params).await;
        let _ = one.answer.send(rows);
    }

    async fn all(&self, statements: &[Waiting]) -> Result<Vec<Vec<Row>>> {
        let connection = self.connection().await?;
        let result = in_time(self.patience, commit_all(&connection, statements)).await;
        connection.settle(result)
    }

    async fn connection(&self) -> Result<Connection> {
        Ok(Connection::new(self.pool.get().await?, self.prepared))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers everybody, together if that is possible. Who has gone meanwhile is not told.
async fn run(turn: Turn, statements: Vec<Waiting>) {
    let together = Arc::clone(&turn.0);
    let failed = match together.all(&statements).await {
        Ok(answers) => {
            for (one, rows) in statements.into_iter().zip(answers) {
                let _ = one.answer.send(Ok(rows));
            }
            return;
        }
        Err(failed) => failed,
    };
    drop(turn);
    if failed.kind == Kind::Away {
        for one in statements {
            let _ = one.answer.send(Err(failed.clone()));
        }
        return;
    }
    join_all(statements.into_iter().map(|one| together.answer(one))).await;
}

/// One message to the server, so one round trip. After a failure the server turns the commit into a rollback.
async fn commit_all(connection: &Connection, statements: &[Waiting]) -> Result<Vec<Vec<Row>>> {
    for one in statements {
        connection.prepare(one.sql, &one.params).await?;
    }
    let opening = format!("begin; set local lock_timeout = {}", FOR_LOCKS.as_millis());
    let all = try_join_all(statements.iter().map(|one| connection.query(one.sql, &one.params)));
    let (begun, answers, committed) =
        tokio::join!(biased; connection.batch(&opening), all, connection.batch("commit"));
    begun?;
    let answers = answers?;
    committed.map(|()| answers)
}
