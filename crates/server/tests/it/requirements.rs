//! `docs/security-requirements.md` leaves no requirement out, names tests that exist, and says the numbers of the settings.
use crate::support::named::{exists, page};
use hallpass::config::{Config, Limits, Sources, load};
use hallpass::openapi;
use serde_json::Value;
use std::collections::BTreeSet;

/// Requirements of ASVS 5.0 by section: V6 authentication, V7 sessions, V9 self-contained tokens.
const ASVS: [(&str, usize); 16] = [
    ("6.1", 3),
    ("6.2", 12),
    ("6.3", 8),
    ("6.4", 6),
    ("6.5", 8),
    ("6.6", 4),
    ("6.7", 2),
    ("6.8", 4),
    ("7.1", 3),
    ("7.2", 4),
    ("7.3", 2),
    ("7.4", 5),
    ("7.5", 3),
    ("7.6", 2),
    ("9.1", 3),
    ("9.2", 4),
];

const STATES: [&str; 5] = ["holds", "partly", "not yet", "does not apply", "deviates"];

fn document() -> String {
    page("security-requirements.md")
}

/// The rows of every table whose heading begins so, cell by cell.
fn tables(text: &str, heading: &str) -> Vec<Vec<String>> {
    let (mut rows, mut inside) = (Vec::new(), false);
    for line in text.lines() {
        if !line.starts_with('|') {
            inside = false;
        } else if line.starts_with(heading) {
            inside = true;
        } else if inside && !line.starts_with("| ---") {
            rows.push(line.trim_matches(['|', ' ']).split(" | ").map(str::to_owned).collect());
        }
    }
    rows
}

struct Row {
    id: String,
    state: String,
    tests: Vec<String>,
    why: String,
}

fn rows(text: &str) -> Vec<Row> {
    let rows = tables(text, "| id |").into_iter().map(|cells| {
        assert_eq!(cells.len(), 5, "{cells:?}");
        let quoted = cells[4].split('`').skip(1).step_by(2);
        let tests = quoted.filter(|word| word.contains("::")).map(str::to_owned).collect();
        Row { id: cells[0].clone(), state: cells[3].clone(), tests, why: cells[4].clone() }
    });
    rows.collect()
}

#[test]
fn every_requirement_of_the_three_chapters_is_listed_and_none_twice() {
    let rows = rows(&document());
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids.len(), rows.len(), "an id comes twice");
    let numbers = |(section, count): (&'static str, usize)| {
        (1..=count).map(move |number| format!("ASVS-{section}.{number}"))
    };
    let expected: BTreeSet<String> = ASVS.into_iter().flat_map(numbers).collect();
    assert_eq!(expected.len(), 47 + 19 + 7);
    let chapters = ["ASVS-6.", "ASVS-7.", "ASVS-9."];
    let listed = ids.iter().filter(|id| chapters.iter().any(|chapter| id.starts_with(chapter)));
    assert_eq!(listed.map(|id| (*id).to_owned()).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn every_row_has_a_known_state_and_what_belongs_to_it() {
    for row in rows(&document()) {
        assert!(STATES.contains(&row.state.as_str()), "{}: {}", row.id, row.state);
        assert!(row.state != "holds" || !row.tests.is_empty(), "{} holds and names no test", row.id);
        let words = row.why.split(' ').filter(|word| !word.contains("::") && !word.starts_with('`')).count();
        assert!(row.state == "holds" || words >= 2, "{} does not say why it is {}", row.id, row.state);
    }
}

#[test]
fn every_test_that_a_row_names_exists() {
    for missing in ["sessions::a_test_that_nobody_wrote", "crypto: jwt::form::nobody", "support::exists"] {
        assert!(!exists(missing), "{missing} is noticed");
    }
    for row in rows(&document()) {
        for test in row.tests {
            assert!(exists(&test), "{}: {test} does not exist", row.id);
        }
    }
}

#[test]
fn the_counts_are_those_of_the_rows() {
    let text = document();
    let groups: Vec<&str> = text.split("\n## ").filter(|group| group.contains("\n| id |")).collect();
    assert!(groups.len() >= 7);
    for group in groups {
        let rows = rows(group);
        let count = |state: &&str| {
            let number = rows.iter().filter(|row| row.state == **state).count();
            format!("{number} {state}")
        };
        let said = format!("Count: {}.", STATES.iter().map(count).collect::<Vec<_>>().join(", "));
        assert!(group.contains(&said), "{}: {said}", group.lines().next().unwrap());
    }
}

#[test]
fn the_stated_lifetimes_are_those_of_the_settings() {
    let environment =
        [("HALLPASS_PROFILE", "strict"), ("HALLPASS_KEYS__PEPPER", "kJ7x-fresh-bytes-of-32-characters-1")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let strict = load(&Sources { environment: environment.into(), ..Sources::default() }).unwrap().0;
    let values = [Config::default(), strict].map(|config| serde_json::to_value(config).unwrap());
    let table = tables(&document(), "| setting |");
    assert_eq!(table.len(), 11);
    for row in table {
        let cells: Vec<&str> = row.iter().map(|cell| cell.trim_matches('`')).collect();
        let (section, key) = cells[0].split_once('.').unwrap();
        for (profile, said) in values.iter().zip([cells[1], cells[2]]) {
            assert_eq!(profile[section][key], said, "{}", cells[0]);
        }
    }
}

/// Whether a schema has this property, through its references.
fn has(document: &Value, schema: &Value, property: &str) -> bool {
    match schema {
        Value::Object(object) => object.iter().any(|(name, value)| match value.as_str() {
            Some(target) if name == "$ref" => {
                has(document, document.pointer(target.trim_start_matches('#')).unwrap(), property)
            }
            _ => name == property || has(document, value, property),
        }),
        Value::Array(items) => items.iter().any(|item| has(document, item, property)),
        _ => false,
    }
}

#[test]
fn every_call_that_hands_out_tokens_is_among_the_ways_in() {
    let (text, api): (_, Value) = (document(), serde_json::from_str(&openapi::document()).unwrap());
    let ways: String = tables(&text, "| way in |").into_iter().map(|row| row[1].clone()).collect();
    let mut found = 0;
    for (path, methods) in api["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if has(&api, &operation["responses"], "tokenType") {
                found += 1;
                let call = format!("`{} {path}`", method.to_uppercase());
                assert!(ways.contains(&call), "{call} hands out tokens");
            }
        }
    }
    assert_eq!(
        found, 9,
        "sign-in and its second step, passkey, registration, fresh proof, first code of an app, first passkey, refresh, somebody's place"
    );
}

#[test]
fn every_limit_is_in_the_documents_with_its_default() {
    let (settings, decisions) = (page("configuration.md"), page("decisions/limits.md"));
    let limits = serde_json::to_value(Limits::default()).unwrap();
    // How the page on limits says each default.
    let words = [
        ("enabled", ""),
        ("account_failures", "5 failures in a row"),
        ("account_failures_anywhere", "100 failures in a row"),
        ("longest_wait", "doubled up to 1 h"),
        ("network_failures", "50 failures in 15 min"),
        ("network_window", "50 failures in 15 min"),
        ("registrations_per_network", "100 in an hour"),
        ("mails_per_network", "100 in an hour"),
        ("refreshes_per_session", "1,200 in a minute"),
    ];
    let names: BTreeSet<&str> = limits.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, words.iter().map(|(name, _)| *name).collect());
    for (name, text) in words {
        assert!(
            settings.contains(&format!("`{name}`")) || settings.contains(&format!("limits.{name}")),
            "{name}"
        );
        assert!(decisions.contains(text), "{name}: {text}");
    }
}
