//! Against lost updates (RFC 9110 13.1.1): what is changed must be what was read.
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::web::client::single;
use axum::http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue};

/// What a caller says that it has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Whatever is there (`If-Match: *`).
    Anything,
    /// That nothing is there (`If-None-Match: *`).
    Nothing,
    /// What was changed last at one of these instants; `None` for what was never changed. Tags that are none of ours are left out.
    Versions(Vec<Option<Timestamp>>),
}

fn text(updated_at: Option<Timestamp>) -> String {
    format!("\"{:x}\"", updated_at.map_or(0, Timestamp::micros))
}

/// The tag of what was changed last at an instant.
pub(super) fn tag(updated_at: Option<Timestamp>) -> (HeaderName, HeaderValue) {
    (ETAG, HeaderValue::from_str(&text(updated_at)).unwrap_or(HeaderValue::from_static("\"\"")))
}

/// What the caller has read, which it must say.
///
/// # Errors
/// [`Code::PreconditionRequired`]; [`Code::BadRequest`] for what no precondition of ours is.
pub(super) fn read(headers: &HeaderMap) -> Result<Read> {
    if let Some(text) = single(headers, &IF_NONE_MATCH)? {
        let nothing = text.trim() == "*";
        return nothing.then_some(Read::Nothing).ok_or_else(|| {
            Error::new(Code::BadRequest).with_detail("If-None-Match can only be *, for something new.")
        });
    }
    if !headers.contains_key(IF_MATCH) {
        return Err(Error::new(Code::PreconditionRequired));
    }
    // Several lines are one list (RFC 9110 5.3). No tag of ours has a comma, so what is split of another's matches nothing.
    let lines =
        headers.get_all(IF_MATCH).iter().map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned());
    let tags: Vec<String> =
        lines.flat_map(|line| line.split(',').map(|tag| tag.trim().to_owned()).collect::<Vec<_>>()).collect();
    if tags.iter().any(|tag| tag == "*") {
        let text = "If-Match is either * or a list of tags.";
        return if tags.len() == 1 {
            Ok(Read::Anything)
        } else {
            Err(Error::new(Code::BadRequest).with_detail(text))
        };
    }
    Ok(Read::Versions(tags.iter().filter_map(|tag| instant(tag)).collect()))
}

/// The instant that one of our tags stands for, if it is one to the byte: weak tags never match (RFC 9110 8.8.3.2).
fn instant(tag: &str) -> Option<Option<Timestamp>> {
    let number = tag.strip_prefix('"')?.strip_suffix('"')?;
    let micros = i64::from_str_radix(number, 16).ok()?;
    let instant = (micros != 0).then_some(Timestamp(micros));
    (text(instant) == tag).then_some(instant)
}
