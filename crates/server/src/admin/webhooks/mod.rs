//! `/api/v1/admin/webhooks`: other systems that are told what happens.
mod deliveries;

use super::Admin;
use super::needs::{WebhooksRead, WebhooksWrite};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::ids::RowId;
use crate::sessions::Said;
use crate::subscriptions::EventType;
use crate::web::path::{Segment, row};
use crate::web::{Body, Client, Fields, FromFields, MaybeBody};
use crate::webhooks::{self, Endpoint, EndpointView, NewEndpoint, OVERLAP_MAX};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

/// For how long a former secret signs as well, unless told otherwise.
const OVERLAP: Duration = Duration::from_secs(86_400);
/// Longest address of an endpoint.
const URL_MAX: usize = 2000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_webhooks, create_webhook))
        .routes(routes!(show_webhook, delete_webhook))
        .routes(routes!(enable_webhook))
        .routes(routes!(disable_webhook))
        .routes(routes!(rotate_webhook_secret))
        .routes(routes!(ping_webhook))
        .merge(deliveries::routes())
}

/// Every endpoint.
#[derive(Serialize, ToSchema)]
pub struct Webhooks {
    /// Oldest first.
    webhooks: Vec<EndpointView>,
}

/// One endpoint.
#[derive(Serialize, ToSchema)]
pub struct OneWebhook {
    /// The endpoint, without its secret.
    webhook: EndpointView,
}

impl OneWebhook {
    fn answer(app: &App, endpoint: &Endpoint) -> Json<Self> {
        Json(Self { webhook: endpoint.view(app.now()) })
    }
}

/// The endpoints that are told what happens, without their secrets.
#[utoipa::path(get, path = "/api/v1/admin/webhooks", tag = "administration", security(("bearer" = ["hallpass:webhooks:read"])), responses(
    (status = 200, body = Webhooks), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn list_webhooks(State(app): State<App>, _: Admin<WebhooksRead>) -> Result<Json<Webhooks>> {
    let now = app.now();
    let webhooks = webhooks::list(&app.db).await?.iter().map(|endpoint| endpoint.view(now)).collect();
    Ok(Json(Webhooks { webhooks }))
}

/// One endpoint and how it is doing.
#[utoipa::path(get, path = "/api/v1/admin/webhooks/{id}", tag = "administration", security(("bearer" = ["hallpass:webhooks:read"])),
    params(("id" = String, Path, description = "Id of the endpoint")), responses(
    (status = 200, body = OneWebhook), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn show_webhook(
    State(app): State<App>,
    _: Admin<WebhooksRead>,
    Segment(id): Segment,
) -> Result<Json<OneWebhook>> {
    Ok(OneWebhook::answer(&app, &webhooks::find(&app.db, row(&id)?).await?))
}

/// An endpoint to be set up.
#[derive(ToSchema)]
pub struct WebhookRequest {
    /// What to call it. At most 100 characters.
    name: String,
    /// Where it is told: `https`, without user and password.
    url: String,
    /// What it is told: types such as `user.created`, or `user.*`, `session.*`, `*`.
    types: Vec<String>,
}

impl FromFields for WebhookRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.text("name", 200);
        let url = fields.text("url", URL_MAX);
        let types = fields.names("types", EventType::ALL.len() + 3, 100);
        Some(Self { name: name?, url: url?, types: types? })
    }
}

/// A new endpoint.
#[derive(Serialize, ToSchema)]
pub struct NewWebhook {
    /// The endpoint without its secret.
    webhook: EndpointView,
    /// What signs (Standard Webhooks, `whsec_…`): shown now and never again.
    secret: String,
}

/// Sets up an endpoint, which is told about everybody. Its secret is in this answer and nowhere else. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/webhooks", tag = "administration", security(("bearer" = ["hallpass:webhooks:write"])),
    request_body = WebhookRequest, responses(
    (status = 201, body = NewWebhook), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn create_webhook(
    State(app): State<App>,
    client: Client,
    admin: Admin<WebhooksWrite>,
    Body(request): Body<WebhookRequest>,
) -> Result<(StatusCode, Json<NewWebhook>)> {
    let new = NewEndpoint { name: &request.name, url: &request.url, types: &request.types };
    let (endpoint, secret) = create(&app, &admin, &client, &new).await?;
    let answer = NewWebhook { webhook: endpoint.view(app.now()), secret: secret.to_string() };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Removes an endpoint with everything that waits for it. Needs a fresh proof of identity.
#[utoipa::path(delete, path = "/api/v1/admin/webhooks/{id}", tag = "administration", security(("bearer" = ["hallpass:webhooks:write"])),
    params(("id" = String, Path, description = "Id of the endpoint")), responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn delete_webhook(
    State(app): State<App>,
    client: Client,
    admin: Admin<WebhooksWrite>,
    Segment(id): Segment,
) -> Result<Json<Said>> {
    delete(&app, &admin, &client, row(&id)?).await?;
    Ok(Json(Said { message: "The webhook was removed." }))
}

/// Tells an endpoint again, what waited meanwhile included; again and again changes nothing. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/enable", tag = "administration", security(("bearer" = ["hallpass:webhooks:write"])),
    params(("id" = String, Path, description = "Id of the endpoint")), responses(
    (status = 200, body = OneWebhook), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn enable_webhook(
    State(app): State<App>,
    client: Client,
    admin: Admin<WebhooksWrite>,
    Segment(id): Segment,
) -> Result<Json<OneWebhook>> {
    Ok(OneWebhook::answer(&app, &switch(&app, &admin, &client, row(&id)?, false).await?))
}

/// Tells an endpoint nothing any more; again and again changes nothing. Needs no fresh proof of identity: it only closes doors.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/disable", tag = "administration", security(("bearer" = ["hallpass:webhooks:write"])),
    params(("id" = String, Path, description = "Id of the endpoint")), responses(
    (status = 200, body = OneWebhook), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn disable_webhook(
    State(app): State<App>,
    client: Client,
    admin: Admin<WebhooksWrite>,
    Segment(id): Segment,
) -> Result<Json<OneWebhook>> {
    Ok(OneWebhook::answer(&app, &switch(&app, &admin, &client, row(&id)?, true).await?))
}

/// How to replace a secret.
#[derive(Default, ToSchema)]
pub struct RotateWebhookSecretRequest {
    /// For how many seconds the former secret signs as well: 0 to 604800, 86400 by default.
    #[schema(value_type = Option<u64>)]
    overlap: Option<Duration>,
}

impl FromFields for RotateWebhookSecretRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let overlap = fields.optional_number("overlap", 0, OVERLAP_MAX.as_secs()).map(Duration::from_secs);
        (!fields.has_problems()).then_some(Self { overlap })
    }
}

/// Gives an endpoint another secret, which is in this answer and nowhere else. For a while the former one signs as well, so that no delivery fails
/// meanwhile. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/rotate-secret", tag = "administration", security(("bearer" = ["hallpass:webhooks:write"])),
    params(("id" = String, Path, description = "Id of the endpoint")), request_body = Option<RotateWebhookSecretRequest>, responses(
    (status = 200, body = NewWebhook), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn rotate_webhook_secret(
    State(app): State<App>,
    client: Client,
    admin: Admin<WebhooksWrite>,
    Segment(id): Segment,
    MaybeBody(request): MaybeBody<RotateWebhookSecretRequest>,
) -> Result<Json<NewWebhook>> {
    let overlap = request.overlap.unwrap_or(OVERLAP);
    let (endpoint, secret) = rotate(&app, &admin, &client, row(&id)?, overlap).await?;
    Ok(Json(NewWebhook { webhook: endpoint.view(app.now()), secret: secret.to_string() }))
}

/// What came of a ping.
#[derive(Serialize, ToSchema)]
pub struct PingedBody {
    /// Whether the endpoint took it.
    taken: bool,
    /// HTTP status, if it answered.
    status: Option<u16>,
    /// Why it did not take it.
    error: Option<String>,
}

/// Sends `webhook.ping` at once, also to an endpoint that is disabled, and tells what came of it. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/ping", tag = "administration", security(("bearer" = ["hallpass:webhooks:write"])),
    params(("id" = String, Path, description = "Id of the endpoint")), responses(
    (status = 200, body = PingedBody), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn ping_webhook(
    State(app): State<App>,
    admin: Admin<WebhooksWrite>,
    Segment(id): Segment,
) -> Result<Json<PingedBody>> {
    admin.require_fresh(&app)?;
    let pinged = webhooks::ping(&app, row(&id)?).await?;
    Ok(Json(PingedBody { taken: pinged.taken, status: pinged.status, error: pinged.error }))
}

/// Sets an endpoint up on an administrator's authority.
async fn create(
    app: &App,
    admin: &Admin<WebhooksWrite>,
    client: &Client,
    new: &NewEndpoint<'_>,
) -> Result<(Endpoint, Zeroizing<String>)> {
    let (mut tx, admin) = admin.begin(app).await?;
    let made = webhooks::create(app, &mut tx, admin.authority(), client, new).await?;
    webhooks::commit(app, tx).await?;
    Ok(made)
}

/// Removes an endpoint on an administrator's authority.
async fn delete(app: &App, admin: &Admin<WebhooksWrite>, client: &Client, id: RowId) -> Result<()> {
    let (mut tx, admin) = admin.begin(app).await?;
    webhooks::delete(app, &mut tx, admin.authority(), client, id).await?;
    webhooks::commit(app, tx).await
}

/// Tells an endpoint nothing any more, or again, on an administrator's authority.
async fn switch(
    app: &App,
    admin: &Admin<WebhooksWrite>,
    client: &Client,
    id: RowId,
    disabled: bool,
) -> Result<Endpoint> {
    let begun = if disabled { admin.begin_at_once(app).await } else { admin.begin(app).await };
    let (mut tx, admin) = begun?;
    webhooks::set_disabled(app, &mut tx, admin.authority(), client, id, disabled).await?;
    let endpoint = webhooks::find(&mut tx, id).await?;
    webhooks::commit(app, tx).await?;
    Ok(endpoint)
}

/// Replaces a secret on an administrator's authority.
async fn rotate(
    app: &App,
    admin: &Admin<WebhooksWrite>,
    client: &Client,
    id: RowId,
    overlap: Duration,
) -> Result<(Endpoint, Zeroizing<String>)> {
    let (mut tx, admin) = admin.begin(app).await?;
    let secret = webhooks::rotate_secret(app, &mut tx, admin.authority(), client, id, overlap).await?;
    let endpoint = webhooks::find(&mut tx, id).await?;
    webhooks::commit(app, tx).await?;
    Ok((endpoint, secret))
}
