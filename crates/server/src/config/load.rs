//! Reading: file, then `.env`, then environment, then flags.
use super::{Config, ConfigError, Profile, aliases};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where settings come from. Tests fill it by hand; the CLI from the process.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`, else `hallpass.toml` if there is one.
    pub file: Option<PathBuf>,
    /// Names and values of the environment.
    pub environment: BTreeMap<String, String>,
    /// `section.key` and value, from flags.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The process's file, `.env` and environment.
    ///
    /// # Errors
    /// A broken `.env`.
    pub fn from_process(file: Option<PathBuf>) -> Result<Self, ConfigError> {
        let mut environment = BTreeMap::new();
        if Path::new(".env").exists() {
            let lines = dotenvy::from_path_iter(".env");
            let lines = lines.map_err(|error| ConfigError::new(".env", error.to_string()))?;
            for line in lines {
                let (name, value) = line.map_err(|error| ConfigError::new(".env", error.to_string()))?;
                environment.insert(name, value);
            }
        }
        environment.extend(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        let default_file = PathBuf::from("hallpass.toml");
        let file = file.or_else(|| default_file.exists().then_some(default_file));
        Ok(Self { file, environment, flags: Vec::new() })
    }
}

/// Short names that have no section.
const SHORT: [(&str, &str); 8] = [
    ("HALLPASS_LISTEN", "server.listen"),
    ("HALLPASS_DATA_DIR", "server.data_dir"),
    ("HALLPASS_DATABASE_URL", "database.url"),
    ("HALLPASS_MOVE_TO", "database.move_to"),
    ("HALLPASS_REDIS_URL", "redis.url"),
    ("HALLPASS_PUBLIC_URL", "server.public_url"),
    ("HALLPASS_SECRET_KEY", "keys.secret_key"),
    ("HALLPASS_SMTP_URL", "mail.smtp_url"),
];

/// Settings whose environment value is a comma-separated list.
const LISTS: [&str; 8] = [
    "server.allowed_origins",
    "server.trusted_proxies",
    "keys.previous_secret_keys",
    "passwords.context_words",
    "passkeys.origins",
    "factors.required_roles",
    "webhooks.allow_private",
    "registration.domains",
];

/// Reads and validates. Returns the settings and sentences to say at start.
///
/// # Errors
/// Every mistake, each with the path of the setting.
pub fn load(sources: &Sources) -> Result<(Config, Vec<String>), Vec<ConfigError>> {
    let mut said = Vec::new();
    let mut builder = config::Config::builder();
    if let Some(file) = &sources.file {
        let format = config::File::from(file.as_path()).format(config::FileFormat::Toml);
        builder = builder.add_source(format);
    }
    let mut overrides = aliases::from_environment(&sources.environment, &mut said);
    overrides.extend(from_environment(&sources.environment)?);
    overrides.extend(sources.flags.clone());
    for (path, value) in overrides {
        let value: config::Value = if LISTS.contains(&path.as_str()) {
            let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
            items.map(str::to_owned).collect::<Vec<_>>().into()
        } else {
            value.into()
        };
        builder = builder.set_override(&path, value).map_err(|error| vec![mistake(&error)])?;
    }
    let raw = builder.build().map_err(|error| vec![mistake(&error)])?;
    let mut config: Config = raw.clone().try_deserialize().map_err(|error| vec![mistake(&error)])?;
    if config.profile == Profile::Strict {
        strict_defaults(&mut config, &raw);
    }
    config.compat_defaults(|path| raw.get::<config::Value>(path).is_ok());
    config.validate()?;
    Ok((config, said))
}

/// `HALLPASS_<SECTION>__<KEY>` and the short names.
fn from_environment(
    environment: &BTreeMap<String, String>,
) -> Result<Vec<(String, String)>, Vec<ConfigError>> {
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    if let Some(port) = environment.get("PORT").filter(|_| !environment.contains_key("HALLPASS_LISTEN")) {
        found.push(("server.listen".to_owned(), format!("127.0.0.1:{port}")));
    }
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix("HALLPASS_") else {
            continue;
        };
        if let Some((_, path)) = SHORT.iter().find(|(short, _)| short == name) {
            found.push(((*path).to_owned(), value.clone()));
        } else if name == "HALLPASS_PROFILE" {
            found.push(("profile".to_owned(), value.clone()));
        } else if let Some((section, key)) = rest.split_once("__") {
            found.push((format!("{}.{}", section.to_lowercase(), key.to_lowercase()), value.clone()));
        } else {
            let advice = "is not a setting; write HALLPASS_<SECTION>__<KEY>, see docs/configuration.md";
            unknown.push(ConfigError::new(name, advice));
        }
    }
    if unknown.is_empty() { Ok(found) } else { Err(unknown) }
}

/// The `strict` profile sets what nobody set.
fn strict_defaults(config: &mut Config, raw: &config::Config) {
    use std::time::Duration;
    let unset = |path: &str| raw.get::<config::Value>(path).is_err();
    if unset("sessions.access_ttl") {
        config.sessions.access_ttl = Duration::from_secs(10 * 60);
    }
    if unset("sessions.refresh_ttl") {
        config.sessions.refresh_ttl = Duration::from_secs(86_400);
    }
    if unset("sessions.absolute_ttl") {
        config.sessions.absolute_ttl = Duration::from_secs(7 * 86_400);
    }
    if unset("sessions.late_retry") {
        config.sessions.late_retry = false;
    }
    if unset("factors.remember_device") {
        config.factors.remember_device = Duration::ZERO;
    }
    if unset("passwords.min_length") {
        config.passwords.min_length = 15;
    }
    if unset("passwords.hash") {
        config.passwords.hash = super::HashCost::Strong;
    }
}

/// A message without the lines of the file that it quotes (`3 | secret_key = ...`): one of them may hold a secret.
fn without_source(text: &str) -> String {
    let quotes = |line: &&str| {
        line.split_once('|').is_some_and(|(margin, _)| margin.trim().chars().all(|c| c.is_ascii_digit()))
    };
    let kept: Vec<&str> = text.lines().filter(|line| !quotes(line)).collect();
    kept.join("; ")
}

/// The reader's error with the path in front, if it knows one.
fn mistake(error: &config::ConfigError) -> ConfigError {
    let text = without_source(&error.to_string());
    let path = text.split_once("for key `").and_then(|(_, rest)| rest.split_once('`')).map(|(key, _)| key);
    let path = path.map_or_else(|| "configuration".to_owned(), str::to_owned);
    ConfigError { path, problem: text }
}
