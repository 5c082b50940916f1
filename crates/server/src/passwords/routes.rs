//! Forgot, reset, change.
use super::{change, forgot, reset};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::hashing::Password;
use crate::names::Email;
use crate::sessions::{Current, Said};
use crate::web::{Body, Client, Fields, FromFields, OwnOrigin, Routes, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa::ToSchema;

/// The routes of this module.
pub fn routes() -> Routes {
    Routes::new()
        .merge(handlers!(forgot_password))
        .merge(handlers!(reset_password))
        .merge(handlers!(change_password))
}

/// Whose password was forgotten.
#[derive(ToSchema)]
pub struct ForgotRequest {
    /// Address of the account.
    #[schema(value_type = String)]
    email: Email,
}

impl FromFields for ForgotRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { email: fields.email("email")? })
    }
}

/// A new password by link.
#[derive(ToSchema)]
pub struct ResetRequest {
    /// From the mailed link, or `passwordToken` of verify-email.
    token: String,
    /// The new password.
    #[schema(value_type = String)]
    password: Password,
}

impl FromFields for ResetRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let token = fields.token("token");
        let password = fields.password("password");
        Some(Self { token: token?, password: password? })
    }
}

/// A new password by knowing the present one.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ChangeRequest {
    /// The present password.
    #[schema(value_type = String)]
    current_password: Password,
    /// The new one.
    #[schema(value_type = String)]
    new_password: Password,
}

impl FromFields for ChangeRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let current_password = fields.password("currentPassword");
        let new_password = fields.password("newPassword");
        Some(Self { current_password: current_password?, new_password: new_password? })
    }
}

/// Sends a reset link, if the address has an account. The answer does not tell.
#[utoipa::path(post, path = "/api/v1/password/forgot", tag = "passwords", request_body = ForgotRequest, responses(
    (status = 202, body = Said), (status = 400, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn forgot_password(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(request): Body<ForgotRequest>,
) -> Result<(StatusCode, Json<Said>)> {
    forgot(&app, &client, &request.email).await?;
    let message = "If the address has an account, a mail with a link is on its way.";
    Ok((StatusCode::ACCEPTED, Json(Said { message })))
}

/// Sets a new password by a mailed link and ends all sessions.
#[utoipa::path(post, path = "/api/v1/password/reset", tag = "passwords", request_body = ResetRequest, responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn reset_password(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(request): Body<ResetRequest>,
) -> Result<Json<Said>> {
    reset(&app, &client, &request.token, request.password).await?;
    Ok(Json(Said { message: "The password was set. Sign in with it." }))
}

/// Changes the password and ends the other sessions.
#[utoipa::path(post, path = "/api/v1/password/change", tag = "passwords", security(("bearer" = [])), request_body = ChangeRequest, responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn change_password(
    State(app): State<App>,
    client: Client,
    current: Current,
    Body(request): Body<ChangeRequest>,
) -> Result<Json<Said>> {
    change(&app, &current, &client, request.current_password, request.new_password).await?;
    Ok(Json(Said { message: "The password was changed. The other sessions were ended." }))
}
