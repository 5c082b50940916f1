//! Settings: where they come from, what stops a start and what is said.
use hallpass::config::{Config, ConfigError, Mode, Profile, Sources, check_production, load};
use std::io::Write;
use std::time::Duration;

const SECRET: &str = "kJ7x-fresh-bytes-of-32-characters-1";

fn sources(environment: &[(&str, &str)]) -> Sources {
    let environment =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { environment, ..Sources::default() }
}

fn loaded(environment: &[(&str, &str)]) -> (Config, Vec<String>) {
    load(&sources(environment)).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn mistakes(environment: &[(&str, &str)]) -> Vec<ConfigError> {
    load(&sources(environment)).expect_err("it is a mistake")
}

#[test]
fn nothing_has_to_be_set() {
    let (config, said) = loaded(&[]);
    assert!(config.development() && config.dev_mailbox() && said.is_empty());
    assert_eq!(config.public_url(), "http://localhost:3000");
    assert_eq!(config.sessions.access_ttl, Duration::from_secs(900));
    assert_eq!(config.sessions.refresh_ttl, Duration::from_secs(7 * 86_400));
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    write!(file, "[sessions]\naccess_ttl = \"5m\"\nmax_per_user = 3\n[passwords]\nmin_length = 10\n")
        .unwrap();
    let mut sources =
        sources(&[("HALLPASS_SESSIONS__ACCESS_TTL", "6m"), ("HALLPASS_SESSIONS__MAX_PER_USER", "4")]);
    sources.file = Some(file.path().to_owned());
    sources.flags = vec![("sessions.max_per_user".into(), "5".into())];
    let (config, _) = load(&sources).unwrap();
    assert_eq!(config.passwords.min_length, 10);
    assert_eq!(config.sessions.access_ttl, Duration::from_secs(360));
    assert_eq!(config.sessions.max_per_user, 5);
}

#[test]
fn short_names_and_lists_are_read_from_the_environment() {
    let (config, _) = loaded(&[
        ("HALLPASS_LISTEN", "127.0.0.1:4000"),
        ("HALLPASS_DATA_DIR", "elsewhere"),
        ("HALLPASS_SERVER__ALLOWED_ORIGINS", "https://a.example, https://b.example"),
        ("HALLPASS_LIMITS__ENABLED", "false"),
        ("HALLPASS_SESSIONS__HANDOVER_WINDOW", "0"),
    ]);
    assert_eq!(config.public_url(), "http://localhost:4000");
    assert_eq!(config.database_url(), "sqlite:elsewhere/hallpass.db");
    assert_eq!(config.server.allowed_origins, ["https://a.example", "https://b.example"]);
    assert!(!config.limits.enabled && config.sessions.handover_window.is_zero());
}

#[test]
fn the_port_of_the_environment_is_honoured() {
    assert_eq!(loaded(&[("PORT", "5000")]).0.server.listen, "127.0.0.1:5000");
    assert_eq!(loaded(&[("PORT", "5000"), ("HALLPASS_LISTEN", "[::1]:1")]).0.server.listen, "[::1]:1");
}

#[test]
fn names_of_the_replaced_systems_go_on_working_and_are_said() {
    let (config, said) = loaded(&[
        ("JWT_SECRET", SECRET),
        ("REFRESH_SECRET", "x"),
        ("OTP_SECRET", "x"),
        ("SMTP_USER", "me@gmail.com"),
        ("SMTP_PASSWORD", "p@ss word"),
        ("FRONTEND_URL", "https://app.example.com"),
        ("MONGO_URI", "mongodb://x"),
        ("REDIS_URL", "redis://x"),
    ]);
    assert_eq!(config.keys.secret_key.unwrap().expose(), SECRET);
    assert_eq!(
        config.mail.smtp_url.unwrap().expose(),
        "smtps://me%40gmail.com:p%40ss%20word@smtp.gmail.com:465"
    );
    assert_eq!(config.server.allowed_origins, ["https://app.example.com"]);
    for name in
        ["JWT_SECRET", "REFRESH_SECRET", "OTP_SECRET", "SMTP_USER", "FRONTEND_URL", "MONGO_URI", "REDIS_URL"]
    {
        assert!(said.iter().any(|sentence| sentence.contains(name)), "{name}: {said:?}");
    }
    assert!(!said.iter().any(|sentence| sentence.contains(SECRET) || sentence.contains("p@ss")));
}

#[test]
fn every_mistake_stops_the_start_with_its_path() {
    let cases = [
        (("HALLPASS_SESSIONS__REFRESH_TTL", "soon"), "sessions.refresh_ttl"),
        (("HALLPASS_SESSIONS__MAX_PER_USER", "-1"), "sessions.max_per_user"),
        (("HALLPASS_SESSIONS__ON_LIMIT", "explode"), "sessions.on_limit"),
        (("HALLPASS_SERVER__LISTEN", "here"), "server.listen"),
        (("HALLPASS_PUBLIC_URL", "https://a.example/path"), "server.public_url"),
        (("HALLPASS_SERVER__ALLOWED_ORIGINS", "*"), "server.allowed_origins"),
        (("HALLPASS_PASSWORDS__MIN_LENGTH", "4"), "passwords.min_length"),
        (("HALLPASS_SECRET_KEY", "short"), "keys.secret_key"),
        (("HALLPASS_SECRET_KEY", "your_jwt_secret_key_your_jwt_secret_key"), "keys.secret_key"),
        (("HALLPASS_SECRET_KEY", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), "keys.secret_key"),
        (("HALLPASS_SMTP_URL", "http://mail"), "mail.smtp_url"),
        (("HALLPASS_MAIL__FROM", "nobody"), "mail.from"),
        (("HALLPASS_DATABASE_URL", "mysql://x"), "database.url"),
        (("HALLPASS_KEYS__ALGORITHM", "none"), "keys.algorithm"),
        (("HALLPASS_FACTORS__REMEMBER_DEVICE", "2y"), "factors.remember_device"),
        (("HALLPASS_GEOIP__DATABASE", "nowhere.mmdb"), "geoip.database"),
    ];
    for (setting, path) in cases {
        let found = mistakes(&[setting]);
        let text: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(text.iter().any(|line| line.contains(path)), "{setting:?}: {text:?}");
    }
    for unknown in ["HALLPASS_NONSENSE", "HALLPASS_SESSIONS__NONSENSE", "HALLPASS_NONSENSE__KEY"] {
        let text =
            mistakes(&[(unknown, "1")]).iter().map(ToString::to_string).collect::<String>().to_lowercase();
        assert!(text.contains("nonsense"), "{unknown}: {text}");
    }
}

#[test]
fn several_mistakes_are_said_at_once() {
    let found = mistakes(&[("HALLPASS_PASSWORDS__MIN_LENGTH", "4"), ("HALLPASS_SERVER__BODY_LIMIT", "1")]);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn production_refuses_what_is_insecure() {
    let (mut config, _) = loaded(&[("HALLPASS_LISTEN", "0.0.0.0:3000")]);
    let paths: Vec<String> = check_production(&config).into_iter().map(|problem| problem.path).collect();
    assert_eq!(paths, ["server.public_url", "mail.smtp_url"]);
    config.server.public_url = Some("http://auth.example.com".into());
    config.mail.smtp_url = Some(hallpass::config::Secret::new("smtps://u:p@mail.example.com:465"));
    let paths: Vec<String> = check_production(&config).into_iter().map(|problem| problem.path).collect();
    assert_eq!(paths, ["server.public_url"], "plain http");
    config.server.public_url = Some("https://auth.example.com".into());
    assert!(check_production(&config).is_empty() && !config.dev_mailbox());
    config.server.mode = Mode::Development;
    assert!(config.development());
}

#[test]
fn the_strict_profile_tightens_what_is_not_set_and_refuses_what_is_too_weak() {
    let strict = [("HALLPASS_PROFILE", "strict"), ("HALLPASS_KEYS__PEPPER", SECRET)];
    let (config, _) = loaded(&strict);
    assert_eq!(config.profile, Profile::Strict);
    assert_eq!((config.passwords.min_length, config.sessions.late_retry), (15, false));
    assert_eq!(config.sessions.access_ttl, Duration::from_secs(600));
    assert_eq!(config.factors.remember_device, Duration::ZERO);
    let mut own = strict.to_vec();
    own.push(("HALLPASS_SESSIONS__ACCESS_TTL", "3m"));
    assert_eq!(loaded(&own).0.sessions.access_ttl, Duration::from_secs(180));
    let mut weak = strict.to_vec();
    weak.push(("HALLPASS_KEYS__ALGORITHM", "RS256"));
    assert!(mistakes(&weak).iter().any(|problem| problem.path == "keys.algorithm"));
    assert!(mistakes(&[("HALLPASS_PROFILE", "strict")]).iter().any(|problem| problem.path == "keys.pepper"));
    for (name, value, path) in [
        ("HALLPASS_LOGIN__PASSWORDLESS", "true", "login.passwordless"),
        ("HALLPASS_LOGIN__EMAIL_OTP", "always", "login.email_otp"),
    ] {
        let mut by_mail = strict.to_vec();
        by_mail.push((name, value));
        assert!(mistakes(&by_mail).iter().any(|problem| problem.path == path), "mail is no proof: {path}");
    }
}

#[test]
fn codes_that_sign_in_live_ten_minutes_at_most_whatever_sets_them() {
    for (name, path) in [
        ("HALLPASS_CODES__SIGN_IN_CODE_TTL", "codes.sign_in_code_ttl"),
        ("HALLPASS_CODES__OTP_TTL", "codes.otp_ttl"),
    ] {
        loaded(&[(name, "10m")]);
        let problems = mistakes(&[(name, "601s")]);
        assert!(problems.iter().any(|problem| problem.path == path), "{problems:?}");
    }
    assert_eq!(Config::default().login.link_ttl, Duration::from_secs(600));
}
