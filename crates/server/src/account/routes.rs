//! `/api/v1/me` and `/api/v1/events`.
use super::{Export, FactorsView, change, delete, events, export, overview};
use crate::app::App;
use crate::audit::EventView;
use crate::cookies::SetCookies;
use crate::error::{Error, Problem, Result};
use crate::ids::RowId;
use crate::sessions::{Current, Said, SessionView, clear_cookies};
use crate::users::{Profile, UserView};
use crate::web::form::Query;
use crate::web::{Body, Client, Fields, FromFields, Routes, handlers};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// Most events of one page.
const PAGE: i64 = 100;

/// The routes of this module.
pub fn routes() -> Routes {
    Routes::new()
        .merge(handlers!(show_me, change_me, delete_me))
        .merge(handlers!(export_me))
        .merge(handlers!(own_events))
        .merge(handlers!(own_factors))
}

/// The caller.
#[derive(Serialize, ToSchema)]
pub struct Me {
    /// Who.
    user: UserView,
    /// In which session.
    session: SessionView,
}

/// The caller and the session. The cheap check that every page load may do.
#[utoipa::path(get, path = "/api/v1/me", tag = "accounts", security(("bearer" = [])), responses(
    (status = 200, body = Me), (status = 400, body = Problem), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn show_me(current: Current) -> Json<Me> {
    Json(me(&current))
}

fn me(current: &Current) -> Me {
    Me {
        user: current.user.view(&current.grants),
        session: SessionView { current: Some(true), ..current.session.view() },
    }
}

/// A change of the profile; absent fields stay, null removes.
#[derive(ToSchema)]
pub struct ProfileRequest {
    /// Display name.
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
    /// Public name for signing in.
    #[schema(value_type = Option<String>)]
    username: Option<Option<crate::names::Username>>,
}

impl FromFields for ProfileRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.change("name", 100);
        let username = match fields.change("username", 200) {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) => Some(Some(fields.parse_username("username", &text)?)),
        };
        Some(Self { name, username })
    }
}

/// Changes name or username. Another username needs a fresh proof of identity.
#[utoipa::path(patch, path = "/api/v1/me", tag = "accounts", security(("bearer" = [])), request_body = ProfileRequest, responses(
    (status = 200, body = Me), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn change_me(
    State(app): State<App>,
    client: Client,
    mut current: Current,
    Body(request): Body<ProfileRequest>,
) -> Result<Json<Me>> {
    let profile = Profile { name: request.name, username: request.username };
    current.user = change(&app, &current, &client, &profile).await?.into();
    Ok(Json(me(&current)))
}

/// Deletes the own account. Needs a fresh proof of identity.
#[utoipa::path(delete, path = "/api/v1/me", tag = "accounts", security(("bearer" = [])), responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn delete_me(
    State(app): State<App>,
    client: Client,
    current: Current,
) -> Result<(SetCookies, Json<Said>)> {
    delete(&app, &current, &client).await?;
    Ok((clear_cookies(&app), Json(Said { message: "Your account was deleted." })))
}

/// Own data as JSON. Needs a fresh proof of identity.
#[utoipa::path(get, path = "/api/v1/me/export", tag = "accounts", security(("bearer" = [])), responses(
    (status = 200, body = Export), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn export_me(State(app): State<App>, client: Client, current: Current) -> Result<Json<Export>> {
    Ok(Json(export(&app, &current, &client).await?))
}

/// A page of events.
#[derive(Serialize, ToSchema)]
pub struct EventPage {
    /// Newest first.
    events: Vec<EventView>,
    /// Send it as `cursor` for the next page; null at the end.
    next: Option<String>,
}

/// Own security log, newest first.
#[utoipa::path(get, path = "/api/v1/events", tag = "accounts", security(("bearer" = [])),
    params(("cursor" = Option<String>, Query, description = "`next` of the page before"), ("limit" = Option<i64>, Query, description = "1 to 100, default 50")),
    responses((status = 200, body = EventPage), (status = 400, body = Problem), (status = 401, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn own_events(State(app): State<App>, current: Current, query: Query) -> Result<Json<EventPage>> {
    let before = match query.get("cursor") {
        "" => None,
        text => Some(
            RowId::parse(text)
                .ok_or_else(|| Error::field("cursor", "invalid_value", "Send `next` of the page before."))?,
        ),
    };
    let limit =
        match query.get("limit") {
            "" => 50,
            text => text.parse().ok().filter(|limit| (1..=PAGE).contains(limit)).ok_or_else(|| {
                Error::field("limit", "invalid_value", "limit must be a number from 1 to 100.")
            })?,
        };
    let events = events(&app, &current, before, limit).await?;
    let full = i64::try_from(events.len()).is_ok_and(|count| count == limit);
    let next = events.last().filter(|_| full).map(|event| event.id.clone());
    Ok(Json(EventPage { events, next }))
}

/// What proves the caller's identity: password, second factors, and what the settings ask for.
#[utoipa::path(get, path = "/api/v1/factors", tag = "factors", security(("bearer" = [])), responses(
    (status = 200, body = FactorsView), (status = 400, body = Problem), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn own_factors(State(app): State<App>, current: Current) -> Result<Json<FactorsView>> {
    Ok(Json(overview(&app, &current.user).await?))
}
