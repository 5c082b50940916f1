//! What types cannot say: bounds, shapes, and what production refuses.
use super::forward_auth;
use super::{
    Config, ConfigError, EmailOtp, FactorPolicy, HashCost, Profile, SigningAlgorithm, compat, parse_network,
    passkeys, registration, retention, webhooks,
};
use crate::db;
use std::net::SocketAddr;
use std::time::Duration;

/// Secrets that appear in tutorials and examples.
const SAMPLES: [&str; 8] =
    ["your_secret", "your_jwt", "secret_key", "changeme", "change_me", "supersecret", "example", "password"];

/// Mistakes that stop every start.
pub(super) fn check(config: &Config) -> Vec<ConfigError> {
    let mut problems = Vec::new();
    server(config, &mut problems);
    database(config, &mut problems);
    keys(config, &mut problems);
    sessions(config, &mut problems);
    passwords(config, &mut problems);
    passkeys::check(config, &mut problems);
    registration::check(config, &mut problems);
    retention::check(config, &mut problems);
    mail(config, &mut problems);
    limits(config, &mut problems);
    login(config, &mut problems);
    compat::check(config, &mut problems);
    webhooks::check(config, &mut problems);
    forward_auth::check(&config.forward_auth, &mut problems);
    problems
}

fn login(config: &Config, problems: &mut Vec<ConfigError>) {
    let (login, factors) = (&config.login, &config.factors);
    if login.link_ttl < Duration::from_secs(60) || login.link_ttl > Duration::from_secs(3600) {
        problems.push(ConfigError::new("login.link_ttl", "must be between 1m and 1h"));
    }
    if let Some(url) = &login.after_link_url
        && !url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
    {
        let text = format!("\"{url}\" is not an address such as https://app.example.com/home");
        problems.push(ConfigError::new("login.after_link_url", text));
    }
    if !factors.required_roles.is_empty() && factors.policy != FactorPolicy::Optional {
        let text = "has a meaning with factors.policy = \"optional\" only; remove it";
        problems.push(ConfigError::new("factors.required_roles", text));
    }
    if config.profile == Profile::Strict && login.passwordless {
        let text = "must be off in the strict profile: a mailbox is no proof of identity there";
        problems.push(ConfigError::new("login.passwordless", text));
    }
    if config.profile == Profile::Strict
        && login.email_otp != EmailOtp::Off
        && factors.policy != FactorPolicy::Required
    {
        let text =
            "is no second factor in the strict profile; set factors.policy = \"required\" or turn it off";
        problems.push(ConfigError::new("login.email_otp", text));
    }
}

fn database(config: &Config, problems: &mut Vec<ConfigError>) {
    let database = &config.database;
    if !(1..=1000).contains(&database.pool_size) {
        problems.push(ConfigError::new("database.pool_size", "must be between 1 and 1000"));
    }
    if database.timeout < Duration::from_millis(100) || database.timeout > Duration::from_secs(60) {
        problems.push(ConfigError::new("database.timeout", "must be between 100ms and 1m"));
    }
    if let Some(url) = &database.move_to {
        let checked =
            db::check_url(url.expose()).map_err(|error| error.message.replace("database.url: ", ""));
        let problem = if db::is_embedded(url.expose()) {
            Some("must be postgres://<user>:<password>@<host>/<database>".to_owned())
        } else {
            checked.err()
        };
        problems.extend(problem.map(|problem| ConfigError::new("database.move_to", problem)));
    }
    if let Some(url) = &config.redis.url
        && !["redis://", "rediss://"].iter().any(|scheme| url.expose().starts_with(scheme))
    {
        problems.push(ConfigError::new("redis.url", "must begin with redis:// or rediss://"));
    }
    if config.redis.timeout < Duration::from_millis(10) || config.redis.timeout > Duration::from_secs(5) {
        problems.push(ConfigError::new("redis.timeout", "must be between 10ms and 5s"));
    }
    if !config.embedded() && config.keys.secret_key.is_none() {
        let text = "must be set when the database is a server, the same on every node; make one with `openssl rand \
                    -base64 32` and set HALLPASS_SECRET_KEY";
        problems.push(ConfigError::new("keys.secret_key", text));
    }
}

fn limits(config: &Config, problems: &mut Vec<ConfigError>) {
    let limits = &config.limits;
    if !limits.enabled && !config.development() {
        problems.push(ConfigError::new("limits.enabled", "limits may be off in development only"));
    }
    let counts = [
        ("limits.account_failures", limits.account_failures, 1, 10),
        ("limits.account_failures_anywhere", limits.account_failures_anywhere, 5, 100),
        ("limits.network_failures", limits.network_failures, 1, 100_000),
        ("limits.registrations_per_network", limits.registrations_per_network, 1, 1_000_000),
        ("limits.mails_per_network", limits.mails_per_network, 1, 1_000_000),
        ("limits.refreshes_per_session", limits.refreshes_per_session, 10, 1_000_000),
    ];
    for (path, value, least, most) in counts {
        if !(least..=most).contains(&value) {
            problems.push(ConfigError::new(path, format!("must be between {least} and {most}")));
        }
    }
    for (path, value) in
        [("limits.longest_wait", limits.longest_wait), ("limits.network_window", limits.network_window)]
    {
        if value < Duration::from_secs(1) || value > Duration::from_secs(86_400) {
            problems.push(ConfigError::new(path, "must be between 1s and 24h"));
        }
    }
}

fn server(config: &Config, problems: &mut Vec<ConfigError>) {
    let server = &config.server;
    if server.listen.parse::<SocketAddr>().is_err() {
        let text = format!("\"{}\" is not an address and port such as 127.0.0.1:3000", server.listen);
        problems.push(ConfigError::new("server.listen", text));
    }
    if let Some(url) = &server.public_url
        && !is_origin(url.trim_end_matches('/'))
    {
        let text = format!("\"{url}\" is not an address such as https://auth.example.com, without a path");
        problems.push(ConfigError::new("server.public_url", text));
    }
    for origin in &server.allowed_origins {
        if !is_origin(origin) {
            let text = format!("\"{origin}\" is not an origin such as https://app.example.com");
            problems.push(ConfigError::new("server.allowed_origins", text));
        }
    }
    for network in &server.trusted_proxies {
        match parse_network(network) {
            None => {
                let text =
                    format!("\"{network}\" is not an address or network such as 10.0.0.5 or 10.0.0.0/8");
                problems.push(ConfigError::new("server.trusted_proxies", text));
            }
            Some(network) if network.prefix_len() == 0 => {
                let text = "must not name every address: then anybody could claim any address";
                problems.push(ConfigError::new("server.trusted_proxies", text));
            }
            Some(_) => {}
        }
    }
    if server.proxy_protocol && server.trusted_proxies.is_empty() {
        let text = "needs server.trusted_proxies: only those may say for whom they speak";
        problems.push(ConfigError::new("server.proxy_protocol", text));
    }
    if !(1024..=16 * 1024 * 1024).contains(&server.body_limit) {
        problems.push(ConfigError::new("server.body_limit", "must be between 1024 and 16777216 bytes"));
    }
    if server.request_timeout < Duration::from_secs(1) {
        problems.push(ConfigError::new("server.request_timeout", "must be at least 1s"));
    }
}

/// `scheme://host[:port]` and nothing else.
pub(super) fn is_origin(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
    })
}

fn keys(config: &Config, problems: &mut Vec<ConfigError>) {
    let secrets = config.keys.secret_key.iter().map(|secret| ("keys.secret_key", secret));
    let previous =
        config.keys.previous_secret_keys.iter().map(|secret| ("keys.previous_secret_keys", secret));
    let pepper = config.keys.pepper.iter().map(|secret| ("keys.pepper", secret));
    for (path, secret) in secrets.chain(previous).chain(pepper) {
        let value = secret.expose();
        let lower = value.to_lowercase();
        if value.len() < 32 {
            problems.push(ConfigError::new(
                path,
                "needs at least 32 random characters; `openssl rand -base64 32` makes some",
            ));
        } else if SAMPLES.iter().any(|sample| lower.contains(sample)) || few_different(value) {
            problems.push(ConfigError::new(
                path,
                "is a sample value; `openssl rand -base64 32` makes a real one",
            ));
        }
    }
    if config.profile == Profile::Strict {
        if matches!(config.keys.algorithm, SigningAlgorithm::RS256 | SigningAlgorithm::HS256) {
            problems.push(ConfigError::new("keys.algorithm", "the strict profile takes EdDSA or ES256"));
        }
        if config.keys.pepper.is_none() {
            problems.push(ConfigError::new("keys.pepper", "the strict profile requires a pepper"));
        }
    }
}

fn few_different(value: &str) -> bool {
    let mut seen: Vec<char> = value.chars().collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len() < 8
}

fn sessions(config: &Config, problems: &mut Vec<ConfigError>) {
    let sessions = &config.sessions;
    let mut between = |path: &str, value: Duration, least: u64, most: u64, text: &str| {
        if value < Duration::from_secs(least) || value > Duration::from_secs(most) {
            problems.push(ConfigError::new(path, format!("must be between {text}")));
        }
    };
    between("sessions.access_ttl", sessions.access_ttl, 1, 3600, "1s and 1h");
    between("sessions.refresh_ttl", sessions.refresh_ttl, 1, 400 * 86_400, "1s and 400d");
    between("sessions.impersonation_ttl", sessions.impersonation_ttl, 0, 3600, "0 and 1h");
    between("sessions.absolute_ttl", sessions.absolute_ttl, 1, 400 * 86_400, "1s and 400d");
    between("sessions.handover_window", sessions.handover_window, 0, 60, "0 and 60s");
    between("sessions.leeway", sessions.leeway, 0, 120, "0 and 120s");
    between("sessions.reauthentication_window", sessions.reauthentication_window, 1, 86_400, "1s and 24h");
    let remember = config.factors.remember_device;
    between("factors.remember_device", remember, 0, 400 * 86_400, "0 and 400d");
    let codes = &config.codes;
    between("codes.verify_link_ttl", codes.verify_link_ttl, 1, 86_400, "1s and 24h");
    between("codes.verify_code_ttl", codes.verify_code_ttl, 1, 86_400, "1s and 24h");
    between("codes.sign_in_code_ttl", codes.sign_in_code_ttl, 1, 600, "1s and 10m");
    between("codes.reset_ttl", codes.reset_ttl, 1, 86_400, "1s and 24h");
    between("codes.email_undo_ttl", codes.email_undo_ttl, 1, 30 * 86_400, "1s and 30d");
    if let Some(ttl) = codes.otp_ttl {
        between("codes.otp_ttl", ttl, 1, 600, "1s and 10m");
    }
    if !(1..=10).contains(&config.codes.max_tries) {
        problems.push(ConfigError::new("codes.max_tries", "must be between 1 and 10"));
    }
}

fn passwords(config: &Config, problems: &mut Vec<ConfigError>) {
    let passwords = &config.passwords;
    if passwords.min_length < 8 {
        problems.push(ConfigError::new("passwords.min_length", "must be at least 8"));
    }
    if !(64..=256).contains(&passwords.max_length) || passwords.max_length < passwords.min_length {
        problems.push(ConfigError::new("passwords.max_length", "must be between 64 and 256"));
    }
    if passwords.min_score > 4 {
        problems.push(ConfigError::new("passwords.min_score", "must be between 0 and 4"));
    }
    if passwords.hash_threads > 256 {
        problems.push(ConfigError::new("passwords.hash_threads", "must be at most 256"));
    }
    if !(1..=100_000).contains(&passwords.queue) {
        problems.push(ConfigError::new("passwords.queue", "must be between 1 and 100000"));
    }
    if config.profile == Profile::Strict && passwords.hash != HashCost::Strong {
        problems.push(ConfigError::new("passwords.hash", "the strict profile requires strong"));
    }
}

fn mail(config: &Config, problems: &mut Vec<ConfigError>) {
    let mail = &config.mail;
    if let Some(secret) = &mail.smtp_url {
        let url = url::Url::parse(secret.expose()).ok();
        let url = url.filter(|url| matches!(url.scheme(), "smtp" | "smtps") && url.host().is_some());
        match url {
            None => problems.push(ConfigError::new(
                "mail.smtp_url",
                "must look like smtps://user:password@host:465 or smtp://user:password@host:587",
            )),
            Some(url) if mail.plain_loopback && !is_loopback(&url) => problems.push(ConfigError::new(
                "mail.plain_loopback",
                "mail without TLS goes to a loopback server only",
            )),
            Some(_) => {}
        }
    }
    if mail.from.parse::<lettre::message::Mailbox>().is_err() {
        let text = format!("\"{}\" is not a sender such as Example <no-reply@example.com>", mail.from);
        problems.push(ConfigError::new("mail.from", text));
    }
    let files = [
        ("mail.templates_dir", &mail.templates_dir),
        ("mail.ca_file", &mail.ca_file),
        ("geoip.database", &config.geoip.database),
    ];
    for (path, file) in files {
        if let Some(file) = file
            && !file.exists()
        {
            problems.push(ConfigError::new(path, format!("{} does not exist", file.display())));
        }
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        None => false,
    }
}

/// What production mode refuses beyond [`check`]; `doctor` prints the whole list.
pub fn check_production(config: &Config) -> Vec<ConfigError> {
    let mut problems = Vec::new();
    if config.development() {
        return problems;
    }
    match &config.server.public_url {
        None => problems.push(ConfigError::new(
            "server.public_url",
            "is needed in production, for example https://auth.example.com (HALLPASS_PUBLIC_URL)",
        )),
        Some(url) if !url.starts_with("https://") => {
            problems.push(ConfigError::new(
                "server.public_url",
                "must be https in production; put a TLS proxy in front",
            ));
        }
        Some(_) => {}
    }
    if config.mail.smtp_url.is_none() {
        problems.push(ConfigError::new(
            "mail.smtp_url",
            "is needed in production, for example smtps://user:password@host:465 (HALLPASS_SMTP_URL)",
        ));
    }
    webhooks::check_production(config, &mut problems);
    problems
}
