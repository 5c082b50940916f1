//! `hallpass backup` and `hallpass restore`.
use super::out::{self, Out};
use super::{Common, Failure, Outcome, confirm, lock, machine, ownership, probes, runtime};
use crate::config::Config;
use crate::db::{self, sqlite_path};
use crate::secret_key;
use clap::Args;
use serde_json::json;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

/// How every SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What a restoration brings back with it.
const AFTERWARDS: &str = "Whatever happened since the backup is undone: look for accounts to disable and sessions to end \
     again before you start the server.";

/// Copies the database into a new file, also while the server runs.
#[derive(Args)]
#[command(after_help = "Example:\n  hallpass backup hallpass-monday.db\n\n\
                        The secret key is not in it: keep a copy of it in another place. Without it the signing keys \
                        in a backup cannot be read.")]
pub(super) struct Backup {
    /// The file to make; it must not exist.
    file: PathBuf,
}

impl Backup {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = common.settings()?;
        require_embedded(&config)?;
        let path = existing(&config)?;
        let file = self.file;
        if file.exists() {
            return Err(Failure(format!("{} exists already; choose another name", file.display())));
        }
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(Failure(format!("there is no folder {}; make it first", folder.display())));
        }
        let out = common.out();
        let mut progress = Progress::new(out);
        let copied = config.open_database(machine().0, None)?.backup(&file, &mut |remaining, total| {
            progress.show(remaining, total);
        });
        progress.end();
        copied.map_err(|error| Failure(format!("cannot back up {}: {error}", path.display())))?;
        let bytes = std::fs::metadata(&file)?.len();
        let secret = match config.keys.secret_key {
            Some(_) => "the secret key of the settings (keys.secret_key)".to_owned(),
            None => format!("the secret key {}", config.secret_key_file().display()),
        };
        out.show(&json!({ "file": file, "bytes": bytes }), || {
            format!(
                "Saved {} ({}). It holds personal data and password hashes.\nKeep {secret} too, in another place: the \
                 backup is of little use without it, and whoever has both has everything.",
                file.display(),
                out::size(bytes)
            )
        })
    }
}

/// A database server has tools of its own, which also know its other databases.
fn require_embedded(config: &Config) -> Outcome {
    if config.embedded() {
        return Ok(());
    }
    Err(Failure("this command is for the embedded database; for PostgreSQL use pg_dump and pg_restore, as docs/operating.md shows".into()))
}

/// The file of the database, which has to be there.
pub(super) fn existing(config: &Config) -> Result<PathBuf, Failure> {
    let path = sqlite_path(&config.database_url())?;
    if path.exists() {
        return Ok(path);
    }
    let text = "name its folder with --data-dir or HALLPASS_DATA_DIR";
    Err(Failure(format!("there is no database at {}; {text}", path.display())))
}

/// Percents on standard error, when somebody looks.
struct Progress {
    shown: Option<usize>,
    wanted: bool,
}

impl Progress {
    fn new(out: Out) -> Self {
        Self { shown: None, wanted: !out.json && std::io::stderr().is_terminal() }
    }

    fn show(&mut self, remaining: usize, total: usize) {
        let percent = (total - remaining.min(total)) * 100 / total.max(1);
        if self.wanted && self.shown != Some(percent) {
            out::say(&format!("\r{percent:3} %"));
            self.shown = Some(percent);
        }
    }

    fn end(&self) {
        if self.shown.is_some() {
            out::say("\r     \r");
        }
    }
}

/// Puts a backup in the place of the database. The server must be stopped; the former database is kept.
#[derive(Args)]
#[command(after_help = "Example:\n  hallpass restore hallpass-monday.db --yes\n\n\
                        Everything since the backup is undone, also the end of sessions and closed accounts.")]
pub(super) struct Restore {
    /// The backup.
    file: PathBuf,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

impl Restore {
    pub(super) fn run(&self, common: &Common) -> Outcome {
        let config = common.settings()?;
        require_embedded(&config)?;
        looks_like_a_database(&self.file)?;
        let target = sqlite_path(&config.database_url())?;
        if same_file(&self.file, &target) {
            return Err(Failure(format!("{} is the database itself; name a backup", target.display())));
        }
        secret_key::make_data_dir(&config)?;
        let Some(_lock) = lock::take(&config)? else {
            return Err(Failure("a server is running on this database; stop it first".into()));
        };
        confirm(
            self.yes,
            &format!("This replaces the database {} by {}.", target.display(), self.file.display()),
        )?;
        let kept = db::restore(&config.database_url(), &self.file)
            .map_err(|error| Failure(format!("nothing was restored: {error}")))?;
        let remark = remark(&config);
        ownership::hand_over_data(&config);
        let value = json!({ "restored": self.file, "database": target, "former": kept, "remark": remark });
        common.out().show(&value, || {
            let mut lines = vec![format!("Restored {} from {}.", target.display(), self.file.display())];
            lines.extend(
                kept.iter().map(|kept| format!("The former database is kept as {}.", kept.display())),
            );
            lines.push(AFTERWARDS.into());
            lines.extend(remark.iter().map(|remark| format!("Before the server can start: {remark}")));
            lines.join("\n")
        })
    }
}

fn looks_like_a_database(file: &Path) -> Outcome {
    let mut head = [0; 16];
    let mut read = || std::fs::File::open(file)?.read_exact(&mut head);
    match read() {
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            Err(Failure(format!("cannot read the backup {}: {error}", file.display())))
        }
        Ok(()) if &head == MAGIC => Ok(()),
        _ => Err(Failure(format!(
            "{} is not a backup of Hallpass; `hallpass backup` makes one",
            file.display()
        ))),
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}

/// What has to be done before the restored database can be used, if anything.
fn remark(config: &Config) -> Option<String> {
    let db = config.open_database(machine().0, None).ok()?;
    runtime().ok()?.block_on(probes::key_problem(config, &db))
}
