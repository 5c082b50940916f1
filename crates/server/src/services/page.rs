//! Pages of the feed, read from the database.
use super::cursor::Cursor;
use crate::app::App;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::revocations::{self, Revocation};
use std::time::Duration;

/// How long after its instant a row may be committed and still be found by who had read beyond: a transaction does not
/// take this long.
const LATEST_COMMIT: Duration = Duration::from_secs(10);

/// How far back a round has to begin: with several nodes rows become visible in another order than that of their instants,
/// by as much as a commit may take and clocks may differ.
pub(super) fn overlap(app: &App) -> Duration {
    LATEST_COMMIT + app.config.sessions.leeway
}

/// A page.
pub(super) struct Page {
    pub(super) rows: Vec<Revocation>,
    /// Where to go on.
    pub(super) next: Cursor,
    /// Whether there is more at this moment.
    pub(super) more: bool,
    /// The instant of reading.
    pub(super) now: Timestamp,
}

/// Where a follower begins that has no cursor: whatever was revoked before concerns no token that is alive.
pub(super) fn beginning(app: &App, now: Timestamp) -> Cursor {
    Cursor::at(now.minus(revocations::relevant_for(app)))
}

/// Reads what follows a cursor, or the beginning.
///
/// # Errors
/// [`Code::CursorTooOld`], [`Code::ValidationFailed`] for one that lies in the future.
pub(super) async fn read(app: &App, after: Option<Cursor>, limit: usize) -> Result<Page> {
    let now = app.now();
    let after = after.unwrap_or_else(|| beginning(app, now));
    if after.at < revocations::kept_since(app, now) {
        return Err(Error::new(Code::CursorTooOld));
    }
    if after.at > now.plus(overlap(app)) {
        return Err(Error::field("after", "invalid_value", "This cursor lies in the future."));
    }
    // What is committed later may still belong behind here.
    let safe = after.floor.unwrap_or_else(|| now.minus(overlap(app)));
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = revocations::after(&app.db, after.at, after.id, wanted).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = match rows.last().filter(|_| more) {
        Some(last) => Cursor { at: last.at, id: Some(last.id), floor: (last.at > safe).then_some(safe) },
        None => Cursor::at(safe),
    };
    Ok(Page { rows, next, more, now })
}
