//! `GET /.well-known/jwks.json` (RFC 7517 5).
use crate::app::App;
use crate::web::{Routes, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A JSON Web Key Set.
#[derive(Serialize, ToSchema)]
pub struct Jwks {
    /// Public keys, those about to sign included.
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Value>,
}

/// The routes of this module.
pub fn routes() -> Routes {
    Routes::new().merge(handlers!(jwks))
}

/// Public keys that verify access tokens.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "operations", responses((status = 200, body = Jwks)))]
async fn jwks(State(app): State<App>) -> impl IntoResponse {
    let headers = [(CACHE_CONTROL, "public, max-age=300"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, Json(Jwks { keys: app.signing.current().jwks.clone() }))
}
