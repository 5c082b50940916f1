//! Session checks of more sessions than a node remembers: with every row from PostgreSQL, and with rows that another node
//! has left in Redis.
use crate::Fallible;
use crate::http::{Connection, field, request};
use crate::load::{Client, Outcome, run};
use crate::postgres::settings;
use crate::scenarios::CLIENTS;
use crate::seed;
use crate::server::Server;
use serde_json::json;
use std::rc::Rc;
use std::time::Duration;

/// Seeded sessions, of which those of one lane are checked: more than twice as many as a node remembers.
pub const SESSIONS: i64 = 320_000;
/// A node takes a row from Redis when it has heard nothing of it for 132 s (`docs/decisions/shared-rows.md`).
const SILENCE: Duration = Duration::from_secs(140);

/// A client that checks its share of the sessions in turn; the node has forgotten each by then.
#[derive(Clone)]
struct Checker {
    requests: Vec<Rc<[u8]>>,
    at: usize,
}

impl Client for Checker {
    async fn once(&mut self, connection: &mut Connection) -> Fallible<()> {
        let bytes = Rc::clone(&self.requests[self.at]);
        self.at = (self.at + 1) % self.requests.len();
        connection.send(&bytes).await?.good()?;
        Ok(())
    }
}

/// Checks on one node, which another node has just made as well. With the address of a Redis, after the silence that it takes.
pub async fn checks(url: &str, redis: Option<&str>, lane: i64, length: Duration) -> Fallible<Outcome> {
    let folder = tempfile::tempdir()?;
    let mut settings = settings(url);
    settings.extend(redis.map(|redis| ("HALLPASS_REDIS_URL", redis.to_owned())));
    let first = Server::hallpass_with(folder.path(), &settings).await?;
    let second = Server::hallpass_with(folder.path(), &settings).await?;
    let checkers = checkers(&first, lane).await?;
    if redis.is_some() {
        #[expect(clippy::disallowed_methods, reason = "nodes of their own, whose time cannot be moved")]
        tokio::time::sleep(SILENCE).await;
    }
    run(&first, checkers.clone(), length * 2, Duration::ZERO).await?;
    let measured = run(&second, checkers, length, Duration::ZERO).await?;
    first.stop().await?;
    second.stop().await?;
    Ok(measured)
}

/// Refreshes every session of a lane once and shares the access tokens out.
async fn checkers(node: &Server, lane: i64) -> Fallible<Vec<Checker>> {
    let keys = seed::keys()?;
    let mut checkers = vec![Checker { requests: Vec::new(), at: 0 }; CLIENTS];
    let mut connection = Connection::open(node.address).await?;
    let count = seed::in_lane(SESSIONS);
    for place in 0..count {
        let number = seed::number(SESSIONS, lane, count, place);
        let token = seed::token(number, 0).expose(&keys);
        let body = json!({ "refreshToken": token }).to_string();
        let answer = connection.send(&request("POST", "/api/v1/refresh", None, &body)).await?;
        let access = field(answer.good()?, "accessToken")?.to_owned();
        let client = usize::try_from(place)? % CLIENTS;
        checkers[client].requests.push(request("GET", "/api/v1/me", Some(&access), "").into());
    }
    Ok(checkers)
}
