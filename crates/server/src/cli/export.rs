//! `hallpass export`.
use super::import::passphrase;
use super::{Common, Failure, Outcome, explain, out};
use crate::app::App;
use crate::import::{self, Sealing};
use crate::random::bytes;
use clap::Args;
use hallpass_crypto::age::Randomness;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Fewest characters of a passphrase: whoever has the file may try as long as they like.
const PASSPHRASE_MIN: usize = 15;

/// Takes all accounts out, with password hashes and second factors, into a file that a passphrase opens.
#[derive(Args)]
#[command(after_help = "Examples:\n  hallpass export --out users.age --passphrase-file passphrase.txt\n  \
                        hallpass import users.age --passphrase-file passphrase.txt   # on the other server\n\n\
                        The file is in the age format (age-encryption.org): `age --decrypt users.age` shows it too. Whoever \
                        reads it can copy every authenticator app.")]
pub(super) struct Export {
    /// The file to make; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// File whose first line is the passphrase, at least 15 characters; `/dev/stdin` reads standard input.
    #[arg(long, value_name = "FILE")]
    passphrase_file: PathBuf,
}

impl Export {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let passphrase = passphrase(&self.passphrase_file)?;
        if passphrase.chars().count() < PASSPHRASE_MIN {
            let text = "whoever has the file may try as long as they like: use a passphrase of at least 15 characters";
            return Err(Failure(text.into()));
        }
        common.with_app(async |app, out| {
            let problem =
                |error: std::io::Error| Failure(format!("cannot write {}: {error}", self.out.display()));
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&self.out)
                .map_err(problem)?;
            let written = write(&app, file, &passphrase).await;
            let accounts = match written {
                Ok(accounts) => accounts,
                Err(failure) => {
                    // A part of it is of no use, and would be in the way of the next try.
                    let _ = std::fs::remove_file(&self.out);
                    return Err(failure);
                }
            };
            super::ownership::hand_over(&self.out);
            let peppered = app.config.keys.pepper.is_some();
            out.show(&json!({ "file": self.out, "accounts": accounts }), || {
                said(&self.out, accounts, peppered)
            })
        })
    }
}

fn said(file: &Path, accounts: u64, peppered: bool) -> String {
    let size = std::fs::metadata(file).map(|data| out::size(data.len())).unwrap_or_default();
    let pepper = if peppered { " Their hashes need this server's pepper (keys.pepper)." } else { "" };
    format!("Exported {accounts} accounts to {} ({size}).{pepper}", file.display())
}

async fn write(app: &App, file: File, passphrase: &str) -> Result<u64, Failure> {
    let random = Randomness {
        file_key: bytes(&*app.random).into(),
        salt: bytes(&*app.random),
        nonce: bytes(&*app.random),
    };
    let header = import::begin_export(app).await.map_err(|error| explain(&error))?;
    let mut sealing = Sealing::new(BufWriter::new(file), passphrase.as_bytes(), &random)?;
    writeln!(sealing, "{header}")?;
    let (mut after, mut accounts) = (None, 0);
    loop {
        let (lines, last) = import::page(app, after).await.map_err(|error| explain(&error))?;
        for line in &lines {
            writeln!(sealing, "{}", line.as_str())?;
            accounts += 1;
        }
        if last.is_none() {
            break;
        }
        after = last;
    }
    let file = sealing.finish()?.into_inner().map_err(|error| Failure(error.to_string()))?;
    file.sync_all()?;
    Ok(accounts)
}
