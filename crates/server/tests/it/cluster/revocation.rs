//! A session that was ended on one node is ended on all, within the stated limit.
use super::line::line_to;
use super::place_on;
use crate::cli::process::Server;
use crate::support::PASSWORD;
use crate::support::postgres::Postgres;
use hallpass::bus::LIMIT;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ANN: &str = "ann@example.com";
/// What a loaded machine may add to the time at which an answer is seen.
const SLACK: Duration = Duration::from_millis(500);

/// Checks a token over and over until it was refused; returns when it was last accepted.
fn last_accepted(address: &str, token: &str) -> Instant {
    let mut last = Instant::now();
    loop {
        let asked = Instant::now();
        let (status, _) = Server::try_send(address, "GET", "/api/v1/me", token, &json!(null)).unwrap();
        match status {
            // The check was made some time after it was asked for, so this is the latest for which it counts.
            200 => last = asked,
            401 => return last,
            other => panic!("{other}"),
        }
        assert!(asked.elapsed() < Duration::from_secs(20));
    }
}

/// Ends a session on the first node under a flood of checks on the others; returns for how long it was accepted there.
fn end_and_watch(nodes: &[Server], others: &[String]) -> Duration {
    let token = nodes[0].sign_in(ANN, PASSWORD);
    for node in nodes {
        assert_eq!(node.me(&token), 200);
    }
    std::thread::scope(|scope| {
        let watching: Vec<_> =
            others.iter().map(|address| scope.spawn(|| last_accepted(address, &token))).collect();
        let (status, answer) = nodes[0].send("POST", "/api/v1/logout", &token, &json!({}));
        let answered = Instant::now();
        assert_eq!(status, 200, "{answer}");
        let accepted = watching.into_iter().map(|one| one.join().unwrap());
        accepted.map(|last| last.saturating_duration_since(answered)).max().unwrap_or_default()
    })
}

#[test]
fn a_session_ended_on_one_node_is_refused_by_the_others_within_the_limit() {
    let postgres = Postgres::start();
    let place = place_on(&postgres.url());
    place.add_user(ANN);
    let nodes: Vec<Server> = (0..3).map(|_| place.serve()).collect();
    let others: Vec<String> = nodes[1..].iter().map(|node| node.address.clone()).collect();
    let mut delays: Vec<Duration> = (0..20).map(|_| end_and_watch(&nodes, &others)).collect();
    delays.sort();
    println!("accepted for so long after the answer: median {:?}, worst {:?}", delays[10], delays[19]);
    assert!(delays[19] <= LIMIT, "{delays:?}");
}

#[test]
fn a_node_that_hears_nothing_any_more_asks_the_database_within_the_limit() {
    let postgres = Postgres::start();
    let place = place_on(&postgres.url());
    place.add_user(ANN);
    let cut = Arc::new(AtomicBool::new(false));
    let line = format!("postgres://hallpass@127.0.0.1:{}/hallpass", line_to(postgres.port, &cut));
    let first = place.serve();
    let deaf = place.set("HALLPASS_DATABASE__DIRECT_URL", &line).serve();
    let nodes = [first, deaf];
    let others = vec![nodes[1].address.clone()];
    // While it hears, it relies on what it heard.
    while nodes[1].ready()["announcements"] != "ok" {
        std::thread::yield_now();
    }
    cut.store(true, Ordering::SeqCst);
    let delay = end_and_watch(&nodes, &others);
    assert!(delay <= LIMIT + SLACK, "{delay:?}");
    while nodes[1].ready()["announcements"] == "ok" {
        std::thread::yield_now();
    }
    let delay = end_and_watch(&nodes, &others);
    assert!(delay <= SLACK, "it asks every time: {delay:?}");
    cut.store(false, Ordering::SeqCst);
    while nodes[1].ready()["announcements"] != "ok" {
        std::thread::yield_now();
    }
}
