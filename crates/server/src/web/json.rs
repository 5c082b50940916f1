//! Bodies: one JSON object, bounded, with our errors.
use super::client::single;
use super::fields::{Fields, FromFields};
use crate::app::App;
use crate::error::{Code, Error, Result};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{MapAccess, Visitor};
use serde_json::{Map, Value};

/// A required JSON body.
pub struct Body<T>(pub T);

/// A JSON body that may be missing altogether; then every field is absent.
pub struct MaybeBody<T>(pub T);

impl<T: FromFields> FromRequest<App> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let bytes = collect(request, app).await?;
        match bytes {
            Some(bytes) => parse(&bytes).map(Self),
            None => {
                Err(Error::new(Code::MalformedJson).with_detail("The body is empty. Send a JSON object."))
            }
        }
    }
}

impl<T: FromFields> FromRequest<App> for MaybeBody<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let bytes = collect(request, app).await?;
        parse(bytes.as_deref().unwrap_or(b"{}")).map(Self)
    }
}

/// The whole body, or `None` when it is empty.
async fn collect(request: Request, app: &App) -> Result<Option<axum::body::Bytes>> {
    let content_type = single(request.headers(), &CONTENT_TYPE)?.map(is_json);
    let limit = app.config.server.body_limit;
    let body = Limited::new(request.into_body(), limit).collect().await.map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_some() {
            let text = format!("The body may have at most {limit} bytes.");
            Error::new(Code::PayloadTooLarge).with_detail(text)
        } else {
            Error::new(Code::BadRequest).with_detail("The body broke off.").caused_by(error)
        }
    })?;
    let bytes = body.to_bytes();
    match (bytes.is_empty(), content_type) {
        (true, _) => Ok(None),
        (false, Some(true)) => Ok(Some(bytes)),
        (false, _) => Err(Error::new(Code::UnsupportedMediaType)),
    }
}

/// `application/json`, with or without parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Reads a whole body.
///
/// # Errors
/// [`Code::MalformedJson`], or [`Code::ValidationFailed`] with every problem.
pub fn parse<T: FromFields>(bytes: &[u8]) -> Result<T> {
    let Object(object) = serde_json::from_slice(bytes).map_err(|error| {
        let text = format!("The body is not one JSON object: {error}.");
        Error::new(Code::MalformedJson).with_detail(text)
    })?;
    let mut fields = Fields::new(object);
    match T::from_fields(&mut fields) {
        Some(value) if !fields.has_problems() => Ok(value),
        _ => Err(Error::validation(fields.into_problems())),
    }
}

/// A JSON object without repeated names (RFC 8259 4 leaves their meaning open, so two readers could differ).
struct Object(Map<String, Value>);

impl<'de> serde::Deserialize<'de> for Object {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Object;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Object, A::Error> {
                let mut object = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if object.contains_key(&name) {
                        let short: String = name.chars().take(40).collect();
                        return Err(serde::de::Error::custom(format!("the name \"{short}\" comes twice")));
                    }
                    object.insert(name, value);
                }
                Ok(Object(object))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}
