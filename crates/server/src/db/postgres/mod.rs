//! PostgreSQL: pooled connections, statements with typed parameters in one round trip each.
//!
//! No statement is prepared under a name unless `database.prepared_statements` says so, and nothing is set for the length
//! of a connection, so that a pooler in transaction mode may stand between.
mod address;
mod direct;
mod inspect;
mod job;
mod listen;
mod migrate;
mod pool;
mod relay;
mod tls;
mod together;

pub(super) use address::is_postgres;
pub(super) use direct::{Connected, connect};

use super::row::{Cell, Row, Value};
use super::{DbError, Kind, Options};
use crate::bus::Bus;
use address::Address;
pub(super) use job::Job;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// A PostgreSQL database.
pub(super) struct Postgres {
    address: Address,
    /// The same database without a pooler between.
    direct: Address,
    pool: Arc<pool::Pool>,
    /// Commits writes together, if that is wanted.
    together: Option<Arc<together::Together>>,
    options: Options,
    /// Announcements that Redis did not take.
    marks: AtomicU64,
}

impl Postgres {
    pub(super) fn open(url: &str, options: &Options) -> Result<Self> {
        let address = Address::parse(url)?;
        let direct = options.direct_url.as_deref().map(Address::parse).transpose()?;
        let pool = Arc::new(pool::Pool::new(&address, options)?);
        let together = options.group_commit.then(|| together::Together::new(Arc::clone(&pool), options));
        Ok(Self {
            direct: direct.unwrap_or_else(|| address.clone()),
            address,
            pool,
            together,
            options: options.clone(),
            marks: AtomicU64::new(0),
        })
    }

    pub(super) fn shown(&self) -> String {
        self.address.shown()
    }

    /// Hears what other nodes announce until told to stop.
    pub(super) async fn listen(&self, bus: &Arc<Bus>, stop: watch::Receiver<bool>) {
        let (node, other) = (self.options.node, stop.clone());
        let by_database = async {
            if self.options.listen {
                listen::run(&self.direct, bus, node, stop).await;
            }
        };
        let by_redis = async {
            if let Some(redis) = &self.options.redis {
                relay::run(self, redis, bus, node, other).await;
            }
        };
        tokio::join!(by_database, by_redis);
    }

    /// Commits, and has every node learn what it outdates: by Redis before, by the database with the commit.
    pub(super) async fn commit(&self, mut job: Box<Job>, notices: &str) -> Result<()> {
        if notices.is_empty() {
            return job.commit("").await;
        }
        if let Some(redis) = &self.options.redis
            && !relay::announce(redis, self.options.node, notices).await
        {
            // Every node looks at this mark with each heartbeat, and no two transactions leave the same.
            let number = self.marks.fetch_add(1, Ordering::Relaxed);
            let mark = format!("{}-{number}", data_encoding::HEXLOWER.encode(&self.options.node));
            job.execute(relay::MARK, &[(&mark).into()]).await?;
        }
        job.commit(if self.options.listen { notices } else { "" }).await
    }

    /// Runs one statement by itself.
    pub(super) async fn run(&self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        self.pool.run(sql, params).await
    }

    /// Runs one writing statement as a transaction of its own, or together with others that write at the same moment.
    pub(super) async fn write(&self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        match &self.together {
            Some(together) => together.write(sql, params).await,
            None => self.run(sql, params).await,
        }
    }

    /// Runs one statement by itself and counts the changed rows.
    pub(super) async fn execute(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
        let connection = self.pool.connection().await?;
        let result = in_time(self.options.patience, connection.execute(sql, params)).await;
        connection.settle(result)
    }

    /// Runs one statement for each set of values, pipelined on one connection, each by itself.
    pub(super) async fn execute_each(&self, sql: &'static str, sets: &[Vec<Value<'_>>]) -> Result<()> {
        let connection = self.pool.connection().await?;
        let all =
            futures_util::future::try_join_all(sets.iter().map(|params| connection.execute(sql, params)));
        let result = in_time(self.options.patience, all).await.map(drop);
        connection.settle(result)
    }

    pub(super) async fn begin(&self) -> Result<Job> {
        let connection = self.pool.connection().await?;
        Ok(Job::new(connection, self.options.patience))
    }

    /// Checks that a statement is understood, types of parameters included as far as they can be inferred.
    pub(super) async fn prepare(&self, sql: &str) -> Result<()> {
        let connection = self.pool.connection().await?;
        connection.client.prepare(sql).await.map(drop).map_err(|error| failed(&error))
    }
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
            Self::Bytes(value) => value.as_deref().to_sql(kind, out),
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
