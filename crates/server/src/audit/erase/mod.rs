//! Erasing what is personal in the events about somebody whose account was deleted: address, program, request, identifier, details,
//! and the salt of their hash, so that nothing can be guessed back. The links hold, since they have that hash only.
//!
//! An erasure is itself an event of the same chain, which names the events by their numbers. So it comes after them, goes with them
//! when old events are removed, and nobody without the secret key can blank an event and have it pass for erased.
mod store;

use super::chain;
use super::{Event, Kind, StoredEvent, link, stored};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::Result;
use crate::ids::{RowId, UserId};
use crate::web::Client;
use data_encoding::HEXLOWER;
use hallpass_crypto::digest::equal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use store::{About, Erasure};

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
    let noted = store::with_identifier(tx, user).await?.into_iter().filter(is_as_written);
    identifiers.extend(noted.filter_map(|event| event.identifier_hash));
    let identifiers: Vec<String> = identifiers.into_iter().collect();
    let wait = app.config.retention.deleted_accounts;
    let due = now.plus(wait.max(IN_FLIGHT));
    let mut asked =
        Erasure { user: user.to_string(), identifiers: identifiers.join(" "), due, mac: Vec::new() };
    asked.mac = app.secrets.audit.mac(&message(&asked)).to_vec();
    store::ask_erasure(tx, &asked).await?;
    if wait.is_zero() {
        erase_batch(app, tx, &asked.user, &identifiers, now).await?;
    }
    Ok(())
}

/// What the MAC of an erasure covers.
fn message(asked: &Erasure) -> Vec<u8> {
    let due = asked.due.micros().to_be_bytes();
    let (user, identifiers) = (asked.user.as_bytes(), asked.identifiers.as_bytes());
    chain::framed(&[Some(b"hallpass/audit/erasure/v1"), Some(user), Some(identifiers), Some(&due)])
}

/// Signs the erasures that wait and are under a former secret key with the present one: they may wait for a year.
pub(super) async fn sign_anew(app: &App) -> Result<()> {
    let mut after = String::new();
    loop {
        let page = store::erasures_after(&mut &app.db, &after, BATCH).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after.clone_from(&last.user);
        for asked in page {
            let message = message(&asked);
            let mac = app.secrets.audit.mac(&message);
            if !equal(&mac, &asked.mac) && app.secrets.audit.verify_mac(&message, &asked.mac) {
                store::sign(&mut &app.db, &asked, &mac).await?;
            }
        }
    }
}

/// Erases a batch of what is due; returns how many rows that concerned, none when nothing is left. What this server did not ask for,
/// and what is about an account that is there again, is dropped.
///
/// # Errors
/// The database's.
pub async fn erase_due(app: &App, tx: &mut Tx, now: Timestamp) -> Result<u64> {
    let mut rows = 0;
    for due in store::erasures_due(tx, now, ACCOUNTS).await? {
        if is_wanted(app, tx, &due).await? {
            let identifiers: Vec<String> = due.identifiers.split(' ').map(str::to_owned).collect();
            let erased = erase_batch(app, tx, &due.user, &identifiers, now).await?;
            if erased > 0 {
                // One at a time, so that the batch stays small.
                return Ok(rows + erased);
            }
        }
        store::erased(tx, &due.user).await?;
        rows += 1;
    }
    Ok(rows)
}

async fn is_wanted(app: &App, tx: &mut Tx, due: &Erasure) -> Result<bool> {
    let user = due.user.as_str();
    if !app.secrets.audit.verify_mac(&message(due), &due.mac) {
        tracing::error!(
            user,
            "an erasure is not under this server's secret key and was dropped: somebody else wrote it, or the former key is missing \
             in keys.previous_secret_keys"
        );
        return Ok(false);
    }
    if store::is_there(tx, user).await? {
        tracing::warn!(user, "an erasure was dropped: the account is there again");
        return Ok(false);
    }
    Ok(true)
}

/// Whether what is personal in an event is what was written. Of those from before the chains nothing tells.
fn is_as_written(event: &StoredEvent) -> bool {
    event.chain.is_empty() || event.personal_hash.as_deref() == Some(&chain::personal_hash(event))
}

/// A batch of what is to be erased. What somebody changed is left as it is, for the check to find.
async fn to_erase(tx: &mut Tx, user: &str, identifiers: &[String]) -> Result<Vec<StoredEvent>> {
    let mut found = Vec::new();
    let identifiers = identifiers.iter().map(|hash| About::Identifier(hash));
    for about in std::iter::once(About::User(user)).chain(identifiers) {
        let mut after = String::new();
        loop {
            let left = BATCH - i64::try_from(found.len()).unwrap_or(BATCH);
            if left <= 0 {
                return Ok(found);
            }
            let page = store::unerased(tx, about, &after, left).await?;
            let Some(last) = page.last() else { break };
            after = last.id.to_string();
            found.extend(page.into_iter().filter(is_as_written));
        }
    }
    Ok(found)
}

async fn erase_batch(
    app: &App,
    tx: &mut Tx,
    user: &str,
    identifiers: &[String],
    now: Timestamp,
) -> Result<u64> {
    let found = to_erase(tx, user, identifiers).await?;
    let count = found.len() as u64;
    // Those about an identifier apart from those about the user: an event that names the user would tell whose it was.
    let mut by_chain: BTreeMap<(&'static str, bool), Vec<StoredEvent>> = BTreeMap::new();
    let mut unchained = Vec::new();
    for event in found {
        match chain::known(&event.chain) {
            Some(chain) => by_chain.entry((chain, event.user.is_some())).or_default().push(event),
            // From before the chains: nothing holds it, so nothing has to tell of it.
            None => unchained.push(event.id),
        }
    }
    store::blank(tx, &unchained, 0).await?;
    for ((chain, of_user), events) in by_chain {
        let seqs: BTreeSet<i64> = events.iter().map(|event| event.seq).collect();
        let ids: Vec<RowId> = events.iter().map(|event| event.id).collect();
        let client = Client::system();
        let event = Event::new(Kind::PersonalDataErased, &client).detail(json!({ "events": written(&seqs) }));
        let about = of_user.then(|| user.to_owned());
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
