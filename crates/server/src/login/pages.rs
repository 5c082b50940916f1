//! The page behind the link of a verification mail: a button, since mail scanners open links.
use super::verify::{Proof, SameClient, Verified, verify_email};
use crate::app::App;
use crate::cookies::{Cookie, SetCookies};
use crate::error::Result;
use crate::passwords::choose_page;
use crate::web::form::{Form, Query};
use crate::web::page::{error_page, message, page};
use crate::web::{Client, csrf};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

const TITLE: &str = "Confirm your address";

/// The page routes of this module.
pub fn routes() -> Router<App> {
    Router::new().route("/verify-email", get(show).post(confirm))
}

/// Looks nothing up: whoever opens the link learns nothing and changes nothing.
async fn show(State(app): State<App>, query: Query) -> Result<Response> {
    let context = json!({
        "title": TITLE, "text": "Press the button to confirm that this is your address.",
        "action": "/verify-email", "token": query.get("token"), "button": "Confirm my address",
    });
    page(&app, StatusCode::OK, "pages/action.html", &context)
}

async fn confirm(State(app): State<App>, client: Client, headers: HeaderMap, form: Form) -> Response {
    match try_confirm(&app, &client, &headers, form.get("token")).await {
        Ok(response) => response,
        Err(error) => error_page(&app, TITLE, &error),
    }
}

async fn try_confirm(app: &App, client: &Client, headers: &HeaderMap, token: &str) -> Result<Response> {
    csrf::check_origin(app, headers)?;
    let registration = app.cookies.read(headers, Cookie::Registration)?.map(str::to_owned);
    let same = SameClient { registration, password: None };
    let shown = match verify_email(app, client, Proof::Link(token.to_owned()), same).await? {
        Verified::Done(_) => message(
            app,
            StatusCode::OK,
            "Your address is confirmed",
            "You can sign in now and close this page.",
        )?,
        Verified::PasswordRequired(_, token) => {
            let text = "Your address is confirmed. Since you opened the link on another device, choose your password here.";
            choose_page(app, StatusCode::OK, &token.expose(), text, &[])?
        }
    };
    let mut cookies = SetCookies::default();
    cookies.add(app.cookies.clear(Cookie::Registration));
    Ok((cookies, shown).into_response())
}
