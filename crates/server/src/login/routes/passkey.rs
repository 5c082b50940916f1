//! Signing in by passkey, and what pages need to ask for one.
use super::signin::{AttemptRequest, SignInBody, answer, named};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::error::{Problem, Result};
use crate::login::passkey::{self, Answered, ByPasskey};
use crate::names::EMAIL_MAX;
use crate::passkeys::Challenge;
use crate::sessions::{Current, Delivery};
use crate::web::client::KnownDevice;
use crate::web::{Body, Client, Fields, FromFields, MaybeBody, OwnOrigin, Routes, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::Value;
use utoipa::ToSchema;

/// The routes of this file.
pub(super) fn routes() -> Routes {
    Routes::new()
        .merge(handlers!(passkey_options))
        .merge(handlers!(login_by_passkey))
        .merge(handlers!(passkey_options_in_attempt))
        .merge(handlers!(passkey_options_in_session))
}

/// Who wants to sign in, if that is known.
#[derive(ToSchema)]
pub struct PasskeyOptionsRequest {
    /// Address or username. Without it the authenticator says who it is, also in the autofill of a form.
    identifier: Option<String>,
}

impl FromFields for PasskeyOptionsRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { identifier: fields.optional_text("identifier", EMAIL_MAX) })
    }
}

/// A sign-in by passkey.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct PasskeyLoginRequest {
    /// From the options.
    ceremony: String,
    /// The assertion as `toJSON()` gives it.
    #[schema(value_type = Object)]
    credential: Value,
    /// Where the tokens go.
    #[schema(value_type = Option<Delivery>)]
    token_delivery: Delivery,
    /// What the owner calls the device.
    device_name: Option<String>,
}

impl FromFields for PasskeyLoginRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let ceremony = fields.token("ceremony");
        let credential = fields.object("credential");
        let token_delivery = Delivery::from_fields(fields);
        let device_name = fields.optional_text("deviceName", 100);
        let (ceremony, credential) = (ceremony?, credential?);
        Some(Self { ceremony, credential, token_delivery: token_delivery?, device_name })
    }
}

/// Begins a sign-in by passkey: options for `navigator.credentials.get`, conditional mediation included.
#[utoipa::path(post, path = "/api/v1/login/passkey/options", tag = "accounts", request_body = Option<PasskeyOptionsRequest>, responses(
    (status = 200, description = "Known and unknown identifiers look alike", body = Challenge), (status = 400, body = Problem), (status = 403, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn passkey_options(
    State(app): State<App>,
    _: OwnOrigin,
    MaybeBody(request): MaybeBody<PasskeyOptionsRequest>,
) -> Result<Json<Challenge>> {
    Ok(Json(passkey::ask(&app, request.identifier.as_deref()).await?))
}

/// Signs in by passkey alone.
#[utoipa::path(post, path = "/api/v1/login/passkey", tag = "accounts", params(KnownDevice), request_body = PasskeyLoginRequest, responses(
    (status = 200, body = SignInBody), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn login_by_passkey(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(request): Body<PasskeyLoginRequest>,
) -> Result<(SetCookies, Json<SignInBody>)> {
    let PasskeyLoginRequest { ceremony, credential, token_delivery: delivery, device_name } = request;
    let wish = ByPasskey { answered: Answered { ceremony, credential }, delivery, device_name };
    let admitted = passkey::sign_in(&app, &client, wish).await?;
    Ok(answer(&app, "Signed in.", &admitted))
}

/// Begins the second step of a sign-in by passkey: options for `navigator.credentials.get`.
#[utoipa::path(post, path = "/api/v1/verify/passkey/options", tag = "accounts", request_body = Option<AttemptRequest>, responses(
    (status = 200, body = Challenge), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn passkey_options_in_attempt(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    headers: HeaderMap,
    MaybeBody(request): MaybeBody<AttemptRequest>,
) -> Result<Json<Challenge>> {
    let attempt = named(&app, &headers, request.attempt)?;
    Ok(Json(passkey::ask_in_attempt(&app, &client, &attempt).await?))
}

/// Begins a fresh proof of identity by passkey: options for `navigator.credentials.get`.
#[utoipa::path(post, path = "/api/v1/reauthenticate/passkey/options", tag = "accounts", security(("bearer" = [])), responses(
    (status = 200, body = Challenge), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn passkey_options_in_session(State(app): State<App>, current: Current) -> Result<Json<Challenge>> {
    Ok(Json(passkey::ask_in_session(&app, &current).await?))
}
