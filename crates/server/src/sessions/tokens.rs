//! Rotation: one compare-and-set when all is well; `crypto::rotation` judges everything else.
use super::{Issued, Session, access, revoke, revoke_all, store};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::{Timestamp, micros};
use crate::config::OnReuse;
use crate::db::Tx;
use crate::devices;
use crate::error::{Code, Error, Result};
use crate::ids::SessionId;
use crate::limits;
use crate::mail::{self, Message};
use crate::roles;
use crate::sessions::device;
use crate::telemetry::Outcome;
use crate::users;
use crate::web::Client;
use hallpass_crypto::rotation::{Chain, Presented, Rules, Verdict, judge};
use hallpass_crypto::secret::RefreshToken;
use serde_json::json;
use uuid::Uuid;

/// A session's next tokens.
pub struct Refreshed(pub Issued);

/// Trades a refresh token for its successor. A retry gets the same successor; reuse ends the session.
///
/// # Errors
/// [`Code::InvalidRefreshToken`], [`Code::SessionRevoked`], [`Code::SessionExpired`], [`Code::RefreshTokenReused`].
pub async fn rotate(app: &App, presented: &str, client: &Client) -> Result<Refreshed> {
    let result = try_rotate(app, presented, client).await;
    let outcome = match &result {
        Ok(_) => "ok",
        Err(error) if error.code == Code::RefreshTokenReused => "reused",
        Err(_) => "refused",
    };
    app.metrics.refreshes.get_or_create(&Outcome { outcome }).inc();
    result
}

async fn try_rotate(app: &App, presented: &str, client: &Client) -> Result<Refreshed> {
    let now = app.now();
    // The MAC comes first: forgeries cost no database work and end nobody's session.
    let token = RefreshToken::parse(presented, &app.secrets.refresh);
    let token = token.ok_or_else(|| Error::new(Code::InvalidRefreshToken))?;
    limits::spend_refresh(app, token.session, now)?;
    let successor = RefreshToken::new(token.session, token.generation.saturating_add(1), app.random_bytes());
    let origin = client.origin();
    let rotation = store::Rotation {
        id: SessionId(Uuid::from_bytes(token.session)),
        presented_hash: token.hash(),
        successor_hash: successor.hash(),
        handover: &token.seal_successor(&successor, app.random_bytes()),
        origin: &origin,
        idle_until: now.plus(app.config.sessions.refresh_ttl),
        now,
    };
    match store::rotate(&app.db, &rotation).await? {
        Some(session) => Ok(Refreshed(issue(app, session, &successor, now).await?)),
        None => not_current(app, app.db.begin().await?, &token, client, now).await,
    }
}

/// The presented token is genuine and not the current one of a live session.
async fn not_current(
    app: &App,
    mut tx: Tx,
    token: &RefreshToken,
    client: &Client,
    now: Timestamp,
) -> Result<Refreshed> {
    let id = SessionId(Uuid::from_bytes(token.session));
    let Some((session, chain, handover)) = store::chain(&mut tx, id).await? else {
        return Err(Error::new(Code::InvalidRefreshToken));
    };
    if session.revoked_at.is_some() {
        return Err(Error::new(Code::SessionRevoked));
    }
    if session.expires_at <= now {
        return Err(Error::new(Code::SessionExpired));
    }
    let chain = with_presence(app, id, chain, now);
    let presented = Presented { generation: token.generation, hash: token.hash() };
    match judge(&chain, &presented, &client.origin(), now.micros(), &rules(app)) {
        Verdict::Retry => {
            let successor = open(token, handover)?;
            // Nothing more is read or written in it, and another would need a second connection.
            drop(tx);
            Ok(Refreshed(issue(app, session, &successor, now).await?))
        }
        Verdict::LateRetry if store::late_retry(&mut tx, id, session.generation).await? => {
            let successor = open(token, handover)?;
            let event = Event::new(Kind::RefreshRetriedLate, client).user(session.user_id).session(id);
            audit::record(app, &mut tx, event, now);
            tx.commit().await?;
            Ok(Refreshed(issue(app, session, &successor, now).await?))
        }
        // It became current between the two statements (another node): the client's retry will find it so.
        Verdict::Rotate => Err(Error::new(Code::Unavailable)),
        Verdict::LateRetry | Verdict::Reuse => reused(app, tx, &session, client, now).await,
    }
}

/// The live session that a refresh token would open now: it is the current one. Nothing is rotated or noted.
pub async fn of_refresh_token(app: &App, presented: &str, now: Timestamp) -> Result<Option<Session>> {
    let Some(token) = RefreshToken::parse(presented, &app.secrets.refresh) else {
        return Ok(None);
    };
    let id = SessionId(Uuid::from_bytes(token.session));
    let found = store::chain(&mut &app.db, id).await?;
    Ok(found
        .filter(|(session, chain, _)| {
            chain.current_hash == token.hash() && session.revoked_at.is_none() && session.expires_at > now
        })
        .map(|(session, ..)| session))
}

fn rules(app: &App) -> Rules {
    let settings = &app.config.sessions;
    Rules { handover_window: micros(settings.handover_window), late_retry: settings.late_retry }
}

/// What this node has seen and not yet written counts as well.
fn with_presence(app: &App, id: SessionId, chain: Chain, now: Timestamp) -> Chain {
    match app.presence.of(id) {
        Some(seen) => chain.confirmed(seen.generation, now.micros()),
        None => chain,
    }
}

/// The successor, sealed under the presented token.
fn open(token: &RefreshToken, handover: Option<Vec<u8>>) -> Result<RefreshToken> {
    let successor = handover.and_then(|sealed| token.open_successor(&sealed));
    successor.ok_or_else(|| Error::internal("the hand-over cannot be opened by its predecessor"))
}

async fn issue(app: &App, session: Session, token: &RefreshToken, now: Timestamp) -> Result<Issued> {
    let user = users::find_known(app, session.user_id, now).await?;
    let open = user.filter(|user| user.disabled_at.is_none());
    let user = open.ok_or_else(|| Error::new(Code::SessionRevoked))?;
    let grants = roles::grants(app, &app.db, &user.roles).await?;
    let access = access::issue(app, &session, &user, &grants, now)?;
    Ok(Issued { session, grants, access, refresh: token.expose(&app.secrets.refresh), device: None })
}

/// Ends the family, tells the owner, answers 401.
async fn reused(
    app: &App,
    mut tx: Tx,
    session: &Session,
    client: &Client,
    now: Timestamp,
) -> Result<Refreshed> {
    let reason = "refresh_token_reused";
    let all = app.config.sessions.on_reuse == OnReuse::AllSessions;
    if all {
        revoke_all(app, &mut tx, session.user_id, None, reason, now).await?;
    } else {
        // Whoever copied the token may have copied what lay beside it.
        if let Some(device) = session.device {
            devices::distrust(&mut tx, device).await?;
        }
        revoke(app, &mut tx, session.id, reason, now).await?;
    }
    let event = Event::new(Kind::RefreshTokenReused, client).user(session.user_id).session(session.id);
    audit::record(app, &mut tx, event.detail(json!({ "allSessions": all })), now);
    if let Some(user) = users::find_in(&mut tx, session.user_id).await? {
        let message = Message::RefreshTokenReused {
            at: now.rfc3339(),
            ip: client.ip.to_string(),
            device: device::describe(client.agent.as_deref().unwrap_or_default()),
        };
        mail::enqueue(app, &mut tx, &user.email, &message, now).await?;
    }
    mail::commit(app, tx).await?;
    Err(Error::new(Code::RefreshTokenReused))
}
