//! The page behind the link of an invitation. Opening it changes nothing, since mail scanners open links.
use super::accept::{Acceptance, accept, peek};
use crate::app::App;
use crate::error::{Code, Result};
use crate::web::form::{Form, Query};
use crate::web::page::{error_page, message, page};
use crate::web::{Client, csrf};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use zeroize::Zeroizing;

const TITLE: &str = "You are invited";

/// The page routes of this module.
pub fn routes() -> Router<App> {
    Router::new().route("/invitation", get(show).post(take_up))
}

fn choose(app: &App, status: StatusCode, token: &str, text: &str, problems: &[String]) -> Result<Response> {
    let context = json!({
        "title": TITLE, "text": text, "action": "/invitation", "token": token, "button": "Make my account",
        "problems": problems, "asks_password": true,
    });
    page(app, status, "pages/action.html", &context)
}

async fn show(State(app): State<App>, query: Query) -> Response {
    let token = query.get("token");
    let shown = match peek(&app, token).await {
        Ok((invitation, ..)) => {
            let text = format!("Choose a password for the account of {}.", invitation.email);
            choose(&app, StatusCode::OK, token, &text, &[])
        }
        Err(error) => return error_page(&app, TITLE, &error),
    };
    shown.unwrap_or_else(IntoResponse::into_response)
}

async fn take_up(State(app): State<App>, client: Client, headers: HeaderMap, form: Form) -> Response {
    let result = async {
        csrf::check_origin(&app, &headers)?;
        let wish = Acceptance {
            token: form.get("token").to_owned(),
            password: Zeroizing::new(form.get("password").to_owned()),
            name: None,
            username: None,
        };
        accept(&app, &client, wish).await
    };
    let shown = match result.await {
        Ok(_) => message(
            &app,
            StatusCode::CREATED,
            "Your account is ready",
            "You can sign in now and close this page.",
        ),
        Err(error) if error.code == Code::ValidationFailed => {
            let problems: Vec<String> = error.fields.iter().map(|problem| problem.message.clone()).collect();
            choose(&app, StatusCode::UNPROCESSABLE_ENTITY, form.get("token"), "", &problems)
        }
        Err(error) => return error_page(&app, TITLE, &error),
    };
    shown.unwrap_or_else(IntoResponse::into_response)
}
