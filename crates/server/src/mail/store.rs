//! Rows of `outbox`.
//!
//! `next_attempt_at` is the queue: a row waits until then, a claimed row until its claim runs out, and a settled row for
//! ever, so that finding what is due never walks over what is done.
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements, Value};
use crate::ids::RowId;

type Result<T> = std::result::Result<T, DbError>;

/// `next_attempt_at` of a row that nobody has to look at again.
const NEVER: Timestamp = Timestamp(i64::MAX);

pub(super) struct NewMail<'a> {
    pub(super) id: RowId,
    /// The normalised address; empty in a decoy.
    pub(super) recipient: &'a str,
    pub(super) kind: &'static str,
    pub(super) payload: &'a [u8],
    pub(super) now: Timestamp,
    /// Kept to be looked at, never to be sent.
    pub(super) shelved: bool,
}

pub(super) async fn insert(db: &mut impl Statements, mail: &NewMail<'_>) -> Result<()> {
    let sql = "insert into outbox (id, recipient, kind, payload, attempts, created_at, next_attempt_at, given_up_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let params = [
        mail.id.into(),
        mail.recipient.into(),
        mail.kind.into(),
        mail.payload.into(),
        0.into(),
        mail.now.into(),
        if mail.shelved { NEVER.into() } else { mail.now.into() },
        mail.shelved.then_some(mail.now).into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

/// A mail that waits.
pub(super) struct Due {
    pub(super) id: RowId,
    pub(super) recipient: String,
    pub(super) kind: String,
    pub(super) payload: Vec<u8>,
    pub(super) attempts: i64,
    pub(super) created_at: Timestamp,
    /// What [`claim`] compares.
    pub(super) next_attempt_at: Timestamp,
}

/// What has to be tried now, longest due first.
pub(super) async fn due(db: &mut impl Statements, now: Timestamp, limit: i64) -> Result<Vec<Due>> {
    let sql = "select id, recipient, kind, payload, attempts, created_at, next_attempt_at from outbox
         where next_attempt_at <= $1 and payload is not null and sent_at is null and given_up_at is null
         order by next_attempt_at, id limit $2";
    db.query(sql, &[now.into(), limit.into()]).await?.into_iter().map(due_row).collect()
}

fn due_row(mut row: Row) -> Result<Due> {
    Ok(Due {
        id: row.row_id()?,
        recipient: row.text()?,
        kind: row.text()?,
        payload: row.bytes()?,
        attempts: row.int()?,
        created_at: row.time()?,
        next_attempt_at: row.time()?,
    })
}

/// Whether the row is now this node's alone, until the claim runs out. Clears the last error: a row that has one is not
/// being delivered.
pub(super) async fn claim(db: &mut impl Statements, mail: &Due, until: Timestamp) -> Result<bool> {
    let sql = "update outbox set next_attempt_at = $1, last_error = null
         where id = $2 and next_attempt_at = $3 and sent_at is null and given_up_at is null";
    let params = [until.into(), mail.id.into(), mail.next_attempt_at.into()];
    Ok(db.execute(sql, &params).await? == 1)
}

pub(super) async fn sent(db: &mut impl Statements, id: RowId, now: Timestamp) -> Result<()> {
    let sql = "update outbox set sent_at = $1, payload = null, next_attempt_at = $2, last_error = null
         where id = $3 and sent_at is null";
    db.execute(sql, &[now.into(), NEVER.into(), id.into()]).await.map(drop)
}

/// Puts a claimed row back; nothing when the claim ran out and somebody else has the row.
pub(super) async fn retry(
    db: &mut impl Statements,
    mail: &Due,
    claimed_until: Timestamp,
    at: Timestamp,
    error: &str,
) -> Result<()> {
    let sql = "update outbox set attempts = attempts + 1, next_attempt_at = $1, last_error = $2
         where id = $3 and next_attempt_at = $4 and sent_at is null and given_up_at is null";
    db.execute(sql, &[at.into(), error.into(), mail.id.into(), claimed_until.into()]).await.map(drop)
}

/// Nobody will get this mail any more, so its secrets go too.
pub(super) async fn give_up(db: &mut impl Statements, id: RowId, now: Timestamp, error: &str) -> Result<()> {
    let sql =
        "update outbox set attempts = attempts + 1, given_up_at = $1, payload = null, next_attempt_at = $2,
         last_error = $3 where id = $4 and sent_at is null and given_up_at is null";
    db.execute(sql, &[now.into(), NEVER.into(), error.into(), id.into()]).await.map(drop)
}

/// Makes due at once what waits only because the server could not be reached.
pub(super) async fn hurry(db: &mut impl Statements, now: Timestamp, error_prefix: &str) -> Result<u64> {
    let sql = "update outbox set next_attempt_at = $1
         where next_attempt_at > $1 and next_attempt_at < $2 and sent_at is null and given_up_at is null
         and last_error like $3";
    let pattern = format!("{error_prefix}%");
    db.execute(sql, &[now.into(), NEVER.into(), (&pattern).into()]).await
}

/// How many mails wait, how many of them after a failure, and since when the oldest.
pub(super) struct Waiting {
    pub(super) all: i64,
    pub(super) failed: i64,
    pub(super) oldest: Option<Timestamp>,
}

pub(super) async fn waiting(db: &mut impl Statements) -> Result<Waiting> {
    let sql = "select count(*), count(case when attempts > 0 then 1 end), min(created_at) from outbox
         where next_attempt_at < $1 and sent_at is null and given_up_at is null and recipient <> ''";
    match db.query_opt(sql, &[NEVER.into()]).await? {
        Some(mut row) => Ok(Waiting { all: row.int()?, failed: row.int()?, oldest: row.maybe_time()? }),
        None => Ok(Waiting { all: 0, failed: 0, oldest: None }),
    }
}

/// Mails to an address that anybody could have asked for, since two instants.
pub(super) async fn recent(
    db: &mut impl Statements,
    recipient: &str,
    since: Timestamp,
    long_since: Timestamp,
) -> Result<(i64, i64)> {
    let sql = "select count(case when created_at > $1 then 1 end), count(*) from outbox
         where recipient = $2 and created_at > $3
         and kind in ('verify_email', 'account_exists', 'password_reset', 'password_wanted', 'email_change_confirm', 'sign_in_link', 'invitation')";
    match db.query_opt(sql, &[since.into(), recipient.into(), long_since.into()]).await? {
        Some(mut row) => Ok((row.int()?, row.int()?)),
        None => Ok((0, 0)),
    }
}

/// A mail with its text, for the dev mailbox.
pub(super) struct Kept {
    pub(super) id: RowId,
    pub(super) payload: Vec<u8>,
    pub(super) created_at: Timestamp,
}

/// The newest mails that still have their text, possibly of one recipient.
pub(super) async fn kept(db: &mut impl Statements, recipient: Option<&str>, limit: i64) -> Result<Vec<Kept>> {
    let limit = Value::from(limit);
    let rows = match recipient {
        Some(recipient) => {
            let sql = "select id, payload, created_at from outbox
                 where recipient = $1 and payload is not null order by created_at desc, id desc limit $2";
            db.query(sql, &[recipient.into(), limit]).await?
        }
        None => {
            let sql = "select id, payload, created_at from outbox
                 where recipient <> '' and payload is not null order by created_at desc, id desc limit $1";
            db.query(sql, &[limit]).await?
        }
    };
    let kept = |mut row: Row| Ok(Kept { id: row.row_id()?, payload: row.bytes()?, created_at: row.time()? });
    rows.into_iter().map(kept).collect()
}

/// Removes the settled rows of a recipient.
pub(super) async fn forget(db: &mut impl Statements, recipient: &str) -> Result<()> {
    let sql = "delete from outbox where recipient = $1 and next_attempt_at = $2";
    db.execute(sql, &[recipient.into(), NEVER.into()]).await.map(drop)
}

/// Removes a batch of settled rows; returns how many.
pub(super) async fn purge(db: &mut impl Statements, before: Timestamp) -> Result<u64> {
    let sql = "delete from outbox where id in (select id from outbox
         where next_attempt_at = $1 and created_at < $2 order by created_at limit 500)";
    db.execute(sql, &[NEVER.into(), before.into()]).await
}
