//! Old events: removed from the beginnings of the chains, so that what is left verifies and nobody else cuts.
use super::{ANN, BOB, DAY, all, count, purge, report, tamper};
use crate::support::TestApp;
use hallpass::audit::{self, Anchor};
use hallpass::db::Statements;
use serde_json::json;
use std::time::Duration;

/// A server that keeps events for 30 days, with some that are older and some that are not.
async fn with_old_and_new() -> TestApp {
    let server = TestApp::start_with(|config| config.retention.audit = DAY * 30).await;
    for email in [ANN, BOB] {
        server.signed_in(email).await;
    }
    audit::note_ends(&server.app, None).await.unwrap();
    server.advance(DAY * 31);
    for email in [ANN, BOB] {
        server.sign_in(email).await;
    }
    server
}

async fn anchor(server: &TestApp) -> Anchor {
    report(server).await.anchor.unwrap()
}

#[tokio::test]
async fn events_older_than_the_setting_go_and_the_rest_verifies_time_after_time() {
    let server = with_old_and_new().await;
    for round in 0..4 {
        purge(&server).await;
        let checked = report(&server).await;
        assert_eq!(checked.findings, Vec::<String>::new(), "round {round}");
        assert!(checked.removed > 8, "{checked:?}");
        assert!(all(&server).await.iter().all(|event| event.at.plus(DAY * 31) > server.app.now()));
        server.advance(DAY * 20);
        server.sign_in(ANN).await;
        audit::note_ends(&server.app, None).await.unwrap();
        audit::record_check(&server.app, &checked).await.unwrap();
    }
    server.advance(DAY * 400);
    purge(&server).await;
    let checked = report(&server).await;
    assert_eq!(
        (checked.findings.len(), checked.events > 0),
        (0, true),
        "the cut itself is an event: {checked:?}"
    );
}

#[tokio::test]
async fn with_0_they_are_kept_for_ever_and_a_day_is_removed_at_once() {
    let server = TestApp::start_with(|config| config.retention.audit = Duration::ZERO).await;
    server.signed_in(ANN).await;
    server.advance(DAY * 5_000);
    purge(&server).await;
    assert_eq!(report(&server).await.removed, 0);
    let server = with_old_and_new().await;
    purge(&server).await;
    let events = count(&server, "select count(*) from audit_events where kind = 'audit_pruned'").await;
    for _ in 0..5 {
        server.advance(Duration::from_secs(600));
        purge(&server).await;
    }
    let later = count(&server, "select count(*) from audit_events where kind = 'audit_pruned'").await;
    assert_eq!(events, later, "not an event for every few");
}

#[tokio::test]
async fn an_anchor_from_before_tells_only_how_far_the_chains_were_and_a_later_one_everything() {
    let server = TestApp::start_with(|config| config.retention.audit = DAY * 30).await;
    server.signed_in(ANN).await;
    let early = anchor(&server).await;
    server.sign_in(ANN).await;
    server.advance(DAY * 31);
    server.sign_in(ANN).await;
    let whole = anchor(&server).await;
    purge(&server).await;
    let after = anchor(&server).await;
    server.sign_in(ANN).await;
    let checked = audit::verify(&server.app, &[early, whole, after]).await.unwrap();
    assert_eq!((checked.findings.len(), checked.anchors_too_old), (0, 1), "{:?}", checked.findings);
}

#[tokio::test]
async fn whoever_removes_old_events_by_hand_is_found_whatever_else_they_write() {
    // Without the columns.
    let server = with_old_and_new().await;
    tamper(&server, "delete from audit_events where seq <= 2 and chain = 'main'", &[]).await;
    assert!(report(&server).await.findings.iter().any(|one| one.contains("events 1 to 2 of the chain main")));
    // With the columns, as a removal leaves them.
    let server = with_old_and_new().await;
    tamper(
        &server,
        "update audit_chains set cut_seq = 2, cut_head =
            (select hash from audit_events where chain = 'main' and seq = 2) where chain = 'main'",
        &[],
    )
    .await;
    tamper(&server, "delete from audit_events where chain = 'main' and seq <= 2", &[]).await;
    let found = report(&server).await.findings;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("the beginnings of chains were removed"), "{found:?}");
    // After a rightful removal, a little more.
    let server = with_old_and_new().await;
    purge(&server).await;
    let chain = all(&server).await.into_iter().find(|event| event.kind == "login_succeeded").unwrap().chain;
    tamper(
        &server,
        "update audit_chains set cut_seq = cut_seq + 1, cut_head = (select hash from audit_events e
            where e.chain = audit_chains.chain and e.seq = audit_chains.cut_seq + 1) where chain = $1",
        &[(&chain).into()],
    )
    .await;
    tamper(
        &server,
        "delete from audit_events where chain = $1 and seq <= (select cut_seq from audit_chains c where c.chain = $1)",
        &[(&chain).into()],
    )
    .await;
    let found = report(&server).await.findings;
    assert!(found.iter().any(|one| one.contains("the beginnings of chains were removed")), "{found:?}");
    // Put back below the cut.
    let server = with_old_and_new().await;
    purge(&server).await;
    tamper(
        &server,
        "update audit_events set seq = 1 where chain = 'main' and seq = (select max(seq) from audit_events where chain = 'main')",
        &[],
    )
    .await;
    let found = report(&server).await.findings;
    assert!(found.iter().any(|one| one.contains("were put in")), "{found:?}");
}

#[tokio::test]
async fn a_cut_that_is_forgotten_or_moved_is_found() {
    for step in [
        "update audit_chains set cut_seq = null, cut_head = null where cut_seq is not null",
        "update audit_chains set cut_head = mac where cut_seq is not null",
        "update audit_chains set cut_seq = cut_seq - 1 where cut_seq is not null",
    ] {
        let server = with_old_and_new().await;
        purge(&server).await;
        tamper(&server, step, &[]).await;
        assert!(!report(&server).await.findings.is_empty(), "{step}");
    }
}

#[tokio::test]
async fn a_check_that_runs_while_old_events_are_removed_finds_nothing_wrong() {
    let server = with_old_and_new().await;
    let mut client = server.sign_in(ANN).await;
    for _ in 0..30 {
        client.patch("/api/v1/me", json!({ "name": "Ann" })).await;
    }
    server.advance(DAY * 31);
    let app = server.app.clone();
    let run = tokio::spawn(async move { hallpass::housekeeping::purge_once(&app).await });
    while !run.is_finished() {
        assert_eq!(report(&server).await.findings, Vec::<String>::new());
        tokio::task::yield_now().await;
    }
    run.await.unwrap().unwrap();
    assert_eq!(report(&server).await.findings, Vec::<String>::new());
}

/// A chain with several events, none of them old.
async fn busy_chain(server: &TestApp) -> String {
    let events = all(server).await;
    let of = |chain: &String| events.iter().filter(|event| event.chain == *chain).count();
    let chains = events.iter().map(|event| &event.chain).filter(|chain| *chain != "main");
    chains.max_by_key(|chain| of(chain)).unwrap().clone()
}

#[tokio::test]
async fn young_events_that_somebody_dates_back_are_not_removed_and_the_check_finds_them() {
    let server = with_old_and_new().await;
    purge(&server).await;
    let chain = busy_chain(&server).await;
    let before = all(&server).await.len();
    tamper(&server, "update audit_events set at = 0 where chain = $1", &[(&chain).into()]).await;
    purge(&server).await;
    assert_eq!(all(&server).await.len(), before, "nothing was deleted");
    assert!(report(&server).await.findings.iter().any(|one| one.contains("was changed")));
}

#[tokio::test]
async fn the_events_before_one_that_was_dated_back_go_when_they_are_old_and_it_stays() {
    let server = with_old_and_new().await;
    let chain = busy_chain(&server).await;
    let sql = "update audit_events set at = 0 where chain = $1 and seq = (select max(seq) from audit_events e where e.chain = $1)";
    tamper(&server, sql, &[(&chain).into()]).await;
    purge(&server).await;
    assert!(report(&server).await.removed > 8);
    assert!(all(&server).await.iter().any(|event| event.chain == chain && event.at.micros() == 0));
    assert!(!report(&server).await.findings.is_empty());
}

/// The events but for those of the removal of other rows.
async fn log(server: &TestApp) -> usize {
    all(server).await.iter().filter(|event| event.kind != "expired_removed").count()
}

/// Cuts the first link of what is left of a chain off, as a removal does, but for the event.
async fn cut_by_hand(server: &TestApp, chain: &str) {
    let cut = "update audit_chains set (cut_seq, cut_head) = (select e.seq, e.hash from audit_events e where e.chain = $1
        order by e.seq limit 1) where chain = $1";
    tamper(server, cut, &[chain.into()]).await;
    let remove = "delete from audit_events where chain = $1 and seq <= (select cut_seq from audit_chains where chain = $1)";
    tamper(server, remove, &[chain.into()]).await;
}

#[tokio::test]
async fn a_rightful_removal_does_not_make_somebody_elses_cut_a_rightful_one() {
    for first in [true, false] {
        let server = with_old_and_new().await;
        if !first {
            purge(&server).await;
        }
        let chain = busy_chain(&server).await;
        cut_by_hand(&server, &chain).await;
        server.advance(DAY * 32);
        server.sign_in(BOB).await;
        let before = log(&server).await;
        purge(&server).await;
        let found = report(&server).await.findings;
        assert!(found.iter().any(|one| one.contains("the beginnings of chains were removed")), "{found:?}");
        assert_eq!(log(&server).await, before, "nothing is removed as long as it is so");
    }
}

#[tokio::test]
async fn an_event_of_a_removal_that_somebody_wrote_or_changed_is_none() {
    // Changed for as long as it takes, and one after the end of the chain; each says what the forged cut is.
    for step in [
        "update audit_events set detail = $1 where kind = 'audit_pruned'",
        "insert into audit_events (id, at, kind, result, detail, chain, seq) values ('f0000000-0000-7000-8000-000000000000',
            9000000000000000, 'audit_pruned', 'success', $1, 'main', 1000000)",
    ] {
        let server = with_old_and_new().await;
        purge(&server).await;
        let chain = busy_chain(&server).await;
        cut_by_hand(&server, &chain).await;
        let detail = json!({ "events": 1, "cut": cuts(&server).await }).to_string();
        tamper(&server, step, &[(&detail).into()]).await;
        server.advance(DAY * 32);
        let before = log(&server).await;
        purge(&server).await;
        assert_eq!(log(&server).await, before, "{step}");
    }
}

/// The present cuts in the form in which an event tells them, which everybody can compute.
async fn cuts(server: &TestApp) -> String {
    let sql = "select chain, cut_seq, cut_head from audit_chains where cut_seq is not null order by chain";
    let mut framed = Vec::new();
    let mut frame = |field: &[u8]| {
        framed.extend((field.len() as u64).to_be_bytes());
        framed.extend(field);
    };
    frame(b"hallpass/audit/anchor/v1");
    let mut ends = Vec::new();
    for mut row in (&mut &server.app.db).query(sql, &[]).await.unwrap() {
        let (chain, seq, head) = (row.text().unwrap(), row.int().unwrap(), row.bytes().unwrap());
        frame(chain.as_bytes());
        frame(&seq.to_be_bytes());
        frame(&head);
        ends.push(format!("{chain}:{seq}"));
    }
    let digest = data_encoding::HEXLOWER.encode(&hallpass_crypto::digest::sha256(&framed));
    format!("{} {digest}", ends.join(","))
}
