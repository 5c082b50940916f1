//! Refresh, logout, the list of sessions, CSRF.
use super::deliver::{TokenBody, clear_cookies, csrf_cookie, without_cookies};
use super::{Current, SessionView, find, live};
use crate::app::App;
use crate::cookies::SetCookies;
use crate::error::{Code, Error, Problem, Result};
use crate::ids::SessionId;
use crate::sessions;
use crate::web::{Client, Fields, FromFields, MaybeBody, OwnOrigin, Routes, Segment, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The routes of this module.
pub fn routes() -> Routes {
    Routes::new()
        .merge(handlers!(refresh))
        .merge(handlers!(logout))
        .merge(handlers!(logout_all))
        .merge(handlers!(list, end_others))
        .merge(handlers!(one, end_one))
        .merge(handlers!(csrf_token))
}

/// A refresh token in the body, for clients without cookies.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct RefreshRequest {
    /// Wins over the cookie.
    refresh_token: Option<String>,
}

impl FromFields for RefreshRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { refresh_token: fields.optional_token("refreshToken") })
    }
}

/// A sentence for people.
#[derive(Serialize, ToSchema)]
pub struct Said {
    /// What happened.
    pub message: &'static str,
}

/// How many sessions were ended.
#[derive(Serialize, ToSchema)]
pub struct Revoked {
    /// What happened.
    message: &'static str,
    /// Number of sessions.
    revoked: u64,
}

/// Own sessions.
#[derive(Serialize, ToSchema)]
pub struct SessionList {
    /// Newest first.
    sessions: Vec<SessionView>,
}

/// One own session.
#[derive(Serialize, ToSchema)]
pub struct OneSession {
    /// The session.
    session: SessionView,
}

/// A CSRF token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CsrfToken {
    /// To be sent as `x-csrf-token`.
    csrf_token: String,
}

/// Trades the refresh token for the next one.
#[utoipa::path(post, path = "/api/v1/refresh", tag = "sessions", request_body = Option<RefreshRequest>, responses(
    (status = 200, description = "New tokens", body = TokenBody),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn refresh(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    headers: HeaderMap,
    MaybeBody(request): MaybeBody<RefreshRequest>,
) -> Response {
    let refreshed = sessions::refresh(&app, &client, &headers, request.refresh_token.as_deref(), None).await;
    match refreshed {
        Ok((cookies, body)) => (cookies, Json(body)).into_response(),
        Err(error) => without_cookies(&app, error),
    }
}

/// Ends the caller's session. Works with an expired access token, and again and again.
#[utoipa::path(post, path = "/api/v1/logout", tag = "sessions", request_body = Option<RefreshRequest>, responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 403, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn logout(
    State(app): State<App>,
    client: Client,
    method: Method,
    _: OwnOrigin,
    headers: HeaderMap,
    MaybeBody(request): MaybeBody<RefreshRequest>,
) -> Result<(SetCookies, Json<Said>)> {
    let token = request.refresh_token.as_deref();
    sessions::sign_out(&app, &client, &method, &headers, token).await?;
    Ok((clear_cookies(&app), Json(Said { message: "Signed out." })))
}

/// Ends all sessions of the caller.
#[utoipa::path(post, path = "/api/v1/logout-all", tag = "sessions", security(("bearer" = [])), responses(
    (status = 200, body = Revoked), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn logout_all(
    State(app): State<App>,
    client: Client,
    current: Current,
) -> Result<(SetCookies, Json<Revoked>)> {
    let revoked = sessions::end_all(&app, &current, &client, None).await?;
    Ok((clear_cookies(&app), Json(Revoked { message: "All sessions were ended.", revoked })))
}

/// Own sessions, newest first.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions", security(("bearer" = [])), responses(
    (status = 200, body = SessionList), (status = 400, body = Problem), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn list(State(app): State<App>, current: Current) -> Result<Json<SessionList>> {
    let mut live = live(&app.db, current.user.id, app.now()).await?;
    live.reverse();
    let sessions = live.iter().map(|session| view(&app, session, &current)).collect();
    Ok(Json(SessionList { sessions }))
}

fn view(app: &App, session: &sessions::Session, current: &Current) -> SessionView {
    let place = app.places.of_text(&session.ip);
    SessionView { current: Some(session.id == current.session.id), place, ..session.view() }
}

/// Ends all other sessions of the caller.
#[utoipa::path(delete, path = "/api/v1/sessions", tag = "sessions", security(("bearer" = [])), responses(
    (status = 200, body = Revoked), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn end_others(State(app): State<App>, client: Client, current: Current) -> Result<Json<Revoked>> {
    let revoked = sessions::end_all(&app, &current, &client, Some(current.session.id)).await?;
    Ok(Json(Revoked { message: "The other sessions were ended.", revoked }))
}

/// One own session.
#[utoipa::path(get, path = "/api/v1/sessions/{id}", tag = "sessions", security(("bearer" = [])), params(("id" = String, Path)), responses(
    (status = 200, body = OneSession), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn one(State(app): State<App>, current: Current, Segment(id): Segment) -> Result<Json<OneSession>> {
    let id = SessionId::parse(&id).ok_or_else(|| Error::new(Code::NotFound))?;
    let session = find(&app.db, current.user.id, id, app.now()).await?;
    let session = session.ok_or_else(|| Error::new(Code::NotFound))?;
    Ok(Json(OneSession { session: view(&app, &session, &current) }))
}

/// Ends one own session.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "sessions", security(("bearer" = [])), params(("id" = String, Path)), responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn end_one(
    State(app): State<App>,
    client: Client,
    current: Current,
    Segment(id): Segment,
) -> Result<(SetCookies, Json<Said>)> {
    let id = SessionId::parse(&id).ok_or_else(|| Error::new(Code::NotFound))?;
    sessions::end_one(&app, &current, id, &client).await?;
    let cookies = if id == current.session.id { clear_cookies(&app) } else { SetCookies::default() };
    Ok((cookies, Json(Said { message: "The session was ended." })))
}

/// The CSRF token of the caller's session.
#[utoipa::path(get, path = "/api/v1/csrf", tag = "sessions", security(("bearer" = [])), responses(
    (status = 200, body = CsrfToken), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn csrf_token(State(app): State<App>, current: Current) -> (SetCookies, Json<CsrfToken>) {
    let (cookie, csrf_token) = csrf_cookie(&app, &current.session, app.now());
    (cookie, Json(CsrfToken { csrf_token }))
}
