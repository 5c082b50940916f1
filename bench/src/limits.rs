//! What the machine can do at all: hashes, and durable groups of the statements of a refresh.
use crate::Fallible;
use crate::machine;
use crate::seed;
use hallpass_crypto::password::{self, Memory, Params};
use rusqlite::Connection;
use std::path::Path;
use std::time::{Duration, Instant};

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

/// Refreshes a second without a server: compare-and-set and the read of the user, each pair in a savepoint, so many in
/// one durable commit, on one thread.
pub fn group_commit(database: &Path, sessions: i64, length: Duration) -> Fallible<f64> {
    let database = database.to_owned();
    on_measured_core(move || {
        let connection = Connection::open(database)?;
        connection.execute_batch(
            "pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 4000;",
        )?;
        let rounds = (seed::in_lane(sessions) / GROUP).clamp(1, 300);
        let (started, mut count) = (Instant::now(), 0_i64);
        while started.elapsed() < length {
            connection.execute_batch("begin immediate")?;
            let group = count / GROUP;
            for place in 0..GROUP {
                let number =
                    seed::number(sessions, seed::RAW, GROUP * rounds, place * rounds + group % rounds);
                connection.execute_batch("savepoint job")?;
                refresh(&connection, number, group / rounds)?;
                connection.execute_batch("release job")?;
            }
            connection.execute_batch("commit")?;
            count += GROUP;
        }
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        Ok(count as f64 / started.elapsed().as_secs_f64())
    })
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
