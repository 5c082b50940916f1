//! Filters and cursors in query strings.
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ids::RowId;
use crate::web::form::Query;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A cursor: the id of a row.
///
/// # Errors
/// [`crate::error::Code::ValidationFailed`].
pub(super) fn row(query: &Query, name: &str) -> Result<Option<RowId>> {
    let wrong = || {
        Error::field(name, "invalid_value", &format!("{name} must be an id that a former answer has told."))
    };
    match query.get(name) {
        "" => Ok(None),
        text => RowId::parse(text).map(Some).ok_or_else(wrong),
    }
}

/// How many, from 1 to `most`.
///
/// # Errors
/// [`crate::error::Code::ValidationFailed`].
pub(super) fn limit(query: &Query, usual: u16, most: u16) -> Result<u16> {
    let wrong =
        || Error::field("limit", "invalid_value", &format!("limit must be a number from 1 to {most}."));
    match query.get("limit") {
        "" => Ok(usual),
        text => text.parse().ok().filter(|limit| (1..=most).contains(limit)).ok_or_else(wrong),
    }
}

/// Cuts what was read, one more than asked for, to a page; whether there is another.
pub(super) fn cut<T>(found: &mut Vec<T>, limit: u16) -> bool {
    let more = found.len() > usize::from(limit);
    found.truncate(limit.into());
    more
}

/// A day such as `2026-01-31`; its first instant, UTC.
///
/// # Errors
/// [`crate::error::Code::ValidationFailed`].
pub(super) fn day(query: &Query, name: &str) -> Result<Option<Timestamp>> {
    let text = query.get(name);
    if text.is_empty() {
        return Ok(None);
    }
    let at = OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339).ok();
    // Far from the ends, so that counting days cannot leave the calendar.
    let at = at.filter(|at| (1970..=9000).contains(&at.year()));
    let seconds = at.map(|at| Timestamp(at.unix_timestamp().saturating_mul(1_000_000)));
    seconds.map(Some).ok_or_else(|| {
        Error::field(name, "invalid_value", &format!("{name} must be a day such as 2026-01-31."))
    })
}

/// An instant, RFC 3339.
///
/// # Errors
/// [`crate::error::Code::ValidationFailed`].
pub(super) fn instant(query: &Query, name: &str) -> Result<Option<Timestamp>> {
    let text = query.get(name);
    if text.is_empty() {
        return Ok(None);
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok();
    // Years 0 to 9999 fit into microseconds.
    let micros = at.and_then(|at| i64::try_from(at.unix_timestamp_nanos() / 1000).ok());
    micros.map(|micros| Some(Timestamp(micros))).ok_or_else(|| {
        Error::field(
            name,
            "invalid_value",
            &format!("{name} must be an instant such as 2026-01-31T12:00:00Z."),
        )
    })
}
