//! The mailed link that proves a mailbox.
use super::super::person::Person;
use super::super::shape::Failure;
use crate::app::App;
use crate::cookies::{Cookie, SetCookies};
use crate::error::Result;
use crate::login::{self, Proof, SameClient, Verified};
use crate::web::page::{error_page, message, page};
use crate::web::{Client, OwnOrigin, Segment, csrf};
use axum::Json;
use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(authy_open_link, authy_verify_link))
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
        Ok(Some(verified)) => Ok(verified_as(&app, verified)),
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
    Ok(verified_as(&app, verified))
}

fn verified_as(app: &App, verified: Verified) -> Response {
    let message = "Account created & Email verified";
    let body = match verified {
        Verified::Done(user) => {
            AuthyVerified { message, user: Person::of(&user), status: None, password_token: None }
        }
        Verified::PasswordRequired(user, token) => AuthyVerified {
            message: "Account created & Email verified. Choose a password now.",
            user: Person::of(&user),
            status: Some("password_required"),
            password_token: Some(token.expose()),
        },
    };
    let mut cookies = SetCookies::default();
    cookies.add(app.cookies.clear(Cookie::Registration));
    (StatusCode::CREATED, cookies, Json(body)).into_response()
}
