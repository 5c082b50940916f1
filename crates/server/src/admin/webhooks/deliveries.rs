//! What was told, what waits, what was given up; and telling it once more.
use crate::admin::needs::{WebhooksRead, WebhooksWrite};
use crate::admin::{Admin, query};
use crate::app::App;
use crate::clock::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::ids::RowId;
use crate::web::form::Query;
use crate::web::path::{Segment, Segments, row};
use crate::web::{Client, Fields, FromFields, MaybeBody, Routes, handlers};
use crate::webhooks::{self, Delivery, DeliveryView, State as Progress};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// Deliveries in a page, unless told otherwise.
const PAGE: u16 = 50;
/// Most deliveries in a page.
const PAGE_MAX: u16 = 200;
/// How far back a replay may look, in seconds: nothing is kept for ten years.
const BACK_MAX: u64 = 3650 * 86_400;

pub(super) fn routes() -> Routes {
    Routes::new()
        .merge(handlers!(list_deliveries))
        .merge(handlers!(replay_delivery))
        .merge(handlers!(replay_dead_deliveries))
}

/// A page of deliveries.
#[derive(Serialize, ToSchema)]
pub struct Deliveries {
    /// Newest first.
    deliveries: Vec<DeliveryView>,
    /// What to send as `before` for the following page; null at the end.
    next: Option<String>,
}

/// What an endpoint was told, what waits for it, what was given up.
#[utoipa::path(get, path = "/api/v1/admin/webhooks/{id}/deliveries", tag = "administration", security(("bearer" = ["hallpass:webhooks:read"])),
    params(("id" = String, Path, description = "Id of the endpoint"), ("state" = Option<String>, Query, description = "`waiting`, `delivered` or `dead`"),
        ("before" = Option<String>, Query, description = "`next` of the page before"), ("limit" = Option<u16>, Query, description = "1 to 200; 50 by default")), responses(
    (status = 200, body = Deliveries), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn list_deliveries(
    State(app): State<App>,
    _: Admin<WebhooksRead>,
    Segment(id): Segment,
    query: Query,
) -> Result<Json<Deliveries>> {
    let (before, limit) = (query::row(&query, "before")?, query::limit(&query, PAGE, PAGE_MAX)?);
    let (endpoint, state) = (row(&id)?, progress(&query)?);
    let mut found = webhooks::deliveries(&app, endpoint, state, before, i64::from(limit) + 1).await?;
    let more = query::cut(&mut found, limit);
    let deliveries: Vec<DeliveryView> = found.iter().map(Delivery::view).collect();
    let next = deliveries.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(Deliveries { deliveries, next }))
}

fn progress(query: &Query) -> Result<Option<Progress>> {
    let wrong = || Error::field("state", "invalid_value", "state must be waiting, delivered or dead.");
    match query.get("state") {
        "" => Ok(None),
        name => Progress::ALL.into_iter().find(|one| one.name() == name).map(Some).ok_or_else(wrong),
    }
}

/// How many deliveries are made once more.
#[derive(Serialize, ToSchema)]
pub struct Replayed {
    /// Number of deliveries.
    replayed: u64,
}

/// Has one delivery made once more, under the same `webhook-id`, also if it was taken. None while it waits for its first attempt.
/// Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/deliveries/{delivery}/replay", tag = "administration", security(("bearer" = ["hallpass:webhooks:write"])),
    params(("id" = String, Path, description = "Id of the endpoint"), ("delivery" = String, Path, description = "Id of the delivery")), responses(
    (status = 200, body = Replayed), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn replay_delivery(
    State(app): State<App>,
    client: Client,
    admin: Admin<WebhooksWrite>,
    Segments(id, delivery): Segments,
) -> Result<Json<Replayed>> {
    let due = replay(&app, &admin, &client, row(&id)?, row(&delivery)?).await?;
    Ok(Json(Replayed { replayed: u64::from(due) }))
}

/// What to replay of what was given up.
#[derive(Default, ToSchema)]
pub struct ReplayRequest {
    /// Only what was given up in the last so many seconds.
    #[schema(value_type = Option<u64>)]
    last: Option<Duration>,
}

impl FromFields for ReplayRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let last = fields.optional_number("last", 1, BACK_MAX).map(Duration::from_secs);
        (!fields.has_problems()).then_some(Self { last })
    }
}

/// Has everything that was given up made once more, oldest first, as far as there is room; called again, it goes on. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/replay", tag = "administration", security(("bearer" = ["hallpass:webhooks:write"])),
    params(("id" = String, Path, description = "Id of the endpoint")), request_body = Option<ReplayRequest>, responses(
    (status = 200, body = Replayed), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn replay_dead_deliveries(
    State(app): State<App>,
    client: Client,
    admin: Admin<WebhooksWrite>,
    Segment(id): Segment,
    MaybeBody(request): MaybeBody<ReplayRequest>,
) -> Result<Json<Replayed>> {
    let since = request.last.map_or(Timestamp(0), |last| app.now().minus(last));
    let replayed = replay_dead(&app, &admin, &client, row(&id)?, since).await?;
    Ok(Json(Replayed { replayed }))
}

/// Replays one delivery on an administrator's authority.
async fn replay(
    app: &App,
    admin: &Admin<WebhooksWrite>,
    client: &Client,
    endpoint: RowId,
    delivery: RowId,
) -> Result<bool> {
    let (mut tx, admin) = admin.begin(app).await?;
    let by = admin.authority();
    let due = webhooks::replay(app, &mut tx, by, client, Some(endpoint), delivery).await?;
    tx.commit().await?;
    Ok(due)
}

/// Replays what was given up on an administrator's authority.
async fn replay_dead(
    app: &App,
    admin: &Admin<WebhooksWrite>,
    client: &Client,
    endpoint: RowId,
    since: Timestamp,
) -> Result<u64> {
    let (mut tx, admin) = admin.begin(app).await?;
    let replayed = webhooks::replay_dead(app, &mut tx, admin.authority(), client, endpoint, since).await?;
    tx.commit().await?;
    Ok(replayed)
}
