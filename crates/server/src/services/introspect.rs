//! Whether a token is good, and what it stands for (RFC 7662).
use crate::app::App;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::roles::{self, Grants};
use crate::sessions::{self, Act, Session, access};
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
    /// Permissions that the roles hold now; `*` stands for a whole segment, at the end for all that follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Vec<String>>,
    /// Methods of the sign-in (RFC 8176).
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<Vec<String>>,
    /// `aal1` after one factor, `aal2` after two (RFC 9470).
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'static str>,
    /// Who acts in the session, if it is not the user (RFC 8693 4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Act>,
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
        Some(session) => owner(app, session).await?.map(|owner| refresh(app, &owner)),
        None => of_access_token(app, token, now).await?,
    };
    Ok(found.unwrap_or_default())
}

async fn of_access_token(app: &App, token: &str, now: Timestamp) -> Result<Option<Introspection>> {
    let found = live(app, token, now).await?;
    Ok(found.map(|(owner, claims)| bearer(&owner, &claims)))
}

/// Whom an access token names, provided that its session lives; with the claims.
pub(super) async fn live(
    app: &App,
    token: &str,
    now: Timestamp,
) -> Result<Option<(Owner, Map<String, Value>)>> {
    let (named, claims) = match access::verify_with_claims(app, token, now).await {
        Ok(verified) => verified,
        Err(Error { code: Code::Unauthenticated | Code::TokenExpired, .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(session) = sessions::find_live(&app.db, named.session, now).await? else {
        return Ok(None);
    };
    Ok(owner(app, session).await?.map(|owner| (owner, claims)))
}

/// A live session with its user and what the user may do.
pub(super) struct Owner {
    pub(super) user: User,
    pub(super) session: Session,
    pub(super) grants: Grants,
}

/// Whose session that is, provided that the account is open.
pub(super) async fn owner(app: &App, session: Session) -> Result<Option<Owner>> {
    let user = users::find(&app.db, session.user_id).await?;
    let Some(user) = user.filter(|user| user.disabled_at.is_none()) else { return Ok(None) };
    let grants = roles::grants(app, &app.db, &user.roles).await?;
    let holds = sessions::impersonation_holds(app, &mut &app.db, &session, &grants, app.now()).await?;
    Ok(holds.then_some(Owner { user, session, grants }))
}

fn common(owner: &Owner, token_type: &'static str) -> Introspection {
    let Owner { user, session, grants } = owner;
    Introspection {
        active: true,
        token_type: Some(token_type),
        client_id: Some(session.client_id.clone()),
        username: user.username.clone(),
        sub: Some(user.id.to_string()),
        sid: Some(session.id.to_string()),
        roles: Some(grants.roles.clone()),
        permissions: Some(grants.permissions.clone()),
        amr: Some(session.amr.split(' ').map(str::to_owned).collect()),
        acr: Some(sessions::amr::acr(&session.amr)),
        act: session.act(),
        auth_time: Some(session.auth_time.seconds()),
        ..Introspection::default()
    }
}

fn bearer(owner: &Owner, claims: &Map<String, Value>) -> Introspection {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    Introspection {
        aud: text("aud"),
        iss: text("iss"),
        jti: text("jti"),
        exp: time("exp"),
        iat: time("iat"),
        nbf: time("nbf"),
        ..common(owner, "Bearer")
    }
}

fn refresh(app: &App, owner: &Owner) -> Introspection {
    Introspection {
        iss: Some(app.public_url.clone()),
        exp: Some(owner.session.expires_at.seconds()),
        ..common(owner, "refresh_token")
    }
}
