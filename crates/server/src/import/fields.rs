//! The members of a record, taken one by one. What is wrong is said with the name of the member, never with its value.
use super::problem::{Problem, Reason};
use crate::clock::Timestamp;
use serde_json::{Map, Value};

/// Longest text of a member, in bytes.
const MAX_TEXT: usize = 4096;
/// Most elements of an array.
const MAX_ELEMENTS: usize = 100;

/// What is left of an object.
pub struct Fields(Map<String, Value>);

type Result<T> = std::result::Result<T, Problem>;

fn bad(name: &str, wanted: &str) -> Problem {
    Problem::new(Reason::BadField, format!("{name} must be {wanted}"))
}

impl Fields {
    /// Reads a record.
    ///
    /// # Errors
    /// [`Reason::MalformedJson`].
    pub fn read(bytes: &[u8]) -> Result<Self> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(Problem::new(Reason::MalformedJson, "the record is no JSON object")),
            Err(error) => {
                // The message of the parser may hold a value; its place does not.
                let column = error.column();
                Err(Problem::new(
                    Reason::MalformedJson,
                    format!("the record is no valid JSON, at column {column}"),
                ))
            }
        }
    }

    /// A member that is there and not null.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    ///
    /// # Errors
    /// [`Reason::BadField`].
    pub fn text(&mut self, name: &str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= MAX_TEXT => Ok(Some(text)),
            Some(_) => Err(bad(name, &format!("a text of at most {MAX_TEXT} bytes"))),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// [`Reason::BadField`].
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(bad(name, "true or false")),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// [`Reason::BadField`].
    pub fn number(&mut self, name: &str) -> Result<Option<i64>> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| bad(name, "a whole number")),
        }
    }

    /// An instant: RFC 3339, or milliseconds since the epoch as a number or as digits, or one of both in `$date`, as MongoDB
    /// writes it.
    ///
    /// # Errors
    /// [`Reason::BadField`].
    pub fn instant(&mut self, name: &str) -> Result<Option<Timestamp>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        instant(value).map(Some).ok_or_else(|| bad(name, "an instant such as 2025-01-31T12:00:00Z"))
    }

    /// An object.
    ///
    /// # Errors
    /// [`Reason::BadField`].
    pub fn object(&mut self, name: &str) -> Result<Option<Fields>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Self(members))),
            Some(_) => Err(bad(name, "an object")),
        }
    }

    /// An array; nothing is an empty one.
    ///
    /// # Errors
    /// [`Reason::BadField`].
    pub fn array(&mut self, name: &str) -> Result<Vec<Value>> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(elements)) if elements.len() <= MAX_ELEMENTS => Ok(elements),
            Some(_) => Err(bad(name, &format!("an array of at most {MAX_ELEMENTS} elements"))),
        }
    }

    /// An array of objects.
    ///
    /// # Errors
    /// [`Reason::BadField`].
    pub fn objects(&mut self, name: &str) -> Result<Vec<Fields>> {
        let read = |value| match value {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(bad(name, "an array of objects")),
        };
        self.array(name)?.into_iter().map(read).collect()
    }

    /// An array of texts.
    ///
    /// # Errors
    /// [`Reason::BadField`].
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>> {
        let read = |value| match value {
            Value::String(text) if text.len() <= MAX_TEXT => Ok(text),
            _ => Err(bad(name, "an array of texts")),
        };
        self.array(name)?.into_iter().map(read).collect()
    }

    /// An object that is written as a text, as Keycloak does.
    ///
    /// # Errors
    /// [`Reason::BadField`].
    pub fn quoted_object(&mut self, name: &str) -> Result<Option<Fields>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        Self::read(text.as_bytes()).map(Some).map_err(|_| bad(name, "an object, written as a text"))
    }

    /// Refuses members that nobody has taken.
    ///
    /// # Errors
    /// [`Reason::UnknownField`] with the name of the first.
    pub fn nothing_left(&self) -> Result<()> {
        let Some(name) = self.0.keys().next() else { return Ok(()) };
        let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        Err(Problem::new(Reason::UnknownField, format!("there is no member \"{name}\" in this format")))
    }
}

fn instant(value: Value) -> Option<Timestamp> {
    let millis = |millis: i64| millis.checked_mul(1000).map(Timestamp);
    match value {
        Value::Number(number) => millis(number.as_i64()?),
        Value::String(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            millis(text.parse().ok()?)
        }
        Value::String(text) => Timestamp::parse(&text),
        Value::Object(mut members) => match members.remove("$date")? {
            Value::Object(mut long) => millis(long.remove("$numberLong")?.as_str()?.parse().ok()?),
            inner => instant(inner),
        },
        _ => None,
    }
}
