//! Small HTML pages: work without JavaScript, load nothing from outside, change nothing on GET.
use crate::app::Inner;
use crate::error::{Error, Result};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
const CSP: HeaderName = HeaderName::from_static("content-security-policy");

/// Pages may load the one stylesheet and post forms to their own origin, nothing more.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Renders a page template inside the shell.
///
/// # Errors
/// A broken template (an operator's override).
pub fn page(app: &Inner, status: StatusCode, template: &str, context: &Value) -> Result<Response> {
    let context = json!({ "product": app.config.mail.product_name, "page": context });
    let html = app.templates.render(template, &context).map_err(Error::internal)?;
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CSP, HeaderValue::from_static(POLICY));
    headers.insert(ROBOTS, HeaderValue::from_static("noindex"));
    Ok(response)
}

/// A page that says one thing.
///
/// # Errors
/// A broken template.
pub fn message(app: &Inner, status: StatusCode, title: &str, text: &str) -> Result<Response> {
    page(app, status, "pages/message.html", &json!({ "title": title, "text": text }))
}

/// An error as a page, with its own status.
pub fn error_page(app: &Inner, title: &str, error: &Error) -> Response {
    if error.code == crate::error::Code::Internal {
        return error.clone().into_response();
    }
    let status = StatusCode::from_u16(error.code.describe().0).unwrap_or(StatusCode::BAD_REQUEST);
    let problems: Vec<&str> = error.fields.iter().map(|problem| problem.message.as_str()).collect();
    let text = if problems.is_empty() { error.sentence().to_owned() } else { problems.join(" ") };
    message(app, status, title, &text).unwrap_or_else(IntoResponse::into_response)
}
