//! What is written down of an import beside the database: the report, the list of ids, and the sums.
use super::{Failure, each_minute};
use crate::clock::Timestamp;
use crate::import::{Entry, Fate, Problem, Progress, Reason};
use crate::names::Email;
use hallpass_crypto::digest::sha256;
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Longest file that an import leaves whose first part is not stored, in bytes.
const MAX_LEFT: u64 = 64 << 20;
/// How much the clock of files may be behind, at most.
const SLOW_CLOCK: Duration = Duration::from_secs(1);
/// Refusals that are shown without a report.
const SHOWN: usize = 10;

/// What an interrupted import may have left.
#[derive(Clone, Copy)]
pub(super) enum Left {
    /// Nothing: the files are made.
    Nothing,
    /// Files with what is stored, and behind it notes of a part that is not; of nothing that is older than the import, if one
    /// is known.
    Since(Option<Timestamp>),
}

/// What a line of a file looks like.
struct Shape {
    members: &'static [&'static str],
    beginning: &'static [u8],
}

const REPORT: Shape = Shape { members: &["line", "message", "outcome", "reason"], beginning: b"{\"line\":" };
const IDS: Shape = Shape { members: &["id", "sourceId"], beginning: b"{\"id\":\"" };

impl Shape {
    /// Whether there is nothing in a file but lines of this shape, the last one perhaps cut off.
    fn is_all(&self, file: &File) -> io::Result<bool> {
        let mut input = BufReader::new(file).take(MAX_LEFT);
        let mut line = Vec::new();
        loop {
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                return Ok(input.limit() > 0);
            }
            let fits = if line.ends_with(b"\n") {
                let members = serde_json::from_slice::<Map<String, Value>>(&line).unwrap_or_default();
                members.keys().eq(self.members)
            } else {
                line.starts_with(self.beginning) || self.beginning.starts_with(&line)
            };
            if !fits {
                return Ok(false);
            }
        }
    }
}

/// A file of JSON lines that an interrupted import goes on with.
struct Lines {
    file: File,
    /// Length of what belongs to parts that are stored.
    kept: u64,
    /// Length of what is written.
    written: u64,
}

impl Lines {
    /// Makes the file, or goes on after what belongs to the parts that are stored.
    fn open(path: &Path, shape: &Shape, kept: i64, left: Left) -> Result<Self, Failure> {
        let shown = path.display();
        let problem = |error: io::Error| {
            if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
                return Failure(format!("cannot write {shown}: it is a link; name the file itself"));
            }
            Failure(format!("cannot write {shown}: {error}"))
        };
        let taken = || {
            Failure(format!(
                "cannot write {shown}: it is there already, and nothing in it is known to be of this import; remove it, or name \
                 another file"
            ))
        };
        let other = || {
            Failure(format!(
                "{shown} is not the file of the interrupted import: it is shorter or missing; give that one, or none"
            ))
        };
        let kept = u64::try_from(kept).unwrap_or(0);
        let mut options = OpenOptions::new();
        // A link could lead to a file of somebody else, and a pipe could wait for ever.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        options.read(true).write(true).mode(0o600).custom_flags(flags);
        let made = if kept == 0 { options.clone().create_new(true).open(path) } else { options.open(path) };
        let file = match (made, left) {
            // What an import leaves of which nothing, or nothing yet, is stored.
            (Err(error), Left::Since(_)) if error.kind() == ErrorKind::AlreadyExists => {
                options.open(path).map_err(problem)?
            }
            (Err(error), _) if error.kind() == ErrorKind::AlreadyExists => return Err(taken()),
            (Err(error), _) if kept > 0 && error.kind() == ErrorKind::NotFound => return Err(other()),
            (made, _) => made.map_err(problem)?,
        };
        let about = file.metadata().map_err(problem)?;
        if !about.is_file() {
            return Err(taken());
        }
        if kept == 0 && about.len() > 0 {
            // Notes of another import are not to be lost: they are older than this one.
            let Left::Since(Some(begun)) = left else { return Err(taken()) };
            let begun = UNIX_EPOCH + Duration::from_micros(begun.micros().unsigned_abs());
            let late = about.modified().map_err(problem)? + SLOW_CLOCK >= begun;
            if !late || !shape.is_all(&file).map_err(problem)? {
                return Err(taken());
            }
        }
        if about.len() < kept {
            return Err(other());
        }
        file.set_len(kept).map_err(problem)?;
        Ok(Self { file, kept, written: kept })
    }

    /// Replaces what was written since the last part that is stored.
    fn write(&mut self, text: &str) -> io::Result<i64> {
        self.file.set_len(self.kept)?;
        self.file.seek(SeekFrom::Start(self.kept))?;
        self.file.write_all(text.as_bytes())?;
        self.written = self.kept + text.len() as u64;
        Ok(i64::try_from(self.written).unwrap_or(i64::MAX))
    }
}

/// Report and list of ids.
pub(super) struct Notes {
    report: Option<Lines>,
    ids: Option<Lines>,
    /// Lengths that stay when a file is not given.
    before: (i64, i64),
}

impl Notes {
    /// Makes the files, or goes on with those that an interrupted import has left.
    pub(super) fn open(
        [report, ids]: [Option<&Path>; 2],
        from: &Progress,
        left: Left,
    ) -> Result<Self, Failure> {
        let lines = |path: Option<&Path>, shape: &Shape, kept| {
            path.map(|path| Lines::open(path, shape, kept, left)).transpose()
        };
        Ok(Self {
            report: lines(report, &REPORT, from.report_bytes)?,
            ids: lines(ids, &IDS, from.ids_bytes)?,
            before: (from.report_bytes, from.ids_bytes),
        })
    }

    /// Writes what became of each entry; returns the lengths of both files.
    pub(super) fn write(&mut self, entries: &[Entry], fates: &[Fate]) -> io::Result<(i64, i64)> {
        let (mut report, mut ids) = (String::new(), String::new());
        for (entry, fate) in entries.iter().zip(fates) {
            let line = entry.line;
            let mut say = |outcome: &str, problem: &Problem| {
                let Problem { reason, message } = problem;
                let told = json!({ "line": line, "outcome": outcome, "reason": reason, "message": message });
                let _ = writeln!(report, "{told}");
            };
            match fate {
                Fate::Rejected(problem) => say("refused", problem),
                Fate::Imported { id, dropped } => {
                    for problem in dropped {
                        say("imported_without", problem);
                    }
                    let source = entry.read.as_ref().ok().and_then(|draft| draft.source_id.as_ref());
                    if let Some(source) = source {
                        let _ = writeln!(ids, "{}", json!({ "sourceId": source, "id": id }));
                    }
                }
            }
        }
        let write = |lines: &mut Option<Lines>, text: &str, before| match lines {
            Some(lines) => lines.write(text),
            None => Ok(before),
        };
        let (report_before, ids_before) = self.before;
        Ok((write(&mut self.report, &report, report_before)?, write(&mut self.ids, &ids, ids_before)?))
    }

    /// What was written belongs to a part that is stored.
    pub(super) fn keep(&mut self) {
        for lines in [&mut self.report, &mut self.ids].into_iter().flatten() {
            lines.kept = lines.written;
        }
    }
}

/// What a rehearsal has seen, so that it notices what a file has twice: eight bytes of a digest for each name.
#[derive(Default)]
pub(super) struct Known(HashSet<[u8; 8]>);

impl Known {
    /// Refuses what was seen in an earlier part; the database knows the rest.
    pub(super) fn judge(&mut self, entries: &[Entry], fates: &mut [Fate]) {
        for (entry, fate) in entries.iter().zip(fates) {
            let (Ok(draft), Fate::Imported { .. }) = (&entry.read, &*fate) else { continue };
            let Email { normalised, .. } = &draft.email;
            let username = draft.username.as_ref().map(|username| name("username", &username.normalised));
            let email = name("email", normalised);
            let taken =
                username.is_some_and(|username| self.0.contains(&username)) && !draft.may_lose_username;
            if self.0.contains(&email) {
                *fate = Fate::Rejected(Problem::new(Reason::EmailTaken, "the address is in the file twice"));
            } else if taken {
                *fate =
                    Fate::Rejected(Problem::new(Reason::UsernameTaken, "the username is in the file twice"));
            } else {
                self.0.extend(username.into_iter().chain([email]));
            }
        }
    }
}

fn name(kind: &str, text: &str) -> [u8; 8] {
    sha256(format!("{kind}/{text}").as_bytes()).first_chunk().copied().unwrap_or_default()
}

fn plural(count: i64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// The sums of a run.
pub(super) struct Seen {
    pub(super) progress: Progress,
    begun: Progress,
    reasons: BTreeMap<Reason, u64>,
    incomplete: u64,
    first: Vec<(u64, Problem)>,
}

impl Seen {
    pub(super) fn from(progress: Progress) -> Self {
        Self { progress, begun: progress, reasons: BTreeMap::new(), incomplete: 0, first: Vec::new() }
    }

    pub(super) fn add(&mut self, entries: &[Entry], fates: &[Fate]) {
        for (entry, fate) in entries.iter().zip(fates) {
            match fate {
                Fate::Rejected(problem) => {
                    *self.reasons.entry(problem.reason).or_default() += 1;
                    if self.first.len() < SHOWN {
                        self.first.push((entry.line, problem.clone()));
                    }
                }
                Fate::Imported { dropped, .. } => self.incomplete += u64::from(!dropped.is_empty()),
            }
        }
    }

    /// For a rehearsal, which has no other sums.
    pub(super) fn count(&mut self, records: i64, fates: &[Fate]) {
        let rejected = fates.iter().filter(|fate| matches!(fate, Fate::Rejected(_))).count();
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.progress.records += records;
        self.progress.rejected += number(rejected);
        self.progress.imported += number(fates.len() - rejected);
    }

    pub(super) fn json(&self, rehearsal: bool, took: Duration) -> Value {
        let Progress { imported, rejected, .. } = self.progress;
        // Not the first line of an export, which is no record.
        let records = imported + rejected;
        let state = if rehearsal { "rehearsed" } else { "imported" };
        json!({
            "state": state, "records": records, "imported": imported, "refused": rejected,
            "importedWithout": self.incomplete, "reasons": self.reasons,
            "resumedAfter": self.begun.records, "milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        })
    }

    pub(super) fn text(&self, rehearsal: bool, took: Duration) -> String {
        let Progress { imported, rejected, .. } = self.progress;
        let did = if rehearsal { "Would import" } else { "Imported" };
        let rate = each_minute(imported - self.begun.imported, took);
        let mut lines = vec![format!(
            "{did} {imported} account{}, refused {rejected} record{} ({}.{} s, {rate} a minute).",
            plural(imported),
            plural(rejected),
            took.as_secs(),
            took.subsec_millis() / 100
        )];
        if self.incomplete > 0 {
            lines.push(format!("{} of them without something that was given up.", self.incomplete));
        }
        if imported == 0 && rejected > 0 && !rehearsal {
            lines.push(
                "No account was made, so that the same file may be imported with other options.".into(),
            );
        }
        for (line, problem) in &self.first {
            lines.push(format!("line {line}: {}", problem.message));
        }
        let told = self.reasons.values().sum::<u64>();
        if told > self.first.len() as u64 {
            lines.push("… and more: --report FILE has all of them.".into());
        }
        lines.join("\n")
    }
}
