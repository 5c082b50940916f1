//! Query strings and forms of the pages: the last value of a name, or nothing.
use crate::app::App;
use crate::error::{Code, Error, Result};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use http_body_util::{BodyExt, Limited};
use std::collections::HashMap;
use std::convert::Infallible;

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

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default().as_bytes()))
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
        Ok(Self::parse(&bytes))
    }
}
