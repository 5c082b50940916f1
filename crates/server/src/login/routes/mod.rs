//! The handlers of coming in.
mod passkey;
mod reauthenticate;
mod signin;
mod signup;

pub use signin::{FinishRequest, LoginRequest, WantedBody, attempt_cookie, over, wanted_body};
pub use signup::{RegisterRequest, registration_cookie};

use super::settings::{self, PublicSettings};
use crate::app::App;
use crate::web::{Routes, handlers};
use axum::Json;
use axum::extract::State;

/// The routes of this module.
pub fn routes() -> Routes {
    Routes::new()
        .merge(signup::routes())
        .merge(signin::routes())
        .merge(passkey::routes())
        .merge(reauthenticate::routes())
        .merge(handlers!(public_settings))
}

/// What a user interface needs to know before anybody has signed in.
#[utoipa::path(get, path = "/api/v1/settings", tag = "accounts", responses((status = 200, body = PublicSettings)))]
async fn public_settings(State(app): State<App>) -> Json<PublicSettings> {
    Json(settings::public(&app))
}
