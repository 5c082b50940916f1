//! The caller as an axum extractor.
use crate::{Caller, Verifier, VerifyError};
use axum_core::body::Body;
use axum_core::extract::{FromRef, FromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;

/// The answer to a caller that is not let in: a problem document (RFC 9457) with the challenge of RFC 6750.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied(pub VerifyError);

impl From<VerifyError> for Denied {
    fn from(error: VerifyError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status = error.status();
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": error.to_string(),
            "code": error.code(),
        });
        let mut response = Response::new(Body::from(problem.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match error.challenge().and_then(|challenge| HeaderValue::from_str(&challenge).ok()) {
            Some(challenge) => drop(headers.insert(WWW_AUTHENTICATE, challenge)),
            None => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))),
        }
        response
    }
}

impl<S> FromRequestParts<S> for Caller
where
    Verifier: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Denied> {
        // Behind the layer the work is done.
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        Ok(Verifier::from_ref(state).verify_headers(&parts.headers).await?)
    }
}
