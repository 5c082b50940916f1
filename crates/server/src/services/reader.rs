//! The one reader of this process: asks the database what is new, as long as a stream is open, and tells all streams.
use super::page::overlap;
use super::routes::{entry, heartbeat};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Version;
use crate::error::Result;
use crate::feed::Message;
use crate::ids::RowId;
use crate::revocations;
use crate::services::cursor::Cursor;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::Sender;

/// What nobody announced, such as what another process wrote into an embedded database, is found within this time.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Between two looks after announcements, which come when their commit is done.
const GAP: Duration = Duration::from_millis(5);
/// A heartbeat goes out after this time, give or take a round.
const BEAT_EVERY: Duration = Duration::from_millis(900);
/// Rounds between heartbeats look no further back: what commits later than this is found with the next heartbeat.
const RECENT: Duration = Duration::from_secs(1);
/// Rows read at once.
const ROWS: i64 = 1000;

struct Reader {
    app: App,
    sender: Sender<Message>,
    /// The last round, and the last that looked back over the whole overlap.
    last: Timestamp,
    last_full: Timestamp,
    /// What was said, as far back as a round looks.
    said: BTreeSet<(Timestamp, RowId)>,
    /// The database as it was before the last round.
    version: Option<Version>,
}

/// Reads until nobody listens any more.
pub(super) async fn run(app: App, sender: Sender<Message>) {
    let now = app.now();
    let mut announced = app.db.bus().listen();
    let mut reader = Reader { app, sender, last: now, last_full: now, said: BTreeSet::new(), version: None };
    let mut beat = Instant::now();
    let mut failing = false;
    while !reader.app.feed.retire(&reader.sender) {
        let full = beat.elapsed() >= BEAT_EVERY;
        let result = reader.round(full).await;
        match &result {
            // Without a heartbeat followers know that the feed is not live.
            Err(error) if !failing => tracing::warn!(%error, "the feed of revocations cannot be read"),
            Ok(()) if full => beat = Instant::now(),
            _ => {}
        }
        failing = result.is_err();
        if tokio::time::timeout(LOOK_EVERY, announced.changed()).await.is_ok() {
            // However many announcements come, the database is asked no more often than this.
            let _ = tokio::time::timeout(GAP, std::future::pending::<()>()).await;
        }
    }
}

impl Reader {
    /// Says what is new; a full round looks back over the whole overlap and ends with a heartbeat.
    async fn round(&mut self, full: bool) -> Result<()> {
        let version = self.app.db.version();
        let now = self.app.now();
        if version.is_none() || version != self.version || now < self.last {
            let back = if full { overlap(&self.app) } else { RECENT };
            let from = if full { self.last_full } else { self.last };
            // A clock that was set back writes rows behind the last round.
            self.say_after(from.min(now).minus(back)).await?;
        }
        // A round that saw a part only must not keep the next one from looking.
        self.version = version.filter(|_| full || self.version == version);
        self.last = now;
        if full {
            self.last_full = now;
            let keep = now.minus(overlap(&self.app) * 2);
            self.said = self.said.split_off(&(keep, RowId(uuid::Uuid::nil())));
            let _ = self.sender.send(Message::Beat { now, bytes: heartbeat(&self.app, now) });
        }
        Ok(())
    }

    async fn say_after(&mut self, from: Timestamp) -> Result<()> {
        // Who resumes here begins where the last full round knew everything.
        let cursor = Cursor::at(self.last_full.minus(overlap(&self.app)));
        let (mut at, mut id) = (from, None);
        loop {
            let rows = revocations::after(&self.app.db, at, id, ROWS).await?;
            for row in &rows {
                (at, id) = (row.at, Some(row.id));
                if self.said.insert((row.at, row.id)) {
                    let bytes = entry(cursor, row);
                    let _ = self.sender.send(Message::Entry { at: row.at, id: row.id, bytes });
                }
            }
            if i64::try_from(rows.len()).unwrap_or(i64::MAX) < ROWS {
                return Ok(());
            }
        }
    }
}
