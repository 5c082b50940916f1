//! What the machine can do at all: hashes, and durable groups of the statements of a refresh.
use crate::Fallible;
use crate::machine;
use crate::seed;
use hallpass_crypto::password::{self, Memory, Params};
use rusqlite::Connection;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Statements that share a commit, as under 64 clients.
const GROUP: i64 = 64;

/// Hashes a second of one thread on the measured core.
pub fn argon2(length: Duration) -> Fallible<f64> {
    on_measured_core(move || {
        let mut memory = Memory::for_params(&Params::DEFAULT);
        let (started, mut count) = (Instant::now(), 0_u32);
        while started.elapsed() < length {
            let hash = password::hash("plenty-of-walnut-trees", &Params::DEFAULT, None, [7; 16], &mut memory);
            count += u32::from(hash.is_ok());
        }
        Ok(f64::from(count) / started.elapsed().as_secs_f64())
    })
}

/// Refreshes a second without a server.
pub struct Storage {
    /// By one thread in a loop, 64 in each durable commit: what SQLite and the disk can do at all.
    pub alone: f64,
    /// By 64 clients who each wait for their own, those that wait sharing a commit: group commit with nothing around it.
    pub group_commit: f64,
}

/// Measures both, each on sessions of its own.
pub fn storage(database: &Path, sessions: i64, length: Duration) -> Fallible<Storage> {
    let (first, second) = (database.to_owned(), database.to_owned());
    Ok(Storage {
        alone: on_measured_core(move || alone(&first, sessions, length))?,
        group_commit: on_measured_core(move || group_commit(&second, sessions, length))?,
    })
}

fn open(database: &Path) -> Fallible<Connection> {
    let connection = Connection::open(database)?;
    let setup = "pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 4000;";
    connection.execute_batch(setup)?;
    Ok(connection)
}

/// A statement that needs no values, prepared once.
fn plain(connection: &Connection, sql: &str) -> Fallible<()> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// The sessions of a lane in turn: the place of a client and how often it was there.
fn turn(sessions: i64, lane: i64, place: i64, count: i64) -> (i64, i64) {
    let rounds = (seed::in_lane(sessions) / GROUP).clamp(1, 300);
    let number = seed::number(sessions, lane, GROUP * rounds, place * rounds + count % rounds);
    (number, count / rounds)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn alone(database: &Path, sessions: i64, length: Duration) -> Fallible<f64> {
    let connection = open(database)?;
    let (started, mut group) = (Instant::now(), 0_i64);
    while started.elapsed() < length {
        plain(&connection, "begin immediate")?;
        for place in 0..GROUP {
            let (number, generation) = turn(sessions, seed::ALONE, place, group);
            job(&connection, number, generation)?;
        }
        plain(&connection, "commit")?;
        group += 1;
    }
    Ok((group * GROUP) as f64 / started.elapsed().as_secs_f64())
}

fn job(connection: &Connection, number: i64, generation: i64) -> Fallible<()> {
    plain(connection, "savepoint job")?;
    refresh(connection, number, generation)?;
    plain(connection, "release job")
}

/// What a client asks the writer for, and where it waits.
type Job = (i64, i64, oneshot::Sender<()>);

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn group_commit(database: &Path, sessions: i64, length: Duration) -> Fallible<f64> {
    let (jobs, waiting) = std::sync::mpsc::channel::<Job>();
    let database = database.to_owned();
    // Inherits the core of the thread that measures.
    let writer = std::thread::spawn(move || write_groups(&database, &waiting));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let local = tokio::task::LocalSet::new();
    let started = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for place in 0..GROUP {
        let jobs = jobs.clone();
        let client = async move {
            let mut count = 0;
            while started.elapsed() < length {
                let (number, generation) = turn(sessions, seed::RAW, place, count);
                let (answer, answered) = oneshot::channel();
                jobs.send((number, generation, answer))?;
                answered.await?;
                count += 1;
            }
            Fallible::Ok(count)
        };
        clients.spawn_local_on(client, &local);
    }
    drop(jobs);
    let total = runtime.block_on(local.run_until(async {
        let mut total = 0;
        while let Some(client) = clients.join_next().await {
            total += client??;
        }
        Fallible::Ok(total)
    }))?;
    let seconds = started.elapsed().as_secs_f64();
    writer.join().map_err(|_| "the writer panicked")??;
    Ok(total as f64 / seconds)
}

/// Commits together whatever has come meanwhile, then answers.
fn write_groups(database: &Path, waiting: &std::sync::mpsc::Receiver<Job>) -> Fallible<()> {
    let connection = open(database)?;
    while let Ok(first) = waiting.recv() {
        plain(&connection, "begin immediate")?;
        let mut answers = Vec::new();
        for (number, generation, answer) in std::iter::once(first).chain(waiting.try_iter()) {
            job(&connection, number, generation)?;
            answers.push(answer);
        }
        plain(&connection, "commit")?;
        for answer in answers {
            // A client that has ended does not hear it.
            let _ = answer.send(());
        }
    }
    Ok(())
}

/// The statements of one refresh, as `sessions/store.rs` and `users/store.rs` have them.
fn refresh(connection: &Connection, number: i64, generation: i64) -> Fallible<()> {
    let hash = |generation: i64| [&generation.to_be_bytes()[..], &[9; 24]].concat();
    let current: Vec<u8> =
        if generation == 0 { seed::token(number, 0).hash().to_vec() } else { hash(generation) };
    let sql = "update sessions set generation = generation + 1, current_hash = ?3, previous_hash = current_hash,
        handover = ?4, rotated_at = ?5, rotated_network = ?6, rotated_agent = ?7, confirmed_at = null, last_seen_at = ?5,
        expires_at = case when absolute_expires_at < ?8 then absolute_expires_at else ?8 end
        where id = ?1 and current_hash = ?2 and revoked_at is null and expires_at > ?5
        returning id, user_id, client_id, generation, confirmed_at, delivery, amr, auth_time, ip, user_agent,
        device_name, created_at, last_seen_at, expires_at, absolute_expires_at, revoked_at";
    let now = seed::now_micros();
    let mut statement = connection.prepare_cached(sql)?;
    let user: String = statement.query_row(
        (
            seed::session_id(number),
            current,
            hash(generation + 1),
            [7_u8; 110],
            now,
            "127.0.0.1",
            "bench",
            now + seed::WEEK,
        ),
        |row| row.get(1),
    )?;
    let sql = "select id, email, email_normalised, email_verified_at, username, name, roles, disabled_at, created_at,
        last_login_at from users where id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let email: String = statement.query_row([user], |row| row.get(1))?;
    std::hint::black_box(email);
    Ok(())
}

fn on_measured_core<T: Send + 'static>(work: impl FnOnce() -> Fallible<T> + Send + 'static) -> Fallible<T> {
    let thread = std::thread::spawn(move || {
        machine::pin(machine::MEASURED)?;
        work()
    });
    thread.join().map_err(|_| "a measuring thread panicked")?
}
