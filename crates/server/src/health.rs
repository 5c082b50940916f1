//! What operators watch: liveness, readiness, metrics.
use crate::app::App;
use crate::error::{Code, Error, Problem, Result};
use crate::mail;
use crate::web::{Routes, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The routes of this module.
pub fn routes() -> Routes {
    Routes::new().merge(handlers!(live)).merge(handlers!(ready)).merge(handlers!(metrics))
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
    /// `ok`, `not used`, or that the database counts for the limits meanwhile.
    redis: &'static str,
    /// `ok`, or how far the clock of this node is from the database's.
    clock: String,
}

/// The process answers.
#[utoipa::path(get, path = "/health/live", tag = "operations", responses((status = 200, body = Health)))]
async fn live() -> Json<Health> {
    let (database, asked) = ("not asked", "not asked");
    Json(Health {
        status: "ok",
        database,
        mail: asked.into(),
        announcements: asked,
        redis: asked,
        clock: asked.into(),
    })
}

/// The process can serve. Mail that waits, a clock that is wrong, announcements that do not arrive or a Redis that is away
/// make it `degraded`, not unready: nothing is lost.
#[utoipa::path(get, path = "/health/ready", tag = "operations", responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn ready(State(app): State<App>) -> (StatusCode, Json<Health>) {
    let announcements = if app.db.hears() { "ok" } else { "do not arrive; every check asks the database" };
    let redis = match &app.redis {
        None => "not used",
        Some(redis) if redis.ping().await.is_ok() => "ok",
        Some(_) => "does not answer; the database counts for the limits",
    };
    let (database, mail, clock) = match examine(&app).await {
        Ok((mail, clock)) => ("ok", mail, clock),
        Err(error) => {
            tracing::warn!(%error, "the database does not answer");
            ("does not answer", "unknown".into(), "unknown".into())
        }
    };
    let fine = mail == "ok" && clock == "ok" && announcements == "ok" && ["ok", "not used"].contains(&redis);
    let (status, code) = match database {
        "ok" if fine => ("ok", StatusCode::OK),
        "ok" => ("degraded", StatusCode::OK),
        _ => ("failing", StatusCode::SERVICE_UNAVAILABLE),
    };
    (code, Json(Health { status, database, mail, announcements, redis, clock }))
}

/// What the database says of mail and of the time.
async fn examine(app: &App) -> Result<(String, String)> {
    let mail = match mail::health(app).await? {
        health if health.failing => {
            format!("the last delivery failed; {} mails wait and will be tried again", health.waiting)
        }
        _ => "ok".into(),
    };
    let ahead = app.db.clock_ahead(app.now()).await?;
    let clock = match ahead.unsigned_abs() / 1_000_000 {
        apart if apart > app.config.sessions.leeway.as_secs() => {
            let direction = if ahead > 0 { "ahead of" } else { "behind" };
            format!("{apart} s {direction} the database's; set it, tokens and codes depend on it")
        }
        _ => "ok".into(),
    };
    Ok((mail, clock))
}

/// Counters for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200, body = String, content_type = "application/openmetrics-text"), (status = 404, body = Problem)))]
async fn metrics(State(app): State<App>) -> Result<Response> {
    if !app.config.telemetry.metrics {
        return Err(Error::new(Code::NotFound));
    }
    app.metrics.announcements.set(i64::from(app.db.hears()));
    app.metrics.hash_queue.set(i64::try_from(app.hashing.depth()).unwrap_or(i64::MAX));
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, content_type)], app.metrics.render()).into_response())
}
