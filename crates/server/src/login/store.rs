//! Rows of `pending_registrations`.
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements};
use crate::ids::RowId;
use crate::names::Email;

type Result<T> = std::result::Result<T, DbError>;

pub(super) struct NewPending<'a> {
    pub(super) id: RowId,
    pub(super) email: &'a Email,
    pub(super) username: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) password_hash: &'a str,
    pub(super) link_hash: Option<[u8; 32]>,
    pub(super) code_mac: [u8; 32],
    pub(super) code_expires_at: Timestamp,
    pub(super) client_hash: [u8; 32],
    pub(super) now: Timestamp,
    pub(super) expires_at: Timestamp,
}

pub(super) struct Pending {
    pub(super) id: RowId,
    pub(super) email: String,
    pub(super) username: Option<String>,
    pub(super) name: Option<String>,
    pub(super) password_hash: String,
    pub(super) code_mac: [u8; 32],
    pub(super) client_hash: [u8; 32],
}

fn pending(mut row: Row) -> Result<Pending> {
    Ok(Pending {
        id: row.row_id()?,
        email: row.text()?,
        username: row.maybe_text()?,
        name: row.maybe_text()?,
        password_hash: row.text()?,
        code_mac: row.digest()?,
        client_hash: row.digest()?,
    })
}

pub(super) async fn insert(db: &mut impl Statements, new: &NewPending<'_>) -> Result<()> {
    let sql = "insert into pending_registrations (id, email, email_normalised, username, name, password_hash,
         link_hash, code_mac, code_expires_at, failed_tries, client_hash, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12)";
    let params = [
        new.id.into(),
        (&new.email.typed).into(),
        (&new.email.normalised).into(),
        new.username.into(),
        new.name.into(),
        new.password_hash.into(),
        new.link_hash.as_ref().map(<[u8; 32]>::as_slice).into(),
        (&new.code_mac).into(),
        new.code_expires_at.into(),
        (&new.client_hash).into(),
        new.now.into(),
        new.expires_at.into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

pub(super) async fn by_link(
    db: &mut impl Statements,
    link_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Pending>> {
    let sql =
        "select id, email, username, name, password_hash, code_mac, client_hash from pending_registrations
         where link_hash = $1 and expires_at > $2";
    db.query_opt(sql, &[link_hash.into(), now.into()]).await?.map(pending).transpose()
}

/// Counts a try on every live registration of an address, or on the one whose client asks, and returns them.
pub(super) async fn count_try(
    db: &mut impl Statements,
    email_normalised: &str,
    client_hash: Option<[u8; 32]>,
    max_tries: u32,
    now: Timestamp,
) -> Result<Vec<Pending>> {
    let sql = "update pending_registrations set failed_tries = failed_tries + 1
         where email_normalised = $1 and client_hash = coalesce($2, client_hash) and code_expires_at > $3
         and failed_tries < $4
         returning id, email, username, name, password_hash, code_mac, client_hash";
    let params = [
        email_normalised.into(),
        client_hash.as_ref().map(<[u8; 32]>::as_slice).into(),
        now.into(),
        i64::from(max_tries).into(),
    ];
    db.query(sql, &params).await?.into_iter().map(pending).collect()
}

/// The newest live registration of an address, or the one whose client asks.
pub(super) async fn latest(
    db: &mut impl Statements,
    email_normalised: &str,
    client_hash: Option<[u8; 32]>,
    now: Timestamp,
) -> Result<Option<RowId>> {
    let sql = "select id from pending_registrations
         where email_normalised = $1 and client_hash = coalesce($2, client_hash) and expires_at > $3 and link_hash is not null
         order by id desc limit 1";
    let client = client_hash.as_ref().map(<[u8; 32]>::as_slice);
    let row = db.query_opt(sql, &[email_normalised.into(), client.into(), now.into()]).await?;
    row.map(|mut row| row.row_id()).transpose()
}

pub(super) struct Renewal {
    pub(super) id: RowId,
    pub(super) link_hash: [u8; 32],
    pub(super) code_mac: [u8; 32],
    pub(super) code_expires_at: Timestamp,
}

pub(super) async fn renew(db: &mut impl Statements, renewal: &Renewal) -> Result<bool> {
    let sql =
        "update pending_registrations set link_hash = $2, code_mac = $3, code_expires_at = $4 where id = $1";
    let params = [
        renewal.id.into(),
        (&renewal.link_hash).into(),
        (&renewal.code_mac).into(),
        renewal.code_expires_at.into(),
    ];
    Ok(db.execute(sql, &params).await? == 1)
}

pub(super) async fn take(db: &mut impl Statements, id: RowId, now: Timestamp) -> Result<bool> {
    let sql = "delete from pending_registrations where id = $1 and expires_at > $2";
    Ok(db.execute(sql, &[id.into(), now.into()]).await? == 1)
}

pub(super) async fn forget(db: &mut impl Statements, email_normalised: &str) -> Result<()> {
    let sql = "delete from pending_registrations where email_normalised = $1";
    db.execute(sql, &[email_normalised.into()]).await.map(drop)
}

pub(super) async fn purge(db: &mut impl Statements, before: Timestamp) -> Result<u64> {
    let sql = "delete from pending_registrations where id in
         (select id from pending_registrations where expires_at < $1 limit 500)";
    db.execute(sql, &[before.into()]).await
}
