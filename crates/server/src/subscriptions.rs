//! What may be told to other systems, and which endpoints want to hear it: in memory, so that a fact that nobody waits for
//! costs nothing. `webhooks` writes it; `events` reads it where facts are recorded.
use crate::ids::RowId;
use std::sync::{Arc, PoisonError, RwLock};

/// What may be told: the closed list (`docs/webhooks.md` explains each).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// An account came into being.
    UserCreated,
    /// Name or username changed.
    UserUpdated,
    /// The mailbox was proven.
    UserEmailVerified,
    /// The address changed, or a change of it was taken back.
    UserEmailChanged,
    /// A password was set or changed.
    UserPasswordChanged,
    /// A second factor or a passkey was set up or removed.
    UserFactorsChanged,
    /// The user got other roles.
    UserRolesChanged,
    /// The account was closed.
    UserDisabled,
    /// The account was opened again.
    UserEnabled,
    /// The account was deleted.
    UserDeleted,
    /// Somebody signed in.
    SessionCreated,
    /// A session was ended.
    SessionEnded,
    /// A refresh token was used again: somebody may hold a copy.
    SessionTokenReused,
    /// The owner of the mailbox said that a sign-in was somebody else's.
    SessionDisowned,
}

impl EventType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 14] = [
        Self::UserCreated,
        Self::UserUpdated,
        Self::UserEmailVerified,
        Self::UserEmailChanged,
        Self::UserPasswordChanged,
        Self::UserFactorsChanged,
        Self::UserRolesChanged,
        Self::UserDisabled,
        Self::UserEnabled,
        Self::UserDeleted,
        Self::SessionCreated,
        Self::SessionEnded,
        Self::SessionTokenReused,
        Self::SessionDisowned,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserCreated => "user.created",
            Self::UserUpdated => "user.updated",
            Self::UserEmailVerified => "user.email_verified",
            Self::UserEmailChanged => "user.email_changed",
            Self::UserPasswordChanged => "user.password_changed",
            Self::UserFactorsChanged => "user.factors_changed",
            Self::UserRolesChanged => "user.roles_changed",
            Self::UserDisabled => "user.disabled",
            Self::UserEnabled => "user.enabled",
            Self::UserDeleted => "user.deleted",
            Self::SessionCreated => "session.created",
            Self::SessionEnded => "session.ended",
            Self::SessionTokenReused => "session.token_reused",
            Self::SessionDisowned => "session.disowned",
        }
    }

    /// Whether a pattern means it: its name, `user.*`, `session.*` or `*`.
    pub fn matches(self, pattern: &str) -> bool {
        match pattern.strip_suffix('*') {
            Some("") => true,
            Some(group) => group.ends_with('.') && self.name().starts_with(group),
            None => self.name() == pattern,
        }
    }
}

/// An endpoint that takes events at present.
pub struct Subscription {
    /// Which endpoint.
    pub endpoint: RowId,
    /// Patterns of what it wants.
    pub patterns: Vec<String>,
}

/// See the module's doc.
#[derive(Default)]
pub struct Subscriptions(RwLock<Arc<[Subscription]>>);

impl Subscriptions {
    /// The endpoints that want a type, in the order of their ids.
    pub fn to(&self, event: EventType) -> Vec<RowId> {
        let list = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let wanting = |one: &&Subscription| one.patterns.iter().any(|pattern| event.matches(pattern));
        list.iter().filter(wanting).map(|one| one.endpoint).collect()
    }

    /// Replaces the list.
    pub fn replace(&self, list: Vec<Subscription>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = list.into();
    }
}
