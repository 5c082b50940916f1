//! `docs/security-requirements.md` has every row it must have, and the tests that it names exist.
use crate::acceptance;
use hallpass::config::Limits;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Rows of ASVS 5.0 by chapter and section.
const SECTIONS: [(&str, u32); 16] = [
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

struct Requirement {
    id: String,
    state: String,
    tests: Vec<String>,
    reason: String,
}

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)).unwrap()
}

fn table() -> Vec<Requirement> {
    let text = read("security-requirements.md");
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 4);
    let rows = rows.filter(|line| !line.starts_with("| id ") && !line.starts_with("| ---"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let quoted = cells[4].split('`').skip(1).step_by(2);
        let tests = quoted.filter(|text| text.contains("::")).map(str::to_owned).collect();
        Requirement {
            id: cells[0].into(),
            state: cells[3].into(),
            tests,
            reason: cells[4].trim_matches(['`', ' ']).into(),
        }
    })
    .collect()
}

/// The source of the pure crate and of its tests.
fn crypto() -> String {
    fn collect(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crypto");
    let mut text = String::new();
    for folder in ["src", "tests"] {
        collect(&root.join(folder), &mut text);
    }
    text
}

#[test]
fn every_row_of_asvs_v6_v7_and_v9_is_there_once() {
    let mut expected = BTreeSet::new();
    for (section, count) in SECTIONS {
        expected.extend((1..=count).map(|number| format!("ASVS-{section}.{number}")));
    }
    let all: Vec<String> = table().into_iter().map(|row| row.id).collect();
    let unique: BTreeSet<String> = all.iter().cloned().collect();
    assert_eq!(all.len(), unique.len(), "a row stands there twice");
    let listed: BTreeSet<String> = unique.into_iter().filter(|id| id.starts_with("ASVS-")).collect();
    assert_eq!(listed, expected);
}

#[test]
fn every_row_has_a_state_and_a_test_or_a_reason() {
    let rows = table();
    assert!(rows.len() > 130, "{} rows", rows.len());
    for row in rows {
        assert!(STATES.contains(&row.state.as_str()), "{}: {}", row.id, row.state);
        match row.state.as_str() {
            "holds" => assert!(
                !row.tests.is_empty() || row.reason.contains("docs/"),
                "{} holds and nothing shows it",
                row.id
            ),
            _ => assert!(row.reason.len() > 5, "{} has no reason", row.id),
        }
    }
}

#[test]
fn every_test_that_a_row_names_exists() {
    let crypto = crypto();
    let exists = |test: &str| match test.strip_prefix("crypto::") {
        Some(name) => crypto.contains(&format!("fn {name}(")),
        None => acceptance::exists(test),
    };
    assert!(!exists("crypto::a_test_that_nobody_wrote") && !exists("limits::nor_this_one"));
    for row in table() {
        for test in row.tests {
            assert!(exists(&test), "{}: {test} does not exist", row.id);
        }
    }
}

#[test]
fn every_limit_is_in_the_documents_with_its_default() {
    let (settings, decisions) = (read("configuration.md"), read("decisions/limits.md"));
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
