//! `/api/v1/admin/service-keys`: the keys with which other services call.
use super::Admin;
use super::needs::{ServiceKeysRead, ServiceKeysWrite};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::ids::RowId;
use crate::service_keys::{self, MOST_LIFE, NewKey, Scope, ServiceKey, ServiceKeyView};
use crate::sessions::Said;
use crate::web::path::{Segment, row};
use crate::web::{Body, Client, Fields, FromFields};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_service_keys, create_service_key))
        .routes(routes!(revoke_service_key))
}

/// Every service key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceKeys {
    /// Oldest first, ended ones included.
    service_keys: Vec<ServiceKeyView>,
}

/// The keys with which other services call, without their secrets.
#[utoipa::path(get, path = "/api/v1/admin/service-keys", tag = "administration", security(("bearer" = ["hallpass:service-keys:read"])), responses(
    (status = 200, body = ServiceKeys), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn list_service_keys(State(app): State<App>, _: Admin<ServiceKeysRead>) -> Result<Json<ServiceKeys>> {
    let now = app.now();
    let keys = service_keys::list(&app.db).await?;
    Ok(Json(ServiceKeys { service_keys: keys.iter().map(|key| key.view(now)).collect() }))
}

/// A service key to be made.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ServiceKeyRequest {
    /// What to call it; usually the service that gets it. At most 100 characters.
    name: String,
    /// What it allows: `authorize`, `introspect`, `revocations`.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    /// After how many seconds it ends by itself; without it the key is good until it is revoked.
    #[schema(value_type = Option<u64>)]
    expires_in: Option<Duration>,
}

impl FromFields for ServiceKeyRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.text("name", 200);
        let names = fields.names("scopes", Scope::ALL.len(), 100);
        let scopes = names.and_then(|names| scopes(fields, &names));
        let expires_in = fields.optional_number("expiresIn", 1, MOST_LIFE.as_secs()).map(Duration::from_secs);
        let request = Self { name: name?, scopes: scopes?, expires_in };
        (!fields.has_problems()).then_some(request)
    }
}

fn scopes(fields: &mut Fields, names: &[String]) -> Option<Vec<Scope>> {
    let scopes: Option<Vec<Scope>> = names.iter().map(|name| Scope::from_name(name)).collect();
    if scopes.is_none() {
        let known = Scope::ALL.map(Scope::name).join(", ");
        fields.problem("scopes", "invalid_value", format!("scopes may have: {known}."));
    }
    scopes
}

/// A new service key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewServiceKey {
    /// The key without its secret.
    service_key: ServiceKeyView,
    /// The secret itself: shown now and never again.
    key: String,
}

/// Makes a key for another service. Its secret is in this answer and nowhere else. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/service-keys", tag = "administration", security(("bearer" = ["hallpass:service-keys:write"])),
    request_body = ServiceKeyRequest, responses(
    (status = 201, body = NewServiceKey), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn create_service_key(
    State(app): State<App>,
    client: Client,
    admin: Admin<ServiceKeysWrite>,
    Body(request): Body<ServiceKeyRequest>,
) -> Result<(StatusCode, Json<NewServiceKey>)> {
    let new = NewKey { name: &request.name, scopes: &request.scopes, life: request.expires_in };
    let (made, key) = create(&app, &admin, &client, &new).await?;
    Ok((StatusCode::CREATED, Json(NewServiceKey { service_key: made.view(app.now()), key })))
}

/// Ends a service key, at once and for good; again and again changes nothing. Needs a fresh proof of identity.
#[utoipa::path(delete, path = "/api/v1/admin/service-keys/{id}", tag = "administration", security(("bearer" = ["hallpass:service-keys:write"])),
    params(("id" = String, Path, description = "Id of the key")), responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn revoke_service_key(
    State(app): State<App>,
    client: Client,
    admin: Admin<ServiceKeysWrite>,
    Segment(id): Segment,
) -> Result<Json<Said>> {
    revoke(&app, &admin, &client, row(&id)?).await?;
    Ok(Json(Said { message: "The key opens nothing any more." }))
}

/// Makes a service key on an administrator's authority.
async fn create(
    app: &App,
    admin: &Admin<ServiceKeysWrite>,
    client: &Client,
    new: &NewKey<'_>,
) -> Result<(ServiceKey, String)> {
    let (mut tx, admin) = admin.begin(app).await?;
    let made = service_keys::create(app, &mut tx, admin.authority(), client, new).await?;
    tx.commit().await?;
    Ok(made)
}

/// Ends a service key on an administrator's authority.
async fn revoke(app: &App, admin: &Admin<ServiceKeysWrite>, client: &Client, id: RowId) -> Result<()> {
    let (mut tx, admin) = admin.begin(app).await?;
    service_keys::revoke(app, &mut tx, admin.authority(), client, id).await?;
    tx.commit().await?;
    Ok(())
}
