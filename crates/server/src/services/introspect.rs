//! Whether a token is good, and what it stands for (RFC 7662).
use crate::app::App;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::sessions::{self, Session, access};
use crate::users::{self, User};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What a token stands for; of one that is not good only `active`, which is false then.
#[derive(Default, Serialize, ToSchema)]
pub struct Introspection {
    /// Whether the token is good at this moment.
    active: bool,
    /// `Bearer` or `refresh_token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    /// To which application it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Public name of the user, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// The user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// The session's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    /// Roles as they are now, not as they were when the token was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<String>>,
    /// Methods of the sign-in (RFC 8176).
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<Vec<String>>,
    /// `aal1` after one factor, `aal2` after two (RFC 9470).
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'static str>,
    /// The latest proof of identity, in seconds since 1970 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    /// Whom it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    /// Its own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    /// End of its life, in seconds since 1970 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    /// Not good before.
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
}

/// Asks about one token. Nothing is changed: a refresh token is not rotated, no use is noted.
///
/// # Errors
/// Those of the database; a token that is not good is no error.
pub(super) async fn introspect(app: &App, token: &str) -> Result<Introspection> {
    let now = app.now();
    let found = match sessions::of_refresh_token(app, token, now).await? {
        Some(session) => owner(app, session).await?.map(|(user, session)| refresh(app, &user, &session)),
        None => of_access_token(app, token, now).await?,
    };
    Ok(found.unwrap_or_default())
}

async fn of_access_token(app: &App, token: &str, now: Timestamp) -> Result<Option<Introspection>> {
    let (named, claims) = match access::verify_with_claims(app, token, now) {
        Ok(verified) => verified,
        Err(Error { code: Code::Unauthenticated | Code::TokenExpired, .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(session) = sessions::find_live(&app.db, named.session, now).await? else {
        return Ok(None);
    };
    Ok(owner(app, session).await?.map(|(user, session)| bearer(&user, &session, &claims)))
}

/// A live session with its user, provided that the account is open.
async fn owner(app: &App, session: Session) -> Result<Option<(User, Session)>> {
    let user = users::find(&app.db, session.user_id).await?;
    Ok(user.filter(|user| user.disabled_at.is_none()).map(|user| (user, session)))
}

fn common(user: &User, session: &Session, token_type: &'static str) -> Introspection {
    Introspection {
        active: true,
        token_type: Some(token_type),
        client_id: Some(session.client_id.clone()),
        username: user.username.clone(),
        sub: Some(user.id.to_string()),
        sid: Some(session.id.to_string()),
        roles: Some(user.roles.clone()),
        amr: Some(session.amr.split(' ').map(str::to_owned).collect()),
        acr: Some(sessions::amr::acr(&session.amr)),
        auth_time: Some(session.auth_time.seconds()),
        ..Introspection::default()
    }
}

fn bearer(user: &User, session: &Session, claims: &Map<String, Value>) -> Introspection {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    Introspection {
        aud: text("aud"),
        iss: text("iss"),
        jti: text("jti"),
        exp: time("exp"),
        iat: time("iat"),
        nbf: time("nbf"),
        ..common(user, session, "Bearer")
    }
}

fn refresh(app: &App, user: &User, session: &Session) -> Introspection {
    Introspection {
        iss: Some(app.public_url.clone()),
        exp: Some(session.expires_at.seconds()),
        ..common(user, session, "refresh_token")
    }
}
