//! `/api/v1/admin/audit`.
use super::{export, page};
use crate::admin::Admin;
use crate::admin::needs::AuditRead;
use crate::admin::query;
use crate::app::App;
use crate::audit::{AuditEvent, Filter, Kind};
use crate::error::{Error, Problem, Result};
use crate::ids::UserId;
use crate::web::form::Query;
use crate::web::{Client, Routes, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

pub(in crate::admin) fn routes() -> Routes {
    Routes::new().merge(handlers!(list_audit)).merge(handlers!(export_audit))
}

/// A page of the audit log.
#[derive(Serialize, ToSchema)]
pub struct AuditPage {
    /// Newest first.
    events: Vec<AuditEvent>,
    /// Send it as `before` for the next page; null at the end. A page may have fewer events than asked for, even none, with more behind it.
    next: Option<String>,
}

/// The audit log, newest first. Reading it is an event of its own.
#[utoipa::path(get, path = "/api/v1/admin/audit", tag = "administration", security(("bearer" = ["hallpass:audit:read"])),
    params(("user" = Option<String>, Query, description = "Id of the user it was about"), ("kind" = Option<String>, Query, description = "What happened, such as `login_failed`"),
        ("result" = Option<String>, Query, description = "`success` or `failure`"), ("from" = Option<String>, Query, description = "Not before this instant, RFC 3339"),
        ("to" = Option<String>, Query, description = "Before this instant, RFC 3339"), ("before" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 200, default 50")),
    responses((status = 200, body = AuditPage), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn list_audit(
    State(app): State<App>,
    client: Client,
    admin: Admin<AuditRead>,
    query: Query,
) -> Result<Json<AuditPage>> {
    let (filter, before) = (filter(&query)?, query::row(&query, "before")?);
    let limit = usize::from(query::limit(&query, 50, 200)?);
    let found = page(&app, &admin, &client, &filter, before, limit).await?;
    let events = found.events.iter().map(|event| AuditEvent::new(event, &app.places)).collect();
    Ok(Json(AuditPage { events, next: found.next.map(|id| id.to_string()) }))
}

/// The audit log as JSON Lines, oldest first, up to a minute ago; the next export goes on `after` the last id of this one. An answer that breaks
/// off is not whole. Needs a fresh proof of identity.
#[utoipa::path(get, path = "/api/v1/admin/audit/export", tag = "administration", security(("bearer" = ["hallpass:audit:read"])),
    params(("user" = Option<String>, Query, description = "Id of the user it was about"), ("kind" = Option<String>, Query, description = "What happened, such as `login_failed`"),
        ("result" = Option<String>, Query, description = "`success` or `failure`"), ("from" = Option<String>, Query, description = "Not before this instant, RFC 3339"),
        ("to" = Option<String>, Query, description = "Before this instant, RFC 3339"), ("after" = Option<String>, Query, description = "Only events after the one with this id")),
    responses((status = 200, body = String, content_type = "application/jsonl"), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn export_audit(
    State(app): State<App>,
    client: Client,
    admin: Admin<AuditRead>,
    query: Query,
) -> Result<Response> {
    let (filter, after) = (filter(&query)?, query::row(&query, "after")?);
    let body = export(&app, admin, &client, filter, after).await?;
    let headers =
        [(CONTENT_TYPE, "application/jsonl"), (CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\"")];
    Ok((headers, body).into_response())
}

fn filter(query: &Query) -> Result<Filter> {
    let kind = match query.get("kind") {
        "" => None,
        name => Some(Kind::from_name(name).ok_or_else(|| {
            Error::field("kind", "invalid_value", "kind must be the name of an event, such as login_failed.")
        })?),
    };
    let user = match query.get("user") {
        "" => None,
        text => Some(
            UserId::parse(text)
                .ok_or_else(|| Error::field("user", "invalid_value", "user must be the id of a user."))?,
        ),
    };
    let failed = match query.get("result") {
        "" => None,
        "failure" => Some(true),
        "success" => Some(false),
        _ => return Err(Error::field("result", "invalid_value", "result must be success or failure.")),
    };
    let (since, until) = (query::instant(query, "from")?, query::instant(query, "to")?);
    Ok(Filter { user, kind, failed, since, until })
}
