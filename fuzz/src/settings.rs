//! Settings: `hallpass.toml` and the environment.
use crate::text;
use hallpass::config::{Config, Sources, check_production, load};
use hallpass::cookies::CookieNames;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

/// One file for the whole run. scripts/fuzz says which folder, and removes it.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("hallpass-fuzz-{}.toml", std::process::id())));

/// Settings that load hold to their own rules, mean the same when they are written down and read again, and show no secret;
/// those that do not load say where the mistake is.
pub fn config(data: &[u8]) {
    let text = text(data);
    std::fs::write(&*FILE, text).expect("a temporary file");
    let file = Some(FILE.clone());
    check(text, &Sources { file, ..Sources::default() });
    let environment: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        .collect();
    check(text, &Sources { environment, ..Sources::default() });
}

fn check(text: &str, sources: &Sources) {
    let (config, _) = match load(sources) {
        Ok(loaded) => loaded,
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            assert!(problems.iter().all(|problem| !problem.path.is_empty() && !problem.problem.is_empty()));
            return;
        }
    };
    assert!(config.validate().is_ok());
    let (_, _, _) = (check_production(&config), config.audience(), config.database_url());
    assert!(!config.public_url().ends_with('/'));
    let _ = CookieNames::new(config.https());

    let shown = format!("{config:?}{}", serde_json::to_string(&config).unwrap_or_default());
    for secret in
        config.keys.secret_key.iter().chain(&config.keys.previous_secret_keys).chain(&config.keys.pepper)
    {
        assert!(!shown.contains(secret.expose()), "a secret shows in {shown}");
    }
    // What hides does not come back, so only settings without secrets are read again.
    if !shown.contains("(hidden)") {
        again(&config, text);
    }
}

fn again(config: &Config, text: &str) {
    let written = toml::to_string(config).unwrap_or_else(|error| panic!("{error} in {text}"));
    std::fs::write(&*FILE, &written).expect("a temporary file");
    let sources = Sources { file: Some(FILE.clone()), ..Sources::default() };
    let (back, _) = load(&sources).unwrap_or_else(|problems| panic!("{problems:?} in {written}"));
    assert_eq!(serde_json::to_value(&back).ok(), serde_json::to_value(config).ok(), "{written}");
}
