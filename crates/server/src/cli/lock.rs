//! One server on one embedded database: a lock file beside it, held by the kernel for as long as the process lives,
//! so that nothing is left over after a crash.
use super::{Failure, ownership};
use crate::config::Config;
use crate::db::sqlite_path;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Keeps others away until it is dropped.
pub(super) struct Held {
    _file: File,
}

fn path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Takes the lock of the configured database; `None` when a server holds it.
///
/// # Errors
/// A sentence for the operator when the file can be neither made nor read.
pub(super) fn take(config: &Config) -> Result<Option<Held>, Failure> {
    let path = path(&sqlite_path(&config.database_url())?);
    let problem = |error: std::io::Error| Failure(format!("cannot lock {}: {error}", path.display()));
    // Run by root, it must not be led elsewhere by a link. And locking needs no right to write.
    let no_link = OFlags::NOFOLLOW.bits().cast_signed();
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(no_link)
        .open(&path);
    let file = match opened {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(&path).map_err(problem)?,
        other => other.map_err(problem)?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(problem(error)),
    }
    ownership::hand_over(&path);
    Ok(Some(Held { _file: file }))
}

/// Whether a server runs on the configured database. Makes nothing.
pub(super) fn is_held(config: &Config) -> bool {
    let file = sqlite_path(&config.database_url()).ok().and_then(|database| File::open(path(&database)).ok());
    file.is_some_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}
