//! Why a token was not accepted.
use hallpass_crypto::jwt::JwtError;
use http::StatusCode;
use std::borrow::Cow;
use std::fmt::Write;

/// Why a token was not accepted. [`VerifyError::status`] and [`VerifyError::challenge`] are what to answer (RFC 6750 3.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// No `Authorization: Bearer` came.
    #[error("send an access token as Bearer")]
    Missing,
    /// Not a token that this service takes.
    #[error("{0}")]
    Invalid(JwtError),
    /// The token's time is over; a refresh gives another.
    #[error("the access token has expired")]
    Expired,
    /// The session of the token was ended.
    #[error("the session was ended")]
    Revoked,
    /// Roles, address or name of the user changed after the token was made; a refresh gives one that says so.
    #[error("the user has changed since; refresh the access token")]
    Outdated,
    /// The caller lacks a role or permission.
    #[error("a role or permission is missing")]
    Forbidden,
    /// The user has to prove identity anew, or by a second factor (RFC 9470).
    #[error("prove your identity again")]
    NotProven {
        /// The `acr` that is needed, if the one that was proven is not enough.
        acr: Option<&'static str>,
        /// How old the proof may be, in seconds, if that matters.
        max_age: Option<u64>,
    },
    /// Whether the session lives cannot be told now: the feed of revocations is not live, and asking was not allowed
    /// or failed.
    #[error("whether the session lives cannot be told now")]
    Unavailable,
}

impl VerifyError {
    /// The HTTP status to answer with.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Forbidden => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// The value of `WWW-Authenticate`, if there is one to send.
    pub fn challenge(&self) -> Option<Cow<'static, str>> {
        let fixed = match self {
            Self::Missing => "Bearer",
            Self::Forbidden => "Bearer error=\"insufficient_scope\"",
            Self::Unavailable => return None,
            Self::NotProven { acr, max_age } => return Some(step_up(*acr, *max_age).into()),
            Self::Expired | Self::Outdated => {
                "Bearer error=\"invalid_token\", error_description=\"refresh the access token\""
            }
            Self::Invalid(_) | Self::Revoked => "Bearer error=\"invalid_token\"",
        };
        Some(fixed.into())
    }

    /// A stable snake_case name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "unauthenticated",
            Self::Invalid(_) => "invalid_token",
            Self::Expired | Self::Outdated => "token_expired",
            Self::Revoked => "session_revoked",
            Self::Forbidden => "insufficient_scope",
            Self::NotProven { .. } => "reauthentication_required",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The challenge of RFC 9470 section 3.
fn step_up(acr: Option<&str>, max_age: Option<u64>) -> String {
    let mut challenge = String::from("Bearer error=\"insufficient_user_authentication\"");
    if let Some(acr) = acr {
        let _ = write!(challenge, ", acr_values=\"{acr}\"");
    }
    if let Some(seconds) = max_age {
        let _ = write!(challenge, ", max_age={seconds}");
    }
    challenge
}

impl From<JwtError> for VerifyError {
    fn from(error: JwtError) -> Self {
        match error {
            JwtError::Expired => Self::Expired,
            other => Self::Invalid(other),
        }
    }
}

/// Why a verifier could not be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The issuer or the server is no `http` or `https` URL with a host.
    #[error("{0} is not a URL such as https://auth.example.com")]
    BadUrl(String),
    /// A service key would travel in clear over the network.
    #[error("{0} is plain http; use https, or allow_plain_http() on a network that nobody else reads")]
    PlainHttp(String),
    /// Without a key the feed cannot be followed.
    #[error("give the service key that `hallpass service-key create --scope revocations` printed")]
    NoServiceKey,
    /// A certificate that was given is none.
    #[error("a trusted certificate cannot be read: {0}")]
    BadCertificate(String),
    /// Outside of a tokio runtime the feed cannot be followed.
    #[error("build the verifier inside a tokio runtime")]
    NoRuntime,
}
