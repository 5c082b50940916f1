//! A number that changes with every commit to an SQLite file, by any process, for the price of one `pread`.
//!
//! In WAL mode a commit becomes visible by writing the header of the WAL index, the file `-shm`, which counts the
//! transactions (sqlite.org/walformat.html, "The WAL-Index File Format"). The writer updates the second copy of the header,
//! then the first, and only then answers; readers that see the first copy see the transaction. So as long as the first copy
//! is the same as before an earlier read, that read still holds, and nothing that was acknowledged since is missed.
//! `pragma data_version` says the same but takes a read transaction and a connection of its own.
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;

/// Length of one copy of the header.
const HEADER: usize = 48;
/// The only format there has been since WAL exists.
const FORMAT: u32 = 3_007_000;
/// Where the header says that it is filled in.
const IS_INIT: usize = 12;

/// See [`super::Db::version`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version([u8; HEADER]);

/// The WAL index of an open database.
#[derive(Default)]
pub(super) struct WalIndex(OnceLock<File>);

impl WalIndex {
    /// Reads the header. The file exists as long as a connection is open, and the writer's always is.
    pub(super) fn version(&self, database: &Path) -> Option<Version> {
        let file = match self.0.get() {
            Some(file) => file,
            None => {
                let mut name = database.as_os_str().to_owned();
                name.push("-shm");
                let opened = File::open(name).ok()?;
                self.0.get_or_init(|| opened)
            }
        };
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).ok()?;
        let format = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
        (format == FORMAT && header[IS_INIT] == 1).then_some(Version(header))
    }
}
