//! What `hallpass doctor` and `/health/ready` want to know of a PostgreSQL server.
use super::{Postgres, Result};
use crate::db::{DbError, Row, ServerFacts};

impl Postgres {
    /// The server's clock, in microseconds since the epoch.
    pub(in crate::db) async fn clock(&self) -> Result<i64> {
        self.one("select (extract(epoch from clock_timestamp()) * 1000000)::bigint").await?.int()
    }

    pub(in crate::db) async fn facts(&self) -> Result<ServerFacts> {
        let sql = "select current_setting('server_version'), current_setting('server_version_num')::bigint,
             coalesce(current_schema()::text, ''), current_user::text,
             case when has_database_privilege(current_database(), 'create')
               or coalesce(has_schema_privilege(current_schema(), 'create'), false) then 1::bigint else 0::bigint end,
             current_setting('synchronous_commit'), current_setting('fsync'),
             current_setting('max_connections')::bigint";
        let mut row = self.one(sql).await?;
        let on = |setting: String| setting != "off";
        Ok(ServerFacts {
            version: row.text()?,
            version_number: row.int()?,
            schema: row.text()?,
            role: row.text()?,
            may_create: row.int()? == 1,
            durable: on(row.text()?) & on(row.text()?),
            max_connections: row.int()?,
        })
    }

    async fn one(&self, sql: &'static str) -> Result<Row> {
        let rows = self.run(sql, &[]).await?;
        rows.into_iter().next().ok_or_else(|| DbError::missing("the server said nothing of itself"))
    }
}
