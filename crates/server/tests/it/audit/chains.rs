//! Several chains: that they hold together, and that none is dropped, put back or taken the parts of unnoticed.
use super::{ANN, all, report, tamper, with_history};
use crate::support::{Client, OTHER_PASSWORD, PASSWORD, TestApp};
use hallpass::audit::{self, Anchor, Event, Kind};
use hallpass::db::Statements;
use hallpass::ids::UserId;
use hallpass::web::Client as Caller;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const BOB: &str = "bob@example.com";

/// What a check finds, with what was noted elsewhere.
async fn findings(server: &TestApp, anchors: &[Anchor]) -> Vec<String> {
    audit::verify(&server.app, anchors).await.unwrap().findings
}

/// The chain of the events of a person who has signed in.
async fn chain_of(server: &TestApp, client: &mut Client) -> String {
    let id = client.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned();
    let events = all(server).await;
    let chains: BTreeSet<String> = events
        .into_iter()
        .filter(|event| event.user.as_ref() == Some(&id))
        .map(|event| event.chain)
        .collect();
    assert_eq!(chains.len(), 1, "one person, one chain");
    chains.into_iter().next().unwrap()
}

/// A server on which two people with different chains have done something, and their chains.
async fn with_two() -> (TestApp, String, String) {
    let server = with_history().await;
    let ann = chain_of(&server, &mut server.sign_in(ANN).await).await;
    for number in 0.. {
        let mut client = server.signed_in(&format!("{number}-{BOB}")).await;
        let other = chain_of(&server, &mut client).await;
        if other != ann {
            return (server, ann, other);
        }
    }
    unreachable!()
}

/// Puts a chain back to an earlier end, whose row somebody has kept.
async fn put_back(server: &TestApp, chain: &str, end: (i64, Option<Vec<u8>>, Option<Vec<u8>>)) {
    let (seq, head, mac) = end;
    let gone = "delete from audit_events where chain = $1 and seq > $2";
    tamper(server, gone, &[chain.into(), seq.into()]).await;
    let back = "update audit_chains set seq = $1, head = $2, mac = $3 where chain = $4";
    tamper(server, back, &[seq.into(), head.as_deref().into(), mac.as_deref().into(), chain.into()]).await;
}

/// The row of a chain's end, as somebody with a backup has it.
async fn end_of(server: &TestApp, chain: &str) -> (i64, Option<Vec<u8>>, Option<Vec<u8>>) {
    let sql = "select seq, head, mac from audit_chains where chain = $1";
    let mut row = (&mut &server.app.db).query_opt(sql, &[chain.into()]).await.unwrap().unwrap();
    (row.int().unwrap(), row.maybe_bytes().unwrap(), row.maybe_bytes().unwrap())
}

#[tokio::test]
async fn events_about_somebody_are_spread_over_the_chains_and_those_about_nobody_are_in_main() {
    let server = TestApp::start().await;
    for number in 0..40 {
        let body = json!({ "email": format!("{number}@example.com"), "password": OTHER_PASSWORD });
        let mut client = server.client().at(&format!("10.0.{number}.1"));
        assert_eq!(client.post("/api/v1/login", body).await.status, 401);
    }
    let events = all(&server).await;
    let chains = |kind: &str| -> BTreeSet<String> {
        events.iter().filter(|event| event.kind == kind).map(|event| event.chain.clone()).collect()
    };
    let (unknown, keys) = (chains("login_failed"), chains("signing_key_created"));
    assert!(unknown.len() > 20 && !unknown.contains("main"), "{unknown:?}");
    assert_eq!(keys, BTreeSet::from(["main".to_owned()]));
    assert!(events.is_sorted_by_key(|event| event.id), "in order of time over all chains");
    let checked = report(&server).await;
    assert_eq!((checked.events, checked.findings), (i64::try_from(events.len()).unwrap(), Vec::new()));
}

#[tokio::test]
async fn a_log_of_several_pages_is_listed_in_order_and_once() {
    let server = with_history().await;
    let all: Vec<_> = all(&server).await.into_iter().map(|event| event.id).collect();
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = audit::list(&server.app.db, &audit::Filter::default(), after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        paged.extend(page.into_iter().map(|event| event.id));
    }
    assert_eq!(paged, all);
}

#[tokio::test]
async fn an_event_that_was_moved_to_another_chain_is_found() {
    let (server, ann, other) = with_two().await;
    let take = "update audit_events set chain = $1, seq = 100 where chain = $2 and seq = 3";
    tamper(&server, take, &[(&other).into(), (&ann).into()]).await;
    let found = findings(&server, &[]).await;
    assert!(found.iter().any(|one| one.contains(&format!("events 3 to 3 of the chain {ann}"))), "{found:?}");
    assert!(found.iter().any(|one| one.contains("after the end of their chain")), "{found:?}");
    // Swapped with the one of the same number there.
    let (server, ann, other) = with_two().await;
    for (from, to) in [(&ann, "x"), (&other, &ann), (&"x".to_owned(), &other)] {
        let swap = "update audit_events set chain = $1 where chain = $2 and seq = 2";
        tamper(&server, swap, &[to.into(), from.into()]).await;
    }
    let found = findings(&server, &[]).await;
    for chain in [ann, other] {
        let words = format!("event {chain}/2 (");
        assert!(found.iter().any(|one| one.starts_with(&words)), "{words}: {found:?}");
    }
}

#[tokio::test]
async fn whoever_writes_a_chain_anew_lacks_the_key_of_its_end() {
    let (server, ann, _) = with_two().await;
    // What the last event and the end say fits together; only the MAC is not ours.
    tamper(&server, "delete from audit_events where chain = $1 and seq > 6", &[(&ann).into()]).await;
    let rewind = "update audit_chains set seq = 6, head =
         (select hash from audit_events where seq = 6 and audit_events.chain = $1) where chain = $1";
    tamper(&server, rewind, &[(&ann).into()]).await;
    let found = findings(&server, &[]).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(&format!("{ann} is not under this server's secret key")), "{found:?}");
    // What happens next signs nothing that somebody else wrote.
    server.sign_in(ANN).await;
    let found = findings(&server, &[]).await;
    assert!(
        found.iter().any(|one| one.contains(&format!("{ann} is not under this server's secret key"))),
        "{found:?}"
    );
    assert_eq!(audit::sign_foreign_ends(&server.app).await.unwrap(), [ann]);
    server.sign_in(ANN).await;
    assert_eq!(findings(&server, &[]).await, Vec::<String>::new());
    let told = all(&server).await;
    let told = told.iter().find(|event| event.kind == "audit_ends_signed").unwrap();
    assert_eq!(told.chain, "main");
    assert_eq!(audit::sign_foreign_ends(&server.app).await.unwrap(), Vec::<String>::new());
    let (server, ann, other) = with_two().await;
    let (seq, head, mac) = end_of(&server, &other).await;
    let foreign = "update audit_chains set seq = $1, head = $2, mac = $3 where chain = $4";
    let params = [seq.into(), head.as_deref().into(), mac.as_deref().into(), (&ann).into()];
    tamper(&server, foreign, &params).await;
    let found = findings(&server, &[]).await;
    let words = format!("the end of the chain {ann} is not under");
    assert!(found.iter().any(|one| one.starts_with(&words)), "another chain's end: {found:?}");
}

#[tokio::test]
async fn a_chain_that_was_dropped_or_put_back_is_found_by_what_main_has_noted_and_others_are_not_blamed() {
    let (server, ann, other) = with_two().await;
    let earlier = end_of(&server, &ann).await;
    server.sign_in(ANN).await;
    let noted = audit::note_ends(&server.app, None).await.unwrap();
    assert_eq!(audit::note_ends(&server.app, noted.clone()).await.unwrap(), noted);
    let anchored = all(&server).await.into_iter().filter(|event| event.kind == "audit_anchored").count();
    assert_eq!(anchored, 1, "what is known is not noted again");
    server.sign_in(ANN).await;
    assert_eq!(findings(&server, &[]).await, Vec::<String>::new(), "later events are no matter");
    put_back(&server, &ann, earlier).await;
    let found = findings(&server, &[]).await;
    assert!(found.len() == 1 && found[0].contains(&format!("the chain {ann} ends at event")), "{found:?}");
    // It grows beyond what was noted: other events than those.
    for _ in 0..4 {
        server.sign_in(ANN).await;
    }
    let found = findings(&server, &[]).await;
    assert!(found.len() == 1 && found[0].contains("not the one that was noted"), "{found:?}");
    // And what is noted now does not make it good.
    audit::note_ends(&server.app, None).await.unwrap();
    assert_eq!(findings(&server, &[]).await, found);
    put_back(&server, &other, (0, None, None)).await;
    let found = findings(&server, &[]).await;
    assert!(found.iter().any(|one| one.contains(&format!("the chain {other} ends at event 0"))), "{found:?}");
}

#[tokio::test]
async fn a_check_notes_what_it_saw() {
    let (server, ann, _) = with_two().await;
    let seen = report(&server).await;
    audit::record_check(&server.app, &seen).await.unwrap();
    put_back(&server, &ann, (0, None, None)).await;
    let found = findings(&server, &[]).await;
    assert!(found.iter().any(|one| one.contains(&format!("the chain {ann} ends at event 0"))), "{found:?}");
}

#[tokio::test]
async fn a_log_that_was_put_back_to_an_older_state_is_found_by_what_was_noted_elsewhere() {
    let (server, ann, other) = with_two().await;
    let chains = ["main", &ann, &other];
    let mut ends = Vec::new();
    for chain in chains {
        ends.push(end_of(&server, chain).await);
    }
    let earlier = report(&server).await.anchor.unwrap();
    server.sign_in(ANN).await;
    audit::note_ends(&server.app, None).await.unwrap();
    let later = report(&server).await.anchor.unwrap();
    assert_eq!(findings(&server, &[earlier.clone(), later.clone()]).await, Vec::<String>::new());
    assert_eq!(earlier.to_string().lines().count(), 1);
    for (chain, end) in chains.into_iter().zip(ends) {
        if end_of(&server, chain).await != end {
            put_back(&server, chain, end).await;
        }
    }
    assert_eq!(findings(&server, &[earlier]).await, Vec::<String>::new(), "within itself it is whole");
    let found = findings(&server, &[later]).await;
    assert!(found.len() == 2 && found.iter().all(|one| one.contains("had reached")), "{found:?}");
}

#[tokio::test]
async fn an_anchor_of_another_log_or_a_damaged_one_is_told() {
    let server = with_history().await;
    let anchor = report(&server).await.anchor.unwrap().to_string();
    let read = |text: &str| Anchor::read(&json!(text));
    assert_eq!(read(&anchor).unwrap().to_string(), anchor);
    let (ends, digest) = anchor.split_once(' ').unwrap();
    let foreign = format!("{ends} {}", "0".repeat(64));
    let found = findings(&server, &[read(&foreign).unwrap()]).await;
    assert!(found.len() == 1 && found[0].contains("not the one that was noted"), "{found:?}");
    let without_one = ends.split_once(',').unwrap().1;
    let found = findings(&server, &[read(&format!("{without_one} {digest}")).unwrap()]).await;
    assert!(found[0].contains("not the one that was noted"), "{found:?}");
    for damaged in ["", "main:3", ends, &anchor[..anchor.len() - 1], &anchor.replace("main:", "main")] {
        assert!(read(damaged).is_err(), "{damaged}");
    }
    assert!(Anchor::read(&Value::Null).is_err());
    // As the versions with one chain printed it.
    let (seq, head, _) = end_of(&server, "main").await;
    let head = data_encoding::HEXLOWER.encode(&head.unwrap());
    let former = |seq: i64| Anchor::read(&json!({ "seq": seq, "head": head })).unwrap();
    audit::note_ends(&server.app, None).await.unwrap();
    assert_eq!(findings(&server, &[former(seq)]).await, Vec::<String>::new());
    assert!(findings(&server, &[former(seq + 1)]).await[0].contains("not the one that was noted"));
    assert!(findings(&server, &[former(seq + 9)]).await[0].contains("had reached"));
}

/// Somebody whose events are in some chain.
fn subject(number: u8) -> UserId {
    UserId(Uuid::from_bytes([number; 16]))
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_write_to_the_same_chains_in_opposite_order_do_not_block_each_other() {
    let server = TestApp::start().await;
    let other = server.second_node().await;
    let mut writers = Vec::new();
    for number in 0..60_u8 {
        let app = if number % 2 == 0 { server.app.clone() } else { other.app.clone() };
        writers.push(tokio::spawn(async move {
            let (client, now) = (Caller::system(), app.now());
            let mut tx = app.db.begin().await.unwrap();
            let mut subjects: Vec<_> = (0..12).map(|one| Some(subject(one))).chain([None]).collect();
            if number % 2 == 0 {
                subjects.reverse();
            }
            for subject in subjects {
                let event = Event::new(Kind::SessionsRevoked, &client);
                let event = match subject {
                    Some(subject) => event.user(subject),
                    None => event,
                };
                audit::record(&app, &mut tx, event, now);
            }
            tx.commit().await
        }));
    }
    for writer in writers {
        writer.await.unwrap().expect("no transaction is given up");
    }
    let events = all(&server).await.into_iter().filter(|event| event.kind == "sessions_revoked");
    assert_eq!(events.count(), 60 * 13);
    assert_eq!(findings(&server, &[]).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_event_of_a_transaction_that_is_dropped_or_fails_is_not_written() {
    let server = TestApp::start().await;
    let before = report(&server).await.events;
    let caller = Caller::system();
    let event = || Event::new(Kind::SessionsRevoked, &caller).user(subject(1));
    let mut dropped = server.app.db.begin().await.unwrap();
    audit::record(&server.app, &mut dropped, event(), server.app.now());
    drop(dropped);
    let mut failing = server.app.db.begin().await.unwrap();
    audit::record(&server.app, &mut failing, event(), server.app.now());
    let violation = "insert into audit_chains (chain, seq) values ('main', 0)";
    assert!(failing.execute(violation, &[]).await.is_err());
    assert!(failing.commit().await.is_err());
    // When the event cannot be written, neither is the fact.
    tamper(&server, "delete from audit_chains where chain <> 'main'", &[]).await;
    let mut unlogged = server.app.db.begin().await.unwrap();
    unlogged.execute("insert into meta (name, value) values ('a fact', '')", &[]).await.unwrap();
    audit::record(&server.app, &mut unlogged, event(), server.app.now());
    assert!(unlogged.commit().await.is_err());
    let sql = "select count(*) from meta where name = 'a fact'";
    assert_eq!((&mut &server.app.db).query_opt(sql, &[]).await.unwrap().unwrap().int().unwrap(), 0);
    assert_eq!(report(&server).await.events, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_mixed_load_on_three_nodes_the_log_is_whole_at_every_moment() {
    let server = TestApp::start().await;
    let nodes = [server.second_node().await, server.second_node().await];
    for number in 0..6 {
        server.sign_up(&format!("{number}@example.com")).await;
    }
    let calls: Vec<_> = (0..90)
        .map(|number| {
            let node = [server.client(), nodes[0].client(), nodes[1].client()][number % 3].clone();
            let mut client = node.at(&format!("10.0.{number}.1"));
            let password = if number % 4 == 0 { OTHER_PASSWORD } else { PASSWORD };
            let body = json!({ "email": format!("{}@example.com", number % 9), "password": password });
            tokio::spawn(async move {
                client.post("/api/v1/login", body).await;
                client.post_nothing("/api/v1/logout").await;
            })
        })
        .collect();
    while calls.iter().any(|call| !call.is_finished()) {
        audit::note_ends(&nodes[0].app, None).await.unwrap();
        assert_eq!(findings(&server, &[]).await, Vec::<String>::new());
    }
    for call in calls {
        call.await.unwrap();
    }
    let checked = report(&server).await;
    assert_eq!((checked.findings, checked.events > 60), (Vec::new(), true));
}
