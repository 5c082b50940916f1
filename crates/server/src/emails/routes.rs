//! Change of address over the API.
use super::{confirm_change, request_change, undo_change};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::names::Email;
use crate::roles;
use crate::sessions::{Current, Said};
use crate::users::UserView;
use crate::web::{Body, Client, Fields, FromFields, OwnOrigin, Routes, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// The routes of this module.
pub fn routes() -> Routes {
    Routes::new().merge(handlers!(change)).merge(handlers!(confirm)).merge(handlers!(undo))
}

/// A new address.
#[derive(ToSchema)]
pub struct EmailRequest {
    /// The new address.
    #[schema(value_type = String)]
    email: Email,
}

impl FromFields for EmailRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { email: fields.email("email")? })
    }
}

/// A mailed token.
#[derive(ToSchema)]
pub struct TokenRequest {
    /// From the mailed link.
    token: String,
}

impl FromFields for TokenRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { token: fields.token("token")? })
    }
}

/// The account after a change.
#[derive(Serialize, ToSchema)]
pub struct Changed {
    /// What happened.
    message: &'static str,
    /// The account.
    user: UserView,
}

/// Asks the new address to confirm; the present one is told and can undo.
#[utoipa::path(post, path = "/api/v1/email/change", tag = "emails", security(("bearer" = [])), request_body = EmailRequest, responses(
    (status = 202, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn change(
    State(app): State<App>,
    client: Client,
    current: Current,
    Body(request): Body<EmailRequest>,
) -> Result<(StatusCode, Json<Said>)> {
    request_change(&app, &current, &client, &request.email).await?;
    let message = "A mail to the new address asks for confirmation.";
    Ok((StatusCode::ACCEPTED, Json(Said { message })))
}

/// Completes a change of address.
#[utoipa::path(post, path = "/api/v1/email/confirm", tag = "emails", request_body = TokenRequest, responses(
    (status = 200, body = Changed), (status = 400, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn confirm(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(request): Body<TokenRequest>,
) -> Result<Json<Changed>> {
    let user = confirm_change(&app, &client, &request.token).await?;
    let grants = roles::grants(&app, &app.db, &user.roles).await?;
    Ok(Json(Changed { message: "The address was changed.", user: user.view(&grants) }))
}

/// Takes a change of address back; all sessions end.
#[utoipa::path(post, path = "/api/v1/email/undo", tag = "emails", request_body = TokenRequest, responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn undo(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(request): Body<TokenRequest>,
) -> Result<Json<Said>> {
    undo_change(&app, &client, &request.token).await?;
    Ok(Json(Said { message: "The address is the former one again. All sessions were ended." }))
}
