//! How tokens travel to the client: in the body, in cookies, or one of each.
use super::{Current, Issued, Session, access};
use crate::app::App;
use crate::clock::Timestamp;
use crate::cookies::{Cookie, SetCookies};
use crate::devices;
use crate::error::{Code, Error, Result};
use crate::roles::{self, Grants};
use crate::users::{self, User};
use crate::web::{Fields, csrf};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Where the tokens go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Delivery {
    /// Refresh token in an HttpOnly cookie, access token in the body.
    Cookie,
    /// Both in HttpOnly cookies.
    Cookies,
    /// Both in the body.
    Body,
}

impl Delivery {
    const NAMES: [(&'static str, Self); 3] =
        [("cookie", Self::Cookie), ("cookies", Self::Cookies), ("body", Self::Body)];

    /// The name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Cookies => "cookies",
            Self::Body => "body",
        }
    }

    /// From the name in the database.
    pub fn from_name(name: &str) -> Self {
        Self::NAMES.iter().find(|(known, _)| *known == name).map_or(Self::Cookie, |(_, delivery)| *delivery)
    }

    /// The optional field `tokenDelivery`.
    pub fn from_fields(fields: &mut Fields) -> Option<Self> {
        Self::from_fields_or(fields, Self::Cookie)
    }

    /// The same where another default is usual.
    pub fn from_fields_or(fields: &mut Fields, default: Self) -> Option<Self> {
        fields.choice("tokenDelivery", &Self::NAMES, default)
    }
}

/// The token part of an answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenBody {
    /// Access token, unless it went into a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Life of the access token in seconds.
    pub expires_in: u64,
    /// Refresh token, only with `tokenDelivery: "body"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// To be sent as `x-csrf-token` with unsafe calls that authenticate by cookie.
    pub csrf_token: String,
    /// After a sign-in with `tokenDelivery: "body"` by a client that sent no cookie `device`: what the device is known by. Keep it, also after a sign-out, and send
    /// it as header `x-device-token` with the next sign-in; a client that keeps the cookie `device` need not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
}

/// Sorts tokens into body and cookies.
pub fn deliver(app: &App, issued: &Issued, delivery: Delivery, now: Timestamp) -> (SetCookies, TokenBody) {
    let Issued { session, access, refresh, device, .. } = issued;
    let access_life = app.config.sessions.access_ttl;
    let life = remaining(session, now);
    let csrf_token = csrf::mint(app, &session.id.to_string());
    let mut cookies = SetCookies::default();
    if delivery != Delivery::Body {
        cookies.add(app.cookies.set(Cookie::Refresh, refresh, life));
        cookies.add(app.cookies.set(Cookie::Csrf, &csrf_token, remaining_absolute(session, now)));
    }
    if let Some(device) = device {
        cookies.add(devices::cookie(app, &device.secret));
    }
    if delivery == Delivery::Cookies {
        cookies.add(app.cookies.set(Cookie::Access, access, access_life));
    }
    let body = TokenBody {
        access_token: (delivery != Delivery::Cookies).then(|| access.clone()),
        token_type: "Bearer",
        expires_in: access_life.as_secs(),
        refresh_token: (delivery == Delivery::Body).then(|| refresh.clone()),
        csrf_token,
        device_token: device
            .as_ref()
            .filter(|noted| delivery == Delivery::Body && !noted.in_cookie)
            .map(|device| device.secret.expose()),
    };
    (cookies, body)
}

/// An access token that tells of a fresh proof of identity.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FreshToken {
    /// Access token with the present `auth_time`, `amr` and `acr`, unless it went into a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Life of the access token in seconds.
    pub expires_in: u64,
}

/// A new access token for a session whose proof is fresher now, delivered as the session's tokens are.
///
/// # Errors
/// [`Code::SessionRevoked`] when the account was closed; [`Code::Internal`] when no key is loaded.
pub async fn fresh_token(
    app: &App,
    session: &Session,
    current: &Current,
) -> Result<(SetCookies, FreshToken)> {
    // Read anew: what the proof was for may have changed the user, and a token made of what was before is outdated at once for services
    // that follow. All the same better than none where the database is gone by now: recovery codes go with the same answer.
    let owner = match owner_now(app, session).await {
        Err(error) if error.code == Code::Unavailable => {
            (Arc::clone(&current.user), Grants::clone(&current.grants))
        }
        owner => owner?,
    };
    let token = access::issue(app, session, &owner.0, &owner.1, app.now())?;
    let life = app.config.sessions.access_ttl;
    let mut cookies = SetCookies::default();
    let in_cookie = session.delivery == Delivery::Cookies;
    if in_cookie {
        cookies.add(app.cookies.set(Cookie::Access, &token, life));
    }
    let access_token = (!in_cookie).then_some(token);
    Ok((cookies, FreshToken { access_token, token_type: "Bearer", expires_in: life.as_secs() }))
}

async fn owner_now(app: &App, session: &Session) -> Result<(Arc<User>, Grants)> {
    let user = users::find_known(app, session.user_id, app.now()).await?;
    let user =
        user.filter(|user| user.disabled_at.is_none()).ok_or_else(|| Error::new(Code::SessionRevoked))?;
    let grants = roles::grants(app, &app.db, &user.roles).await?;
    Ok((user, grants))
}

/// The CSRF token of a session and its cookie, which lives as long as the session.
pub fn csrf_cookie(app: &App, session: &Session, now: Timestamp) -> (SetCookies, String) {
    let token = csrf::mint(app, &session.id.to_string());
    let mut cookies = SetCookies::default();
    cookies.add(app.cookies.set(Cookie::Csrf, &token, remaining_absolute(session, now)));
    (cookies, token)
}

/// Removes the session's cookies from the client.
pub fn clear_cookies(app: &App) -> SetCookies {
    SetCookies::clear_session(&app.cookies)
}

/// An error; one with status 401 means that the session's cookies are of no use any more, and takes them away.
pub fn without_cookies(app: &App, error: Error) -> Response {
    if error.code.describe().0 == 401 {
        (clear_cookies(app), error).into_response()
    } else {
        error.into_response()
    }
}

fn remaining(session: &Session, now: Timestamp) -> Duration {
    between(now, session.expires_at)
}

fn remaining_absolute(session: &Session, now: Timestamp) -> Duration {
    between(now, session.absolute_expires_at)
}

fn between(now: Timestamp, end: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(end.micros().saturating_sub(now.micros())).unwrap_or(0))
}
