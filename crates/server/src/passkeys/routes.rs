//! Own passkeys: enrol, list, rename, remove.
use super::{Challenge, Enrolled, NAME_MAX, PasskeyView, begin_enrolment, enrol, of_user, remove, rename};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::error::{Code, Error, Problem, Result};
use crate::ids::RowId;
use crate::sessions::{Current, FreshToken, Said, fresh_token};
use crate::web::{Body, Client, Fields, FromFields, Segment};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(creation_options))
        .routes(routes!(add_passkey, list_passkeys))
        .routes(routes!(rename_passkey, remove_passkey))
}

/// What an authenticator made.
#[derive(ToSchema)]
pub struct EnrolRequest {
    /// From the options.
    ceremony: String,
    /// The new credential as `toJSON()` gives it.
    #[schema(value_type = Object)]
    credential: Value,
    /// What to call it. Default: the device that enrols.
    name: Option<String>,
}

impl FromFields for EnrolRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let ceremony = fields.token("ceremony");
        let credential = fields.object("credential");
        let name = fields.optional_text("name", NAME_MAX);
        Some(Self { ceremony: ceremony?, credential: credential?, name })
    }
}

/// A name for a passkey.
#[derive(ToSchema)]
pub struct RenameRequest {
    /// What to call it.
    name: String,
}

impl FromFields for RenameRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { name: fields.text("name", NAME_MAX)? })
    }
}

/// One passkey.
#[derive(Serialize, ToSchema)]
pub struct OnePasskey {
    passkey: PasskeyView,
}

/// A new passkey.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasskeyAdded {
    passkey: PasskeyView,
    /// Ten codes that each stand in for a second factor once. Shown this one time, and only when there were none before.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
    #[serde(flatten)]
    token: FreshToken,
}

/// Passkeys, oldest first.
#[derive(Serialize, ToSchema)]
pub struct PasskeyList {
    passkeys: Vec<PasskeyView>,
}

/// Begins an enrolment: options for `navigator.credentials.create`.
#[utoipa::path(post, path = "/api/v1/factors/passkeys/options", tag = "factors", security(("bearer" = [])), responses(
    (status = 200, body = Challenge), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn creation_options(State(app): State<App>, current: Current) -> Result<Json<Challenge>> {
    Ok(Json(begin_enrolment(&app, &current).await?))
}

/// Enrols a passkey.
#[utoipa::path(post, path = "/api/v1/factors/passkeys", tag = "factors", security(("bearer" = [])), request_body = EnrolRequest, responses(
    (status = 201, body = PasskeyAdded), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn add_passkey(
    State(app): State<App>,
    client: Client,
    current: Current,
    Body(request): Body<EnrolRequest>,
) -> Result<(StatusCode, SetCookies, Json<PasskeyAdded>)> {
    let EnrolRequest { ceremony, credential, name } = request;
    let Enrolled { passkey, session, recovery_codes } =
        enrol(&app, &current, &client, &ceremony, credential, name).await?;
    let (cookies, token) = fresh_token(&app, &session, &current).await?;
    let body = PasskeyAdded { passkey: passkey.view(), recovery_codes, token };
    Ok((StatusCode::CREATED, cookies, Json(body)))
}

/// Own passkeys.
#[utoipa::path(get, path = "/api/v1/factors/passkeys", tag = "factors", security(("bearer" = [])), responses(
    (status = 200, body = PasskeyList), (status = 400, body = Problem), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn list_passkeys(State(app): State<App>, current: Current) -> Result<Json<PasskeyList>> {
    let passkeys = of_user(&app.db, current.user.id).await?;
    Ok(Json(PasskeyList { passkeys: passkeys.iter().map(super::Passkey::view).collect() }))
}

/// Renames a passkey.
#[utoipa::path(patch, path = "/api/v1/factors/passkeys/{id}", tag = "factors", security(("bearer" = [])), params(("id" = String, Path)), request_body = RenameRequest, responses(
    (status = 200, body = OnePasskey), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn rename_passkey(
    State(app): State<App>,
    client: Client,
    current: Current,
    Segment(id): Segment,
    Body(request): Body<RenameRequest>,
) -> Result<Json<OnePasskey>> {
    let id = RowId::parse(&id).ok_or_else(|| Error::new(Code::NotFound))?;
    let passkey = rename(&app, &current, &client, id, &request.name).await?;
    Ok(Json(OnePasskey { passkey: passkey.view() }))
}

/// Removes a passkey.
#[utoipa::path(delete, path = "/api/v1/factors/passkeys/{id}", tag = "factors", security(("bearer" = [])), params(("id" = String, Path)), responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn remove_passkey(
    State(app): State<App>,
    client: Client,
    current: Current,
    Segment(id): Segment,
) -> Result<Json<Said>> {
    let id = RowId::parse(&id).ok_or_else(|| Error::new(Code::NotFound))?;
    remove(&app, &current, &client, id).await?;
    Ok(Json(Said { message: "The passkey was removed." }))
}
