//! The handlers of coming in.
mod passkey;
mod reauthenticate;
mod signin;
mod signup;

pub use signin::{FinishRequest, LoginRequest, WantedBody, attempt_cookie, over, wanted_body};
pub use signup::{RegisterRequest, registration_cookie};

use super::settings::{self, PublicSettings};
use crate::app::App;
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(signup::routes())
        .merge(signin::routes())
        .merge(passkey::routes())
        .merge(reauthenticate::routes())
        .routes(routes!(public_settings))
}

/// What a user interface needs to know before anybody has signed in.
#[utoipa::path(get, path = "/api/v1/settings", tag = "accounts", responses((status = 200, body = PublicSettings)))]
async fn public_settings(State(app): State<App>) -> Json<PublicSettings> {
    Json(settings::public(&app))
}
