//! Values that settings are made of: durations and secrets.
use ipnet::IpNet;
use serde::{Deserialize, Serialize, Serializer};
use std::net::IpAddr;
use utoipa::ToSchema;

/// Durations as people write them: `10s`, `15m`, `7d`.
pub(crate) mod duration {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&shown(*duration))
    }

    /// In the largest unit that fits without a rest, as people write it.
    fn shown(duration: Duration) -> String {
        let seconds = duration.as_secs();
        let units = [(86_400, "d"), (3600, "h"), (60, "m")];
        let fits = units.iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
        match fits {
            _ if seconds == 0 && !duration.is_zero() => humantime::format_duration(duration).to_string(),
            Some((unit, name)) => format!("{}{name}", seconds / unit),
            None => format!("{seconds}s"),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        // A bare 0 switches something off; every other number needs its unit.
        if text.trim() == "0" {
            return Ok(Duration::ZERO);
        }
        humantime::parse_duration(text.trim()).map_err(|error| {
            de::Error::custom(format!("\"{text}\" is not a duration such as 10s, 15m, 24h or 7d ({error})"))
        })
    }
}

/// The same for a setting that may be absent.
pub(crate) mod optional_duration {
    use serde::{Deserializer, Serializer};
    use std::time::Duration;

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => super::duration::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        super::duration::deserialize(deserializer).map(Some)
    }
}

/// An address or a network in CIDR notation; a bare address is a network of one.
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// A value that never shows itself.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}
