//! Which events other systems are told of, and as what. Every kind is named, so that a new one does not compile before somebody has
//! decided.
use super::Kind;
use crate::subscriptions::EventType;

/// What an event is told as. The end of a session is told by `sessions`, which knows of each, and why.
#[expect(clippy::too_many_lines, reason = "a line for each kind")]
pub(super) const fn told_as(kind: Kind) -> Option<EventType> {
    match kind {
        Kind::UserCreated => Some(EventType::UserCreated),
        Kind::EmailVerified => Some(EventType::UserEmailVerified),
        Kind::LoginSucceeded | Kind::ImpersonationStarted => Some(EventType::SessionCreated),
        Kind::FactorAdded
        | Kind::FactorRemoved
        | Kind::FactorsReset
        | Kind::PasskeyAdded
        | Kind::PasskeyRemoved => Some(EventType::UserFactorsChanged),
        Kind::RefreshTokenReused => Some(EventType::SessionTokenReused),
        Kind::PasswordReset | Kind::PasswordChanged => Some(EventType::UserPasswordChanged),
        Kind::EmailChanged | Kind::EmailChangeUndone => Some(EventType::UserEmailChanged),
        Kind::ProfileChanged => Some(EventType::UserUpdated),
        Kind::UserDeleted => Some(EventType::UserDeleted),
        Kind::UserRolesChanged => Some(EventType::UserRolesChanged),
        Kind::UserDisabled => Some(EventType::UserDisabled),
        Kind::UserEnabled => Some(EventType::UserEnabled),
        Kind::SignInDisowned => Some(EventType::SessionDisowned),
        Kind::RegistrationStarted
        | Kind::LoginFailed
        | Kind::LoginRefused
        | Kind::LoginLimited
        | Kind::LoggedOut
        | Kind::SessionsRevoked
        | Kind::RefreshRetriedLate
        | Kind::SecondFactorRequired
        | Kind::SecondFactorFailed
        | Kind::SignInMailRequested
        | Kind::RecoveryCodesIssued
        | Kind::RecoveryCodeUsed
        | Kind::Reauthenticated
        | Kind::ReauthenticationFailed
        | Kind::PasswordResetRequested
        | Kind::EmailChangeRequested
        | Kind::DataExported
        | Kind::PasskeyRenamed
        | Kind::PasskeyRefused
        | Kind::PasskeyCloned
        | Kind::CodeFailed
        | Kind::CsrfFailed
        | Kind::DeviceAdded
        | Kind::DeviceTrusted
        | Kind::DevicesForgotten
        | Kind::SigningKeyCreated
        | Kind::SigningKeyRemoved
        | Kind::ServiceKeyCreated
        | Kind::ServiceKeyRevoked
        | Kind::MailGivenUp
        | Kind::ExpiredRemoved
        | Kind::ServerStarted
        | Kind::ServerStopped
        | Kind::AuditVerified
        | Kind::AuditEndsSigned
        | Kind::AuditExported
        | Kind::AuditAnchored
        | Kind::DatabaseMoved
        | Kind::RoleCreated
        | Kind::RoleChanged
        | Kind::RoleDeleted
        | Kind::WebhookCreated
        | Kind::WebhookSecretRotated
        | Kind::WebhookEnabled
        | Kind::WebhookDisabled
        | Kind::WebhookDeleted
        | Kind::WebhookReplayed
        | Kind::InvitationCreated
        | Kind::InvitationResent
        | Kind::InvitationRevoked
        | Kind::InvitationAccepted
        | Kind::PersonalDataErased
        | Kind::AuditPruned
        | Kind::UsersImported
        | Kind::UsersExported
        | Kind::AuditRead
        | Kind::WebhookFull => None,
    }
}

/// Whether the session of the event is what it is about; of other facts it is the one in which somebody did it.
pub(super) const fn is_about_session(what: EventType) -> bool {
    matches!(what, EventType::SessionCreated | EventType::SessionTokenReused | EventType::SessionDisowned)
}
