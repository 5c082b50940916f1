//! The page behind the link that makes the first administrator.
use super::first::{check, create};
use crate::app::App;
use crate::error::{Code, Result};
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

const TITLE: &str = "The first administrator";

/// The page routes of this module.
pub fn routes() -> Router<App> {
    Router::new().route("/first-administrator", get(show).post(submit))
}

async fn show(State(app): State<App>, query: Query) -> Response {
    let token = query.get("token");
    match check(&app, token).await {
        Ok(()) => form_page(&app, StatusCode::OK, token, &[]).unwrap_or_else(IntoResponse::into_response),
        Err(error) => error_page(&app, TITLE, &error),
    }
}

fn form_page(app: &App, status: StatusCode, token: &str, problems: &[String]) -> Result<Response> {
    let context = json!({
        "title": TITLE, "text": "This account can do everything on this server.", "action": "/first-administrator",
        "token": token, "button": "Create", "problems": problems, "asks_email": true, "asks_password": true,
    });
    page(app, status, "pages/action.html", &context)
}

async fn submit(State(app): State<App>, client: Client, headers: HeaderMap, form: Form) -> Response {
    let token = form.get("token");
    let again = |problems: &[String]| form_page(&app, StatusCode::UNPROCESSABLE_ENTITY, token, problems);
    let result = async {
        csrf::check_origin(&app, &headers)?;
        check(&app, token).await?;
        let Some(email) = Email::parse(form.get("email")) else {
            return again(&["This is not an e-mail address such as name@example.com.".to_owned()]);
        };
        let password = Zeroizing::new(form.get("password").to_owned());
        match create(&app, &client, token, &email, password).await {
            Ok(user) => {
                let text = format!("{} is an administrator and can sign in now.", user.email);
                message(&app, StatusCode::CREATED, "Done", &text)
            }
            Err(error) if error.code == Code::ValidationFailed => {
                let problems: Vec<String> =
                    error.fields.iter().map(|problem| problem.message.clone()).collect();
                again(&problems)
            }
            Err(error) if error.code == Code::EmailTaken => {
                again(&["This address has an account already. Choose another.".to_owned()])
            }
            Err(error) => Err(error),
        }
    };
    result.await.unwrap_or_else(|error| error_page(&app, TITLE, &error))
}
