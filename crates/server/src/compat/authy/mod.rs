//! Authy: its paths under `/api/v1`, where they stand instead of native ones. Password, then a mailed code, then both tokens in cookies.
//!
//! Bodies are those of the native routes, and answers have their fields beside Authy's, so that a front end can move over one call
//! at a time.
mod link;

use super::person::Person;
use super::shape::Failure;
use crate::app::App;
use crate::clock::Timestamp;
use crate::cookies::SetCookies;
use crate::error::Result;
use crate::login::{
    self, Admitted, FinishRequest, LoginRequest, RegisterRequest, Registered, SignedIn, WantedBody,
    attempt_cookie, registration_cookie, wanted_body,
};
use crate::sessions::{
    self, Current, Delivery, Reader, Session, SessionView, TokenBody, clear_cookies, csrf_cookie, deliver,
    without_cookies,
};
use crate::templates::lasting;
use crate::users::User;
use crate::web::client::KnownDevice;
use crate::web::{Body, Client, Fields, FromFields, MaybeBody, OwnOrigin, Routes, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// What is not there natively.
pub(super) fn added() -> Routes {
    Routes::new().merge(link::routes()).merge(handlers!(authy_refresh_csrf))
}

/// What stands instead of native routes.
pub(super) fn replaced() -> Routes {
    Routes::new()
        .merge(handlers!(authy_register))
        .merge(handlers!(authy_login))
        .merge(handlers!(authy_verify))
        .merge(handlers!(authy_me))
        .merge(handlers!(authy_refresh))
        .merge(handlers!(authy_logout))
}

/// A registration whose tokens go into cookies.
struct Registration(RegisterRequest);

impl FromFields for Registration {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        RegisterRequest::with_default(fields, Delivery::Cookies).map(Self)
    }
}

/// A sign-in whose tokens go into cookies.
struct SignInWish(LoginRequest);

impl FromFields for SignInWish {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        LoginRequest::with_default(fields, Delivery::Cookies).map(Self)
    }
}

/// A refresh token in the body, for clients without cookies.
struct Presented(Option<String>);

impl FromFields for Presented {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self(fields.optional_token("refreshToken")))
    }
}

/// A sentence for people.
#[derive(Serialize, ToSchema)]
struct AuthySaid {
    /// What happened.
    message: String,
}

/// What a sign-in still needs.
#[derive(Serialize, ToSchema)]
struct AuthyWanted {
    /// What to do.
    message: String,
    #[serde(flatten)]
    wanted: WantedBody,
}

/// The session as Authy told it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionInfo {
    session_id: String,
    /// RFC 3339.
    login_time: String,
    /// RFC 3339, give or take a minute.
    last_activity: String,
    /// After a sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
}

impl SessionInfo {
    fn of(session: &Session, csrf_token: Option<String>) -> Self {
        Self {
            session_id: session.id.to_string(),
            login_time: session.created_at.rfc3339(),
            last_activity: session.last_seen_at.rfc3339(),
            csrf_token,
        }
    }
}

/// A session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuthySignedIn {
    /// Whom it welcomes.
    message: String,
    #[serde(flatten)]
    tokens: TokenBody,
    /// Who.
    user: Person,
    session_info: SessionInfo,
    /// In which session.
    session: SessionView,
    /// Ten codes that each stand in for the second factor once, when one was set up on the way. Shown this one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
}

/// Who is in, and in which session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuthyMe {
    /// Who.
    user: Person,
    session_info: SessionInfo,
    /// In which session.
    session: SessionView,
}

/// The answer of a refresh.
#[derive(Serialize, ToSchema)]
struct AuthyRefreshed {
    /// What happened.
    message: &'static str,
    #[serde(flatten)]
    tokens: TokenBody,
}

/// A CSRF token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuthyCsrf {
    /// What happened.
    message: &'static str,
    /// To be sent as `x-csrf-token`.
    csrf_token: String,
}

/// Asks for an account.
#[utoipa::path(post, path = "/api/v1/register", tag = "accounts", params(KnownDevice), request_body = RegisterRequest, responses(
    (status = 200, description = "A mail is on its way; known and unknown addresses look alike unless compat.tell_known_addresses is on", body = AuthySaid),
    (status = 201, description = "registration.mode = \"immediate\": signed in", body = AuthySignedIn),
    (status = 400, body = Failure), (status = 403, body = Failure), (status = 409, body = Failure), (status = 413, body = Failure),
    (status = 415, body = Failure), (status = 429, body = Failure), (status = 503, body = Failure)))]
async fn authy_register(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(Registration(request)): Body<Registration>,
) -> Result<Response> {
    Ok(match login::register(&app, &client, request.into_wish()).await? {
        Registered::Pending(secret) => {
            let life = lasting(app.config.codes.verify_link_ttl.as_secs());
            let message = format!(
                "If your email is valid, a verification link has been sent. It will expire in {life}"
            );
            (registration_cookie(&app, &secret), Json(AuthySaid { message })).into_response()
        }
        Registered::Admitted(admitted, secret) => {
            let answer = admitted_as(&app, StatusCode::CREATED, admitted);
            (registration_cookie(&app, &secret), answer).into_response()
        }
    })
}

/// The first step of a sign-in: the password. A code is mailed.
#[utoipa::path(post, path = "/api/v1/login", tag = "accounts", params(KnownDevice), request_body = LoginRequest, responses(
    (status = 200, description = "What is missing; with login.email_otp = \"off\" the session", body = AuthyWanted),
    (status = 400, body = Failure), (status = 403, body = Failure), (status = 409, body = Failure), (status = 413, body = Failure),
    (status = 415, body = Failure), (status = 429, body = Failure), (status = 503, body = Failure)))]
async fn authy_login(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(SignInWish(request)): Body<SignInWish>,
) -> Result<Response> {
    let admitted = login::sign_in(&app, &client, request.into_wish()).await?;
    Ok(admitted_as(&app, StatusCode::OK, admitted))
}

/// The second step of a sign-in: the mailed code, or whatever second factor the account has.
#[utoipa::path(post, path = "/api/v1/verify", tag = "accounts", params(KnownDevice), request_body = FinishRequest, responses(
    (status = 200, body = AuthySignedIn),
    (status = 400, body = Failure), (status = 403, body = Failure), (status = 409, body = Failure), (status = 413, body = Failure),
    (status = 415, body = Failure), (status = 429, body = Failure), (status = 503, body = Failure)))]
async fn authy_verify(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    headers: HeaderMap,
    Body(request): Body<FinishRequest>,
) -> Result<Response> {
    let admitted = login::finish(&app, &client, &request.into_wish(&app, &headers)?).await?;
    let over = login::over(&app, &admitted);
    Ok((over, admitted_as(&app, StatusCode::OK, admitted)).into_response())
}

fn admitted_as(app: &App, status: StatusCode, admitted: Admitted) -> Response {
    match admitted {
        Admitted::SignedIn(done) => signed_in(app, status, *done, app.now()),
        Admitted::Wanted(wanted) => {
            let life = lasting(wanted.life.as_secs());
            let message = if wanted.methods.contains(&sessions::EMAIL_OTP) {
                format!("An OTP has been sent to your email. It will be valid for {life}")
            } else {
                "Send the code of your second factor".to_owned()
            };
            let body = AuthyWanted { message, wanted: wanted_body(&wanted) };
            (attempt_cookie(app, &wanted.attempt, wanted.life), Json(body)).into_response()
        }
    }
}

fn signed_in(app: &App, status: StatusCode, done: SignedIn, now: Timestamp) -> Response {
    let SignedIn { user, issued, recovery_codes } = done;
    let session = &issued.session;
    let (cookies, tokens) = deliver(app, &issued, session.delivery, now);
    let body = AuthySignedIn {
        message: format!("Welcome {}", called(&user)),
        session_info: SessionInfo::of(session, Some(tokens.csrf_token.clone())),
        tokens,
        user: Person::of(&user, &issued.grants),
        session: SessionView { current: Some(true), ..session.view() },
        recovery_codes,
    };
    (status, cookies, Json(body)).into_response()
}

/// What people are called: their name, or what comes nearest.
fn called(user: &User) -> &str {
    user.name.as_deref().or(user.username.as_deref()).unwrap_or(&user.email)
}

/// Who is in, and in which session.
#[utoipa::path(get, path = "/api/v1/me", tag = "accounts", security(("bearer" = [])), responses(
    (status = 200, body = AuthyMe), (status = 400, body = Failure), (status = 401, body = Failure), (status = 403, body = Failure), (status = 503, body = Failure)))]
async fn authy_me(State(app): State<App>, current: Result<Current>) -> Response {
    let current = match current {
        Ok(current) => current,
        Err(error) => return ended(&app, error),
    };
    let session = &current.session;
    let body = AuthyMe {
        user: Person::of(&current.user, &current.grants),
        session_info: SessionInfo::of(session, None),
        session: SessionView { current: Some(true), ..session.view() },
    };
    Json(body).into_response()
}

/// A session that was ended takes its cookies along. Without access cookie, or with an expired token, they are needed to refresh.
fn ended(app: &App, error: crate::error::Error) -> Response {
    use crate::error::Code::{SessionExpired, SessionRevoked};
    if matches!(error.code, SessionRevoked | SessionExpired) {
        without_cookies(app, error)
    } else {
        error.into_response()
    }
}

/// Trades the refresh token for the next one.
#[utoipa::path(post, path = "/api/v1/refresh", tag = "sessions", responses(
    (status = 200, body = AuthyRefreshed), (status = 400, body = Failure), (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 413, body = Failure), (status = 415, body = Failure), (status = 429, body = Failure), (status = 503, body = Failure)))]
async fn authy_refresh(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    headers: HeaderMap,
    MaybeBody(Presented(token)): MaybeBody<Presented>,
) -> Response {
    match sessions::refresh(&app, &client, &headers, token.as_deref(), None).await {
        Ok((cookies, tokens)) => {
            (cookies, Json(AuthyRefreshed { message: "Token refreshed", tokens })).into_response()
        }
        Err(error) => without_cookies(&app, error),
    }
}

/// The CSRF token of the session once more. It is always the same one, so this changes nothing and asks for none.
#[utoipa::path(post, path = "/api/v1/refresh-csrf", tag = "sessions", security(("bearer" = [])), responses(
    (status = 200, body = AuthyCsrf), (status = 400, body = Failure), (status = 401, body = Failure), (status = 403, body = Failure), (status = 503, body = Failure)))]
async fn authy_refresh_csrf(State(app): State<App>, current: Result<Reader>) -> Response {
    match current {
        Ok(Reader(current)) => {
            let (cookie, csrf_token) = csrf_cookie(&app, &current.session, app.now());
            let message = "CSRF token refreshed";
            (cookie, Json(AuthyCsrf { message, csrf_token })).into_response()
        }
        Err(error) => ended(&app, error),
    }
}

/// Ends the session. By cookie it takes the CSRF token; it works with an expired access token, and again and again.
#[utoipa::path(post, path = "/api/v1/logout", tag = "sessions", responses(
    (status = 200, body = AuthySaid), (status = 400, body = Failure), (status = 403, body = Failure),
    (status = 413, body = Failure), (status = 415, body = Failure), (status = 503, body = Failure)))]
async fn authy_logout(
    State(app): State<App>,
    client: Client,
    method: Method,
    _: OwnOrigin,
    headers: HeaderMap,
    MaybeBody(Presented(token)): MaybeBody<Presented>,
) -> Result<(SetCookies, Json<AuthySaid>)> {
    sessions::sign_out(&app, &client, &method, &headers, token.as_deref()).await?;
    Ok((clear_cookies(&app), Json(AuthySaid { message: "Logged out successfully".into() })))
}
