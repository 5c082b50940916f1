//! Embedded SQLite: readers on the calling thread, one writer with group commit.
use super::row::{Cell, Row, Value};
use super::version::{Version, WalIndex};
use super::writer::{Job, Writer};
use super::{DbError, Kind, migrations};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

type Result<T> = std::result::Result<T, DbError>;

/// Statements that one connection keeps prepared; more than the code base has.
const PREPARED: usize = 256;
/// Idle read connections kept open; more are opened under load and closed after.
const READERS_KEPT: usize = 8;
/// How long opening or migrating waits for another process.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

/// An open database file.
pub(super) struct Sqlite {
    path: PathBuf,
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
    index: WalIndex,
}

impl Sqlite {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let connection = open_writer(path)?;
        Ok(Self {
            path: path.to_owned(),
            writer: Writer::start(connection)?,
            readers: Mutex::default(),
            index: WalIndex::default(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn version(&self) -> Option<Version> {
        self.index.version(&self.path)
    }

    pub(super) async fn begin(&self) -> Result<Job> {
        self.writer.begin().await
    }

    pub(super) fn migrate(&self) -> Result<Vec<String>> {
        let mut connection = open_writer(&self.path)?;
        // A new database has no history yet, which is an error.
        let applied = migrations::history().get_applied_migrations(&mut connection);
        if applied.is_ok_and(|applied| migrations::missing(&applied).is_empty()) {
            return Ok(Vec::new());
        }
        let report = migrations::runner().run(&mut connection).map_err(migration)?;
        Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
    }

    pub(super) fn pending_migrations(&self) -> Result<Vec<String>> {
        let mut connection = open_writer(&self.path)?;
        let applied = migrations::history().get_applied_migrations(&mut connection).map_err(migration)?;
        Ok(migrations::missing(&applied))
    }

    pub(super) fn prepare(&self, sql: &str) -> Result<()> {
        self.with_reader(|connection| connection.prepare(sql).map(drop).map_err(failed))
    }

    pub(super) fn check(&self) -> Result<Vec<String>> {
        self.with_reader(|connection| {
            let mut statement = connection.prepare("pragma integrity_check").map_err(failed)?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
            let findings: rusqlite::Result<Vec<String>> = rows.collect();
            Ok(findings.map_err(failed)?.into_iter().filter(|line| line != "ok").collect())
        })
    }

    pub(super) fn read(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        self.with_reader(|connection| query(connection, sql, params))
    }

    fn with_reader<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let kept = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match kept {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let result = work(&connection);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_KEPT {
            readers.push(connection);
        }
        result
    }
}

fn open_writer(path: &Path) -> Result<Connection> {
    // Made here so that only its owner can read it; the files beside it get the same mode.
    let created = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    created.map_err(|error| {
        DbError::new(
            Kind::Open,
            format!(
                "cannot open the database {}: {error}; check that the folder exists and may be written",
                path.display()
            ),
        )
    })?;
    let connection = Connection::open(path).map_err(|error| cannot_open(path, &error))?;
    connection.busy_timeout(OPEN_PATIENCE).map_err(|error| cannot_open(path, &error))?;
    // FULL: an answer that was sent stays true through a power cut. The group commit pays for it once per group.
    let setup = "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;
                 pragma wal_autocheckpoint = 4000; pragma journal_size_limit = 67108864; pragma temp_store = memory;";
    connection.execute_batch(setup).map_err(|error| cannot_open(path, &error))?;
    // Inner pages of a million sessions; a small database does not fill it.
    connection.pragma_update(None, "cache_size", -16_384).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

fn open_reader(path: &Path) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, &error))?;
    connection.busy_timeout(Duration::from_secs(1)).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

fn cannot_open(path: &Path, error: &rusqlite::Error) -> DbError {
    let cause = failed_ref(error);
    let advice = match cause.kind {
        Kind::Full => "the disk is full; free some space",
        Kind::Busy => "another process holds it; stop that process",
        Kind::Corrupt => "it is not a healthy database; restore a backup with `hallpass restore`",
        _ => "check that the folder exists and may be written",
    };
    DbError::new(cause.kind, format!("cannot open the database {}: {error}; {advice}", path.display()))
}

#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn migration(error: refinery::Error) -> DbError {
    let text = error.to_string();
    let advice = if text.contains("disk is full") { "; the disk is full; free some space" } else { "" };
    DbError::new(Kind::Open, format!("cannot migrate the database: {text}{advice}"))
}

/// Runs a statement on a connection and collects its rows.
pub(super) fn query(connection: &Connection, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    bind(&mut statement, params)?;
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let mut collected = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let mut cells = Vec::with_capacity(columns);
        for column in 0..columns {
            cells.push(cell(row.get_ref(column).map_err(failed)?)?);
        }
        collected.push(Row::new(cells));
    }
    Ok(collected)
}

/// Runs a statement on a connection and counts the changed rows.
pub(super) fn execute(connection: &Connection, sql: &str, params: &[Value<'_>]) -> Result<u64> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    bind(&mut statement, params)?;
    statement.raw_execute().map(|changed| changed as u64).map_err(failed)
}

/// `$7` is a *named* parameter for SQLite, numbered by first appearance: so each is bound by its name.
fn bind(statement: &mut Statement<'_>, params: &[Value<'_>]) -> Result<()> {
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index).unwrap_or_default();
        let number = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
        let value = number.and_then(|number| params.get(number.wrapping_sub(1)));
        let value =
            value.ok_or_else(|| DbError::new(Kind::Other, format!("no value for parameter {name}")))?;
        let bound = match value {
            Value::Int(value) => statement.raw_bind_parameter(index, value),
            Value::Text(value) => statement.raw_bind_parameter(index, value.as_deref()),
            Value::Bytes(value) => statement.raw_bind_parameter(index, value),
        };
        bound.map_err(failed)?;
    }
    Ok(())
}

fn cell(value: ValueRef<'_>) -> Result<Cell> {
    match value {
        ValueRef::Null => Ok(Cell::Null),
        ValueRef::Integer(value) => Ok(Cell::Int(value)),
        ValueRef::Blob(value) => Ok(Cell::Bytes(value.to_vec())),
        ValueRef::Text(value) => match std::str::from_utf8(value) {
            Ok(text) => Ok(Cell::Text(text.to_owned())),
            Err(_) => Err(DbError::new(Kind::Corrupt, "a text column is not UTF-8")),
        },
        ValueRef::Real(_) => Err(DbError::new(Kind::Decode, "a column holds a float")),
    }
}

/// The engine's error in the adapter's words.
#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
pub(super) fn failed(error: rusqlite::Error) -> DbError {
    failed_ref(&error)
}

fn failed_ref(error: &rusqlite::Error) -> DbError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Kind::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Kind::Busy,
        Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => Kind::Io,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Kind::Corrupt,
        Some(ErrorCode::ConstraintViolation) => Kind::Constraint,
        _ => Kind::Other,
    };
    DbError::new(kind, error.to_string())
}
