//! The one SQLite writer: jobs queue fairly for its connection, and those that wait share one durable commit.
//!
//! A [`Job`] holds the connection through a [`Lease`], runs its statements inline in a savepoint, and on `commit` joins
//! the group and waits for the answer. The lease goes from job to job; the last one, when nobody waits, sends the
//! connection to the commit thread, whose `COMMIT` (with its fsync) answers the whole group. Everything hangs on
//! `Drop for Lease`: whoever lets go of the connection, in whatever way, passes it on.
use super::sqlite::failed;
use super::{DbError, Kind};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;

type Result<T> = std::result::Result<T, DbError>;
type Answer = oneshot::Sender<Result<()>>;

/// Jobs that share one commit at most, so that nobody waits for ever under load.
const GROUP: usize = 256;
/// How long a job waits for another process (a CLI command) to let go of the file. On the commit thread, not here.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connection and the group that its open transaction serves.
struct Held {
    connection: Connection,
    open: bool,
    group: Vec<Answer>,
}

impl Held {
    fn answer(&mut self, result: &Result<()>) {
        for waiting in self.group.drain(..) {
            // Whoever hung up does not hear it; the change stands all the same.
            let _ = waiting.send(result.clone());
        }
    }

    /// A full disk may make SQLite drop the whole transaction: then no job of the group was stored.
    fn notice_lost_transaction(&mut self, cause: &DbError) -> bool {
        let lost = self.open && self.connection.is_autocommit();
        if lost {
            self.open = false;
            self.answer(&Err(cause.clone()));
        }
        lost
    }

    fn commit(&mut self) {
        let result = run(&self.connection, "commit");
        if result.is_err() && !self.connection.is_autocommit() {
            let _ = run(&self.connection, "rollback");
        }
        self.open = false;
        self.answer(&result);
    }
}

/// A statement of the transaction itself; prepared once, since parsing it would cost more than running it.
fn run(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map(drop).map_err(failed)
}

enum Work {
    Commit(Lease),
    Begin(Lease, oneshot::Sender<(Lease, Result<()>)>),
}

#[derive(Default)]
struct State {
    idle: Option<Box<Held>>,
    queue: VecDeque<oneshot::Sender<Lease>>,
}

struct Shared {
    state: Mutex<State>,
    thread: mpsc::Sender<Work>,
}

impl Shared {
    /// Gives the connection to the next in the queue, or commits, or lays it down.
    fn pass_on(self: &Arc<Self>, mut held: Box<Held>) {
        loop {
            let full = held.group.len() >= GROUP;
            let next = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                let next = if full { None } else { state.queue.pop_front() };
                if next.is_none() && held.group.is_empty() {
                    if held.open {
                        let _ = run(&held.connection, "rollback");
                        held.open = false;
                    }
                    state.idle = Some(held);
                    return;
                }
                next
            };
            let lease = Lease { held: Some(held), shared: Arc::clone(self) };
            match next {
                Some(waiter) => match waiter.send(lease) {
                    Ok(()) => return,
                    Err(mut unwanted) => match unwanted.held.take() {
                        Some(back) => held = back,
                        None => return,
                    },
                },
                None => return self.commit_on_thread(lease),
            }
        }
    }

    fn commit_on_thread(&self, lease: Lease) {
        if let Err(mpsc::SendError(Work::Commit(mut lease))) = self.thread.send(Work::Commit(lease)) {
            // The thread is gone (out of memory at start): commit here rather than lose it.
            if let Some(held) = lease.held.as_mut() {
                held.commit();
            }
        }
    }
}

/// The right to use the connection; passes it on when dropped.
struct Lease {
    held: Option<Box<Held>>,
    shared: Arc<Shared>,
}

impl Lease {
    fn held(&mut self) -> Result<&mut Held> {
        self.held.as_deref_mut().ok_or_else(|| DbError::new(Kind::Other, "the writer was passed on"))
    }

    fn begin(&mut self, patience: Duration) -> Result<()> {
        let held = self.held()?;
        held.connection.busy_timeout(patience).map_err(failed)?;
        run(&held.connection, "begin immediate")?;
        held.open = true;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.shared.pass_on(held);
        }
    }
}

/// The writer of one database file.
pub(super) struct Writer(Arc<Shared>);

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self> {
        let (thread, work) = mpsc::channel();
        std::thread::Builder::new()
            .name("db-commit".into())
            .spawn(move || commit_loop(&work))
            .map_err(|error| DbError::new(Kind::Open, format!("cannot start the commit thread: {error}")))?;
        let held = Box::new(Held { connection, open: false, group: Vec::new() });
        let state = Mutex::new(State { idle: Some(held), queue: VecDeque::new() });
        Ok(Self(Arc::new(Shared { state, thread })))
    }

    pub(super) async fn begin(&self) -> Result<Job> {
        let mut lease = self.lease().await?;
        if !lease.held()?.open {
            lease = open_transaction(lease).await?;
        }
        run(&lease.held()?.connection, "savepoint job")?;
        Ok(Job { lease, state: JobState::Open })
    }

    async fn lease(&self) -> Result<Lease> {
        let waiting = {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            match state.idle.take() {
                Some(held) => {
                    return Ok(Lease { held: Some(held), shared: Arc::clone(&self.0) });
                }
                None => {
                    let (sender, receiver) = oneshot::channel();
                    state.queue.push_back(sender);
                    receiver
                }
            }
        };
        waiting.await.map_err(|_| DbError::new(Kind::Other, "the writer is gone"))
    }
}

/// Opens the transaction here at once, or, while another process writes, waits for it on the commit thread.
async fn open_transaction(mut lease: Lease) -> Result<Lease> {
    match lease.begin(Duration::ZERO) {
        Ok(()) => return Ok(lease),
        Err(error) if error.kind != Kind::Busy => return Err(error),
        Err(_) => {}
    }
    let (sender, receiver) = oneshot::channel();
    let thread = lease.shared.thread.clone();
    let gone = || DbError::new(Kind::Other, "the commit thread is gone");
    thread.send(Work::Begin(lease, sender)).map_err(|_| gone())?;
    let (lease, result) = receiver.await.map_err(|_| gone())?;
    result.map(|()| lease)
}

fn commit_loop(work: &mpsc::Receiver<Work>) {
    while let Ok(item) = work.recv() {
        match item {
            Work::Commit(mut lease) => {
                if let Some(held) = lease.held.as_mut() {
                    held.commit();
                }
            }
            Work::Begin(mut lease, answer) => {
                let result = lease.begin(PATIENCE);
                let _ = answer.send((lease, result));
            }
        }
    }
}

#[derive(PartialEq)]
enum JobState {
    Open,
    /// A statement failed; the savepoint is rolled back when the job is dropped.
    Failed,
    /// SQLite dropped the transaction under it: no further statement may run outside of one.
    Lost,
    Done,
}

/// One unit of work in the open transaction, in a savepoint of its own.
pub(super) struct Job {
    lease: Lease,
    state: JobState,
}

impl Job {
    pub(super) fn run<T>(&mut self, statement: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        if self.state != JobState::Open {
            return Err(DbError::new(Kind::Io, "the transaction was given up after an earlier failure"));
        }
        let held = self.lease.held()?;
        let result = statement(&held.connection);
        if let Err(error) = &result {
            // As on every engine: after a failed statement nothing of the transaction is kept.
            self.state = if held.notice_lost_transaction(error) { JobState::Lost } else { JobState::Failed };
        }
        result
    }

    pub(super) async fn commit(mut self) -> Result<()> {
        self.run(|connection| run(connection, "release job"))?;
        self.state = JobState::Done;
        let (sender, receiver) = oneshot::channel();
        self.lease.held()?.group.push(sender);
        drop(self);
        receiver.await.unwrap_or_else(|_| Err(DbError::new(Kind::Other, "the commit thread is gone")))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if matches!(self.state, JobState::Open | JobState::Failed)
            && let Ok(held) = self.lease.held()
            && let Err(error) =
                run(&held.connection, "rollback to job").and_then(|()| run(&held.connection, "release job"))
        {
            held.notice_lost_transaction(&error);
        }
    }
}
