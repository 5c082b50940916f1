//! Query strings and forms of the pages: the last value of a name, or nothing.
use super::path::is_storable;
use crate::app::App;
use crate::error::{Code, Error, Result};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use http_body_util::{BodyExt, Limited};
use std::collections::HashMap;

/// A query string.
pub struct Query {
    values: HashMap<String, String>,
    /// Names and values that came, repeated ones included.
    count: usize,
}

/// A posted form.
pub struct Form(HashMap<String, String>);

impl Query {
    /// Reads the text behind the question mark.
    pub fn parse(text: &[u8]) -> Self {
        Self { values: pairs(text), count: url::form_urlencoded::parse(text).count() }
    }

    /// The value of a name, or the empty string.
    pub fn get(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// Every name that came.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Whether a name came twice.
    pub fn repeats(&self) -> bool {
        self.count > self.values.len()
    }
}

impl Form {
    /// Reads a whole body.
    pub fn parse(text: &[u8]) -> Self {
        Self(pairs(text))
    }

    /// The value of a name, or the empty string.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

fn pairs(text: &[u8]) -> HashMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// Refuses what no statement may get to see.
fn checked(values: &HashMap<String, String>, what: &str) -> Result<()> {
    if values.values().all(|value| is_storable(value)) {
        return Ok(());
    }
    Err(Error::new(Code::BadRequest)
        .with_detail(format!("The {what} has the character U+0000. Leave it out.")))
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let query = Self::parse(parts.uri.query().unwrap_or_default().as_bytes());
        checked(&query.values, "query")?;
        Ok(query)
    }
}

impl FromRequest<App> for Form {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let content_type =
            request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !content_type.starts_with("application/x-www-form-urlencoded") {
            return Err(Error::new(Code::UnsupportedMediaType)
                .with_detail("Send the form as application/x-www-form-urlencoded."));
        }
        let body = Limited::new(request.into_body(), app.config.server.body_limit).collect().await;
        let bytes = body.map_err(|error| Error::new(Code::PayloadTooLarge).caused_by(error))?.to_bytes();
        let form = Self::parse(&bytes);
        checked(&form.0, "form")?;
        Ok(form)
    }
}
