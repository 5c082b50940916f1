//! Reading a JSON object field by field, so that an answer lists every problem at once.
use crate::error::FieldProblem;
use crate::hashing::Password;
use crate::names::{EMAIL_MAX, Email, USERNAME_RULE, Username, has_control_characters};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// A request body that can be read from [`Fields`]. Every field is read before the first `?`, so that all problems show.
pub trait FromFields: Sized {
    /// Reads; `None` only after a problem was noted.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

/// Longest password in bytes that is even looked at.
pub const PASSWORD_MAX_BYTES: usize = 1024;

/// Longest token that is even looked at, as long as a JWT may be.
const TOKEN_MAX: usize = 8 * 1024;

/// Longest code that is even looked at, with all the spaces that people type.
const CODE_MAX: usize = 60;

/// The fields of a body and the problems found so far.
pub struct Fields {
    object: Map<String, Value>,
    problems: Vec<FieldProblem>,
}

impl Fields {
    /// Wraps a parsed object.
    pub fn new(object: Map<String, Value>) -> Self {
        Self { object, problems: Vec::new() }
    }

    /// The problems found.
    pub fn into_problems(self) -> Vec<FieldProblem> {
        self.problems
    }

    /// Whether problems were found.
    pub fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Notes a problem.
    pub fn problem(&mut self, field: &str, code: &str, message: impl Into<String>) {
        self.problems.push(FieldProblem { field: field.into(), code: code.into(), message: message.into() });
    }

    fn missing<T>(&mut self, field: &str) -> Option<T> {
        self.problem(field, "required", format!("Send {field}."));
        None
    }

    /// A field's text; `None` when absent, null, or (after a noted problem) not text.
    fn raw(&mut self, field: &str) -> Option<String> {
        match self.object.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.problem(field, "wrong_type", format!("{field} must be a string."));
                None
            }
        }
    }

    fn is_absent(&self, field: &str) -> bool {
        matches!(self.object.get(field), None | Some(Value::Null))
    }

    /// One line of text for people: trimmed, no control characters, at most `max` characters.
    fn line(&mut self, field: &str, text: &str, max: usize) -> Option<String> {
        let text = text.trim();
        if text.chars().count() > max {
            self.problem(field, "too_long", format!("{field} may have at most {max} characters."));
            return None;
        }
        if has_control_characters(text) {
            self.problem(field, "control_characters", format!("{field} must not have control characters."));
            return None;
        }
        Some(text.to_owned())
    }

    /// A required line.
    pub fn text(&mut self, field: &str, max: usize) -> Option<String> {
        if self.is_absent(field) {
            return self.missing(field);
        }
        let raw = self.raw(field)?;
        let line = self.line(field, &raw, max)?;
        if line.is_empty() { self.missing(field) } else { Some(line) }
    }

    /// An optional line; empty counts as absent.
    pub fn optional_text(&mut self, field: &str, max: usize) -> Option<String> {
        let raw = self.raw(field)?;
        self.line(field, &raw, max).filter(|line| !line.is_empty())
    }

    /// A line that can be left, set or (as null or empty) removed.
    pub fn change(&mut self, field: &str, max: usize) -> Option<Option<String>> {
        match self.object.get(field) {
            None => None,
            Some(Value::Null) => Some(None),
            Some(_) => {
                let raw = self.raw(field)?;
                Some(self.line(field, &raw, max).filter(|line| !line.is_empty()))
            }
        }
    }

    /// Asks for a field that is optional elsewhere: absent, null and blank are the same.
    pub fn require(&mut self, field: &str) {
        if self.is_absent(field)
            || self.object.get(field).and_then(Value::as_str).is_some_and(|text| text.trim().is_empty())
        {
            self.problem(field, "required", format!("Send {field}."));
        }
    }

    /// Whether a field came at all, also as null.
    pub fn has(&self, field: &str) -> bool {
        self.object.contains_key(field)
    }

    /// A required line under the first of several names that is there.
    pub fn first_of(&mut self, names: &[&str], max: usize) -> Option<String> {
        let present = names.iter().find(|name| !self.is_absent(name));
        match present {
            Some(name) => self.text(name, max),
            None => self.missing(names.first().copied().unwrap_or_default()),
        }
    }

    /// A required e-mail address.
    pub fn email(&mut self, field: &str) -> Option<Email> {
        let text = self.text(field, EMAIL_MAX)?;
        let email = Email::parse(&text);
        if email.is_none() {
            self.problem(field, "invalid_email", "This is not an e-mail address such as name@example.com.");
        }
        email
    }

    /// An optional e-mail address.
    pub fn optional_email(&mut self, field: &str) -> Option<Email> {
        if self.is_absent(field) { None } else { self.email(field) }
    }

    /// Checks a username.
    pub fn parse_username(&mut self, field: &str, text: &str) -> Option<Username> {
        let username = Username::parse(text);
        if username.is_none() {
            self.problem(field, "invalid_username", USERNAME_RULE);
        }
        username
    }

    /// An optional username.
    pub fn optional_username(&mut self, field: &str) -> Option<Username> {
        let text = self.optional_text(field, 200)?;
        self.parse_username(field, &text)
    }

    /// A required password, as sent. Its rules are the business of `passwords`.
    pub fn password(&mut self, field: &str) -> Option<Password> {
        if self.is_absent(field) {
            return self.missing(field);
        }
        let raw = self.raw(field).map(Zeroizing::new)?;
        if raw.is_empty() {
            return self.missing(field);
        }
        if raw.len() > PASSWORD_MAX_BYTES {
            let text = format!("{field} may have at most {PASSWORD_MAX_BYTES} bytes.");
            self.problem(field, "too_long", text);
            return None;
        }
        Some(raw)
    }

    /// An optional password.
    pub fn optional_password(&mut self, field: &str) -> Option<Password> {
        if self.is_absent(field) { None } else { self.password(field) }
    }

    /// A required secret token: opaque; whether it is one of ours is the business of who takes it.
    pub fn token(&mut self, field: &str) -> Option<String> {
        self.text(field, TOKEN_MAX)
    }

    /// An optional secret token.
    pub fn optional_token(&mut self, field: &str) -> Option<String> {
        self.optional_text(field, TOKEN_MAX)
    }

    /// A required JSON object, as it came.
    pub fn object(&mut self, field: &str) -> Option<Value> {
        match self.object.get(field) {
            None | Some(Value::Null) => self.missing(field),
            Some(object @ Value::Object(_)) => Some(object.clone()),
            Some(_) => {
                self.problem(field, "wrong_type", format!("{field} must be an object."));
                None
            }
        }
    }

    /// An optional JSON object, as it came.
    pub fn optional_object(&mut self, field: &str) -> Option<Value> {
        if self.is_absent(field) { None } else { self.object(field) }
    }

    /// A required code, as text or number.
    pub fn code(&mut self, field: &str) -> Option<String> {
        if self.is_absent(field) { self.missing(field) } else { self.optional_code(field) }
    }

    /// An optional code of digits, as text or number.
    pub fn optional_code(&mut self, field: &str) -> Option<String> {
        if let Some(Value::Number(number)) = self.object.get(field) {
            // A number has lost its leading zeros.
            let code = number.as_u64().map(|number| format!("{number:06}"));
            if code.is_none() {
                self.problem(field, "wrong_type", format!("{field} must be digits."));
            }
            return code;
        }
        self.optional_text(field, CODE_MAX)
    }

    /// An optional `true` or `false`.
    pub fn optional_flag(&mut self, field: &str) -> Option<bool> {
        match self.object.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(*flag),
            Some(_) => {
                self.problem(field, "wrong_type", format!("{field} must be true or false."));
                None
            }
        }
    }

    /// An optional whole number.
    pub fn optional_number(&mut self, field: &str, least: u64, most: u64) -> Option<u64> {
        if self.is_absent(field) {
            return None;
        }
        let number = self.object.get(field).and_then(Value::as_u64);
        let fits = number.filter(|number| (least..=most).contains(number));
        if fits.is_none() {
            let (code, text) = if self.object.get(field).is_some_and(Value::is_number) {
                ("invalid_value", format!("{field} must be a whole number from {least} to {most}."))
            } else {
                ("wrong_type", format!("{field} must be a number."))
            };
            self.problem(field, code, text);
        }
        fits
    }

    /// A required list of at most `most` names, each a string of at most `max` characters.
    pub fn names(&mut self, field: &str, most: usize, max: usize) -> Option<Vec<String>> {
        if self.is_absent(field) { self.missing(field) } else { self.optional_names(field, most, max) }
    }

    /// An optional list of at most `most` names, each a string of at most `max` characters.
    pub fn optional_names(&mut self, field: &str, most: usize, max: usize) -> Option<Vec<String>> {
        if self.is_absent(field) {
            return None;
        }
        let items = self.object.get(field).and_then(Value::as_array);
        let names = items.and_then(|items| {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
        });
        let Some(names) = names else {
            self.problem(field, "wrong_type", format!("{field} must be a list of strings."));
            return None;
        };
        if names.len() > most {
            self.problem(field, "too_many", format!("{field} may have at most {most} entries."));
        } else if names.iter().any(|name| name.chars().count() > max) {
            self.problem(field, "too_long", format!("Each of {field} may have at most {max} characters."));
        } else if names.iter().any(|name| has_control_characters(name)) {
            self.problem(field, "control_characters", format!("{field} must not have control characters."));
        } else {
            return Some(names);
        }
        None
    }

    /// One of a few words, or the default when absent.
    pub fn choice<T: Copy>(&mut self, field: &str, choices: &[(&str, T)], default: T) -> Option<T> {
        if self.is_absent(field) {
            return Some(default);
        }
        let text = self.raw(field)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.problem(field, "invalid_value", format!("{field} must be one of: {}.", names.join(", ")));
        }
        found
    }
}
