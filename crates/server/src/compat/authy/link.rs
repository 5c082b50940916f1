//! The mailed link that proves a mailbox.
use super::super::person::Person;
use super::super::shape::Failure;
use crate::app::App;
use crate::cookies::{Cookie, SetCookies};
use crate::error::Result;
use crate::login::{self, Proof, SameClient, Verified};
use crate::roles;
use crate::web::page::{error_page, message, page};
use crate::web::{Client, OwnOrigin, Routes, Segment, csrf, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// The routes of this file.
pub(super) fn routes() -> Routes {
    Routes::new().merge(handlers!(authy_open_link, authy_verify_link))
}

/// A proven mailbox.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuthyVerified {
    /// What happened.
    message: &'static str,
    /// Who.
    user: Person,
    /// `password_required` when another client than the one that registered has proven the mailbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// For `POST /api/v1/password/reset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_token: Option<String>,
}

/// Opening the link is enough in the browser that registered. Elsewhere it shows a page with a button, since mail scanners open links and the
/// owner of the mailbox has to choose the password.
#[utoipa::path(get, path = "/api/v1/verify/{token}", tag = "accounts", params(("token" = String, Path)), responses(
    (status = 201, body = AuthyVerified), (status = 200, description = "The page", content_type = "text/html"),
    (status = 400, body = Failure), (status = 503, body = Failure)))]
async fn authy_open_link(
    State(app): State<App>,
    client: Client,
    method: Method,
    headers: HeaderMap,
    Segment(token): Segment,
) -> Result<Response> {
    csrf::check_not_speculative(&headers)?;
    let for_people = headers
        .get(ACCEPT)
        .is_some_and(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")));
    let registration = app.cookies.read(&headers, Cookie::Registration)?.map(str::to_owned);
    // A HEAD looks only.
    let registration = registration.filter(|_| method == Method::GET);
    match login::verify_by_opening(&app, &client, &token, registration).await {
        Ok(Some(_)) if for_people => {
            let text = "You can sign in now and close this page.";
            message(&app, StatusCode::OK, "Your address is confirmed", text)
        }
        Ok(Some(verified)) => verified_as(&app, verified).await,
        Ok(None) => {
            let context = json!({
                "title": "Confirm your address", "text": "Press the button to confirm that this is your address.",
                "action": "/verify-email", "token": token, "button": "Confirm my address",
            });
            page(&app, StatusCode::OK, "pages/action.html", &context)
        }
        Err(error) if for_people => Ok(error_page(&app, "Confirm your address", &error)),
        Err(error) => Err(error),
    }
}

/// Proves a mailbox by the token of the mailed link.
#[utoipa::path(post, path = "/api/v1/verify/{token}", tag = "accounts", params(("token" = String, Path)), responses(
    (status = 201, body = AuthyVerified),
    (status = 400, body = Failure), (status = 403, body = Failure), (status = 503, body = Failure)))]
async fn authy_verify_link(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    headers: HeaderMap,
    Segment(token): Segment,
) -> Result<Response> {
    let registration = app.cookies.read(&headers, Cookie::Registration)?.map(str::to_owned);
    let same = SameClient { registration, password: None };
    let verified = login::verify_email(&app, &client, Proof::Link(token), same).await?;
    verified_as(&app, verified).await
}

async fn verified_as(app: &App, verified: Verified) -> Result<Response> {
    let (user, token) = match verified {
        Verified::Done(user) => (user, None),
        Verified::PasswordRequired(user, token) => (user, Some(token.expose())),
    };
    let grants = roles::grants(app, &app.db, &user.roles).await?;
    let message = match token {
        None => "Account created & Email verified",
        Some(_) => "Account created & Email verified. Choose a password now.",
    };
    let status = token.is_some().then_some("password_required");
    let body = AuthyVerified { message, user: Person::of(&user, &grants), status, password_token: token };
    let mut cookies = SetCookies::default();
    cookies.add(app.cookies.clear(Cookie::Registration));
    Ok((StatusCode::CREATED, cookies, Json(body)).into_response())
}
