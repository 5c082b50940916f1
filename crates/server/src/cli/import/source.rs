//! The file of an import: looked through once before anything is stored, so that a broken end or a wrong passphrase is known.
use super::Failure;
use crate::import::{Format, Opened, Records, is_sealed};
use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Longest passphrase or file of parameters.
const MAX_SMALL: u64 = 16 * 1024;

/// What is read, plain or opened.
pub(super) type Input = Box<dyn BufRead>;

/// A file that was looked through.
pub(super) struct Source {
    path: PathBuf,
    format: Format,
    passphrase: Option<Zeroizing<String>>,
    digest: String,
    records: i64,
}

impl Source {
    /// Reads the whole file once: every record is there, and every sealed byte authentic.
    pub(super) fn look(
        path: &Path,
        format: Format,
        passphrase: Option<Zeroizing<String>>,
    ) -> Result<Self, Failure> {
        let mut source =
            Self { path: path.to_owned(), format, passphrase, digest: String::new(), records: 0 };
        let problem = |error: io::Error| Failure(format!("cannot read {}: {error}", path.display()));
        let mut digest = Context::new(&SHA256);
        digest.update(format.name().as_bytes());
        let mut file = File::open(path).map_err(problem)?;
        if !file.metadata().map_err(problem)?.is_file() {
            return Err(Failure(format!(
                "{} is no file; it is read twice, so a pipe will not do",
                path.display()
            )));
        }
        let mut piece = vec![0; 64 * 1024];
        loop {
            match file.read(&mut piece).map_err(problem)? {
                0 => break,
                read => digest.update(piece.get(..read).unwrap_or_default()),
            }
        }
        source.digest = HEXLOWER.encode(digest.finish().as_ref());
        let mut records = source.open()?;
        while records.read().map_err(problem)?.is_some() {
            source.records += 1;
        }
        Ok(source)
    }

    /// From the first record on.
    pub(super) fn open(&self) -> Result<Records<Input>, Failure> {
        let problem = |error: io::Error| Failure(format!("cannot read {}: {error}", self.path.display()));
        let mut input = BufReader::with_capacity(64 * 1024, File::open(&self.path).map_err(problem)?);
        let input: Input = match (is_sealed(&mut input).map_err(problem)?, &self.passphrase) {
            (false, _) => Box::new(input),
            (true, Some(passphrase)) => Box::new(Opened::new(input, passphrase.as_bytes()).map_err(problem)?),
            (true, None) => {
                return Err(Failure(format!("{} is sealed: give --passphrase-file", self.path.display())));
            }
        };
        Records::new(input, self.format.layout()).map_err(problem)
    }

    /// Names the import.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// How many records there are.
    pub(super) fn records(&self) -> i64 {
        self.records
    }
}

/// A small text.
pub(super) fn read_small(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let problem = |error: io::Error| Failure(format!("cannot read {}: {error}", path.display()));
    let mut text = Zeroizing::new(String::with_capacity(16 * 1024));
    let read = File::open(path).map_err(problem)?.take(MAX_SMALL).read_to_string(&mut text);
    read.map_err(problem)?;
    Ok(text)
}

/// The first line of a file.
pub(in super::super) fn passphrase(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = read_small(path)?;
    // Editors of some systems begin every file with a mark.
    let line = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure(format!("{} has no passphrase in its first line", path.display())));
    }
    Ok(Zeroizing::new(line.to_owned()))
}
