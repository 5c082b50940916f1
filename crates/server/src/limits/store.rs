//! Rows of `limit_counts`.
use crate::clock::Timestamp;
use crate::counters::{Bucket, Entry};
use crate::db::{DbError, Row, Statements, Tx, Value};

type Result<T> = std::result::Result<T, DbError>;

/// What is counted under some keys. The rows are this transaction's until it ends, also those that did not exist.
pub(super) async fn lock(tx: &mut Tx, keys: &[[u8; 17]], now: Timestamp) -> Result<Vec<Option<Bucket>>> {
    let sql = "insert into limit_counts (key, count, since, latest, refused) values ($1, 0, $2, $2, 0)
         on conflict (key) do update set count = limit_counts.count returning count, since, latest, refused";
    let sets: Vec<Vec<Value<'_>>> = keys.iter().map(|key| vec![key.into(), now.into()]).collect();
    tx.query_each(sql, &sets)
        .await?
        .into_iter()
        .map(|rows| rows.into_iter().next().map_or(Ok(None), bucket))
        .collect()
}

fn bucket(mut row: Row) -> Result<Option<Bucket>> {
    Ok(Bucket::from_numbers([row.int()?, row.int()?, row.int()?, row.int()?]))
}

/// Writes what is counted now.
pub(super) async fn write(tx: &mut Tx, entries: &[Entry], now: Timestamp) -> Result<()> {
    let sql = "update limit_counts set count = $2, since = $3, latest = $4, refused = $5 where key = $1";
    let keys: Vec<[u8; 17]> = entries.iter().map(|entry| entry.charge.key.bytes()).collect();
    let nothing = [0, now.micros(), now.micros(), 0];
    let sets: Vec<Vec<Value<'_>>> = entries
        .iter()
        .zip(&keys)
        .map(|(entry, key)| {
            let [count, since, latest, refused] = entry.bucket.map_or(nothing, |bucket| bucket.numbers());
            vec![key.into(), count.into(), since.into(), latest.into(), refused.into()]
        })
        .collect();
    tx.query_each(sql, &sets).await.map(drop)
}

pub(super) async fn purge(db: &mut impl Statements, before: Timestamp) -> Result<u64> {
    let sql =
        "delete from limit_counts where key in (select key from limit_counts where latest < $1 limit 500)";
    db.execute(sql, &[before.into()]).await
}
