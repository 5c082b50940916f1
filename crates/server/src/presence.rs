//! What this node saw of sessions and has not yet written: batched, because a write per request would cost more than
//! the request.
use crate::clock::Timestamp;
use crate::ids::{SessionId, UserId};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The latest sighting of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Generation of the access token that was seen.
    pub generation: u32,
    /// When.
    pub at: Timestamp,
}

/// Sightings by session, and users who were perhaps seen for the first time on a day.
#[derive(Default)]
pub struct Presence(Mutex<HashMap<SessionId, Seen>>, Mutex<HashMap<UserId, Timestamp>>);

impl Presence {
    /// Notes a sighting; the newest generation wins.
    pub fn note(&self, session: SessionId, seen: Seen) {
        let mut sightings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = sightings.entry(session).or_insert(seen);
        if seen.generation >= entry.generation {
            *entry = seen;
        }
    }

    /// Notes that a user was active, perhaps for the first time on that day.
    pub fn note_active(&self, user: UserId, at: Timestamp) {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).insert(user, at);
    }

    /// Takes the active users, to be counted.
    pub fn take_active(&self) -> Vec<(UserId, Timestamp)> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }

    /// What is known of a session and not yet written.
    pub fn of(&self, session: SessionId) -> Option<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&session).copied()
    }

    /// Takes everything, to be written.
    pub fn take(&self) -> Vec<(SessionId, Seen)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }
}
