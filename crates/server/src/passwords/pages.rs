//! The pages behind reset links.
use super::forgot;
use super::reset::{peek, reset};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::names::Email;
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

/// The page routes of this module.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/password/reset", get(show_reset).post(do_reset))
        .route("/password/forgot", get(show_forgot).post(do_forgot))
}

const TITLE: &str = "Choose a password";

/// The form that asks for a new password; `token` is the mailed or just issued one.
///
/// # Errors
/// A broken template.
pub fn choose_page(
    app: &App,
    status: StatusCode,
    token: &str,
    text: &str,
    problems: &[String],
) -> Result<Response> {
    let context = json!({
        "title": TITLE, "text": text, "action": "/password/reset", "token": token,
        "button": "Set password", "problems": problems, "asks_password": true,
    });
    page(app, status, "pages/action.html", &context)
}

async fn show_reset(State(app): State<App>, query: Query) -> Response {
    let token = query.get("token");
    let shown = match peek(&app, token).await {
        Ok(_) => choose_page(&app, StatusCode::OK, token, "All your sessions will end.", &[]),
        Err(error) => return error_page(&app, TITLE, &error),
    };
    shown.unwrap_or_else(IntoResponse::into_response)
}

async fn do_reset(State(app): State<App>, client: Client, headers: HeaderMap, form: Form) -> Response {
    let result = async {
        csrf::check_origin(&app, &headers)?;
        reset(&app, &client, form.get("token"), Zeroizing::new(form.get("password").to_owned())).await
    };
    let page = match result.await {
        Ok(()) => message(
            &app,
            StatusCode::OK,
            "Your password was set",
            "You can sign in with it now. All former sessions were ended.",
        ),
        Err(error) if error.code == Code::ValidationFailed => {
            let problems: Vec<String> = error.fields.iter().map(|problem| problem.message.clone()).collect();
            choose_page(&app, StatusCode::UNPROCESSABLE_ENTITY, form.get("token"), "", &problems)
        }
        Err(error) => return error_page(&app, TITLE, &error),
    };
    page.unwrap_or_else(IntoResponse::into_response)
}

async fn show_forgot(State(app): State<App>) -> Result<Response> {
    forgot_page(&app, StatusCode::OK, &[])
}

fn forgot_page(app: &App, status: StatusCode, problems: &[&str]) -> Result<Response> {
    let context = json!({
        "title": "Forgot your password?", "text": "We send a link to the address of your account.",
        "action": "/password/forgot", "button": "Send link", "problems": problems, "asks_email": true,
    });
    page(app, status, "pages/action.html", &context)
}

async fn do_forgot(
    State(app): State<App>,
    client: Client,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Error> {
    if let Err(error) = csrf::check_origin(&app, &headers) {
        return Ok(error_page(&app, "Forgot your password?", &error));
    }
    let Some(email) = Email::parse(form.get("email")) else {
        let problem = "This is not an e-mail address such as name@example.com.";
        return forgot_page(&app, StatusCode::UNPROCESSABLE_ENTITY, &[problem]);
    };
    forgot(&app, &client, &email).await?;
    let text = "If the address has an account, a mail with a link is on its way.";
    message(&app, StatusCode::ACCEPTED, "Look into your mailbox", text)
}
