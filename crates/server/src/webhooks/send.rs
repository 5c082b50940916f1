//! One attempt: what is told, signed, and what the answer means.
use super::{Delivery, Endpoint, find, open};
use crate::app::App;
use crate::clock::Timestamp;
use crate::config::check_url;
use crate::error::{Error, Result};
use crate::ids::{RowId, SessionId, UserId};
use crate::outgoing::{Answer, Call, CallError};
use crate::{roles, sessions, users};
use axum::http::HeaderName;
use axum::http::header::RETRY_AFTER;
use serde_json::{Value, json};
use std::time::Duration;
use time::PrimitiveDateTime;
use time::macros::format_description;

/// Header names of Standard Webhooks 1.0.0.
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Longest wait that an endpoint may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Said where the call cannot be signed.
const UNREADABLE: &str =
    "the secret of the endpoint cannot be read with the secret keys of the settings; give it another";

/// What came of an attempt.
pub(super) enum Outcome {
    /// 2xx.
    Taken(u16),
    /// 410: nobody wants it any more.
    Gone,
    /// Anything else; with the wait that was asked for.
    Failed { status: Option<u16>, error: String, wait: Option<Duration> },
}

/// What came of a ping.
pub struct Pinged {
    /// Whether the endpoint took it.
    pub taken: bool,
    /// HTTP status, if it answered.
    pub status: Option<u16>,
    /// Why it did not.
    pub error: Option<String>,
}

/// Sends `webhook.ping` at once, past the queue, also to an endpoint that is disabled.
///
/// # Errors
/// [`crate::error::Code::NotFound`]; a ping that fails is none.
pub async fn ping(app: &App, id: RowId) -> Result<Pinged> {
    let endpoint = find(&app.db, id).await?;
    let now = app.now();
    let body = body("webhook.ping", now, &json!({ "endpoint": { "id": id, "name": endpoint.name } }))?;
    let outcome = match send(app, &endpoint, RowId(app.new_id(now)), body).await {
        Ok(answer) => judge(&answer, now),
        Err(error) => Outcome::Failed { status: None, error, wait: None },
    };
    Ok(match outcome {
        Outcome::Taken(status) => Pinged { taken: true, status: Some(status), error: None },
        Outcome::Gone => Pinged { taken: false, status: Some(410), error: Some("gone".into()) },
        Outcome::Failed { status, error, .. } => Pinged { taken: false, status, error: Some(error) },
    })
}

/// Tells an endpoint of one event.
pub(super) async fn attempt(app: &App, endpoint: &Endpoint, delivery: &Delivery) -> Result<Outcome> {
    let mut data = serde_json::Map::new();
    if let Some(user) = delivery.user {
        data.insert("user".into(), about_user(app, user).await?);
    }
    if let (Some(user), Some(session)) = (delivery.user, delivery.session) {
        data.insert("session".into(), about_session(app, user, session).await?);
    }
    if let Some(reason) = &delivery.reason {
        data.insert("reason".into(), reason.as_str().into());
    }
    let body = body(&delivery.kind, delivery.happened_at, &Value::Object(data))?;
    Ok(match send(app, endpoint, delivery.id, body).await {
        Ok(answer) => judge(&answer, app.now()),
        Err(error) => Outcome::Failed { status: None, error, wait: None },
    })
}

/// The user as it is now; the id alone when it is gone.
async fn about_user(app: &App, id: UserId) -> Result<Value> {
    match users::find(&app.db, id).await? {
        Some(user) => {
            let grants = roles::grants(app, &app.db, &user.roles).await?;
            serde_json::to_value(user.view(&grants)).map_err(Error::internal)
        }
        None => Ok(json!({ "id": id })),
    }
}

async fn about_session(app: &App, user: UserId, id: SessionId) -> Result<Value> {
    match sessions::find_any(&app.db, user, id).await? {
        Some(session) => serde_json::to_value(session.view()).map_err(Error::internal),
        None => Ok(json!({ "id": id })),
    }
}

fn body(kind: &str, at: Timestamp, data: &Value) -> Result<Vec<u8>> {
    let body = json!({ "type": kind, "timestamp": at.rfc3339(), "data": data });
    serde_json::to_vec(&body).map_err(Error::internal)
}

/// The answer; or why there is none, in words of ours.
async fn send(
    app: &App,
    endpoint: &Endpoint,
    id: RowId,
    body: Vec<u8>,
) -> std::result::Result<Answer, String> {
    let url = check_url(&endpoint.url).map_err(|_| CallError::BadUrl.to_string())?;
    let now = app.now();
    let (id, seconds) = (id.to_string(), now.seconds());
    let secrets = &endpoint.secrets;
    let former = secrets.former.as_ref().filter(|_| secrets.former_until.is_some_and(|until| until > now));
    let mut signatures = Vec::new();
    for sealed in std::iter::once(&secrets.current).chain(former) {
        let secret = open(app, endpoint.id, sealed).map_err(|_| UNREADABLE.to_owned())?;
        signatures.push(secret.sign(&id, seconds, &body));
    }
    let headers = [(ID, id), (TIMESTAMP, seconds.to_string()), (SIGNATURE, signatures.join(" "))];
    let patience = app.config.webhooks.timeout;
    // What an endpoint says beside its status interests nobody.
    let call = Call { url: &url, headers: &headers, body, patience, longest: 0 };
    app.outgoing.post(call).await.map_err(|error| error.to_string())
}

fn judge(answer: &Answer, now: Timestamp) -> Outcome {
    match answer.status {
        200..=299 => Outcome::Taken(answer.status),
        410 => Outcome::Gone,
        status => {
            let asks = matches!(status, 429 | 503);
            let wait = answer.headers.get(RETRY_AFTER).filter(|_| asks);
            let wait = wait.and_then(|value| retry_after(value.to_str().ok()?, now));
            let error = match status {
                300..=399 => format!("answered {status}; redirects are not followed"),
                _ => format!("answered {status}"),
            };
            Outcome::Failed { status: Some(status), error, wait }
        }
    }
}

/// Seconds or a date (RFC 9110 10.2.3), within a day.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
    }
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let at = PrimitiveDateTime::parse(text, format).ok()?.assume_utc().unix_timestamp();
    let seconds = u64::try_from(at.saturating_sub(now.seconds())).ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}
