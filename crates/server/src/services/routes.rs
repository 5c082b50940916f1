//! What services call, and how revocations are written.
use super::authorize::{Authorization, AuthorizeRequest, authorize};
use super::cursor::Cursor;
use super::introspect::{self, Introspection};
use super::page::{self, overlap};
use super::stream;
use crate::app::App;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Problem, Result};
use crate::revocations::{self, Revocation};
use crate::service_keys::{Scope, Service};
use crate::web::client::single;
use crate::web::form::{Form, Query};
use crate::web::{Body, Routes, handlers};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Most revocations of a page.
const PAGE: usize = 1000;
/// Revocations of a page unless asked for otherwise.
const USUAL: usize = 500;
const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The routes of this module.
pub fn routes() -> Routes {
    Routes::new()
        .merge(handlers!(introspect_token))
        .merge(handlers!(authorize_token))
        .merge(handlers!(revoked))
}

/// A token to ask about, as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the form, which is read field by field")]
pub struct IntrospectionRequest {
    /// Access token or refresh token.
    token: String,
    /// `access_token` or `refresh_token`; not needed.
    token_type_hint: Option<String>,
}

/// Says whether a token is good at this moment, and what it stands for (RFC 7662).
#[utoipa::path(post, path = "/api/v1/introspect", tag = "services", security(("serviceKey" = []), ("serviceBasic" = [])),
    request_body(content = IntrospectionRequest, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, body = Introspection), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn introspect_token(
    State(app): State<App>,
    service: Service,
    form: Form,
) -> Result<Json<Introspection>> {
    service.require(Scope::Introspect)?;
    match form.get("token") {
        "" => Err(Error::new(Code::BadRequest).with_detail("Send the token as form field `token`.")),
        token => Ok(Json(introspect::introspect(&app, token).await?)),
    }
}

/// Says whether a token allows something, by the roles and permissions of this moment.
#[utoipa::path(post, path = "/api/v1/authorize", tag = "services", security(("serviceKey" = []), ("serviceBasic" = [])),
    request_body = AuthorizeRequest, responses(
    (status = 200, body = Authorization), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn authorize_token(
    State(app): State<App>,
    service: Service,
    Body(request): Body<AuthorizeRequest>,
) -> Result<Json<Authorization>> {
    service.require(Scope::Authorize)?;
    Ok(Json(authorize(&app, request).await?))
}

/// Something that was revoked.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevocationView {
    /// Id; the same revocation may be told more than once.
    id: String,
    /// When it became true, RFC 3339.
    at: String,
    /// `session_ended`, `sessions_ended` (all of the user that had begun by `at`, but for `exceptSessionId`), `user_changed`
    /// or `roles_changed` (tokens made of an earlier state may name permissions that are no longer held).
    kind: &'static str,
    /// Whom it is about; absent when it concerns everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// The session that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    /// The session that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    except_session_id: Option<String>,
    /// Of `user_changed` and `roles_changed`: tokens whose `uat` or `rat` is less were made of what was before. Absent when the account is
    /// gone: then those made by `at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<i64>,
}

impl From<&Revocation> for RevocationView {
    fn from(row: &Revocation) -> Self {
        Self {
            id: row.id.to_string(),
            at: row.at.rfc3339(),
            kind: row.fact.kind(),
            user_id: row.fact.user().map(|id| id.to_string()),
            session_id: row.fact.session().map(|id| id.to_string()),
            except_session_id: row.fact.except().map(|id| id.to_string()),
            as_of: row.fact.as_of().map(Timestamp::micros),
        }
    }
}

/// A page of the feed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevocationPage {
    /// In order of time.
    revocations: Vec<RevocationView>,
    /// Send it as `after` for what follows.
    next: String,
    /// Whether more follows at this moment.
    more: bool,
    /// The server's time, RFC 3339.
    now: String,
    /// How many seconds a revocation has to be remembered: until every access token that it concerns has expired.
    keep_seconds: u64,
}

/// What a heartbeat says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Heartbeat {
    now: String,
    keep_seconds: u64,
    /// Ids of the published keys, so that who follows loads them again at once when they change.
    keys: Vec<String>,
}

/// What was revoked, as a page or, with `Accept: text/event-stream`, as a stream that goes on.
#[utoipa::path(get, path = "/api/v1/revocations", tag = "services", security(("serviceKey" = [])),
    params(("after" = Option<String>, Query, description = "`next` of the page before, or an event's id; without it everything that can matter to a live token"),
        ("limit" = Option<i64>, Query, description = "1 to 1000, default 500; pages only")),
    responses((status = 200, content((RevocationPage = "application/json"), (String = "text/event-stream"))),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 410, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn revoked(
    State(app): State<App>,
    service: Service,
    headers: HeaderMap,
    query: Query,
) -> Result<Response> {
    service.require(Scope::Revocations)?;
    if single(&headers, &ACCEPT)?.is_some_and(|accept| accept.contains(EVENT_STREAM)) {
        let after = single(&headers, &LAST_EVENT_ID)?.unwrap_or_else(|| query.get("after"));
        let body = stream::open(&app, &service, cursor(after)?).await?;
        // Proxies such as nginx must hand on each event as it comes.
        let buffering = HeaderName::from_static("x-accel-buffering");
        return Ok(([(CONTENT_TYPE, EVENT_STREAM), (buffering, "no")], body).into_response());
    }
    let limit = match query.get("limit") {
        "" => USUAL,
        text => text.parse().ok().filter(|limit| (1..=PAGE).contains(limit)).ok_or_else(|| {
            Error::field("limit", "invalid_value", "limit must be a number from 1 to 1000.")
        })?,
    };
    let page = page::read(&app, cursor(query.get("after"))?, limit).await?;
    Ok(Json(RevocationPage {
        revocations: page.rows.iter().map(RevocationView::from).collect(),
        next: page.next.to_string(),
        more: page.more,
        now: page.now.rfc3339(),
        keep_seconds: revocations::relevant_for(&app).as_secs(),
    })
    .into_response())
}

fn cursor(text: &str) -> Result<Option<Cursor>> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong =
        || Error::field("after", "invalid_value", "Send `next` of the page before, or an event's id.");
    Cursor::parse(text).map(Some).ok_or_else(wrong)
}

/// A revocation as an event of a stream.
pub(super) fn entry(cursor: Cursor, row: &Revocation) -> Bytes {
    event(cursor, row.fact.kind(), &RevocationView::from(row))
}

/// A heartbeat as an event of a stream: everything that was committed by `now` was said before.
pub(super) fn heartbeat(app: &App, now: Timestamp) -> Bytes {
    let cursor = Cursor::at(now.minus(overlap(app)));
    let keep_seconds = revocations::relevant_for(app).as_secs();
    let published = app.signing.current();
    let id = |jwk: &serde_json::Value| jwk.get("kid").and_then(|kid| kid.as_str()).map(str::to_owned);
    let keys = published.jwks.iter().filter_map(id).collect();
    event(cursor, "heartbeat", &Heartbeat { now: now.rfc3339(), keep_seconds, keys })
}

fn event(cursor: Cursor, name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("id: {cursor}\nevent: {name}\ndata: {data}\n\n").into()
}
