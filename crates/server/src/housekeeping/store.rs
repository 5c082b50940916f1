//! Rows of `leases`.
use crate::clock::Timestamp;
use crate::db::{DbError, Statements};

type Result<T> = std::result::Result<T, DbError>;

/// Takes a lease that nobody has, or whose time is over.
pub(super) async fn take(
    db: &mut impl Statements,
    name: &str,
    holder: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool> {
    let fresh = "insert into leases (name, holder, until) values ($1, $2, $3) on conflict do nothing";
    if db.execute(fresh, &[name.into(), holder.into(), until.into()]).await? == 1 {
        return Ok(true);
    }
    let over = "update leases set holder = $2, until = $3 where name = $1 and (until <= $4 or holder = $2)";
    let params = [name.into(), holder.into(), until.into(), now.into()];
    Ok(db.execute(over, &params).await? == 1)
}

/// Makes a lease last longer; `false` when somebody else has it by now. The row stays locked until the transaction ends.
pub(super) async fn renew(
    db: &mut impl Statements,
    name: &str,
    holder: &str,
    until: Timestamp,
) -> Result<bool> {
    let sql = "update leases set until = $3 where name = $1 and holder = $2";
    Ok(db.execute(sql, &[name.into(), holder.into(), until.into()]).await? == 1)
}

pub(super) async fn release(db: &mut impl Statements, name: &str, holder: &str) -> Result<()> {
    let sql = "delete from leases where name = $1 and holder = $2";
    db.execute(sql, &[name.into(), holder.into()]).await.map(drop)
}
