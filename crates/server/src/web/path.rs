//! The one segment of a path that names a thing.
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
