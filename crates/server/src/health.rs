//! What operators watch: liveness, readiness, metrics.
use crate::app::App;
use crate::error::{Code, Error, Problem, Result};
use crate::mail;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).routes(routes!(metrics))
}

/// State of the parts.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`, `degraded` or `failing`.
    status: &'static str,
    /// `ok` or what is wrong with the database.
    database: &'static str,
    /// `ok`, or that mail waits.
    mail: String,
}

/// The process answers.
#[utoipa::path(get, path = "/health/live", tag = "operations", responses((status = 200, body = Health)))]
async fn live() -> Json<Health> {
    Json(Health { status: "ok", database: "not asked", mail: "not asked".into() })
}

/// The process can serve. Mail that waits makes it `degraded`, not unready: nothing is lost.
#[utoipa::path(get, path = "/health/ready", tag = "operations", responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn ready(State(app): State<App>) -> (StatusCode, Json<Health>) {
    let (status, health) = match mail::health(&app).await {
        Ok(health) if health.failing => {
            let text =
                format!("the last delivery failed; {} mails wait and will be tried again", health.waiting);
            (StatusCode::OK, Health { status: "degraded", database: "ok", mail: text })
        }
        Ok(_) => (StatusCode::OK, Health { status: "ok", database: "ok", mail: "ok".into() }),
        Err(error) => {
            tracing::warn!(%error, "the database does not answer");
            let health = Health { status: "failing", database: "does not answer", mail: "unknown".into() };
            (StatusCode::SERVICE_UNAVAILABLE, health)
        }
    };
    (status, Json(health))
}

/// Counters for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200, body = String, content_type = "application/openmetrics-text"), (status = 404, body = Problem)))]
async fn metrics(State(app): State<App>) -> Result<Response> {
    if !app.config.telemetry.metrics {
        return Err(Error::new(Code::NotFound));
    }
    app.metrics.hash_queue.set(i64::try_from(app.hashing.depth()).unwrap_or(i64::MAX));
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, content_type)], app.metrics.render()).into_response())
}
