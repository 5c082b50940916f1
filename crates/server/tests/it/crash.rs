//! What was answered stays true: killed processes, full disks, locked files, clocks that jump.
mod embedded;

use crate::cli::process::{Place, Server};
use crate::support::{PASSWORD, TestApp};
use hallpass::db::{Db, Options};
use serde_json::{Value, json};
use std::sync::mpsc;
use std::time::Duration;

const ANN: &str = "ann@example.com";
const ROUNDS: u32 = 20;
const WORKERS: u32 = 4;

/// What a client knows for sure, and what it does not know because the answer never came.
pub struct Worker {
    email: String,
    access: String,
    refresh: String,
    /// Names that may be stored: the last acknowledged one and what was sent since.
    names: Vec<String>,
    /// Sessions that were acknowledged as begun, or as ended.
    live: Vec<String>,
    ended: Vec<String>,
    /// Mails that were promised.
    mails: usize,
    step: u32,
}

impl Worker {
    /// The address of a worker's account.
    pub fn email(number: u32) -> String {
        format!("user{number}@example.com")
    }

    pub fn new(server: &Server, number: u32) -> Self {
        let email = Self::email(number);
        let (status, answer) = server.send("POST", "/api/v1/login", "", &credentials(&email));
        assert_eq!(status, 200, "{answer}");
        Self {
            access: text(&answer, "accessToken"),
            refresh: text(&answer, "refreshToken"),
            names: vec![String::new()],
            live: Vec::new(),
            ended: Vec::new(),
            mails: 0,
            step: number,
            email,
        }
    }

    /// Does one thing; `None` when it was not acknowledged: the server is gone, or says that it cannot do it now.
    pub fn work(&mut self, server: &str) -> Option<()> {
        self.step += 1;
        match self.step % 8 {
            0 | 3 => self.refresh(server),
            1 | 4 => self.rename(server),
            2 => self.sign_in(server),
            5 => self.sign_out(server),
            6 => self.look(server),
            _ => self.forget_password(server),
        }
    }

    fn refresh(&mut self, server: &str) -> Option<()> {
        let body = json!({ "refreshToken": self.refresh });
        let (status, answer) = acknowledged(server, "POST", "/api/v1/refresh", "", &body)?;
        assert_eq!(status, 200, "{}: no honest client is signed out: {answer}", self.email);
        self.access = text(&answer, "accessToken");
        self.refresh = text(&answer, "refreshToken");
        Some(())
    }

    fn rename(&mut self, server: &str) -> Option<()> {
        let name = format!("name {}", self.step);
        self.names.push(name.clone());
        let (status, answer) =
            acknowledged(server, "PATCH", "/api/v1/me", &self.access, &json!({ "name": name }))?;
        assert_eq!(status, 200, "{answer}");
        self.names = vec![name];
        Some(())
    }

    fn sign_in(&mut self, server: &str) -> Option<()> {
        let (status, answer) = acknowledged(server, "POST", "/api/v1/login", "", &credentials(&self.email))?;
        assert_eq!(status, 200, "{answer}");
        self.live.push(text(&answer, "accessToken"));
        Some(())
    }

    fn sign_out(&mut self, server: &str) -> Option<()> {
        let Some(token) = self.live.pop() else { return Some(()) };
        let (status, answer) = acknowledged(server, "POST", "/api/v1/logout", &token, &json!({}))?;
        assert_eq!(status, 200, "{answer}");
        self.ended.push(token);
        Some(())
    }

    fn look(&mut self, server: &str) -> Option<()> {
        let (status, answer) = acknowledged(server, "GET", "/api/v1/me", &self.access, &Value::Null)?;
        assert_eq!(status, 200, "{}: no honest client is signed out: {answer}", self.email);
        // The last ones may still be accepted elsewhere, for a second at most.
        let [earlier @ .., _, _] = self.ended.as_slice() else { return Some(()) };
        let Some(token) = earlier.get(self.step as usize % earlier.len().max(1)) else { return Some(()) };
        let (status, answer) = acknowledged(server, "GET", "/api/v1/me", token, &Value::Null)?;
        assert_eq!(status, 401, "{}: a session that was ended stays ended: {answer}", self.email);
        Some(())
    }

    fn forget_password(&mut self, server: &str) -> Option<()> {
        let body = json!({ "email": self.email });
        let (status, answer) = acknowledged(server, "POST", "/api/v1/password/forgot", "", &body)?;
        assert_eq!(status, 202, "{answer}");
        self.mails += 1;
        Some(())
    }

    /// Everything that was acknowledged is true.
    pub fn check(&mut self, server: &Server) {
        self.refresh(&server.address).expect("the server is up");
        let (status, me) = server.send("GET", "/api/v1/me", &self.access, &Value::Null);
        assert_eq!(status, 200, "{me}");
        let name = me["user"]["name"].as_str().unwrap_or_default();
        assert!(self.names.iter().any(|known| known == name), "{name} is none of {:?}", self.names);
        for token in &self.live {
            let (status, answer) = server.send("GET", "/api/v1/me", token, &Value::Null);
            assert_eq!(status, 200, "{}: a session that was answered lives: {answer}", self.email);
        }
        for token in &self.ended {
            assert_eq!(server.me(token), 401, "{}: a session that was ended stays ended", self.email);
        }
        let path = format!("/dev/mailbox.json?to={}", self.email);
        let (_, mailbox) = server.send("GET", &path, "", &Value::Null);
        let mails = mailbox["messages"].as_array().unwrap().iter();
        let found = mails.filter(|mail| mail["subject"].as_str().unwrap().contains("password")).count();
        assert!(found >= self.mails, "{}: {found} of {} promised mails", self.email, self.mails);
    }
}

/// Sends a request; `None` when there was no answer, or one that says to try again.
fn acknowledged(server: &str, method: &str, path: &str, bearer: &str, body: &Value) -> Option<(u16, Value)> {
    Server::try_send(server, method, path, bearer, body).filter(|(status, _)| *status != 503)
}

fn credentials(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "tokenDelivery": "body" })
}

fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap().to_owned()
}

/// Lets the workers work until the server dies, which it does after so many answers.
fn work_until_killed(server: Server, workers: &mut [Worker], answers: u32) {
    let (sender, answered) = mpsc::channel();
    let address = server.address.clone();
    std::thread::scope(|scope| {
        for worker in workers {
            let (sender, address) = (sender.clone(), address.as_str());
            scope.spawn(move || {
                while worker.work(address).is_some() {
                    // Nobody listens any more once the server is dead.
                    let _ = sender.send(());
                }
            });
        }
        for _ in 0..answers {
            answered.recv().unwrap();
        }
        server.kill();
    });
}

#[test]
fn killed_at_twenty_moments_of_a_mixed_load_nothing_acknowledged_is_lost() {
    // The port differs after each start, and tokens name their issuer.
    let place = Place::migrated().set("HALLPASS_LIMITS__ENABLED", "false");
    let place = place.set("HALLPASS_PUBLIC_URL", "http://localhost:3000");
    for number in 0..WORKERS {
        place.add_user(&Worker::email(number));
    }
    let mut server = place.serve();
    let mut workers: Vec<Worker> = (0..WORKERS).map(|number| Worker::new(&server, number)).collect();
    for round in 0..ROUNDS {
        // Spread, and different each time the test runs, since threads and disk are never the same twice.
        work_until_killed(server, &mut workers, 1 + (round * 37) % 90);
        server = place.serve();
        for worker in &mut workers {
            worker.check(&server);
        }
    }
    assert_eq!(server.stop(), Some(0));
    let db = Db::open(&format!("sqlite:{}", place.database().display()), &Options::default()).unwrap();
    assert_eq!(db.check().unwrap(), Vec::<String>::new());
    assert!(place.run(&["audit", "verify"]).succeeds().out.contains("whole"));
}

#[tokio::test]
async fn a_clock_that_jumps_back_and_forth_signs_nobody_out_and_opens_nothing() {
    let server = TestApp::start().await;
    let mut client = server.signed_in(ANN).await;
    let mut ended = server.sign_in(ANN).await;
    ended.post_nothing("/api/v1/logout").await;
    let hour = Duration::from_secs(3600);
    for _ in 0..3 {
        for step in [-1, 1] {
            if step < 0 {
                server.clock.step_back(hour);
            } else {
                server.advance(hour);
            }
            assert_eq!(client.refresh().await.status, 200);
            assert_eq!(client.get("/api/v1/me").await.status, 200);
            assert_eq!(ended.get("/api/v1/me").await.status, 401);
            assert_eq!(ended.refresh().await.code(), "session_revoked");
        }
    }
    // Ids and the chain of events keep their order.
    let report = hallpass::audit::verify(&server.app, &[]).await.unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    server.clock.step_back(Duration::from_secs(20));
    assert_eq!(client.get("/api/v1/me").await.status, 200, "a small step is within the leeway");
}

#[tokio::test]
async fn a_clock_that_jumps_back_does_not_make_anybody_wait_for_ever() {
    let server = TestApp::start().await;
    server.sign_up(ANN).await;
    let wrong = json!({ "email": ANN, "password": "not-the-password-at-all" });
    for _ in 0..5 {
        assert_eq!(server.client().post("/api/v1/login", wrong.clone()).await.status, 401);
    }
    server.clock.step_back(Duration::from_secs(365 * 86_400));
    let limited = server.client().post("/api/v1/login", wrong.clone()).await;
    let wait: u64 = limited.header("retry-after").parse().unwrap();
    assert!(limited.status == 429 && wait <= 3601, "waits {wait} s");
}
