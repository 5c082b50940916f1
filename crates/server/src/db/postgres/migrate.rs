//! Migrations on PostgreSQL: one node at a time, in a schema of their own.
use super::{Postgres, Result, direct, failed, in_time};
use crate::db::{DbError, Kind, migrations};
use std::time::Duration;
use tokio_postgres::types::Type;

/// Read-only views with PostgreSQL's own types, for the application's joins and reports.
const VIEWS: &str = include_str!("views.sql");
/// Names the lock among the advisory locks of the database: "hallpass" in ASCII.
const LOCK: i64 = 0x6861_6c6c_7061_7373;
/// How long a migration may take; a table is rewritten by none.
const PATIENCE: Duration = Duration::from_secs(600);

#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn refused(error: refinery::Error) -> DbError {
    // The library hides what the server said in the source of its error.
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    DbError::new(Kind::Open, format!("cannot migrate the database: {text}"))
}

impl Postgres {
    /// Applies what is pending, in one transaction, while this node alone holds the lock.
    pub(in crate::db) async fn migrate(&self) -> Result<Vec<String>> {
        in_time(PATIENCE, self.migrate_alone()).await
    }

    async fn migrate_alone(&self) -> Result<Vec<String>> {
        // On a connection and in a transaction of its own: through a pooler a lock of the session might end up elsewhere.
        let lock = direct::open(&self.address).await?;
        lock.batch_execute("begin").await.map_err(|error| failed(&error))?;
        let held = lock.query_typed("select pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)]).await;
        held.map_err(|error| failed(&error))?;
        let mut client = direct::open(&self.address).await?;
        make_schema(&client).await?;
        let report = migrations::runner().run_async(&mut client).await.map_err(refused)?;
        client.batch_execute(VIEWS).await.map_err(|error| failed(&error))?;
        lock.batch_execute("commit").await.map_err(|error| failed(&error))?;
        Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
    }

    pub(in crate::db) async fn pending_migrations(&self) -> Result<Vec<String>> {
        let connection = self.pool.get().await?;
        let exists =
            connection.query_typed("select to_regclass('refinery_schema_history') is not null", &[]).await;
        let exists = exists
            .map_err(|error| failed(&error))?
            .first()
            .is_some_and(|row| row.try_get(0).unwrap_or(false));
        let mut applied: Vec<i32> = Vec::new();
        if exists {
            let rows = connection.query_typed("select version from refinery_schema_history", &[]).await;
            applied =
                rows.map_err(|error| failed(&error))?.iter().filter_map(|row| row.try_get(0).ok()).collect();
        }
        Ok(migrations::missing_where(|version, _, _| applied.contains(&version)))
    }
}

/// The tables stand in the schema that bears the role's name, which PostgreSQL looks into first by default
/// (`search_path` is `"$user", public`): so they keep clear of the application's, without a setting on any connection.
/// A role that may not make a schema uses the one it has.
async fn make_schema(client: &tokio_postgres::Client) -> Result<()> {
    let sql = "select to_regclass('refinery_schema_history') is not null, has_database_privilege(current_database(), 'create'),
         current_schema(), quote_ident(current_user)";
    let rows = client.query_typed(sql, &[]).await.map_err(|error| failed(&error))?;
    let Some(row) = rows.first() else { return Ok(()) };
    let decode = |error: tokio_postgres::Error| DbError::new(Kind::Decode, error.to_string());
    let migrated: bool = row.try_get(0).map_err(decode)?;
    let may_create: bool = row.try_get(1).map_err(decode)?;
    let current: Option<String> = row.try_get::<_, Option<&str>>(2).map_err(decode)?.map(str::to_owned);
    let role: String = row.try_get(3).map_err(decode)?;
    if migrated {
        return Ok(());
    }
    if may_create {
        let sql = format!("create schema if not exists {role} authorization {role}");
        return client.batch_execute(&sql).await.map_err(|error| failed(&error));
    }
    match current {
        Some(_) => Ok(()),
        None => Err(DbError::new(
            Kind::Open,
            format!(
                "the database has no schema for {role}; as its owner run: create schema {role} authorization {role}"
            ),
        )),
    }
}
