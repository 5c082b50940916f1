//! `make bench`: starts a release server on a temporary folder, loads it from this process, prints a table.
//!
//! Figures are per second of wall time and microseconds of server CPU per request; the latter are the steady ones.
mod http;
mod server;

use hallpass_crypto::password::{self, Memory, Params};
use http::Connection;
use serde_json::{Value, json};
use server::Server;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PASSWORD: &str = "plenty-of-walnut-trees";
const RUN: Duration = Duration::from_secs(5);
const CLIENTS: usize = 64;

#[tokio::main]
async fn main() -> Fallible<()> {
    let server = Server::start().await?;
    let idle = server.memory_kib()?;
    let rows = vec![
        row("cold start, new database, ms", server.cold_start.as_secs_f64() * 1000.0, None),
        row("memory idle, MiB", mib(idle), None),
        raw_argon2(),
        login(&server).await?,
        session_check(&server).await?,
        refresh(&server).await?,
        row("memory after load, MiB", mib(server.memory_kib()?), None),
    ];
    server.stop().await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "| what | figure | server CPU us each |\n| --- | ---: | ---: |")?;
    for row in rows {
        let cpu = row.cpu_micros.map_or_else(String::new, |micros| format!("{micros:.1}"));
        writeln!(out, "| {} | {:.1} | {cpu} |", row.what, row.figure)?;
    }
    Ok(())
}

struct Row {
    what: &'static str,
    figure: f64,
    cpu_micros: Option<f64>,
}

fn row(what: &'static str, figure: f64, cpu_micros: Option<f64>) -> Row {
    Row { what, figure, cpu_micros }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// The physical limit of sign-ins: hashes of one thread with nothing around them.
fn raw_argon2() -> Row {
    let mut memory = Memory::for_params(&Params::DEFAULT);
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < RUN / 2 {
        let hash = password::hash(PASSWORD, &Params::DEFAULT, None, [7; 16], &mut memory);
        count += u32::from(hash.is_ok());
    }
    row("raw argon2id, 1 thread, /s", f64::from(count) / started.elapsed().as_secs_f64(), None)
}

async fn account(server: &Server, email: &str) -> Fallible<()> {
    let mut connection = Connection::open(server.address).await?;
    let body = json!({ "email": email, "password": PASSWORD });
    let answer = connection.post("/api/v1/register", None, &body).await?;
    let mailbox = connection.get(&format!("/dev/mailbox.json?to={email}"), None).await?;
    let code = mailbox["messages"][0]["codes"][0].as_str().ok_or("no code in the mailbox")?;
    let body = json!({ "email": email, "code": code, "registration": answer["registration"] });
    connection.post("/api/v1/verify-email", None, &body).await?;
    Ok(())
}

async fn sign_in(connection: &mut Connection, email: &str) -> Fallible<Value> {
    let body = json!({ "email": email, "password": PASSWORD, "tokenDelivery": "body" });
    connection.post("/api/v1/login", None, &body).await
}

async fn login(server: &Server) -> Fallible<Row> {
    account(server, "login@example.com").await?;
    load(server, "sign-in, 8 clients, /s", 8, |mut connection, _| async move {
        sign_in(&mut connection, "login@example.com").await?;
        Ok(connection)
    })
    .await
}

async fn session_check(server: &Server) -> Fallible<Row> {
    account(server, "check@example.com").await?;
    let mut connection = Connection::open(server.address).await?;
    let tokens = sign_in(&mut connection, "check@example.com").await?;
    let access: Arc<str> = tokens["accessToken"].as_str().ok_or("no access token")?.into();
    load(server, "session check, 64 clients, /s", CLIENTS, move |mut connection, _| {
        let access = Arc::clone(&access);
        async move {
            connection.get("/api/v1/me", Some(&access)).await?;
            Ok(connection)
        }
    })
    .await
}

async fn refresh(server: &Server) -> Fallible<Row> {
    account(server, "refresh@example.com").await?;
    let mut connection = Connection::open(server.address).await?;
    let mut tokens = Vec::new();
    for _ in 0..CLIENTS {
        let answer = sign_in(&mut connection, "refresh@example.com").await?;
        let token = answer["refreshToken"].as_str().ok_or("no refresh token")?.to_owned();
        tokens.push(tokio::sync::Mutex::new(token));
    }
    let tokens = Arc::new(tokens);
    load(server, "refresh, 64 clients, /s", CLIENTS, move |mut connection, client| {
        let tokens = Arc::clone(&tokens);
        async move {
            let mut token = tokens[client].lock().await;
            let answer = connection.post("/api/v1/refresh", None, &json!({ "refreshToken": *token })).await?;
            answer["refreshToken"].as_str().ok_or("no refresh token")?.clone_into(&mut token);
            drop(token);
            Ok(connection)
        }
    })
    .await
}

/// Repeats a request on so many connections for a while.
async fn load<F, R>(server: &Server, what: &'static str, clients: usize, request: F) -> Fallible<Row>
where
    F: Fn(Connection, usize) -> R + Send + Sync + 'static,
    R: Future<Output = Fallible<Connection>> + Send + 'static,
{
    let (request, done) = (Arc::new(request), Arc::new(AtomicU64::new(0)));
    let (cpu, started) = (server.cpu()?, Instant::now());
    let mut tasks = Vec::new();
    for client in 0..clients {
        let (request, done) = (Arc::clone(&request), Arc::clone(&done));
        let mut connection = Connection::open(server.address).await?;
        tasks.push(tokio::spawn(async move {
            while started.elapsed() < RUN {
                connection = request(connection, client).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Fallible::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), server.cpu()?.saturating_sub(cpu));
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let count = done.load(Ordering::Relaxed) as f64;
    Ok(row(what, count / seconds, Some(cpu.as_secs_f64() * 1e6 / count)))
}
