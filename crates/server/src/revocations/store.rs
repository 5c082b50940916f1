//! Rows of `revocations`.
use super::{Fact, Revocation};
use crate::clock::Timestamp;
use crate::db::{DbError, Kind, Row, Statements};
use crate::ids::{RowId, SessionId, UserId};

type Result<T> = std::result::Result<T, DbError>;

pub(super) async fn insert(db: &mut impl Statements, row: &Revocation) -> Result<()> {
    let sql = "insert into revocations (id, at, kind, user_id, session_id, except_session_id, as_of)
         values ($1, $2, $3, $4, $5, $6, $7)";
    // The column must hold something.
    let user = row.fact.user().map(|id| id.to_string()).unwrap_or_default();
    let params = [
        row.id.into(),
        row.at.into(),
        row.fact.kind().into(),
        (&user).into(),
        row.fact.session().into(),
        row.fact.except().into(),
        row.fact.as_of().into(),
    ];
    db.execute(sql, &params).await.map(drop)
}

fn revocation(mut row: Row) -> Result<Revocation> {
    let (id, at, kind, user) = (row.row_id()?, row.time()?, row.text()?, UserId::parse(&row.text()?));
    let session = |text: Option<String>| text.as_deref().and_then(SessionId::parse);
    let (ended, except, as_of) = (session(row.maybe_text()?), session(row.maybe_text()?), row.maybe_time()?);
    let fact = match (kind.as_str(), user, ended) {
        ("session_ended", Some(user), Some(ended)) => Fact::SessionEnded(user, ended),
        ("sessions_ended", Some(user), _) => Fact::SessionsEnded(user, except),
        ("user_changed", Some(user), _) => Fact::UserChanged(user, as_of),
        ("roles_changed", ..) => Fact::RolesChanged(as_of),
        _ => return Err(DbError::new(Kind::Decode, format!("revocation {id} has an unknown kind"))),
    };
    Ok(Revocation { id, at, fact })
}

pub(super) async fn after(
    db: &mut impl Statements,
    at: Timestamp,
    id: Option<RowId>,
    limit: i64,
) -> Result<Vec<Revocation>> {
    let sql = "select id, at, kind, user_id, session_id, except_session_id, as_of from revocations
         where at >= $1 and (at > $1 or id > $2) order by at, id limit $3";
    let id = id.map(|id| id.to_string()).unwrap_or_default();
    let rows = db.query(sql, &[at.into(), (&id).into(), limit.into()]).await?;
    rows.into_iter().map(revocation).collect()
}

pub(super) async fn ended_since(
    db: &mut impl Statements,
    user: UserId,
    since: Timestamp,
) -> Result<Option<Timestamp>> {
    let sql = "select at from revocations where user_id = $1 and at >= $2 and kind = 'sessions_ended'
         order by at desc limit 1";
    db.query_opt(sql, &[user.into(), since.into()]).await?.map(|mut row| row.time()).transpose()
}

pub(super) async fn purge(db: &mut impl Statements, before: Timestamp) -> Result<u64> {
    let sql = "delete from revocations where id in (select id from revocations where at < $1 limit 500)";
    db.execute(sql, &[before.into()]).await
}
