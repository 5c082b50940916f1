//! Rows of `invitations`.
use super::Invitation;
use crate::clock::Timestamp;
use crate::db::{DbError, Row, Statements};
use crate::ids::{RowId, UserId};

type Result<T> = std::result::Result<T, DbError>;

fn invitation(mut row: Row) -> Result<Invitation> {
    Ok(Invitation {
        id: row.row_id()?,
        email: row.text()?,
        email_normalised: row.text()?,
        name: row.maybe_text()?,
        roles: row.text()?.split(' ').filter(|role| !role.is_empty()).map(str::to_owned).collect(),
        invited_by: row.maybe_text()?.as_deref().and_then(UserId::parse),
        created_at: row.time()?,
        sent_at: row.time()?,
        expires_at: row.time()?,
        accepted_at: row.maybe_time()?,
        revoked_at: row.maybe_time()?,
    })
}

pub(super) async fn insert(
    db: &mut impl Statements,
    new: &Invitation,
    roles: &str,
    link_hash: &[u8; 32],
) -> Result<()> {
    let sql =
        "insert into invitations (id, email, email_normalised, name, roles, link_hash, invited_by, created_at,
         sent_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let params = [
        new.id.into(),
        (&new.email).into(),
        (&new.email_normalised).into(),
        new.name.as_deref().into(),
        roles.into(),
        link_hash.into(),
        new.invited_by.into(),
        new.created_at.into(),
        new.sent_at.into(),
        new.expires_at.into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

pub(super) async fn find(db: &mut impl Statements, id: RowId) -> Result<Option<Invitation>> {
    let sql = "select id, email, email_normalised, name, roles, invited_by, created_at, sent_at, expires_at, accepted_at,
         revoked_at from invitations where id = $1";
    db.query_opt(sql, &[id.into()]).await?.map(invitation).transpose()
}

/// The one that a token opens.
pub(super) async fn by_link(
    db: &mut impl Statements,
    link_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Invitation>> {
    let sql = "select id, email, email_normalised, name, roles, invited_by, created_at, sent_at, expires_at, accepted_at,
         revoked_at from invitations
         where link_hash = $1 and accepted_at is null and revoked_at is null and expires_at > $2";
    db.query_opt(sql, &[link_hash.into(), now.into()]).await?.map(invitation).transpose()
}

/// The one of an address that opens an account.
pub(super) async fn live(
    db: &mut impl Statements,
    email_normalised: &str,
    now: Timestamp,
) -> Result<Option<Invitation>> {
    let sql = "select id, email, email_normalised, name, roles, invited_by, created_at, sent_at, expires_at, accepted_at,
         revoked_at from invitations
         where email_normalised = $1 and accepted_at is null and revoked_at is null and expires_at > $2";
    db.query_opt(sql, &[email_normalised.into(), now.into()]).await?.map(invitation).transpose()
}

pub(super) async fn list(
    db: &mut impl Statements,
    after: Option<RowId>,
    limit: i64,
) -> Result<Vec<Invitation>> {
    let sql = "select id, email, email_normalised, name, roles, invited_by, created_at, sent_at, expires_at, accepted_at,
         revoked_at from invitations where id > $1 order by id limit $2";
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let rows = db.query(sql, &[(&after).into(), limit.into()]).await?;
    rows.into_iter().map(invitation).collect()
}

/// Those of an address, of every state.
pub(super) async fn of_address(db: &mut impl Statements, email_normalised: &str) -> Result<Vec<Invitation>> {
    let sql = "select id, email, email_normalised, name, roles, invited_by, created_at, sent_at, expires_at, accepted_at,
         revoked_at from invitations where email_normalised = $1 order by id";
    db.query(sql, &[email_normalised.into()]).await?.into_iter().map(invitation).collect()
}

/// Those of an address, and those that an account came of, of every state.
pub(super) async fn of_person(
    db: &mut impl Statements,
    user: UserId,
    email_normalised: &str,
) -> Result<Vec<Invitation>> {
    let sql = "select id, email, email_normalised, name, roles, invited_by, created_at, sent_at, expires_at, accepted_at,
         revoked_at from invitations where email_normalised = $1 or accepted_by = $2 order by id";
    db.query(sql, &[email_normalised.into(), user.into()]).await?.into_iter().map(invitation).collect()
}

/// Replaces the link and who answers for it; the former one is dead. `false` when it was accepted or revoked.
pub(super) async fn renew(
    db: &mut impl Statements,
    id: RowId,
    by: Option<UserId>,
    link_hash: &[u8; 32],
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<bool> {
    let sql = "update invitations set link_hash = $2, sent_at = $3, expires_at = $4, invited_by = $5
         where id = $1 and accepted_at is null and revoked_at is null";
    let params = [id.into(), link_hash.into(), now.into(), expires_at.into(), by.into()];
    Ok(db.execute(sql, &params).await? == 1)
}

/// Uses a link up. Of parallel calls one gets `true`.
pub(super) async fn take(
    db: &mut impl Statements,
    id: RowId,
    link_hash: &[u8; 32],
    now: Timestamp,
) -> Result<bool> {
    let sql = "update invitations set accepted_at = $3
         where id = $1 and link_hash = $2 and accepted_at is null and revoked_at is null and expires_at > $3";
    Ok(db.execute(sql, &[id.into(), link_hash.into(), now.into()]).await? == 1)
}

/// Notes which account came of an invitation.
pub(super) async fn note_account(db: &mut impl Statements, id: RowId, user: UserId) -> Result<()> {
    let sql = "update invitations set accepted_by = $2 where id = $1";
    db.execute(sql, &[id.into(), user.into()]).await.map(drop)
}

pub(super) async fn revoke(db: &mut impl Statements, id: RowId, now: Timestamp) -> Result<bool> {
    let sql = "update invitations set revoked_at = $2
         where id = $1 and accepted_at is null and revoked_at is null";
    Ok(db.execute(sql, &[id.into(), now.into()]).await? == 1)
}

pub(super) async fn forget(db: &mut impl Statements, user: UserId, email_normalised: &str) -> Result<()> {
    let sql = "delete from invitations where email_normalised = $1 or accepted_by = $2";
    db.execute(sql, &[email_normalised.into(), user.into()]).await.map(drop)
}

pub(super) async fn purge(db: &mut impl Statements, before: Timestamp) -> Result<u64> {
    let sql = "delete from invitations where id in
         (select id from invitations where expires_at < $1 limit 500)";
    db.execute(sql, &[before.into()]).await
}
