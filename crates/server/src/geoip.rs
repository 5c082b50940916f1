//! Where in the world an address is, from a MaxMind file that the operator provides. A display aid, never a decision.
use maxminddb::{Reader, geoip2};
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use utoipa::ToSchema;

/// A place, in English words of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Place {
    /// For example `Sweden`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// For example `Linköping`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
}

impl fmt::Display for Place {
    /// `Linköping, Sweden`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.city, &self.country) {
            (Some(city), Some(country)) => write!(f, "{city}, {country}"),
            (Some(one), None) | (None, Some(one)) => f.write_str(one),
            (None, None) => Ok(()),
        }
    }
}

/// The file, read whole; nothing without one.
#[derive(Default)]
pub struct Places(Option<Reader<Vec<u8>>>);

impl Places {
    /// Reads the file, if one is configured.
    ///
    /// # Errors
    /// A sentence for the operator that names the file.
    pub fn open(file: Option<&Path>) -> Result<Self, String> {
        let Some(file) = file else { return Ok(Self(None)) };
        let shown = file.display();
        let reader =
            Reader::open_readfile(file).map_err(|error| format!("{shown} is no MaxMind file: {error}"))?;
        let kind = &reader.metadata().database_type;
        if !["City", "Country", "Enterprise"].iter().any(|known| kind.contains(known)) {
            return Err(format!(
                "{shown} is a MaxMind file of the type {kind}; use one of cities or countries"
            ));
        }
        // Whatever else is broken in it shows at the first address at the latest.
        let probe = IpAddr::from([192, 0, 2, 1]);
        let found = reader.lookup(probe).and_then(|found| found.decode::<geoip2::City<'_>>());
        found.map_err(|error| format!("{shown} is damaged: {error}"))?;
        Ok(Self(Some(reader)))
    }

    /// Reads all of the file and says what it is, for a report; nothing without one.
    ///
    /// # Errors
    /// What is broken.
    pub fn examine(&self) -> Result<Option<&str>, String> {
        let Some(reader) = &self.0 else { return Ok(None) };
        reader.verify().map_err(|error| format!("the file is damaged: {error}"))?;
        Ok(Some(&reader.metadata().database_type))
    }

    /// The place of an address, as far as the file knows it.
    pub fn of(&self, ip: IpAddr) -> Option<Place> {
        let found = self.0.as_ref()?.lookup(ip.to_canonical()).ok()?;
        let known = found.decode::<geoip2::City<'_>>().ok()??;
        let place = Place {
            country: known.country.names.english.map(plain),
            city: known.city.names.english.map(plain),
        };
        (place.country.is_some() || place.city.is_some()).then_some(place)
    }

    /// The same for an address as it is stored.
    pub fn of_text(&self, ip: &str) -> Option<Place> {
        self.of(ip.parse().ok()?)
    }
}

/// One line, so that no file can lay out a mail.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(100).collect()
}
