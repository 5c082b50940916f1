//! What was told, what waits, what was given up; and telling it once more.
use super::{find, store};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::ids::{RowId, SessionId, UserId};
use crate::roles::Authority;
use crate::web::Client;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// Deliveries that one call replays at most, since others wait meanwhile.
const REPLAYED_AT_ONCE: i64 = 10_000;

/// One event for one endpoint.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Id; `webhook-id`.
    pub id: RowId,
    /// For whom.
    pub(super) endpoint: RowId,
    /// Name of the type.
    pub(super) kind: String,
    pub(super) user: Option<UserId>,
    pub(super) session: Option<SessionId>,
    pub(super) reason: Option<String>,
    pub(super) happened_at: Timestamp,
    pub(super) attempts: i64,
    pub(super) next_attempt_at: Timestamp,
    pub(super) delivered_at: Option<Timestamp>,
    pub(super) dead_at: Option<Timestamp>,
    pub(super) last_attempt_at: Option<Timestamp>,
    pub(super) last_status: Option<i64>,
    pub(super) last_error: Option<String>,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To be tried, or tried again.
    Waiting,
    /// Taken.
    Delivered,
    /// Given up.
    Dead,
}

impl State {
    /// Every state by its name.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Dead];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// A delivery as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView {
    /// Id; `webhook-id`, and the cursor of the next page.
    pub id: String,
    /// Type of the event.
    pub r#type: String,
    /// `waiting`, `delivered` or `dead`.
    pub state: &'static str,
    /// When it happened, RFC 3339.
    pub happened_at: String,
    /// Attempts since it was written or replayed.
    pub attempts: i64,
    /// While it waits, RFC 3339.
    pub next_attempt_at: Option<String>,
    /// RFC 3339.
    pub last_attempt_at: Option<String>,
    /// HTTP status of the last answer.
    pub last_status: Option<i64>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

impl Delivery {
    /// How far it is.
    pub fn state(&self) -> State {
        match (self.delivered_at, self.dead_at) {
            (Some(_), _) => State::Delivered,
            (None, Some(_)) => State::Dead,
            (None, None) => State::Waiting,
        }
    }

    /// What operators see.
    pub fn view(&self) -> DeliveryView {
        let state = self.state();
        let next = (state == State::Waiting).then(|| self.next_attempt_at.rfc3339());
        DeliveryView {
            id: self.id.to_string(),
            r#type: self.kind.clone(),
            state: state.name(),
            happened_at: self.happened_at.rfc3339(),
            attempts: self.attempts,
            next_attempt_at: next,
            last_attempt_at: self.last_attempt_at.map(Timestamp::rfc3339),
            last_status: self.last_status,
            last_error: self.last_error.clone(),
        }
    }
}

/// Deliveries of an endpoint, newest first, older than a cursor, at most `limit`.
///
/// # Errors
/// [`Code::NotFound`].
pub async fn deliveries(
    app: &App,
    endpoint: RowId,
    state: Option<State>,
    before: Option<RowId>,
    limit: i64,
) -> Result<Vec<Delivery>> {
    find(&app.db, endpoint).await?;
    Ok(store::deliveries(&mut &app.db, endpoint, state, before, limit).await?)
}

/// Has one delivery made once more, under the same id, also if it was taken. Nothing while it waits for its first attempt.
/// Returns whether it is due now.
///
/// # Errors
/// [`Code::NotFound`], also for a delivery of another endpoint than the one that is named.
pub async fn replay(
    app: &App,
    tx: &mut Tx,
    by: Authority<'_>,
    client: &Client,
    endpoint: Option<RowId>,
    id: RowId,
) -> Result<bool> {
    let now = app.now();
    let found = store::find_delivery(tx, id).await?;
    let found = found.filter(|found| endpoint.is_none_or(|endpoint| found.endpoint == endpoint));
    let found = found.ok_or_else(|| Error::new(Code::NotFound))?;
    if !store::replay(tx, id, now).await? {
        return Ok(false);
    }
    let detail = json!({ "endpoint": found.endpoint, "delivery": id, "by": by.name() });
    audit::record(app, tx, Event::new(Kind::WebhookReplayed, client).detail(detail), now);
    tx.then_wake(&app.webhooks_wake);
    Ok(true)
}

/// Has everything that was given up for an endpoint since an instant made once more, oldest first, as far as there is room
/// (`webhooks.max_waiting`). Returns how many; called again, it goes on.
///
/// # Errors
/// [`Code::NotFound`].
pub async fn replay_dead(
    app: &App,
    tx: &mut Tx,
    by: Authority<'_>,
    client: &Client,
    endpoint: RowId,
    since: Timestamp,
) -> Result<u64> {
    let now = app.now();
    let most = i64::from(app.config.webhooks.max_waiting);
    find(&mut *tx, endpoint).await?;
    let room = (most - store::waiting(tx, endpoint, most).await?).min(REPLAYED_AT_ONCE);
    let replayed = store::replay_dead(tx, endpoint, since, now, room).await?;
    if replayed > 0 {
        let since = since.rfc3339();
        let detail = json!({ "endpoint": endpoint, "deliveries": replayed, "since": since, "by": by.name() });
        audit::record(app, tx, Event::new(Kind::WebhookReplayed, client).detail(detail), now);
        tx.then_wake(&app.webhooks_wake);
    }
    Ok(replayed)
}
