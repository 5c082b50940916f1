//! The stable codes of errors. `docs/errors.md` is generated from this list.

/// What went wrong, as clients see it. `docs/errors.md` is generated from this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The body is not JSON.
    MalformedJson,
    /// A header, cookie or query is broken.
    BadRequest,
    /// A link token is unknown, used or expired.
    InvalidToken,
    /// What an authenticator answered proves nothing here.
    InvalidPasskey,
    /// No usable credential came with the call.
    Unauthenticated,
    /// The access token has expired; refresh it.
    TokenExpired,
    /// The session was ended.
    SessionRevoked,
    /// The session reached its idle or absolute lifetime.
    SessionExpired,
    /// Identifier or password is wrong.
    InvalidCredentials,
    /// A code is wrong, used or expired.
    InvalidCode,
    /// The sign-in attempt is unknown, over, or another client's.
    InvalidAttempt,
    /// The refresh token is not one of ours.
    InvalidRefreshToken,
    /// A refresh token was used again; the session was ended.
    RefreshTokenReused,
    /// No live service key came with the call of a service.
    InvalidServiceKey,
    /// The service key does not allow this.
    InsufficientScope,
    /// The caller lacks a role or permission, or would give what it does not hold.
    Forbidden,
    /// An administrator acts in this session, which may only look.
    Impersonated,
    /// The CSRF token is missing or does not belong to the session.
    CsrfFailed,
    /// The call came from a page of another origin.
    OriginNotAllowed,
    /// The action needs a fresh proof of identity.
    ReauthenticationRequired,
    /// A system that is asked before registrations or sign-ins says no; `reason` may have its code.
    RefusedByHook,
    /// The mailbox has to be proven first.
    EmailNotVerified,
    /// The settings do not let this address register.
    RegistrationClosed,
    /// No such thing.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The client was too slow.
    RequestTimeout,
    /// The username belongs to somebody.
    UsernameTaken,
    /// The address belongs to an account (only in `registration.mode = "immediate"`).
    EmailTaken,
    /// Such a second factor is set up already.
    FactorExists,
    /// A second factor has to be set up first, or has to stay.
    FactorRequired,
    /// The account has as many sessions as it may have.
    SessionLimitReached,
    /// The account has as many passkeys as it may have.
    PasskeyLimitReached,
    /// The address has an invitation that still opens an account.
    InvitationExists,
    /// The invitation was accepted or revoked.
    InvitationOver,
    /// Nobody else could administer the server.
    LastAdministrator,
    /// A role of that name exists.
    RoleExists,
    /// Somebody has the role.
    RoleInUse,
    /// A row of the application's refers to the account.
    AccountInUse,
    /// The place in the feed is older than what is kept.
    CursorTooOld,
    /// It was changed since it was read.
    Outdated,
    /// The body is larger than allowed.
    PayloadTooLarge,
    /// The body has another media type than the call takes.
    UnsupportedMediaType,
    /// Fields are missing or have bad values; `errors` lists each.
    ValidationFailed,
    /// A change must say which version it is about.
    PreconditionRequired,
    /// Too many calls.
    RateLimited,
    /// A defect or a broken dependency; the log has the cause under the request id.
    Internal,
    /// The password queue is full.
    Busy,
    /// A system that has to be asked first does not answer.
    HookFailed,
    /// The database cannot take the write now.
    Unavailable,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 49] = [
        Self::MalformedJson,
        Self::BadRequest,
        Self::InvalidToken,
        Self::InvalidPasskey,
        Self::Unauthenticated,
        Self::TokenExpired,
        Self::SessionRevoked,
        Self::SessionExpired,
        Self::InvalidCredentials,
        Self::InvalidCode,
        Self::InvalidAttempt,
        Self::InvalidRefreshToken,
        Self::RefreshTokenReused,
        Self::InvalidServiceKey,
        Self::InsufficientScope,
        Self::Forbidden,
        Self::Impersonated,
        Self::CsrfFailed,
        Self::OriginNotAllowed,
        Self::ReauthenticationRequired,
        Self::RefusedByHook,
        Self::EmailNotVerified,
        Self::RegistrationClosed,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::UsernameTaken,
        Self::EmailTaken,
        Self::FactorExists,
        Self::FactorRequired,
        Self::SessionLimitReached,
        Self::PasskeyLimitReached,
        Self::InvitationExists,
        Self::InvitationOver,
        Self::LastAdministrator,
        Self::RoleExists,
        Self::RoleInUse,
        Self::AccountInUse,
        Self::CursorTooOld,
        Self::Outdated,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::ValidationFailed,
        Self::PreconditionRequired,
        Self::RateLimited,
        Self::Internal,
        Self::Busy,
        Self::HookFailed,
        Self::Unavailable,
    ];

    /// Status, stable name and the public sentence, in one place.
    #[rustfmt::skip]
    pub const fn describe(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::MalformedJson => (400, "malformed_json", "The body is not valid JSON. Send one JSON object in UTF-8."),
            Self::BadRequest => (400, "bad_request", "The request is malformed; the detail says where."),
            Self::InvalidToken => (400, "invalid_token", "This link is not valid any more: it was used, has expired or was never issued. Ask for a new one."),
            Self::InvalidPasskey => (400, "invalid_passkey", "This passkey was not accepted: the ceremony has expired, was used, or began elsewhere, or the answer is not genuine. Begin again."),
            Self::Unauthenticated => (401, "unauthenticated", "Sign in first: send an access token as Bearer or as cookie."),
            Self::TokenExpired => (401, "token_expired", "The access token has expired. Call refresh."),
            Self::SessionRevoked => (401, "session_revoked", "This session was ended. Sign in again."),
            Self::SessionExpired => (401, "session_expired", "This session has expired. Sign in again."),
            Self::InvalidCredentials => (401, "invalid_credentials", "The identifier or the password is wrong."),
            Self::InvalidCode => (401, "invalid_code", "The code is wrong, used or expired."),
            Self::InvalidAttempt => (401, "invalid_attempt", "This sign-in has expired, had too many wrong codes, or was begun elsewhere. Sign in again."),
            Self::InvalidRefreshToken => (401, "invalid_refresh_token", "The refresh token is missing or not valid. Sign in again."),
            Self::RefreshTokenReused => (401, "refresh_token_reused", "This refresh token was used before, so somebody may hold a copy. The session was ended. Sign in again."),
            Self::InvalidServiceKey => (401, "invalid_service_key", "Send a live service key: Authorization: Bearer hp_sk_… (`hallpass service-key create` makes one)."),
            Self::InsufficientScope => (403, "insufficient_scope", "This service key does not allow the call. Make one with the scope."),
            Self::Forbidden => (403, "forbidden", "Your account lacks a permission or role that this needs; the detail names it."),
            Self::Impersonated => (403, "impersonated", "You act as somebody else in this session. It can look at the account and change nothing."),
            Self::CsrfFailed => (403, "csrf_failed", "Send the value of the csrfToken cookie of this session in the x-csrf-token header."),
            Self::OriginNotAllowed => (403, "origin_not_allowed", "Calls from this origin are not allowed. Add it to server.allowed_origins."),
            Self::ReauthenticationRequired => (403, "reauthentication_required", "Prove your identity again with POST /api/v1/reauthenticate, by one of methods, then repeat the call."),
            Self::RefusedByHook => (403, "refused_by_hook", "This is not allowed here. Ask the operator of the service."),
            Self::EmailNotVerified => (403, "email_not_verified", "Confirm your e-mail address first."),
            Self::RegistrationClosed => (403, "registration_closed", "Not everybody can have an account here; the detail says who can."),
            Self::NotFound => (404, "not_found", "There is nothing here."),
            Self::MethodNotAllowed => (405, "method_not_allowed", "This path does not take this method; see the Allow header."),
            Self::RequestTimeout => (408, "request_timeout", "The request took too long to arrive. Send it again."),
            Self::UsernameTaken => (409, "username_taken", "This username belongs to somebody. Choose another."),
            Self::EmailTaken => (409, "email_taken", "This address has an account. Sign in or reset the password."),
            Self::FactorExists => (409, "factor_exists", "An authenticator app is set up already. Remove it first."),
            Self::FactorRequired => (409, "factor_required", "This account needs a second factor. Set up another one first."),
            Self::SessionLimitReached => (409, "session_limit_reached", "This account has as many sessions as it may have. End one first."),
            Self::PasskeyLimitReached => (409, "passkey_limit_reached", "This account has as many passkeys as it may have. Remove one first."),
            Self::InvitationExists => (409, "invitation_exists", "This address has an invitation already. Send that one again, or revoke it first."),
            Self::InvitationOver => (409, "invitation_over", "This invitation was accepted or revoked. Make a new one."),
            Self::LastAdministrator => (409, "last_administrator", "Nobody else has the role admin. Give it to somebody first."),
            Self::RoleExists => (409, "role_exists", "There is a role of that name. Change it instead."),
            Self::RoleInUse => (409, "role_in_use", "Somebody has this role, or is invited to it. Take it from them, or revoke the invitation, first."),
            Self::AccountInUse => (409, "account_in_use", "The application keeps something that belongs to this account. It has to be removed there first."),
            Self::CursorTooOld => (410, "cursor_too_old", "Revocations after this cursor are no longer complete. Drop what you cached and begin without a cursor."),
            Self::Outdated => (412, "outdated", "Somebody has changed this since you read it. Read it again, then repeat the change."),
            Self::PayloadTooLarge => (413, "payload_too_large", "The body is too large."),
            Self::UnsupportedMediaType => (415, "unsupported_media_type", "Send the body as application/json."),
            Self::ValidationFailed => (422, "validation_failed", "Some fields need correction; errors lists each."),
            Self::PreconditionRequired => (428, "precondition_required", "Send If-Match with the ETag of what you read, or If-None-Match: * for something new."),
            Self::RateLimited => (429, "rate_limited", "Too many requests. Wait as long as Retry-After says."),
            Self::Internal => (500, "internal", "Something went wrong on our side. The request id finds it in the log."),
            Self::Busy => (503, "busy", "Too many sign-ins at this moment. Try again as Retry-After says."),
            Self::HookFailed => (503, "hook_failed", "A check that comes first cannot be made now. Nothing was changed. Try again as Retry-After says."),
            Self::Unavailable => (503, "unavailable", "The service cannot store this now. Nothing was changed. Try again as Retry-After says."),
        }
    }

    /// The stable name that clients compare.
    pub const fn name(self) -> &'static str {
        self.describe().1
    }
}
