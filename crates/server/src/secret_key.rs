//! The root secret: from the settings, or generated once and kept in the data folder, readable by its owner only.
use crate::config::{Config, ConfigError, Secret};
use crate::random::{Random, bytes};
use data_encoding::BASE64URL_NOPAD;
use hallpass_crypto::ring::KeyRing;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Builds the key ring; makes the data folder and the key file when the secret is not among the settings.
///
/// # Errors
/// A sentence for the operator.
pub fn ring(config: &Config, random: &dyn Random) -> Result<KeyRing, ConfigError> {
    let current = match &config.keys.secret_key {
        Some(secret) => secret.clone(),
        None => from_file(&config.secret_key_file(), random)?,
    };
    let previous: Vec<&[u8]> =
        config.keys.previous_secret_keys.iter().map(|secret| secret.expose().as_bytes()).collect();
    KeyRing::new(current.expose().as_bytes(), &previous)
        .map_err(|error| ConfigError::new("keys.secret_key", error.to_string()))
}

/// Makes the data folder, for its owner only.
///
/// # Errors
/// A sentence for the operator.
pub fn make_data_dir(config: &Config) -> Result<(), ConfigError> {
    let folder = &config.server.data_dir;
    let problem = |error: std::io::Error| {
        let text = format!(
            "cannot write to the folder {}: {error}; make it writable or set HALLPASS_DATA_DIR",
            folder.display()
        );
        ConfigError::new("server.data_dir", text)
    };
    if !folder.exists() {
        std::fs::create_dir_all(folder).map_err(problem)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(problem)?;
    }
    // Tried rather than asked: root may pass every permission check and still meet a read-only disk.
    let probe = folder.join(format!(".write-test-{}", std::process::id()));
    let _ = std::fs::remove_file(&probe);
    // Never through a link that somebody laid there.
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe);
    written.and_then(|mut file| file.write_all(b"test")).map_err(problem)?;
    std::fs::remove_file(&probe).map_err(problem)
}

/// Refuses a data folder that others on the machine can look into.
///
/// # Errors
/// A sentence for the operator.
pub fn require_private_data(config: &Config) -> Result<(), ConfigError> {
    let folder = &config.server.data_dir;
    let mode = std::fs::metadata(folder).map_or(0, |data| data.permissions().mode());
    let others = mode & 0o007;
    if others == 0 {
        return Ok(());
    }
    let text = format!("everybody on this machine can look into {}; run chmod 700 on it", folder.display());
    Err(ConfigError::new("server.data_dir", text))
}

fn from_file(file: &Path, random: &dyn Random) -> Result<Secret, ConfigError> {
    if !file.exists() {
        return create(file, random);
    }
    let broken =
        |problem: String| ConfigError::new("keys.secret_key", format!("{}: {problem}", file.display()));
    let advice = "restore it from a backup; without it sealed data cannot be read (to start anew, move the whole data folder away)";
    let text = std::fs::read_to_string(file).map_err(|error| broken(format!("{error}; {advice}")))?;
    let secret = text.trim();
    if BASE64URL_NOPAD.decode(secret.as_bytes()).map_or(0, |bytes| bytes.len()) != 32 {
        return Err(broken(format!("the key file is broken; {advice}")));
    }
    let mode = std::fs::metadata(file).map_or(0, |data| data.permissions().mode());
    if mode & 0o077 != 0 {
        return Err(broken("others can read the key file; run chmod 600 on it".into()));
    }
    Ok(Secret::new(secret))
}

fn create(file: &Path, random: &dyn Random) -> Result<Secret, ConfigError> {
    let secret = BASE64URL_NOPAD.encode(&bytes::<32>(random));
    let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).and_then(
        |mut handle| {
            handle.write_all(secret.as_bytes())?;
            handle.write_all(b"\n")?;
            handle.sync_all()
        },
    );
    match written {
        Ok(()) => Ok(Secret::new(secret)),
        Err(error) => {
            // Half a key file (disk full) would stop the next start.
            let _ = std::fs::remove_file(file);
            let text = format!("cannot write the key file {}: {error}", file.display());
            Err(ConfigError::new("keys.secret_key", text))
        }
    }
}
