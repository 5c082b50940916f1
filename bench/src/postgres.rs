//! Hallpass on PostgreSQL beside what `pgbench` reaches with the same statement, on the same server, with as many clients.
//! `scripts/with-servers` starts the server; database, nodes and generator share the machine's cores.
use crate::Fallible;
use crate::load::run;
use crate::machine;
use crate::report::{Report, Row, Target, grouped};
use crate::rows;
use crate::scenarios::{self, CLIENTS};
use crate::seed;
use crate::server::{SECRET_KEY, Server};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Sessions that `pgbench` updates.
const PGBENCH_SESSIONS: i64 = 19_200;

/// Measures refreshes and session checks.
pub async fn everything(length: Duration, largest: i64) -> Fallible<Report> {
    let server = std::env::var("TEST_POSTGRES").map_err(|_| "run it by scripts/with-servers")?;
    let mut report = Report { machine: machine::describe(), ..Report::default() };
    for sessions in [1_000, largest] {
        let url = database(&server, sessions)?;
        let raw = pgbench(&url, length)?;
        let rate = one_node(&mut report, &url, sessions, length).await?;
        let count = grouped(raw);
        figure(
            &mut report,
            &format!("pgbench, the same statement, {CLIENTS} clients, {sessions} sessions"),
            &count,
        );
        let ratio = rate / raw;
        report.targets.push(Target {
            what: if sessions == 1_000 {
                "refresh beside pgbench"
            } else {
                "refresh beside pgbench, largest database"
            },
            asked: ">= 0.6",
            measured: format!("{ratio:.2}"),
            reached: ratio >= 0.6,
        });
        if sessions == 1_000 {
            three_nodes(&mut report, &url, sessions, length).await?;
        }
    }
    beyond_memory(&mut report, &server, length).await?;
    Ok(report)
}

async fn beyond_memory(report: &mut Report, server: &str, length: Duration) -> Fallible<()> {
    let url = database(server, rows::SESSIONS)?;
    let redis = std::env::var("TEST_REDIS").map_err(|_| "run it by scripts/with-servers")?;
    let without = rows::checks(&url, None, 1, length).await?;
    load(report, "session check of 40,000 sessions, every row from PostgreSQL", &without);
    let with = rows::checks(&url, Some(&redis), 2, length).await?;
    load(report, "session check of 40,000 sessions, rows that another node left in Redis", &with);
    Ok(())
}

fn figure(report: &mut Report, what: &str, figure: &str) {
    report.rows.push(Row { what: what.into(), figure: format!("{figure} /s"), micros: None, latency: None });
}

fn load(report: &mut Report, what: &str, outcome: &crate::load::Outcome) {
    report.rows.push(Row {
        what: what.into(),
        figure: format!("{} /s", grouped(outcome.rate)),
        micros: Some(outcome.micros),
        latency: Some((outcome.median, outcome.p99)),
    });
}

/// Settings of a node on a database.
pub fn settings(url: &str) -> Vec<(&'static str, String)> {
    vec![("HALLPASS_DATABASE_URL", url.to_owned()), ("HALLPASS_DATABASE__POOL_SIZE", "16".into())]
}

async fn one_node(report: &mut Report, url: &str, sessions: i64, length: Duration) -> Fallible<f64> {
    let folder = tempfile::tempdir()?;
    let node = Server::hallpass_with(folder.path(), &settings(url)).await?;
    let refresh = run(&node, scenarios::refreshers(sessions, 5, CLIENTS, 1)?, length, Duration::ZERO).await?;
    load(report, &format!("refresh, 1 node, {CLIENTS} connections, {sessions} sessions"), &refresh);
    let spread =
        run(&node, scenarios::refreshers(sessions, 0, CLIENTS, 300)?, length, Duration::ZERO).await?;
    load(report, &format!("refresh spread over many sessions, 1 node, {sessions} sessions"), &spread);
    let check = scenarios::session_check(&node, length).await?;
    load(report, &format!("session check, 1 node, {CLIENTS} connections, {sessions} sessions"), &check);
    node.stop().await?;
    Ok(refresh.rate)
}

async fn three_nodes(report: &mut Report, url: &str, sessions: i64, length: Duration) -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Server::hallpass_with(folder.path(), &settings(url)).await?);
    }
    let share = CLIENTS / 3;
    let clients = |lane| scenarios::refreshers(sessions, lane, share, 1);
    let (one, two, three) = tokio::join!(
        run(&nodes[0], clients(1)?, length, Duration::ZERO),
        run(&nodes[1], clients(2)?, length, Duration::ZERO),
        run(&nodes[2], clients(3)?, length, Duration::ZERO),
    );
    let all = [one?, two?, three?];
    let rate: f64 = all.iter().map(|outcome| outcome.rate).sum();
    figure(
        report,
        &format!("refresh, 3 nodes on one core together, {} connections", share * 3),
        &grouped(rate),
    );
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}

/// Runs a program of PostgreSQL's; returns what it printed.
pub fn program(name: &str, arguments: &[&str]) -> Fallible<String> {
    let output = Command::new(name).args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A new, migrated database.
pub fn migrated(server: &str, name: &str) -> Fallible<String> {
    let url = format!("{server}/{name}");
    program("psql", &[&format!("{server}/postgres"), "-qc", &format!("create database {name}")])?;
    let binary = std::env::current_exe()?.with_file_name("hallpass");
    let mut migrate = Command::new(binary);
    migrate.arg("migrate").env("HALLPASS_DATABASE_URL", &url).env("HALLPASS_SECRET_KEY", SECRET_KEY);
    if !migrate.output()?.status.success() {
        return Err("the database cannot be migrated".into());
    }
    Ok(url)
}

/// A migrated database with so many sessions.
fn database(server: &str, sessions: i64) -> Fallible<String> {
    let url = migrated(server, &format!("bench{sessions}"))?;
    let folder = tempfile::tempdir()?;
    let (users, table) = (folder.path().join("users"), folder.path().join("sessions"));
    seed::text(&users, &table, sessions)?;
    let copy = |table: &str, columns: &str, file: &Path| {
        program("psql", &[&url, "-qc", &format!("\\copy {table} ({columns}) from '{}'", file.display())])
    };
    copy("users", "id, email, email_normalised, email_verified_at, roles, created_at, updated_at", &users)?;
    let columns = "id, user_id, client_id, generation, current_hash, rotated_at, rotated_network, rotated_agent, delivery, amr,
        auth_time, ip, user_agent, created_at, last_seen_at, expires_at, absolute_expires_at"
        .replace('\n', " ");
    copy("sessions", &columns, &table)?;
    program("psql", &[&url, "-qc", &pgbench_sessions(), "-c", "vacuum analyze"])?;
    Ok(url)
}

/// Sessions whose ids and hashes a script can name.
fn pgbench_sessions() -> String {
    let end = seed::now_micros() + seed::WEEK;
    format!(
        "insert into sessions (id, user_id, client_id, generation, current_hash, rotated_at, rotated_network, rotated_agent,
         delivery, amr, auth_time, ip, user_agent, created_at, last_seen_at, expires_at, absolute_expires_at)
         select '00000000-0000-7000-8000-' || lpad(n::text, 12, '0'), (select id from users limit 1), 'first-party', 0,
         '\\x{hash}', 0, '127.0.0.1', 'bench', 'body', 'pwd', 0, '127.0.0.1', 'bench', 0, 0, {end}, {end}
         from generate_series(0, {PGBENCH_SESSIONS} - 1) n",
        hash = "07".repeat(32)
    )
}

/// The statement of a refresh, as `sessions/store.rs` has it, again and again.
fn pgbench(url: &str, length: Duration) -> Fallible<f64> {
    let (now, end) = (seed::now_micros(), seed::now_micros() + seed::WEEK);
    let hash = "07".repeat(32);
    let mut script = String::new();
    writeln!(script, "\\set n random(0, {})", PGBENCH_SESSIONS - 1)?;
    writeln!(
        script,
        "update sessions set generation = generation + 1, current_hash = '\\x{hash}', previous_hash = current_hash, \
         handover = '\\x{handover}', rotated_at = {now}, rotated_network = '127.0.0.1', rotated_agent = 'bench', \
         confirmed_at = null, last_seen_at = {now}, \
         expires_at = case when absolute_expires_at < {end} then absolute_expires_at else {end} end \
         where id = '00000000-0000-7000-8000-' || lpad(:n::text, 12, '0') and current_hash = '\\x{hash}' \
         and revoked_at is null and expires_at > {now} \
         returning id, user_id, client_id, generation, confirmed_at, delivery, amr, auth_time, ip, user_agent, \
         device_name, device_id, created_at, last_seen_at, expires_at, absolute_expires_at, revoked_at, factor_at, \
         impersonator_id, impersonator_session_id;",
        handover = "09".repeat(110)
    )?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("refresh.sql");
    std::fs::write(&file, script)?;
    let file = file.display().to_string();
    let (clients, seconds) = (CLIENTS.to_string(), length.as_secs().max(1).to_string());
    let arguments = ["-n", "-M", "prepared", "-j", "1", "-c", &clients, "-T", &seconds, "-f", &file, url];
    let said = program("pgbench", &arguments)?;
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")).ok_or("pgbench said no rate")?;
    Ok(rate.split(' ').next().unwrap_or_default().parse()?)
}
