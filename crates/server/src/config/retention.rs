//! For how long what is over is kept.
use super::{Config, ConfigError, values::duration};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

const DAY: u64 = 86_400;

/// For how long what is over is kept. One node at a time removes the rest, every ten minutes, in small batches.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Sessions, from their absolute end on.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub sessions: Duration,
    /// Sign-in attempts, passkey ceremonies and second factors that were not confirmed, from their end on. At least 1d, since limits count them.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub attempts: Duration,
    /// Mailed links and codes, from their end on. At least 1d, since limits count them.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub secrets: Duration,
    /// Registrations that were never completed, from their end on.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub registrations: Duration,
    /// Invitations, from the end of their link on.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub invitations: Duration,
    /// To whom which mail was sent or given up, from its writing on; the text goes with the delivery. At least 1d, since limits count them.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub mails: Duration,
    /// Devices, from the latest sign-in on. Browsers keep their cookie for 400d at most.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub devices: Duration,
    /// Events of the audit log; `0` for ever. What is left verifies: docs/decisions/audit.md.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub audit: Duration,
    /// How long after the deletion of an account the audit log still has the addresses and programs of its owner; `0` erases them with it.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub deleted_accounts: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days| Duration::from_secs(days * DAY);
        Self {
            sessions: days(7),
            attempts: days(7),
            secrets: days(7),
            registrations: days(7),
            invitations: days(30),
            mails: days(7),
            devices: days(400),
            audit: days(400),
            deleted_accounts: Duration::ZERO,
        }
    }
}

/// Mistakes of this section.
pub(super) fn check(config: &Config, problems: &mut Vec<ConfigError>) {
    let retention = &config.retention;
    let mut within = |path: &str, value: Duration, least: u64, most: u64| {
        if value < Duration::from_secs(least * DAY) || value > Duration::from_secs(most * DAY) {
            problems.push(ConfigError::new(path, format!("must be between {least}d and {most}d")));
        }
    };
    within("retention.sessions", retention.sessions, 0, 3650);
    // A day at least: limits count them, and what has served must be known while any clock might take it for good.
    within("retention.attempts", retention.attempts, 1, 3650);
    within("retention.secrets", retention.secrets, 1, 3650);
    within("retention.registrations", retention.registrations, 0, 3650);
    within("retention.invitations", retention.invitations, 0, 3650);
    within("retention.mails", retention.mails, 1, 3650);
    within("retention.devices", retention.devices, 1, 400);
    within("retention.deleted_accounts", retention.deleted_accounts, 0, 365);
    if !retention.audit.is_zero() {
        within("retention.audit", retention.audit, 30, 36_500);
    }
}
