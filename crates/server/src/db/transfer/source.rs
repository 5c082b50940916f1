//! The SQLite side: the schema, rows in the order of their keys, the marks.
use super::table::{Column, Key, Part, SourceRow, Table, Type, quoted};
use super::{DbError, Kind, MOVED_TO, MOVING_ID, Result};
use crate::db::migrations;
use crate::db::sqlite::failed;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a statement waits for a writer of another process.
const PATIENCE: Duration = Duration::from_secs(30);
/// Rows that go from the reading thread at a time, and batches that may wait.
const BATCH: usize = 512;
const WAITING: usize = 4;

/// The embedded database, through one connection, so that everything is read from one state of it.
#[derive(Clone)]
pub(super) struct Source(Arc<Mutex<Connection>>);

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self> {
        // Never made: a mistyped name would look like an empty database.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        connection.execute_batch("pragma synchronous = full; pragma foreign_keys = on").map_err(failed)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn run(&self, sql: &str) -> Result<()> {
        self.lock().execute_batch(sql).map_err(failed)
    }

    /// A row of `meta`.
    pub(super) fn noted(&self, name: &str) -> Result<Option<String>> {
        let sql = "select value from meta where name = ?1";
        self.lock().query_row(sql, [name], |row| row.get(0)).optional().map_err(failed)
    }

    /// What this database is called in all its moves; made at the first.
    pub(super) fn id(&self, fresh: &str) -> Result<String> {
        if let Some(id) = self.noted(MOVING_ID)? {
            return Ok(id);
        }
        let sql = "insert into meta (name, value) values (?1, ?2) on conflict do nothing";
        self.lock().execute(sql, [MOVING_ID, fresh]).map_err(failed)?;
        self.noted(MOVING_ID)?.ok_or_else(|| DbError::missing("the move could not be noted"))
    }

    /// Numbers of the applied migrations.
    pub(super) fn migrations(&self) -> Result<Vec<i64>> {
        numbers(&self.lock(), "select version from refinery_schema_history order by version")
    }

    /// Every table, those that others refer to first.
    pub(super) fn tables(&self) -> Result<Vec<Table>> {
        tables(&self.lock())
    }

    pub(super) fn count(&self, table: &Table) -> Result<u64> {
        count(&self.lock(), table)
    }

    /// Rows in the order of their keys, read on a thread of their own.
    pub(super) fn stream(&self, table: &Table) -> Rows {
        let order: Vec<String> = table.key_columns().map(|column| quoted(&column.name)).collect();
        let (columns, name) = (table.columns(), quoted(&table.name));
        let sql = format!("select {columns} from {name} order by {}", order.join(", "));
        let (sender, receiver) = mpsc::channel(WAITING);
        let (source, table) = (self.clone(), table.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read(&source.lock(), &table, &sql, &sender) {
                // Whoever hung up does not want it.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Rows { receiver, batch: Vec::new().into_iter(), ended: false }
    }

    /// Single rows by their keys; those that are there.
    pub(super) fn rows(&self, table: &Table, keys: &[Key]) -> Result<Vec<SourceRow>> {
        let sql = format!("select {} from {} where {}", table.columns(), quoted(&table.name), table.by_key());
        let connection = self.lock();
        let mut statement = connection.prepare(&sql).map_err(failed)?;
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            for (index, part) in key.iter().enumerate() {
                let value = match part {
                    Part::Int(value) => ValueRef::Integer(*value),
                    Part::Text(value) => ValueRef::Text(value.as_bytes()),
                    Part::Bytes(value) => ValueRef::Blob(value),
                };
                let value = rusqlite::types::ToSqlOutput::Borrowed(value);
                statement.raw_bind_parameter(index + 1, value).map_err(failed)?;
            }
            let mut rows = statement.raw_query();
            if let Some(row) = rows.next().map_err(failed)? {
                found.push(table.encode(row)?);
            }
        }
        Ok(found)
    }

    /// Notes where everything has gone, and lets the file itself refuse every later change, by whatever process. In the
    /// transaction that is open.
    pub(super) fn mark_moved(&self, tables: &[Table], value: &str) -> Result<()> {
        let sql = "insert into meta (name, value) values (?1, ?2)";
        self.lock().execute(sql, [MOVED_TO, value]).map_err(failed)?;
        for (table, operation) in guarded(tables) {
            let (trigger, name) = (guard(&table.name, operation), quoted(&table.name));
            self.run(&format!(
                "create trigger {trigger} before {operation} on {name}
                 begin select raise(abort, 'this database was moved to PostgreSQL; hallpass move-to-postgres --undo-mark takes that back'); end"
            ))?;
        }
        Ok(())
    }

    /// Takes [`Source::mark_moved`] back; tells what it said.
    pub(super) fn unmark(&self) -> Result<Option<String>> {
        self.run("begin immediate")?;
        let said = self.noted(MOVED_TO)?;
        for (table, operation) in guarded(&self.tables()?) {
            self.run(&format!("drop trigger if exists {}", guard(&table.name, operation)))?;
        }
        self.lock().execute("delete from meta where name = ?1", [MOVED_TO]).map_err(failed)?;
        self.run("commit")?;
        Ok(said)
    }
}

fn guarded(tables: &[Table]) -> impl Iterator<Item = (&Table, &'static str)> {
    tables.iter().flat_map(|table| ["insert", "update", "delete"].map(|operation| (table, operation)))
}

fn guard(table: &str, operation: &str) -> String {
    quoted(&format!("moved_{table}_{operation}"))
}

/// How many rows a database that is only migrated has, by table.
pub(super) fn fresh_counts() -> Result<Vec<(String, u64)>> {
    let mut connection = Connection::open_in_memory().map_err(failed)?;
    let migrated = migrations::runner().run(&mut connection);
    migrated.map_err(|error| DbError::new(Kind::Open, error.to_string()))?;
    let all = tables(&connection)?;
    all.into_iter().map(|table| Ok((table.name.clone(), count(&connection, &table)?))).collect()
}

fn tables(connection: &Connection) -> Result<Vec<Table>> {
    let sql = "select name from sqlite_schema where type = 'table' and name not like 'sqlite\\_%' escape '\\'
         and name <> 'refinery_schema_history' order by name";
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let names = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
    let names: rusqlite::Result<Vec<String>> = names.collect();
    let mut waiting: Vec<(Table, Vec<String>)> = Vec::new();
    for name in names.map_err(failed)? {
        waiting.push((table(connection, &name)?, parents(connection, &name)?));
    }
    let mut ordered: Vec<Table> = Vec::new();
    while !waiting.is_empty() {
        let is_ready = |(table, parents): &(Table, Vec<String>)| {
            parents
                .iter()
                .all(|parent| *parent == table.name || ordered.iter().any(|one| one.name == *parent))
        };
        let Some(next) = waiting.iter().position(is_ready) else {
            let names: Vec<&str> = waiting.iter().map(|(table, _)| table.name.as_str()).collect();
            let text = format!("the tables {} refer to each other in a circle", names.join(", "));
            return Err(DbError::new(Kind::Other, text));
        };
        ordered.push(waiting.remove(next).0);
    }
    Ok(ordered)
}

fn table(connection: &Connection, name: &str) -> Result<Table> {
    let mut statement =
        connection.prepare("select name, type, pk from pragma_table_info(?1)").map_err(failed)?;
    let columns = statement
        .query_map([name], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, u16>(2)?))
        })
        .map_err(failed)?;
    let columns: rusqlite::Result<Vec<(String, String, u16)>> = columns.collect();
    let columns = columns.map_err(failed)?;
    let mut key: Vec<(u16, usize)> = Vec::new();
    let mut typed = Vec::new();
    for (place, (column, kind, pk)) in columns.into_iter().enumerate() {
        if pk > 0 {
            key.push((pk, place));
        }
        let unknown = || {
            DbError::new(Kind::Other, format!("{name}.{column} has the type {kind}, which cannot be moved"))
        };
        typed.push(Column { kind: Type::named(&kind).ok_or_else(unknown)?, name: column });
    }
    key.sort_unstable();
    if key.is_empty() {
        return Err(DbError::new(
            Kind::Other,
            format!("the table {name} has no primary key and cannot be moved"),
        ));
    }
    Ok(Table {
        name: name.to_owned(),
        columns: typed,
        key: key.into_iter().map(|(_, place)| place).collect(),
    })
}

fn parents(connection: &Connection, name: &str) -> Result<Vec<String>> {
    let sql = "select distinct \"table\" from pragma_foreign_key_list(?1)";
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let parents = statement.query_map([name], |row| row.get(0)).map_err(failed)?;
    let parents: rusqlite::Result<Vec<String>> = parents.collect();
    parents.map_err(failed)
}

fn count(connection: &Connection, table: &Table) -> Result<u64> {
    let sql = format!("select count(*) from {}", quoted(&table.name));
    let rows: i64 = connection.query_row(&sql, [], |row| row.get(0)).map_err(failed)?;
    Ok(rows.unsigned_abs())
}

fn numbers(connection: &Connection, sql: &str) -> Result<Vec<i64>> {
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let numbers = statement.query_map([], |row| row.get(0)).map_err(failed)?;
    let numbers: rusqlite::Result<Vec<i64>> = numbers.collect();
    numbers.map_err(failed)
}

fn read(
    connection: &Connection,
    table: &Table,
    sql: &str,
    sender: &mpsc::Sender<Result<Vec<SourceRow>>>,
) -> Result<()> {
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let mut rows = statement.raw_query();
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(row) = rows.next().map_err(failed)? {
        batch.push(table.encode(row)?);
        if batch.len() == BATCH && sender.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
            return Ok(());
        }
    }
    if !batch.is_empty() {
        let _ = sender.blocking_send(Ok(batch));
    }
    // An empty batch is the end; a channel that only closes is none.
    let _ = sender.blocking_send(Ok(Vec::new()));
    Ok(())
}

/// Rows as they come.
pub(super) struct Rows {
    receiver: mpsc::Receiver<Result<Vec<SourceRow>>>,
    batch: std::vec::IntoIter<SourceRow>,
    ended: bool,
}

impl Rows {
    pub(super) async fn next(&mut self) -> Result<Option<SourceRow>> {
        loop {
            if let Some(row) = self.batch.next() {
                return Ok(Some(row));
            }
            if self.ended {
                return Ok(None);
            }
            let broken = || DbError::new(Kind::Io, "the reading of the database broke off");
            let batch = self.receiver.recv().await.ok_or_else(broken)??;
            self.ended = batch.is_empty();
            self.batch = batch.into_iter();
        }
    }
}
