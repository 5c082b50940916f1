//! Sessions: one sign-in on one device, one chain of refresh tokens.
//!
//! Invariants: only `login` starts sessions; the fact that a session ended is in the database before anybody is
//! answered, and every check of an access token reads it; a token is stored only as a hash, its successor only sealed
//! under it.
pub mod access;
pub mod amr;
mod by_client;
mod current;
mod deliver;
pub mod device;
mod ending;
mod fresh;
mod impersonation;
mod routes;
mod store;
mod tokens;

pub use by_client::{named_by_refresh_token, refresh, sign_out};
pub use current::{Credential, Current, Reader};
pub use deliver::{
    Delivery, FreshToken, TokenBody, clear_cookies, csrf_cookie, deliver, fresh_token, without_cookies,
};
pub use ending::{end_all, end_all_by_refresh_token, end_one, log_out};
pub use fresh::EMAIL_OTP;
pub use impersonation::{
    Act, IMPERSONATE, Impersonation, Impersonator, end_lapsed, impersonate, impersonation_holds,
};
pub use routes::{Said, routes};
pub use tokens::{Refreshed, of_refresh_token, rotate};

use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::bus::Notice;
use crate::clock::Timestamp;
use crate::config::OnLimit;
use crate::db::{Statements, Tx};
use crate::devices::{self, Noted};
use crate::error::{Code, Error, Result};
use crate::events;
use crate::geoip::Place;
use crate::ids::{DeviceId, SessionId, UserId};
use crate::revocations::{self, Fact};
use crate::roles::{self, Grants};
use crate::subscriptions::EventType;
use crate::users::User;
use crate::web::Client;
use hallpass_crypto::secret::RefreshToken;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// The one client until others can be registered.
pub const FIRST_PARTY: &str = "first-party";
/// Sightings in one trip to the database.
const FLUSHED_AT_ONCE: usize = 200;
/// A session's last use is written at most this often.
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Id; `sid` of tokens.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// Which application.
    pub client_id: String,
    /// How often its refresh token was rotated.
    pub generation: u32,
    /// When something issued with this generation was first seen.
    pub confirmed_at: Option<Timestamp>,
    /// How its tokens travel.
    pub delivery: Delivery,
    /// Methods of the sign-in (RFC 8176), separated by spaces.
    pub amr: String,
    /// The latest proof of identity.
    pub auth_time: Timestamp,
    /// The latest proof by a second factor.
    pub factor_at: Option<Timestamp>,
    /// From which address it began.
    pub ip: String,
    /// With which program it began.
    pub user_agent: Option<String>,
    /// What its owner calls the device.
    pub device_name: Option<String>,
    /// On which device it began; others may have taken its place since.
    pub device: Option<DeviceId>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, give or take a minute.
    pub last_seen_at: Timestamp,
    /// When it ends if it is not used.
    pub expires_at: Timestamp,
    /// When it ends in any case.
    pub absolute_expires_at: Timestamp,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
    /// Who acts in it, if not its user.
    pub impersonator: Option<Impersonator>,
}

/// A session as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// Id.
    pub id: String,
    /// Whether it is the one that asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<bool>,
    /// From which address it began.
    pub ip: String,
    /// Where that is, if the server can tell; in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// With which program it began.
    pub user_agent: Option<String>,
    /// The program, parsed.
    pub device: device::Device,
    /// What its owner calls the device.
    pub device_name: Option<String>,
    /// The device on which it began, as `GET /api/v1/devices` names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339, give or take a minute.
    pub last_seen_at: String,
    /// RFC 3339.
    pub expires_at: String,
    /// Methods of the sign-in (RFC 8176).
    pub amr: Vec<String>,
    /// `aal1` after one factor, `aal2` after two, `0` if the user has proven nothing.
    pub acr: &'static str,
    /// Id of the administrator who acts in it, if it is not the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonated_by: Option<String>,
}

impl Session {
    /// What the owner sees.
    pub fn view(&self) -> SessionView {
        SessionView {
            id: self.id.to_string(),
            current: None,
            ip: self.ip.clone(),
            place: None,
            user_agent: self.user_agent.clone(),
            device: device::parse(self.user_agent.as_deref().unwrap_or_default()),
            device_name: self.device_name.clone(),
            device_id: self.device.map(|id| id.to_string()),
            created_at: self.created_at.rfc3339(),
            last_seen_at: self.last_seen_at.rfc3339(),
            expires_at: self.expires_at.rfc3339(),
            amr: self.amr.split(' ').map(str::to_owned).collect(),
            acr: amr::acr(&self.amr),
            impersonated_by: self.impersonator.map(|by| by.user.to_string()),
        }
    }
}

/// What a sign-in brings.
pub struct Start<'a> {
    /// Who, as read in the same transaction.
    pub user: &'a User,
    /// From where.
    pub client: &'a Client,
    /// How (RFC 8176), separated by spaces.
    pub amr: &'a str,
    /// How tokens travel.
    pub delivery: Delivery,
    /// What the owner calls the device.
    pub device_name: Option<&'a str>,
}

/// A session with the tokens that open it.
pub struct Issued {
    /// The session.
    pub session: Session,
    /// What the user's roles hold.
    pub grants: Grants,
    /// Access token (RFC 9068).
    pub access: String,
    /// Refresh token, to be shown once.
    pub refresh: String,
    /// The device of a sign-in; nothing after a refresh.
    pub device: Option<Noted>,
}

/// Starts a session on a device that is known from then on, within the limit of sessions. Only `login` calls this.
///
/// # Errors
/// [`Code::SessionLimitReached`].
pub async fn start(app: &App, tx: &mut Tx, start: &Start<'_>, now: Timestamp) -> Result<Issued> {
    // Before anything that waits for what whoever forgets the device holds.
    let noted = devices::note_sign_in(app, tx, start.user.id, start.client, start.device_name, now).await?;
    make_room(app, tx, start, now).await?;
    let id = new_id(app, tx, start.user.id, now).await?;
    let token = RefreshToken::new(*id.0.as_bytes(), 0, app.random_bytes());
    let settings = &app.config.sessions;
    let absolute_expires_at = now.plus(settings.absolute_ttl);
    let session = Session {
        id,
        user_id: start.user.id,
        client_id: FIRST_PARTY.into(),
        generation: 0,
        confirmed_at: None,
        delivery: start.delivery,
        amr: start.amr.into(),
        auth_time: now,
        factor_at: amr::has(start.amr, amr::SEVERAL_FACTORS).then_some(now),
        ip: start.client.ip.to_string(),
        user_agent: start.client.agent.clone(),
        device_name: start.device_name.map(str::to_owned),
        device: Some(noted.device.id),
        created_at: now,
        last_seen_at: now,
        expires_at: now.plus(settings.refresh_ttl).min(absolute_expires_at),
        absolute_expires_at,
        revoked_at: None,
        impersonator: None,
    };
    store::insert(tx, &session, &token.hash(), &start.client.origin()).await?;
    let grants = roles::grants_in(app, &mut *tx, &start.user.roles).await?;
    let access = access::issue(app, &session, start.user, &grants, now)?;
    Ok(Issued { session, grants, access, refresh: token.expose(&app.secrets.refresh), device: Some(noted) })
}

/// An id for a session that begins now. Others tell by the time in it that the session began after all sessions of its user were ended,
/// which a node whose clock is ahead, or the same transaction, may have done at a later instant than this one.
async fn new_id(app: &App, tx: &mut Tx, user: UserId, now: Timestamp) -> Result<SessionId> {
    // The time in an id has no more than milliseconds.
    let since = Timestamp(now.micros() - now.micros().rem_euclid(1000));
    let ended = revocations::ended_since(tx, user, since).await?;
    let begins = ended.map_or(now, |at| now.max(at.plus(Duration::from_millis(1))));
    Ok(SessionId(app.new_id(begins)))
}

/// Ends the oldest sessions beyond `max_per_user`, or refuses.
async fn make_room(app: &App, tx: &mut Tx, start: &Start<'_>, now: Timestamp) -> Result<()> {
    let limit = app.config.sessions.max_per_user as usize;
    if limit == 0 {
        return Ok(());
    }
    let mut live = store::live_of_user(tx, start.user.id, now).await?;
    // An administrator takes nobody's place from the user.
    live.retain(|session| session.impersonator.is_none());
    if live.len() < limit {
        return Ok(());
    }
    if app.config.sessions.on_limit == OnLimit::Reject {
        return Err(Error::new(Code::SessionLimitReached));
    }
    for session in live.iter().take(live.len() + 1 - limit) {
        revoke(app, tx, session.id, "session_limit", now).await?;
        let event = Event::new(Kind::SessionsRevoked, start.client).user(start.user.id).session(session.id);
        audit::record(app, tx, event.detail(serde_json::json!({ "reason": "session_limit" })), now);
    }
    Ok(())
}

/// The live sessions of a user, oldest first.
pub async fn live(mut db: impl Statements, user: UserId, now: Timestamp) -> Result<Vec<Session>> {
    Ok(store::live_of_user(&mut db, user, now).await?)
}

/// One live session of a user.
pub async fn find(
    mut db: impl Statements,
    user: UserId,
    id: SessionId,
    now: Timestamp,
) -> Result<Option<Session>> {
    let found = store::find(&mut db, id).await?;
    Ok(found.filter(|session| {
        session.user_id == user && session.revoked_at.is_none() && session.expires_at > now
    }))
}

/// A session of a user, whether it lives or not.
pub async fn find_any(mut db: impl Statements, user: UserId, id: SessionId) -> Result<Option<Session>> {
    Ok(store::find(&mut db, id).await?.filter(|session| session.user_id == user))
}

/// One live session, whoever's it is: for operators.
pub async fn find_live(mut db: impl Statements, id: SessionId, now: Timestamp) -> Result<Option<Session>> {
    let found = store::find(&mut db, id).await?;
    Ok(found.filter(|session| session.revoked_at.is_none() && session.expires_at > now))
}

/// Ends one session, if it was live. Returns whether it was.
pub async fn revoke(
    app: &App,
    tx: &mut Tx,
    id: SessionId,
    reason: &'static str,
    now: Timestamp,
) -> Result<bool> {
    let Some(user) = store::revoke(tx, id, reason, now).await? else {
        return Ok(false);
    };
    revocations::record(app, tx, Fact::SessionEnded(user, id), now).await?;
    tell(app, tx, user, &[id], reason, now);
    impersonation::end_of(app, tx, user, (Some(id), None), now).await?;
    Ok(true)
}

/// Other systems hear of the end of each session.
fn tell(app: &App, tx: &mut Tx, user: UserId, ended: &[SessionId], reason: &'static str, now: Timestamp) {
    for id in ended {
        let ended = events::Event {
            what: EventType::SessionEnded,
            user: Some(user),
            session: Some(*id),
            reason: Some(reason),
        };
        events::note(app, tx, ended, now);
    }
}

/// Ends the sessions that began on a device, which its owner has just forgotten; returns how many were live.
pub async fn revoke_of_device(
    app: &App,
    tx: &mut Tx,
    user: UserId,
    device: DeviceId,
    reason: &'static str,
    now: Timestamp,
) -> Result<u64> {
    let ended = store::revoke_of_device(tx, user, device, reason, now).await?;
    for id in &ended {
        revocations::record(app, tx, Fact::SessionEnded(user, *id), now).await?;
        impersonation::end_of(app, tx, user, (Some(*id), None), now).await?;
    }
    tell(app, tx, user, &ended, reason, now);
    Ok(ended.len() as u64)
}

/// Ends all sessions of a user but one, and the trust of all devices: whatever is a reason for the one is a reason for
/// the other. Returns how many sessions were live.
pub async fn revoke_all(
    app: &App,
    tx: &mut Tx,
    user: UserId,
    except: Option<SessionId>,
    reason: &'static str,
    now: Timestamp,
) -> Result<u64> {
    devices::distrust_all(tx, user).await?;
    let ended = store::revoke_all(tx, user, except, reason, now).await?;
    revocations::record(app, tx, Fact::SessionsEnded(user, except), now).await?;
    tell(app, tx, user, &ended, reason, now);
    impersonation::end_of(app, tx, user, (None, except), now).await?;
    // Others tell by the time in its id that a session had begun. One whose id is ahead of this node's clock is named.
    for id in ended.iter().filter(|id| id.begun_after(now)) {
        revocations::record(app, tx, Fact::SessionEnded(user, *id), now).await?;
    }
    Ok(ended.len() as u64)
}

/// Notes a fresh proof of identity by some methods ([`amr`]), and returns the session as it is now.
///
/// # Errors
/// [`Code::SessionRevoked`] when it has ended meanwhile.
pub async fn note_proof(tx: &mut Tx, session: &Session, methods: &[&str], now: Timestamp) -> Result<Session> {
    tx.announce(Notice::Session(session.id));
    let factor = methods.contains(&amr::SEVERAL_FACTORS);
    // One factor, proven now, does not renew what several proved before.
    let kept =
        if factor || !amr::has(&session.amr, amr::SEVERAL_FACTORS) { session.amr.as_str() } else { "" };
    let amr = amr::with(kept, methods);
    if !store::note_proof(tx, session.id, &amr, factor, now).await? {
        return Err(Error::new(Code::SessionRevoked));
    }
    let factor_at = if factor { Some(now) } else { session.factor_at };
    Ok(Session { amr, auth_time: now, factor_at, ..session.clone() })
}

/// Writes what this node saw since the last call: last use, and that a generation's tokens have arrived.
pub async fn flush_presence(app: &App) -> Result<()> {
    let sightings = app.presence.take();
    for (done, chunk) in sightings.chunks(FLUSHED_AT_ONCE).enumerate() {
        if let Err(error) = store::seen(&app.db, chunk).await {
            // Not lost: the next call writes them.
            for (session, seen) in &sightings[done * FLUSHED_AT_ONCE..] {
                app.presence.note(*session, *seen);
            }
            return Err(error.into());
        }
    }
    Ok(())
}

/// Removes sessions whose absolute end was before an instant, a batch at a time; returns how many.
pub async fn purge(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    Ok(store::purge(tx, before).await?)
}
