//! What clients of Hallpass do under measurement.
use crate::Fallible;
use crate::http::{Connection, field, request};
use crate::limits::{self, Storage};
use crate::load::{Client, Outcome, Same, run};
use crate::seed;
use crate::server::Server;
use hallpass_crypto::ring::Keys;
use serde_json::json;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// A password that every rule accepts.
pub const PASSWORD: &str = "plenty-of-walnut-trees";
/// Connections of a load.
pub const CLIENTS: usize = 64;
/// Connections that hammer sign-in.
const FLOOD: usize = 16;
/// Time between two requests of one of 16 connections under a modest load: 800 a second.
const MODEST: (usize, Duration) = (16, Duration::from_millis(20));

/// Makes an account through the API.
pub async fn account(server: &Server, email: &str) -> Fallible<()> {
    let mut connection = Connection::open(server.address).await?;
    let answer =
        connection.post("/api/v1/register", &json!({ "email": email, "password": PASSWORD })).await?;
    let mailbox = connection.get(&format!("/dev/mailbox.json?to={email}"), None).await?;
    let code = mailbox["messages"][0]["codes"][0].as_str().ok_or("no code in the mailbox")?;
    let proof = json!({ "email": email, "code": code, "registration": answer["registration"] });
    connection.post("/api/v1/verify-email", &proof).await?;
    Ok(())
}

/// A rendered sign-in.
pub fn login_request(email: &str, password: &str) -> Rc<[u8]> {
    let body = json!({ "email": email, "password": password, "tokenDelivery": "body" });
    request("POST", "/api/v1/login", None, &body.to_string()).into()
}

async fn access_token(server: &Server, email: &str) -> Fallible<String> {
    let mut connection = Connection::open(server.address).await?;
    let answer = connection.send(&login_request(email, PASSWORD)).await?;
    Ok(field(answer.good()?, "accessToken")?.to_owned())
}

fn same(bytes: &[u8], clients: usize) -> Vec<Same> {
    let shared: Rc<[u8]> = bytes.into();
    vec![Same(shared); clients]
}

/// A GET without credentials.
pub async fn plain(server: &Server, path: &str, length: Duration) -> Fallible<Outcome> {
    run(server, same(&request("GET", path, None, ""), CLIENTS), length, Duration::ZERO).await
}

/// Session checks of `CLIENTS` sessions, each its own.
async fn checkers(server: &Server, email: &str, clients: usize) -> Fallible<Vec<Same>> {
    let mut checkers = Vec::new();
    for _ in 0..clients {
        let access = access_token(server, email).await?;
        checkers.push(Same(request("GET", "/api/v1/me", Some(&access), "").into()));
    }
    Ok(checkers)
}

/// `GET /api/v1/me` with Bearer.
pub async fn session_check(server: &Server, length: Duration) -> Fallible<Outcome> {
    account(server, "check@example.com").await?;
    run(server, checkers(server, "check@example.com", CLIENTS).await?, length, Duration::ZERO).await
}

/// So many more session checks; returns when they are done.
pub async fn many_checks(server: &Server, count: usize) -> Fallible<()> {
    let mut left = count;
    let access = access_token(server, "check@example.com").await?;
    let bytes: Rc<[u8]> = request("GET", "/api/v1/me", Some(&access), "").into();
    let local = tokio::task::LocalSet::new();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let mut connection = Connection::open(server.address).await?;
        let (bytes, share) = (Rc::clone(&bytes), count.div_ceil(CLIENTS).min(left));
        left -= share;
        let work = async move {
            for _ in 0..share {
                connection.send(&bytes).await?.good()?;
            }
            Fallible::Ok(())
        };
        tasks.spawn_local_on(work, &local);
    }
    local
        .run_until(async {
            while let Some(task) = tasks.join_next().await {
                task??;
            }
            Ok(())
        })
        .await
}

/// A client that refreshes its share of the seeded sessions in turn.
pub struct Refresher {
    keys: Rc<Keys>,
    sessions: Vec<(i64, Option<String>)>,
    at: usize,
}

impl Client for Refresher {
    async fn once(&mut self, connection: &mut Connection) -> Fallible<()> {
        let index = self.at;
        self.at = (self.at + 1) % self.sessions.len();
        let (number, current) = &mut self.sessions[index];
        let presented = current.take().unwrap_or_else(|| seed::token(*number, 0).expose(&self.keys));
        let body = format!("{{\"refreshToken\":\"{presented}\"}}");
        let answer = connection.send(&request("POST", "/api/v1/refresh", None, &body)).await?;
        *current = Some(field(answer.good()?, "refreshToken")?.to_owned());
        Ok(())
    }
}

/// Clients that refresh sessions of one lane, spread over all the seeded ones, `most` each.
pub fn refreshers(total: i64, lane: i64, clients: usize, most: usize) -> Fallible<Vec<Refresher>> {
    let keys = Rc::new(seed::keys()?);
    let each = (usize::try_from(seed::in_lane(total))? / clients).clamp(1, most);
    let refresher = |client: usize| -> Fallible<Refresher> {
        let places = (0..each).map(|turn| i64::try_from(turn * clients + client));
        let places: Vec<i64> = places.collect::<Result<_, _>>()?;
        let count = i64::try_from(clients * each)?;
        let session = |place: i64| (seed::number(total, lane, count, place), None);
        Ok(Refresher { keys: Rc::clone(&keys), sessions: places.into_iter().map(session).collect(), at: 0 })
    };
    (0..clients).map(refresher).collect()
}

/// Sign-ins on 8 connections. The rate is all that counts: hashing is most of the work.
pub async fn login(server: &Server, length: Duration) -> Fallible<Outcome> {
    account(server, "login@example.com").await?;
    let clients = vec![Same(login_request("login@example.com", PASSWORD)); 8];
    run(server, clients, length, Duration::ZERO).await
}

/// Session check or refresh, quiet and while 16 clients hammer sign-in.
pub struct Flooded {
    /// As fast as it goes, quiet.
    pub quiet: Outcome,
    /// As fast as it goes, under the flood.
    pub hammered: Outcome,
    /// At 800 a second, quiet.
    pub calm: Outcome,
    /// At 800 a second, under the flood.
    pub pressed: Outcome,
}

/// A client that signs in with the right or a wrong password and takes whatever it gets.
struct Hammer(Rc<[u8]>);

impl Client for Hammer {
    async fn once(&mut self, connection: &mut Connection) -> Fallible<()> {
        connection.send(&self.0).await.map(drop)
    }
}

fn hammers() -> Vec<Hammer> {
    let password = |number| if number % 2 == 0 { PASSWORD } else { "wrong-wrong-wrong" };
    (0..FLOOD).map(|number| Hammer(login_request("flood@example.com", password(number)))).collect()
}

async fn under_flood<C: Client + 'static>(
    server: &Server,
    clients: Vec<C>,
    length: Duration,
    pace: Duration,
) -> Fallible<Outcome> {
    let flood = run(server, hammers(), length + Duration::from_millis(500), Duration::ZERO);
    let measured = async {
        let begun = tokio::time::Instant::now() + Duration::from_millis(250);
        tokio::time::sleep_until(begun).await;
        run(server, clients, length, pace).await
    };
    let (flood, measured) = tokio::join!(flood, measured);
    flood?;
    measured
}

/// Session checks beside a flood of sign-ins.
pub async fn flooded_checks(server: &Server, length: Duration) -> Fallible<Flooded> {
    account(server, "flood@example.com").await?;
    let (few, pace) = MODEST;
    let many = checkers(server, "check@example.com", CLIENTS).await?;
    let some = many[..few].to_vec();
    Ok(Flooded {
        calm: run(server, some.clone(), length, pace).await?,
        quiet: run(server, many.clone(), length, Duration::ZERO).await?,
        pressed: under_flood(server, some, length, pace).await?,
        hammered: under_flood(server, many, length, Duration::ZERO).await?,
    })
}

/// Refreshes beside a flood of sign-ins; every run has sessions of its own.
pub async fn flooded_refreshes(server: &Server, total: i64, length: Duration) -> Fallible<Flooded> {
    let (few, pace) = MODEST;
    Ok(Flooded {
        calm: run(server, refreshers(total, 1, few, 1)?, length, pace).await?,
        quiet: run(server, refreshers(total, 2, CLIENTS, 1)?, length, Duration::ZERO).await?,
        pressed: under_flood(server, refreshers(total, 3, few, 1)?, length, pace).await?,
        hammered: under_flood(server, refreshers(total, 4, CLIENTS, 1)?, length, Duration::ZERO).await?,
    })
}

/// Refresh and raw group commit on databases of so many sessions.
pub struct Scale {
    /// Sessions in the database.
    pub sessions: i64,
    /// Through the server, each client with one session.
    pub refresh: Outcome,
    /// The same over many sessions, so that every refresh meets pages that were not in use before.
    pub spread: Outcome,
    /// How many sessions that was.
    pub in_use: u32,
    /// The same statements without a server.
    pub raw: Storage,
}

/// Seeds a fresh database with so many sessions and refreshes them.
pub async fn scale(folder: &Path, sessions: i64, length: Duration) -> Fallible<Scale> {
    let server = Server::hallpass(folder).await?;
    server.stop().await?;
    let database = folder.join("hallpass.db");
    seed::sessions(&database, sessions)?;
    let raw = limits::storage(&database, sessions, length)?;
    let server = Server::hallpass(folder).await?;
    let refresh = run(&server, refreshers(sessions, 5, CLIENTS, 1)?, length, Duration::ZERO).await?;
    let many = refreshers(sessions, 0, CLIENTS, 300)?;
    let in_use = u32::try_from(many.iter().map(|client| client.sessions.len()).sum::<usize>())?;
    let spread = run(&server, many, length, Duration::ZERO).await?;
    server.stop().await?;
    Ok(Scale { sessions, refresh, spread, in_use, raw })
}
