//! Refreshing and signing out as clients ask for it: the tokens come in the body, in the header or in cookies. The native routes and
//! the profiles share this.
use super::current::credential;
use super::deliver::{Delivery, TokenBody, deliver};
use super::{access, log_out, tokens};
use crate::app::App;
use crate::clock::Timestamp;
use crate::cookies::{Cookie, SetCookies};
use crate::error::{Code, Error, Result};
use crate::ids::SessionId;
use crate::web::client::bearer;
use crate::web::{Client, csrf};
use axum::http::{HeaderMap, Method};
use hallpass_crypto::secret::RefreshToken;

/// Trades the refresh token of a body, or else of the cookie, for the next tokens, which travel as is wanted, or else as those of the
/// session do.
///
/// # Errors
/// As [`tokens::rotate`]; after those with status 401 the client's cookies are of no use any more.
pub async fn refresh(
    app: &App,
    client: &Client,
    headers: &HeaderMap,
    from_body: Option<&str>,
    wanted: Option<Delivery>,
) -> Result<(SetCookies, TokenBody)> {
    let presented = match from_body {
        Some(token) => Some(token),
        None => app.cookies.read(headers, Cookie::Refresh)?,
    };
    let presented = presented.ok_or_else(|| Error::new(Code::InvalidRefreshToken))?;
    let issued = tokens::rotate(app, presented, client).await?.0;
    let delivery = match (from_body, wanted.unwrap_or(issued.session.delivery)) {
        (Some(_), _) => Delivery::Body,
        (None, Delivery::Body) => Delivery::Cookie,
        (None, chosen) => chosen,
    };
    Ok(deliver(app, &issued, delivery, app.now()))
}

/// Ends the session that a client names, by an expired access token as well, and again and again.
///
/// # Errors
/// [`Code::CsrfFailed`] when only a cookie names it, and the token is missing.
pub async fn sign_out(
    app: &App,
    client: &Client,
    method: &Method,
    headers: &HeaderMap,
    from_body: Option<&str>,
) -> Result<()> {
    let now = app.now();
    if let Some((session, needs_csrf)) = named_session(app, headers, from_body, now).await? {
        if needs_csrf {
            csrf::check_token(app, method, headers, &session.to_string())?;
        }
        log_out(app, session, client, now).await?;
    }
    Ok(())
}

/// The session that a genuine refresh token was issued for, whether it lives or not.
pub fn named_by_refresh_token(app: &App, token: &str) -> Option<SessionId> {
    let token = RefreshToken::parse(token, &app.secrets.refresh);
    token.map(|token| SessionId(uuid::Uuid::from_bytes(token.session)))
}

/// The session that a sign-out is about, and whether a cookie named it: from the body, the header, or a cookie.
async fn named_session(
    app: &App,
    headers: &HeaderMap,
    from_body: Option<&str>,
    now: Timestamp,
) -> Result<Option<(SessionId, bool)>> {
    if let Some(token) = from_body {
        return Ok(named_by_refresh_token(app, token).map(|session| (session, false)));
    }
    if let Some(token) = bearer(headers)?
        && let Some(session) = of_access(app, token, now).await?
    {
        return Ok(Some((session, false)));
    }
    let refresh = app.cookies.read(headers, Cookie::Refresh)?;
    if let Some(session) = refresh.and_then(|token| named_by_refresh_token(app, token)) {
        return Ok(Some((session, true)));
    }
    let Ok((token, _)) = credential(app, headers) else { return Ok(None) };
    Ok(of_access(app, token, now).await?.map(|session| (session, true)))
}

/// The session that a genuine access token was issued for, be it expired.
async fn of_access(app: &App, token: &str, now: Timestamp) -> Result<Option<SessionId>> {
    match access::verify_ignoring_expiry(app, token, now).await {
        Ok(named) => Ok(Some(named.session)),
        Err(Error { code: Code::Unauthenticated, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
