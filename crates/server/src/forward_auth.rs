//! `GET /forward-auth`: a reverse proxy asks before it lets a request through (nginx `auth_request`, Caddy `forward_auth`,
//! Traefik `ForwardAuth`). The proxy sends the headers of that request, and for a cookie also its method.
use crate::app::App;
use crate::error::{Code, Error, Problem, Result};
use crate::services::Needed;
use crate::sessions::{Credential, Current};
use crate::web::client::single;
use crate::web::csrf;
use crate::web::form::Query;
use crate::web::{Routes, handlers};
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, HOST, HeaderName, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use url::Url;

/// How proxies name the method of the request that they ask about.
const METHODS: [HeaderName; 2] =
    [HeaderName::from_static("x-forwarded-method"), HeaderName::from_static("x-original-method")];
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The routes of this module.
pub fn routes() -> Routes {
    Routes::new().merge(handlers!(forward_auth))
}

/// Whether a reverse proxy may let a request through. Answers 200 with `X-Auth-User`, `X-Auth-Email`, `X-Auth-Roles` and `X-Auth-Session`
/// for the proxy to hand on.
#[utoipa::path(get, path = "/forward-auth", tag = "services", security(("bearer" = [])),
    params(("permission" = Option<String>, Query, description = "Permissions that are needed, all of them, separated by commas"),
        ("role" = Option<String>, Query, description = "Roles of which one is needed, separated by commas"),
        ("X-Forwarded-Method" = Option<String>, Header, description = "Method of the request; without it a cookie needs the CSRF token, as for an unsafe method")),
    responses((status = 200, description = "Let it through", headers(
        ("X-Auth-User" = String, description = "The user's id"), ("X-Auth-Email" = String, description = "E-mail address"),
        ("X-Auth-Roles" = String, description = "Roles, separated by commas"), ("X-Auth-Session" = String, description = "The session's id"),
        ("X-Auth-Actor" = String, description = "Id of the administrator who acts as the user; else absent"))),
    (status = 302, description = "A browser is sent to `forward_auth.sign_in_url`"),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn forward_auth(
    State(app): State<App>,
    current: Result<Current>,
    headers: HeaderMap,
    query: Query,
) -> Result<Response> {
    let needed = needed(&query)?;
    let current = match current {
        Ok(current) => current,
        Err(error) if error.status() == StatusCode::UNAUTHORIZED => {
            return sign_in_page(&app, &headers).ok_or(error);
        }
        Err(error) => return Err(error),
    };
    if current.credential == Credential::Cookie {
        csrf::check_token(&app, &method(&headers)?, &headers, &current.session.id.to_string())?;
    }
    // Whoever looks at what somebody sees does nothing in their place.
    if current.session.impersonator.is_some() && !method(&headers)?.is_safe() {
        return Err(Error::new(Code::Impersonated));
    }
    allow(&needed, &current)?;
    Ok((identity(&current), [(CACHE_CONTROL, "no-store")]).into_response())
}

/// What the proxy was configured to ask for. A question that is not understood must not let everybody in.
///
/// # Errors
/// [`Code::ValidationFailed`].
fn needed(query: &Query) -> Result<Needed> {
    for name in query.names() {
        if !["permission", "role"].contains(&name) || query.get(name).trim().is_empty() || query.repeats() {
            let text = "Ask with permission=… and role=…, each at most once and not empty, several separated by commas.";
            return Err(Error::field(name, "invalid_value", text));
        }
    }
    let list = |name| Some(query.get(name)).filter(|list| !list.is_empty());
    Needed::from_lists(list("permission"), list("role"))
}

fn allow(needed: &Needed, current: &Current) -> Result<()> {
    let (missing, has_role) = needed.missing(&current.grants);
    if missing.is_empty() && has_role {
        return Ok(());
    }
    let text = if has_role {
        format!("This needs a permission that you do not hold: {}.", missing.join(", "))
    } else {
        format!("This needs one of these roles: {}.", needed.roles.join(", "))
    };
    Err(Error::new(Code::Forbidden).with_detail(text))
}

/// The method that the proxy tells; an unsafe one if it tells none, or if two headers do not agree.
fn method(headers: &HeaderMap) -> Result<Method> {
    let mut told = None;
    for name in &METHODS {
        let Some(text) = single(headers, name)? else { continue };
        let method = Method::from_bytes(text.as_bytes()).unwrap_or(Method::POST);
        told = Some(if told.as_ref().is_none_or(|other| *other == method) { method } else { Method::POST });
    }
    Ok(told.unwrap_or(Method::POST))
}

/// Who it is, for the application behind the proxy.
fn identity(current: &Current) -> HeaderMap {
    let actor = current.session.act().map(|act| ("x-auth-actor", act.sub));
    let values = [
        ("x-auth-user", current.user.id.to_string()),
        ("x-auth-email", current.user.email.clone()),
        ("x-auth-roles", current.grants.roles.join(",")),
        ("x-auth-session", current.session.id.to_string()),
    ];
    let header = |(name, value): (&'static str, String)| {
        HeaderValue::from_str(&value).ok().map(|value| (HeaderName::from_static(name), value))
    };
    values.into_iter().chain(actor).filter_map(header).collect()
}

/// Where a browser goes that opens a page, if that is set. nginx knows only 401 and 403, and tells no `X-Forwarded-Uri`.
fn sign_in_page(app: &App, headers: &HeaderMap) -> Option<Response> {
    let page = app.config.forward_auth.sign_in_url.as_ref()?;
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let opens_a_page = text(&ACCEPT).is_some_and(|accept| accept.contains("text/html"))
        && method(headers).ok()? == Method::GET;
    let uri = text(&FORWARDED_URI).filter(|uri| opens_a_page && uri.starts_with('/'))?;
    let mut target = Url::parse(page).ok()?;
    let host = text(&FORWARDED_HOST).or_else(|| text(&HOST))?;
    let origin = format!("{}://{host}", text(&FORWARDED_PROTO).unwrap_or("https"));
    // Never back to a place that somebody else has made up.
    if csrf::is_allowed_origin(app, &origin) {
        target.query_pairs_mut().append_pair("return_to", &format!("{origin}{uri}"));
    }
    let headers = [(LOCATION, target.to_string()), (CACHE_CONTROL, "no-store".to_owned())];
    Some((StatusCode::FOUND, headers).into_response())
}
