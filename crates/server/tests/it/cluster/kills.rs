//! A minute in which nodes behind a proxy are killed, one every few seconds.
use super::{check, place_on, workers};
use crate::cli::process::Server;
use crate::support::postgres::Postgres;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long people work.
const MINUTE: Duration = Duration::from_secs(60);
/// Time between two kills, and what is added to it so that they come at other moments of whatever repeats itself.
const BETWEEN: [Duration; 3] =
    [Duration::from_millis(2600), Duration::from_millis(3300), Duration::from_millis(4100)];
/// What a worker rests after each step: the load is steady, and leaves something to the tests beside.
const REST: Duration = Duration::from_millis(100);

/// Hands each connection to the next node, past those that refuse it.
struct RoundRobin {
    nodes: Arc<Mutex<Vec<String>>>,
    address: String,
}

impl RoundRobin {
    fn before(nodes: &[Server]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let nodes: Vec<String> = nodes.iter().map(|node| node.address.clone()).collect();
        let nodes = Arc::new(Mutex::new(nodes));
        let shared = Arc::clone(&nodes);
        // Lives as long as the test process.
        std::thread::spawn(move || {
            for (turn, near) in listener.incoming().enumerate() {
                let nodes = shared.lock().unwrap().clone();
                let mut from_here = nodes.iter().cycle().skip(turn % nodes.len()).take(nodes.len());
                // With nobody behind it, the connection is closed.
                if let (Ok(near), Some(far)) =
                    (near, from_here.find_map(|node| TcpStream::connect(node).ok()))
                {
                    both_ways(near, far);
                }
            }
        });
        Self { nodes, address }
    }

    fn replace(&self, former: &str, node: &Server) {
        let mut nodes = self.nodes.lock().unwrap();
        let place = nodes.iter().position(|address| address == former).unwrap();
        nodes[place].clone_from(&node.address);
    }
}

fn both_ways(near: TcpStream, far: TcpStream) {
    for (from, to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
        std::thread::spawn(move || pass_on(from, to));
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // Also when a node died in the middle of an answer: its client has to learn that nothing more comes.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

#[test]
fn a_minute_of_kills_under_a_mixed_load_loses_nothing_and_signs_nobody_out() {
    let postgres = Postgres::start();
    let place = place_on(&postgres.url());
    let mut nodes: Vec<Server> = (0..3).map(|_| place.serve()).collect();
    let mut workers = workers(&place, &nodes[0]);
    let proxy = RoundRobin::before(&nodes);
    let begun = Instant::now();
    let (answered, mut kills) = (mpsc::channel(), 0_usize);
    std::thread::scope(|scope| {
        let mut resting = Vec::new();
        for worker in &mut workers {
            let (stop, stopped) = mpsc::channel::<()>();
            resting.push(stop);
            let (address, answers) = (proxy.address.as_str(), answered.0.clone());
            scope.spawn(move || {
                while stopped.recv_timeout(REST) == Err(RecvTimeoutError::Timeout) {
                    // What is not answered is tried again by the next steps.
                    if worker.work(address).is_some() {
                        answers.send(()).unwrap();
                    }
                }
            });
        }
        while begun.elapsed() < MINUTE {
            let next = Instant::now() + BETWEEN[kills % BETWEEN.len()];
            let mut answers = 0;
            while let Ok(()) = answered.1.recv_timeout(next.saturating_duration_since(Instant::now())) {
                answers += 1;
            }
            assert!(answers > 0, "nobody was served between two kills");
            let victim = nodes.remove(0);
            let former = victim.address.clone();
            victim.kill();
            nodes.push(place.serve());
            proxy.replace(&former, &nodes[2]);
            kills += 1;
        }
        drop(resting);
    });
    println!("{kills} kills");
    assert!(kills >= 6, "one every few seconds: {kills}");
    for node in nodes {
        check(&mut workers, &node);
        assert_eq!(node.stop(), Some(0));
    }
    assert!(place.run(&["audit", "verify"]).succeeds().out.contains("whole"));
}
