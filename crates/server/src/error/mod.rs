//! One error for the whole server: a stable [`Code`] for clients, a public detail, and a private source for the log.
//!
//! Rendered as RFC 9457 `application/problem+json`. The source is never sent; the request log writes it once.
mod code;

pub use code::Code;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;
use utoipa::ToSchema;

/// One problem with one field of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Name of the field as sent.
    pub field: String,
    /// Stable snake_case reason.
    pub code: String,
    /// What to do.
    pub message: String,
}

/// RFC 9457 problem document.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Where the code is explained.
    pub r#type: String,
    /// Same as the reason phrase of the status.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened and what to do.
    pub detail: String,
    /// Stable snake_case code.
    pub code: String,
    /// Every bad field, for `validation_failed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// What would do as a proof, for `reauthentication_required`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<&'static str>,
    /// The code that the hook gave, for `refused_by_hook`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id under which the log has this request.
    pub request_id: String,
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

type Source = Arc<dyn std::error::Error + Send + Sync>;

/// How a caller could prove itself.
#[derive(Clone, Debug, Default)]
struct Challenge {
    /// For `WWW-Authenticate`, instead of the code's own.
    text: Cow<'static, str>,
    /// What would do as a proof.
    methods: Vec<&'static str>,
    /// Why, in somebody else's code.
    reason: Option<String>,
}

/// What a verb or handler fails with.
#[derive(Clone, Debug)]
pub struct Error {
    /// For the client.
    pub code: Code,
    /// Instead of the code's own sentence.
    pub detail: Option<String>,
    /// Every bad field.
    pub fields: Vec<FieldProblem>,
    /// Seconds until a retry makes sense.
    pub retry_after: Option<u32>,
    /// Name and quota of the exceeded limit.
    limit: Option<(&'static str, u32)>,
    /// How the caller could prove itself.
    challenge: Option<Box<Challenge>>,
    source: Option<Source>,
}

/// Everything that can fail answers with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with the code's own sentence.
    pub fn new(code: Code) -> Self {
        let retry_after = matches!(code, Code::Busy | Code::Unavailable | Code::HookFailed).then_some(1);
        Self {
            code,
            detail: None,
            fields: Vec::new(),
            retry_after,
            limit: None,
            challenge: None,
            source: None,
        }
    }

    /// A defect or broken dependency: the client learns nothing, the log all.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal).caused_by(source)
    }

    /// Bad values in a body.
    pub fn validation(fields: Vec<FieldProblem>) -> Self {
        Self { fields, ..Self::new(Code::ValidationFailed) }
    }

    /// One bad field.
    pub fn field(field: &str, code: &str, message: &str) -> Self {
        Self::validation(vec![FieldProblem {
            field: field.into(),
            code: code.into(),
            message: message.into(),
        }])
    }

    /// The HTTP status that it is answered with.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.describe().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Another sentence than the code's own.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Seconds after which a retry makes sense, for `Retry-After`.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The exceeded limit: name, quota, seconds until it opens. Never anything about the account.
    #[must_use]
    pub fn with_limit(mut self, name: &'static str, quota: u32, seconds: u32) -> Self {
        self.limit = Some((name, quota));
        self.with_retry_after(seconds)
    }

    /// How the caller could have proven itself, for `WWW-Authenticate`.
    #[must_use]
    pub fn with_challenge(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.challenge.get_or_insert_default().text = text.into();
        self
    }

    /// What would do as a proof of identity.
    #[must_use]
    pub fn with_methods(mut self, methods: Vec<&'static str>) -> Self {
        self.challenge.get_or_insert_default().methods = methods;
        self
    }

    /// Somebody else's code for the reason.
    #[must_use]
    pub fn with_reason(mut self, reason: String) -> Self {
        self.challenge.get_or_insert_default().reason = Some(reason);
        self
    }

    /// Somebody else's code for the reason, if there is one.
    pub fn reason(&self) -> Option<&str> {
        self.challenge.as_ref().and_then(|challenge| challenge.reason.as_deref())
    }

    /// The private cause, for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// The private cause as text, for the log.
    pub fn cause(&self) -> Option<String> {
        self.source.as_ref().map(ToString::to_string)
    }

    /// The public sentence.
    pub fn sentence(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.code.describe().2)
    }

    fn problem(&self) -> Problem {
        let (status, code, _) = self.code.describe();
        let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        Problem {
            r#type: format!("/docs#{code}"),
            title: title.unwrap_or("Error").to_owned(),
            status,
            detail: self.sentence().to_owned(),
            code: code.to_owned(),
            errors: self.fields.clone(),
            methods: self.challenge.as_ref().map(|challenge| challenge.methods.clone()).unwrap_or_default(),
            reason: self.challenge.as_ref().and_then(|challenge| challenge.reason.clone()),
            // Filled in by the request-id layer, which is the one place that knows it.
            request_id: String::new(),
        }
    }

    /// The problem document with the request's id.
    pub fn render(&self, request_id: &str) -> Vec<u8> {
        let problem = Problem { request_id: request_id.to_owned(), ..self.problem() };
        serde_json::to_vec(&problem).unwrap_or_default()
    }
}

/// Beside an [`Error`] in the extensions of an answer: the body that goes out instead of the problem document.
#[derive(Clone)]
pub struct OtherBody(pub serde_json::Map<String, serde_json::Value>);

impl OtherBody {
    /// The body with the request's id.
    pub fn render(mut self, request_id: &str) -> Vec<u8> {
        self.0.insert("requestId".into(), request_id.into());
        serde_json::to_vec(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sentence())?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<crate::db::DbError> for Error {
    fn from(error: crate::db::DbError) -> Self {
        let code = if error.is_temporary() { Code::Unavailable } else { Code::Internal };
        Self::new(code).caused_by(error)
    }
}

impl IntoResponse for Error {
    /// The body is written by the request-id layer, which finds the error among the extensions.
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.code.describe().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let challenge = self.challenge.as_ref().filter(|challenge| !challenge.text.is_empty());
        if let Some(text) = challenge.and_then(|challenge| HeaderValue::from_str(&challenge.text).ok()) {
            headers.insert(header::WWW_AUTHENTICATE, text);
        } else if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 11.6.1 wants a scheme named with every 401; RFC 6750 3 the reason, once a token came.
            let stale = matches!(self.code, Code::TokenExpired | Code::SessionRevoked | Code::SessionExpired);
            let challenge = if stale { "Bearer error=\"invalid_token\"" } else { "Bearer" };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // draft-ietf-httpapi-ratelimit-headers; without a partition key, which would tell about accounts.
        if let Some((name, quota)) = self.limit {
            let state = format!("\"{name}\";r=0;t={}", self.retry_after.unwrap_or(1));
            headers.extend(HeaderValue::try_from(state).ok().map(|value| (RATE_LIMIT, value)));
            let policy = format!("\"{name}\";q={quota}");
            headers.extend(HeaderValue::try_from(policy).ok().map(|value| (RATE_LIMIT_POLICY, value)));
        }
        response.extensions_mut().insert(self);
        response
    }
}
