//! A fresh proof of identity in a session.
use crate::app::App;
use crate::cookies::SetCookies;
use crate::error::{Problem, Result};
use crate::hashing::Password;
use crate::login::passkey::Answered;
use crate::login::reauthenticate::{Fresh, reauthenticate, send_code};
use crate::login::second::Method;
use crate::sessions::{Current, FreshToken, Said, fresh_token};
use crate::web::{Body, Client, Fields, FromFields};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(prove_again)).routes(routes!(mail_code))
}

/// A fresh proof of identity: `password`, a code as `otp`, or `passkey` with `ceremony`.
#[derive(ToSchema)]
pub struct ReauthenticateRequest {
    /// Password; for accounts without a second factor.
    #[schema(value_type = Option<String>)]
    password: Option<Password>,
    /// Code of the authenticator app, recovery code or mailed code.
    otp: Option<String>,
    /// `totp`, `recovery_code` or `email_otp`; without it the form of the code tells.
    #[schema(value_type = Option<String>)]
    method: Option<Method>,
    /// The assertion of a passkey as `toJSON()` gives it.
    #[schema(value_type = Option<Object>)]
    passkey: Option<Value>,
    /// From the options of the passkey.
    ceremony: Option<String>,
}

impl FromFields for ReauthenticateRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let password = fields.optional_password("password");
        let otp = fields.optional_code("otp");
        let method = fields.choice("method", &Method::NAMES, None);
        let passkey = fields.optional_object("passkey");
        let ceremony = if passkey.is_some() { fields.token("ceremony") } else { None };
        if password.is_none() && otp.is_none() && passkey.is_none() && !fields.has_problems() {
            fields.problem("password", "required", "Send password, a code as otp, or a passkey.");
        }
        Some(Self { password, otp, method: method?, passkey, ceremony })
    }
}

/// Answer of a fresh proof.
#[derive(Serialize, ToSchema)]
pub struct Reauthenticated {
    /// What happened.
    message: &'static str,
    #[serde(flatten)]
    token: FreshToken,
}

/// Proves identity again, for changes of credentials, deletion and export.
#[utoipa::path(post, path = "/api/v1/reauthenticate", tag = "accounts", security(("bearer" = [])), request_body = ReauthenticateRequest, responses(
    (status = 200, body = Reauthenticated), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn prove_again(
    State(app): State<App>,
    client: Client,
    current: Current,
    Body(request): Body<ReauthenticateRequest>,
) -> Result<(SetCookies, Json<Reauthenticated>)> {
    let fresh = match (request.passkey, request.ceremony, request.password) {
        (Some(credential), Some(ceremony), _) => Fresh::Passkey(Answered { ceremony, credential }),
        (_, _, Some(password)) => Fresh::Password(password),
        (_, _, None) => Fresh::Typed(request.otp.unwrap_or_default(), request.method),
    };
    let session = reauthenticate(&app, &current, &client, fresh).await?;
    let (cookies, token) = fresh_token(&app, &session, &current).await?;
    Ok((cookies, Json(Reauthenticated { message: "Identity confirmed.", token })))
}

/// Mails a code that proves identity again, to an account that has neither password nor second factor.
#[utoipa::path(post, path = "/api/v1/reauthenticate/code", tag = "accounts", security(("bearer" = [])), responses(
    (status = 202, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn mail_code(
    State(app): State<App>,
    client: Client,
    current: Current,
) -> Result<(StatusCode, Json<Said>)> {
    send_code(&app, &current, &client).await?;
    Ok((StatusCode::ACCEPTED, Json(Said { message: "A mail with a code is on its way." })))
}
