//! The order of the measurements, and what each figure is held against.
use crate::Fallible;
use crate::ks::median;
use crate::limits;
use crate::load::Outcome;
use crate::machine;
use crate::plot::Bar;
use crate::report::{Report, Row, Target, grouped};
use crate::scenarios::{self, Flooded, Scale};
use crate::server::Server;
use crate::uniform;
use std::path::Path;
use std::time::Duration;

/// Starts of which the median is taken.
const STARTS: usize = 7;

fn setting(name: &str, default: u64) -> Fallible<u64> {
    match std::env::var(name) {
        Ok(text) => Ok(text.parse().map_err(|_| format!("{name} is no number: {text}"))?),
        Err(_) => Ok(default),
    }
}

/// Measures everything.
pub async fn everything() -> Fallible<Report> {
    let length = Duration::from_secs(setting("BENCH_SECONDS", 5)?);
    let requests = usize::try_from(setting("BENCH_REQUESTS", 1_000_000)?)?;
    let largest = i64::try_from(setting("BENCH_SESSIONS", 1_000_000)?)?;
    let mut report = Report { machine: machine::describe(), ..Report::default() };
    let bare = bare(&mut report, length).await?;
    let folder = tempfile::tempdir()?;
    starts(&mut report, folder.path()).await?;
    let server = Server::hallpass(folder.path()).await?;
    let idle = server.memory()?;
    let health = scenarios::plain(&server, "/health/live", length).await?;
    report.load("`GET /health/live`: the middleware alone", &health);
    checks(&mut report, &server, &bare, &health, length).await?;
    logins(&mut report, &server, length).await?;
    scenarios::many_checks(&server, requests).await?;
    memory(&mut report, idle, server.memory()?, requests);
    let flooded = scenarios::flooded_checks(&server, length).await?;
    report.flood("session check", &flooded);
    for comparison in uniform::compare(&server).await? {
        report.uniform(&comparison);
    }
    server.stop().await?;
    refreshes(&mut report, largest, length).await?;
    Ok(report)
}

/// Measures on a PostgreSQL server.
pub async fn on_postgres() -> Fallible<Report> {
    let length = Duration::from_secs(setting("BENCH_SECONDS", 5)?);
    let largest = i64::try_from(setting("BENCH_SESSIONS", 1_000_000)?)?;
    crate::postgres::everything(length, largest).await
}

/// Measures one thing, for a profiler to look at meanwhile.
pub async fn one(what: &str) -> Fallible<Report> {
    let length = Duration::from_secs(setting("BENCH_SECONDS", 5)?);
    let mut report = Report { machine: machine::describe(), ..Report::default() };
    let folder = tempfile::tempdir()?;
    if what == "refresh" {
        let scale = scenarios::scale(folder.path(), 1_000, length).await?;
        report.scale(&scale);
        return Ok(report);
    }
    let server = Server::hallpass(folder.path()).await?;
    let outcome = match what {
        "check" => scenarios::session_check(&server, length).await?,
        _ => scenarios::login(&server, length).await?,
    };
    report.load(what, &outcome);
    server.stop().await?;
    Ok(report)
}

async fn bare(report: &mut Report, length: Duration) -> Fallible<Outcome> {
    let server = Server::bare().await?;
    let bare = scenarios::plain(&server, "/bare", length).await?;
    report.load("bare axum route, 64 connections", &bare);
    server.stop().await?;
    Ok(bare)
}

async fn starts(report: &mut Report, folder: &Path) -> Fallible<()> {
    let mut new = Vec::new();
    for _ in 0..STARTS {
        let folder = tempfile::tempdir()?;
        let server = Server::hallpass(folder.path()).await?;
        new.push(server.cold_start.as_secs_f64() * 1000.0);
        server.stop().await?;
    }
    Server::hallpass(folder).await?.stop().await?;
    let mut existing = Vec::new();
    for _ in 0..STARTS {
        let server = Server::hallpass(folder).await?;
        existing.push(server.cold_start.as_secs_f64() * 1000.0);
        server.stop().await?;
    }
    report.figure("cold start, new database", format!("{:.1} ms", median(&new)));
    let existing = median(&existing);
    report.figure("cold start, existing database", format!("{existing:.1} ms"));
    report.target("cold start, existing database", "40 ms", format!("{existing:.1} ms"), existing <= 40.0);
    Ok(())
}

async fn checks(
    report: &mut Report,
    server: &Server,
    bare: &Outcome,
    health: &Outcome,
    length: Duration,
) -> Fallible<()> {
    let check = scenarios::session_check(server, length).await?;
    report.load("session check (`GET /api/v1/me`, Bearer), 64 connections", &check);
    let ratio = bare.micros / check.micros;
    report.target(
        "session check beside the bare route, per CPU",
        ">= 0.4",
        format!("{ratio:.2}"),
        ratio >= 0.4,
    );
    let share = (health.micros - bare.micros) / check.micros;
    report.target("middleware's share of a session check", "< 1/3", format!("{share:.2}"), share < 1.0 / 3.0);
    report.bar("session check", per_cpu_second(&check), per_cpu_second(bare), "/CPU s");
    Ok(())
}

fn per_cpu_second(outcome: &Outcome) -> f64 {
    1e6 / outcome.micros
}

async fn logins(report: &mut Report, server: &Server, length: Duration) -> Fallible<()> {
    // Half before and half after, since memory bandwidth drifts with the machine's neighbours.
    let before = limits::argon2(length / 2)?;
    let login = scenarios::login(server, length).await?;
    let raw = before.midpoint(limits::argon2(length / 2)?);
    report.figure("raw argon2id (19 MiB, 2 passes), 1 thread", format!("{raw:.1} /s"));
    report.load("sign-in, 8 connections, 1 hashing thread", &login);
    let ratio = login.rate / raw;
    report.target("sign-in beside raw argon2id", ">= 0.9", format!("{ratio:.2}"), ratio >= 0.9);
    report.bar("sign-in", login.rate, raw, "/s");
    Ok(())
}

fn memory(report: &mut Report, idle: f64, after: f64, requests: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
    let count = grouped(requests as f64);
    report.figure("memory, idle", format!("{idle:.1} MiB"));
    report.figure(&format!("memory after {count} more session checks"), format!("{after:.1} MiB"));
    report.target("memory, idle", "<= 20 MiB", format!("{idle:.1} MiB"), idle <= 20.0);
    report.target("memory after a million requests", "<= 60 MiB", format!("{after:.1} MiB"), after <= 60.0);
}

async fn refreshes(report: &mut Report, largest: i64, length: Duration) -> Fallible<()> {
    let mut scales = Vec::new();
    for sessions in [1_000, 100_000, 1_000_000] {
        let folder = tempfile::tempdir()?;
        let scale = scenarios::scale(folder.path(), sessions.min(largest), length).await?;
        report.scale(&scale);
        if sessions == 1_000 {
            let server = Server::hallpass(folder.path()).await?;
            let flooded = scenarios::flooded_refreshes(&server, sessions, length).await?;
            server.stop().await?;
            report.refresh(&scale);
            report.flood("refresh", &flooded);
        }
        scales.push(scale);
    }
    if let [small, .., large] = &scales[..] {
        let ratio = small.refresh.rate / large.refresh.rate;
        let what = "refresh: 10^3 beside 10^6 sessions";
        report.target(what, "<= 1.3", format!("{ratio:.2}"), ratio <= 1.3);
    }
    Ok(())
}

impl Report {
    fn load(&mut self, what: &str, outcome: &Outcome) {
        self.rows.push(Row {
            what: what.into(),
            figure: format!("{} /s", grouped(outcome.rate)),
            micros: Some(outcome.micros),
            latency: Some((outcome.median, outcome.p99)),
        });
    }

    fn figure(&mut self, what: &str, figure: String) {
        self.rows.push(Row { what: what.into(), figure, micros: None, latency: None });
    }

    fn target(&mut self, what: &'static str, asked: &'static str, measured: String, reached: bool) {
        self.targets.push(Target { what, asked, measured, reached });
    }

    fn bar(&mut self, label: &'static str, value: f64, limit: f64, unit: &str) {
        let words = |number: f64| (number, format!("{} {unit}", grouped(number)));
        self.bars.push(Bar { label, value: words(value), limit: words(limit) });
    }

    fn scale(&mut self, scale: &Scale) {
        #[expect(clippy::cast_precision_loss, reason = "a number of sessions")]
        let sessions = grouped(scale.sessions as f64);
        self.load(
            &format!("refresh, 64 connections, {sessions} sessions, 64 of them in use"),
            &scale.refresh,
        );
        let spread = grouped(f64::from(scale.in_use));
        self.load(
            &format!("refresh, 64 connections, {sessions} sessions, {spread} of them in use"),
            &scale.spread,
        );
        let raw = format!("{} /s", grouped(scale.raw.group_commit));
        self.figure(
            &format!("raw group commit of the same statements, 64 clients, {sessions} sessions"),
            raw,
        );
        let alone = format!("{} /s", grouped(scale.raw.alone));
        self.figure(
            &format!("the same in a loop without clients, 64 in a commit, {sessions} sessions"),
            alone,
        );
    }

    fn refresh(&mut self, scale: &Scale) {
        let ratio = scale.refresh.rate / scale.raw.group_commit;
        self.target("refresh beside raw group commit", ">= 1/3", format!("{ratio:.2}"), ratio >= 1.0 / 3.0);
        let micros = scale.refresh.micros;
        self.target("server CPU of a refresh", "<= 80 µs", format!("{micros:.1} µs"), micros <= 80.0);
        self.bar("refresh", scale.refresh.rate, scale.raw.group_commit, "/s");
    }

    fn flood(&mut self, what: &'static str, flooded: &Flooded) {
        self.load(&format!("{what}, 800 a second, quiet"), &flooded.calm);
        self.load(&format!("{what}, 800 a second, while 16 clients hammer sign-in"), &flooded.pressed);
        self.load(&format!("{what}, 64 connections, while 16 clients hammer sign-in"), &flooded.hammered);
        let p99 = flooded.pressed.p99 / flooded.calm.p99;
        self.target(
            pick(
                what,
                "check under the flood: p99 beside quiet",
                "refresh under the flood: p99 beside quiet",
            ),
            "<= 3",
            format!("{p99:.2}"),
            p99 <= 3.0,
        );
        let allowed = flooded.quiet.rate * (1.0 - flooded.hammered.hashing);
        let ratio = flooded.hammered.rate / allowed;
        self.target(
            pick(
                what,
                "check under the flood: rate beside what the CPU left allows",
                "refresh under the flood: rate beside what the CPU left allows",
            ),
            ">= 0.7",
            format!("{ratio:.2}"),
            ratio >= 0.7,
        );
    }

    fn uniform(&mut self, comparison: &uniform::Comparison) {
        let measured = format!(
            "D = {:.3}, p = {:.2}, medians {:+.2} ms",
            comparison.distance, comparison.p, comparison.median
        );
        self.target(comparison.what, "p > 0.01, medians within 2 ms", measured, comparison.holds());
    }
}

fn pick(what: &str, check: &'static str, refresh: &'static str) -> &'static str {
    if what == "refresh" { refresh } else { check }
}
