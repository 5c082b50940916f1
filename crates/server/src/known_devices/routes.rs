//! `/api/v1/devices` and `/api/v1/not-me`.
use super::{DeviceView, disown, forget, forget_others, list};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::error::{Code, Error, Problem, Result};
use crate::ids::DeviceId;
use crate::sessions::{Current, clear_cookies};
use crate::web::{Body, Client, Fields, FromFields, OwnOrigin, Routes, Segment, handlers};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// The routes of this module.
pub fn routes() -> Routes {
    Routes::new()
        .merge(handlers!(own_devices, forget_other_devices))
        .merge(handlers!(forget_device))
        .merge(handlers!(not_me))
}

/// Own devices.
#[derive(Serialize, ToSchema)]
pub struct DeviceList {
    /// The latest sign-in first.
    devices: Vec<DeviceView>,
}

/// What was forgotten, and what ended with it.
#[derive(Serialize, ToSchema)]
pub struct Cleared {
    /// What happened.
    message: &'static str,
    /// Number of devices.
    forgotten: u64,
    /// Number of sessions that ended.
    revoked: u64,
}

/// Devices on which the caller has signed in.
#[utoipa::path(get, path = "/api/v1/devices", tag = "devices", security(("bearer" = [])), responses(
    (status = 200, body = DeviceList), (status = 400, body = Problem), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn own_devices(State(app): State<App>, current: Current) -> Result<Json<DeviceList>> {
    Ok(Json(DeviceList { devices: list(&app, &current).await? }))
}

/// Forgets one own device: it is unknown and not trusted from then on, and its sessions end.
#[utoipa::path(delete, path = "/api/v1/devices/{id}", tag = "devices", security(("bearer" = [])), params(("id" = String, Path)), responses(
    (status = 200, body = Cleared), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn forget_device(
    State(app): State<App>,
    client: Client,
    current: Current,
    Segment(id): Segment,
) -> Result<(SetCookies, Json<Cleared>)> {
    let id = DeviceId::parse(&id).ok_or_else(|| Error::new(Code::NotFound))?;
    let revoked = forget(&app, &current, &client, id).await?;
    let own = current.session.device == Some(id);
    let cookies = if own { clear_cookies(&app) } else { SetCookies::default() };
    let message = "The device was forgotten, and its sessions were ended.";
    Ok((cookies, Json(Cleared { message, forgotten: 1, revoked })))
}

/// Forgets all devices but the one of this session, and ends all other sessions.
#[utoipa::path(delete, path = "/api/v1/devices", tag = "devices", security(("bearer" = [])), responses(
    (status = 200, body = Cleared), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn forget_other_devices(
    State(app): State<App>,
    client: Client,
    current: Current,
) -> Result<Json<Cleared>> {
    let (forgotten, revoked) = forget_others(&app, &current, &client).await?;
    let message = "The other devices were forgotten, and all other sessions were ended.";
    Ok(Json(Cleared { message, forgotten, revoked }))
}

/// The link of a mail about a new device.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NotMeRequest {
    /// From the mailed link.
    token: String,
    /// Whether all other sessions end too; true if absent.
    #[schema(value_type = Option<bool>)]
    end_others: bool,
}

impl FromFields for NotMeRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let token = fields.token("token");
        let end_others = fields.optional_flag("endOthers");
        Some(Self { token: token?, end_others: end_others.unwrap_or(true) })
    }
}

/// Answer of such a link.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotMe {
    /// What happened.
    message: &'static str,
    /// For `POST /api/v1/password/reset`; absent for an account without a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_token: Option<String>,
}

/// Ends a sign-in that was somebody else's, makes its device unknown and the password void. Signs nobody in.
#[utoipa::path(post, path = "/api/v1/not-me", tag = "devices", request_body = NotMeRequest, responses(
    (status = 200, body = NotMe), (status = 400, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn not_me(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(request): Body<NotMeRequest>,
) -> Result<Json<NotMe>> {
    let done = disown(&app, &client, &request.token, request.end_others).await?;
    let message = match done.password {
        Some(_) => "The sign-in was ended. Choose a new password now.",
        None => "The sign-in was ended.",
    };
    Ok(Json(NotMe { message, password_token: done.password.map(|token| token.expose()) }))
}
