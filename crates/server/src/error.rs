//! One error for the whole server: a stable [`Code`] for clients, a public detail, and a private source for the log.
//!
//! Rendered as RFC 9457 `application/problem+json`. The source is never sent; the request log writes it once.
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What went wrong, as clients see it. `docs/errors.md` is generated from this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The body is not JSON.
    MalformedJson,
    /// A header, cookie or query is broken.
    BadRequest,
    /// A link token is unknown, used or expired.
    InvalidToken,
    /// What an authenticator answered proves nothing here.
    InvalidPasskey,
    /// No usable credential came with the call.
    Unauthenticated,
    /// The access token has expired; refresh it.
    TokenExpired,
    /// The session was ended.
    SessionRevoked,
    /// The session reached its idle or absolute lifetime.
    SessionExpired,
    /// Identifier or password is wrong.
    InvalidCredentials,
    /// A mailed code is wrong, used or expired.
    InvalidCode,
    /// The refresh token is not one of ours.
    InvalidRefreshToken,
    /// A refresh token was used again; the session was ended.
    RefreshTokenReused,
    /// No live service key came with the call of a service.
    InvalidServiceKey,
    /// The service key does not allow this.
    InsufficientScope,
    /// The CSRF token is missing or does not belong to the session.
    CsrfFailed,
    /// The call came from a page of another origin.
    OriginNotAllowed,
    /// The action needs a fresh proof of identity.
    ReauthenticationRequired,
    /// The mailbox of the account is not proven yet.
    EmailNotVerified,
    /// No such thing.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The client was too slow.
    RequestTimeout,
    /// The username belongs to somebody.
    UsernameTaken,
    /// The address belongs to an account (only in `registration.mode = "immediate"`).
    EmailTaken,
    /// The account has as many sessions as it may have.
    SessionLimitReached,
    /// The account has as many passkeys as it may have.
    PasskeyLimitReached,
    /// A row of the application's refers to the account.
    AccountInUse,
    /// The place in the feed is older than what is kept.
    CursorTooOld,
    /// The body is larger than allowed.
    PayloadTooLarge,
    /// The body has another media type than the call takes.
    UnsupportedMediaType,
    /// Fields are missing or have bad values; `errors` lists each.
    ValidationFailed,
    /// Too many calls.
    RateLimited,
    /// A defect or a broken dependency; the log has the cause under the request id.
    Internal,
    /// The password queue is full.
    Busy,
    /// The database cannot take the write now.
    Unavailable,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 34] = [
        Self::MalformedJson,
        Self::BadRequest,
        Self::InvalidToken,
        Self::InvalidPasskey,
        Self::Unauthenticated,
        Self::TokenExpired,
        Self::SessionRevoked,
        Self::SessionExpired,
        Self::InvalidCredentials,
        Self::InvalidCode,
        Self::InvalidRefreshToken,
        Self::RefreshTokenReused,
        Self::InvalidServiceKey,
        Self::InsufficientScope,
        Self::CsrfFailed,
        Self::OriginNotAllowed,
        Self::ReauthenticationRequired,
        Self::EmailNotVerified,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::UsernameTaken,
        Self::EmailTaken,
        Self::SessionLimitReached,
        Self::PasskeyLimitReached,
        Self::AccountInUse,
        Self::CursorTooOld,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::ValidationFailed,
        Self::RateLimited,
        Self::Internal,
        Self::Busy,
        Self::Unavailable,
    ];

    /// Status, stable name and the public sentence, in one place.
    #[rustfmt::skip]
    pub const fn describe(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::MalformedJson => (400, "malformed_json", "The body is not valid JSON. Send one JSON object in UTF-8."),
            Self::BadRequest => (400, "bad_request", "The request is malformed; the detail says where."),
            Self::InvalidToken => (400, "invalid_token", "This link is not valid any more: it was used, has expired or was never issued. Ask for a new one."),
            Self::InvalidPasskey => (400, "invalid_passkey", "This passkey was not accepted: the ceremony has expired, was used, or began elsewhere, or the answer is not genuine. Begin again."),
            Self::Unauthenticated => (401, "unauthenticated", "Sign in first: send an access token as Bearer or as cookie."),
            Self::TokenExpired => (401, "token_expired", "The access token has expired. Call refresh."),
            Self::SessionRevoked => (401, "session_revoked", "This session was ended. Sign in again."),
            Self::SessionExpired => (401, "session_expired", "This session has expired. Sign in again."),
            Self::InvalidCredentials => (401, "invalid_credentials", "The identifier or the password is wrong."),
            Self::InvalidCode => (401, "invalid_code", "The code is wrong, used or expired."),
            Self::InvalidRefreshToken => (401, "invalid_refresh_token", "The refresh token is missing or not valid. Sign in again."),
            Self::RefreshTokenReused => (401, "refresh_token_reused", "This refresh token was used before, so somebody may hold a copy. The session was ended. Sign in again."),
            Self::InvalidServiceKey => (401, "invalid_service_key", "Send a live service key: Authorization: Bearer hp_sk_… (`hallpass service-key create` makes one)."),
            Self::InsufficientScope => (403, "insufficient_scope", "This service key does not allow the call. Make one with the scope."),
            Self::CsrfFailed => (403, "csrf_failed", "Send the value of the csrfToken cookie of this session in the x-csrf-token header."),
            Self::OriginNotAllowed => (403, "origin_not_allowed", "Calls from this origin are not allowed. Add it to server.allowed_origins."),
            Self::ReauthenticationRequired => (403, "reauthentication_required", "Prove your identity again with POST /api/v1/reauthenticate, then repeat the call."),
            Self::EmailNotVerified => (403, "email_not_verified", "Confirm your e-mail address first: the mail with the link can be asked for again."),
            Self::NotFound => (404, "not_found", "There is nothing here."),
            Self::MethodNotAllowed => (405, "method_not_allowed", "This path does not take this method; see the Allow header."),
            Self::RequestTimeout => (408, "request_timeout", "The request took too long to arrive. Send it again."),
            Self::UsernameTaken => (409, "username_taken", "This username belongs to somebody. Choose another."),
            Self::EmailTaken => (409, "email_taken", "This address has an account. Sign in or reset the password."),
            Self::SessionLimitReached => (409, "session_limit_reached", "This account has as many sessions as it may have. End one first."),
            Self::PasskeyLimitReached => (409, "passkey_limit_reached", "This account has as many passkeys as it may have. Remove one first."),
            Self::AccountInUse => (409, "account_in_use", "The application keeps something that belongs to this account. It has to be removed there first."),
            Self::CursorTooOld => (410, "cursor_too_old", "Revocations after this cursor are no longer complete. Drop what you cached and begin without a cursor."),
            Self::PayloadTooLarge => (413, "payload_too_large", "The body is too large."),
            Self::UnsupportedMediaType => (415, "unsupported_media_type", "Send the body as application/json."),
            Self::ValidationFailed => (422, "validation_failed", "Some fields need correction; errors lists each."),
            Self::RateLimited => (429, "rate_limited", "Too many requests. Wait as long as Retry-After says."),
            Self::Internal => (500, "internal", "Something went wrong on our side. The request id finds it in the log."),
            Self::Busy => (503, "busy", "Too many sign-ins at this moment. Try again as Retry-After says."),
            Self::Unavailable => (503, "unavailable", "The service cannot store this now. Nothing was changed. Try again as Retry-After says."),
        }
    }

    /// The stable name that clients compare.
    pub const fn name(self) -> &'static str {
        self.describe().1
    }
}

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
    /// The id under which the log has this request.
    pub request_id: String,
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

type Source = Arc<dyn std::error::Error + Send + Sync>;

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
    /// For `WWW-Authenticate`, instead of the code's own.
    challenge: Option<&'static str>,
    source: Option<Source>,
}

/// Everything that can fail answers with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with the code's own sentence.
    pub fn new(code: Code) -> Self {
        let retry_after = matches!(code, Code::Busy | Code::Unavailable).then_some(1);
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
    pub fn with_challenge(mut self, challenge: &'static str) -> Self {
        self.challenge = Some(challenge);
        self
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
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
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
