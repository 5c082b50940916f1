//! The generated documents are what is checked in, and hold together.
use hallpass::{config, openapi};
use serde_json::Value;
use std::path::Path;

fn checked_in(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}; run `make docs`"))
}

fn document() -> Value {
    serde_json::from_str(&openapi::document()).unwrap()
}

#[test]
fn the_checked_in_documents_are_those_that_the_code_generates() {
    // Not assert_eq: nobody wants to read two whole documents.
    assert!(checked_in("crates/server/openapi.json") == openapi::document(), "run `make docs`");
    assert!(checked_in("docs/errors.md") == openapi::errors_reference(), "run `make docs`");
    assert!(checked_in("docs/configuration.md") == config::reference(), "run `make docs`");
}

/// Every `$ref` below a value.
fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_of_the_document_resolves() {
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50, "{}", found.len());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_says_what_it_does_and_answers_errors_as_problem_documents() {
    let document = document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(
                operation["summary"].as_str().is_some_and(|text| text.len() > 5),
                "{name} has no summary"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(
                    response["description"].as_str().is_some_and(|text| !text.is_empty()),
                    "{name} {status}"
                );
                if status.as_str() >= "400" && name != "get /health/ready" {
                    let reference = &response["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(reference, "#/components/schemas/Problem", "{name} {status}");
                }
            }
        }
    }
}

#[test]
fn every_setting_has_a_meaning_in_the_reference() {
    let reference = config::reference();
    let rows: Vec<&str> = reference.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 40, "{}", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        assert!(cells.len() == 3 && cells[2].len() > 10, "{row}");
    }
}

#[test]
fn every_operation_has_an_id_of_its_own() {
    let document = document();
    let methods =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let mut ids: Vec<&str> = methods.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "{ids:?}");
}
