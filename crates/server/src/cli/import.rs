//! `hallpass import`.
mod notes;
mod source;

use super::{Common, Failure, explain, out};
use crate::app::App;
use crate::import::{self, Batch, Entry, Fate, Format, Part, Progress, Reading, Records, Rules, Standing};
use clap::Args;
use notes::{Left, Notes, Seen};
use serde_json::json;
pub(super) use source::passphrase;
use source::{Input, Source};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Everything was dealt with, but some records were refused.
const REFUSED: u8 = 4;

/// Takes users over from another system, with the passwords that they have. Those who are here already stay as they are.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  hallpass import users.jsonl --dry-run\n  hallpass import users.jsonl --report refused.jsonl\n  \
                        hallpass import users.jsonl --resume --report refused.jsonl   # after it was interrupted\n  \
                        mongoexport --uri \"$MONGO_URI\" --collection users --out users.jsonl\n  \
                        hallpass import users.jsonl --format mongo --ids ids.jsonl\n\n\
                        docs/importing.md has the formats, and how to get each file. Exit code 4: some records were refused."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Import {
    /// The file.
    file: PathBuf,
    /// Whose file it is.
    #[arg(long, value_enum, default_value_t = Format::Hallpass)]
    format: Format,
    /// Say what would happen; store nothing.
    #[arg(long, conflicts_with_all = ["resume", "again"])]
    dry_run: bool,
    /// File for a JSON line about each record that was refused or has lost something.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// File for a JSON line with the former and the present id of each account.
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// Records of one transaction.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=5000))]
    batch: u16,
    /// Go on where an interrupted import of the same file was.
    #[arg(long)]
    resume: bool,
    /// Begin at the first record again; those who are here are refused.
    #[arg(long, conflicts_with = "resume")]
    again: bool,
    /// Roles that the file may give beside `user`. Nobody becomes an administrator by a file alone.
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    allow_roles: Vec<String>,
    /// What a record may lose rather than be refused.
    #[arg(long, value_enum, value_name = "PARTS", value_delimiter = ',')]
    may_drop: Vec<Part>,
    /// Addresses of which the file does not say so were proven in the former system.
    #[arg(long)]
    emails_verified: bool,
    /// File with the password hash parameters of a Firebase project, as its console or its API shows them.
    #[arg(long, value_name = "FILE")]
    hash_config: Option<PathBuf>,
    /// File whose first line is the passphrase of an export.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Import {
    pub(super) fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let reading = self.reading()?;
        let passphrase = self.passphrase_file.as_deref().map(passphrase).transpose()?;
        let source = Source::look(&self.file, self.format, passphrase)?;
        let mut config = common.settings()?;
        if config.passwords.hash_threads == 0 {
            // Nobody else is to be left room for: a server beside it has threads of its own, and goes before.
            config.passwords.hash_threads =
                std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        }
        let mut code = ExitCode::SUCCESS;
        common.with_settings(config, async |app, out| {
            let begun = app.clock.monotonic();
            let done = if self.dry_run {
                Some(self.rehearse(&app, &source, &reading).await?)
            } else {
                self.go_through(&app, &source, &reading).await?
            };
            let Some(done) = done else {
                return out.show(&json!({ "state": "imported_before" }), || {
                    "This file was imported before; nothing was done. --again begins at its first record."
                        .into()
                });
            };
            if done.progress.rejected > 0 {
                code = ExitCode::from(REFUSED);
            }
            let took = app.clock.monotonic().saturating_sub(begun);
            out.show(&done.json(self.dry_run, took), || done.text(self.dry_run, took))
        })?;
        Ok(code)
    }

    fn reading(&self) -> Result<Reading, Failure> {
        if self.format == Format::Firebase
            && self.hash_config.is_none()
            && !self.may_drop.contains(&Part::Password)
        {
            let text = "passwords of Firebase are read with --hash-config only; --may-drop password imports the accounts \
                        without them";
            return Err(Failure(text.into()));
        }
        let firebase = match &self.hash_config {
            Some(path) => {
                let text = source::read_small(path)?;
                let problem =
                    || Failure(format!("{} has no password hash parameters of Firebase", path.display()));
                Some(import::read_parameters(&text).ok_or_else(problem)?)
            }
            None => None,
        };
        let rules = Rules {
            may_drop: self.may_drop.clone(),
            allow_roles: self.allow_roles.clone(),
            emails_verified: self.emails_verified,
        };
        Ok(Reading { format: self.format, firebase, rules })
    }

    /// Nothing when the file was imported before.
    async fn go_through(
        &self,
        app: &App,
        source: &Source,
        reading: &Reading,
    ) -> Result<Option<Seen>, Failure> {
        let standing =
            import::begin(app, source.digest(), self.again).await.map_err(|error| explain(&error))?;
        let (from, begun) = match standing {
            Standing::New => (Progress::default(), None),
            Standing::Finished(..) => return Ok(None),
            Standing::Interrupted(from, begun) if self.resume || from.records == 0 => (from, Some(begun)),
            Standing::Interrupted(from, _) => {
                return Err(Failure(format!(
                    "an import of this file was begun and stopped after {} of {} records; --resume goes on there, --again begins \
                     at the first record",
                    from.records,
                    source.records()
                )));
            }
        };
        let left = if self.resume { Left::Since(begun) } else { Left::Nothing };
        let mut notes = Notes::open([self.report.as_deref(), self.ids.as_deref()], &from, left)?;
        let mut seen = Seen::from(from);
        let mut records = source.open()?;
        for _ in 0..from.records {
            records.read()?;
        }
        let mut meter = Meter::new();
        loop {
            let (count, entries) = self.next(app, reading, &mut records)?;
            if count == 0 {
                break;
            }
            let entries = import::wrap(app, entries).await.map_err(|error| explain(&error))?;
            let batch =
                Batch { digest: source.digest(), from: seen.progress, records: count, entries: &entries };
            let mut fates = Vec::new();
            let mut note = |told: &[Fate]| {
                fates = told.iter().map(Fate::clone).collect();
                notes.write(&entries, told)
            };
            let to = import::apply(app, &batch, &mut note).await.map_err(|error| explain(&error))?;
            notes.keep();
            seen.add(&entries, &fates);
            seen.progress = to;
            meter.show(&seen, source.records());
        }
        meter.end();
        import::finish(app, source.digest(), &seen.progress).await.map_err(|error| explain(&error))?;
        Ok(Some(seen))
    }

    async fn rehearse(&self, app: &App, source: &Source, reading: &Reading) -> Result<Seen, Failure> {
        let mut notes = Notes::open([self.report.as_deref(), None], &Progress::default(), Left::Nothing)?;
        let mut seen = Seen::from(Progress::default());
        let mut known = notes::Known::default();
        let mut records = source.open()?;
        let mut meter = Meter::new();
        loop {
            let (count, entries) = self.next(app, reading, &mut records)?;
            if count == 0 {
                break;
            }
            let mut fates = import::rehearse(app, &entries).await.map_err(|error| explain(&error))?;
            known.judge(&entries, &mut fates);
            notes.write(&entries, &fates)?;
            notes.keep();
            seen.count(count, &fates);
            seen.add(&entries, &fates);
            meter.show(&seen, source.records());
        }
        meter.end();
        Ok(seen)
    }

    /// The entries of the next records, and how many records these were.
    fn next(
        &self,
        app: &App,
        reading: &Reading,
        records: &mut Records<Input>,
    ) -> Result<(i64, Vec<Entry>), Failure> {
        let (mut count, mut entries) = (0, Vec::new());
        while count < i64::from(self.batch) {
            let Some(record) = records.read()? else { break };
            count += 1;
            entries.extend(import::read(app, reading, &record)?);
        }
        Ok((count, entries))
    }
}

/// Percents on standard error, when somebody looks.
struct Meter {
    wanted: bool,
    shown: bool,
}

impl Meter {
    fn new() -> Self {
        Self { wanted: std::io::stderr().is_terminal(), shown: false }
    }

    fn show(&mut self, seen: &Seen, of: i64) {
        if self.wanted {
            let Progress { records, imported, rejected, .. } = seen.progress;
            let percent = records * 100 / of.max(1);
            out::say(&format!("\r{percent:3} %  {imported} imported, {rejected} refused "));
            self.shown = true;
        }
    }

    fn end(&self) {
        if self.shown {
            out::say("\n");
        }
    }
}

/// Accounts of a minute at the speed of a run.
fn each_minute(accounts: i64, took: Duration) -> i64 {
    let millis = i64::try_from(took.as_millis()).unwrap_or(i64::MAX).max(1);
    accounts.saturating_mul(60_000) / millis
}
