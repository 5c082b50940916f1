//! Connections to the database server: a bounded pool, and a pause after a failed attempt to connect, so that a server
//! that comes back is not met by a storm.
use super::address::Address;
use super::job::Connection;
use super::tls::Tls;
use super::{failed, in_time};
use crate::db::row::{Row, Value};
use crate::db::{DbError, Kind, Options};
use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool as Connections, PoolError, RecyclingMethod, Runtime,
};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The pause after the first failed attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause, and so about how long after the server's return the first request succeeds.
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// See the module's doc.
pub(super) struct Pool {
    connections: Connections,
    patience: Duration,
    prepared: bool,
    pause: Mutex<Pause>,
}

#[derive(Default)]
struct Pause {
    until: Option<Instant>,
    failures: u32,
}

impl Pool {
    /// Makes no connection yet.
    pub(super) fn new(address: &Address, options: &Options) -> Result<Self, DbError> {
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(address.config.clone(), Tls::new(address)?, settings);
        let connections = Connections::builder(manager)
            .max_size(options.pool_size)
            .wait_timeout(Some(options.patience))
            .create_timeout(Some(options.patience))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|problem| DbError::new(Kind::Open, format!("database: {problem}")))?;
        Ok(Self {
            connections,
            patience: options.patience,
            prepared: options.prepared_statements,
            pause: Mutex::default(),
        })
    }

    /// Runs one statement by itself.
    pub(super) async fn run(&self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<Row>, DbError> {
        let connection = self.connection().await?;
        let result = in_time(self.patience, connection.query(sql, params)).await;
        connection.settle(result)
    }

    /// As [`Pool::get`], for statements.
    pub(super) async fn connection(&self) -> Result<Connection, DbError> {
        Ok(Connection::new(self.get().await?, self.prepared))
    }

    /// A connection, in fair order.
    ///
    /// # Errors
    /// [`Kind::Busy`] when none becomes free in time, [`Kind::Away`] when none can be made.
    pub(super) async fn get(&self) -> Result<Object, DbError> {
        self.respect_pause()?;
        match self.connections.get().await {
            Ok(connection) => {
                self.lock().failures = 0;
                Ok(connection)
            }
            Err(PoolError::Timeout(deadpool_postgres::TimeoutType::Wait)) => {
                Err(DbError::new(Kind::Busy, "all connections to the database are in use"))
            }
            Err(problem) => {
                self.begin_pause();
                Err(match problem {
                    PoolError::Backend(error) => failed(&error),
                    other => DbError::new(Kind::Away, format!("cannot reach the database: {other}")),
                })
            }
        }
    }

    /// During a pause nobody connects anew; connections that are there go on.
    fn respect_pause(&self) -> Result<(), DbError> {
        let mut pause = self.lock();
        let Some(until) = pause.until else { return Ok(()) };
        let now = Instant::now();
        if now < until && self.connections.status().available > 0 {
            return Ok(());
        }
        if now < until {
            return Err(DbError::new(Kind::Away, "the database was out of reach a moment ago"));
        }
        pause.until = None;
        Ok(())
    }

    fn begin_pause(&self) {
        let mut pause = self.lock();
        let doubled = FIRST_PAUSE.saturating_mul(1 << pause.failures.min(8)).min(LONGEST_PAUSE);
        // So that nodes that lost the server at the same moment do not come back at the same moment.
        let apart = Duration::from_millis(u64::from(std::process::id() % 64));
        pause.failures = pause.failures.saturating_add(1);
        pause.until = Some(Instant::now() + doubled + apart);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pause> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
