//! Whether a database is one to work on: a server asks before it starts.
use super::{MOVED_TO, MOVING_FROM};
use crate::db::{Db, Engine, Result, Statements};
use serde::{Deserialize, Serialize};

/// Where the data of an embedded database has gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Moved {
    /// Host, port and database.
    pub to: String,
    /// RFC 3339.
    pub at: String,
}

impl Moved {
    /// From the row in `meta`.
    pub(super) fn read(value: &str) -> Self {
        serde_json::from_str(value)
            .unwrap_or_else(|_| Self { to: "PostgreSQL".into(), at: "an unknown time".into() })
    }

    /// For the row in `meta`.
    pub(super) fn write(&self) -> String {
        serde_json::json!({ "to": self.to, "at": self.at }).to_string()
    }

    /// For an operator.
    pub fn sentence(&self) -> String {
        format!(
            "this database was moved to {} at {}: set HALLPASS_DATABASE_URL to that one. To go back to this state, without \
             what has happened since, run `hallpass move-to-postgres --undo-mark`.",
            self.to, self.at
        )
    }
}

/// Whether a database may be worked on.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Yes.
    Whole,
    /// It was moved elsewhere.
    Moved(Moved),
    /// A move into it was begun and is not done.
    Unfinished,
}

impl Db {
    /// Whether this database may be worked on, or was moved elsewhere, or is the unfinished copy of another.
    pub async fn standing(&self) -> Result<Standing> {
        let exists = match &self.0.engine {
            Engine::Sqlite(_) => "select count(*) from sqlite_schema where name = 'refinery_schema_history'",
            Engine::Postgres(_) => "select (to_regclass('refinery_schema_history') is not null)::int::bigint",
        };
        let mut db = self;
        // That table is made a moment before the others.
        for sql in [exists, "select count(*) from refinery_schema_history"] {
            let found = db.query_opt(sql, &[]).await?.map(|mut row| row.int()).transpose()?;
            if found.is_none_or(|found| found == 0) {
                return Ok(Standing::Whole);
            }
        }
        let sql = "select name, value from meta where name in ($1, $2)";
        let Some(mut row) = db.query_opt(sql, &[MOVED_TO.into(), MOVING_FROM.into()]).await? else {
            return Ok(Standing::Whole);
        };
        if row.text()? == MOVED_TO {
            Ok(Standing::Moved(Moved::read(&row.text()?)))
        } else {
            Ok(Standing::Unfinished)
        }
    }
}
