//! The pages behind the links of a change of address.
use super::{confirm_change, undo_change};
use crate::app::App;
use crate::codes::{self, Purpose};
use crate::error::Result;
use crate::web::form::{Form, Query};
use crate::web::page::{error_page, message, page};
use crate::web::{Client, csrf};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

const CONFIRM: &str = "Confirm your new address";
const UNDO: &str = "Keep your former address";

/// The page routes of this module.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/email/confirm", get(show_confirm).post(do_confirm))
        .route("/email/undo", get(show_undo).post(do_undo))
}

async fn show_confirm(State(app): State<App>, query: Query) -> Response {
    let text = "Press the button to use this address for your account.";
    show(
        &app,
        query.get("token"),
        Purpose::ChangeEmail,
        &[CONFIRM, text, "/email/confirm", "Confirm address"],
    )
    .await
}

async fn show_undo(State(app): State<App>, query: Query) -> Response {
    let text = "Press the button to take the change back. All sessions end, and you get a link to choose a new password.";
    show(&app, query.get("token"), Purpose::UndoEmailChange, &[UNDO, text, "/email/undo", "Undo the change"])
        .await
}

async fn show(
    app: &App,
    token: &str,
    purpose: Purpose,
    [title, text, action, button]: &[&str; 4],
) -> Response {
    if let Err(error) = codes::peek(&app.db, purpose, token, app.now()).await {
        return error_page(app, title, &error);
    }
    let context = json!({ "title": title, "text": text, "action": action, "token": token, "button": button });
    page(app, StatusCode::OK, "pages/action.html", &context).unwrap_or_else(IntoResponse::into_response)
}

async fn do_confirm(State(app): State<App>, client: Client, headers: HeaderMap, form: Form) -> Response {
    let result: Result<_> = async {
        csrf::check_origin(&app, &headers)?;
        confirm_change(&app, &client, form.get("token")).await
    }
    .await;
    done(&app, CONFIRM, result.map(drop), "Your address was changed", "From now on mails go there.")
}

async fn do_undo(State(app): State<App>, client: Client, headers: HeaderMap, form: Form) -> Response {
    let result: Result<_> = async {
        csrf::check_origin(&app, &headers)?;
        undo_change(&app, &client, form.get("token")).await
    }
    .await;
    let text = "All sessions were ended. A mail with a link to choose a new password is on its way.";
    done(&app, UNDO, result, "Your former address is back", text)
}

fn done(app: &App, failed: &str, result: Result<()>, title: &str, text: &str) -> Response {
    match result {
        Ok(()) => message(app, StatusCode::OK, title, text).unwrap_or_else(IntoResponse::into_response),
        Err(error) => error_page(app, failed, &error),
    }
}
