//! What `hallpass doctor` looks at.
use super::doctor::{Report, Verdict};
use super::{lock, machine, out};
use crate::clock::{Clock, SystemClock, micros};
use crate::config::Config;
use crate::db::{Db, sqlite_path};
use crate::geoip::Places;
use crate::hashing::Hashing;
use crate::random::{SystemRandom, bytes};
use crate::templates::Templates;
use crate::{keys, mail, secret_key, start};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};
use zeroize::Zeroizing;

/// Below this the database cannot grow for long.
const LITTLE_SPACE: u64 = 1 << 30;
/// Below this the next write may fail.
const NO_SPACE: u64 = 64 << 20;
/// 2026-01-01: no clock that is right shows less.
const YOUNGEST: i64 = 1_767_225_600;
/// How far the future of a file may be off before the clock is suspected.
const CLOCK_DRIFT: Duration = Duration::from_secs(120);

/// The data folder: there, writable, closed to others, ours.
pub(super) fn folder(config: &Config, report: &mut Report) {
    let folder = &config.server.data_dir;
    let shown = folder.display();
    let Ok(data) = std::fs::metadata(folder) else {
        return report.warn("folder", format!("{shown} does not exist yet; the first start makes it"));
    };
    if !data.is_dir() {
        return report.fail("folder", format!("{shown} is not a folder; set HALLPASS_DATA_DIR"));
    }
    // Tries a write, as the server does.
    if let Err(problem) = secret_key::make_data_dir(config) {
        return report.fail("folder", problem.to_string());
    }
    let mode = data.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        let verdict = if config.development() { Verdict::Warn } else { Verdict::Fail };
        report.add(
            verdict,
            "folder",
            format!("{shown} is open to every user of this machine (mode {mode:o}); run chmod 700 on it"),
        );
    } else {
        report.ok("folder", format!("{shown}, mode {mode:o}"));
    }
    owner(config, data.uid(), report);
}

/// Files of another user than the folder's are what a command run as root leaves behind.
fn owner(config: &Config, uid: u32, report: &mut Report) {
    let database = sqlite_path(&config.database_url()).ok();
    let files = [Some(config.secret_key_file()), database];
    for file in files.into_iter().flatten() {
        if let Ok(data) = std::fs::metadata(&file)
            && data.uid() != uid
        {
            let text = "does not belong to the owner of the data folder; run chown on it";
            report.warn("folder", format!("{} {text}", file.display()));
        }
    }
}

/// The key file: there when needed, whole, closed to others.
pub(super) fn secret_key(config: &Config, report: &mut Report) {
    let file = config.secret_key_file();
    if config.keys.secret_key.is_some() {
        return report.ok("secret key", "set among the settings");
    }
    if !file.exists() {
        return report
            .warn("secret key", format!("{} does not exist yet; the first start makes it", file.display()));
    }
    match secret_key::ring(config, &SystemRandom) {
        Ok(_) => report.ok("secret key", format!("{}; keep a copy apart from the backups", file.display())),
        Err(problem) => report.fail("secret key", problem.to_string()),
    }
}

/// Whether a server runs here now.
pub(super) fn running(config: &Config, report: &mut Report) {
    let text =
        if lock::is_held(config) { "running on this database" } else { "not running on this database" };
    report.ok("server", text);
}

/// Free space where the database is.
pub(super) fn disk(config: &Config, report: &mut Report) {
    let database = sqlite_path(&config.database_url()).unwrap_or_default();
    let folder = database.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let free = match rustix::fs::statvfs(folder) {
        Ok(facts) => facts.f_bavail.saturating_mul(facts.f_frsize),
        Err(error) => return report.warn("disk", format!("free space is unknown: {error}")),
    };
    let text = format!("{} free", out::size(free));
    match free {
        0..NO_SPACE => report.fail("disk", format!("{text}; writes will fail soon: make room")),
        NO_SPACE..LITTLE_SPACE => report.warn("disk", format!("{text}; make room before it fills up")),
        _ => report.ok("disk", text),
    }
}

/// The clock against the calendar and against what was written last.
pub(super) fn clock(config: &Config, report: &mut Report) {
    let now = SystemClock::default().now();
    if now.seconds() < YOUNGEST {
        let text = format!("it is not {}; set the clock, tokens and codes depend on it", now.rfc3339());
        return report.fail("clock", text);
    }
    let written = sqlite_path(&config.database_url()).map(|path| std::fs::metadata(path).ok());
    let written =
        written.ok().flatten().and_then(|data| data.modified().ok()?.duration_since(UNIX_EPOCH).ok());
    if written.is_some_and(|written| micros(written) > now.plus(CLOCK_DRIFT).micros()) {
        let text =
            format!("it is {}, but the database was written later than that; check the clock", now.rfc3339());
        return report.warn("clock", text);
    }
    report.ok("clock", now.rfc3339());
}

/// The database: opens, is whole, is up to date, belongs to the secret key.
pub(super) async fn database(config: &Config, report: &mut Report) {
    let url = config.database_url();
    let path = sqlite_path(&url).unwrap_or_default();
    if !path.exists() {
        return report
            .warn("database", format!("{} does not exist yet; the first start makes it", path.display()));
    }
    let shown = path.display();
    let restore = "restore a backup with `hallpass restore`";
    let db = match config.open_database(machine().0, None) {
        Ok(db) => db,
        Err(problem) => return report.fail("database", problem.to_string()),
    };
    match db.check() {
        Ok(findings) if findings.is_empty() => {}
        Ok(findings) => {
            let first = findings.first().map(|text| text.lines().last().unwrap_or_default().to_owned());
            let text = format!("{shown} is damaged ({}); {restore}", first.unwrap_or_default());
            return report.fail("database", text);
        }
        Err(problem) => return report.fail("database", format!("{shown} is damaged ({problem}); {restore}")),
    }
    match db.pending_migrations().await {
        Ok(pending) if pending.is_empty() => {}
        Ok(pending) => {
            let text =
                format!("pending: {}; `hallpass migrate` or the next start applies them", pending.join(", "));
            return report.warn("database", text);
        }
        Err(problem) => return report.fail("database", problem.to_string()),
    }
    if let Err(problem) = start::refuse_moved(&db).await {
        return report.fail("database", problem.to_string());
    }
    match key_problem(config, &db).await {
        None => report.ok("database", format!("{shown} is whole and up to date")),
        Some(problem) => report.fail("database", problem),
    }
}

/// Why the secret key does not fit the database, if it does not. Makes nothing.
pub(super) async fn key_problem(config: &Config, db: &Db) -> Option<String> {
    // A database that was never opened by the server takes any key.
    let noted = keys::noted_secret_key(db).await.ok().flatten()?;
    let file = config.secret_key_file();
    if config.keys.secret_key.is_none() && !file.exists() {
        let text = "is missing, and the database was made with it; restore it from where it is kept";
        return Some(format!("keys.secret_key: {} {text}", file.display()));
    }
    // A key that cannot be used is reported where the key is looked at.
    let ring = secret_key::ring(config, &SystemRandom).ok()?;
    if ring.fingerprint() == noted || ring.previous_fingerprints().contains(&noted) {
        return None;
    }
    let text =
        "this is not the secret key that the database was made with; restore the former key, or name it in";
    Some(format!("keys.secret_key: {text} keys.previous_secret_keys to change over"))
}

/// The file of places, if one is configured: all of it, which a start does not take the time for.
pub(super) fn places(config: &Config, report: &mut Report) {
    let Some(file) = &config.geoip.database else { return };
    let shown = file.display();
    let places = match Places::open(Some(file)) {
        Ok(places) => places,
        Err(problem) => return report.fail("places", format!("geoip.database: {problem}")),
    };
    match places.examine() {
        Ok(kind) => report.ok("places", format!("{shown} ({})", kind.unwrap_or_default())),
        Err(problem) => report.fail("places", format!("geoip.database: {problem}")),
    }
}

/// How long one password hash takes on this machine.
pub(super) async fn hashing(config: &Config, report: &mut Report) {
    let hashing = match Hashing::start(config) {
        Ok(hashing) => hashing,
        Err(problem) => {
            return report.fail("passwords", format!("the hashing threads do not start: {problem}"));
        }
    };
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let before = Instant::now();
        let password = Zeroizing::new("how long does this take".to_owned());
        if let Err(problem) = hashing.hash(password, bytes(&SystemRandom)).await {
            return report.fail("passwords", format!("hashing fails: {problem}"));
        }
        best = best.min(before.elapsed());
    }
    let text = format!("one hash takes {} ms", best.as_millis());
    match best.as_millis() {
        1000.. => report.warn("passwords", format!("{text}; sign-ins will be slow: use a faster machine")),
        0..10 => report.ok("passwords", format!("{text}; passwords.hash = \"strong\" is affordable here")),
        _ => report.ok("passwords", text),
    }
}

/// Where mail goes, and whether somebody answers there.
pub(super) async fn mail(config: &Config, call: bool, report: &mut Report) {
    let templates = Templates::load(config.mail.templates_dir.as_deref());
    if let Err(problem) = templates.and_then(|templates| mail::check(config, &templates)) {
        return report.fail("mail", problem);
    }
    let Some(secret) = &config.mail.smtp_url else {
        let verdict = if config.development() { Verdict::Ok } else { Verdict::Fail };
        let text = if config.development() {
            "goes to the dev mailbox"
        } else {
            "has nowhere to go; set HALLPASS_SMTP_URL"
        };
        return report.add(verdict, "mail", text);
    };
    let Ok(url) = url::Url::parse(secret.expose()) else { return };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().unwrap_or(if url.scheme() == "smtps" { 465 } else { 587 });
    if config.mail.from.contains("@localhost") {
        report.warn("mail", "mail.from still names localhost; set an address that people can answer to");
    }
    if !call {
        return report.ok("mail", format!("goes to {host}:{port}; --mail calls it"));
    }
    let connecting = tokio::net::TcpStream::connect((host.trim_matches(['[', ']']), port));
    match tokio::time::timeout(config.mail.timeout, connecting).await {
        Ok(Ok(_)) => report.ok("mail", format!("{host}:{port} answers")),
        Ok(Err(problem)) => report.fail("mail", format!("{host}:{port} cannot be reached: {problem}")),
        Err(_) => report.fail("mail", format!("{host}:{port} does not answer within mail.timeout")),
    }
}
