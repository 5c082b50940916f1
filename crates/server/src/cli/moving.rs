//! `hallpass move-to-postgres`.
use super::out::{self, Out};
use super::{Common, Failure, backup, confirm, lock, machine, ownership, probes, runtime};
use crate::app::{App, Parts};
use crate::audit::{self, Event, Kind};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::db::{self, Db, Done, Options, Progress, Transfer};
use crate::geoip::Places;
use crate::hashing::Hashing;
use crate::random::bytes;
use crate::secret_key;
use crate::templates::Templates;
use crate::web::Client;
use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::json;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

/// Everything that may be copied while the server runs is there; the rest needs it to be stopped.
const COPIED: u8 = 3;

/// Moves the embedded database into PostgreSQL. Most of it while the server runs; nobody has to sign in again.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    export HALLPASS_MOVE_TO=postgres://hallpass:…@db.example.com/hallpass   # an empty database\n  \
    hallpass move-to-postgres   # while the server runs: copies, exit code 3\n  \
    hallpass move-to-postgres   # after stopping it: copies what has changed since, compares all, exit code 0\n\n\
    Interrupted at any moment, run it again: it goes on where it was. Give the URL in the environment or in the settings \
    file (database.move_to): on the command line others on the machine see its password.")]
pub(super) struct MoveToPostgres {
    /// Where to; also `HALLPASS_MOVE_TO`.
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Lets the server start on the embedded database again after a move.
    #[arg(long, conflicts_with = "to")]
    undo_mark: bool,
    /// Do not ask.
    #[arg(long, requires = "undo_mark")]
    yes: bool,
}

impl MoveToPostgres {
    pub(super) fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let flag = self.to.map(|url| ("database.move_to".to_owned(), url));
        let (config, _) = common.settings_with(flag.into_iter().collect())?;
        if !config.embedded() {
            return Err(Failure(
                "this command moves an embedded database, and the settings name PostgreSQL already; take \
                 HALLPASS_DATABASE_URL out and name the target in HALLPASS_MOVE_TO"
                    .into(),
            ));
        }
        let path = backup::existing(&config)?;
        if self.undo_mark {
            return undo(&config, &path, self.yes, common.out());
        }
        let Some(url) = &config.database.move_to else {
            return Err(Failure(
                "say where to: set HALLPASS_MOVE_TO to the postgres:// URL of an empty database".into(),
            ));
        };
        let moved = runtime()?.block_on(move_to(&config, &path, url.expose(), common.out()));
        // Run by root, it may have made the files beside the database.
        ownership::hand_over_data(&config);
        moved
    }
}

async fn move_to(config: &Config, path: &Path, url: &str, out: Out) -> Result<ExitCode, Failure> {
    let (clock, random) = machine();
    let db = config.open_database(clock.clone(), None)?;
    if !db.pending_migrations().await?.is_empty() {
        return Err(Failure("the database is not up to date; run `hallpass migrate` first".into()));
    }
    if let Some(problem) = probes::key_problem(config, &db).await {
        return Err(Failure(problem));
    }
    drop(db);
    let mut meter = Meter::new(out);
    let begun = clock.monotonic();
    let fresh = HEXLOWER.encode(&bytes::<16>(&*random));
    let mut transfer = Transfer::prepare(path, url, &fresh).await.map_err(|error| unmoved(&error))?;
    if transfer.is_done() {
        return show(out, config, &Report { state: "moved", transfer: &transfer, done: &[], took: [0, 0] });
    }
    let mut lock = lock::take(config)?;
    if lock.is_none() {
        let copied = transfer.copy(&mut |progress| meter.show(progress)).await;
        meter.end();
        let copied = copied.map_err(|error| unmoved(&error))?;
        lock = lock::take(config)?;
        if lock.is_none() {
            let took = [since(&clock, begun), 0];
            show(out, config, &Report { state: "copied", transfer: &transfer, done: &copied, took })?;
            return Ok(ExitCode::from(COPIED));
        }
    }
    let stopped = clock.monotonic();
    let moved = transfer.finish(clock.now(), &mut |progress| meter.show(progress)).await;
    meter.end();
    let moved = moved.map_err(|error| unmoved(&error))?;
    settle(config, url, &transfer, &moved).await?;
    drop(lock);
    let took = [since(&clock, begun), since(&clock, stopped)];
    show(out, config, &Report { state: "moved", transfer: &transfer, done: &moved, took })
}

/// Lets servers start on the target, and notes in its audit log that it came there, both or neither.
async fn settle(config: &Config, url: &str, transfer: &Transfer, moved: &[Done]) -> Result<(), Failure> {
    let db = Db::open(url, &Options::default()).map_err(|error| unmoved(&error))?;
    let app = on(db, config)?;
    let client = Client::local();
    let rows: u64 = moved.iter().map(|one| one.rows).sum();
    let detail = json!({ "rows": rows, "tables": moved.len() });
    let mut tx = app.db.begin().await?;
    transfer.believe(&mut tx).await.map_err(|error| unmoved(&error))?;
    audit::record(&app, &mut tx, Event::new(Kind::DatabaseMoved, &client).detail(detail), app.now());
    tx.commit().await.map_err(|error| unmoved(&error))
}

/// The application on a database that the settings do not name yet.
fn on(db: Db, config: &Config) -> Result<App, Failure> {
    let (clock, random) = machine();
    let parts = Parts {
        ring: secret_key::ring(config, &*random)?,
        hashing: Hashing::start(config)?,
        templates: Templates::load(None)?,
        places: Places::default(),
        redis: None,
        config: config.clone(),
        db,
        clock,
        random,
    };
    Ok(App::new(parts))
}

fn unmoved(error: &db::DbError) -> Failure {
    Failure(format!("not moved: {error}"))
}

fn since(clock: &SystemClock, before: std::time::Duration) -> u64 {
    u64::try_from(clock.monotonic().saturating_sub(before).as_millis()).unwrap_or(u64::MAX)
}

struct Report<'a> {
    /// `copied` or `moved`.
    state: &'static str,
    transfer: &'a Transfer,
    done: &'a [Done],
    /// Milliseconds of all, and of the part for which the server has to be stopped.
    took: [u64; 2],
}

fn show(out: Out, config: &Config, report: &Report<'_>) -> Result<ExitCode, Failure> {
    let Report { state, transfer, done, took: [all, stopped] } = report;
    let rows: u64 = done.iter().map(|one| one.rows).sum();
    let value = json!({
        "state": state,
        "to": transfer.to(),
        "rows": rows,
        "milliseconds": all,
        "millisecondsStopped": stopped,
        "tables": done,
    });
    out.show(&value, || {
        if *state == "copied" {
            return format!(
                "Copied {rows} rows to {} in {}; the server was running, so the last changes are missing.\nStop the server \
                 now, then run the same command again: it copies what has changed since and compares everything.",
                transfer.to(),
                seconds(*all)
            );
        }
        if done.is_empty() {
            return format!("Moved to {} already; nothing was left to do.\n{}", transfer.to(), afterwards(config));
        }
        format!(
            "Moved to {}: {rows} rows in {} tables, each the same on both sides; {} with the server stopped.\n{}",
            transfer.to(),
            done.len(),
            seconds(*stopped),
            afterwards(config)
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn afterwards(config: &Config) -> String {
    let key = match config.keys.secret_key {
        Some(_) => "keep the secret key (keys.secret_key) as it is".to_owned(),
        None => format!("set HALLPASS_SECRET_KEY to what stands in {}", config.secret_key_file().display()),
    };
    format!(
        "Now set HALLPASS_DATABASE_URL to that database, {key}, and start the server: nobody has to sign in again.\nThe \
         embedded database is kept and refuses to be used; delete it when you have a backup of the new one."
    )
}

fn seconds(millis: u64) -> String {
    format!("{}.{} s", millis / 1000, millis % 1000 / 100)
}

fn undo(config: &Config, path: &Path, yes: bool, out: Out) -> Result<ExitCode, Failure> {
    let Some(_lock) = lock::take(config)? else {
        return Err(Failure("a server is running on this database, so it is not marked as moved".into()));
    };
    confirm(
        yes,
        "This lets the server start on the embedded database again; whatever has happened since the move is not in it.",
    )?;
    let moved = db::undo_mark(path)?;
    ownership::hand_over_data(config);
    out.show(&json!({ "undone": moved }), || match &moved {
        Some(moved) => format!(
            "The embedded database may be used again. It is as it was at {}; what has happened in {} since is not in it: stop \
             the servers there.",
            moved.at, moved.to
        ),
        None => "This database is not marked as moved; nothing was changed.".into(),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Percents of each table on standard error, when somebody looks.
struct Meter {
    shown: Option<String>,
    wanted: bool,
}

impl Meter {
    fn new(out: Out) -> Self {
        Self { shown: None, wanted: !out.json && std::io::stderr().is_terminal() }
    }

    fn show(&mut self, progress: Progress<'_>) {
        let Progress { table, doing, rows, of } = progress;
        let text = format!("\r{doing} {table:24} {:3} %", rows * 100 / of.max(1));
        if self.wanted && self.shown.as_ref() != Some(&text) {
            out::say(&text);
            self.shown = Some(text);
        }
    }

    fn end(&mut self) {
        if let Some(text) = self.shown.take() {
            out::say(&format!("\r{}\r", " ".repeat(text.chars().count())));
        }
    }
}
