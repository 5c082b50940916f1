//! The dev mailbox: what would have been sent, as a page and as JSON. Not there outside development.
use super::{Payload, lookup_form, open, store};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::web::csrf::is_loopback_origin;
use crate::web::form::Query;
use crate::web::page::page;
use axum::extract::State;
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;

/// Most mails that are shown.
const SHOWN: i64 = 100;

/// `GET /dev/mailbox` and `GET /dev/mailbox.json?to=<address>`.
pub fn routes() -> Router<App> {
    Router::new().route("/dev/mailbox", get(show)).route("/dev/mailbox.json", get(list))
}

/// A mail as the dev mailbox shows it.
#[derive(Serialize)]
struct Shown {
    id: String,
    to: String,
    subject: String,
    text: String,
    html: String,
    /// Every address in the text.
    links: Vec<String>,
    /// Every six-digit code in the text.
    codes: Vec<String>,
    /// RFC 3339.
    at: String,
}

#[derive(Serialize)]
struct Mailbox {
    messages: Vec<Shown>,
}

async fn list(State(app): State<App>, headers: HeaderMap, query: Query) -> Result<Json<Mailbox>> {
    check_host(&app, &headers)?;
    Ok(Json(Mailbox { messages: messages(&app, query.get("to")).await? }))
}

async fn show(State(app): State<App>, headers: HeaderMap, query: Query) -> Result<Response> {
    check_host(&app, &headers)?;
    let to = query.get("to");
    let messages = messages(&app, to).await?;
    let messages: Vec<_> = messages
        .iter()
        .map(|mail| {
            let pieces: Vec<_> = pieces(&mail.text)
                .into_iter()
                .map(|(text, link)| json!({ "text": text, "link": link }))
                .collect();
            json!({ "id": mail.id, "to": mail.to, "subject": mail.subject, "at": mail.at, "pieces": pieces })
        })
        .collect();
    let context = json!({ "title": "Dev mailbox", "class": "reference", "to": to, "messages": messages });
    page(&app, StatusCode::OK, "pages/mailbox.html", &context)
}

/// A page elsewhere whose name was made to point at this machine (DNS rebinding) must not read mails.
fn check_host(app: &App, headers: &HeaderMap) -> Result<()> {
    let Some(host) = headers.get(HOST).and_then(|value| value.to_str().ok()) else { return Ok(()) };
    let own = format!("http://{host}") == app.public_url || format!("https://{host}") == app.public_url;
    if own || is_loopback_origin(&format!("http://{host}")) {
        Ok(())
    } else {
        Err(Error::new(Code::NotFound))
    }
}

async fn messages(app: &App, to: &str) -> Result<Vec<Shown>> {
    if !app.config.dev_mailbox() {
        return Err(Error::new(Code::NotFound));
    }
    let recipient = (!to.is_empty()).then(|| lookup_form(to));
    let kept = store::kept(&mut &app.db, recipient.as_deref(), SHOWN).await?;
    // What was sealed under a key that is gone cannot be shown; it must not hide the rest.
    let opened = kept.iter().filter_map(|row| Some((row, open(app, row.id, &row.payload).ok()?)));
    Ok(opened.map(|(row, payload)| shown(row, payload)).collect())
}

fn shown(row: &store::Kept, payload: Payload) -> Shown {
    let text = payload.content.text;
    let split = pieces(&text);
    Shown {
        id: row.id.to_string(),
        to: payload.to,
        subject: payload.content.subject,
        links: split.iter().filter(|(_, link)| *link).map(|(piece, _)| (*piece).to_owned()).collect(),
        codes: split.iter().filter(|(_, link)| !link).flat_map(|(piece, _)| codes(piece)).collect(),
        text,
        html: payload.content.html,
        at: row.created_at.rfc3339(),
    }
}

/// A text as links and what is between them.
fn pieces(text: &str) -> Vec<(&str, bool)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = ["https://", "http://"].iter().filter_map(|scheme| rest.find(scheme)).min() {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| c.is_whitespace() || "<>\"".contains(c)).unwrap_or(from.len());
        let link = from[..end].trim_end_matches(['.', ',', ';', ':', ')', '!', '?']);
        pieces.push((before, false));
        pieces.push((link, true));
        rest = &from[link.len()..];
    }
    pieces.push((rest, false));
    pieces.retain(|(piece, _)| !piece.is_empty());
    pieces
}

/// Every group of exactly six digits that touches no letter or digit.
fn codes(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}
