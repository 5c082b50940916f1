//! What `hallpass doctor` looks at on other machines: PostgreSQL and Redis.
use super::doctor::Report;
use super::{machine, probes};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Db, ServerFacts};
use crate::start;
use std::time::Duration;

/// The oldest PostgreSQL that is tried.
const OLDEST: i64 = 140_000;
/// How long announcements may take to arrive for the first time.
const PATIENCE: Duration = Duration::from_secs(2);

/// The database server: reachable, new enough, ours to use, up to date, durable, its clock like ours, announcements heard.
pub(super) async fn postgres(config: &Config, report: &mut Report) {
    // A Redis that cannot be used is reported by itself.
    let db = match config.open_database(machine().0, config.open_redis().ok().flatten()) {
        Ok(db) => db,
        Err(problem) => return report.fail("database", problem.to_string()),
    };
    let shown = db.shown();
    let facts = match db.server_facts().await {
        Ok(Some(facts)) => facts,
        Ok(None) => return,
        Err(problem) => return report.fail("database", format!("{shown} cannot be used: {problem}")),
    };
    if facts.version_number < OLDEST {
        let text = format!("{shown} is PostgreSQL {}; version 14 or later is needed", facts.version);
        return report.fail("database", text);
    }
    settings(config, &facts, report);
    schema(config, &db, &facts, report).await;
    clock(config, &db, report).await;
    announcements(&db, report).await;
}

fn settings(config: &Config, facts: &ServerFacts, report: &mut Report) {
    if !facts.durable {
        let text =
            "fsync or synchronous_commit is off: what was answered may be lost in a crash; switch both on";
        report.warn("database", text);
    }
    if i64::from(config.database.pool_size) * 3 > facts.max_connections {
        let text = format!(
            "max_connections is {}, database.pool_size is {} on each node; three nodes would not fit",
            facts.max_connections, config.database.pool_size
        );
        report.warn("database", text);
    }
}

async fn schema(config: &Config, db: &Db, facts: &ServerFacts, report: &mut Report) {
    let pending = match db.pending_migrations().await {
        Ok(pending) => pending,
        Err(problem) => return report.fail("database", problem.to_string()),
    };
    if !pending.is_empty() {
        if !facts.may_create {
            let role = &facts.role;
            let text = format!(
                "{role} may not make tables; as the owner run: create schema {role} authorization {role}"
            );
            return report.fail("database", text);
        }
        let text = format!("pending: {}; `hallpass migrate` applies them", pending.join(", "));
        return report.warn("database", text);
    }
    if let Err(problem) = start::refuse_moved(db).await {
        return report.fail("database", problem.to_string());
    }
    match probes::key_problem(config, db).await {
        None => {
            let (version, schema) = (&facts.version, &facts.schema);
            report
                .ok("database", format!("{}, PostgreSQL {version}, schema {schema}, up to date", db.shown()));
        }
        Some(problem) => report.fail("database", problem),
    }
}

async fn clock(config: &Config, db: &Db, report: &mut Report) {
    let Ok(ahead) = db.clock_ahead(machine().0.now()).await else { return };
    let apart = ahead.unsigned_abs() / 1_000_000;
    if apart > config.sessions.leeway.as_secs() {
        let text = format!("{apart} s from the database's; set it, tokens and codes depend on it");
        report.fail("clock", text);
    }
}

/// Whether a heartbeat comes back, as on a running node.
async fn announcements(db: &Db, report: &mut Report) {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let own = db.clone();
    let listening = tokio::spawn(async move { own.listen(stopped).await });
    let heard = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while !db.hears() {
            ticks.tick().await;
        }
    };
    match tokio::time::timeout(PATIENCE, heard).await {
        Ok(()) => report.ok("nodes", "announcements between nodes arrive"),
        Err(_) => report.warn(
            "nodes",
            "announcements between nodes do not arrive, so every check asks the database; behind a pooler set \
             database.direct_url",
        ),
    }
    // It ends with the process otherwise.
    let _ = stop.send(true);
    let _ = listening.await;
}

/// Redis, if one is set.
pub(super) async fn redis(config: &Config, report: &mut Report) {
    if config.redis.url.is_none() {
        return;
    }
    if config.embedded() {
        return report.warn("redis", "redis.url is not used beside an embedded database");
    }
    let answer = match config.open_redis() {
        Ok(Some(redis)) => redis.ping().await,
        Ok(None) => return,
        Err(problem) => Err(problem),
    };
    match answer {
        Ok(()) => report.ok("redis", "answers"),
        Err(problem) => report.fail("redis", format!("does not answer: {problem}")),
    }
}

/// What stands in front, as far as the settings tell.
pub(super) fn proxy(config: &Config, report: &mut Report) {
    if config.https() && config.server.trusted_proxies.is_empty() {
        report.warn(
            "proxy",
            "people come by https, so something in front ends TLS: name it in server.trusted_proxies, else everybody \
             seems to come from its address",
        );
    }
}
