//! Authify: `/api/auth`. Signed in at once after registering; access token in the body, refresh token in a cookie; state changes by
//! GET, which here are taken from own and allowed pages only and never from a prefetch.
use super::person::{MisspeltPerson, Person};
use super::shape::{Failure, Literal};
use crate::app::App;
use crate::cookies::{Cookie, SetCookies};
use crate::error::{Code, Error, Result};
use crate::login::{
    self, Admitted, LoginRequest, RegisterRequest, Registered, SignedIn, WantedBody, attempt_cookie,
    registration_cookie, wanted_body,
};
use crate::sessions::{self, Current, Delivery, Said, clear_cookies, deliver, without_cookies};
use crate::web::client::KnownDevice;
use crate::web::{Body, Client, Fields, FromFields, OwnOrigin, Routes, csrf, handlers};
use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The routes of the profile.
pub(super) fn routes() -> Routes {
    Routes::new()
        .merge(handlers!(authify_register))
        .merge(handlers!(authify_login))
        .merge(handlers!(authify_me, authify_me_by_post))
        .merge(handlers!(authify_refresh, authify_refresh_by_post))
        .merge(handlers!(authify_logout, authify_logout_by_post))
        .merge(handlers!(authify_logout_all, authify_logout_all_by_post))
}

/// A call that the user means: not a prefetch, not another site's page, not a HEAD, which axum answers as GET.
struct Meant;

impl FromRequestParts<App> for Meant {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        csrf::check_origin(app, &parts.headers)?;
        csrf::check_not_speculative(&parts.headers)?;
        if parts.method == Method::HEAD { Err(Error::new(Code::MethodNotAllowed)) } else { Ok(Self) }
    }
}

/// A registration, which has a username there.
struct Registration(RegisterRequest);

impl FromFields for Registration {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        fields.require("username");
        RegisterRequest::from_fields(fields).map(Self)
    }
}

/// What a registration answers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuthifyRegistered {
    /// What happened.
    message: &'static str,
    /// Who.
    user: Person,
    /// Access token.
    access_token: String,
}

/// What a sign-in answers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuthifySignedIn {
    /// What happened.
    message: &'static str,
    /// Who.
    user: MisspeltPerson,
    /// Access token.
    access_token: String,
    /// The same.
    token: String,
}

/// What a sign-in still needs, when the account has a second factor.
#[derive(Serialize, ToSchema)]
struct AuthifyWanted {
    /// What to do.
    message: &'static str,
    #[serde(flatten)]
    wanted: WantedBody,
}

/// Who is in.
#[derive(Serialize, ToSchema)]
struct AuthifyMe {
    /// What happened.
    message: &'static str,
    /// Who.
    user: Person,
}

/// The next access token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuthifyRefreshed {
    /// What happened.
    message: &'static str,
    /// Access token.
    access_token: Option<String>,
}

/// Registers and signs in at once. With another `registration.mode` than `immediate`, the mailbox has to be proven first.
#[utoipa::path(post, path = "/api/auth/register", tag = "authify", params(KnownDevice), request_body = RegisterRequest, responses(
    (status = 201, body = AuthifyRegistered), (status = 202, description = "A mail is on its way", body = Said),
    (status = 200, description = "Something is missing", body = AuthifyWanted),
    (status = 400, body = Failure), (status = 403, body = Failure), (status = 409, body = Failure), (status = 413, body = Failure),
    (status = 415, body = Failure), (status = 429, body = Failure), (status = 503, body = Failure)))]
async fn authify_register(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(Registration(request)): Body<Registration>,
) -> Result<Response> {
    Ok(match login::register(&app, &client, request.into_wish()).await? {
        Registered::Pending(secret) => {
            let message = "Look into your mailbox: a mail tells how to go on.";
            (StatusCode::ACCEPTED, registration_cookie(&app, &secret), Json(Said { message })).into_response()
        }
        Registered::Admitted(admitted, secret) => {
            let cookie = registration_cookie(&app, &secret);
            let answer = admitted_as(&app, &admitted, |done, access_token| {
                let message = "User registered successfully";
                let body = AuthifyRegistered {
                    message,
                    user: Person::of(&done.user, &done.issued.grants),
                    access_token,
                };
                (StatusCode::CREATED, Json(body)).into_response()
            });
            (cookie, answer).into_response()
        }
    })
}

/// Signs in by password.
#[utoipa::path(post, path = "/api/auth/login", tag = "authify", params(KnownDevice), request_body = LoginRequest, responses(
    (status = 201, body = AuthifySignedIn), (status = 200, description = "Something is missing", body = AuthifyWanted),
    (status = 400, body = Failure), (status = 401, body = Failure), (status = 403, body = Failure), (status = 409, body = Failure), (status = 413, body = Failure),
    (status = 415, body = Failure), (status = 429, body = Failure), (status = 503, body = Failure)))]
async fn authify_login(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(request): Body<LoginRequest>,
) -> Result<Response> {
    let admitted = login::sign_in(&app, &client, request.into_wish()).await?;
    let status = StatusCode::from_u16(app.config.compat.login_status).unwrap_or(StatusCode::CREATED);
    Ok(admitted_as(&app, &admitted, |done, access_token| {
        let message = "User logged in successfully";
        let (user, token) = (MisspeltPerson::of(&done.user, &done.issued.grants), access_token.clone());
        (status, Json(AuthifySignedIn { message, user, access_token, token })).into_response()
    }))
}

/// The cookies of a sign-in with the body that `body` makes of it and its access token, or what is missing.
fn admitted_as(app: &App, admitted: &Admitted, body: impl FnOnce(&SignedIn, String) -> Response) -> Response {
    match admitted {
        Admitted::SignedIn(done) => {
            let (cookies, tokens) = deliver(app, &done.issued, Delivery::Cookie, app.now());
            (cookies, body(done, tokens.access_token.unwrap_or_default())).into_response()
        }
        Admitted::Wanted(wanted) => {
            let message = "Another proof is needed: POST /api/v1/verify";
            let body = AuthifyWanted { message, wanted: wanted_body(wanted) };
            (attempt_cookie(app, &wanted.attempt, wanted.life), Json(body)).into_response()
        }
    }
}

fn me(current: &Current) -> Json<AuthifyMe> {
    Json(AuthifyMe { message: "User fetched successfully", user: Person::of(&current.user, &current.grants) })
}

/// Who is in.
#[utoipa::path(get, path = "/api/auth/get-me", tag = "authify", security(("bearer" = [])), responses(
    (status = 200, body = AuthifyMe), (status = 400, body = Failure), (status = 401, body = Failure), (status = 503, body = Failure)))]
async fn authify_me(current: Current) -> Json<AuthifyMe> {
    me(&current)
}

/// Who is in.
#[utoipa::path(post, path = "/api/auth/get-me", tag = "authify", security(("bearer" = [])), responses(
    (status = 200, body = AuthifyMe), (status = 400, body = Failure), (status = 401, body = Failure), (status = 403, body = Failure), (status = 503, body = Failure)))]
async fn authify_me_by_post(sessions::Reader(current): sessions::Reader) -> Json<AuthifyMe> {
    me(&current)
}

/// Trades the refresh cookie for the next one.
#[utoipa::path(get, path = "/api/auth/refresh-token", tag = "authify", responses(
    (status = 200, body = AuthifyRefreshed), (status = 400, body = Failure), (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 405, description = "HEAD", body = Failure), (status = 429, body = Failure), (status = 503, body = Failure)))]
async fn authify_refresh(state: State<App>, client: Client, _: Meant, headers: HeaderMap) -> Response {
    refresh(&state, &client, &headers).await
}

/// Trades the refresh cookie for the next one.
#[utoipa::path(post, path = "/api/auth/refresh-token", tag = "authify", responses(
    (status = 200, body = AuthifyRefreshed), (status = 400, body = Failure), (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 429, body = Failure), (status = 503, body = Failure)))]
async fn authify_refresh_by_post(
    state: State<App>,
    client: Client,
    _: Meant,
    headers: HeaderMap,
) -> Response {
    refresh(&state, &client, &headers).await
}

async fn refresh(app: &App, client: &Client, headers: &HeaderMap) -> Response {
    // In the body whatever the sign-in chose, which may have been a native one.
    match sessions::refresh(app, client, headers, None, Some(Delivery::Cookie)).await {
        Ok((cookies, tokens)) => {
            let message = "Access Token refreshed successfully";
            (cookies, Json(AuthifyRefreshed { message, access_token: tokens.access_token })).into_response()
        }
        Err(error) if error.code.describe().0 == 401 => {
            let none = matches!(app.cookies.read(headers, Cookie::Refresh), Ok(None));
            let message = if none {
                "Refresh token not found, You are not allowed to access this page"
            } else {
                "Invalid Refresh Token"
            };
            without_cookies(app, error.with_detail(message))
        }
        Err(error) => error.into_response(),
    }
}

/// Ends the session of the refresh cookie.
#[utoipa::path(get, path = "/api/auth/logout", tag = "authify", responses(
    (status = 200, body = Said), (status = 400, body = Failure), (status = 403, body = Failure),
    (status = 405, description = "HEAD", body = Failure), (status = 503, body = Failure)))]
async fn authify_logout(state: State<App>, client: Client, _: Meant, headers: HeaderMap) -> Result<Response> {
    logout(&state, &client, &headers).await
}

/// Ends the session of the refresh cookie.
#[utoipa::path(post, path = "/api/auth/logout", tag = "authify", responses(
    (status = 200, body = Said), (status = 400, body = Failure), (status = 403, body = Failure), (status = 503, body = Failure)))]
async fn authify_logout_by_post(
    state: State<App>,
    client: Client,
    _: Meant,
    headers: HeaderMap,
) -> Result<Response> {
    logout(&state, &client, &headers).await
}

/// Works again and again while the cookie is there, so that a lost answer can be asked for once more.
async fn logout(app: &App, client: &Client, headers: &HeaderMap) -> Result<Response> {
    let Some(token) = app.cookies.read(headers, Cookie::Refresh)? else {
        return Ok(refused(app, 400, "Refresh token not found"));
    };
    let Some(session) = sessions::named_by_refresh_token(app, token) else {
        return Ok(refused(app, 400, "Invalid Refresh Token"));
    };
    sessions::log_out(app, session, client, app.now()).await?;
    Ok((clear_cookies(app), Json(Said { message: "user logged out successfully" })).into_response())
}

/// Ends all sessions of the one whom the refresh cookie signs in now: neither one that was used nor one whose session has ended will do.
#[utoipa::path(get, path = "/api/auth/logout-all", tag = "authify", responses(
    (status = 200, body = Said), (status = 400, body = Failure), (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 405, description = "HEAD", body = Failure), (status = 503, body = Failure)))]
async fn authify_logout_all(
    state: State<App>,
    client: Client,
    _: Meant,
    headers: HeaderMap,
) -> Result<Response> {
    logout_all(&state, &client, &headers).await
}

/// Ends all sessions of the one whom the refresh cookie signs in now: neither one that was used nor one whose session has ended will do.
#[utoipa::path(post, path = "/api/auth/logout-all", tag = "authify", responses(
    (status = 200, body = Said), (status = 400, body = Failure), (status = 401, body = Failure), (status = 403, body = Failure), (status = 503, body = Failure)))]
async fn authify_logout_all_by_post(
    state: State<App>,
    client: Client,
    _: Meant,
    headers: HeaderMap,
) -> Result<Response> {
    logout_all(&state, &client, &headers).await
}

async fn logout_all(app: &App, client: &Client, headers: &HeaderMap) -> Result<Response> {
    let Some(token) = app.cookies.read(headers, Cookie::Refresh)? else {
        return Ok(refused(app, 400, "Refresh Token Not Found"));
    };
    match sessions::end_all_by_refresh_token(app, token, client).await {
        Ok(()) => {}
        Err(error) if error.code == Code::InvalidRefreshToken => {
            return Ok(refused(app, 401, "Invalid Refresh Token"));
        }
        Err(error) => return Err(error),
    }
    let message = "Logged out form all devices successfully";
    Ok((clear_cookies(app), Json(Said { message })).into_response())
}

/// A refresh cookie that will not do. It is taken away in any case.
fn refused(app: &App, status: u16, message: &'static str) -> Response {
    let error = Error::new(Code::InvalidRefreshToken);
    let cookies: SetCookies = clear_cookies(app);
    (cookies, Literal { status, message, error }).into_response()
}
