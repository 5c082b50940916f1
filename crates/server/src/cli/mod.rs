//! The command line: arguments in, one verb called, output for people or (`--json`) for scripts.
mod audit;
mod backup;
mod docs;
mod doctor;
mod export;
mod health;
mod import;
mod invite;
mod keys;
mod lock;
mod migrate;
mod moving;
mod out;
mod ownership;
mod probes;
mod role;
mod serve;
mod servers;
mod service_key;
mod sessions;
mod user;
mod webhook;

use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{Config, ConfigError, Sources, load};
use crate::error::Error;
use crate::random::SystemRandom;
use crate::start;
use crate::users::{self, User};
use clap::{Args, Parser, Subcommand};
use out::Out;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// An authentication server in one binary.
#[derive(Parser)]
#[command(
    name = "hallpass",
    version,
    about,
    after_help = "Start with `hallpass serve`: no file, no service, no mail server is needed.\n\n\
                  Examples:\n  hallpass serve\n  hallpass user create --email ann@example.com --role admin\n  \
                  hallpass doctor\n  hallpass user list --json\n  \
                  HALLPASS_MOVE_TO=postgres://… hallpass move-to-postgres\n\n\
                  Exit codes: 0 done, 1 failed, 2 the command was not understood, 3 go on as it says (move-to-postgres),\n\
                  4 done, but some records were refused (import)."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args)]
struct Common {
    /// Settings file; default `hallpass.toml` if there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the embedded database and of the generated key.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Output for scripts.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Migrate(migrate::Migrate),
    Doctor(doctor::Doctor),
    Health(health::Health),
    User(user::UserCommand),
    Invite(invite::InviteCommand),
    Sessions(sessions::SessionsCommand),
    Keys(keys::KeysCommand),
    Role(role::RoleCommand),
    ServiceKey(service_key::ServiceKeyCommand),
    Webhook(webhook::WebhookCommand),
    Audit(audit::AuditCommand),
    Backup(backup::Backup),
    Restore(backup::Restore),
    MoveToPostgres(moving::MoveToPostgres),
    Import(import::Import),
    Export(export::Export),
    Openapi(docs::Openapi),
    Config(docs::ShowConfig),
    Completions(docs::Completions),
    #[command(hide = true)]
    Docs(docs::Docs),
}

/// A sentence for the operator; empty when the command has said it already.
struct Failure(String);

impl Failure {
    fn said() -> Self {
        Self(String::new())
    }
}

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

type Outcome = Result<(), Failure>;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let Cli { common, command } = Cli::parse();
    let out = Out { json: common.json };
    if !matches!(command, Command::Docs(_)) {
        ownership::private_files();
    }
    match run(&common, command) {
        Ok(code) => code,
        Err(Failure(problem)) => {
            if !problem.is_empty() {
                out.failure(&problem);
            }
            ExitCode::FAILURE
        }
    }
}

fn run(common: &Common, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::MoveToPostgres(command) => return command.run(common),
        Command::Import(command) => return command.run(common),
        Command::Export(command) => command.run(common),
        Command::Serve(command) => command.run(common),
        Command::Migrate(command) => command.run(common),
        Command::Doctor(command) => command.run(common),
        Command::Health(command) => command.run(common),
        Command::User(command) => command.run(common),
        Command::Invite(command) => command.run(common),
        Command::Sessions(command) => command.run(common),
        Command::Keys(command) => command.run(common),
        Command::Role(command) => command.run(common),
        Command::ServiceKey(command) => command.run(common),
        Command::Webhook(command) => command.run(common),
        Command::Audit(command) => command.run(common),
        Command::Backup(command) => command.run(common),
        Command::Restore(command) => command.run(common),
        Command::Openapi(command) => command.run(),
        Command::Config(command) => command.run(common),
        Command::Completions(command) => command.run(),
        Command::Docs(command) => command.run(),
    }?;
    Ok(ExitCode::SUCCESS)
}

impl Common {
    fn out(&self) -> Out {
        Out { json: self.json }
    }

    /// The settings of the process, with flags on top, and sentences to say at start; or every mistake.
    fn load(&self, mut flags: Vec<(String, String)>) -> Result<(Config, Vec<String>), Vec<ConfigError>> {
        flags.extend(self.data_dir.clone().map(|dir| ("server.data_dir".to_owned(), dir)));
        let sources = Sources::from_process(self.config.clone()).map_err(|problem| vec![problem])?;
        load(&Sources { flags, ..sources })
    }

    /// The settings of the process, with flags on top, and sentences to say at start.
    fn settings_with(&self, flags: Vec<(String, String)>) -> Result<(Config, Vec<String>), Failure> {
        self.load(flags).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Failure(format!("the settings need correction:\n  {}", lines.join("\n  ")))
        })
    }

    fn settings(&self) -> Result<Config, Failure> {
        Ok(self.settings_with(Vec::new())?.0)
    }

    /// Does something with the application, beside a server that may be running on the same database.
    fn with_app(&self, work: impl AsyncFnOnce(App, Out) -> Outcome) -> Outcome {
        self.with_settings(self.settings()?, work)
    }

    /// The same, with settings that the command has adjusted.
    fn with_settings(&self, config: Config, work: impl AsyncFnOnce(App, Out) -> Outcome) -> Outcome {
        let (clock, random) = machine();
        let out = self.out();
        runtime()?.block_on(async {
            let app = start::open_existing(config, clock, random).await?;
            ownership::hand_over_data(&app.config);
            work(app, out).await
        })
    }
}

/// The async runtime.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// The machine's clock and randomness.
fn machine() -> (Arc<SystemClock>, Arc<SystemRandom>) {
    (Arc::default(), Arc::default())
}

/// The user that an id, an address or a username names.
async fn find_user(app: &App, named: &str) -> Result<User, Failure> {
    let found = match crate::ids::UserId::parse(named) {
        Some(id) => users::find(&app.db, id).await?,
        None => users::find_login(&app.db, named).await?.map(|login| login.user),
    };
    found.ok_or_else(|| {
        Failure(format!("there is no user \"{named}\"; give the id, the address or the username, as `hallpass user list` shows them"))
    })
}

/// An error with each of its fields on a line.
fn explain(error: &Error) -> Failure {
    if error.fields.is_empty() {
        return Failure(error.to_string());
    }
    let lines: Vec<String> =
        error.fields.iter().map(|one| format!("{}: {}", one.field, one.message)).collect();
    Failure(lines.join("\n"))
}

/// Asks before something that cannot be taken back, unless `--yes` was given.
fn confirm(yes: bool, question: &str) -> Outcome {
    if yes {
        return Ok(());
    }
    if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        return Err(Failure(format!(
            "{question} Nothing was changed: add --yes to go ahead without being asked"
        )));
    }
    out::say(&format!("{question} Type yes to go ahead: "));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Failure("nothing was changed".into())) }
}
