//! The one layer around every answer: request id, time limit, problem bodies, security headers, log line, metrics.
//! One layer and not six, because each costs every request.
use crate::app::App;
use crate::error::{Code, Error, OtherBody};
use crate::telemetry::RequestLabels;
use crate::web::client::{ClientAddress, RequestId};
use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Headers of every answer, unless the handler set its own.
const SECURITY: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// See the module's doc.
pub async fn around(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let address = client_address(&app, &request);
    let id: Arc<str> = request_id(&app, request.headers()).into();
    request.extensions_mut().insert(ClientAddress(address));
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let about = About::of(&request, address);
    let limit = app.config.server.request_timeout;
    let mut response = match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Error::new(Code::RequestTimeout).into_response(),
    };
    let error = response.extensions_mut().remove::<Error>();
    if let Some(error) = &error {
        let other = response.extensions_mut().remove::<OtherBody>();
        let body = other.map_or_else(|| error.render(&id), |other| other.render(&id));
        *response.body_mut() = Body::from(body);
    }
    finish_headers(&app, &id, response.headers_mut());
    let seconds = started.elapsed().as_secs_f64();
    about.count(&app, &response, seconds);
    about.log(&id, &response, error.as_ref(), seconds);
    response
}

/// The client's true address, from the peer and from what a trusted proxy says.
fn client_address(app: &App, request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
    app.proxies.client(peer, request.headers())
}

/// The caller's id if it is harmless, else one of ours.
fn request_id(app: &App, headers: &HeaderMap) -> String {
    let given = headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let harmless = |id: &&str| {
        (8..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if let Some(id) = given.filter(harmless) {
        return id.to_owned();
    }
    let number = app.request_counter.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}{number:08x}", app.request_prefix)
}

fn finish_headers(app: &App, id: &str, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, value);
    }
    for (name, value) in SECURITY {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if app.config.https() {
        let name = HeaderName::from_static("strict-transport-security");
        headers.insert(name, HeaderValue::from_static("max-age=63072000; includeSubDomains"));
    }
}

/// What the log and the metrics say of a request: never its query, body, cookies or tokens.
struct About {
    method: String,
    route: Option<MatchedPath>,
    address: IpAddr,
}

impl About {
    fn of(request: &Request, address: IpAddr) -> Self {
        Self {
            method: request.method().as_str().chars().take(16).collect(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            address,
        }
    }

    fn route(&self) -> &str {
        self.route.as_ref().map_or("(none)", MatchedPath::as_str)
    }

    fn count(&self, app: &App, response: &Response, seconds: f64) {
        // A made-up method must not become a label of its own.
        let known =
            ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(&self.method.as_str());
        let labels = RequestLabels {
            method: if known { self.method.clone() } else { "OTHER".into() },
            route: self.route().to_owned(),
            status: response.status().as_u16(),
        };
        app.metrics.requests.get_or_create(&labels).inc();
        app.metrics.request_seconds.observe(seconds);
    }

    fn log(&self, id: &str, response: &Response, error: Option<&Error>, seconds: f64) {
        let (method, route, status) = (&self.method, self.route(), response.status().as_u16());
        let ms = format!("{:.2}", seconds * 1000.0);
        let ip = self.address.to_string();
        let code = error.map(|error| error.code.name());
        let cause = error.and_then(Error::cause);
        if status >= 500 {
            tracing::error!(id, %method, route, status, ms, ip, code, cause, "request");
        } else if error.is_some() {
            tracing::info!(id, %method, route, status, ms, ip, code, cause, "request");
        } else {
            tracing::info!(id, %method, route, status, ms, ip, "request");
        }
    }
}
