//! Parsers of what comes from outside, alone and with whatever a generator thinks of: what has to hold for every input.
use axum::http::{HeaderMap, HeaderValue, header};
use hallpass::clock::Timestamp;
use hallpass::config::{Sources, load};
use hallpass::cookies::{Cookie, CookieNames};
use hallpass::error::{Code, Error};
use hallpass::names::{EMAIL_MAX, Email, Username};
use hallpass::service_keys::{Credential, credential};
use hallpass::services::Cursor;
use hallpass::sessions::device;
use hallpass::web::form::{Form, Query};
use hallpass::web::{Fields, FromFields, json};
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;

const COOKIES: [Cookie; 4] = [Cookie::Refresh, Cookie::Access, Cookie::Csrf, Cookie::Registration];

fn headers(lines: &[Vec<u8>]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        headers.append(header::COOKIE, value);
    }
    headers
}

/// Pieces of cookie headers, and bytes that have nothing to do with them.
fn any_cookies() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let piece = prop_oneof![
        "(__Host-|__Secure-)?(accessToken|refreshToken|csrfToken|registration)".prop_map(String::into_bytes),
        "[=;\" \t,a-z]{0,6}".prop_map(String::into_bytes),
        prop::collection::vec(32_u8.., 0..6),
    ];
    let line = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    prop::collection::vec(line, 0..3)
}

/// Every kind of field at once.
struct Everything(Vec<(&'static str, Option<String>)>);

impl FromFields for Everything {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self(vec![
            ("name", fields.optional_text("name", 10)),
            ("email", fields.optional_email("email").map(|email| email.typed)),
            ("username", fields.optional_username("username").map(|name| name.typed)),
            ("password", fields.optional_password("password").map(|password| password.to_string())),
            ("token", fields.optional_token("token")),
            ("code", fields.optional_code("code")),
        ]))
    }
}

fn read(body: &[u8]) -> Result<Everything, Error> {
    json::parse(body)
}

fn any_field() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-z@. \u{0}-\u{1f}ä\u{202e}]{0,14}".prop_map(Into::into),
        prop::collection::vec("[a-z]{0,3}", 0..2).prop_map(Into::into),
    ]
}

/// TOML with names of real settings and values of every sort.
fn any_settings() -> impl Strategy<Value = String> {
    let section = "(server|keys|sessions|passwords|registration|codes|mail|limits|telemetry|nothing)";
    let name = "(listen|body_limit|secret_key|access_ttl|leeway|min_length|mode|from|smtp_url|enabled|other)";
    let value = prop_oneof![
        "(true|-1|0|15|99999999999|1e9|inf)",
        "\"(0|1ns|15m|7d|99999999999999999999s|127.0.0.1:80|https://a.b|auto|[ -!#-~]{0,40})\"",
        "(\\[\\]|\\{\\}|\\[\"https://a.b\", 1\\]|1979-05-27|[\\[\\]{}=\"a]{0,5})",
    ];
    let table = (section, prop::collection::btree_map(name, value, 0..3)).prop_map(|(section, pairs)| {
        let lines: Vec<String> = pairs.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        format!("[{section}]\n{}", lines.concat())
    });
    prop::collection::vec(table, 0..3).prop_map(|tables| tables.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cookie_counts_only_under_its_own_name_and_only_once(lines in any_cookies(), https: bool) {
        let (names, sent) = (CookieNames::new(https), headers(&lines));
        for cookie in COOKIES {
            let Ok(Some(value)) = names.read(&sent, cookie) else { continue };
            let name = names.name(cookie);
            prop_assert!(!value.is_empty() && !value.contains(';'));
            let named = lines.iter().any(|line| String::from_utf8_lossy(line).contains(name));
            prop_assert!(named, "{name} was not sent");
            let mut twice = sent.clone();
            twice.append(header::COOKIE, HeaderValue::from_str(&format!("a=b; {name}=x")).unwrap());
            prop_assert_eq!(names.read(&twice, cookie).unwrap_err().code, Code::BadRequest);
        }
    }

    #[test]
    fn every_cookie_that_is_set_comes_back(value in "[A-Za-z0-9._-]{1,80}", https: bool) {
        let names = CookieNames::new(https);
        for cookie in COOKIES {
            let set = names.set(cookie, &value, Duration::from_secs(60)).unwrap();
            let pair = set.to_str().unwrap().split(';').next().unwrap().as_bytes().to_vec();
            let sent = headers(&[b"theme=dark".to_vec(), pair]);
            prop_assert_eq!(names.read(&sent, cookie).unwrap(), Some(value.as_str()));
            let strangers = COOKIES.into_iter().filter(|other| *other != cookie);
            prop_assert!(strangers.into_iter().all(|other| names.read(&sent, other).unwrap().is_none()));
        }
    }

    #[test]
    fn a_field_is_read_as_it_was_sent_or_named_as_a_problem(
        sent in prop::collection::btree_map("(name|email|username|password|token|code)", any_field(), 0..6)
    ) {
        let body = serde_json::to_vec(&sent).unwrap();
        match read(&body) {
            Ok(Everything(fields)) => for (name, value) in fields {
                let given = sent.get(name).filter(|given| !given.is_null());
                let text = given.and_then(|given| given.as_str()).map(str::trim);
                match (value, text) {
                    (Some(value), Some(text)) => prop_assert!(value == text || name == "password" || name == "email"),
                    (None, text) => prop_assert!(given.is_none() || text == Some(""), "{name} was ignored: {given:?}"),
                    (Some(value), None) => prop_assert!(name == "code" && value.parse::<u64>().is_ok()),
                }
            },
            Err(error) => {
                prop_assert_eq!(error.code, Code::ValidationFailed);
                prop_assert!(error.fields.iter().all(|problem| sent.contains_key(&problem.field)));
                prop_assert!(!error.fields.is_empty());
            }
        }
    }

    #[test]
    fn bytes_that_are_no_object_are_no_body(body in prop_oneof!["[\\[\\]{}\":,a0-9]{0,30}", ".{0,30}"]) {
        let object = serde_json::from_str::<serde_json::Value>(&body).is_ok_and(|value| value.is_object());
        match read(body.as_bytes()) {
            Ok(_) => prop_assert!(object),
            Err(error) => prop_assert!(matches!(error.code, Code::MalformedJson | Code::ValidationFailed)),
        }
    }

    #[test]
    fn a_form_reads_as_it_was_filled_in(
        pairs in prop::collection::vec(("[a-c=&+% ä]{0,4}", ".{0,12}"), 0..6), noise in prop::collection::vec(any::<u8>(), 0..60)
    ) {
        let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let (form, query) = (Form::parse(text.as_bytes()), Query::parse(text.as_bytes()));
        for (name, value) in pairs.into_iter().collect::<HashMap<_, _>>() {
            prop_assert_eq!([form.get(&name), query.get(&name)], [value.as_str(); 2]);
        }
        let noise = Form::parse(&noise);
        prop_assert_eq!(noise.get("no such field, and longer than the noise is, by far and wide"), "");
    }

    #[test]
    fn people_read_only_our_own_words_about_a_device(
        agent in "((Firefox|Edg|Safari|curl|MSIE)[/ ]|Android|iPad|Mobile|Windows|<b>|\\{\\{|.){0,12}"
    ) {
        let device = device::parse(&agent);
        prop_assert!(["desktop", "mobile", "tablet", "script", "unknown"].contains(&device.kind));
        let plain = |word: &String| word.chars().all(|c| c.is_ascii_alphabetic() || c == ' ') && word.len() < 40;
        prop_assert!(device.browser.iter().chain(&device.os).all(plain) && plain(&device::describe(&agent)));
    }

    #[test]
    fn an_address_is_read_as_itself_again_with_one_twin_and_within_its_length(
        local in "[a-zA-Z0-9.+'_-]{0,66}", domain in "([a-zA-Zäß中０]{1,60}\\.){0,5}[a-zA-Z0-9-]{1,10}"
    ) {
        if let Some(email) = Email::parse(&format!(" {local}@{domain} ")) {
            prop_assert!(email.typed.len() <= EMAIL_MAX && email.normalised.is_ascii(), "{email:?}");
            prop_assert_eq!(Email::parse(&email.typed), Some(email.clone()));
            prop_assert_eq!(Email::parse(&email.normalised).unwrap().normalised, email.normalised);
        }
    }

    #[test]
    fn no_username_is_an_address_and_each_has_one_twin(text in "[a-zA-Z0-9._@ äÄ-]{0,34}") {
        if let Some(name) = Username::parse(&text) {
            prop_assert!(Email::parse(&name.typed).is_none() && name.typed.is_ascii());
            prop_assert_eq!(Username::parse(&name.normalised).unwrap().normalised, name.normalised);
        }
    }

    #[test]
    fn a_cursor_is_read_in_exactly_the_form_in_which_it_is_written(
        text in "[0-9]{0,20}(\\.[0-9a-f]{8}(-0{4}){3}-0{12})?(\\.[0-9]{0,4})?[. +-]?",
        at in 0..1_000_000_000_000_000_000_i64, id in any::<u128>(), floor in prop::option::of(0..9_i64),
    ) {
        prop_assert!(Cursor::parse(&text).is_none_or(|cursor| cursor.to_string() == text));
        let id = Some(hallpass::ids::RowId(uuid::Uuid::from_u128(id)));
        let cursor = Cursor { id, floor: floor.map(Timestamp), ..Cursor::at(Timestamp(at)) };
        prop_assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
    }

    #[test]
    fn whatever_a_service_sends_as_proof_is_read_without_surprise(
        scheme in "(Bearer|basic|Digest|)", pair in "[ -~]{0,20}", rest in prop::collection::vec(32_u8..127, 0..20),
    ) {
        let mut headers = HeaderMap::new();
        let encoded = data_encoding::BASE64.encode(pair.as_bytes());
        for value in [[scheme.as_bytes(), b" ", &rest].concat(), format!("Basic {encoded}").into_bytes()] {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(&value).unwrap());
            prop_assert!(credential(&headers).is_ok());
        }
        let (Ok(Some(Credential::Basic(id, secret))), false) = (credential(&headers), pair.contains(['%', '+'])) else {
            return Ok(());
        };
        prop_assert_eq!((id.as_str(), secret.as_str()), pair.split_once(':').unwrap_or_default());
        headers.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        prop_assert!(credential(&headers).is_err());
    }

    #[test]
    fn whatever_the_settings_are_they_load_by_their_rules_or_the_mistake_is_named(text in any_settings()) {
        let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        match load(&Sources { file: Some(file.path().to_owned()), ..Sources::default() }) {
            Ok((config, _)) => prop_assert!(config.validate().is_ok()),
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                prop_assert!(problems.iter().all(|problem| !problem.path.is_empty() && !problem.problem.is_empty()));
            }
        }
    }
}

#[test]
fn an_address_that_grows_beyond_its_length_in_ascii_is_refused() {
    // Each label of one letter becomes one of seven: 239 bytes in all.
    let domain = ["ä"; 30].join(".");
    let longest = Email::parse(&format!("{}@{domain}", "n".repeat(14))).unwrap();
    assert_eq!(longest.typed.len(), EMAIL_MAX);
    assert_eq!(Email::parse(&format!("{}@{domain}", "n".repeat(15))), None);
}

#[test]
fn a_code_that_is_a_number_but_no_code_is_named_as_a_problem() {
    for (body, expected) in
        [("{\"code\":42}", Some("000042")), ("{\"code\":-1}", None), ("{\"code\":1.5}", None)]
    {
        match (read(body.as_bytes()), expected) {
            (Ok(Everything(fields)), Some(code)) => {
                assert!(fields.contains(&("code", Some(code.to_owned()))), "{fields:?}");
            }
            (Err(error), None) => assert_eq!(
                (error.fields[0].field.as_str(), error.fields[0].code.as_str()),
                ("code", "wrong_type")
            ),
            _ => panic!("{body}"),
        }
    }
}
