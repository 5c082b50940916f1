//! `/api/v1/admin/settings`: what is in effect.
use super::Admin;
use super::needs::SettingsRead;
use crate::app::App;
use crate::error::{Error, Problem, Result};
use crate::web::{Routes, handlers};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

pub(super) fn routes() -> Routes {
    Routes::new().merge(handlers!(show_settings))
}

/// What this node works with.
#[derive(Serialize, ToSchema)]
pub struct EffectiveSettings {
    /// Version of the server.
    version: &'static str,
    /// Whether development conveniences are on.
    development: bool,
    /// Every setting by section and key, as `hallpass config --json` prints them: a secret is `(hidden)` if it is set, else null.
    #[schema(value_type = Object)]
    settings: Value,
}

/// The settings in effect on the node that answers, without secrets.
#[utoipa::path(get, path = "/api/v1/admin/settings", tag = "administration", security(("bearer" = ["hallpass:settings:read"])), responses(
    (status = 200, body = EffectiveSettings), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn show_settings(State(app): State<App>, _: Admin<SettingsRead>) -> Result<Json<EffectiveSettings>> {
    let settings = app.config.shown().map_err(Error::internal)?;
    let development = app.config.development();
    Ok(Json(EffectiveSettings { version: env!("CARGO_PKG_VERSION"), development, settings }))
}
