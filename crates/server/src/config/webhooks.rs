//! The sections `[webhooks]` and `[hooks]`, and what has to hold for them.
use super::values::{Secret, duration, parse_network};
use super::{Config, ConfigError};
use hallpass_crypto::webhook::WebhookSecret;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use utoipa::ToSchema;

/// Other systems that are told what happens.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// How long an endpoint may take to answer.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub timeout: Duration,
    /// Private networks that may be called all the same, such as `10.0.0.0/8` or `127.0.0.1`, also without TLS; hooks as well. In development loopback addresses may be called without this.
    pub allow_private: Vec<String>,
    /// File with certificates (PEM) to trust beside those of the web; hooks as well.
    #[schema(value_type = Option<String>)]
    pub ca_file: Option<PathBuf>,
    /// How long deliveries are kept that were taken.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub keep_delivered: Duration,
    /// How long deliveries are kept that were given up, and those that wait for an endpoint that is disabled.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub keep_dead: Duration,
    /// After how long without a single success an endpoint is disabled.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub disable_after: Duration,
    /// Events that may wait for one endpoint; further ones are left out until some are taken.
    pub max_waiting: u32,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            allow_private: Vec::new(),
            ca_file: None,
            keep_delivered: Duration::from_secs(86_400),
            keep_dead: Duration::from_secs(14 * 86_400),
            disable_after: Duration::from_secs(5 * 86_400),
            max_waiting: 10_000,
        }
    }
}

/// What is done when a hook cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Go on as if it had allowed.
    Allow,
    /// Answer 503 `hook_failed`.
    Refuse,
}

/// Other systems that are asked before somebody registers or signs in, and may refuse.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hooks {
    /// Asked before a registration, for known and unknown addresses alike, and before an invitation becomes an account. An https address.
    pub before_register: Option<String>,
    /// Asked before a session begins, once everything is proven. An https address.
    pub before_login: Option<String>,
    /// Signs the calls: `whsec_` and base64 of 24 to 64 bytes, for example from `echo whsec_$(openssl rand -base64 32)`.
    #[schema(value_type = Option<String>)]
    pub secret: Option<Secret>,
    /// How long a hook may take to answer; people wait for it.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub timeout: Duration,
    /// What is done when `before_register` cannot be asked. Production needs it beside the address; in development `refuse` without it.
    pub before_register_on_failure: Option<OnFailure>,
    /// The same for `before_login`.
    pub before_login_on_failure: Option<OnFailure>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            before_register: None,
            before_login: None,
            secret: None,
            timeout: Duration::from_secs(2),
            before_register_on_failure: None,
            before_login_on_failure: None,
        }
    }
}

/// Mistakes in the sections.
pub(super) fn check(config: &Config, problems: &mut Vec<ConfigError>) {
    let (webhooks, hooks) = (&config.webhooks, &config.hooks);
    let mut wrong = |path: &str, text: &str| problems.push(ConfigError::new(path, text));
    let day = Duration::from_secs(86_400);
    let bounds = [
        ("webhooks.timeout", webhooks.timeout, Duration::from_millis(100), Duration::from_secs(30)),
        ("webhooks.keep_delivered", webhooks.keep_delivered, Duration::from_secs(60), day * 90),
        ("webhooks.keep_dead", webhooks.keep_dead, day, day * 90),
        ("webhooks.disable_after", webhooks.disable_after, Duration::from_secs(3600), day * 30),
        ("hooks.timeout", hooks.timeout, Duration::from_millis(50), Duration::from_secs(5)),
    ];
    for (path, value, least, most) in bounds {
        if value < least || value > most {
            let shown = |duration| humantime::format_duration(duration).to_string();
            wrong(path, &format!("must be between {} and {}", shown(least), shown(most)));
        }
    }
    if !(1..=1_000_000).contains(&webhooks.max_waiting) {
        wrong("webhooks.max_waiting", "must be between 1 and 1000000");
    }
    for text in webhooks.allow_private.iter().filter(|text| parse_network(text).is_none()) {
        wrong("webhooks.allow_private", &format!("\"{text}\" is not a network such as 10.0.0.0/8"));
    }
    if let Some(file) = webhooks.ca_file.as_ref().filter(|file| !file.exists()) {
        wrong("webhooks.ca_file", &format!("{} does not exist", file.display()));
    }
    let asked =
        [("hooks.before_register", &hooks.before_register), ("hooks.before_login", &hooks.before_login)];
    for (path, url) in asked {
        if let Some(Err(text)) = url.as_ref().map(|url| check_url(url)) {
            wrong(path, &text);
        }
    }
    match &hooks.secret {
        None if hooks.before_register.is_some() || hooks.before_login.is_some() => {
            wrong("hooks.secret", "is needed: a hook has to know who asks");
        }
        Some(secret) if WebhookSecret::parse(secret.expose()).is_none() => {
            wrong("hooks.secret", "must be whsec_ and base64 of 24 to 64 bytes");
        }
        _ => {}
    }
}

/// Whether the address of a receiver has the right form; what it leads to is looked at when it is called.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn check_url(text: &str) -> Result<url::Url, String> {
    let url = url::Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "https" | "http") && url.host().is_some());
    let url =
        url.ok_or_else(|| format!("\"{text}\" is not an address such as https://app.example.com/hooks"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no user and no password in it: the signature tells who calls".into());
    }
    if url.fragment().is_some() || text.len() > 1000 {
        return Err("must have no fragment and at most 1000 characters".into());
    }
    Ok(url)
}

/// A hook is a gate: whether it stands open or shut when nobody answers is for the operator to say.
pub(super) fn check_production(config: &Config, problems: &mut Vec<ConfigError>) {
    let hooks = &config.hooks;
    let rules = [
        ("hooks.before_register_on_failure", &hooks.before_register, hooks.before_register_on_failure),
        ("hooks.before_login_on_failure", &hooks.before_login, hooks.before_login_on_failure),
    ];
    for (path, url, rule) in rules {
        if url.is_some() && rule.is_none() {
            let text =
                "choose: \"refuse\" lets nobody in while the hook cannot be asked, \"allow\" everybody";
            problems.push(ConfigError::new(path, text));
        }
    }
}
