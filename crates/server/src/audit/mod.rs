//! The audit log: who did what, from where, with which result. Append-only, written in the transaction of the fact.
//!
//! Invariants: no secret and no unknown identifier in clear ever enters an event; events outlive the account.
mod store;

use crate::app::Inner;
use crate::clock::Timestamp;
use crate::db::{Statements, Tx};
use crate::error::Result;
use crate::ids::{RowId, SessionId, UserId};
use crate::web::Client;
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The closed list of events (names after the OWASP logging vocabulary where it has one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody asked for an account.
    RegistrationStarted,
    /// An account came into being.
    UserCreated,
    /// The mailbox was proven.
    EmailVerified,
    /// A session began.
    LoginSucceeded,
    /// Identifier or password was wrong.
    LoginFailed,
    /// A session limit refused a sign-in.
    LoginRefused,
    /// A session was ended by its owner.
    LoggedOut,
    /// Sessions were ended, by the owner, an operator or a rule.
    SessionsRevoked,
    /// A predecessor got its successor again outside the hand-over window.
    RefreshRetriedLate,
    /// A refresh token was used again; the family ended.
    RefreshTokenReused,
    /// Identity was proven again in a session.
    Reauthenticated,
    /// A proof of identity in a session failed.
    ReauthenticationFailed,
    /// A reset mail was asked for.
    PasswordResetRequested,
    /// A password was set through a mailed link.
    PasswordReset,
    /// A password was changed.
    PasswordChanged,
    /// A change of address was asked for.
    EmailChangeRequested,
    /// The address changed.
    EmailChanged,
    /// The former address took the change back.
    EmailChangeUndone,
    /// Name or username changed.
    ProfileChanged,
    /// The owner took a copy of the account's data.
    DataExported,
    /// The account was deleted.
    UserDeleted,
    /// An operator disabled the account.
    UserDisabled,
    /// An operator enabled the account.
    UserEnabled,
    /// A code was tried and wrong.
    CodeFailed,
    /// A new signing key was made.
    SigningKeyCreated,
}

impl Kind {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RegistrationStarted => "registration_started",
            Self::UserCreated => "user_created",
            Self::EmailVerified => "email_verified",
            Self::LoginSucceeded => "login_succeeded",
            Self::LoginFailed => "login_failed",
            Self::LoginRefused => "login_refused",
            Self::LoggedOut => "logged_out",
            Self::SessionsRevoked => "sessions_revoked",
            Self::RefreshRetriedLate => "refresh_retried_late",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::Reauthenticated => "reauthenticated",
            Self::ReauthenticationFailed => "reauthentication_failed",
            Self::PasswordResetRequested => "password_reset_requested",
            Self::PasswordReset => "password_reset",
            Self::PasswordChanged => "password_changed",
            Self::EmailChangeRequested => "email_change_requested",
            Self::EmailChanged => "email_changed",
            Self::EmailChangeUndone => "email_change_undone",
            Self::ProfileChanged => "profile_changed",
            Self::DataExported => "data_exported",
            Self::UserDeleted => "user_deleted",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::CodeFailed => "code_failed",
            Self::SigningKeyCreated => "signing_key_created",
        }
    }

    /// Whether the event tells of a failure.
    const fn failed(self) -> bool {
        matches!(
            self,
            Self::LoginFailed
                | Self::LoginRefused
                | Self::RefreshTokenReused
                | Self::ReauthenticationFailed
                | Self::CodeFailed
        )
    }
}

/// An event to be recorded.
pub struct Event<'a> {
    kind: Kind,
    client: &'a Client,
    user: Option<UserId>,
    session: Option<SessionId>,
    identifier: Option<&'a str>,
    detail: Option<Value>,
}

impl<'a> Event<'a> {
    /// An event of a caller.
    pub fn new(kind: Kind, client: &'a Client) -> Self {
        Self { kind, client, user: None, session: None, identifier: None, detail: None }
    }

    /// Whom it is about.
    #[must_use]
    pub fn user(mut self, user: UserId) -> Self {
        self.user = Some(user);
        self
    }

    /// Which session it is about.
    #[must_use]
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// A normalised identifier that may belong to nobody; stored as keyed hash.
    #[must_use]
    pub fn identifier(mut self, identifier: &'a str) -> Self {
        self.identifier = Some(identifier);
        self
    }

    /// Further facts, without secrets.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = Some(detail);
        self
    }
}

/// Writes an event in the caller's transaction.
pub async fn record(app: &Inner, tx: &mut Tx, event: Event<'_>, now: Timestamp) -> Result<()> {
    let id = RowId(app.new_id(now));
    let identifier =
        event.identifier.map(|text| HEXLOWER.encode(&app.secrets.identifiers.mac(text.as_bytes())));
    let row = store::NewEvent {
        id,
        at: now,
        kind: event.kind.name(),
        result: if event.kind.failed() { "failure" } else { "success" },
        user: event.user,
        session: event.session,
        identifier_hash: identifier.as_deref(),
        ip: event.client.ip.to_string(),
        agent: event.client.agent.as_deref(),
        detail: event.detail.map(|detail| detail.to_string()),
    };
    Ok(store::insert(tx, &row).await?)
}

/// One line of a user's own security log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// Id, also the cursor of the next page.
    pub id: String,
    /// When, RFC 3339.
    pub at: String,
    /// What happened.
    pub kind: String,
    /// `success` or `failure`.
    pub result: String,
    /// The session it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// From which address.
    pub ip: Option<String>,
    /// With which program.
    pub user_agent: Option<String>,
    /// Further facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub detail: Option<Value>,
}

/// A user's events, newest first, at most `limit`, older than the cursor.
pub async fn of_user(
    mut db: impl Statements,
    user: UserId,
    before: Option<RowId>,
    limit: i64,
) -> Result<Vec<EventView>> {
    Ok(store::of_user(&mut db, user, before, limit).await?)
}
