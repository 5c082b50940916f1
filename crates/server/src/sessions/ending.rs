//! Ending sessions on their owner's wish, each with its audit event.
use super::{Current, find, revoke, revoke_all, store, tokens};
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::ids::SessionId;
use crate::web::Client;
use serde_json::json;

/// Ends the session that a client gives up. Nothing happens when it has ended already.
pub async fn log_out(app: &App, id: SessionId, client: &Client, now: Timestamp) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let Some(session) = store::find(&mut tx, id).await? else {
        return Ok(());
    };
    if revoke(app, &mut tx, id, "logout", now).await? {
        audit::record(
            app,
            &mut tx,
            Event::new(Kind::LoggedOut, client).user(session.user_id).session(id),
            now,
        );
        tx.commit().await?;
    }
    Ok(())
}

/// Ends all sessions of the caller but one; returns how many.
pub async fn end_all(
    app: &App,
    current: &Current,
    client: &Client,
    except: Option<SessionId>,
) -> Result<u64> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let revoked = revoke_all(app, &mut tx, current.user.id, except, "ended_by_owner", now).await?;
    let event = Event::new(Kind::SessionsRevoked, client).user(current.user.id).session(current.session.id);
    audit::record(app, &mut tx, event.detail(json!({ "revoked": revoked })), now);
    tx.commit().await?;
    Ok(revoked)
}

/// Ends all sessions of whom a refresh token signs in now. One that was traded for the next will not do, nor one whose session has
/// ended: whoever finds an old token must not sign its owner out.
///
/// # Errors
/// [`Code::InvalidRefreshToken`].
pub async fn end_all_by_refresh_token(app: &App, presented: &str, client: &Client) -> Result<()> {
    let now = app.now();
    let session = tokens::of_refresh_token(app, presented, now).await?;
    let session = session.ok_or_else(|| Error::new(Code::InvalidRefreshToken))?;
    let mut tx = app.db.begin().await?;
    let revoked = revoke_all(app, &mut tx, session.user_id, None, "ended_by_owner", now).await?;
    let event = Event::new(Kind::SessionsRevoked, client).user(session.user_id).session(session.id);
    audit::record(app, &mut tx, event.detail(json!({ "revoked": revoked })), now);
    Ok(tx.commit().await?)
}

/// Ends one session of the caller.
///
/// # Errors
/// [`Code::NotFound`], also for somebody else's.
pub async fn end_one(app: &App, current: &Current, id: SessionId, client: &Client) -> Result<()> {
    let now = app.now();
    let not_found = || Error::new(Code::NotFound);
    find(&app.db, current.user.id, id, now).await?.ok_or_else(not_found)?;
    let mut tx = app.db.begin().await?;
    if !revoke(app, &mut tx, id, "ended_by_owner", now).await? {
        return Err(not_found());
    }
    let event = Event::new(Kind::SessionsRevoked, client).user(current.user.id).session(id);
    audit::record(app, &mut tx, event.detail(json!({ "revoked": 1 })), now);
    Ok(tx.commit().await?)
}
