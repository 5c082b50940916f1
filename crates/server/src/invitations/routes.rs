//! Accepting an invitation over the API.
use super::{Acceptance, accept};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::hashing::Password;
use crate::names::Username;
use crate::roles;
use crate::users::UserView;
use crate::web::{Body, Client, Fields, FromFields, OwnOrigin, Routes, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// The routes of this module.
pub fn routes() -> Routes {
    Routes::new().merge(handlers!(take_up))
}

/// What the invited person chooses.
#[derive(ToSchema)]
pub struct AcceptRequest {
    /// From the mailed link.
    token: String,
    /// See `passwords` of the settings for the rules.
    #[schema(value_type = String)]
    password: Password,
    /// Display name, instead of the one that the invitation has.
    name: Option<String>,
    /// Public name for signing in.
    #[schema(value_type = Option<String>)]
    username: Option<Username>,
}

impl FromFields for AcceptRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let token = fields.token("token");
        let password = fields.password("password");
        let name = fields.optional_text("name", 100);
        let username = fields.optional_username("username");
        Some(Self { token: token?, password: password?, name, username })
    }
}

/// The account that came of an invitation.
#[derive(Serialize, ToSchema)]
pub struct AcceptedBody {
    /// What happened.
    message: &'static str,
    /// The account.
    user: UserView,
}

/// Makes the account that somebody was invited to, its address confirmed. Nobody is signed in.
#[utoipa::path(post, path = "/api/v1/invitations/accept", tag = "accounts", request_body = AcceptRequest, responses(
    (status = 201, body = AcceptedBody), (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn take_up(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(request): Body<AcceptRequest>,
) -> Result<(StatusCode, Json<AcceptedBody>)> {
    let AcceptRequest { token, password, name, username } = request;
    let user = accept(&app, &client, Acceptance { token, password, name, username }).await?;
    let user = user.view(&roles::grants(&app, &app.db, &user.roles).await?);
    let message = "Your account is ready. You can sign in now.";
    Ok((StatusCode::CREATED, Json(AcceptedBody { message, user })))
}
