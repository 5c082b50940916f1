//! Users that come from elsewhere, with their credentials, and all of them on their way out.
//!
//! Invariants: an account that exists is never touched; each record is imported whole, refused whole, or without the parts that
//! the operator gave up by name; how far an import is stands in the transaction of the accounts it made, so that a killed one
//! goes on without doubling or losing anybody, and two of the same file cannot both go on; no quick digest of a password is
//! stored; nothing that is said about a record holds a secret of it.
mod draft;
mod export;
mod fields;
mod formats;
mod given;
mod place;
mod problem;
mod records;
mod sealed;
mod store;

pub use draft::{Draft, Rules};
pub use export::page;
pub use formats::{Format, read_parameters};
pub use problem::{Part, Problem, Reason};
pub use records::{MAX_RECORD, Record, Records};
pub use sealed::{Opened, Sealing, is_sealed};

use crate::app::{App, Inner};
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::users;
use crate::web::Client;
use draft::{Hash, check};
use fields::Fields;
use futures_util::{StreamExt, TryStreamExt, stream};
use hallpass_crypto::password::legacy::Firebase;
use place::place;
use serde_json::json;

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records that are dealt with.
    pub records: i64,
    /// Accounts created.
    pub imported: i64,
    /// Records refused.
    pub rejected: i64,
    /// Length of the report up to there.
    pub report_bytes: i64,
    /// Length of the list of ids up to there.
    pub ids_bytes: i64,
}

/// What is known of an import before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    New,
    /// It was begun at that instant, and goes on from there.
    Interrupted(Progress, Timestamp),
    /// It was finished at that instant.
    Finished(Progress, Timestamp),
}

/// How to read a file.
pub struct Reading {
    /// Whose it is.
    pub format: Format,
    /// The hash parameters of a Firebase project.
    pub firebase: Option<Firebase>,
    /// What the operator allows.
    pub rules: Rules,
}

/// A record that was read.
pub struct Entry {
    /// The line on which it begins.
    pub line: u64,
    /// The account, or why it cannot be.
    pub read: std::result::Result<Draft, Problem>,
}

/// What became of a record.
#[derive(Clone)]
pub enum Fate {
    /// The account exists.
    Imported {
        /// Its id here.
        id: UserId,
        /// What it has lost.
        dropped: Vec<Problem>,
    },
    /// Nothing of it does.
    Rejected(Problem),
}

/// Reads a record; nothing for the first line of an export, which is about the file.
///
/// # Errors
/// A sentence when the file is of a version that this program does not know.
pub fn read(
    app: &Inner,
    reading: &Reading,
    record: &Record,
) -> std::result::Result<Option<Entry>, &'static str> {
    let line = record.line;
    let Some(bytes) = &record.bytes else {
        let problem = Problem::new(Reason::TooLong, format!("the record is longer than {MAX_RECORD} bytes"));
        return Ok(Some(Entry { line, read: Err(problem) }));
    };
    let now = app.now();
    let mut fields = match Fields::read(bytes) {
        Ok(fields) => fields,
        Err(problem) => return Ok(Some(Entry { line, read: Err(problem) })),
    };
    if line == 1
        && reading.format == Format::Hallpass
        && let Some(version) = fields.take(export::HEADER)
    {
        let known = version == json!(export::VERSION);
        return if known { Ok(None) } else { Err("the file was made by a newer version of this program") };
    }
    let given = reading.format.read(fields, reading.firebase.as_ref(), now);
    let read = given.and_then(|given| check(given, &reading.rules, &app.hashing, now));
    Ok(Some(Entry { line, read }))
}

/// Puts quick digests into hashes that may be stored, as many at a time as there are workers.
///
/// # Errors
/// [`Code::Busy`].
pub async fn wrap(app: &App, entries: Vec<Entry>) -> Result<Vec<Entry>> {
    let wrapped = stream::iter(entries).map(async |mut entry| {
        if let Ok(draft) = &mut entry.read {
            draft.password = match draft.password.take() {
                Some(Hash::Fast(fast)) => {
                    Some(Hash::Stored(app.hashing.wrap(fast, app.random_bytes()).await?))
                }
                other => other,
            };
        }
        Ok(entry)
    });
    wrapped.buffered(app.config.passwords.queue.clamp(1, 64)).try_collect().await
}

/// What is known of an import. Notes that it begins, when nothing is.
///
/// # Errors
/// The database's.
pub async fn begin(app: &App, digest: &str, again: bool) -> Result<Standing> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    users::lock_import(&mut tx).await?;
    if again {
        store::forget(&mut tx, digest).await?;
    }
    let standing = if store::begin(&mut tx, digest, now).await? {
        Standing::New
    } else {
        match store::find(&mut tx, digest).await? {
            Some((progress, _, Some(finished))) => Standing::Finished(progress, finished),
            Some((progress, begun, None)) => Standing::Interrupted(progress, begun),
            None => Standing::New,
        }
    };
    tx.commit().await?;
    Ok(standing)
}

/// A part of an import: the records that were read after `from`.
pub struct Batch<'a> {
    /// Names the import.
    pub digest: &'a str,
    /// How far it was.
    pub from: Progress,
    /// How many records were read, entries or not.
    pub records: i64,
    /// The entries among them.
    pub entries: &'a [Entry],
}

/// Writes down what becomes of each entry, and returns the lengths of report and list of ids.
pub type Note<'a> = dyn FnMut(&[Fate]) -> std::io::Result<(i64, i64)> + Send + 'a;

/// Imports a part of a file, all of it or nothing.
///
/// # Errors
/// The database's; [`Code::Unavailable`] when somebody else goes on with the same import; those of `note`.
pub async fn apply(app: &App, batch: &Batch<'_>, note: &mut Note<'_>) -> Result<Progress> {
    let now = app.now();
    let client = Client::local();
    let mut tx = app.db.begin().await?;
    let fates = place(app, &mut tx, batch.entries, now).await?;
    let (report_bytes, ids_bytes) = note(&fates).map_err(Error::internal)?;
    let rejected = fates.iter().filter(|fate| matches!(fate, Fate::Rejected(_))).count();
    let imported = fates.len() - rejected;
    let to = Progress {
        records: batch.from.records + batch.records,
        imported: batch.from.imported + count(imported),
        rejected: batch.from.rejected + count(rejected),
        report_bytes,
        ids_bytes,
    };
    if !store::advance(&mut tx, batch.digest, &batch.from, &to).await? {
        let text = "Another import of the same file is under way; nothing of this part was imported here.";
        return Err(Error::new(Code::Unavailable).with_detail(text));
    }
    if imported > 0 {
        let detail = json!({
            "import": batch.digest, "from": batch.from.records, "to": to.records, "imported": imported, "rejected": rejected,
        });
        audit::record(app, &mut tx, Event::new(Kind::UsersImported, &client).detail(detail), now);
    }
    tx.commit().await?;
    Ok(to)
}

/// What would become of entries, without a trace.
///
/// # Errors
/// The database's.
pub async fn rehearse(app: &App, entries: &[Entry]) -> Result<Vec<Fate>> {
    let mut tx = app.db.begin().await?;
    place(app, &mut tx, entries, app.now()).await
}

/// Notes that all of a file was read. One that made no account is not kept: whoever has read why gives other options, and means
/// the same file.
///
/// # Errors
/// The database's; [`Code::Unavailable`] when somebody else goes on with the same import.
pub async fn finish(app: &App, digest: &str, progress: &Progress) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let noted = if progress.imported == 0 {
        store::undo(&mut tx, digest, progress.records).await?
    } else {
        store::finish(&mut tx, digest, progress.records, app.now()).await?
    };
    if !noted {
        return Err(
            Error::new(Code::Unavailable).with_detail("Another import of the same file is under way.")
        );
    }
    Ok(tx.commit().await?)
}

/// Notes that everything is about to be taken out: before, so that nobody takes it without a trace. Returns the first line of the
/// file.
///
/// # Errors
/// The database's.
pub async fn begin_export(app: &App) -> Result<String> {
    audit::record_alone(app, Event::new(Kind::UsersExported, &Client::local())).await?;
    Ok(export::header_line(app.now()))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
