//! Online backup of the embedded database, and its restoration from a checked copy.
use super::sqlite::failed;
use super::{DbError, Kind};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

type Result<T> = std::result::Result<T, DbError>;

/// Pages copied before writers get their turn again.
const PAGES: std::ffi::c_int = 256;

/// Copies the database at `source`, in use or not, into the new file `target`.
pub(super) fn backup(source: &Path, target: &Path, progress: &mut dyn FnMut(usize, usize)) -> Result<()> {
    if target.exists() {
        let text = format!("{} exists already; choose another name", target.display());
        return Err(DbError::new(Kind::Io, text));
    }
    let result = copy(source, target, progress);
    if result.is_err() {
        let _ = std::fs::remove_file(target);
    }
    result
}

fn copy(source: &Path, target: &Path, progress: &mut dyn FnMut(usize, usize)) -> Result<()> {
    let from = Connection::open_with_flags(source, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    from.busy_timeout(Duration::from_secs(5)).map_err(failed)?;
    snapshot(&from, source)?;
    let mut to = Connection::open(target).map_err(failed)?;
    private(target)?;
    {
        let copy = Backup::new(&from, &mut to).map_err(failed)?;
        loop {
            let step = copy.step(PAGES).map_err(failed)?;
            let state = copy.progress();
            progress(
                usize::try_from(state.remaining).unwrap_or(0),
                usize::try_from(state.pagecount).unwrap_or(0),
            );
            match step {
                StepResult::Done => break,
                // Another process is in the middle of a commit; let it finish.
                StepResult::Busy | StepResult::Locked => std::thread::yield_now(),
                _ => {}
            }
        }
    }
    check(&to, target)?;
    // A single self-contained file: no -wal beside it.
    to.execute_batch("pragma journal_mode = delete").map_err(failed)
}

/// Checks whose database it is, and keeps reading its present state: without that, every commit of a running server
/// would start the copy over.
fn snapshot(connection: &Connection, path: &Path) -> Result<()> {
    connection.execute_batch("begin").map_err(failed)?;
    let ours =
        "select count(*) from sqlite_schema where type = 'table' and name in ('meta', 'users', 'sessions')";
    let tables: i64 = connection.query_row(ours, [], |row| row.get(0)).map_err(failed)?;
    if tables == 3 {
        return Ok(());
    }
    Err(DbError::new(Kind::Corrupt, format!("{} is not a database of Hallpass", path.display())))
}

/// Puts a checked copy of `source` in the place of `target`; the former file stays beside it.
pub(super) fn restore(source: &Path, target: &Path) -> Result<Option<PathBuf>> {
    let staged = with_suffix(target, "restoring");
    let _ = std::fs::remove_file(&staged);
    let copied = copy(source, &staged, &mut |_, _| {});
    if copied.is_err() {
        let _ = std::fs::remove_file(&staged);
    }
    copied?;
    let kept = target.exists().then(|| free_name(target));
    if let Some(kept) = &kept {
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::rename(append(target, suffix), append(kept, suffix));
        }
        std::fs::rename(target, kept).map_err(|error| io(target, &error))?;
    }
    std::fs::rename(&staged, target).map_err(|error| io(target, &error))?;
    Ok(kept)
}

fn check(connection: &Connection, path: &Path) -> Result<()> {
    let verdict: String =
        connection.query_row("pragma integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(DbError::new(Kind::Corrupt, format!("{} is not a healthy database: {verdict}", path.display())))
}

fn private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(|error| io(path, &error))
}

fn free_name(target: &Path) -> PathBuf {
    let mut number = 1;
    loop {
        let name = with_suffix(target, &format!("before-restore-{number}"));
        if !name.exists() {
            return name;
        }
        number += 1;
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    append(path, &format!(".{suffix}"))
}

fn append(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn io(path: &Path, error: &std::io::Error) -> DbError {
    DbError::new(Kind::Io, format!("{}: {error}", path.display()))
}
