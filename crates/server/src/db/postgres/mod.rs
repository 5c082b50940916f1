//! PostgreSQL: pooled connections, statements with typed parameters in one round trip each.
//!
//! No statement is prepared under a name unless `database.prepared_statements` says so, and nothing is set for the length
//! of a connection, so that a pooler in transaction mode may stand between.
mod address;
mod direct;
mod inspect;
mod listen;
mod migrate;
mod pool;
mod tls;

pub(super) use address::is_postgres;
pub(super) use direct::{Connected, connect};

use super::row::{Cell, Row, Value};
use super::{DbError, Kind, Options};
use crate::bus::Bus;
use address::Address;
use deadpool_postgres::Object;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

type Result<T> = std::result::Result<T, DbError>;

/// Host, port and database that a URL names.
pub(super) fn shown(url: &str) -> String {
    Address::parse(url).map_or_else(|_| "(not a URL)".into(), |address| address.shown())
}

/// Checks a URL without connecting.
pub(super) fn check_url(url: &str) -> Result<()> {
    Address::parse(url).map(drop)
}

/// Settings of a transaction: a node that vanished must not keep its locks, and nobody waits for a lock for ever.
const BEGIN: &str =
    "begin; set local idle_in_transaction_session_timeout = '10s'; set local statement_timeout = '5s'";

/// A PostgreSQL database.
pub(super) struct Postgres {
    address: Address,
    /// The same database without a pooler between.
    direct: Address,
    pool: pool::Pool,
    options: Options,
}

impl Postgres {
    pub(super) fn open(url: &str, options: &Options) -> Result<Self> {
        let address = Address::parse(url)?;
        let direct = options.direct_url.as_deref().map(Address::parse).transpose()?;
        let pool = pool::Pool::new(&address, options)?;
        Ok(Self {
            direct: direct.unwrap_or_else(|| address.clone()),
            address,
            pool,
            options: options.clone(),
        })
    }

    pub(super) fn shown(&self) -> String {
        self.address.shown()
    }

    /// Hears what other nodes announce until told to stop.
    pub(super) async fn listen(&self, bus: &Arc<Bus>, node: [u8; 8], stop: watch::Receiver<bool>) {
        listen::run(&self.direct, bus, node, stop).await;
    }

    /// Runs one statement by itself.
    pub(super) async fn run(&self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        let connection = self.connection().await?;
        in_time(self.options.patience, connection.query(sql, params)).await
    }

    /// Runs one statement by itself and counts the changed rows.
    pub(super) async fn execute(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
        let connection = self.connection().await?;
        in_time(self.options.patience, connection.execute(sql, params)).await
    }

    /// Runs one statement for each set of values, pipelined on one connection, each by itself.
    pub(super) async fn execute_each(&self, sql: &'static str, sets: &[Vec<Value<'_>>]) -> Result<()> {
        let connection = self.connection().await?;
        let all =
            futures_util::future::try_join_all(sets.iter().map(|params| connection.execute(sql, params)));
        in_time(self.options.patience, all).await.map(drop)
    }

    pub(super) async fn begin(&self) -> Result<Job> {
        let connection = self.connection().await?;
        Ok(Job { connection: Some(connection), state: State::New, patience: self.options.patience })
    }

    /// Checks that a statement is understood, types of parameters included as far as they can be inferred.
    pub(super) async fn prepare(&self, sql: &str) -> Result<()> {
        let connection = self.connection().await?;
        connection.client.prepare(sql).await.map(drop).map_err(|error| failed(&error))
    }

    async fn connection(&self) -> Result<Connection> {
        Ok(Connection { client: self.pool.get().await?, prepared: self.options.prepared_statements })
    }
}

/// A pooled connection.
struct Connection {
    client: Object,
    prepared: bool,
}

impl Connection {
    async fn query(&self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
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

    async fn execute(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
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

    async fn batch(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|error| failed(&error))
    }

    async fn announce_and_commit(&self, notices: &str) -> Result<()> {
        let params = [listen::CHANNEL.into(), notices.into()];
        let announcing = self.query("select pg_notify($1, $2)::text", &params);
        // One round trip for both. Should the first fail, the second undoes everything.
        let (announced, committed) = tokio::join!(biased; announcing, self.batch("commit"));
        announced.and(committed)
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
pub(super) struct Job {
    connection: Option<Connection>,
    state: State,
    patience: Duration,
}

impl Job {
    pub(super) async fn query(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        let (first, connection, patience) = self.ready()?;
        let result = in_time(patience, after_begin(first, connection, connection.query(sql, params))).await;
        self.note(result)
    }

    pub(super) async fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
        let (first, connection, patience) = self.ready()?;
        let result = in_time(patience, after_begin(first, connection, connection.execute(sql, params))).await;
        self.note(result)
    }

    pub(super) async fn query_each(
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
    pub(super) async fn loosen(&mut self) -> Result<()> {
        let (first, connection, patience) = self.ready()?;
        let loosen = connection.batch("set local synchronous_commit = off");
        let result = in_time(patience, after_begin(first, connection, loosen)).await;
        self.note(result)
    }

    /// An advisory lock, of which two names may share one by chance: then they wait for each other, nothing worse.
    pub(super) async fn lock(&mut self, name: &str) -> Result<()> {
        let digest = hallpass_crypto::digest::sha256(name.as_bytes());
        let mut short = [0; 8];
        short.copy_from_slice(&digest[..8]);
        // As text of nothing, since the function returns no value.
        let sql = "select pg_advisory_xact_lock($1)::text";
        self.query(sql, &[i64::from_be_bytes(short).into()]).await.map(drop)
    }

    fn ready(&mut self) -> Result<(bool, &Connection, Duration)> {
        let first = self.state == State::New;
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
    pub(super) async fn commit(mut self, notices: &str) -> Result<()> {
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
    first: bool,
    connection: &Connection,
    statement: impl Future<Output = Result<T>>,
) -> Result<T> {
    if !first {
        return statement.await;
    }
    let (begun, result) = tokio::join!(biased; connection.batch(BEGIN), statement);
    begun.and(result)
}

async fn in_time<T>(patience: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = || DbError::new(Kind::Away, "the database did not answer in time");
    // A little longer than the server's own limit, which gives the better message.
    tokio::time::timeout(patience + Duration::from_secs(1), work).await.unwrap_or_else(|_| Err(late()))
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Int(value) => value.to_sql(kind, out),
            Self::Text(value) => value.as_deref().to_sql(kind, out),
            Self::Bytes(value) => value.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA].contains(kind)
    }

    to_sql_checked!();
}

fn bound<'v>(value: &'v Value<'_>) -> (&'v (dyn ToSql + Sync), Type) {
    let kind = match value {
        Value::Int(_) => Type::INT8,
        Value::Text(_) => Type::TEXT,
        Value::Bytes(_) => Type::BYTEA,
    };
    (value, kind)
}

fn typed<'v>(params: &'v [Value<'_>]) -> Vec<(&'v (dyn ToSql + Sync), Type)> {
    params.iter().map(bound).collect()
}

fn separate<'v>(params: &'v [Value<'_>]) -> (Vec<&'v (dyn ToSql + Sync)>, Vec<Type>) {
    params.iter().map(bound).unzip()
}

fn row(row: &tokio_postgres::Row) -> Result<Row> {
    let cells: Result<Vec<Cell>> = (0..row.len()).map(|column| cell(row, column)).collect();
    cells.map(Row::new)
}

fn cell(row: &tokio_postgres::Row, column: usize) -> Result<Cell> {
    let decode = |error: tokio_postgres::Error| DbError::new(Kind::Decode, error.to_string());
    let kind = row.columns()[column].type_();
    Ok(match *kind {
        Type::INT8 => row.try_get::<_, Option<i64>>(column).map_err(decode)?.map_or(Cell::Null, Cell::Int),
        Type::TEXT | Type::VARCHAR => {
            row.try_get::<_, Option<String>>(column).map_err(decode)?.map_or(Cell::Null, Cell::Text)
        }
        Type::BYTEA => {
            row.try_get::<_, Option<Vec<u8>>>(column).map_err(decode)?.map_or(Cell::Null, Cell::Bytes)
        }
        _ => return Err(DbError::new(Kind::Decode, format!("a column has the type {kind}"))),
    })
}

/// The engine's error in the adapter's words.
pub(super) fn failed(error: &tokio_postgres::Error) -> DbError {
    let Some(answer) = error.as_db_error() else {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        // Without an answer of the server it is the connection that broke, unless a value did not fit.
        let kind = if error.to_string().contains("serializ") { Kind::Other } else { Kind::Away };
        return DbError::new(kind, format!("{error}{cause}"));
    };
    let kind = match answer.code() {
        code if code.code().starts_with("23") => Kind::Constraint,
        &SqlState::T_R_SERIALIZATION_FAILURE
        | &SqlState::T_R_DEADLOCK_DETECTED
        | &SqlState::LOCK_NOT_AVAILABLE
        | &SqlState::QUERY_CANCELED => Kind::Busy,
        &SqlState::DISK_FULL => Kind::Full,
        &SqlState::IO_ERROR => Kind::Io,
        // A standby that has not yet taken over, or a former primary.
        &SqlState::READ_ONLY_SQL_TRANSACTION
        | &SqlState::TOO_MANY_CONNECTIONS
        | &SqlState::ADMIN_SHUTDOWN
        | &SqlState::CRASH_SHUTDOWN
        | &SqlState::CANNOT_CONNECT_NOW
        | &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Kind::Away,
        code if code.code().starts_with("08") => Kind::Away,
        code if code.code().starts_with("XX") => Kind::Corrupt,
        _ => Kind::Other,
    };
    DbError::new(kind, format!("{} ({})", answer.message(), answer.code().code()))
}
