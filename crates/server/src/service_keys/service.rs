//! The caller of a route for services.
use super::{Scope, ServiceKey, of_secret};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::telemetry::Outcome;
use crate::web::client::single;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use data_encoding::{BASE64, BASE64_NOPAD};

/// Challenges (RFC 6750 3, RFC 7617 2): which one depends on how the caller tried.
const NOTHING_SENT: &str = "Bearer realm=\"services\"";
const WRONG_BEARER: &str = "Bearer realm=\"services\", error=\"invalid_token\"";
const WRONG_BASIC: &str = "Basic realm=\"services\"";
const LACKS_SCOPE: &str = "Bearer realm=\"services\", error=\"insufficient_scope\"";

/// A service that proved itself with a live key. As an extractor it is what guards a route.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its key.
    pub key: ServiceKey,
}

/// What came in the header; whether it opens anything is not yet known.
pub enum Credential {
    /// `Authorization: Bearer <key>`.
    Bearer(String),
    /// `Authorization: Basic <id:key>`, as clients of RFC 7662 send it (RFC 6749 2.3.1).
    Basic(String, String),
}

impl Service {
    /// Lets the service go on if its key has the scope.
    ///
    /// # Errors
    /// [`Code::InsufficientScope`].
    pub fn require(&self, scope: Scope) -> Result<()> {
        if self.key.scopes.contains(&scope) {
            return Ok(());
        }
        let text = format!("This service key lacks the scope {}. Make one that has it.", scope.name());
        Err(Error::new(Code::InsufficientScope).with_detail(text).with_challenge(LACKS_SCOPE))
    }
}

impl FromRequestParts<App> for Service {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let (secret, id, challenge) = match credential(&parts.headers)? {
            Some(Credential::Bearer(secret)) => (secret, None, WRONG_BEARER),
            Some(Credential::Basic(id, secret)) => (secret, Some(id), WRONG_BASIC),
            None => return Err(Error::new(Code::InvalidServiceKey).with_challenge(NOTHING_SENT)),
        };
        let found = of_secret(app, &secret).await?;
        let found = found.filter(|key| id.is_none_or(|id| id == key.id.to_string()));
        // Counted and not written down: a flood of wrong keys must not flood the audit log.
        let outcome = if found.is_some() { "ok" } else { "refused" };
        app.metrics.service_calls.get_or_create(&Outcome { outcome }).inc();
        let refused = || Error::new(Code::InvalidServiceKey).with_challenge(challenge);
        found.map(|key| Self { key }).ok_or_else(refused)
    }
}

/// What a service sent to prove itself, if anything.
///
/// # Errors
/// [`Code::BadRequest`] when the header comes twice.
pub fn credential(headers: &HeaderMap) -> Result<Option<Credential>> {
    let Some((scheme, value)) = single(headers, &AUTHORIZATION)?.and_then(|header| header.split_once(' '))
    else {
        return Ok(None);
    };
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Credential::Bearer(value.to_owned())));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let (id, secret) = basic(value).unwrap_or_default();
        return Ok(Some(Credential::Basic(id, secret)));
    }
    Ok(None)
}

/// Id and key of HTTP Basic, each form-encoded before (RFC 6749 2.3.1).
fn basic(value: &str) -> Option<(String, String)> {
    let bytes = BASE64.decode(value.as_bytes()).or_else(|_| BASE64_NOPAD.decode(value.as_bytes())).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((plain(id), plain(secret)))
}

/// Undoes form encoding of one value.
fn plain(text: &str) -> String {
    let pair = format!("v={}", text.replace('&', "%26"));
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}
