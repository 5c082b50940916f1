//! Writes that arrive while others are under way are sent together and committed together, as an embedded database does by
//! itself: one round trip and one commit for all of them.
//!
//! Invariants: nobody is answered before the commit; should the server refuse anything, nothing of it was committed, and
//! each is done by itself; no statement of several waits for a lock for longer than [`FOR_LOCKS`], and who waits for one
//! alone keeps nobody else waiting; nothing is done for somebody who has gone before its turn.
use super::job::{self, Connection};
use super::{Result, in_time, pool};
use crate::db::row::{Row, Value};
use crate::db::{DbError, Kind, Options};
use futures_util::future::{join_all, maybe_done};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a statement among several waits for a lock: far less than it takes the server to look for a deadlock
/// (`deadlock_timeout`, a second), so that it is this transaction that gives way.
const FOR_LOCKS: Duration = Duration::from_millis(50);
/// Statements of one transaction at most.
const MOST: usize = 64;
/// Of so many connections of the pool one is used at the same time.
const SHARE: usize = 4;

/// One caller's statement.
struct Waiting {
    sql: &'static str,
    params: Vec<Value<'static>>,
    answer: oneshot::Sender<Result<Vec<Row>>>,
}

impl Waiting {
    /// The id of the row that it is about, which comes first.
    fn row(&self) -> &str {
        match self.params.first() {
            Some(Value::Text(Some(id))) => id,
            _ => "",
        }
    }
}

#[derive(Default)]
struct Queue {
    under_way: usize,
    waiting: VecDeque<Waiting>,
}

impl Queue {
    /// Those who come next, without those who have gone, in the order of their rows: two transactions that have some in common
    /// wait for each other in one direction.
    fn next(&mut self) -> Vec<Waiting> {
        let mut next = Vec::new();
        while next.len() < MOST
            && let Some(one) = self.waiting.pop_front()
        {
            if !one.answer.is_closed() {
                next.push(one);
            }
        }
        next.sort_by(|one, other| one.row().cmp(other.row()));
        next
    }
}

/// See the module's doc.
pub(super) struct Together {
    queue: Mutex<Queue>,
    /// How many may be under way before others wait.
    lanes: usize,
    pool: Arc<pool::Pool>,
    patience: Duration,
}

/// The right to be under way. When it ends, those who wait by then come next.
struct Turn(Arc<Together>);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        let next = queue.next();
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
                let params = params.iter().map(Value::detached).collect();
                queue.waiting.push_back(Waiting { sql, params, answer });
                Some(waits)
            }
        };
        match waits {
            None => {
                let turn = Turn(Arc::clone(self));
                let mut work = pin!(self.pool.run(sql, params));
                if let Ok(result) = timeout(FOR_LOCKS, &mut work).await {
                    return result;
                }
                // It waits for a lock, perhaps: nobody else waits for it.
                drop(turn);
                work.await
            }
            Some(waits) => match timeout(self.patience, waits).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(DbError::new(Kind::Away, "the server is stopping")),
                Err(_) => Err(DbError::new(Kind::Busy, "too many writes wait for the database")),
            },
        }
    }

    async fn answer(&self, one: Waiting) {
        if one.answer.is_closed() {
            return;
        }
        let rows = self.pool.run(one.sql, &one.params).await;
        let _ = one.answer.send(rows);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers everybody, together if that is possible.
async fn run(turn: Turn, mut statements: Vec<Waiting>) {
    let together = Arc::clone(&turn.0);
    let connection = match together.pool.connection().await {
        Ok(connection) => connection,
        Err(failed) => return fail(statements, &failed),
    };
    statements.retain(|one| !one.answer.is_closed());
    let result = in_time(together.patience, commit_all(&connection, &statements, together.patience)).await;
    match connection.settle(result) {
        Ok(answers) => {
            for (one, rows) in statements.into_iter().zip(answers) {
                let _ = one.answer.send(Ok(rows));
            }
        }
        Err(failed) if failed.kind == Kind::Away => fail(statements, &failed),
        Err(_) => {
            drop(turn);
            join_all(statements.into_iter().map(|one| together.answer(one))).await;
        }
    }
}

fn fail(statements: Vec<Waiting>, failed: &DbError) {
    for one in statements {
        let _ = one.answer.send(Err(failed.clone()));
    }
}

/// One message to the server, so one round trip. After a failure the server turns the commit into a rollback.
async fn commit_all(
    connection: &Connection,
    statements: &[Waiting],
    patience: Duration,
) -> Result<Vec<Vec<Row>>> {
    for one in statements {
        connection.prepare(one.sql, &one.params).await?;
    }
    let opening = format!("{}; set local lock_timeout = {}", job::begin(patience), FOR_LOCKS.as_millis());
    let all = in_order(statements.iter().map(|one| connection.query(one.sql, &one.params)));
    let (begun, answers, committed) =
        tokio::join!(biased; connection.batch(&opening), all, connection.batch("commit"));
    begun?;
    let answers = answers.into_iter().collect::<Result<_>>()?;
    committed.map(|()| answers)
}

/// Waits for all. Whenever it is polled it polls all of them in their order, so that they are sent in it and before what comes
/// after; `join_all` does so for few only.
async fn in_order<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = futures.map(|one| Box::pin(maybe_done(one))).collect();
    poll_fn(|context| {
        let waiting = all.iter_mut().filter_map(|one| one.as_mut().poll(context).is_pending().then_some(()));
        if waiting.count() == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    all.iter_mut().filter_map(|one| one.as_mut().take_output()).collect()
}
