//! Rows of `imports`.
use super::Progress;
use crate::clock::Timestamp;
use crate::db::{DbError, Statements};

type Result<T> = std::result::Result<T, DbError>;

/// `false` when the import is known already.
pub(super) async fn begin(db: &mut impl Statements, digest: &str, now: Timestamp) -> Result<bool> {
    let sql = "insert into imports (digest, records, imported, rejected, report_bytes, ids_bytes, started_at)
         values ($1, 0, 0, 0, 0, 0, $2) on conflict do nothing";
    Ok(db.execute(sql, &[digest.into(), now.into()]).await? == 1)
}

/// With the instants at which it was begun, and finished, if it was.
pub(super) async fn find(
    db: &mut impl Statements,
    digest: &str,
) -> Result<Option<(Progress, Timestamp, Option<Timestamp>)>> {
    let sql =
        "select records, imported, rejected, report_bytes, ids_bytes, started_at, finished_at from imports
         where digest = $1";
    let Some(mut row) = db.query_opt(sql, &[digest.into()]).await? else { return Ok(None) };
    let progress = Progress {
        records: row.int()?,
        imported: row.int()?,
        rejected: row.int()?,
        report_bytes: row.int()?,
        ids_bytes: row.int()?,
    };
    Ok(Some((progress, row.time()?, row.maybe_time()?)))
}

/// `false` when somebody else went on from there.
pub(super) async fn advance(
    db: &mut impl Statements,
    digest: &str,
    from: &Progress,
    to: &Progress,
) -> Result<bool> {
    let sql =
        "update imports set records = $3, imported = $4, rejected = $5, report_bytes = $6, ids_bytes = $7
         where digest = $1 and records = $2 and finished_at is null";
    let params = [
        digest.into(),
        from.records.into(),
        to.records.into(),
        to.imported.into(),
        to.rejected.into(),
        to.report_bytes.into(),
        to.ids_bytes.into(),
    ];
    Ok(db.execute(sql, &params).await? == 1)
}

pub(super) async fn finish(
    db: &mut impl Statements,
    digest: &str,
    records: i64,
    now: Timestamp,
) -> Result<bool> {
    let sql =
        "update imports set finished_at = $3 where digest = $1 and records = $2 and finished_at is null";
    Ok(db.execute(sql, &[digest.into(), records.into(), now.into()]).await? == 1)
}

/// As if it had never been begun; `false` as in [`finish`].
pub(super) async fn undo(db: &mut impl Statements, digest: &str, records: i64) -> Result<bool> {
    let sql = "delete from imports where digest = $1 and records = $2 and finished_at is null";
    Ok(db.execute(sql, &[digest.into(), records.into()]).await? == 1)
}

pub(super) async fn forget(db: &mut impl Statements, digest: &str) -> Result<()> {
    db.execute("delete from imports where digest = $1", &[digest.into()]).await.map(drop)
}
