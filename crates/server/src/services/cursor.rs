//! Places in the feed from which it is safe to go on: opaque to followers.
use crate::clock::Timestamp;
use crate::ids::RowId;
use std::fmt;

/// Everything at or before this place was said. What is said after it may include things that were said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Instant.
    pub at: Timestamp,
    /// Row within the instant; `None` for before all of them.
    pub id: Option<RowId>,
    /// Between two pages: from where a later round has to begin, since rows of an earlier time may still be committed.
    pub floor: Option<Timestamp>,
}

impl Cursor {
    /// Before everything of an instant.
    pub const fn at(at: Timestamp) -> Self {
        Self { at, id: None, floor: None }
    }

    /// Reads what `Display` wrote, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let at = time(parts.next()?)?;
        let id = parts.next().map(|id| RowId::parse(id).ok_or(())).transpose().ok()?;
        let floor = parts.next().map(|floor| time(floor).ok_or(())).transpose().ok()?;
        parts.next().is_none().then_some(Self { at, id, floor })
    }
}

fn time(text: &str) -> Option<Timestamp> {
    let plain = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| plain && canonical).map(Timestamp)
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at.micros().max(0))?;
        if let Some(id) = self.id {
            write!(f, ".{id}")?;
            if let Some(floor) = self.floor {
                write!(f, ".{}", floor.micros().max(0))?;
            }
        }
        Ok(())
    }
}
