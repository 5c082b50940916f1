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
    /// `ok`, or that announcements of other nodes do not arrive, so that every check asks the database.
    announcements: &'static str,
}

/// The process answers.
#[utoipa::path(get, path = "/health/live", tag = "operations", responses((status = 200, body = Health)))]
async fn live(State(app): State<App>) -> Json<Health> {
    let announcements = announcements(&app);
    Json(Health { status: "ok", database: "not asked", mail: "not asked".into(), announcements })
}

/// The process can serve. Mail that waits makes it `degraded`, not unready: nothing is lost.
#[utoipa::path(get, path = "/health/ready", tag = "operations", responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn ready(State(app): State<App>) -> (StatusCode, Json<Health>) {
    let announcements = announcements(&app);
    let health = match mail::health(&app).await {
        Ok(health) => {
            let mail = if health.failing {
                format!("the last delivery failed; {} mails wait and will be tried again", health.waiting)
            } else {
                "ok".into()
            };
            let status = if health.failing || announcements != "ok" { "degraded" } else { "ok" };
            Health { status, database: "ok", mail, announcements }
        }
        Err(error) => {
            tracing::warn!(%error, "the database does not answer");
            Health { status: "failing", database: "does not answer", mail: "unknown".into(), announcements }
        }
    };
    let code = if health.status == "failing" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(health))
}

fn announcements(app: &App) -> &'static str {
    if app.db.hears() { "ok" } else { "do not arrive; every check asks the database" }
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
