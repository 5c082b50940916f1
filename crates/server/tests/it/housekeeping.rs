//! What is over is removed: after its time, on one node at a time, batch by batch; and the audit log stays verifiable.
mod erasure;
mod pruning;

use crate::support::{PASSWORD, TestApp};
use hallpass::audit::{self, Filter, Report, StoredEvent};
use hallpass::config::Config;
use hallpass::db::{Statements, Value as Param};
use hallpass::housekeeping;
use serde_json::{Value, json};
use std::future::Future;
use std::task::{Context, Waker};
use std::time::Duration;

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const DAY: Duration = Duration::from_secs(86_400);

async fn purge(server: &TestApp) {
    housekeeping::purge_once(&server.app).await.unwrap();
}

async fn report(server: &TestApp) -> Report {
    audit::verify(&server.app, &[]).await.unwrap()
}

async fn all(server: &TestApp) -> Vec<StoredEvent> {
    audit::list(&server.app.db, &Filter::default(), None, 100_000).await.unwrap()
}

async fn count(server: &TestApp, sql: &'static str) -> i64 {
    (&mut &server.app.db).query_opt(sql, &[]).await.unwrap().unwrap().int().unwrap()
}

/// Somebody with access to the database, beside the server.
async fn tamper(server: &TestApp, sql: &'static str, params: &[Param<'_>]) {
    let mut tx = server.app.db.begin().await.unwrap();
    assert!(tx.execute(sql, params).await.unwrap() > 0, "the tampering hits something");
    tx.commit().await.unwrap();
}

/// What the events about removals say was removed.
async fn told(server: &TestApp) -> Vec<Value> {
    let events = all(server).await.into_iter().filter(|event| event.kind == "expired_removed");
    events.map(|event| serde_json::from_str(event.detail.as_deref().unwrap()).unwrap()).collect()
}

/// Registrations that nobody completes.
async fn pile_up(server: &TestApp, number: i64) {
    let sql = "insert into pending_registrations (id, email, email_normalised, password_hash, code_mac, code_expires_at,
        failed_tries, client_hash, created_at, expires_at) values ($1, $1, $1, 'x', $2, 1, 0, $2, 1, 1)";
    let mut tx = server.app.db.begin().await.unwrap();
    for number in 0..number {
        let hash = number.to_be_bytes();
        tx.execute(sql, &[(&format!("old-{number}")).into(), hash.as_slice().into()]).await.unwrap();
    }
    tx.commit().await.unwrap();
}

const PILED: &str = "select count(*) from pending_registrations";

#[tokio::test]
async fn every_kind_of_row_stays_as_long_as_its_setting_says() {
    let server = TestApp::start_with(|config| {
        config.login.passwordless = true;
        config.retention.sessions = DAY * 20;
        config.retention.secrets = DAY * 5;
        config.retention.attempts = DAY * 4;
        config.retention.registrations = DAY * 2;
        config.retention.invitations = DAY * 6;
        config.retention.mails = DAY * 6;
        config.retention.devices = DAY * 40;
    })
    .await;
    server.signed_in(ANN).await;
    let mut client = server.client();
    client.post("/api/v1/password/forgot", json!({ "email": ANN })).await;
    client.post("/api/v1/register", json!({ "email": BOB, "password": PASSWORD })).await;
    client.post("/api/v1/login/email", json!({ "email": ANN })).await;
    crate::invitations::invited(&server, "eve@example.com").await;
    for (table, days) in [
        // From the end of the link, code or attempt on, which is within a day but for the invitation's 7 and the session's 30.
        ("select count(*) from pending_registrations", 3),
        ("select count(*) from sign_in_attempts", 4),
        ("select count(*) from one_time_secrets", 5),
        ("select count(*) from outbox", 6),
        ("select count(*) from invitations", 13),
        ("select count(*) from devices", 40),
        ("select count(*) from sessions", 50),
    ] {
        let begun = server.app.now().micros();
        let passed = (begun - 1_767_225_600_000_000) / 86_400_000_000;
        let wait = u32::try_from(days - passed).unwrap();
        server.advance(DAY * wait);
        server.clock.step_back(Duration::from_secs(7200));
        purge(&server).await;
        assert!(count(&server, table).await > 0, "{table}: too early");
        server.advance(Duration::from_secs(3 * 7200));
        purge(&server).await;
        assert_eq!(count(&server, table).await, 0, "{table}: too late");
        server.clock.step_back(Duration::from_secs(2 * 7200));
    }
    assert_eq!(report(&server).await.findings, Vec::<String>::new());
}

#[tokio::test]
async fn while_one_node_is_at_it_another_does_nothing_and_a_dead_one_loses_the_lease() {
    let server = TestApp::start().await;
    pile_up(&server, 3).await;
    let until = server.app.now().plus(Duration::from_secs(60)).micros();
    tamper(
        &server,
        "insert into leases (name, holder, until) values ('purge', 'a-dead-node', $1)",
        &[until.into()],
    )
    .await;
    purge(&server).await;
    assert_eq!(count(&server, PILED).await, 3);
    server.advance(Duration::from_secs(61));
    purge(&server).await;
    assert_eq!(count(&server, PILED).await, 0);
    assert_eq!(count(&server, "select count(*) from leases").await, 0, "given back at the end");
}

#[tokio::test]
async fn several_nodes_at_the_same_time_remove_every_row_once() {
    let server = TestApp::start().await;
    pile_up(&server, 2_100).await;
    let nodes = [server.second_node().await, server.second_node().await];
    let apps = [&server.app, &nodes[0].app, &nodes[1].app];
    let runs = apps.into_iter().map(housekeeping::purge_once);
    for done in futures_util::future::join_all(runs).await {
        done.unwrap();
    }
    purge(&server).await;
    assert_eq!(count(&server, PILED).await, 0);
    let told = told(&server).await;
    let removed: i64 = told.iter().filter_map(|detail| detail["of"]["registrations"].as_i64()).sum();
    assert_eq!(removed, 2_100, "{told:?}");
}

#[tokio::test]
async fn a_node_that_was_away_for_too_long_stops_as_soon_as_another_has_the_lease() {
    let server = TestApp::start().await;
    pile_up(&server, 1_200).await;
    let mut run = Box::pin(housekeeping::purge_once(&server.app));
    // Until it has begun, and then it hangs.
    let begun = async || count(&server, "select count(*) from leases").await > 0;
    while !begun().await {
        assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        tokio::task::yield_now().await;
    }
    tamper(&server, "update leases set holder = 'another-node', until = until + 1", &[]).await;
    let before = count(&server, PILED).await;
    run.await.unwrap();
    assert!(before - count(&server, PILED).await <= 500, "at most the batch that was under way");
    assert_eq!(count(&server, "select count(*) from leases").await, 1, "it is the other's");
}

#[tokio::test]
async fn killed_in_the_middle_of_anything_it_leaves_whole_states_and_the_next_run_finishes() {
    let server = TestApp::start_with(|config| config.retention.audit = DAY * 30).await;
    let mut client = server.signed_in(ANN).await;
    for number in 0..20 {
        client.patch("/api/v1/me", json!({ "name": format!("Ann {number}") })).await;
    }
    pile_up(&server, 1_100).await;
    server.advance(DAY * 45);
    for polls in 0..60 {
        let mut run = Box::pin(housekeeping::purge_once(&server.app));
        for _ in 0..polls {
            if run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(run);
        assert_eq!(report(&server).await.findings, Vec::<String>::new(), "after {polls} polls");
    }
    purge(&server).await;
    assert_eq!(count(&server, PILED).await, 0);
    let after = report(&server).await;
    assert_eq!(after.findings, Vec::<String>::new());
    assert!(after.removed > 20, "{after:?}");
}

#[tokio::test]
async fn people_sign_in_while_much_is_removed() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    pile_up(&server, 10_000).await;
    let app = server.app.clone();
    let run = tokio::spawn(async move { housekeeping::purge_once(&app).await });
    let mut signed_in = 0;
    while !run.is_finished() {
        server.sign_in(ANN).await;
        signed_in += 1;
        tokio::task::yield_now().await;
    }
    run.await.unwrap().unwrap();
    assert!(signed_in > 0);
    assert_eq!(count(&server, PILED).await, 0);
}

#[test]
fn lives_out_of_bounds_are_refused() {
    let problem = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        config.validate().err().map(|problems| problems[0].to_string()).unwrap_or_default()
    };
    assert!(problem(&|config| config.retention.mails = Duration::from_secs(60)).contains("retention.mails"));
    assert!(problem(&|config| config.retention.attempts = Duration::ZERO).contains("retention.attempts"));
    assert!(problem(&|config| config.retention.devices = DAY * 401).contains("retention.devices"));
    assert!(problem(&|config| config.retention.audit = DAY * 29).contains("retention.audit"));
    assert!(problem(&|config| config.retention.deleted_accounts = DAY * 366).contains("deleted_accounts"));
    assert_eq!(problem(&|config| config.retention.audit = Duration::ZERO), "");
}
