//! Sessions by the thousand or million, written straight into the database of a stopped server, with tokens that the
//! generator knows since it made the secret key.
use crate::Fallible;
use crate::server::SECRET_KEY;
use hallpass_crypto::digest::sha256;
use hallpass_crypto::ring::{KeyRing, Keys, Purpose};
use hallpass_crypto::secret::RefreshToken;
use rusqlite::Connection;
use std::path::Path;

/// A week in microseconds.
pub const WEEK: i64 = 7 * 86_400 * 1_000_000;
/// Sessions of a user.
const PER_USER: i64 = 10;

/// Each run has sessions of its own, spread over all: those whose number leaves this rest when divided.
const LANES: i64 = 8;
/// The lane of the raw group commit.
pub const RAW: i64 = 7;
/// The lane of SQLite alone.
pub const ALONE: i64 = 6;

/// Sessions of a lane.
pub fn in_lane(total: i64) -> i64 {
    total / LANES
}

/// The session at a place among so many of a lane, evenly spread.
pub fn number(total: i64, lane: i64, of: i64, place: i64) -> i64 {
    let stride = (in_lane(total) / of).max(1);
    place * stride * LANES + lane
}

/// Microseconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "measuring is about the machine's time")]
pub fn now_micros() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The keys of refresh tokens.
pub fn keys() -> Fallible<Keys> {
    Ok(KeyRing::new(SECRET_KEY.as_bytes(), &[])?.derive(Purpose::RefreshMac))
}

fn id_bytes(number: i64, kind: u8) -> [u8; 16] {
    let mut id = [0; 16];
    // Version 7 and a random-looking tail: ids of one time, in the order of the numbers.
    let digest = sha256(&number.to_be_bytes());
    id[..6].copy_from_slice(&(1_760_000_000_000_i64 + number).to_be_bytes()[2..]);
    id[6] = 0x70;
    id[7] = kind;
    id[8] = 0x80;
    id[9..].copy_from_slice(&digest[..7]);
    id
}

fn hyphened(id: [u8; 16]) -> String {
    let hex = data_encoding::HEXLOWER.encode(&id);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The id of a seeded session.
pub fn session_id(number: i64) -> String {
    hyphened(id_bytes(number, 1))
}

/// The token of a seeded session.
pub fn token(number: i64, generation: u32) -> RefreshToken {
    let random = sha256(&[&number.to_be_bytes()[..], b"token"].concat());
    RefreshToken::new(id_bytes(number, 1), generation, random)
}

/// Writes users and sessions as PostgreSQL copies them in.
pub fn text(users: &Path, sessions: &Path, count: i64) -> Fallible<()> {
    use std::io::{BufWriter, Write};
    let open = |path: &Path| std::fs::File::create(path).map(BufWriter::new);
    let (mut users, mut sessions, now) = (open(users)?, open(sessions)?, now_micros());
    for number in 0..count {
        let owner = hyphened(id_bytes(number / PER_USER, 2));
        if number % PER_USER == 0 {
            let email = format!("seed{number}@example.com");
            writeln!(users, "{owner}\t{email}\t{email}\t{now}\tuser\t{now}\t{now}")?;
        }
        let hash = data_encoding::HEXLOWER.encode(&token(number, 0).hash());
        let (id, end) = (session_id(number), now + WEEK);
        writeln!(
            sessions,
            "{id}\t{owner}\tfirst-party\t0\t\\\\x{hash}\t{now}\t127.0.0.1\tbench\tbody\tpwd\t{now}\t127.0.0.1\tbench\t{now}\t{now}\t{end}\t{end}"
        )?;
    }
    Ok(())
}

/// Adds users and sessions.
pub fn sessions(database: &Path, count: i64) -> Fallible<()> {
    let mut connection = Connection::open(database)?;
    connection.execute_batch("pragma synchronous = off; pragma cache_size = -262144;")?;
    let transaction = connection.transaction()?;
    let now = now_micros();
    {
        let mut user = transaction.prepare(
            "insert into users (id, email, email_normalised, email_verified_at, roles, created_at, updated_at)
             values (?1, ?2, ?2, ?3, 'user', ?3, ?3)",
        )?;
        let mut session = transaction.prepare(
            "insert into sessions (id, user_id, client_id, generation, current_hash, rotated_at, rotated_network,
             rotated_agent, delivery, amr, auth_time, ip, user_agent, created_at, last_seen_at, expires_at, absolute_expires_at)
             values (?1, ?2, 'first-party', 0, ?3, ?4, '127.0.0.1', 'bench', 'body', 'pwd', ?4, '127.0.0.1', 'bench', ?4, ?4,
             ?5, ?5)",
        )?;
        for number in 0..count {
            let owner = hyphened(id_bytes(number / PER_USER, 2));
            if number % PER_USER == 0 {
                user.execute((&owner, format!("seed{number}@example.com"), now))?;
            }
            session.execute((session_id(number), &owner, token(number, 0).hash(), now, now + WEEK))?;
        }
    }
    transaction.commit()?;
    connection.execute_batch("pragma wal_checkpoint(truncate)")?;
    Ok(())
}
