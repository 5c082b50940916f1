//! One small struct per concern. Doc comments become `docs/configuration.md`; `Default` holds the defaults.
use super::values::{Secret, duration, optional_duration};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use utoipa::ToSchema;

/// Signature algorithm of access tokens (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum SigningAlgorithm {
    /// Ed25519.
    #[default]
    EdDSA,
    /// ECDSA on P-256.
    ES256,
    /// RSA PKCS#1 v1.5 with 3072 bits; for verifiers that know nothing newer.
    RS256,
    /// HMAC; every verifier can then forge, so only when all of them are yours.
    HS256,
}

/// Secret and signing keys.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// Root secret, at least 32 random characters; every other key is derived from or sealed under it. Generated and kept in the data folder when absent and the database is embedded. Also `HALLPASS_SECRET_KEY`.
    pub secret_key: Option<Secret>,
    /// Former root secrets, newest first: what they sealed or signed stays readable.
    pub previous_secret_keys: Vec<Secret>,
    /// Extra secret of password hashes, kept outside the database (NIST SP 800-63B-4 3.1.1.2). Losing it loses every password.
    pub pepper: Option<Secret>,
    /// Algorithm of new signing keys.
    pub algorithm: SigningAlgorithm,
    /// Age at which a signing key gets a successor; `0` never.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub rotate_every: Duration,
    /// How long a new key is published before it signs, so that verifiers know it.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub publish_ahead: Duration,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            secret_key: None,
            previous_secret_keys: Vec::new(),
            pepper: None,
            algorithm: SigningAlgorithm::default(),
            rotate_every: Duration::from_secs(90 * 86_400),
            publish_ahead: Duration::from_secs(86_400),
        }
    }
}

/// What a sign-in beyond the limit does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// The oldest session ends.
    #[default]
    EvictOldest,
    /// The sign-in is refused.
    Reject,
}

/// What a reused refresh token ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnReuse {
    /// The session that it belongs to.
    #[default]
    Session,
    /// Every session of the user.
    AllSessions,
}

/// Sessions and their tokens.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// Life of an access token.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub access_ttl: Duration,
    /// Idle life of a session: how long its refresh token may lie unused.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub refresh_ttl: Duration,
    /// Longest life of a session; rotation does not extend it.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub absolute_ttl: Duration,
    /// Longest life of a session in which an administrator acts as somebody, within `access_ttl`. `0` so that nobody does.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub impersonation_ttl: Duration,
    /// How long the predecessor of a refresh token still gets the same successor. `0` for the strict rule.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub handover_window: Duration,
    /// Whether a client whose answer was lost may retry later, while nothing issued with the successor was seen.
    pub late_retry: bool,
    /// What a reused refresh token ends.
    pub on_reuse: OnReuse,
    /// Sessions that a user may have; `0` for any number.
    pub max_per_user: u32,
    /// What a sign-in beyond `max_per_user` does.
    pub on_limit: OnLimit,
    /// `aud` of access tokens. Default: the public URL.
    pub audience: Option<String>,
    /// How far clocks may differ when `exp`, `nbf` and `iat` are checked.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub leeway: Duration,
    /// How fresh a proof of identity must be for changes of credentials, deletion and export.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub reauthentication_window: Duration,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            access_ttl: Duration::from_secs(15 * 60),
            refresh_ttl: Duration::from_secs(7 * 86_400),
            absolute_ttl: Duration::from_secs(30 * 86_400),
            impersonation_ttl: Duration::from_secs(15 * 60),
            handover_window: Duration::from_secs(10),
            late_retry: true,
            on_reuse: OnReuse::Session,
            max_per_user: 0,
            on_limit: OnLimit::EvictOldest,
            audience: None,
            leeway: Duration::from_secs(30),
            reauthentication_window: Duration::from_secs(10 * 60),
        }
    }
}

/// Cost of password hashing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HashCost {
    /// Argon2id, 19 MiB, 2 passes (OWASP).
    #[default]
    Default,
    /// Argon2id, 64 MiB, 3 passes (RFC 9106).
    Strong,
}

/// Password rules and hashing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Passwords {
    /// Fewest code points; at least 8.
    pub min_length: usize,
    /// Most code points; at least 64 and at most 256.
    pub max_length: usize,
    /// Least zxcvbn score, 0 to 4.
    pub min_score: u8,
    /// Words, such as your product's name, that no password may consist of.
    pub context_words: Vec<String>,
    /// Cost of new hashes; older ones are upgraded at the next sign-in.
    pub hash: HashCost,
    /// Threads that hash, at low priority; `0` for half of the cores.
    pub hash_threads: usize,
    /// Sign-ins that may wait for a hash; beyond, the answer is 503 `busy`.
    pub queue: usize,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            min_length: 8,
            max_length: 256,
            min_score: 3,
            context_words: Vec::new(),
            hash: HashCost::Default,
            hash_threads: 0,
            queue: 128,
        }
    }
}

/// Mailed links and codes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Codes {
    /// Life of a verification link.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub verify_link_ttl: Duration,
    /// Life of the code beside the link.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub verify_code_ttl: Duration,
    /// Life of a code that is mailed to sign in, or to prove identity again.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub sign_in_code_ttl: Duration,
    /// Life of a password reset link.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub reset_ttl: Duration,
    /// How long the former address can undo a change of address.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub email_undo_ttl: Duration,
    /// Life of every mailed code, when set, instead of the one of its kind.
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub otp_ttl: Option<Duration>,
    /// Wrong tries after which a code is dead.
    pub max_tries: u32,
}

impl Codes {
    /// Life of a verification code.
    pub fn verify_code_life(&self) -> Duration {
        self.otp_ttl.unwrap_or(self.verify_code_ttl)
    }

    /// Life of a code that is mailed to sign in.
    pub fn sign_in_code_life(&self) -> Duration {
        self.otp_ttl.unwrap_or(self.sign_in_code_ttl)
    }
}

impl Default for Codes {
    fn default() -> Self {
        Self {
            verify_link_ttl: Duration::from_secs(86_400),
            verify_code_ttl: Duration::from_secs(30 * 60),
            sign_in_code_ttl: Duration::from_secs(5 * 60),
            reset_ttl: Duration::from_secs(30 * 60),
            email_undo_ttl: Duration::from_secs(7 * 86_400),
            otp_ttl: None,
            max_tries: 5,
        }
    }
}

/// Outgoing mail.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    /// `smtps://user:password@host:465` (implicit TLS) or `smtp://user:password@host:587` (STARTTLS, required). Also `HALLPASS_SMTP_URL`.
    pub smtp_url: Option<Secret>,
    /// Sender, for example `Example <no-reply@example.com>`.
    pub from: String,
    /// Name of your product in mails and pages.
    pub product_name: String,
    /// Folder whose files replace the built-in mail and page templates of the same name.
    #[schema(value_type = Option<String>)]
    pub templates_dir: Option<PathBuf>,
    /// PEM file of a certificate authority to trust for the SMTP server, instead of the public ones.
    #[schema(value_type = Option<String>)]
    pub ca_file: Option<PathBuf>,
    /// Speak to a loopback SMTP server without TLS; for local mail catchers, refused for any other host.
    pub plain_loopback: bool,
    /// How long one delivery may take.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub timeout: Duration,
    /// How long delivery is retried before a mail is given up.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub give_up_after: Duration,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            smtp_url: None,
            from: "Hallpass <no-reply@localhost>".into(),
            product_name: "Hallpass".into(),
            templates_dir: None,
            ca_file: None,
            plain_loopback: false,
            timeout: Duration::from_secs(15),
            give_up_after: Duration::from_secs(2 * 86_400),
        }
    }
}

/// Limits against abuse.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Off only in development, for load tests.
    pub enabled: bool,
    /// Failures in a row, of one account from one network or on one known device, before the first wait; it is 1 s and doubles with each further failure.
    pub account_failures: u32,
    /// Failures in a row of one account from anywhere but its known devices, before the first wait.
    pub account_failures_anywhere: u32,
    /// The longest of these waits.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub longest_wait: Duration,
    /// Failures of one network (an IPv4 address, an IPv6 /64) within `network_window`, over all accounts.
    pub network_failures: u32,
    /// How long failures of a network count.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub network_window: Duration,
    /// Registrations from one network in an hour.
    pub registrations_per_network: u32,
    /// Mails that one network may ask for in an hour (an address gets 3 in 15 minutes and 10 a day in any case).
    pub mails_per_network: u32,
    /// Refreshes of one session in a minute.
    pub refreshes_per_session: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enabled: true,
            account_failures: 5,
            account_failures_anywhere: 100,
            longest_wait: Duration::from_secs(3600),
            network_failures: 50,
            network_window: Duration::from_secs(15 * 60),
            registrations_per_network: 100,
            mails_per_network: 100,
            refreshes_per_session: 1200,
        }
    }
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs and metrics.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// `text` or `json`.
    pub log_format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or a filter such as `hallpass=debug`.
    pub log_level: String,
    /// Whether `/metrics` is served.
    pub metrics: bool,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { log_format: LogFormat::Text, log_level: "info".into(), metrics: true }
    }
}
