//! Route profiles: the paths, shapes and messages of two of the systems that Hallpass replaces, over the same verbs as the native routes.
//!
//! Invariants: a profile decides nothing and stores nothing of its own; its routes exist only while its setting is on; every error of
//! its routes has that system's shape, `{message, code}`, made in one place (`shape`).
mod authify;
mod authy;
mod person;
mod shape;

use crate::app::App;
use crate::config::Compat;
use crate::web::Routes;
use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa::openapi::{OpenApi, OpenApiBuilder};

/// Routes of the profiles that are on, on paths where nothing is natively.
pub fn beside(app: &App) -> Router<App> {
    let compat = &app.config.compat;
    match (compat.authify, compat.authy) {
        (true, _) => shaped_as_authify(app, authify::routes()),
        (false, true) => shaped_as_authy(app, authy::added()),
        (false, false) => Router::new(),
    }
}

/// Routes of the profiles that are on, which stand instead of native ones of the same path and method.
pub fn instead(app: &App) -> Option<Router<App>> {
    app.config.compat.authy.then(|| shaped_as_authy(app, authy::replaced()))
}

fn shaped_as_authify(app: &App, routes: Routes) -> Router<App> {
    routes.into_router().layer(from_fn_with_state(app.clone(), shape::authify))
}

fn shaped_as_authy(app: &App, routes: Routes) -> Router<App> {
    routes.into_router().layer(from_fn_with_state(app.clone(), shape::authy))
}

/// The document of the API with the profiles that are on.
pub fn documented(compat: &Compat, native: OpenApi) -> OpenApi {
    let profile = match (compat.authify, compat.authy) {
        (true, _) => authify::routes(),
        (false, true) => authy::added().merge(authy::replaced()),
        (false, false) => return native,
    };
    // What the profile has said already stays.
    let mut document = profile.document(OpenApiBuilder::new().info(native.info.clone()).build());
    document.merge(native);
    document
}
