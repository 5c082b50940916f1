//! What a user interface needs to know before anybody has signed in.
use crate::app::Inner;
use crate::config::{FactorPolicy, RegistrationMode};
use crate::names::EMAIL_MAX;
use crate::web::fields::PASSWORD_MAX_BYTES;
use serde::Serialize;
use utoipa::ToSchema;

/// Public settings.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicSettings {
    /// Name of the product.
    product_name: String,
    /// `pending` or `immediate`.
    registration_mode: &'static str,
    /// Who may register: `open`, `invite_only`, `domains` or `closed`. Which domains is not told: a list may name partners.
    registration_access: &'static str,
    /// Ways to sign in.
    login: LoginWays,
    /// Rules of new passwords.
    passwords: PasswordRules,
    /// Longest values, in characters.
    limits: Lengths,
    /// Lives in seconds.
    lifetimes: Lifetimes,
}

/// Ways to sign in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginWays {
    identifiers: [&'static str; 2],
    /// `password`, `passkey`, and `email` for a mailed link or code.
    methods: Vec<&'static str>,
    /// `off`, `optional` or `required`.
    second_factor: &'static str,
}

/// Rules of new passwords.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordRules {
    /// Code points.
    min_length: usize,
    /// Code points.
    max_length: usize,
    /// Bytes of UTF-8.
    max_bytes: usize,
    /// zxcvbn, 0 to 4.
    min_score: u8,
}

/// Longest values, in characters.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lengths {
    email: usize,
    username: usize,
    name: usize,
    device_name: usize,
}

/// Lives in seconds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lifetimes {
    access_token: u64,
    session_idle: u64,
    session_absolute: u64,
}

/// What may be told to anybody.
pub(super) fn public(app: &Inner) -> PublicSettings {
    let config = &app.config;
    PublicSettings {
        product_name: config.mail.product_name.clone(),
        registration_mode: match config.registration.mode {
            RegistrationMode::Pending => "pending",
            RegistrationMode::Immediate => "immediate",
        },
        registration_access: config.registration.access.name(),
        login: LoginWays {
            identifiers: ["email", "username"],
            methods: ["password", "passkey"]
                .into_iter()
                .chain(config.login.passwordless.then_some("email"))
                .collect(),
            second_factor: match config.factors.policy {
                FactorPolicy::Off => "off",
                FactorPolicy::Optional => "optional",
                FactorPolicy::Required => "required",
            },
        },
        passwords: PasswordRules {
            min_length: config.passwords.min_length,
            max_length: config.passwords.max_length,
            max_bytes: PASSWORD_MAX_BYTES,
            min_score: config.passwords.min_score,
        },
        limits: Lengths { email: EMAIL_MAX, username: 32, name: 100, device_name: 100 },
        lifetimes: Lifetimes {
            access_token: config.sessions.access_ttl.as_secs(),
            session_idle: config.sessions.refresh_ttl.as_secs(),
            session_absolute: config.sessions.absolute_ttl.as_secs(),
        },
    }
}
