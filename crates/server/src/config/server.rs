//! The server itself: profile, mode, where it listens, how it is reached.
use super::values::duration;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use utoipa::ToSchema;

/// A set of defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// ASVS 5.0 levels 1 and 2.
    #[default]
    Default,
    /// ASVS 5.0 level 3.
    Strict,
}

/// Whether development conveniences are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Development while listening on loopback without SMTP, else production.
    #[default]
    Auto,
    /// Plain http, loopback origins and the dev mailbox are fine.
    Development,
    /// Refuses to start insecure.
    Production,
}

/// How a trusted proxy says whom it forwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Where the server listens and how it is reached.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port. Also `HALLPASS_LISTEN`; `PORT` sets the port alone.
    pub listen: String,
    /// The https address that people use, without a path. Default in development: `http://localhost:<port>`. Also `HALLPASS_PUBLIC_URL`.
    pub public_url: Option<String>,
    /// Folder of the embedded database and of the generated key. Also `HALLPASS_DATA_DIR`.
    #[schema(value_type = String)]
    pub data_dir: PathBuf,
    /// Whether development conveniences are on.
    pub mode: Mode,
    /// Origins, such as `https://app.example.com`, whose pages may call with credentials. In development every loopback origin may.
    pub allowed_origins: Vec<String>,
    /// Addresses or networks, such as `10.0.0.5` or `10.0.0.0/8`, of the proxies in front: only what they say of a client's address is believed.
    pub trusted_proxies: Vec<String>,
    /// The one header, `x_forwarded_for` or `forwarded`, that those proxies set themselves; the other one is ignored.
    pub forwarded_header: ForwardedHeader,
    /// Whether those proxies begin each connection with a PROXY protocol header, version 2; then they must.
    pub proxy_protocol: bool,
    /// Largest body in bytes.
    pub body_limit: usize,
    /// How long a request may take to arrive and to be answered.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub request_timeout: Duration,
    /// How long a stopping server waits for requests in flight.
    #[serde(with = "duration")]
    #[schema(value_type = String)]
    pub shutdown_grace: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:3000".into(),
            public_url: None,
            data_dir: "data".into(),
            mode: Mode::Auto,
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            proxy_protocol: false,
            body_limit: 64 * 1024,
            request_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(20),
        }
    }
}
