//! What can happen.

/// The closed list of events (names after the OWASP logging vocabulary where it has one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody was invited to have an account.
    InvitationCreated,
    /// The link of an invitation was mailed again, with a new life.
    InvitationResent,
    /// An invitation was taken back.
    InvitationRevoked,
    /// An invitation became an account.
    InvitationAccepted,
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
    /// Limits made a sign-in wait; told once for each wait.
    LoginLimited,
    /// A session was ended by its owner.
    LoggedOut,
    /// Sessions were ended, by the owner, an operator or a rule.
    SessionsRevoked,
    /// A predecessor got its successor again outside the hand-over window.
    RefreshRetriedLate,
    /// The first step of a sign-in was right; another one is needed.
    SecondFactorRequired,
    /// The second step of a sign-in, or of a fresh proof, was wrong.
    SecondFactorFailed,
    /// A link or code to sign in was asked for.
    SignInMailRequested,
    /// A second factor was set up.
    FactorAdded,
    /// A second factor was removed.
    FactorRemoved,
    /// An operator removed every second factor.
    FactorsReset,
    /// Recovery codes were made; former ones are void.
    RecoveryCodesIssued,
    /// A recovery code stood in for a second factor.
    RecoveryCodeUsed,
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
    /// An administrator began to act as the user.
    ImpersonationStarted,
    /// An operator disabled the account.
    UserDisabled,
    /// An operator enabled the account.
    UserEnabled,
    /// A user got other roles.
    UserRolesChanged,
    /// A role was defined.
    RoleCreated,
    /// A role holds other permissions, or is described otherwise.
    RoleChanged,
    /// A role was removed.
    RoleDeleted,
    /// A passkey was enrolled.
    PasskeyAdded,
    /// A passkey got another name.
    PasskeyRenamed,
    /// A passkey was removed.
    PasskeyRemoved,
    /// What an authenticator answered was refused.
    PasskeyRefused,
    /// The counter of a passkey did not grow: somebody may hold a copy.
    PasskeyCloned,
    /// A code was tried and wrong.
    CodeFailed,
    /// A call by cookie came without the session's CSRF token.
    CsrfFailed,
    /// A first sign-in on a device.
    DeviceAdded,
    /// A device may do without the second factor for a while.
    DeviceTrusted,
    /// Devices were made unknown by their owner.
    DevicesForgotten,
    /// The owner of the mailbox said that a sign-in was somebody else's.
    SignInDisowned,
    /// A new signing key was made.
    SigningKeyCreated,
    /// A signing key was removed: nothing that it signed is taken any more.
    SigningKeyRemoved,
    /// A key for another service was made.
    ServiceKeyCreated,
    /// A key of another service was ended.
    ServiceKeyRevoked,
    /// A mail was given up.
    MailGivenUp,
    /// Expired rows were removed.
    ExpiredRemoved,
    /// A server process began.
    ServerStarted,
    /// A server process ended in good order.
    ServerStopped,
    /// The audit log was checked.
    AuditVerified,
    /// Ends of chains that were under no known key were signed, on an operator's word.
    AuditEndsSigned,
    /// The audit log was looked through.
    AuditRead,
    /// The audit log was taken out.
    AuditExported,
    /// What was personal in events about a deleted account was erased.
    PersonalDataErased,
    /// Old events were removed from the beginnings of the chains.
    AuditPruned,
    /// How far the chains of the audit log are.
    AuditAnchored,
    /// The database came here from an embedded one.
    DatabaseMoved,
    /// An endpoint of a webhook was set up.
    WebhookCreated,
    /// An endpoint got another secret; the former one serves for a while.
    WebhookSecretRotated,
    /// An endpoint is told again what happens.
    WebhookEnabled,
    /// An endpoint is told nothing any more, by an operator, or because it failed for days or said that it is gone.
    WebhookDisabled,
    /// An endpoint was removed with all that waited for it.
    WebhookDeleted,
    /// An operator had something told once more.
    WebhookReplayed,
    /// So much waits for an endpoint that further events are left out.
    WebhookFull,
    /// Accounts came from elsewhere: one part of an import, in the transaction that made them.
    UsersImported,
    /// All accounts were taken out, with their credentials.
    UsersExported,
}

impl Kind {
    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Every kind.
    pub const ALL: [Self; 77] = [
        Self::InvitationCreated,
        Self::InvitationResent,
        Self::InvitationRevoked,
        Self::InvitationAccepted,
        Self::RegistrationStarted,
        Self::UserCreated,
        Self::EmailVerified,
        Self::LoginSucceeded,
        Self::LoginFailed,
        Self::LoginRefused,
        Self::LoginLimited,
        Self::LoggedOut,
        Self::SessionsRevoked,
        Self::RefreshRetriedLate,
        Self::SecondFactorRequired,
        Self::SecondFactorFailed,
        Self::SignInMailRequested,
        Self::FactorAdded,
        Self::FactorRemoved,
        Self::FactorsReset,
        Self::RecoveryCodesIssued,
        Self::RecoveryCodeUsed,
        Self::RefreshTokenReused,
        Self::Reauthenticated,
        Self::ReauthenticationFailed,
        Self::PasswordResetRequested,
        Self::PasswordReset,
        Self::PasswordChanged,
        Self::EmailChangeRequested,
        Self::EmailChanged,
        Self::EmailChangeUndone,
        Self::ProfileChanged,
        Self::DataExported,
        Self::UserDeleted,
        Self::ImpersonationStarted,
        Self::UserDisabled,
        Self::UserEnabled,
        Self::UserRolesChanged,
        Self::RoleCreated,
        Self::RoleChanged,
        Self::RoleDeleted,
        Self::PasskeyAdded,
        Self::PasskeyRenamed,
        Self::PasskeyRemoved,
        Self::PasskeyRefused,
        Self::PasskeyCloned,
        Self::CodeFailed,
        Self::CsrfFailed,
        Self::DeviceAdded,
        Self::DeviceTrusted,
        Self::DevicesForgotten,
        Self::SignInDisowned,
        Self::SigningKeyCreated,
        Self::SigningKeyRemoved,
        Self::ServiceKeyCreated,
        Self::ServiceKeyRevoked,
        Self::MailGivenUp,
        Self::ExpiredRemoved,
        Self::ServerStarted,
        Self::ServerStopped,
        Self::AuditVerified,
        Self::AuditEndsSigned,
        Self::AuditRead,
        Self::AuditExported,
        Self::PersonalDataErased,
        Self::AuditPruned,
        Self::AuditAnchored,
        Self::DatabaseMoved,
        Self::WebhookCreated,
        Self::WebhookSecretRotated,
        Self::WebhookEnabled,
        Self::WebhookDisabled,
        Self::WebhookDeleted,
        Self::WebhookReplayed,
        Self::WebhookFull,
        Self::UsersImported,
        Self::UsersExported,
    ];

    /// The stable name.
    #[expect(clippy::too_many_lines, reason = "a line for each kind")]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvitationCreated => "invitation_created",
            Self::InvitationResent => "invitation_resent",
            Self::InvitationRevoked => "invitation_revoked",
            Self::InvitationAccepted => "invitation_accepted",
            Self::RegistrationStarted => "registration_started",
            Self::UserCreated => "user_created",
            Self::EmailVerified => "email_verified",
            Self::LoginSucceeded => "login_succeeded",
            Self::LoginFailed => "login_failed",
            Self::LoginRefused => "login_refused",
            Self::LoginLimited => "login_limited",
            Self::LoggedOut => "logged_out",
            Self::SessionsRevoked => "sessions_revoked",
            Self::RefreshRetriedLate => "refresh_retried_late",
            Self::SecondFactorRequired => "second_factor_required",
            Self::SecondFactorFailed => "second_factor_failed",
            Self::SignInMailRequested => "sign_in_mail_requested",
            Self::FactorAdded => "factor_added",
            Self::FactorRemoved => "factor_removed",
            Self::FactorsReset => "factors_reset",
            Self::RecoveryCodesIssued => "recovery_codes_issued",
            Self::RecoveryCodeUsed => "recovery_code_used",
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
            Self::ImpersonationStarted => "impersonation_started",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::UserRolesChanged => "user_roles_changed",
            Self::RoleCreated => "role_created",
            Self::RoleChanged => "role_changed",
            Self::RoleDeleted => "role_deleted",
            Self::PasskeyAdded => "passkey_added",
            Self::PasskeyRenamed => "passkey_renamed",
            Self::PasskeyRemoved => "passkey_removed",
            Self::PasskeyRefused => "passkey_refused",
            Self::PasskeyCloned => "passkey_cloned",
            Self::CodeFailed => "code_failed",
            Self::CsrfFailed => "csrf_failed",
            Self::DeviceAdded => "device_added",
            Self::DeviceTrusted => "device_trusted",
            Self::DevicesForgotten => "devices_forgotten",
            Self::SignInDisowned => "sign_in_disowned",
            Self::SigningKeyCreated => "signing_key_created",
            Self::SigningKeyRemoved => "signing_key_removed",
            Self::ServiceKeyCreated => "service_key_created",
            Self::ServiceKeyRevoked => "service_key_revoked",
            Self::MailGivenUp => "mail_given_up",
            Self::ExpiredRemoved => "expired_removed",
            Self::ServerStarted => "server_started",
            Self::ServerStopped => "server_stopped",
            Self::AuditVerified => "audit_verified",
            Self::AuditEndsSigned => "audit_ends_signed",
            Self::AuditRead => "audit_read",
            Self::AuditExported => "audit_exported",
            Self::PersonalDataErased => "personal_data_erased",
            Self::AuditPruned => "audit_pruned",
            Self::AuditAnchored => "audit_anchored",
            Self::DatabaseMoved => "database_moved",
            Self::WebhookCreated => "webhook_created",
            Self::WebhookSecretRotated => "webhook_secret_rotated",
            Self::WebhookEnabled => "webhook_enabled",
            Self::WebhookDisabled => "webhook_disabled",
            Self::WebhookDeleted => "webhook_deleted",
            Self::WebhookReplayed => "webhook_replayed",
            Self::WebhookFull => "webhook_full",
            Self::UsersImported => "users_imported",
            Self::UsersExported => "users_exported",
        }
    }

    /// Whether the event tells of a failure.
    pub(super) const fn failed(self) -> bool {
        matches!(
            self,
            Self::LoginFailed
                | Self::LoginRefused
                | Self::LoginLimited
                | Self::SecondFactorFailed
                | Self::CsrfFailed
                | Self::MailGivenUp
                | Self::RefreshTokenReused
                | Self::ReauthenticationFailed
                | Self::PasskeyRefused
                | Self::PasskeyCloned
                | Self::CodeFailed
        )
    }
}
