//! Erasing what is personal in the events about somebody whose account was deleted: address, program, request, identifier, details,
//! and the salt of their hash, so that nothing can be guessed back. The links hold, since they have that hash only.
//!
//! An erasure is itself an event of the same chain, which names the events by their numbers. So it comes after them, goes with them
//! when old events are removed, and nobody without the secret key can blank an event and have it pass for erased.
mod store;

use super::chain;
use super::{Event, Kind, link, stored};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::Result;
use crate::ids::{RowId, UserId};
use crate::web::Client;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Events that are erased at a time.
const BATCH: i64 = 500;
/// Accounts that are looked at in one batch.
const ACCOUNTS: i64 = 20;
/// What is in flight at the deletion may still write an event; so it is looked once more after this time.
const IN_FLIGHT: Duration = Duration::from_secs(600);

/// Has the traces of a user erased who is being deleted: after `retention.deleted_accounts`, or a first batch, which is usually
/// all, in this transaction. The rest is the business of [`erase_due`].
///
/// # Errors
/// The database's.
pub async fn ask_erasure(
    app: &App,
    tx: &mut Tx,
    user: UserId,
    email_normalised: &str,
    now: Timestamp,
) -> Result<()> {
    let macs = app.secrets.identifiers.macs(email_normalised.as_bytes());
    let mut identifiers: BTreeSet<String> = macs.iter().map(|mac| HEXLOWER.encode(mac)).collect();
    // Addresses that were the person's before.
    identifiers.extend(store::identifiers_of(tx, user).await?);
    let identifiers: Vec<String> = identifiers.into_iter().collect();
    let wait = app.config.retention.deleted_accounts;
    store::ask_erasure(tx, user, &identifiers.join(" "), now.plus(wait.max(IN_FLIGHT))).await?;
    if wait.is_zero() {
        erase_batch(app, tx, &user.to_string(), &identifiers, now).await?;
    }
    Ok(())
}

/// Erases a batch of what is due; returns how many rows that concerned, none when nothing is left.
///
/// # Errors
/// The database's.
pub async fn erase_due(app: &App, tx: &mut Tx, now: Timestamp) -> Result<u64> {
    let mut rows = 0;
    for due in store::erasures_due(tx, now, ACCOUNTS).await? {
        let identifiers: Vec<String> = due.identifiers.split(' ').map(str::to_owned).collect();
        let erased = erase_batch(app, tx, &due.user, &identifiers, now).await?;
        if erased > 0 {
            // One at a time, so that the batch stays small.
            return Ok(rows + erased);
        }
        store::erased(tx, &due.user).await?;
        rows += 1;
    }
    Ok(rows)
}

async fn erase_batch(
    app: &App,
    tx: &mut Tx,
    user: &str,
    identifiers: &[String],
    now: Timestamp,
) -> Result<u64> {
    let mut found = store::unerased_of_user(tx, user, BATCH).await?;
    for identifier in identifiers {
        let left = BATCH - i64::try_from(found.len()).unwrap_or(BATCH);
        if left > 0 {
            found.extend(store::unerased_of_identifier(tx, identifier, left).await?);
        }
    }
    let count = found.len() as u64;
    let mut by_chain: BTreeMap<&'static str, Vec<store::Place>> = BTreeMap::new();
    let mut unchained = Vec::new();
    for place in found {
        match place.chain.as_deref().and_then(chain::known) {
            Some(chain) => by_chain.entry(chain).or_default().push(place),
            // From before the chains: nothing holds it, so nothing has to tell of it.
            None => unchained.push(place.id),
        }
    }
    store::blank(tx, &unchained, 0).await?;
    for (chain, places) in by_chain {
        let seqs: BTreeSet<i64> = places.iter().map(|place| place.seq).collect();
        let ids: Vec<RowId> = places.iter().map(|place| place.id).collect();
        let client = Client::system();
        let event = Event::new(Kind::PersonalDataErased, &client).detail(json!({ "events": written(&seqs) }));
        // In the chain of an identifier the user is not named: that would tell whose it was.
        let about = (chain::of(Some(user), None) == chain).then(|| user.to_owned());
        let row = stored(app, chain, event, about, None, now);
        let app = app.clone();
        tx.at_last(chain, move |tx| {
            Box::pin(async move {
                let seq = link(&app, tx, chain, row).await?;
                store::blank(tx, &ids, seq).await
            })
        });
    }
    Ok(count)
}

/// Numbers in one short text: `3-7,9`.
fn written(seqs: &BTreeSet<i64>) -> String {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for seq in seqs {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *seq => *last = *seq,
            _ => ranges.push((*seq, *seq)),
        }
    }
    let text = |(first, last): &(i64, i64)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

/// Whether such an event names another one of its chain.
pub(super) fn names(detail: Option<&str>, seq: i64) -> bool {
    let detail: Option<Value> = detail.and_then(|text| serde_json::from_str(text).ok());
    let Some(Value::String(events)) = detail.map(|detail| detail["events"].clone()) else { return false };
    events.split(',').any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bounds = first.parse::<i64>().ok().zip(last.parse::<i64>().ok());
        bounds.is_some_and(|(first, last)| (first..=last).contains(&seq))
    })
}
