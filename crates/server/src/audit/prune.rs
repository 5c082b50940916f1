//! Removing old events: from the beginning of each chain, so that what is left still follows from one link to the next.
//!
//! The last link that was removed of each chain stays written down, with its number and hash, beside the chain's end; the chain goes on
//! from there. So that nobody else cuts, each cut is an event of the chain `main`, which has an anchor over all of these links, and
//! which is written with the removal.
use super::chain;
use super::{Anchor, Event, Kind, record, store};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::Result;
use crate::web::Client;
use serde_json::json;

/// Events that are removed at a time.
const BATCH: i64 = 500;
/// Removal goes by whole days, so that it does not write an event for every few that it removes.
const DAY: i64 = 86_400_000_000;

/// Removes a batch of the events from before a day's beginning; returns how many. One node at a time.
///
/// # Errors
/// The database's.
pub async fn prune(app: &App, tx: &mut Tx, before: Timestamp, now: Timestamp) -> Result<u64> {
    let before = Timestamp(before.micros().div_euclid(DAY) * DAY);
    let mut ends = store::ends(tx).await?;
    let mut removed = 0;
    for (name, end) in &mut ends {
        let Some(chain) = chain::known(name) else { continue };
        let first = end.cut.as_ref().map_or(0, |(seq, _)| *seq);
        let old = store::oldest(tx, chain, first, BATCH - removed).await?;
        let old: Vec<_> = old.into_iter().take_while(|link| link.at < before).collect();
        let Some(last) = old.last() else { continue };
        removed += i64::try_from(old.len()).unwrap_or(BATCH);
        let cut = (last.seq, last.hash.clone().unwrap_or_default());
        end.cut = Some(cut.clone());
        // The chain's own row first, as whoever writes or erases events takes it: so nobody waits for another in a circle.
        tx.at_last(chain, move |tx| {
            Box::pin(async move {
                store::set_cut(tx, chain, cut.0, &cut.1).await?;
                store::remove_until(tx, chain, cut.0).await
            })
        });
        if removed >= BATCH {
            break;
        }
    }
    if removed > 0 {
        let client = Client::system();
        let cuts = Anchor::of_cuts(&ends);
        let detail = json!({ "events": removed, "before": before.rfc3339(), "cut": cuts });
        record(app, tx, Event::new(Kind::AuditPruned, &client).detail(detail), now);
    }
    Ok(u64::try_from(removed).unwrap_or_default())
}
