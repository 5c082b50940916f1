//! `/api/v1/factors/totp` and `/api/v1/factors/recovery-codes`.
use super::{TotpSetup, begin_totp, confirm_totp, remove_totp, renew_recovery_codes};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::error::{Problem, Result};
use crate::sessions::{Current, FreshToken, Said, fresh_token};
use crate::web::{Body, Client, Fields, FromFields};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(set_up, remove))
        .routes(routes!(confirm_app))
        .routes(routes!(renew_codes))
}

/// Begins to set up an authenticator app. It counts once one of its codes has confirmed it.
#[utoipa::path(post, path = "/api/v1/factors/totp", tag = "factors", security(("bearer" = [])), responses(
    (status = 201, description = "Shown once", body = TotpSetup), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn set_up(State(app): State<App>, current: Current) -> Result<(StatusCode, Json<TotpSetup>)> {
    Ok((StatusCode::CREATED, Json(begin_totp(&app, &current).await?)))
}

/// The first code of an app.
#[derive(ToSchema)]
pub struct ConfirmRequest {
    /// Six digits.
    otp: String,
}

impl FromFields for ConfirmRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { otp: fields.code("otp")? })
    }
}

/// Answer of a confirmation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FactorAdded {
    /// What happened.
    message: &'static str,
    /// Ten codes that each stand in for the factor once. Shown this one time, and only when there were none before.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
    #[serde(flatten)]
    token: FreshToken,
}

/// Confirms the authenticator app.
#[utoipa::path(post, path = "/api/v1/factors/totp/confirm", tag = "factors", security(("bearer" = [])), request_body = ConfirmRequest, responses(
    (status = 200, body = FactorAdded), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn confirm_app(
    State(app): State<App>,
    client: Client,
    current: Current,
    Body(request): Body<ConfirmRequest>,
) -> Result<(SetCookies, Json<FactorAdded>)> {
    let (session, recovery_codes) = confirm_totp(&app, &current, &client, &request.otp).await?;
    let (cookies, token) = fresh_token(&app, &session, &current).await?;
    let message = "The authenticator app is set up. Keep the recovery codes where you find them without it.";
    Ok((cookies, Json(FactorAdded { message, recovery_codes, token })))
}

/// Removes the authenticator app. Needs a fresh proof by a second factor.
#[utoipa::path(delete, path = "/api/v1/factors/totp", tag = "factors", security(("bearer" = [])), responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn remove(State(app): State<App>, client: Client, current: Current) -> Result<Json<Said>> {
    remove_totp(&app, &current, &client).await?;
    Ok(Json(Said { message: "The authenticator app was removed." }))
}

/// New recovery codes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewCodes {
    /// What happened.
    message: &'static str,
    /// Ten codes, shown this one time.
    recovery_codes: Vec<String>,
}

/// Makes new recovery codes; the former ones are void.
#[utoipa::path(post, path = "/api/v1/factors/recovery-codes", tag = "factors", security(("bearer" = [])), responses(
    (status = 201, body = NewCodes), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn renew_codes(
    State(app): State<App>,
    client: Client,
    current: Current,
) -> Result<(StatusCode, Json<NewCodes>)> {
    let recovery_codes = renew_recovery_codes(&app, &current, &client).await?;
    let message = "Keep these codes safe. The former ones are void.";
    Ok((StatusCode::CREATED, Json(NewCodes { message, recovery_codes })))
}
