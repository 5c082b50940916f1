//! What other services have to know at once: sessions that ended, users and roles that changed.
//!
//! Invariants: a row is written in the transaction of its fact, by [`record`] alone, so that neither exists without the
//! other; telling somebody twice does no harm, telling nobody does.
mod store;

use crate::app::{App, Inner};
use crate::bus::Notice;
use crate::clock::Timestamp;
use crate::db::{Statements, Tx};
use crate::error::Result;
use crate::ids::{RowId, SessionId, UserId};
use std::time::Duration;

/// How long a row is kept beyond the life of every access token that it concerns, for followers that were away.
const KEEP: Duration = Duration::from_secs(86_400);

/// A fact that somebody may have cached the opposite of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// One session ended.
    SessionEnded(UserId, SessionId),
    /// All sessions of the user that had begun by then ended, but for one.
    SessionsEnded(UserId, Option<SessionId>),
    /// Roles, status, address or name changed: what was read of the user is outdated, unless it was read as of this state. `None` when
    /// there is no such state: the account is gone, or an older version of the server did not tell.
    UserChanged(UserId, Option<Timestamp>),
    /// A role holds other permissions than before: what was read of anybody's permissions is outdated, likewise.
    RolesChanged(Option<Timestamp>),
}

impl Fact {
    /// The stable name of the kind.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::SessionEnded(..) => "session_ended",
            Self::SessionsEnded(..) => "sessions_ended",
            Self::UserChanged(..) => "user_changed",
            Self::RolesChanged(_) => "roles_changed",
        }
    }

    /// Whom it is about, if about somebody.
    pub const fn user(self) -> Option<UserId> {
        match self {
            Self::SessionEnded(user, _) | Self::SessionsEnded(user, _) | Self::UserChanged(user, _) => {
                Some(user)
            }
            Self::RolesChanged(_) => None,
        }
    }

    /// The session that ended, if it is about one.
    pub const fn session(self) -> Option<SessionId> {
        match self {
            Self::SessionEnded(_, session) => Some(session),
            _ => None,
        }
    }

    /// The state that a change led to: tokens that were made of an earlier one are outdated. Compared with nothing but other states of
    /// the same, so that it matters to nobody which clock is right, and when the change was committed.
    pub const fn as_of(self) -> Option<Timestamp> {
        match self {
            Self::UserChanged(_, as_of) | Self::RolesChanged(as_of) => as_of,
            _ => None,
        }
    }

    /// The session that goes on.
    pub const fn except(self) -> Option<SessionId> {
        match self {
            Self::SessionsEnded(_, except) => except,
            _ => None,
        }
    }
}

/// A recorded fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Id; of two at one instant the greater is the later one.
    pub id: RowId,
    /// When it became true.
    pub at: Timestamp,
    /// What became true.
    pub fact: Fact,
}

/// Records a fact in the transaction that makes it true, and with its commit tells every node.
pub async fn record(app: &Inner, tx: &mut Tx, fact: Fact, now: Timestamp) -> Result<()> {
    let row = Revocation { id: RowId(app.new_id(now)), at: now, fact };
    store::insert(tx, &row).await?;
    tx.announce(match fact {
        Fact::SessionEnded(_, session) => Notice::Session(session),
        Fact::SessionsEnded(user, _) | Fact::UserChanged(user, _) => Notice::User(user),
        Fact::RolesChanged(_) => Notice::Roles,
    });
    Ok(())
}

/// When all sessions of a user were ended last, if that was at an instant or later: by a node whose clock is ahead, or just now.
pub async fn ended_since(
    mut db: impl Statements,
    user: UserId,
    since: Timestamp,
) -> Result<Option<Timestamp>> {
    Ok(store::ended_since(&mut db, user, since).await?)
}

/// Up to `limit` rows behind a place in the order of time and id.
pub async fn after(
    mut db: impl Statements,
    at: Timestamp,
    id: Option<RowId>,
    limit: i64,
) -> Result<Vec<Revocation>> {
    Ok(store::after(&mut db, at, id, limit).await?)
}

/// How long a revocation has to be remembered: until the last access token that it can concern has expired.
pub fn relevant_for(app: &App) -> Duration {
    app.config.sessions.access_ttl + app.config.sessions.leeway
}

/// Since when everything is still there.
pub fn kept_since(app: &App, now: Timestamp) -> Timestamp {
    now.minus(relevant_for(app) + KEEP)
}

/// Removes rows that nobody can need any more, a batch at a time; returns how many.
pub async fn purge(app: &App, tx: &mut Tx, now: Timestamp) -> Result<u64> {
    Ok(store::purge(tx, kept_since(app, now)).await?)
}
