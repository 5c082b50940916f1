//! What comes with a request: cookies, bodies, forms, the user agent, addresses and names.
use crate::{line, text};
use axum::http::{HeaderMap, HeaderValue, header};
use hallpass::cookies::{Cookie, CookieNames};
use hallpass::error::Code;
use hallpass::names::{EMAIL_MAX, Email, Username};
use hallpass::sessions::device;
use hallpass::web::form::{Form, Query};
use hallpass::web::{Fields, FromFields, json};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

const COOKIES: [Cookie; 4] = [Cookie::Refresh, Cookie::Access, Cookie::Csrf, Cookie::Registration];

/// A cookie is one that the client sent, under exactly our name, once; what the server sets comes back.
///
/// The input is one `Cookie` header per line.
pub fn cookies(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(8) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::COOKIE, value);
        }
    }
    for https in [false, true] {
        let names = CookieNames::new(https);
        for cookie in COOKIES {
            read_cookie(&headers, &names, cookie);
        }
    }
}

fn read_cookie(headers: &HeaderMap, names: &CookieNames, cookie: Cookie) {
    let name = names.name(cookie);
    let sent = headers.get_all(header::COOKIE).iter().any(|header| {
        let bytes = header.as_bytes();
        bytes.windows(name.len()).any(|window| window == name.as_bytes())
    });
    match names.read(headers, cookie) {
        Ok(None) => {}
        Ok(Some(value)) => {
            assert!(sent, "{name} was not sent");
            assert!(
                !value.is_empty() && !value.contains(';') && !value.starts_with('"') && !value.ends_with('"')
            );
            let mut twice = headers.clone();
            twice.append(header::COOKIE, HeaderValue::from_str(&format!("{name}=x")).expect("a name"));
            assert!(names.read(&twice, cookie).is_err(), "{name} came twice");
            if value.trim() != value {
                return; // it was in quotes; ours never is
            }
            let written = names.set(cookie, value, Duration::from_secs(1));
            let written = written.expect("what came in a header goes into one");
            let mut back = HeaderMap::new();
            let pair = written.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            back.append(header::COOKIE, HeaderValue::from_bytes(pair).expect("a pair"));
            assert_eq!(names.read(&back, cookie).ok().flatten(), Some(value));
        }
        Err(error) => assert!(sent && error.code == Code::BadRequest),
    }
}

/// A body with one field of each kind, and what was said about each.
struct Everything {
    values: Vec<(&'static str, String)>,
    absent: Vec<&'static str>,
}

impl FromFields for Everything {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let read = [
            ("text", fields.text("text", 10)),
            ("optional", fields.optional_text("optional", 10)),
            ("change", fields.change("change", 10).flatten()),
            ("email", fields.optional_email("email").map(|email| email.typed)),
            ("username", fields.optional_username("username").map(|name| name.typed)),
            ("password", fields.optional_password("password").map(|password| password.to_string())),
            ("token", fields.optional_token("token")),
            ("code", fields.optional_code("code")),
            ("choice", fields.choice("choice", &[("one", "one"), ("two", "two")], "one").map(str::to_owned)),
        ];
        let mut all = Self { values: Vec::new(), absent: Vec::new() };
        for (name, value) in read {
            match value {
                Some(value) => all.values.push((name, value)),
                None => all.absent.push(name),
            }
        }
        Some(all)
    }
}

/// A body is one object in which no name stands twice; what is read of a field is what was sent in it, within its bounds, and
/// what cannot be read is named in the answer.
pub fn json_body(data: &[u8]) {
    let value = serde_json::from_slice::<Value>(data).ok();
    let object = value.as_ref().and_then(Value::as_object);
    match json::parse::<Everything>(data) {
        Ok(all) => {
            let object = object.expect("only an object is a body");
            for (name, value) in &all.values {
                check_field(name, value, object.get(*name));
            }
            for name in all.absent {
                let nothing = object.get(name).is_none_or(|sent| sent.is_null() || blank(sent));
                assert!(nothing, "{name} was ignored: {object:?}");
            }
        }
        Err(error) => match error.code {
            Code::MalformedJson => assert!(error.detail.is_some() && error.fields.is_empty()),
            Code::ValidationFailed => {
                assert!(object.is_some() && !error.fields.is_empty());
                for problem in &error.fields {
                    assert!(!problem.message.is_empty() && !problem.code.is_empty());
                }
            }
            other => panic!("{other:?} for a body"),
        },
    }
}

fn blank(sent: &Value) -> bool {
    sent.as_str().is_some_and(|text| text.trim().is_empty())
}

fn check_field(name: &str, value: &str, sent: Option<&Value>) {
    match (name, sent) {
        ("choice", None | Some(Value::Null)) => assert_eq!(value, "one"),
        ("code", Some(Value::Number(number))) => {
            assert_eq!(value.trim_start_matches('0'), number.to_string().trim_start_matches('0'));
        }
        // The address goes into mail with its domain in ASCII.
        ("email", Some(Value::String(_))) => assert!(Email::parse(value).is_some()),
        ("password", Some(Value::String(text))) => assert!(text == value && value.len() <= 1024),
        (_, Some(Value::String(text))) => {
            assert_eq!(text.trim(), value);
            assert!(!value.chars().any(char::is_control) && !value.is_empty());
            assert!(name == "token" || value.chars().count() <= 32);
        }
        _ => panic!("{name} = {value} out of nothing"),
    }
}

/// Whatever a client calls itself, what people read about it are our own words.
pub fn device(data: &[u8]) {
    let agent = String::from_utf8_lossy(data);
    let device = device::parse(&agent);
    assert!(["desktop", "mobile", "tablet", "script", "unknown"].contains(&device.kind));
    for word in device.browser.iter().chain(&device.os).chain([&device::describe(&agent)]) {
        assert!(word.chars().all(|c| c.is_ascii_alphabetic() || c == ' ') && (2..=32).contains(&word.len()));
    }
    // Longer is still the same device: the first mark wins, wherever it stands.
    assert_eq!(device::parse(&format!("{agent} {agent}")).os, device.os);
}

/// The last value of a name counts; a form that is written anew means the same, as a body and as a query.
pub fn form(data: &[u8]) {
    let mut expected: HashMap<String, String> = HashMap::new();
    for pair in data.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        expected.insert(decoded(&pair[..at]), decoded(pair.get(at + 1..).unwrap_or_default()));
    }
    let (form, query) = (Form::parse(data), Query::parse(data));
    let written = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&expected).finish();
    let again = Form::parse(written.as_bytes());
    for (name, value) in &expected {
        assert_eq!([form.get(name), query.get(name), again.get(name)], [value; 3], "{name}");
    }
    let absent = "a name that nobody sends";
    assert!(form.get(absent).is_empty() || expected.contains_key(absent));
}

/// Percent-decoding once more, by hand.
fn decoded(bytes: &[u8]) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match (byte, digit(bytes.get(at)), digit(bytes.get(at + 1))) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).expect("two digits"));
                at += 2;
            }
            (b'+', _, _) => out.push(b' '),
            _ => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An address or name that is read is read as itself again, and so is its normalised twin; none has two twins.
///
/// The first line is an address, the second a username.
pub fn names(data: &[u8]) {
    let (email, username) = line(data);
    if let Some(email) = Email::parse(text(email)) {
        assert!(email.typed.len() <= EMAIL_MAX, "{} bytes: {email:?}", email.typed.len());
        assert_eq!(email.typed.matches('@').count(), 1, "{email:?}");
        assert!(
            email.normalised.is_ascii()
                && !email.typed.contains(|c: char| c.is_whitespace() || c.is_control())
        );
        assert_eq!(Email::parse(&email.typed).as_ref(), Some(&email));
        let twin = Email::parse(&email.normalised).unwrap_or_else(|| panic!("{email:?} has no twin"));
        assert_eq!(twin.normalised, email.normalised);
        let loud = Email::parse(&email.typed.to_ascii_uppercase()).map(|loud| loud.normalised);
        assert_eq!(loud.as_ref(), Some(&email.normalised));
    }
    if let Some(name) = Username::parse(text(username)) {
        assert!(Email::parse(&name.typed).is_none(), "a username that is an address");
        assert_eq!(Username::parse(&name.typed).as_ref(), Some(&name));
        assert_eq!(
            Username::parse(&name.normalised).map(|twin| twin.normalised),
            Some(name.normalised.clone())
        );
    }
}
