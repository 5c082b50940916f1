//! What is done to an account at one stroke.
use super::{Tagged, id, tagged};
use crate::admin::needs::{UsersDelete, UsersWrite};
use crate::admin::users::{self as others, NewPassword};
use crate::admin::{Actor, Admin};
use crate::app::App;
use crate::error::{Code, Error, Problem, Result};
use crate::ids::SessionId;
use crate::sessions::Said;
use crate::web::{Client, Routes, Segment, Segments, handlers};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

pub(super) fn routes() -> Routes {
    Routes::new()
        .merge(handlers!(disable_user))
        .merge(handlers!(enable_user))
        .merge(handlers!(verify_user_email))
        .merge(handlers!(reset_user_password))
        .merge(handlers!(reset_user_factors))
        .merge(handlers!(end_user_sessions))
        .merge(handlers!(end_user_session))
        .merge(handlers!(delete_user))
}

/// Closes an account and ends its sessions. Needs no fresh proof of identity: it only closes doors.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/disable", tag = "administration", security(("bearer" = ["hallpass:users:write"])),
    params(("id" = String, Path, description = "Id of the user")), responses(
    (status = 200, body = super::OneUser), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn disable_user(
    State(app): State<App>,
    client: Client,
    admin: Admin<UsersWrite>,
    Segment(user): Segment,
) -> Result<Tagged> {
    let by = Actor::administrator(&admin, &client).at_once();
    tagged(&app, &others::set_disabled(&app, &by, id(&user)?, true).await?.user).await
}

/// Opens a closed account. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/enable", tag = "administration", security(("bearer" = ["hallpass:users:write"])),
    params(("id" = String, Path, description = "Id of the user")), responses(
    (status = 200, body = super::OneUser), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn enable_user(
    State(app): State<App>,
    client: Client,
    admin: Admin<UsersWrite>,
    Segment(user): Segment,
) -> Result<Tagged> {
    let by = Actor::administrator(&admin, &client);
    tagged(&app, &others::set_disabled(&app, &by, id(&user)?, false).await?.user).await
}

/// Counts the address as proven, on the caller's word. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/verify-email", tag = "administration", security(("bearer" = ["hallpass:users:write"])),
    params(("id" = String, Path, description = "Id of the user")), responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn verify_user_email(
    State(app): State<App>,
    client: Client,
    admin: Admin<UsersWrite>,
    Segment(user): Segment,
) -> Result<Json<Said>> {
    let by = Actor::administrator(&admin, &client);
    let changed = others::verify_email(&app, &by, id(&user)?).await?;
    let message = if changed { "The address is verified." } else { "The address was verified already." };
    Ok(Json(Said { message }))
}

/// What came of replacing a password.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordWasReset {
    /// What happened.
    message: &'static str,
    /// Number of sessions.
    sessions_ended: u64,
    /// Whether a link to choose a new password was mailed: not to a closed account.
    mailed: bool,
}

/// Takes the password away, ends all sessions and mails the owner a link to choose a new one. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/reset-password", tag = "administration", security(("bearer" = ["hallpass:users:write"])),
    params(("id" = String, Path, description = "Id of the user")), responses(
    (status = 200, body = PasswordWasReset), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn reset_user_password(
    State(app): State<App>,
    client: Client,
    admin: Admin<UsersWrite>,
    Segment(user): Segment,
) -> Result<Json<PasswordWasReset>> {
    let by = Actor::administrator(&admin, &client);
    let done = others::set_password(&app, &by, id(&user)?, NewPassword::Mailed).await?;
    let message = "The password was taken away.";
    Ok(Json(PasswordWasReset { message, sessions_ended: done.ended, mailed: done.mailed }))
}

/// How many sessions ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsEnded {
    /// What happened.
    message: &'static str,
    /// Number of sessions.
    sessions_ended: u64,
}

/// Removes every second factor of somebody who lost them, ends all sessions and tells the owner by mail. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/reset-factors", tag = "administration", security(("bearer" = ["hallpass:users:write"])),
    params(("id" = String, Path, description = "Id of the user")), responses(
    (status = 200, body = SessionsEnded), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn reset_user_factors(
    State(app): State<App>,
    client: Client,
    admin: Admin<UsersWrite>,
    Segment(user): Segment,
) -> Result<Json<SessionsEnded>> {
    let by = Actor::administrator(&admin, &client);
    let sessions_ended = others::reset_factors(&app, &by, id(&user)?).await?;
    Ok(Json(SessionsEnded { message: "Every second factor was removed.", sessions_ended }))
}

/// Ends all of somebody's sessions, at once. Needs no fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/end-sessions", tag = "administration", security(("bearer" = ["hallpass:users:write"])),
    params(("id" = String, Path, description = "Id of the user")), responses(
    (status = 200, body = SessionsEnded), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn end_user_sessions(
    State(app): State<App>,
    client: Client,
    admin: Admin<UsersWrite>,
    Segment(user): Segment,
) -> Result<Json<SessionsEnded>> {
    let by = Actor::administrator(&admin, &client).at_once();
    let sessions_ended = others::end_sessions(&app, &by, id(&user)?).await?;
    Ok(Json(SessionsEnded { message: "All sessions were ended.", sessions_ended }))
}

/// Ends one of somebody's sessions, at once. Needs no fresh proof of identity.
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}/sessions/{session}", tag = "administration", security(("bearer" = ["hallpass:users:write"])),
    params(("id" = String, Path, description = "Id of the user"), ("session" = String, Path, description = "Id of the session")), responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn end_user_session(
    State(app): State<App>,
    client: Client,
    admin: Admin<UsersWrite>,
    Segments(user, session): Segments,
) -> Result<Json<Said>> {
    let not_found = || Error::new(Code::NotFound);
    let session = SessionId::parse(&session).ok_or_else(not_found)?;
    let by = Actor::administrator(&admin, &client).at_once();
    let ended = others::end_session(&app, &by, id(&user)?, session).await?;
    ended.then_some(Json(Said { message: "The session was ended." })).ok_or_else(not_found)
}

/// Deletes an account for good; its owner is told by mail. Needs a fresh proof of identity.
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}", tag = "administration", security(("bearer" = ["hallpass:users:delete"])),
    params(("id" = String, Path, description = "Id of the user")), responses(
    (status = 200, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn delete_user(
    State(app): State<App>,
    client: Client,
    admin: Admin<UsersDelete>,
    Segment(user): Segment,
) -> Result<Json<Said>> {
    let by = Actor::administrator(&admin, &client);
    others::delete(&app, &by, id(&user)?).await?;
    Ok(Json(Said { message: "The account was deleted." }))
}
