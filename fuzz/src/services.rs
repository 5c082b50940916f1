//! What other services send: proof of who they are, and places in the feed.
use crate::{line, text};
use axum::http::{HeaderMap, HeaderValue, header};
use hallpass::service_keys::{Credential, credential};
use hallpass::services::Cursor;

/// A cursor is read in exactly the form in which it is written; proof is read without surprise.
///
/// The input is a cursor, then the value of `Authorization` on the next line.
pub fn service(data: &[u8]) {
    let (first, rest) = line(data);
    if let Some(cursor) = Cursor::parse(text(first)) {
        assert_eq!(cursor.to_string(), text(first));
    }
    let Ok(value) = HeaderValue::from_bytes(line(rest).0) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.append(header::AUTHORIZATION, value.clone());
    if let Ok(Some(Credential::Bearer(token))) = credential(&headers) {
        assert!(
            value.to_str().is_ok_and(|value| value.ends_with(&token) || value.trim_end().ends_with(&token))
        );
    }
    headers.append(header::AUTHORIZATION, value);
    assert!(credential(&headers).is_err(), "the header came twice");
}
