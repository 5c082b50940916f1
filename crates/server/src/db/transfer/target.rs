//! The PostgreSQL side: two connections of its own, one that reads a table's keys and hashes and one that writes.
use super::table::{Column, Key, Part, SourceRow, Table, Type, quoted};
use super::{DbError, Kind, Result};
use crate::db::postgres::{Connected, connect, failed};
use futures_util::{SinkExt, TryStreamExt};
use std::io::Cursor;
use std::pin::pin;
use tokio_postgres::types::{ToSql, Type as PgType};
use tokio_postgres::{Client, RowStream};

/// Names the lock of one move at a time: "moving" in ASCII.
const LOCK: i64 = 0x6d6f_7669_6e67;
/// Nothing here may be cut short by what the role has set. A former run of this command that was killed may hold the lock until
/// the server notices.
const SETTINGS: &str =
    "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set lock_timeout = '30s';
     set client_encoding = 'UTF8'; set work_mem = '64MB'";
/// How a `COPY` begins and ends.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TAIL: [u8; 2] = (-1_i16).to_be_bytes();

/// The database server.
pub(super) struct Target {
    shown: String,
    reader: Client,
    writer: Client,
}

impl Target {
    /// Connects and keeps other moves away.
    pub(super) async fn open(url: &str) -> Result<Self> {
        let Connected { client: reader, shown } = connect(url).await?;
        let Connected { client: writer, .. } = connect(url).await?;
        let target = Self { shown, reader, writer };
        for client in [&target.reader, &target.writer] {
            client.batch_execute(SETTINGS).await.map_err(|error| target.failed(&error))?;
        }
        let locked = target.writer.query_typed("select pg_advisory_lock($1)", &[(&LOCK, PgType::INT8)]).await;
        if let Err(error) = locked {
            let text = format!("another move into {} is running ({})", target.shown, failed(&error));
            return Err(DbError::new(Kind::Busy, text));
        }
        Ok(target)
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// The engine's error, with the place.
    fn failed(&self, error: &tokio_postgres::Error) -> DbError {
        let DbError { kind, message } = failed(error);
        let advice = match kind {
            Kind::Full => "; make room, then run the same command again: it goes on where it was",
            Kind::Away | Kind::Busy => "; run the same command again: it goes on where it was",
            _ => "",
        };
        DbError::new(kind, format!("{}: {message}{advice}", self.shown))
    }

    async fn number(&self, sql: &str) -> Result<i64> {
        let rows = self.writer.query_typed(sql, &[]).await.map_err(|error| self.failed(&error))?;
        let number = rows.first().map(|row| row.try_get::<_, Option<i64>>(0)).transpose();
        Ok(number.map_err(|error| self.failed(&error))?.flatten().unwrap_or(0))
    }

    /// Whether every character has a place there.
    pub(super) async fn is_utf8(&self) -> Result<bool> {
        let sql = "select count(*) from pg_database where datname = current_database() and pg_encoding_to_char(encoding) = 'UTF8'";
        Ok(self.number(sql).await? == 1)
    }

    /// Whether migrations were ever applied there; their table is made a moment before.
    pub(super) async fn has_history(&self) -> Result<bool> {
        let sql = "select (to_regclass('refinery_schema_history') is not null)::int::bigint";
        Ok(self.number(sql).await? == 1 && !self.migrations().await?.is_empty())
    }

    /// Numbers of the applied migrations.
    pub(super) async fn migrations(&self) -> Result<Vec<i64>> {
        let sql = "select version::bigint from refinery_schema_history order by version";
        let rows = self.writer.query_typed(sql, &[]).await.map_err(|error| self.failed(&error))?;
        let versions: std::result::Result<Vec<i64>, _> = rows.iter().map(|row| row.try_get(0)).collect();
        versions.map_err(|error| self.failed(&error))
    }

    /// The columns of a table, sorted by name.
    pub(super) async fn columns(&self, table: &str) -> Result<Vec<(String, Option<Type>)>> {
        let sql = "select attname::text, format_type(atttypid, null) from pg_attribute
             where attrelid = to_regclass($1) and attnum > 0 and not attisdropped order by attname::text collate \"C\"";
        let name = quoted(table);
        let rows = self.writer.query_typed(sql, &[(&name, PgType::TEXT)]).await;
        let column = |row: &tokio_postgres::Row| {
            let (name, kind): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            Ok((name, Type::named(&kind)))
        };
        let columns: std::result::Result<Vec<_>, tokio_postgres::Error> =
            rows.map_err(|error| self.failed(&error))?.iter().map(column).collect();
        columns.map_err(|error| self.failed(&error))
    }

    pub(super) async fn count(&self, table: &str) -> Result<u64> {
        let sql = format!("select count(*) from {}", quoted(table));
        Ok(self.number(&sql).await?.unsigned_abs())
    }

    /// A row of `meta`.
    pub(super) async fn noted(&self, name: &str) -> Result<Option<String>> {
        let sql = "select value from meta where name = $1";
        let rows = self.writer.query_typed(sql, &[(&name, PgType::TEXT)]).await;
        let rows = rows.map_err(|error| self.failed(&error))?;
        rows.first().map(|row| row.try_get(0)).transpose().map_err(|error| self.failed(&error))
    }

    /// Puts one row of `meta` in the place of another.
    pub(super) async fn replace(&self, former: &str, name: &str, value: &str) -> Result<()> {
        // One statement, so that there is no moment between.
        let sql =
            "with gone as (delete from meta where name = $1) insert into meta (name, value) values ($2, $3)";
        let params: [(&(dyn ToSql + Sync), PgType); 3] =
            [(&former, PgType::TEXT), (&name, PgType::TEXT), (&value, PgType::TEXT)];
        self.writer.execute_typed(sql, &params).await.map(drop).map_err(|error| self.failed(&error))
    }

    /// Keys and hashes of a table in the order of the keys.
    pub(super) async fn stream(&self, table: &Table) -> Result<Hashes<'_>> {
        let keys: Vec<String> = table.key_columns().map(|column| quoted(&column.name)).collect();
        let order: Vec<String> = table.key_columns().map(ordered).collect();
        let fields: Vec<String> = table.columns.iter().map(encoded).collect();
        let sql = format!(
            "select {}, sha256({}) from {} order by {}",
            keys.join(", "),
            fields.join(" || "),
            quoted(&table.name),
            order.join(", ")
        );
        let rows = self.reader.query_typed_raw(&sql, Vec::<(i64, PgType)>::new()).await;
        let rows = rows.map_err(|error| self.failed(&error))?;
        Ok(Hashes {
            target: self,
            rows: Box::pin(rows),
            kinds: table.key_columns().map(|one| one.kind).collect(),
        })
    }

    /// Deletes rows, all or none.
    pub(super) async fn delete(&mut self, table: &Table, keys: &[Key]) -> Result<()> {
        let sql = format!("delete from {} where {}", quoted(&table.name), table.by_key());
        let Self { shown, writer, .. } = self;
        let failed = |error: tokio_postgres::Error| {
            let error = failed(&error);
            DbError::new(error.kind, format!("{shown}: {error}"))
        };
        let transaction = writer.transaction().await.map_err(failed)?;
        let statement = transaction.prepare(&sql).await.map_err(failed)?;
        let each = keys.iter().map(|key| {
            let (transaction, statement) = (&transaction, &statement);
            async move {
                let params: Vec<&(dyn ToSql + Sync)> = key.iter().map(parameter).collect();
                transaction.execute(statement, &params).await
            }
        });
        futures_util::future::try_join_all(each).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Adds rows, all or none.
    pub(super) async fn add(&self, table: &Table, rows: &[SourceRow]) -> Result<()> {
        let in_table = |error: tokio_postgres::Error| {
            let DbError { kind, message } = self.failed(&error);
            DbError::new(kind, format!("{}: {message}", table.name))
        };
        let sql = format!("copy {} ({}) from stdin (format binary)", quoted(&table.name), table.columns());
        let fields = i16::try_from(table.columns.len()).unwrap_or(i16::MAX).to_be_bytes();
        let mut bytes = HEAD.to_vec();
        for row in rows {
            bytes.extend(fields);
            bytes.extend(&row.fields);
        }
        bytes.extend(TAIL);
        let sink = self.writer.copy_in(&sql).await.map_err(in_table)?;
        let mut sink = pin!(sink);
        sink.send(Cursor::new(bytes)).await.map_err(in_table)?;
        sink.finish().await.map(drop).map_err(in_table)
    }

    /// What the planner wants to know of tables that were filled a moment ago.
    pub(super) async fn analyze(&self, tables: &[Table]) -> Result<()> {
        let names: Vec<String> = tables.iter().map(|table| quoted(&table.name)).collect();
        let sql = format!("analyze {}", names.join(", "));
        self.writer.batch_execute(&sql).await.map_err(|error| self.failed(&error))
    }
}

/// Keys are compared as bytes, whatever language the database sorts in.
fn ordered(column: &Column) -> String {
    match column.kind {
        Type::Text => format!("{} collate \"C\"", quoted(&column.name)),
        Type::Int | Type::Bytes => quoted(&column.name),
    }
}

/// The same bytes that [`Table::encode`] makes.
fn encoded(column: &Column) -> String {
    let name = quoted(&column.name);
    let bytes = match column.kind {
        Type::Int => format!("int8send({name})"),
        Type::Text => format!("convert_to({name}, 'UTF8')"),
        Type::Bytes => name,
    };
    format!("coalesce(int4send(octet_length({bytes})) || {bytes}, '\\xffffffff'::bytea)")
}

fn parameter(part: &Part) -> &(dyn ToSql + Sync) {
    match part {
        Part::Int(value) => value,
        Part::Text(value) => value,
        Part::Bytes(value) => value,
    }
}

/// Keys and hashes as they come.
pub(super) struct Hashes<'t> {
    target: &'t Target,
    rows: std::pin::Pin<Box<RowStream>>,
    kinds: Vec<Type>,
}

impl Hashes<'_> {
    pub(super) async fn next(&mut self) -> Result<Option<(Key, [u8; 32])>> {
        let row = self.rows.try_next().await.map_err(|error| self.target.failed(&error))?;
        let Some(row) = row else { return Ok(None) };
        let part = |(place, kind): (usize, &Type)| match kind {
            Type::Int => row.try_get(place).map(Part::Int),
            Type::Text => row.try_get(place).map(Part::Text),
            Type::Bytes => row.try_get(place).map(Part::Bytes),
        };
        let key: std::result::Result<Key, _> = self.kinds.iter().enumerate().map(part).collect();
        let key = key.map_err(|error| self.target.failed(&error))?;
        let hash: Vec<u8> = row.try_get(self.kinds.len()).map_err(|error| self.target.failed(&error))?;
        let odd = |_| DbError::new(Kind::Decode, "a hash of another length");
        Ok(Some((key, hash.try_into().map_err(odd)?)))
    }
}
