//! The caller of a route that needs a live session.
use super::access::{self, Named};
use super::{SEEN_EVERY, Session, store};
use crate::app::{App, Inner};
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::cookies::Cookie;
use crate::error::{Code, Error, Result};
use crate::presence::Seen;
use crate::users::{self, User};
use crate::web::Client;
use crate::web::client::bearer;
use crate::web::csrf;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use serde_json::json;

/// How the caller proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer`: no other site's page can send it.
    Bearer,
    /// The access cookie: unsafe methods need a CSRF token.
    Cookie,
}

/// A live session and its user. As an extractor it is what guards a route.
#[derive(Clone, Debug)]
pub struct Current {
    /// Who.
    pub user: User,
    /// In which session.
    pub session: Session,
    /// Proven how.
    pub credential: Credential,
}

impl FromRequestParts<App> for Current {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let now = app.now();
        let (token, credential) = credential(app, &parts.headers)?;
        let named = access::verify(app, token, now)?;
        let current = live(app, named, credential, now).await?;
        if credential == Credential::Cookie {
            let session = current.session.id.to_string();
            if let Err(error) = csrf::check_token(app, &parts.method, &parts.headers, &session) {
                return Err(forged(app, parts, &current, error).await);
            }
        }
        note(app, named, &current.session, now);
        Ok(current)
    }
}

/// Notes a call by cookie that some other site's page may have caused. Only the browser of a live session can.
async fn forged(app: &App, parts: &mut Parts, current: &Current, error: Error) -> Error {
    let client = match Client::from_request_parts(parts, app).await {
        Ok(client) => client,
        Err(other) => return other,
    };
    let event = Event::new(Kind::CsrfFailed, &client).user(current.user.id).session(current.session.id);
    let event = event.detail(json!({ "method": parts.method.as_str(), "path": parts.uri.path() }));
    match audit::record_alone(app, event).await {
        Ok(()) => error,
        Err(unavailable) => unavailable,
    }
}

/// The access token that came; the header wins over the cookie.
pub(super) fn credential<'h>(app: &Inner, headers: &'h HeaderMap) -> Result<(&'h str, Credential)> {
    if let Some(token) = bearer(headers)? {
        return Ok((token, Credential::Bearer));
    }
    let cookie = app.cookies.read(headers, Cookie::Access)?;
    cookie.map(|token| (token, Credential::Cookie)).ok_or_else(|| Error::new(Code::Unauthenticated))
}

/// Asks the database whether the session lives: this is what makes a revocation count on the very next request.
async fn live(app: &App, named: Named, credential: Credential, now: Timestamp) -> Result<Current> {
    let revoked = || Error::new(Code::SessionRevoked);
    // Two point reads and no join: SQLite 3.54 plans a join anew for every bound value, which costs 80 microseconds.
    let session = store::find(&mut &app.db, named.session).await?.ok_or_else(revoked)?;
    let user = users::find(&app.db, session.user_id).await?.ok_or_else(revoked)?;
    if session.revoked_at.is_some() || user.disabled_at.is_some() {
        return Err(revoked());
    }
    if session.expires_at <= now {
        return Err(Error::new(Code::SessionExpired));
    }
    Ok(Current { user, session, credential })
}

/// Notes that a token of this generation has arrived, and the use of the session, both written later in batches.
fn note(app: &Inner, named: Named, session: &Session, now: Timestamp) {
    let confirms = named.generation == session.generation && session.confirmed_at.is_none();
    if confirms || session.last_seen_at.plus(SEEN_EVERY) <= now {
        app.presence.note(session.id, Seen { generation: named.generation, at: now });
    }
}
