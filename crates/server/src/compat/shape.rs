//! Errors as the replaced systems told them: `{message, code}`, and `error` with every bad field. Statuses that their clients do not know
//! become those that they do.
use crate::app::App;
use crate::cookies::Cookie;
use crate::error::{Code, Error, OtherBody};
use crate::web::csrf::has_token;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// An error of a profile's route.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Failure {
    /// What happened and what to do.
    message: String,
    /// Stable code.
    code: String,
    /// A hook's own code for its refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Every bad field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    error: Vec<crate::error::FieldProblem>,
    /// The id under which the log has this request.
    request_id: String,
}

/// An error with the text and, if it is another one than usual, the status of the replaced system.
pub(super) struct Literal {
    pub(super) status: u16,
    pub(super) message: &'static str,
    pub(super) error: Error,
}

/// Tells the layer below to keep a status.
#[derive(Clone, Copy)]
struct Kept;

impl IntoResponse for Literal {
    fn into_response(self) -> Response {
        let mut response = self.error.with_detail(self.message).into_response();
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        response.extensions_mut().insert(Kept);
        response
    }
}

/// The layer around Authify's routes.
pub(super) async fn authify(_: State<App>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    reshaped(response, |error| match error.code {
        Code::ValidationFailed => (400, first_problem(error), error.code.name()),
        Code::UsernameTaken | Code::EmailTaken => {
            (409, "Username or Email is already exists", error.code.name())
        }
        Code::InvalidCredentials => (401, "Invalid email or password", error.code.name()),
        Code::Unauthenticated => (401, "Token not found", error.code.name()),
        code => (code.describe().0, error.sentence(), code.name()),
    })
}

/// The layer around Authy's routes. Codes in capitals are those that its front ends compare.
pub(super) async fn authy(State(app): State<App>, request: Request, next: Next) -> Response {
    let csrf = if has_token(request.headers()) { "CSRF_TOKEN_INVALID" } else { "CSRF_TOKEN_MISSING" };
    // The access cookie goes when its token expires; the refresh cookie tells that there was one.
    let expired = matches!(app.cookies.read(request.headers(), Cookie::Refresh), Ok(Some(_)));
    let missing = if expired { "ACCESS_TOKEN_EXPIRED" } else { "NOT_AUTHENTICATED" };
    let response = next.run(request).await;
    reshaped(response, |error| match error.code {
        Code::ValidationFailed => (400, first_problem(error), error.code.name()),
        Code::EmailTaken => (400, "Email already in use", error.code.name()),
        Code::InvalidCredentials => (400, "Invalid credentials", error.code.name()),
        Code::InvalidCode => (400, "Invalid OTP", error.code.name()),
        Code::InvalidAttempt => (400, "OTP expired", error.code.name()),
        Code::InvalidToken => (400, "Verification expired", error.code.name()),
        Code::RateLimited => (429, "Too many requests, try again later", error.code.name()),
        Code::CsrfFailed => (403, error.sentence(), csrf),
        Code::Unauthenticated => {
            (app.config.compat.missing_access_status, "Please Login - no token", missing)
        }
        Code::TokenExpired => (401, "jwt expired", "ACCESS_TOKEN_EXPIRED"),
        Code::SessionRevoked | Code::SessionExpired | Code::RefreshTokenReused => (
            401,
            "Session Expired. You have been logged in from another device, or signed out. Please Login",
            error.code.name(),
        ),
        Code::InvalidRefreshToken => (401, "Invalid refresh token", error.code.name()),
        code => (code.describe().0, error.sentence(), code.name()),
    })
}

/// What an error is told as: status, text, code.
fn reshaped<'t>(
    mut response: Response,
    told: impl for<'e> Fn(&'e Error) -> (u16, &'e str, &'t str),
) -> Response {
    let Some(error) = response.extensions().get::<Error>().cloned() else { return response };
    let kept = response.extensions_mut().remove::<Kept>().is_some();
    let (status, message, code) = told(&error);
    let (message, status) = if kept {
        (error.sentence(), response.status())
    } else {
        (message, StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST))
    };
    let mut body: Map<String, Value> = Map::new();
    body.insert("message".into(), message.into());
    body.insert("code".into(), code.into());
    if let Some(reason) = error.reason() {
        body.insert("reason".into(), reason.into());
    }
    if !error.fields.is_empty() {
        body.insert("error".into(), json!(error.fields));
    }
    *response.status_mut() = status;
    if status != StatusCode::UNAUTHORIZED {
        response.headers_mut().remove(WWW_AUTHENTICATE);
    }
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response.extensions_mut().insert(OtherBody(body));
    response
}

/// Their clients show one message.
fn first_problem(error: &Error) -> &str {
    error.fields.first().map_or_else(|| error.sentence(), |problem| problem.message.as_str())
}
