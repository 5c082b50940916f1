//! Finding and seeing people's accounts.
use super::{Tagged, id, tagged};
use crate::admin::needs::UsersRead;
use crate::admin::{Admin, query};
use crate::app::App;
use crate::audit::{self, EventView};
use crate::error::{Code, Error, Problem, Result};
use crate::roles;
use crate::sessions::{self, SessionView};
use crate::users::{self, Search, UserView};
use crate::web::form::Query;
use crate::web::{Routes, Segment, handlers};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// Most users or events of a page.
const PAGE: u16 = 100;
/// Users or events of a page that nobody gave a size.
const USUAL: u16 = 50;

pub(super) fn routes() -> Routes {
    Routes::new()
        .merge(handlers!(find_users))
        .merge(handlers!(show_user))
        .merge(handlers!(list_sessions))
        .merge(handlers!(list_events))
}

/// A page of accounts.
#[derive(Serialize, ToSchema)]
pub struct UserPage {
    /// By what `q` found them, else by creation.
    users: Vec<UserView>,
    /// Send it as `after` for the next page; null at the end. A page may hold fewer than `limit` before that.
    next: Option<String>,
}

/// Finds accounts. Every call reads a bounded number of rows: so a page may be short, or empty, with more to come, where filters together
/// let few through.
#[utoipa::path(get, path = "/api/v1/admin/users", tag = "administration", security(("bearer" = ["hallpass:users:read"])), params(
    ("q" = Option<String>, Query, description = "Words, each of which the address, its domain, the username or a word of the name begins with, in either case"),
    ("status" = Option<String>, Query, description = "`active` or `disabled`"),
    ("verified" = Option<String>, Query, description = "`true` or `false`: whether the address was proven"),
    ("role" = Option<String>, Query, description = "Who has this role"),
    ("after" = Option<String>, Query, description = "`next` of the page before, with the same filters"),
    ("limit" = Option<i64>, Query, description = "1 to 100, default 50")), responses(
    (status = 200, body = UserPage), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn find_users(State(app): State<App>, _: Admin<UsersRead>, query: Query) -> Result<Json<UserPage>> {
    let search = Search {
        query: query.get("q").to_owned(),
        disabled: word(&query, "status", "disabled", "active")?,
        verified: word(&query, "verified", "true", "false")?,
        role: Some(query.get("role").to_owned()).filter(|role| !role.is_empty()),
    };
    let after = Some(query.get("after")).filter(|after| !after.is_empty());
    let found = users::search(&app, &search, after, query::limit(&query, USUAL, PAGE)?.into()).await?;
    let catalogue = roles::catalogue(&app, &app.db).await?;
    let view = |user: &users::User| user.view(&catalogue.grants(&user.roles));
    Ok(Json(UserPage { users: found.users.iter().map(view).collect(), next: found.next }))
}

/// One of two words, or neither.
fn word(query: &Query, name: &str, yes: &str, no: &str) -> Result<Option<bool>> {
    match query.get(name) {
        "" => Ok(None),
        text if text == yes => Ok(Some(true)),
        text if text == no => Ok(Some(false)),
        _ => Err(Error::field(name, "invalid_value", &format!("{name} must be {yes} or {no}."))),
    }
}

/// One account; its `ETag` is what a change of it sends as `If-Match`. Sign-ins do not change it.
#[utoipa::path(get, path = "/api/v1/admin/users/{id}", tag = "administration", security(("bearer" = ["hallpass:users:read"])),
    params(("id" = String, Path, description = "Id of the user")), responses(
    (status = 200, body = super::OneUser), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn show_user(State(app): State<App>, _: Admin<UsersRead>, Segment(user): Segment) -> Result<Tagged> {
    tagged(&app, &found(&app, &user).await?).await
}

async fn found(app: &App, text: &str) -> Result<users::User> {
    users::find(&app.db, id(text)?).await?.ok_or_else(|| Error::new(Code::NotFound))
}

/// Somebody's live sessions.
#[derive(Serialize, ToSchema)]
pub struct UserSessions {
    /// Newest first.
    sessions: Vec<SessionView>,
}

/// Somebody's live sessions, newest first.
#[utoipa::path(get, path = "/api/v1/admin/users/{id}/sessions", tag = "administration", security(("bearer" = ["hallpass:users:read"])),
    params(("id" = String, Path, description = "Id of the user")), responses(
    (status = 200, body = UserSessions), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn list_sessions(
    State(app): State<App>,
    _: Admin<UsersRead>,
    Segment(user): Segment,
) -> Result<Json<UserSessions>> {
    let user = found(&app, &user).await?;
    let live = sessions::live(&app.db, user.id, app.now()).await?;
    let view = |session: &sessions::Session| SessionView {
        place: app.places.of_text(&session.ip),
        ..session.view()
    };
    Ok(Json(UserSessions { sessions: live.iter().rev().map(view).collect() }))
}

/// A page of somebody's events.
#[derive(Serialize, ToSchema)]
pub struct UserEvents {
    /// Newest first.
    events: Vec<EventView>,
    /// Send it as `cursor` for the next page; null at the end.
    next: Option<String>,
}

/// Somebody's security log, newest first; of an account that was deleted too.
#[utoipa::path(get, path = "/api/v1/admin/users/{id}/events", tag = "administration", security(("bearer" = ["hallpass:users:read"])), params(
    ("id" = String, Path, description = "Id of the user"), ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ("limit" = Option<i64>, Query, description = "1 to 100, default 50")), responses(
    (status = 200, body = UserEvents), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn list_events(
    State(app): State<App>,
    _: Admin<UsersRead>,
    Segment(user): Segment,
    query: Query,
) -> Result<Json<UserEvents>> {
    let user = id(&user)?;
    let (before, limit) = (query::row(&query, "cursor")?, query::limit(&query, USUAL, PAGE)?);
    let events = audit::of_user(&app, user, before, limit.into()).await?;
    let next = events.last().filter(|_| events.len() == usize::from(limit)).map(|event| event.id.clone());
    Ok(Json(UserEvents { events, next }))
}
