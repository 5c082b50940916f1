//! `docs/acceptance.md` covers every statement of the replaced systems and `docs/defects.md` every defect, and the tests
//! that they name exist.
use crate::support::named::{exists, page};

/// Ids by system and number of statements.
const SYSTEMS: [(&str, usize); 5] = [("A", 92), ("B", 60), ("C", 124), ("D", 39), ("E", 28)];
/// Statements of D that stand on its author's page.
const PAGE: usize = 5;
/// Defects by system.
const DEFECTS: [(&str, usize); 5] = [("A", 13), ("B", 7), ("C", 10), ("D", 7), ("E", 6)];

struct Line {
    shown_by: String,
    ids: Vec<String>,
}

fn table(name: &str) -> Vec<Line> {
    let text = page(name);
    let rows = text.lines().filter(|line| {
        line.starts_with("| ")
            && !line.starts_with("| matter")
            && !line.starts_with("| defect ")
            && !line.starts_with("| ---")
    });
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        assert_eq!(cells.len(), 3, "{row}");
        Line { shown_by: cells[1].to_owned(), ids: cells[2].split(' ').map(str::to_owned).collect() }
    })
    .collect()
}

#[test]
fn every_statement_is_in_the_table_exactly_once() {
    let mut expected: Vec<String> = Vec::new();
    for (system, count) in SYSTEMS {
        expected.extend((1..=count).map(|number| format!("{system}{number:03}")));
    }
    expected.extend((1..=PAGE).map(|number| format!("D-p{number}")));
    let mut listed: Vec<String> = table("acceptance.md").into_iter().flat_map(|line| line.ids).collect();
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);
}

#[test]
fn every_defect_is_in_the_list_exactly_once() {
    let ids =
        |(system, count): (&'static str, usize)| (1..=count).map(move |number| format!("{system}-{number}"));
    let mut expected: Vec<String> = DEFECTS.into_iter().flat_map(ids).collect();
    let mut listed: Vec<String> = table("defects.md").into_iter().flat_map(|line| line.ids).collect();
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);
}

#[test]
fn every_named_test_exists() {
    assert!(!exists("sessions::a_test_that_nobody_wrote"), "a missing test is noticed");
    for line in table("acceptance.md").into_iter().chain(table("defects.md")) {
        if line.shown_by == "*text*" || line.shown_by == "*later*" {
            continue;
        }
        let tests: Vec<&str> = line.shown_by.split(' ').map(|test| test.trim_matches('`')).collect();
        assert!(!tests.is_empty());
        for test in tests {
            assert!(exists(test), "{test} does not exist");
        }
    }
}
