//! Ending other people's sessions.
use crate::admin::Actor;
use crate::admin::actor::Deed;
use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::error::Result;
use crate::ids::{SessionId, UserId};
use crate::sessions;
use serde_json::json;

/// Ends one session of a user. Returns whether it was live.
///
/// # Errors
/// [`crate::error::Code::NotFound`] when there is no such user, [`crate::error::Code::Forbidden`].
pub async fn end_session(app: &App, by: &Actor<'_>, user: UserId, id: SessionId) -> Result<bool> {
    let Deed { mut tx, by, now, .. } = by.begin(app, user).await?;
    let live = sessions::find(&mut tx, user, id, now).await?.is_some();
    let reason = by.word("ended_by_operator", "ended_by_administrator");
    if !live || !sessions::revoke(app, &mut tx, id, reason, now).await? {
        return Ok(false);
    }
    let event = Event::new(Kind::SessionsRevoked, by.client).user(user).session(id);
    audit::record(app, &mut tx, event.detail(json!({ "by": by.name(), "revoked": 1 })), now);
    tx.commit().await?;
    Ok(true)
}

/// Ends all sessions of a user; returns how many.
///
/// # Errors
/// [`crate::error::Code::NotFound`] when there is no such user, [`crate::error::Code::Forbidden`].
pub async fn end_sessions(app: &App, by: &Actor<'_>, user: UserId) -> Result<u64> {
    let Deed { mut tx, by, now, .. } = by.begin(app, user).await?;
    let reason = by.word("ended_by_operator", "ended_by_administrator");
    let revoked = sessions::revoke_all(app, &mut tx, user, None, reason, now).await?;
    if revoked > 0 {
        let event = Event::new(Kind::SessionsRevoked, by.client).user(user);
        audit::record(app, &mut tx, event.detail(json!({ "by": by.name(), "revoked": revoked })), now);
        tx.commit().await?;
    }
    Ok(revoked)
}
