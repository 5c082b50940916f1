//! Everything of an embedded database into a PostgreSQL database, whole or not believed at all.
//!
//! Here and nowhere else tables and columns come from the schema, so statements are put together at run time, on connections
//! beside the adapter's. See `docs/decisions/move-to-postgres.md`.
mod marks;
mod source;
mod sync;
mod table;
mod target;

use super::{Db, DbError, Kind, Options, Result, Statements, Tx};
use crate::clock::Timestamp;
pub use marks::{Moved, Standing};
use source::Source;
use std::path::Path;
pub use sync::{Done, Progress};
use table::Table;
use target::Target;

/// Rows of `meta` that belong to one side and are never copied: the source's name, where it has gone, from where a move into
/// this database was begun, and from where it came.
const MOVING_ID: &str = "moving_id";
const MOVED_TO: &str = "moved_to";
const MOVING_FROM: &str = "moving_from";
const MOVED_FROM: &str = "moved_from";

/// A move between two databases that may be made.
pub struct Transfer {
    source: Source,
    target: Target,
    tables: Vec<Table>,
    /// The name of the source.
    id: String,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Something may be missing.
    Open,
    /// Source and target say that it is done.
    Done,
}

fn refused(text: impl Into<String>) -> DbError {
    DbError::new(Kind::Open, text)
}

impl Transfer {
    /// Looks at both sides and begins, or goes on with, the move; `fresh` is what the source is called from now on, if it has
    /// no name yet. The target is changed only after everything about it was found right.
    pub async fn prepare(path: &Path, url: &str, fresh: &str) -> Result<Self> {
        let source = Source::open(path)?;
        let tables = source.tables()?;
        let target = Target::open(url).await?;
        let shown = target.shown().to_owned();
        if !target.is_utf8().await? {
            return Err(refused(format!(
                "{shown} is not encoded in UTF8; make one with: create database … encoding 'UTF8' template template0"
            )));
        }
        let id = source.id(fresh)?;
        let moved = source.noted(MOVED_TO)?.map(|value| Moved::read(&value));
        let marks = Marks::of(&target).await?;
        let mut transfer = Self { source, target, tables, id, state: State::Open };
        if marks.came_from.as_ref() == Some(&transfer.id) {
            if moved.is_none() {
                return Err(refused(format!(
                    "this data was moved to {shown} before, and a server may have worked there since: nothing was changed; \
                     go on there, or empty that database first"
                )));
            }
            transfer.state = State::Done;
            return Ok(transfer);
        }
        if let Some(moved) = moved.filter(|_| marks.coming_from.as_ref() != Some(&transfer.id)) {
            return Err(refused(format!("{} Nothing was changed", moved.sentence())));
        }
        transfer.admit(url, &marks).await?;
        Ok(transfer)
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The target in words, without a password.
    pub fn to(&self) -> &str {
        self.target.shown()
    }

    /// Takes the target as this move's, or refuses it.
    async fn admit(&self, url: &str, marks: &Marks) -> Result<()> {
        let shown = self.to();
        let db = Db::open(url, &Options::default())?;
        let begun = marks.coming_from.as_ref() == Some(&self.id);
        if marks.came_from.is_some() || (marks.coming_from.is_some() && !begun) {
            return Err(refused(format!(
                "{shown} holds the data of another Hallpass; nothing was changed: name an empty database"
            )));
        }
        if self.target.has_history().await? {
            if !db.pending_migrations().await?.is_empty() {
                return Err(refused(format!(
                    "{shown} is not up to date; run HALLPASS_DATABASE_URL=<that database> hallpass migrate first"
                )));
            }
            if !begun {
                self.refuse_filled().await?;
            }
        }
        // Also brings what an interrupted run left out: the views.
        db.migrate().await?;
        if self.source.migrations()? != self.target.migrations().await? {
            return Err(refused(format!(
                "the database and {shown} have different migrations applied; run hallpass migrate with the same version of \
                 Hallpass on both first"
            )));
        }
        self.compare_schemas().await?;
        if !begun {
            self.target.replace(MOVING_FROM, MOVING_FROM, &self.id).await?;
        }
        Ok(())
    }

    async fn refuse_filled(&self) -> Result<()> {
        for (table, rows) in source::fresh_counts()? {
            if self.target.columns(&table).await?.is_empty() || self.target.count(&table).await? == rows {
                continue;
            }
            return Err(refused(format!(
                "{} is not empty: there are rows in {table}; nothing was changed: name an empty database",
                self.to()
            )));
        }
        Ok(())
    }

    async fn compare_schemas(&self) -> Result<()> {
        for table in &self.tables {
            let mut here: Vec<(String, Option<table::Type>)> =
                table.columns.iter().map(|column| (column.name.clone(), Some(column.kind))).collect();
            here.sort_unstable_by(|one, other| one.0.cmp(&other.0));
            if here != self.target.columns(&table.name).await? {
                return Err(refused(format!("the table {} has other columns in {}", table.name, self.to())));
            }
        }
        Ok(())
    }

    /// Copies what differs while a server works on the source, as it is at this moment.
    pub async fn copy(&mut self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Vec<Done>> {
        self.source.run("begin")?;
        // The state that is read is that of the first read.
        self.source.noted(MOVED_TO)?;
        let copied = self.sync_all(progress).await;
        self.source.run("rollback")?;
        copied
    }

    /// Copies what differs while nobody may write to the source, compares all of both sides, and only then marks the source.
    /// After it comes [`Transfer::believe`]: so there is no moment in which both sides would be believed.
    pub async fn finish(
        &mut self,
        now: Timestamp,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Done>> {
        self.source.run("begin immediate")?;
        let mut done = self.sync_all(progress).await?;
        self.target.analyze(&self.tables).await?;
        self.compare_all(&mut done, progress).await?;
        if self.source.noted(MOVED_TO)?.is_none() {
            let moved = Moved { to: self.to().to_owned(), at: now.rfc3339() };
            self.source.mark_moved(&self.tables, &moved.write())?;
        }
        self.source.run("commit")?;
        Ok(done)
    }

    /// Lets servers start on the target, from the commit of a transaction there on.
    pub async fn believe(&self, tx: &mut Tx) -> Result<()> {
        let sql = "delete from meta where name = $1 and value = $2";
        if tx.execute(sql, &[MOVING_FROM.into(), (&self.id).into()]).await? != 1 {
            return Err(refused(format!("another process works on the move into {}", self.to())));
        }
        let sql = "insert into meta (name, value) values ($1, $2)";
        tx.execute(sql, &[MOVED_FROM.into(), (&self.id).into()]).await.map(drop)
    }
}

/// Lets servers start on an embedded database again that was moved; tells where it had gone. No server may run on it.
pub fn undo_mark(path: &Path) -> Result<Option<Moved>> {
    Ok(Source::open(path)?.unmark()?.map(|value| Moved::read(&value)))
}

/// What the target says of itself.
#[derive(Default)]
struct Marks {
    coming_from: Option<String>,
    came_from: Option<String>,
}

impl Marks {
    async fn of(target: &Target) -> Result<Self> {
        if !target.has_history().await? {
            return Ok(Self::default());
        }
        Ok(Self { coming_from: target.noted(MOVING_FROM).await?, came_from: target.noted(MOVED_FROM).await? })
    }
}
