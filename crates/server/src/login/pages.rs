//! The pages behind the links of verification and sign-in mails: a button each, since mail scanners open links.
use super::admit::Admitted;
use super::mailbox::{Proof, SameClient, Verified, verify_email};
use super::passwordless::by_link;
use super::routes::{attempt_cookie, over};
use super::second::{Finish, Given, Which, finish};
use crate::app::App;
use crate::cookies::{Cookie, SetCookies};
use crate::error::{Code, Error, Result};
use crate::passwords::choose_page;
use crate::sessions::{Delivery, deliver};
use crate::web::form::{Form, Query};
use crate::web::page::{error_page, message, page};
use crate::web::{Client, csrf};
use axum::Router;
use axum::extract::State;
use axum::http::header::REFRESH;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

const TITLE: &str = "Confirm your address";

/// The page routes of this module.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/verify-email", get(show).post(confirm))
        .route("/sign-in", get(show_sign_in).post(sign_in))
        .route("/sign-in/code", post(finish_sign_in))
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

const SIGN_IN: &str = "Sign in";

/// Looks nothing up, as [`show`].
async fn show_sign_in(State(app): State<App>, query: Query) -> Result<Response> {
    let context = json!({
        "title": SIGN_IN, "text": "Press the button to sign in here, in this browser.",
        "action": "/sign-in", "token": query.get("token"), "button": "Sign in",
    });
    page(&app, StatusCode::OK, "pages/action.html", &context)
}

async fn sign_in(State(app): State<App>, client: Client, headers: HeaderMap, form: Form) -> Response {
    let done = async {
        csrf::check_origin(&app, &headers)?;
        let admitted = by_link(&app, &client, form.get("token")).await?;
        admitted_page(&app, &admitted)
    };
    done.await.unwrap_or_else(|error| error_page(&app, SIGN_IN, &error))
}

/// In, or the form that asks for the second factor.
fn admitted_page(app: &App, admitted: &Admitted) -> Result<Response> {
    match admitted {
        Admitted::SignedIn(done) => {
            let (cookies, _) = deliver(app, &done.issued, Delivery::Cookie, app.now());
            let mut shown = message(app, StatusCode::OK, "You are signed in", "Go on in your application.")?;
            // No redirect: browsers hold the targets of those against form-action, as if the form went there.
            let url = app.config.login.after_link_url.as_ref().map(|url| format!("0; url={url}"));
            if let Some(value) = url.and_then(|value| HeaderValue::try_from(value).ok()) {
                shown.headers_mut().insert(REFRESH, value);
            }
            Ok((cookies, shown).into_response())
        }
        Admitted::Wanted(wanted) if wanted.enrolment => {
            let text = "Your account needs a second factor. Sign in from your application to set one up.";
            message(app, StatusCode::OK, "One more step", text)
        }
        Admitted::Wanted(wanted) => {
            let cookies = attempt_cookie(app, &wanted.attempt, wanted.life);
            Ok((cookies, code_page(app, StatusCode::OK, &[])?).into_response())
        }
    }
}

fn code_page(app: &App, status: StatusCode, problems: &[&str]) -> Result<Response> {
    let days = app.config.factors.remember_device.as_secs() / 86_400;
    let label = format!("Do not ask again on this device for {days} days");
    let check = (days > 0).then(|| json!({ "name": "rememberDevice", "label": label }));
    let context = json!({
        "title": "One more step", "text": "Type the code of your authenticator app, or a recovery code.",
        "action": "/sign-in/code", "button": "Sign in", "asks_code": true, "problems": problems, "check": check,
    });
    page(app, status, "pages/action.html", &context)
}

async fn finish_sign_in(State(app): State<App>, client: Client, headers: HeaderMap, form: Form) -> Response {
    let done = async {
        csrf::check_origin(&app, &headers)?;
        let attempt = app.cookies.read(&headers, Cookie::Attempt)?.map(str::to_owned);
        let attempt = attempt.ok_or_else(|| Error::new(Code::InvalidAttempt))?;
        let otp = form.get("otp").chars().take(OTP_MAX).collect();
        let request = Finish {
            attempt: Which::Token(attempt),
            email: None,
            given: Given::Typed(otp, None),
            remember_device: form.get("rememberDevice") == "yes",
        };
        let admitted = finish(&app, &client, &request).await?;
        let shown = admitted_page(&app, &admitted)?;
        Ok::<Response, Error>((over(&app, &admitted), shown).into_response())
    };
    let shown = match done.await {
        Ok(shown) => return shown,
        Err(error) if error.code == Code::InvalidCode => {
            code_page(&app, StatusCode::UNPROCESSABLE_ENTITY, &[error.sentence()])
        }
        Err(error) => return error_page(&app, SIGN_IN, &error),
    };
    shown.unwrap_or_else(IntoResponse::into_response)
}

/// Longest code that is even looked at, in characters.
const OTP_MAX: usize = 60;
