//! The members of a record, taken one by one. What is wrong is said with the name of the member, never with its value.
use super::problem::{Problem, Reason};
use crate::clock::Timestamp;
use data_encoding::BASE64;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Longest text of a member, in bytes.
const MAX_TEXT: usize = 4096;
/// Most elements of an array.
const MAX_ELEMENTS: usize = 100;

/// No program that is still in use has set anything before: 1973, in the milliseconds of which there is a digit more.
const EARLIEST: Timestamp = Timestamp(100_000_000_000_000);

/// What is left of an object.
pub struct Fields(Map<String, Value>);

/// A yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stated {
    /// Which.
    pub yes: bool,
    /// Since when, if the record says so.
    pub at: Option<Timestamp>,
}

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

    /// Whether a member is there, null or not.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a member is an array.
    pub fn is_array(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Value::is_array)
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

    /// An instant: RFC 3339, also as PostgreSQL writes it, or milliseconds since the epoch as a number or as digits, or one of
    /// these as MongoDB writes it. An empty text is none.
    ///
    /// # Errors
    /// [`Reason::BadField`].
    pub fn instant(&mut self, name: &str) -> Result<Option<Timestamp>> {
        let Some(value) = self.take(name).filter(|value| value != "") else { return Ok(None) };
        instant(&value).map(Some).ok_or_else(|| bad(name, "an instant such as 2025-01-31T12:00:00Z"))
    }

    /// A text that may be given up when it is none; a number is one.
    pub fn part(&mut self, name: &str, reason: Reason) -> Option<Result<String>> {
        Some(match self.take(name)? {
            Value::String(text) if text.len() <= MAX_TEXT => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(Problem::new(reason, format!("{name} must be a text of at most {MAX_TEXT} bytes"))),
        })
    }

    /// Names of roles, which may be given up when they are none: a text, or an array of texts.
    pub fn role_names(&mut self, name: &str) -> Vec<Result<String>> {
        let bad = || Problem::new(Reason::RoleNotAllowed, format!("{name} must be names of roles"));
        let read = |value| match value {
            Value::String(text) if text.len() <= MAX_TEXT => Ok(text),
            _ => Err(bad()),
        };
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(elements)) if elements.len() <= MAX_ELEMENTS => {
                elements.into_iter().map(read).collect()
            }
            Some(value) => vec![read(value)],
        }
    }

    /// Yes or no, as programs write it: also as 1 and 0, and since when, which is a yes. An empty text is a no.
    ///
    /// # Errors
    /// [`Reason::BadField`].
    pub fn stated(&mut self, name: &str) -> Result<Option<Stated>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let (no, yes) = (Stated { yes: false, at: None }, Stated { yes: true, at: None });
        let text = number_text(&value);
        let stated = match (&value, text.as_deref().or(value.as_str())) {
            (Value::Bool(true), _) | (_, Some("1" | "1.0" | "true")) => yes,
            (Value::Bool(false), _) | (_, Some("0" | "0.0" | "false" | "")) => no,
            _ => {
                // Another number is no instant, and says neither.
                let at = instant(&value).filter(|at| *at >= EARLIEST);
                let at = at.ok_or_else(|| bad(name, "true, false or an instant"))?;
                Stated { yes: true, at: Some(at) }
            }
        };
        Ok(Some(stated))
    }

    /// As [`Fields::stated`], where null is a no: the place is there and empty.
    ///
    /// # Errors
    /// [`Reason::BadField`].
    pub fn stated_or_null(&mut self, name: &str) -> Result<Option<Stated>> {
        let empty = self.0.get(name).is_some_and(Value::is_null);
        Ok(self.stated(name)?.or(empty.then_some(Stated { yes: false, at: None })))
    }

    /// What names a record at its source, in whatever shape MongoDB writes it.
    pub fn source_id(&mut self, name: &str) -> Option<String> {
        let value = self.take(name)?;
        if let Value::String(id) = value {
            return Some(id);
        }
        if let Some(number) = number_text(&value) {
            return Some(number.strip_suffix(".0").unwrap_or(&number).to_owned());
        }
        let inner = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let known = inner("$oid").or_else(|| inner("$uuid")).or_else(|| binary(&value));
        Some(known.unwrap_or_else(|| value.to_string()))
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

fn instant(value: &Value) -> Option<Timestamp> {
    if let Some(inner) = value.get("$date") {
        return instant(inner);
    }
    let number = number_text(value);
    match (number.as_deref(), value) {
        (Some(number), _) => millis(number),
        (None, Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => millis(text),
        (None, Value::String(text)) => {
            Timestamp::parse(text).or_else(|| Timestamp::parse(&from_postgres(text)?))
        }
        _ => None,
    }
}

/// Milliseconds; a part of one is left out.
fn millis(number: &str) -> Option<Timestamp> {
    let millis = number.parse::<i64>().ok().or_else(|| {
        let number = number.parse::<f64>().ok()?;
        format!("{:.0}", number.floor()).parse().ok()
    });
    millis?.checked_mul(1000).map(Timestamp)
}

/// The digits of a number, also of one in the canonical form of MongoDB.
fn number_text(value: &Value) -> Option<String> {
    if let Value::Number(number) = value {
        return Some(number.to_string());
    }
    let inner = ["$numberLong", "$numberInt", "$numberDouble"].iter().find_map(|name| value.get(name))?;
    inner.as_str().filter(|text| text.parse::<f64>().is_ok_and(f64::is_finite)).map(str::to_owned)
}

/// Bytes of MongoDB: a UUID, or else in Base64.
fn binary(value: &Value) -> Option<String> {
    let inner = value.get("$binary")?;
    let (text, kind) = match inner.as_str() {
        Some(text) => (text, value.get("$type")?.as_str()?),
        None => (inner.get("base64")?.as_str()?, inner.get("subType")?.as_str()?),
    };
    // Of kind 3 nobody knows in which order the bytes stand.
    let bytes = BASE64.decode(text.as_bytes()).ok().filter(|_| kind == "04" || kind == "4");
    let uuid = bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok());
    Some(uuid.map_or_else(|| text.to_owned(), |uuid| uuid.to_string()))
}

/// RFC 3339 of `2024-06-04 10:00:00.123456+00`: the text form of PostgreSQL has a space, and an offset without minutes.
fn from_postgres(text: &str) -> Option<String> {
    let (date, time) = text.split_once(' ')?;
    let at = time.rfind(['+', '-'])?;
    let (time, offset) = time.split_at(at);
    let offset = match offset.len() {
        3 => format!("{offset}:00"),
        5 => {
            let (hours, minutes) = offset.split_at_checked(3)?;
            format!("{hours}:{minutes}")
        }
        _ => offset.to_owned(),
    };
    Some(format!("{date}T{time}{offset}"))
}
