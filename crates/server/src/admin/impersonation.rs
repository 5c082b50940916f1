//! `POST /api/v1/admin/users/{id}/impersonate`: seeing what somebody sees.
use super::Admin;
use super::needs::UsersImpersonate;
use crate::app::App;
use crate::error::{Code, Error, Problem, Result};
use crate::ids::UserId;
use crate::login::{self, Impersonate};
use crate::mail;
use crate::roles;
use crate::sessions::{Session, SessionView};
use crate::users;
use crate::web::path::Segment;
use crate::web::{Body, Client, Fields, FromFields};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(impersonate_user))
}

/// Why somebody's place is taken.
#[derive(ToSchema)]
pub struct ImpersonateRequest {
    /// Told to the user, by mail and in the own security log. At most 200 characters.
    reason: String,
}

impl FromFields for ImpersonateRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { reason: fields.text("reason", 200)? })
    }
}

/// A session in which an administrator acts as somebody.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Impersonated {
    /// Lives as long as the session; there is no refresh token. Its claim `act` names the administrator (RFC 8693 4.1).
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Life of the token and of the session in seconds.
    expires_in: i64,
    /// The session.
    session: SessionView,
}

/// Begins a short session as somebody else that can look and change nothing. It ends with the own session, and as soon as the caller may no longer
/// do this or the account may do more than the caller's. The user is told. Needs a fresh proof of identity.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/impersonate", tag = "administration", security(("bearer" = ["hallpass:users:impersonate"])),
    params(("id" = String, Path, description = "Id of the user")), request_body = ImpersonateRequest, responses(
    (status = 201, body = Impersonated), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn impersonate_user(
    State(app): State<App>,
    client: Client,
    admin: Admin<UsersImpersonate>,
    Segment(id): Segment,
    Body(request): Body<ImpersonateRequest>,
) -> Result<(StatusCode, Json<Impersonated>)> {
    let id = UserId::parse(&id).ok_or_else(|| Error::new(Code::NotFound))?;
    let (session, access_token) = begin(&app, &admin, &client, id, &request.reason).await?;
    let expires_in = session.expires_at.seconds() - session.created_at.seconds();
    let answer = Impersonated { access_token, token_type: "Bearer", expires_in, session: session.view() };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Takes somebody's place, provided that the administrator may do all that they may.
async fn begin(
    app: &App,
    admin: &Admin<UsersImpersonate>,
    client: &Client,
    id: UserId,
    reason: &str,
) -> Result<(Session, String)> {
    let refused = |text: &str| Error::new(Code::Forbidden).with_detail(text);
    if app.config.sessions.impersonation_ttl.is_zero() {
        return Err(refused("Nobody acts as somebody else here: sessions.impersonation_ttl is 0."));
    }
    let (mut tx, admin) = admin.begin(app).await?;
    let now = app.now();
    let user = users::find_in(&mut tx, id).await?.ok_or_else(|| Error::new(Code::NotFound))?;
    if user.id == admin.current.user.id {
        return Err(refused("This is your own account."));
    }
    if user.disabled_at.is_some() {
        return Err(refused("This account is disabled: nobody can act in it."));
    }
    super::require_above(&admin.current.grants, &roles::grants_in(app, &mut tx, &user.roles).await?)?;
    let wish = Impersonate { by: &admin.current, user: &user, reason, client };
    let begun = login::impersonate(app, &mut tx, &wish, now).await?;
    mail::commit(app, tx).await?;
    Ok(begun)
}
