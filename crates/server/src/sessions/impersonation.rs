//! Sessions in which an administrator acts as somebody else.
//!
//! Invariants: they are marked, short and cannot be refreshed: nobody gets their refresh token, and their one access token lives as long
//! as they do. They open what [`ALLOWED`] lists and nothing else, whatever is added later. At each use the administrator's own
//! session lives, and the administrator still may do this and all that the account may.
use super::{Delivery, FIRST_PARTY, Session, access, amr, revoke, store, tell};
use crate::app::{App, Inner};
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::db::{Statements, Tx};
use crate::error::{Code, Error, Result};
use crate::ids::{SessionId, UserId};
use crate::revocations::{self, Fact};
use crate::roles::{self, Grants};
use crate::users::{self, User};
use crate::web::Client;
use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use hallpass_crypto::secret::RefreshToken;
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use utoipa::ToSchema;

/// The permission to act as somebody else.
pub const IMPERSONATE: &str = "hallpass:users:impersonate";

/// What such a session may read. It writes nothing; `POST /api/v1/logout` ends it.
const ALLOWED: [&str; 8] = [
    "/api/v1/devices",
    "/api/v1/events",
    "/api/v1/factors",
    "/api/v1/factors/passkeys",
    "/api/v1/me",
    "/api/v1/sessions",
    "/api/v1/sessions/{id}",
    "/forward-auth",
];

/// Why such a session ended with the one from which somebody acted.
const ENDED: &str = "impersonator_ended";

/// Who acts, and from which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impersonator {
    /// The administrator.
    pub user: UserId,
    /// The administrator's own session.
    pub session: SessionId,
}

/// Who acts, as tokens and answers tell it (RFC 8693 4.1).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Act {
    /// The administrator's id.
    pub sub: String,
}

impl Session {
    /// Who acts in it, if not its user.
    pub fn act(&self) -> Option<Act> {
        self.impersonator.map(|by| Act { sub: by.user.to_string() })
    }
}

/// Whose place is taken, by whom.
pub struct Impersonation<'a> {
    /// As whom.
    pub user: &'a User,
    /// The administrator's own session.
    pub own: &'a Session,
    /// From where.
    pub client: &'a Client,
    /// How long at most.
    pub life: Duration,
}

/// Begins such a session and returns it with its access token. Only `login` calls this.
pub async fn impersonate(
    app: &App,
    tx: &mut Tx,
    start: &Impersonation<'_>,
    now: Timestamp,
) -> Result<(Session, String)> {
    let id = super::new_id(app, tx, start.user.id, now).await?;
    // A row has to have one; this one is forgotten here.
    let token = RefreshToken::new(*id.0.as_bytes(), 0, app.random_bytes());
    // Services remember what was revoked for as long as an access token lives.
    let life = start.life.min(app.config.sessions.access_ttl);
    let ends = now.plus(life).min(start.own.absolute_expires_at);
    let session = Session {
        id,
        user_id: start.user.id,
        client_id: FIRST_PARTY.into(),
        generation: 0,
        confirmed_at: None,
        delivery: Delivery::Body,
        amr: amr::IMPERSONATION.into(),
        // The user has proven nothing, so whoever asks for a recent proof gets none.
        auth_time: Timestamp(0),
        factor_at: None,
        ip: start.client.ip.to_string(),
        user_agent: start.client.agent.clone(),
        device_name: None,
        device: None,
        created_at: now,
        last_seen_at: now,
        expires_at: ends,
        absolute_expires_at: ends,
        revoked_at: None,
        impersonator: Some(Impersonator { user: start.own.user_id, session: start.own.id }),
    };
    store::insert(tx, &session, &token.hash(), &start.client.origin()).await?;
    let grants = roles::grants_in(app, &mut *tx, &start.user.roles).await?;
    let access = access::issue(app, &session, start.user, &grants, now)?;
    Ok((session, access))
}

/// Whether whoever acts in a session still may; of an ordinary session always. `grants` are those of its user.
pub async fn impersonation_holds(
    app: &Inner,
    db: &mut impl Statements,
    session: &Session,
    grants: &Grants,
    now: Timestamp,
) -> Result<bool> {
    let Some(by) = session.impersonator else { return Ok(true) };
    let own = super::find(&mut *db, by.user, by.session, now).await?;
    if own.is_none() {
        return Ok(false);
    }
    let held = users::grants_now(app, db, by.user).await?;
    Ok(held.allows(IMPERSONATE) && held.covers(grants))
}

/// Lets a call in such a session go on if it only looks at what is listed.
pub(super) async fn guard(
    app: &App,
    parts: &Parts,
    session: &Session,
    grants: &Grants,
    now: Timestamp,
) -> Result<()> {
    if !impersonation_holds(app, &mut &app.db, session, grants, now).await? {
        return Err(Error::new(Code::SessionRevoked));
    }
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let reads = parts.method == Method::GET || parts.method == Method::HEAD;
    if reads && ALLOWED.contains(&route) { Ok(()) } else { Err(Error::new(Code::Impersonated)) }
}

/// Ends the sessions in which somebody acts from a session that has just ended: from `only` this one, from all but `except`.
pub(super) async fn end_of(
    app: &App,
    tx: &mut Tx,
    by: UserId,
    (only, except): (Option<SessionId>, Option<SessionId>),
    now: Timestamp,
) -> Result<()> {
    for (user, id) in store::revoke_impersonations(tx, by, only, except, ENDED, now).await? {
        revocations::record(app, tx, Fact::SessionEnded(user, id), now).await?;
        tell(app, tx, user, &[id], ENDED, now);
    }
    Ok(())
}

/// Ends the sessions of those who may no longer act in them. Nobody gets through with one as it is; this tells the services that follow.
pub async fn end_lapsed(app: &App) -> Result<()> {
    let now = app.now();
    for session in store::impersonations(&mut &app.db, now).await? {
        let user = users::find(&app.db, session.user_id).await?;
        let roles = user.map(|user| user.roles).unwrap_or_default();
        let grants = roles::grants(app, &app.db, &roles).await?;
        if impersonation_holds(app, &mut &app.db, &session, &grants, now).await? {
            continue;
        }
        let mut tx = app.db.begin().await?;
        if revoke(app, &mut tx, session.id, "impersonator_lapsed", now).await? {
            let client = Client::system();
            let event = Event::new(Kind::SessionsRevoked, &client).user(session.user_id).session(session.id);
            let detail = json!({ "revoked": 1, "reason": "impersonator_lapsed" });
            audit::record(app, &mut tx, event.detail(detail), now);
            tx.commit().await?;
        }
    }
    Ok(())
}
