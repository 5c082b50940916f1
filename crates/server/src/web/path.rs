//! The segments of a path that name things.
use crate::app::App;
use crate::error::{Code, Error, Result};
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

/// A segment as text; what is not UTF-8 names nothing.
pub struct Segment(pub String);

impl FromRequestParts<App> for Segment {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let segment = Path::<String>::from_request_parts(parts, app).await;
        segment.map(|Path(text)| Self(text)).map_err(|_| Error::new(Code::NotFound))
    }
}

/// The two segments of a path that name a thing of a thing.
pub struct Segments(pub String, pub String);

impl FromRequestParts<App> for Segments {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let segments = Path::<(String, String)>::from_request_parts(parts, app).await;
        segments.map(|Path((one, other))| Self(one, other)).map_err(|_| Error::new(Code::NotFound))
    }
}
