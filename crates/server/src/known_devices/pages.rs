//! The page behind the link of a mail about a new device: a button, since mail scanners open links.
use super::not_me::{disown, look};
use crate::app::App;
use crate::error::Result;
use crate::passwords::choose_page;
use crate::sessions::device;
use crate::web::form::{Form, Query};
use crate::web::page::{error_page, message, page};
use crate::web::{Client, csrf};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

const TITLE: &str = "Was this not you?";
/// Name of the box that says whether all other sessions end as well.
const OTHERS: &str = "end_others";

/// The page routes of this module.
pub fn routes() -> Router<App> {
    Router::new().route("/not-me", get(show).post(confirm))
}

async fn show(State(app): State<App>, query: Query) -> Response {
    try_show(&app, query.get("token")).await.unwrap_or_else(|error| error_page(&app, TITLE, &error))
}

async fn try_show(app: &App, token: &str) -> Result<Response> {
    let (user, session) = look(app, token).await?;
    let text = if user.has_password {
        "If it was not you who signed in, press the button. The sign-in ends, your password stops working at once, and you \
         choose a new one. If it was you, close this page."
    } else {
        "If it was not you who signed in, press the button, and the sign-in ends. If it was you, close this page."
    };
    let facts = session.map(|session| {
        let place = app.places.of_text(&session.ip);
        let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
        let device = device::describe(session.user_agent.as_deref().unwrap_or_default());
        json!({ "at": session.created_at.rfc3339(), "device": device, "from": format!("{}{place}", session.ip) })
    });
    let context = json!({
        "title": TITLE, "text": text, "facts": facts, "action": "/not-me", "token": token,
        "check": { "name": OTHERS, "label": "End all my other sessions too", "on": true }, "button": "This was not me",
    });
    page(app, StatusCode::OK, "pages/action.html", &context)
}

async fn confirm(State(app): State<App>, client: Client, headers: HeaderMap, form: Form) -> Response {
    let done = try_confirm(&app, &client, &headers, &form).await;
    done.unwrap_or_else(|error| error_page(&app, TITLE, &error))
}

async fn try_confirm(app: &App, client: &Client, headers: &HeaderMap, form: &Form) -> Result<Response> {
    csrf::check_origin(app, headers)?;
    let done = disown(app, client, form.get("token"), !form.get(OTHERS).is_empty()).await?;
    match done.password {
        Some(token) => {
            let text = "The sign-in was ended, and your former password does not work any more. Choose a new one now.";
            choose_page(app, StatusCode::OK, &token.expose(), text, &[])
        }
        None => {
            let text = "Its device is unknown from now on. If you need a password, get a link with “Forgot your password”.";
            message(app, StatusCode::OK, "The sign-in was ended", text)
        }
    }
}
