//! The segments of a path that name things.
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::ids::RowId;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

/// Whether a database can be asked about a text: PostgreSQL knows no U+0000 and fails. Each way in asks once: segments here, queries and
/// forms in `form`, texts of JSON in `fields`.
pub(super) fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

/// The row that a segment names.
///
/// # Errors
/// [`Code::NotFound`] for what is no id.
pub fn row(segment: &str) -> Result<RowId> {
    RowId::parse(segment).ok_or_else(|| Error::new(Code::NotFound))
}

/// A segment as text; what is not UTF-8 names nothing, nor does what no database keeps as text.
pub struct Segment(pub String);

impl FromRequestParts<App> for Segment {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let segment = Path::<String>::from_request_parts(parts, app).await;
        match segment {
            Ok(Path(text)) if is_storable(&text) => Ok(Self(text)),
            _ => Err(Error::new(Code::NotFound)),
        }
    }
}

/// The two segments of a path that name a thing of a thing.
pub struct Segments(pub String, pub String);

impl FromRequestParts<App> for Segments {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let segments = Path::<(String, String)>::from_request_parts(parts, app).await;
        match segments {
            Ok(Path((one, other))) if is_storable(&one) && is_storable(&other) => Ok(Self(one, other)),
            _ => Err(Error::new(Code::NotFound)),
        }
    }
}
