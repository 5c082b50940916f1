//! Values that settings are made of: durations and secrets.
use serde::{Deserialize, Serialize, Serializer};
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
