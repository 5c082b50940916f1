//! Rows of `sign_in_attempts`.
use super::{Attempt, Needs, New};
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements};
use crate::ids::{RowId, UserId};
use crate::sessions::Delivery;
use hallpass_crypto::rotation::Origin;

type Result<T> = std::result::Result<T, DbError>;

fn attempt(mut row: Row) -> Result<Attempt> {
    Ok(Attempt {
        id: row.row_id()?,
        user: row.maybe_text()?.as_deref().and_then(UserId::parse),
        identifier_hash: row.maybe_text()?,
        credential: row.maybe_digest()?,
        amr: row.text()?,
        // What a newer version wrote is taken for what is hardest to do.
        needs: Needs::from_name(&row.text()?).unwrap_or(Needs::SecondFactor),
        code_mac: row.maybe_digest()?,
        code_expires_at: row.maybe_time()?,
        sends: row.int()?,
        failed_tries: row.int()?,
        origin: Origin { network: row.text()?, agent: row.text()? },
        delivery: Delivery::from_name(&row.text()?),
        device_name: row.maybe_text()?,
        failures: row.int()?,
    })
}

pub(super) async fn insert(db: &mut impl Statements, new: &New<'_>) -> Result<()> {
    let sql = "insert into sign_in_attempts (id, token_hash, link_hash, user_id, identifier_hash, credential, amr, needs,
         code_mac, code_expires_at, sends, failed_tries, network, agent, delivery, device_name, failures, created_at,
         expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12, $13, $14, $15, $16, $17, $18)";
    let digest = |value: &'_ Option<[u8; 32]>| value.map(|bytes| bytes.to_vec());
    let (link, credential) = (digest(&new.link_hash), digest(&new.credential));
    let mac = new.code.map(|(mac, _)| mac.to_vec());
    let params = [
        new.id.into(),
        (&new.token_hash).into(),
        link.as_deref().into(),
        new.user.into(),
        new.identifier_hash.into(),
        credential.as_deref().into(),
        new.amr.into(),
        new.needs.name().into(),
        mac.as_deref().into(),
        new.code.map(|(_, expires_at)| expires_at).into(),
        i64::from(new.code.is_some()).into(),
        (&new.origin.network).into(),
        (&new.origin.agent).into(),
        new.delivery.name().into(),
        new.device_name.into(),
        i64::from(new.failures).into(),
        new.now.into(),
        new.expires_at.into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

pub(super) async fn by_token(
    db: &mut impl Statements,
    token_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Attempt>> {
    let sql =
        "select id, user_id, identifier_hash, credential, amr, needs, code_mac, code_expires_at, sends, failed_tries,
         network, agent, delivery, device_name, failures
         from sign_in_attempts where token_hash = $1 and expires_at > $2";
    db.query_opt(sql, &[token_hash.into(), now.into()]).await?.map(attempt).transpose()
}

pub(super) async fn by_link(
    db: &mut impl Statements,
    link_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Attempt>> {
    let sql =
        "select id, user_id, identifier_hash, credential, amr, needs, code_mac, code_expires_at, sends, failed_tries,
         network, agent, delivery, device_name, failures
         from sign_in_attempts where link_hash = $1 and expires_at > $2 and user_id is not null";
    db.query_opt(sql, &[link_hash.into(), now.into()]).await?.map(attempt).transpose()
}

/// The latest of a user that a client has begun with the password.
pub(super) async fn latest(
    db: &mut impl Statements,
    user: UserId,
    origin: &Origin,
    most: u32,
    now: Timestamp,
) -> Result<Option<Attempt>> {
    let sql =
        "select id, user_id, identifier_hash, credential, amr, needs, code_mac, code_expires_at, sends, failed_tries,
         network, agent, delivery, device_name, failures
         from sign_in_attempts where user_id = $1 and network = $2 and agent = $3 and failed_tries < $4 and expires_at > $5
         and credential is not null order by id desc limit 1";
    let most = i64::from(most);
    let params = [user.into(), (&origin.network).into(), (&origin.agent).into(), most.into(), now.into()];
    db.query_opt(sql, &params).await?.map(attempt).transpose()
}

/// Counts a try, unless the attempt is over.
pub(super) async fn count_try(
    db: &mut impl Statements,
    id: RowId,
    most: u32,
    now: Timestamp,
) -> Result<Option<Attempt>> {
    let sql = "update sign_in_attempts set failed_tries = failed_tries + 1
         where id = $1 and failed_tries < $2 and expires_at > $3
         returning id, user_id, identifier_hash, credential, amr, needs, code_mac, code_expires_at, sends, failed_tries,
         network, agent, delivery, device_name, failures";
    let row = db.query_opt(sql, &[id.into(), i64::from(most).into(), now.into()]).await?;
    row.map(attempt).transpose()
}

/// Another mailed code, and another link beside it; nothing leaves the former.
pub(super) struct Renewal {
    pub(super) id: RowId,
    pub(super) mac: Option<[u8; 32]>,
    pub(super) link_hash: Option<[u8; 32]>,
    pub(super) expires_at: Timestamp,
    pub(super) most_sends: i64,
}

/// Replaces what was mailed, at most so often; the tries stay counted. Returns whether it did.
pub(super) async fn renew(db: &mut impl Statements, renewal: &Renewal, now: Timestamp) -> Result<bool> {
    let sql = "update sign_in_attempts set code_mac = coalesce($2, code_mac), sends = sends + 1,
         code_expires_at = case when $2 is null then code_expires_at else $3 end,
         link_hash = coalesce($6, link_hash), expires_at = case when expires_at < $3 then $3 else expires_at end
         where id = $1 and sends < $4 and expires_at > $5 and code_mac is not null";
    let params = [
        renewal.id.into(),
        renewal.mac.as_ref().map(<[u8; 32]>::as_slice).into(),
        renewal.expires_at.into(),
        renewal.most_sends.into(),
        now.into(),
        renewal.link_hash.as_ref().map(<[u8; 32]>::as_slice).into(),
    ];
    Ok(db.execute(sql, &params).await? == 1)
}

/// Codes mailed since an instant for attempts of a user in which something was proven first, those that served left out. What was
/// begun by an address alone may be a stranger's.
pub(super) async fn codes_mailed(db: &mut impl Statements, user: UserId, since: Timestamp) -> Result<i64> {
    // Added up here, since the engines give sums different types.
    let sql = "select sends from sign_in_attempts where user_id = $1 and created_at > $2 and identifier_hash is null";
    let rows = db.query(sql, &[user.into(), since.into()]).await?;
    rows.into_iter().try_fold(0, |sum, mut row| Ok(row.int()? + sum))
}

/// Tries at the second step of a user's attempts since an instant, those that served left out.
pub(super) async fn tries(db: &mut impl Statements, user: UserId, since: Timestamp) -> Result<i64> {
    let sql =
        "select failed_tries from sign_in_attempts where user_id = $1 and created_at > $2 and amr <> ''";
    let rows = db.query(sql, &[user.into(), since.into()]).await?;
    rows.into_iter().try_fold(0, |sum, mut row| Ok(row.int()? + sum))
}

/// Ends an attempt. Of parallel calls one gets `true`.
pub(super) async fn take(db: &mut impl Statements, id: RowId) -> Result<bool> {
    Ok(db.execute("delete from sign_in_attempts where id = $1", &[id.into()]).await? == 1)
}

pub(super) async fn forget_user(db: &mut impl Statements, user: UserId) -> Result<u64> {
    db.execute("delete from sign_in_attempts where user_id = $1", &[user.into()]).await
}

pub(super) async fn forget_identifier(db: &mut impl Statements, hash: &str) -> Result<u64> {
    db.execute("delete from sign_in_attempts where identifier_hash = $1", &[hash.into()]).await
}

pub(super) async fn purge(db: &mut impl Statements, before: Timestamp) -> Result<u64> {
    let sql = "delete from sign_in_attempts where id in
         (select id from sign_in_attempts where expires_at < $1 limit 500)";
    db.execute(sql, &[before.into()]).await
}
