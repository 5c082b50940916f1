//! Several nodes, real processes, on a PostgreSQL server of the test's own.
mod kills;
mod line;
mod revocation;

use crate::cli::process::{Place, Server};
use crate::crash::Worker;
use crate::support::database::SECRET_KEY;
use crate::support::postgres::Postgres;
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const WORKERS: u32 = 4;

/// Settings that all nodes share.
fn place_on(url: &str) -> Place {
    let place = Place::new()
        .set("HALLPASS_DATABASE_URL", url)
        .set("HALLPASS_SECRET_KEY", SECRET_KEY)
        .set("HALLPASS_LIMITS__ENABLED", "false")
        // Every refused request of an outage would be a line.
        .set("HALLPASS_TELEMETRY__LOG_LEVEL", "off")
        .set("HALLPASS_PUBLIC_URL", "http://localhost:3000");
    place.run(&["migrate"]).succeeds();
    place
}

/// Workers with an account each.
fn workers(place: &Place, node: &Server) -> Vec<Worker> {
    let make = |number| {
        place.add_user(&Worker::email(number));
        Worker::new(node, number)
    };
    (0..WORKERS).map(make).collect()
}

/// Lets the workers work, each call on the next node, as behind a proxy that goes round, until there were so many answers;
/// meanwhile something happens. What is not answered is tried again by the worker's next steps, on other nodes.
fn work_while(addresses: &[String], workers: &mut [Worker], answers: usize, happening: impl FnOnce()) {
    let turn = AtomicUsize::new(0);
    let enough = AtomicUsize::new(0);
    let (sender, answered) = mpsc::channel();
    std::thread::scope(|scope| {
        for worker in workers {
            let (turn, enough, sender) = (&turn, &enough, sender.clone());
            scope.spawn(move || {
                while enough.load(Ordering::Relaxed) == 0 {
                    let address = &addresses[turn.fetch_add(1, Ordering::Relaxed) % addresses.len()];
                    match worker.work(address) {
                        Some(()) => drop(sender.send(())),
                        // A dead node is asked again and again: not in a tight loop.
                        None => std::thread::yield_now(),
                    }
                }
            });
        }
        for _ in 0..answers / 2 {
            answered.recv().unwrap();
        }
        happening();
        for _ in 0..answers / 2 {
            answered.recv().unwrap();
        }
        enough.store(1, Ordering::Relaxed);
    });
}

fn check(workers: &mut [Worker], node: &Server) {
    while node.ready()["database"] != "ok" {
        std::thread::yield_now();
    }
    for worker in workers {
        worker.check(node);
    }
}

#[test]
fn a_postgresql_that_crashes_and_comes_back_loses_nothing_that_was_answered_and_the_nodes_recover_alone() {
    let postgres = Postgres::start();
    let place = place_on(&postgres.url());
    let nodes: Vec<Server> = (0..3).map(|_| place.serve()).collect();
    let addresses: Vec<String> = nodes.iter().map(|node| node.address.clone()).collect();
    let mut workers = workers(&place, &nodes[0]);
    for _ in 0..3 {
        work_while(&addresses, &mut workers, 100, || postgres.crash_and_restart());
        check(&mut workers, &nodes[1]);
    }
    assert!(place.run(&["audit", "verify"]).succeeds().out.contains("whole"));
}

#[test]
fn a_failover_to_a_synchronous_standby_loses_nothing_that_was_answered() {
    let primary = Postgres::start();
    let standby = primary.synchronous_standby();
    let url = format!(
        "postgres://hallpass@127.0.0.1:{},127.0.0.1:{}/hallpass?target_session_attrs=read-write",
        primary.port, standby.port
    );
    let place = place_on(&url);
    let nodes: Vec<Server> = (0..2).map(|_| place.serve()).collect();
    let addresses: Vec<String> = nodes.iter().map(|node| node.address.clone()).collect();
    let mut workers = workers(&place, &nodes[0]);
    work_while(&addresses, &mut workers, 200, || {
        primary.crash();
        standby.promote();
    });
    check(&mut workers, &nodes[1]);
    assert!(place.run(&["audit", "verify"]).succeeds().out.contains("whole"));
}

#[test]
fn without_its_database_a_node_says_when_to_try_again_and_is_not_ready() {
    let postgres = Postgres::start();
    let place = place_on(&postgres.url());
    let node = place.serve();
    place.add_user("ann@example.com");
    let token = node.sign_in("ann@example.com", crate::support::PASSWORD);
    postgres.crash();
    let head = node.head("POST", "/api/v1/login", r#"{"email":"ann@example.com","password":"x"}"#);
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after: "), "{head}");
    assert!(node.head("GET", "/health/ready", "").starts_with("HTTP/1.1 503"));
    assert!(node.head("GET", "/health/live", "").starts_with("HTTP/1.1 200"));
    postgres.crash_and_restart();
    let mut status = 0;
    while status != 200 {
        status = node.me(&token);
        assert!([200, 503].contains(&status), "{status}");
    }
}

#[test]
fn a_database_that_was_out_of_reach_without_a_word_is_reached_again_over_new_connections() {
    let postgres = Postgres::start();
    let cut = Arc::new(AtomicBool::new(false));
    let line = format!("postgres://hallpass@127.0.0.1:{}/hallpass", line::line_to(postgres.port, &cut));
    let place = place_on(&postgres.url());
    place.add_user("ann@example.com");
    let node = place
        .set("HALLPASS_DATABASE_URL", &line)
        .set("HALLPASS_DATABASE__TIMEOUT", "200ms")
        .set("HALLPASS_DATABASE__POOL_SIZE", "2")
        .serve();
    let refresh = json!({ "refreshToken": node.tokens_of("ann@example.com", crate::support::PASSWORD)["refreshToken"] });
    cut.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(node.send("POST", "/api/v1/refresh", "", &refresh).0, 503);
    }
    cut.store(false, Ordering::SeqCst);
    let begun = std::time::Instant::now();
    let mut status = 503;
    while status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(5), "no new connection is made: {status}");
        status = node.send("POST", "/api/v1/refresh", "", &refresh).0;
    }
}
