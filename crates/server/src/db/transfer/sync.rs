//! Making one table of the target equal to the source's, and telling whether it is: both sides are walked in the order of their
//! keys.
use super::source::Rows;
use super::table::{Digest, Key, Part, SourceRow, Table};
use super::target::{Hashes, Target};
use super::{DbError, Kind, MOVED_FROM, MOVED_TO, MOVING_FROM, MOVING_ID, Result, Transfer};
use serde::Serialize;

/// Rows and bytes of one transaction.
const ROWS: usize = 5000;
const BYTES: usize = 8 << 20;
/// Rows that are looked up one by one; for more the table is walked again.
const SINGLE: usize = 50_000;

/// How far a table is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Its name.
    pub table: &'a str,
    /// What is being done: `copying` or `comparing`.
    pub doing: &'static str,
    /// Rows so far.
    pub rows: u64,
    /// Rows of the table.
    pub of: u64,
}

/// What was done with a table.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    /// Its name.
    pub table: String,
    /// Rows in the source.
    pub rows: u64,
    /// Rows brought in this run.
    pub added: u64,
    /// Rows that had changed or were gone, removed in this run from what a former one had copied.
    pub removed: u64,
    /// SHA-256 over all rows, the same on both sides; only when they were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// What the two sides say of one key.
enum Pair {
    Equal([u8; 32]),
    Changed(SourceRow),
    Missing(SourceRow),
    Extra(Key),
}

/// Both sides of a table in step.
struct Walk<'t> {
    own: bool,
    source: Rows,
    target: Option<Hashes<'t>>,
    here: Option<SourceRow>,
    there: Option<(Key, [u8; 32])>,
}

/// Whether a row of `meta` tells of the move itself.
fn is_mark(key: &Key) -> bool {
    let marks = [MOVED_FROM, MOVED_TO, MOVING_FROM, MOVING_ID];
    matches!(key.as_slice(), [Part::Text(name)] if marks.contains(&name.as_str()))
}

impl<'t> Walk<'t> {
    async fn start(source: Rows, target: Option<Hashes<'t>>, table: &Table) -> Result<Self> {
        let own = table.name == "meta";
        let mut walk = Self { own, source, target, here: None, there: None };
        walk.step_here().await?;
        walk.step_there().await?;
        Ok(walk)
    }

    async fn step_here(&mut self) -> Result<Option<SourceRow>> {
        let mut next = self.source.next().await?;
        while self.own && next.as_ref().is_some_and(|row| is_mark(&row.key)) {
            next = self.source.next().await?;
        }
        Ok(std::mem::replace(&mut self.here, next))
    }

    async fn step_there(&mut self) -> Result<Option<(Key, [u8; 32])>> {
        let Some(target) = &mut self.target else { return Ok(None) };
        let mut next = target.next().await?;
        while self.own && next.as_ref().is_some_and(|(key, _)| is_mark(key)) {
            next = target.next().await?;
        }
        Ok(std::mem::replace(&mut self.there, next))
    }

    async fn next(&mut self) -> Result<Option<Pair>> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (&self.here, &self.there) {
            (None, None) => return Ok(None),
            (Some(_), None) => Less,
            (None, Some(_)) => Greater,
            (Some(here), Some((there, _))) => here.key.cmp(there),
        };
        let here = if order == Greater { None } else { self.step_here().await? };
        let there = if order == Less { None } else { self.step_there().await? };
        Ok(match (order, here, there) {
            (Equal, Some(row), Some((_, hash))) if row.hash == hash => Some(Pair::Equal(hash)),
            (Equal, Some(row), _) => Some(Pair::Changed(row)),
            (Less, Some(row), _) => Some(Pair::Missing(row)),
            (_, _, Some((key, _))) => Some(Pair::Extra(key)),
            _ => None,
        })
    }
}

/// Says how far a table is, not at every row.
struct Meter<'a> {
    table: &'a str,
    doing: &'static str,
    rows: u64,
    of: u64,
    tell: &'a mut dyn FnMut(Progress<'_>),
}

impl Meter<'_> {
    fn step(&mut self) {
        self.rows += 1;
        if self.rows.is_multiple_of(1000) {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let rows = self.rows.min(self.of);
        (self.tell)(Progress { table: self.table, doing: self.doing, rows, of: self.of });
    }
}

impl Transfer {
    /// Makes every table equal, parents first: what goes with a deleted parent is then found missing and comes again.
    pub(super) async fn sync_all(&mut self, tell: &mut dyn FnMut(Progress<'_>)) -> Result<Vec<Done>> {
        let mut all = Vec::with_capacity(self.tables.len());
        for table in self.tables.clone() {
            let rows = self.source.count(&table)?;
            let mut meter =
                Meter { table: &table.name, doing: "copying", rows: 0, of: rows, tell: &mut *tell };
            let (added, removed) = self.sync(&table, &mut meter).await?;
            meter.rows = rows;
            meter.tell();
            all.push(Done { table: table.name.clone(), rows, added, removed, hash: None });
        }
        Ok(all)
    }

    /// Returns how many rows were added and removed. A changed row is removed and comes again, and all that is to be removed goes
    /// before anything comes: so whatever is unique never meets its former holder.
    async fn sync(&mut self, table: &Table, meter: &mut Meter<'_>) -> Result<(u64, u64)> {
        if self.target.count(&table.name).await? == 0 {
            return Ok((self.fill(table, true, meter).await?, 0));
        }
        let (removed, missing) = self.prune(table, meter).await?;
        let added = match missing {
            Some(keys) => {
                for keys in keys.chunks(ROWS) {
                    self.target.add(table, &self.source.rows(table, keys)?).await?;
                }
                keys.len() as u64
            }
            None => self.fill(table, false, meter).await?,
        };
        Ok((added, removed))
    }

    /// Removes what is not in the source, or not like that; returns how many, and the keys that are to be added, unless there are
    /// too many to list.
    async fn prune(&mut self, table: &Table, meter: &mut Meter<'_>) -> Result<(u64, Option<Vec<Key>>)> {
        let (mut stale, mut missing) = (Vec::new(), Some(Vec::new()));
        let hashes = self.target.stream(table).await?;
        let mut walk = Walk::start(self.source.stream(table), Some(hashes), table).await?;
        while let Some(pair) = walk.next().await? {
            meter.step();
            let wanted = match pair {
                Pair::Equal(_) => continue,
                Pair::Missing(row) => row.key,
                Pair::Changed(row) => {
                    stale.push(row.key.clone());
                    row.key
                }
                Pair::Extra(key) => {
                    stale.push(key);
                    continue;
                }
            };
            missing = missing.filter(|keys: &Vec<Key>| keys.len() < SINGLE);
            if let Some(keys) = &mut missing {
                keys.push(wanted);
            }
        }
        drop(walk);
        for keys in stale.chunks(ROWS) {
            self.target.delete(table, keys).await?;
        }
        Ok((stale.len() as u64, missing))
    }

    /// Adds what is missing.
    async fn fill(&self, table: &Table, is_empty: bool, meter: &mut Meter<'_>) -> Result<u64> {
        meter.rows = 0;
        let hashes = if is_empty { None } else { Some(self.target.stream(table).await?) };
        let mut walk = Walk::start(self.source.stream(table), hashes, table).await?;
        let (mut batch, mut bytes, mut added) = (Vec::new(), 0, 0);
        while let Some(pair) = walk.next().await? {
            meter.step();
            // Whatever else differs now is somebody else's doing; the comparison tells.
            let Pair::Missing(row) = pair else { continue };
            bytes += row.fields.len();
            batch.push(row);
            if batch.len() == ROWS || bytes >= BYTES {
                added += add(&self.target, table, &mut batch).await?;
                bytes = 0;
                meter.tell();
            }
        }
        Ok(added + add(&self.target, table, &mut batch).await?)
    }

    /// Reads all of both sides and compares.
    pub(super) async fn compare_all(
        &self,
        done: &mut [Done],
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> Result<()> {
        for (table, done) in self.tables.iter().zip(done) {
            let mut meter =
                Meter { table: &table.name, doing: "comparing", rows: 0, of: done.rows, tell: &mut *tell };
            let hashes = self.target.stream(table).await?;
            let mut walk = Walk::start(self.source.stream(table), Some(hashes), table).await?;
            let mut digest = Digest::default();
            while let Some(pair) = walk.next().await? {
                meter.step();
                let Pair::Equal(hash) = pair else {
                    return Err(DbError::new(
                        Kind::Other,
                        format!(
                            "{} changed in {} while it was copied; stop whatever writes there and run the same command again",
                            table.name,
                            self.to()
                        ),
                    ));
                };
                digest.add(&hash);
            }
            meter.tell();
            done.rows = digest.rows;
            done.hash = Some(digest.hex());
        }
        Ok(())
    }
}

async fn add(target: &Target, table: &Table, batch: &mut Vec<SourceRow>) -> Result<u64> {
    if batch.is_empty() {
        return Ok(0);
    }
    target.add(table, batch).await?;
    let added = batch.len() as u64;
    batch.clear();
    Ok(added)
}
