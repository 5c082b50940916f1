//! Every feature's routes, merged, inside the one layer.
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::openapi;
use crate::web::csrf::is_allowed_origin;
use crate::web::layer::around;
use crate::{account, emails, keys, login, mail, passwords, sessions};
use axum::Router;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The API's routes with their documentation.
pub fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::about())
        .merge(login::routes())
        .merge(sessions::routes())
        .merge(account::routes())
        .merge(passwords::routes())
        .merge(emails::routes())
        .merge(keys::routes())
        .merge(OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).routes(routes!(metrics)))
}

/// The whole server as a service; tests and production share it.
pub fn router(app: &App) -> Router {
    let (api, document) = documented().split_for_parts();
    api.merge(login::page_routes())
        .merge(passwords::page_routes())
        .merge(emails::page_routes())
        .merge(mail::routes())
        .merge(openapi::routes(&document))
        .route("/assets/page.css", get(stylesheet))
        .fallback(|| async { Error::new(Code::NotFound) })
        .method_not_allowed_fallback(|| async { Error::new(Code::MethodNotAllowed) })
        .layer(cors(app))
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app.clone())
}

/// A panic is a defect; the client gets an answer and the connection lives on.
fn panicked() -> Response {
    Error::internal("a handler panicked").into_response()
}

fn cors(app: &App) -> CorsLayer {
    let inner = app.clone();
    let allowed = move |origin: &HeaderValue, _: &Parts| {
        origin.to_str().is_ok_and(|origin| is_allowed_origin(&inner, origin))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            HeaderName::from_static("x-csrf-token"),
            HeaderName::from_static("x-request-id"),
        ])
        .expose_headers([RETRY_AFTER, HeaderName::from_static("x-request-id")])
        .max_age(Duration::from_secs(600))
}

async fn stylesheet() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("../assets/page.css"))
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
async fn live() -> axum::Json<Health> {
    axum::Json(Health { status: "ok", database: "not asked", mail: "not asked".into() })
}

/// The process can serve. Mail that waits makes it `degraded`, not unready: nothing is lost.
#[utoipa::path(get, path = "/health/ready", tag = "operations", responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn ready(State(app): State<App>) -> (StatusCode, axum::Json<Health>) {
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
    (status, axum::Json(health))
}

/// Counters for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200, body = String, content_type = "application/openmetrics-text"), (status = 404, body = crate::error::Problem)))]
async fn metrics(State(app): State<App>) -> Result<Response> {
    if !app.config.telemetry.metrics {
        return Err(Error::new(Code::NotFound));
    }
    app.metrics.hash_queue.set(i64::try_from(app.hashing.depth()).unwrap_or(i64::MAX));
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, content_type)], app.metrics.render()).into_response())
}
