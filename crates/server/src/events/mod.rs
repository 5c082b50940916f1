//! What other systems are told: written beside the fact, delivered by `webhooks`.
//!
//! Invariants: a row is written in the transaction of its fact, once for each endpoint that wants the type, and nothing at all
//! while none does. Nobody calls this but the two places that every fact passes: `audit::record`, and the verbs of
//! `sessions` that end sessions. A row holds ids and times, nothing personal: what is told about people is read when it is told.
mod store;

use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::ids::{RowId, SessionId, UserId};
use crate::subscriptions::EventType;
use std::sync::Arc;

/// Before the chains of the audit log, which are held as shortly as can be.
const ROW: &str = "-events";

/// A fact.
#[derive(Clone, Copy)]
pub struct Event {
    /// What happened.
    pub what: EventType,
    /// To whom.
    pub user: Option<UserId>,
    /// In which session.
    pub session: Option<SessionId>,
    /// Why, as a stable name.
    pub reason: Option<&'static str>,
}

/// Has a fact written, by the commit of its transaction, for every endpoint that wants it.
pub fn note(app: &App, tx: &mut Tx, event: Event, now: Timestamp) {
    let endpoints = app.subscriptions.to(event.what);
    if endpoints.is_empty() {
        return;
    }
    let rows = endpoints.into_iter().map(|endpoint| (RowId(app.new_id(now)), endpoint)).collect::<Vec<_>>();
    tx.at_last(ROW, move |tx| Box::pin(async move { store::insert(tx, &rows, &event, now).await }));
    tx.then_wake(&Arc::clone(&app.webhooks_wake));
}
