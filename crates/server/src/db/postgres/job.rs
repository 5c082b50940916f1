//! Pooled connections, and transactions on them.
use super::{Result, failed, in_time, listen, row, separate, typed};
use crate::db::row::{Row, Value};
use crate::db::{DbError, Kind};
use deadpool_postgres::Object;
use std::time::Duration;

/// Begins a transaction with limits of its own: a node that vanished must not keep its locks, and nobody waits for a lock
/// for longer than for an answer.
pub(super) fn begin(patience: Duration) -> String {
    let limit = patience.as_millis();
    format!(
        "begin; set local idle_in_transaction_session_timeout = '10s'; set local statement_timeout = {limit}"
    )
}

/// Longest payload of one notification, in bytes: the server refuses 8000 and more.
const PAYLOAD: usize = 7000;

/// Notices in parts that a notification can carry, cut at commas.
fn pieces(notices: &str) -> impl Iterator<Item = &str> {
    let mut rest = notices;
    std::iter::from_fn(move || {
        let most =
            rest.as_bytes().get(..PAYLOAD).and_then(|most| most.iter().rposition(|byte| *byte == b','));
        let (piece, left) = most.and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
        rest = left.trim_start_matches(',');
        (!piece.is_empty()).then_some(piece)
    })
}

/// A pooled connection.
pub(super) struct Connection {
    pub(super) client: Object,
    prepared: bool,
}

impl Connection {
    pub(super) fn new(client: Object, prepared: bool) -> Self {
        Self { client, prepared }
    }

    pub(super) async fn query(&self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        let rows = if self.prepared {
            let (values, types) = separate(params);
            let statement =
                self.client.prepare_typed_cached(sql, &types).await.map_err(|error| failed(&error))?;
            self.client.query(&statement, &values).await
        } else {
            self.client.query_typed(sql, &typed(params)).await
        };
        rows.map_err(|error| failed(&error))?.iter().map(row).collect()
    }

    pub(super) async fn execute(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
        let changed = if self.prepared {
            let (values, types) = separate(params);
            let statement =
                self.client.prepare_typed_cached(sql, &types).await.map_err(|error| failed(&error))?;
            self.client.execute(&statement, &values).await
        } else {
            self.client.execute_typed(sql, &typed(params)).await
        };
        changed.map_err(|error| failed(&error))
    }

    /// Has the server know a statement, so that it is sent in the order in which it is asked for.
    pub(super) async fn prepare(&self, sql: &'static str, params: &[Value<'_>]) -> Result<()> {
        if !self.prepared {
            return Ok(());
        }
        let (_, types) = separate(params);
        self.client.prepare_typed_cached(sql, &types).await.map(drop).map_err(|error| failed(&error))
    }

    pub(super) async fn batch(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|error| failed(&error))
    }

    /// One message, so one round trip, in which nothing comes behind the commit; should a part fail, all that follows is left out.
    /// Notices are letters, digits, dashes and commas.
    async fn announce_and_commit(&self, notices: &str) -> Result<()> {
        let mut message = String::with_capacity(notices.len() + 64);
        for piece in pieces(notices) {
            message.extend(["notify ", listen::CHANNEL, ", '", piece, "'; "]);
        }
        message.push_str("commit");
        self.batch(&message).await
    }

    /// Passes a result on. A connection on which nothing came back in time may never answer again, as after a server that
    /// vanished without a word: it is closed, and others get a new one.
    pub(super) fn settle<T>(self, result: Result<T>) -> Result<T> {
        if matches!(&result, Err(error) if error.kind == Kind::Away) {
            drop(Object::take(self.client));
        }
        result
    }

    /// Ends whatever is open; the connection serves others afterwards.
    async fn roll_back(self, patience: Duration) {
        if !matches!(tokio::time::timeout(patience, self.batch("rollback")).await, Ok(Ok(()))) {
            // Closed, the server rolls back by itself.
            drop(Object::take(self.client));
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// `begin` goes out with the first statement, which saves a round trip.
    New,
    Open,
    /// A statement failed: the server undoes everything, whatever comes after.
    Failed,
    Done,
}

/// A transaction.
pub(in crate::db) struct Job {
    connection: Option<Connection>,
    state: State,
    patience: Duration,
}

impl Job {
    pub(super) fn new(connection: Connection, patience: Duration) -> Self {
        Self { connection: Some(connection), state: State::New, patience }
    }

    pub(in crate::db) async fn query(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        let (first, connection, patience) = self.ready()?;
        let result = in_time(patience, after_begin(first, connection, connection.query(sql, params))).await;
        self.note(result)
    }

    pub(in crate::db) async fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
        let (first, connection, patience) = self.ready()?;
        let result = in_time(patience, after_begin(first, connection, connection.execute(sql, params))).await;
        self.note(result)
    }

    pub(in crate::db) async fn query_each(
        &mut self,
        sql: &'static str,
        sets: &[Vec<Value<'_>>],
    ) -> Result<Vec<Vec<Row>>> {
        let (first, connection, patience) = self.ready()?;
        let all = futures_util::future::try_join_all(sets.iter().map(|params| connection.query(sql, params)));
        let result = in_time(patience, after_begin(first, connection, all)).await;
        self.note(result)
    }

    /// The commit will not wait for the disk.
    pub(in crate::db) async fn loosen(&mut self) -> Result<()> {
        let (first, connection, patience) = self.ready()?;
        let loosen = connection.batch("set local synchronous_commit = off");
        let result = in_time(patience, after_begin(first, connection, loosen)).await;
        self.note(result)
    }

    /// An advisory lock, of which two names may share one by chance: then they wait for each other, nothing worse.
    pub(in crate::db) async fn lock(&mut self, name: &str) -> Result<()> {
        let digest = hallpass_crypto::digest::sha256(name.as_bytes());
        let mut short = [0; 8];
        short.copy_from_slice(&digest[..8]);
        // As text of nothing, since the function returns no value.
        let sql = "select pg_advisory_xact_lock($1)::text";
        self.query(sql, &[i64::from_be_bytes(short).into()]).await.map(drop)
    }

    /// With the first statement comes how the transaction begins.
    fn ready(&mut self) -> Result<(Option<String>, &Connection, Duration)> {
        let first = (self.state == State::New).then(|| begin(self.patience));
        let connection = self.connection.as_ref().filter(|_| matches!(self.state, State::New | State::Open));
        let given_up = || DbError::new(Kind::Io, "the transaction was given up after an earlier failure");
        let connection = connection.ok_or_else(given_up)?;
        // Before the first await: a future that is dropped midway leaves a transaction to be rolled back.
        self.state = State::Open;
        Ok((first, connection, self.patience))
    }

    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }

    /// Commits, and with the commit announces what is not empty.
    pub(in crate::db) async fn commit(mut self, notices: &str) -> Result<()> {
        match self.state {
            State::New => {
                self.state = State::Done;
                Ok(())
            }
            State::Open => {
                let Some(connection) = &self.connection else { return Ok(()) };
                if notices.is_empty() {
                    in_time(self.patience, connection.batch("commit")).await?;
                } else {
                    in_time(self.patience, connection.announce_and_commit(notices)).await?;
                }
                self.state = State::Done;
                Ok(())
            }
            // The server would answer `commit` with a rollback and call that a success.
            State::Failed | State::Done => {
                Err(DbError::new(Kind::Io, "the transaction was given up after an earlier failure"))
            }
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let unfinished = matches!(self.state, State::Open | State::Failed);
        if let Some(connection) = self.connection.take().filter(|_| unfinished) {
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(connection.roll_back(self.patience))),
                Err(_) => drop(Object::take(connection.client)),
            }
        }
    }
}

async fn after_begin<T>(
    opening: Option<String>,
    connection: &Connection,
    statement: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(opening) = opening else { return statement.await };
    let (begun, result) = tokio::join!(biased; connection.batch(&opening), statement);
    begun.and(result)
}
