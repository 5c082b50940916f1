//! Against lost updates (RFC 9110 13.1.1): what is changed must be what was read.
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::web::client::single;
use axum::http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue};

/// What a caller says that it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Whatever is there (`If-Match: *`).
    Anything,
    /// That nothing is there (`If-None-Match: *`).
    Nothing,
    /// What was changed last at that instant; `None` for what was never changed.
    Version(Option<Timestamp>),
}

/// The tag of what was changed last at an instant.
pub(super) fn tag(updated_at: Option<Timestamp>) -> (HeaderName, HeaderValue) {
    let value = format!("\"{:x}\"", updated_at.map_or(0, Timestamp::micros));
    (ETAG, HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("\"\"")))
}

/// What the caller has read, which it must say.
///
/// # Errors
/// [`Code::PreconditionRequired`]; [`Code::Outdated`] for a tag that none of ours equals.
pub(super) fn read(headers: &HeaderMap) -> Result<Read> {
    if let Some(text) = single(headers, &IF_NONE_MATCH)? {
        let nothing = text.trim() == "*";
        return nothing.then_some(Read::Nothing).ok_or_else(|| {
            Error::new(Code::BadRequest).with_detail("If-None-Match can only be *, for something new.")
        });
    }
    let text = single(headers, &IF_MATCH)?.ok_or_else(|| Error::new(Code::PreconditionRequired))?.trim();
    if text == "*" {
        return Ok(Read::Anything);
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let micros = number.and_then(|number| i64::from_str_radix(number, 16).ok());
    let micros = micros.ok_or_else(|| Error::new(Code::Outdated))?;
    Ok(Read::Version((micros != 0).then_some(Timestamp(micros))))
}
