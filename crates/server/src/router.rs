//! Every feature's routes, merged, inside the one layer.
use crate::app::App;
use crate::error::{Code, Error};
use crate::openapi;
use crate::web::client::DEVICE_TOKEN;
use crate::web::csrf::is_allowed_origin;
use crate::web::layer::around;
use crate::{admin, compat, emails, invitations, known_devices, login, mail, passwords};
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH,
    RETRY_AFTER,
};
use axum::http::request::Parts;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::time::Duration;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// The whole server as a service; tests and production share it.
pub fn router(app: &App) -> Router {
    let native = openapi::documented()
        .into_router()
        .merge(login::page_routes())
        .merge(passwords::page_routes())
        .merge(emails::page_routes())
        .merge(invitations::page_routes())
        .merge(known_devices::page_routes())
        .merge(admin::page_routes())
        .merge(mail::routes())
        .merge(openapi::routes(&app.config.compat))
        .merge(compat::beside(app))
        .route("/assets/page.css", get(stylesheet))
        .fallback(|| async { Error::new(Code::NotFound) })
        .method_not_allowed_fallback(|| async { Error::new(Code::MethodNotAllowed) });
    let native = layered(app, native);
    match compat::instead(app) {
        Some(profile) => over(layered(app, profile), native),
        None => native,
    }
}

fn layered(app: &App, routes: Router<App>) -> Router {
    routes
        .layer(cors(app))
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app.clone())
}

/// Routes that stand instead of others on the same path and method. Whatever they do not take goes on to the others, each in its own
/// layer, so that every request is logged once and under its route.
fn over(routes: Router, others: Router) -> Router {
    let rest = others.clone();
    let other_methods = move |mut request: Request| {
        // Else the route would be known under its path twice over, as if one stood inside the other.
        request.extensions_mut().remove::<MatchedPath>();
        rest.clone().oneshot(request)
    };
    routes.method_not_allowed_fallback(other_methods).fallback_service(others)
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
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            IF_MATCH,
            IF_NONE_MATCH,
            HeaderName::from_static("x-csrf-token"),
            HeaderName::from_static("x-xsrf-token"),
            HeaderName::from_static("csrf-token"),
            DEVICE_TOKEN,
            HeaderName::from_static("x-request-id"),
        ])
        .expose_headers([
            ETAG,
            RETRY_AFTER,
            HeaderName::from_static("ratelimit"),
            HeaderName::from_static("ratelimit-policy"),
            HeaderName::from_static("x-request-id"),
        ])
        .max_age(Duration::from_secs(600))
}

async fn stylesheet() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("../assets/page.css"))
}
