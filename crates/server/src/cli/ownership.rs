//! Who may read and write what the commands make. An operator may run them as root, beside a server that is somebody
//! else: what they leave behind must still open for the server, and for nobody beyond it.
use crate::config::Config;
use crate::db::sqlite_path;
use rustix::fs::Mode;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

/// From here on the process makes files that only their owner can read.
pub(super) fn private_files() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Gives a file to the owner of its folder, if this process may. Never what a link names: the folder's owner could
/// have put one there to be given something else.
pub(super) fn hand_over(file: &Path) {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let (Ok(folder), Ok(data)) = (std::fs::metadata(folder), std::fs::symlink_metadata(file))
        && folder.uid() != data.uid()
    {
        let _ = lchown(file, Some(folder.uid()), Some(folder.gid()));
    }
}

/// Gives what a command may have made in the data folder to the folder's owner.
pub(super) fn hand_over_data(config: &Config) {
    let Ok(database) = sqlite_path(&config.database_url()) else { return };
    let beside = |suffix: &str| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    for file in [config.secret_key_file(), beside(""), beside("-wal"), beside("-shm"), beside(".lock")] {
        hand_over(&file);
    }
}
