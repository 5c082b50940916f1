//! `hallpass migrate`.
use super::{Common, Failure, Outcome, machine, ownership, runtime};
use crate::db::sqlite_path;
use crate::secret_key;
use clap::Args;
use serde_json::json;

/// Brings the database's schema up to date, or makes the database. `serve` does it by itself.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  hallpass migrate\n  hallpass migrate --check   # exit code 1 when something is pending"
)]
pub(super) struct Migrate {
    /// Change nothing; fail when migrations are pending.
    #[arg(long)]
    check: bool,
}

impl Migrate {
    pub(super) fn run(&self, common: &Common) -> Outcome {
        let config = common.settings()?;
        let url = config.database_url();
        let file = config.embedded().then(|| sqlite_path(&url)).transpose()?;
        if let Some(path) = file.filter(|path| self.check && !path.exists()) {
            return Err(Failure(format!(
                "there is no database at {} yet; `hallpass migrate` makes it",
                path.display()
            )));
        }
        if !self.check && config.embedded() {
            secret_key::make_data_dir(&config)?;
        }
        let db = config.open_database(machine().0, None)?;
        if self.check {
            return check(common, &runtime()?.block_on(db.pending_migrations())?);
        }
        let applied = runtime()?.block_on(db.migrate())?;
        ownership::hand_over_data(&config);
        common.out().show(&json!({ "applied": applied }), || match applied.as_slice() {
            [] => "The database is up to date.".into(),
            applied => format!("Applied:\n  {}", applied.join("\n  ")),
        })
    }
}

fn check(common: &Common, pending: &[String]) -> Outcome {
    common.out().show(&json!({ "pending": pending }), || match pending {
        [] => "The database is up to date.".into(),
        pending => format!("Pending, run `hallpass migrate`:\n  {}", pending.join("\n  ")),
    })?;
    if pending.is_empty() { Ok(()) } else { Err(Failure::said()) }
}
