//! What is done about the devices on which people sign in.
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use utoipa::ToSchema;

/// Mails about what happens to an account.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Notices {
    /// Whether a sign-in on a device that the account has never used is told by mail, with a link for "this was not me".
    pub new_device: bool,
    /// Whether the user is told by mail when an administrator signs in as them.
    pub impersonation: bool,
}

impl Default for Notices {
    fn default() -> Self {
        Self { new_device: true, impersonation: true }
    }
}

/// From where people come, by their address.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Geoip {
    /// A MaxMind file (`.mmdb`) of cities or countries, such as GeoLite2-City, read into memory at start. Mails and lists then name the place of an address.
    #[schema(value_type = Option<String>)]
    pub database: Option<PathBuf>,
}
