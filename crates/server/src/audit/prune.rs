//! Removing old events: from the beginning of each chain, so that what is left still follows from one link to the next.
//!
//! The last link that was removed of each chain stays written down, with its number and hash, beside the chain's end; the chain goes on
//! from there. So that nobody else cuts, each cut is an event of the chain `main`, which has an anchor over all of these links, and
//! which is written with the removal.
//!
//! A removal destroys evidence and signs what is left. So nothing is removed that is not as it was written, nor as long as the cuts that
//! are there are not those of the last such event: that would make somebody else's cut a rightful one.
use super::chain::{self, MAIN};
use super::store::{self, End};
use super::{Anchor, Event, Kind, StoredEvent, is_signed, record};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::Result;
use crate::web::Client;
use serde_json::json;
use std::collections::BTreeMap;

/// Events that are removed at a time.
const BATCH: i64 = 500;
/// Events read at a time to see whether the last cut is ours.
const PAGE: i64 = 1000;
/// Removal goes by whole days, so that it does not write an event for every few that it removes.
const DAY: i64 = 86_400_000_000;

/// Removes a batch of the events from before a day's beginning; returns how many. One node at a time. A chain that is not as it was
/// written is left as it is from there on, and all are if the present cuts are not those of the last removal: `verify` tells more.
///
/// # Errors
/// The database's.
pub async fn prune(app: &App, tx: &mut Tx, before: Timestamp, now: Timestamp) -> Result<u64> {
    let before = Timestamp(before.micros().div_euclid(DAY) * DAY);
    let mut ends = store::ends(tx).await?;
    let mut removed = 0;
    let mut cuts = Vec::new();
    for (name, end) in &ends {
        let Some(chain) = chain::known(name) else { continue };
        let first = end.cut.as_ref().map_or(0, |(seq, _)| *seq);
        let links = store::links(tx, chain, first, BATCH - removed).await?;
        let (count, cut) = removable(app, chain, end, &links, before);
        let Some(cut) = cut else { continue };
        removed += count;
        cuts.push((chain, cut));
        if removed >= BATCH {
            break;
        }
    }
    if cuts.is_empty() {
        return Ok(0);
    }
    if !are_ours(app, tx, &ends).await? {
        tracing::error!(
            "old audit events are kept: their beginnings were cut by somebody else; see `hallpass audit verify`"
        );
        return Ok(0);
    }
    for (chain, cut) in cuts {
        if let Some(end) = ends.get_mut(chain) {
            end.cut = Some(cut.clone());
        }
        // The chain's own row first, as whoever writes or erases events takes it: so nobody waits for another in a circle.
        tx.at_last(chain, move |tx| {
            Box::pin(async move {
                store::set_cut(tx, chain, cut.0, &cut.1).await?;
                store::remove_until(tx, chain, cut.0).await
            })
        });
    }
    let client = Client::system();
    let detail = json!({ "events": removed, "before": before.rfc3339(), "cut": Anchor::of_cuts(&ends) });
    record(app, tx, Event::new(Kind::AuditPruned, &client).detail(detail), now);
    Ok(u64::try_from(removed).unwrap_or_default())
}

/// How many of these first links of a chain are old and as they were written, and number and hash of the last of them.
fn removable(
    app: &App,
    chain: &str,
    end: &End,
    links: &[StoredEvent],
    before: Timestamp,
) -> (i64, Option<(i64, Vec<u8>)>) {
    let (mut count, mut last) = (0, None);
    for link in links.iter().take_while(|link| link.seq <= end.seq) {
        let former = last.as_ref().or(end.cut.as_ref());
        let whole = follows(former, link) && (link.seq < end.seq || is_end(app, chain, end, link));
        let Some(hash) = link.hash.clone().filter(|_| whole) else {
            tracing::error!(
                chain,
                number = link.seq,
                "an audit event is not as it was written: from it on they are kept"
            );
            break;
        };
        // Only now: the time is part of what was written.
        if link.at >= before {
            break;
        }
        count += 1;
        last = Some((link.seq, hash));
    }
    (count, last)
}

/// Whether a link is the next one after another, or the first one.
fn follows(former: Option<&(i64, Vec<u8>)>, link: &StoredEvent) -> bool {
    let (seq, hash) = former.map_or((0, None), |(seq, hash)| (*seq, Some(hash.as_slice())));
    link.seq == seq + 1 && link.hash.as_deref() == Some(&chain::hash(hash, link))
}

fn is_end(app: &App, chain: &str, end: &End, link: &StoredEvent) -> bool {
    link.hash == end.head && is_signed(app, chain, end)
}

/// Whether the present cuts are what the last event about a removal says, and whether that event leads to the end of its chain, which
/// is under our key.
async fn are_ours(app: &App, tx: &mut Tx, ends: &BTreeMap<String, End>) -> Result<bool> {
    let Some(end) = ends.get(MAIN) else { return Ok(false) };
    let present = Anchor::of_cuts(ends);
    let Some(seq) = store::last_of(tx, MAIN, Kind::AuditPruned.name(), end.seq).await? else {
        return Ok(present.is_none());
    };
    let mut former = end.cut.clone().filter(|(cut, _)| cut + 1 == seq);
    if former.is_none() && seq > 1 {
        former = store::hash_of(tx, MAIN, seq - 1).await?.map(|hash| (seq - 1, hash));
    }
    let mut told = None;
    loop {
        let after = former.as_ref().map_or(0, |(seq, _)| *seq);
        if after >= end.seq {
            break;
        }
        let page = store::links(tx, MAIN, after, PAGE).await?;
        if page.is_empty() {
            return Ok(false);
        }
        for link in page.into_iter().filter(|link| link.seq <= end.seq) {
            if !follows(former.as_ref(), &link) {
                return Ok(false);
            }
            if link.seq == seq {
                let as_written = link.personal_hash.as_deref() == Some(&chain::personal_hash(&link));
                told = Anchor::of_cut_in(link.detail.as_deref()).filter(|_| as_written);
            }
            former = link.hash.map(|hash| (link.seq, hash));
        }
    }
    let reached = former.is_some_and(|(_, hash)| end.head.as_ref() == Some(&hash));
    Ok(reached && is_signed(app, MAIN, end) && told.is_some() && told == present)
}
