//! How people sign in, and which proofs it takes.
use super::values::duration;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// When a sign-in by password needs a mailed code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmailOtp {
    /// Never.
    #[default]
    Off,
    /// At every sign-in of a user who has no second factor.
    Always,
    /// At the sign-in of a user who has no second factor, on a device where that user never signed in.
    NewDevice,
}

/// How people sign in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Login {
    /// Whether a sign-in by password needs a mailed code as well.
    pub email_otp: EmailOtp,
    /// Whether a mailed link or code signs in without a password.
    pub passwordless: bool,
    /// Life of a mailed sign-in link.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub link_ttl: Duration,
    /// Where a browser goes after it signed in by a mailed link. Default: a page that says so.
    pub after_link_url: Option<String>,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            email_otp: EmailOtp::Off,
            passwordless: false,
            link_ttl: Duration::from_secs(10 * 60),
            after_link_url: None,
        }
    }
}

/// Whether users have second factors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FactorPolicy {
    /// Nobody can set one up; those that were set up are not asked for.
    Off,
    /// Whoever wants one sets it up, and is asked for it from then on.
    #[default]
    Optional,
    /// Nobody gets in without one: who has none proves the mailbox and sets one up at the next sign-in.
    Required,
}

/// Second factors: authenticator apps, recovery codes, passkeys.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Factors {
    /// Whether users have second factors.
    pub policy: FactorPolicy,
    /// Roles whose holders need a second factor, whatever `policy` says for others; only with `policy = "optional"`.
    pub required_roles: Vec<String>,
    /// How long a device that its owner asked to remember may sign in without the second factor, also where one is required; such a session has `acr` `aal1`. `0` never.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub remember_device: Duration,
}

impl Default for Factors {
    fn default() -> Self {
        Self {
            policy: FactorPolicy::default(),
            required_roles: Vec::new(),
            remember_device: Duration::from_secs(30 * 86_400),
        }
    }
}
