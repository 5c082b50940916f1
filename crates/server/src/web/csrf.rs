//! Defences against other sites' pages: `Origin`/`Sec-Fetch-Site` for calls without a session, a token bound to the
//! session for unsafe calls whose credential came from a cookie (OWASP CSRF cheat sheet; NIST SP 800-63B-4 5.1).
use super::client::single;
use crate::app::{App, Inner};
use crate::cookies::Cookie;
use crate::error::{Code, Error, Result};
use axum::extract::FromRequestParts;
use axum::http::header::{HeaderName, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use hallpass_crypto::csrf;
use hallpass_crypto::digest::equal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What browsers send with a call that nobody has asked for yet.
const SPECULATIVE: [HeaderName; 3] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-moz"),
];
const CSRF_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-csrf-token"),
    HeaderName::from_static("x-xsrf-token"),
    HeaderName::from_static("csrf-token"),
];

/// Whether a page of this origin may call with credentials.
pub fn is_allowed_origin(app: &Inner, origin: &str) -> bool {
    origin == app.public_url
        || app.config.server.allowed_origins.iter().any(|allowed| allowed == origin)
        || (app.config.development() && is_loopback_origin(origin))
}

/// Whether an origin is this machine's.
pub fn is_loopback_origin(origin: &str) -> bool {
    let Ok(url) = url::Url::parse(origin) else {
        return false;
    };
    if !matches!(url.scheme(), "http" | "https") || url.origin().ascii_serialization() != origin {
        return false;
    }
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// For register, login, verify, refresh: what a browser says of the calling page must be own or allowed.
/// Both headers absent means no browser.
///
/// # Errors
/// [`Code::OriginNotAllowed`].
pub fn check_origin(app: &Inner, headers: &HeaderMap) -> Result<()> {
    let allowed = match (single(headers, &ORIGIN)?, single(headers, &SEC_FETCH_SITE)?) {
        // "null" is what a browser says of our own forms, since our pages ask it to keep their address to itself.
        (Some("null"), Some("same-origin")) | (None, None | Some("same-origin" | "none")) => true,
        (Some(origin), _) => is_allowed_origin(app, origin),
        (None, Some(_)) => false,
    };
    if allowed { Ok(()) } else { Err(Error::new(Code::OriginNotAllowed)) }
}

/// For routes that change something on GET, as those of replaced systems do: the user means the call, and no browser makes it ahead of
/// what the user may want (`Sec-Purpose`, and what came before it).
///
/// # Errors
/// [`Code::BadRequest`].
pub fn check_not_speculative(headers: &HeaderMap) -> Result<()> {
    if SPECULATIVE.iter().any(|name| headers.contains_key(name)) {
        let text = "This call was made ahead of a wish. Nothing was changed.";
        return Err(Error::new(Code::BadRequest).with_detail(text));
    }
    Ok(())
}

/// Whether a call brings a CSRF token at all.
pub fn has_token(headers: &HeaderMap) -> bool {
    CSRF_HEADERS.iter().any(|name| headers.contains_key(name))
}

/// [`check_origin`] as an extractor: put before the body, so that a foreign page learns nothing from validation.
pub struct OwnOrigin;

impl FromRequestParts<App> for OwnOrigin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        check_origin(app, &parts.headers).map(|()| Self)
    }
}

/// The token of a session. Always the same one, so that a refresh in one tab does not break the form in another.
pub fn mint(app: &Inner, session: &str) -> String {
    let salt = app.secrets.csrf.mac(format!("salt/{session}").as_bytes());
    csrf::mint(&app.secrets.csrf, session, salt)
}

/// For an unsafe method whose credential came from a cookie: header equals cookie, and both belong to the session.
///
/// # Errors
/// [`Code::CsrfFailed`], [`Code::OriginNotAllowed`].
pub fn check_token(app: &Inner, method: &Method, headers: &HeaderMap, session: &str) -> Result<()> {
    if method.is_safe() {
        return Ok(());
    }
    check_origin(app, headers)?;
    let refused = || Error::new(Code::CsrfFailed);
    let mut header = None;
    for name in &CSRF_HEADERS {
        header = header.or(single(headers, name)?);
    }
    let header = header.ok_or_else(refused)?;
    let cookie = app.cookies.read(headers, Cookie::Csrf)?.ok_or_else(refused)?;
    let same = equal(header.as_bytes(), cookie.as_bytes());
    if same && csrf::verify(&app.secrets.csrf, session, header) { Ok(()) } else { Err(refused()) }
}
