//! Access tokens: RFC 9068 JWTs, verified strictly (RFC 8725). They name a session; whether it lives is not theirs to say.
use super::{Act, Session};
use crate::app::{App, Inner};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::ids::{SessionId, UserId};
use crate::keys;
use crate::roles::Grants;
use crate::signing::KeySet;
use crate::users::User;
use hallpass_crypto::jwt::{self, Expectation, JwtError};
use serde::Serialize;
use serde_json::{Map, Value};

/// `typ` of an access token (RFC 9068 2.1).
const TYPE: &str = "at+jwt";

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: String,
    aud: &'a str,
    exp: i64,
    iat: i64,
    nbf: i64,
    jti: String,
    sid: String,
    r#gen: u32,
    client_id: &'a str,
    roles: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<&'a [String]>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    permissions_omitted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Act>,
    amr: Vec<&'a str>,
    acr: &'a str,
    auth_time: i64,
    email: &'a str,
    email_verified: bool,
    uat: i64,
    rat: i64,
}

/// What an access token says of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Whose session, as the token says it.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// The generation that it was issued with.
    pub generation: u32,
    /// `exp`, in seconds since the epoch.
    expires_at: i64,
    /// `nbf`, in seconds since the epoch.
    not_before: i64,
}

impl Named {
    /// The checks that a token which was verified before has to pass again, since time goes on.
    ///
    /// # Errors
    /// [`Code::TokenExpired`], [`Code::Unauthenticated`].
    pub fn still_holds(&self, app: &Inner, now: Timestamp) -> Result<()> {
        let leeway = i64::try_from(app.config.sessions.leeway.as_secs()).unwrap_or(0);
        if now.seconds().saturating_sub(leeway) >= self.expires_at {
            return Err(Error::new(Code::TokenExpired));
        }
        if self.not_before > now.seconds().saturating_add(leeway) {
            return Err(Error::new(Code::Unauthenticated).caused_by(JwtError::NotYetValid));
        }
        Ok(())
    }
}

/// Signs an access token for a session, with what the user's roles hold. Permissions beyond what fits into a token are left out;
/// `permissions_omitted` says so, and `POST /api/v1/authorize` tells.
///
/// # Errors
/// [`Code::Internal`] when no key is loaded.
pub fn issue(app: &Inner, session: &Session, user: &User, grants: &Grants, now: Timestamp) -> Result<String> {
    let permissions = grants.for_token();
    let life = i64::try_from(app.config.sessions.access_ttl.as_secs()).unwrap_or(i64::MAX);
    // Never beyond the session itself.
    let exp = now.seconds().saturating_add(life).min(session.absolute_expires_at.seconds());
    let claims = Claims {
        iss: &app.public_url,
        sub: user.id.to_string(),
        aud: &app.audience,
        exp,
        iat: now.seconds(),
        nbf: now.seconds(),
        // UUIDv7: other services order it against ends of sessions, for which the seconds of `iat` are too coarse.
        jti: app.new_id(now).to_string(),
        sid: session.id.to_string(),
        r#gen: session.generation,
        client_id: &session.client_id,
        roles: &user.roles,
        permissions,
        permissions_omitted: permissions.is_none(),
        act: session.act(),
        amr: session.amr.split(' ').collect(),
        acr: super::amr::acr(&session.amr),
        auth_time: session.auth_time.seconds(),
        email: &user.email,
        email_verified: user.email_verified_at.is_some(),
        // What it is made of: services that follow the feed compare that with the state that a change led to. When it was made would
        // not do: a change counts from its commit, and until a node has heard of it; and clocks differ.
        uat: user.updated_at.micros(),
        rat: grants.as_of.micros(),
    };
    let json = serde_json::to_vec(&claims).map_err(Error::internal)?;
    let keys = app.signing.current();
    let key = keys.active.as_ref().ok_or_else(|| Error::internal("no signing key is loaded"))?;
    key.sign(TYPE, &json).map_err(Error::internal)
}

/// Verifies an access token and returns what it names.
///
/// # Errors
/// [`Code::TokenExpired`], [`Code::Unauthenticated`].
pub async fn verify(app: &App, token: &str, now: Timestamp) -> Result<Named> {
    named(&usual(app, token, now).await?)
}

/// As [`verify`], with the claims.
///
/// # Errors
/// [`Code::TokenExpired`], [`Code::Unauthenticated`].
pub async fn verify_with_claims(
    app: &App,
    token: &str,
    now: Timestamp,
) -> Result<(Named, Map<String, Value>)> {
    let claims = usual(app, token, now).await?;
    Ok((named(&claims)?, claims))
}

/// As [`verify`], for ending a session: an expired token still names it.
///
/// # Errors
/// [`Code::Unauthenticated`].
pub async fn verify_ignoring_expiry(app: &App, token: &str, now: Timestamp) -> Result<Named> {
    let expected = expectation(app, now);
    let verify =
        |keys: &KeySet| jwt::verify_ignoring_expiry_with(token, |kid| keys.verifying.get(kid), &expected);
    named(&claims(app, verify).await?)
}

async fn usual(app: &App, token: &str, now: Timestamp) -> Result<Map<String, Value>> {
    let expected = expectation(app, now);
    claims(app, |keys| jwt::verify_with(token, |kid| keys.verifying.get(kid), &expected)).await
}

/// What a token says that is verified with the keys in memory, or, when it names none of them, with those that there are.
async fn claims(
    app: &App,
    verify: impl Fn(&KeySet) -> Result<Map<String, Value>, JwtError>,
) -> Result<Map<String, Value>> {
    let mut claims = verify(&app.signing.current());
    if claims == Err(JwtError::UnknownKey) {
        keys::look_again(app).await?;
        claims = verify(&app.signing.current());
    }
    claims.map_err(|error| match error {
        JwtError::Expired => Error::new(Code::TokenExpired),
        other => Error::new(Code::Unauthenticated).caused_by(other),
    })
}

fn expectation(app: &Inner, now: Timestamp) -> Expectation<'_> {
    let leeway = i64::try_from(app.config.sessions.leeway.as_secs()).unwrap_or(0);
    Expectation { typ: TYPE, issuer: &app.public_url, audience: &app.audience, now: now.seconds(), leeway }
}

fn named(claims: &Map<String, Value>) -> Result<Named> {
    let session = claims.get("sid").and_then(Value::as_str).and_then(SessionId::parse);
    let generation = claims.get("gen").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    let user = claims.get("sub").and_then(Value::as_str).and_then(UserId::parse);
    match (user, session, generation, time("exp"), time("nbf")) {
        (Some(user), Some(session), Some(generation), Some(expires_at), Some(not_before)) => {
            Ok(Named { user, session, generation, expires_at, not_before })
        }
        _ => Err(Error::new(Code::Unauthenticated).caused_by("the token names no session")),
    }
}
