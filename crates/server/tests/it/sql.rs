//! Every SQL statement of the stores is understood by the engine and keeps to the portable subset.
use crate::support::TestApp;
use std::path::{Path, PathBuf};

/// The string literals of a store that begin with a verb of SQL.
fn statements(source: &str) -> Vec<String> {
    let literals = source.split('"').skip(1).step_by(2);
    let verbs = ["select ", "insert ", "update ", "delete ", "with "];
    literals.filter(|text| verbs.iter().any(|verb| text.starts_with(verb))).map(str::to_owned).collect()
}

fn stores(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            stores(&path, found);
        } else if path.ends_with("store.rs") {
            found.push(path);
        }
    }
}

/// What other engines do not share, and why each word is here is said in CONTRIBUTING.md.
fn breaches(sql: &str) -> Vec<&'static str> {
    let flat = format!(" {} ", sql.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "));
    let banned = [
        "::",
        "->",
        " cast(",
        "cast (",
        " now()",
        "current_timestamp",
        "datetime(",
        " greatest(",
        " least(",
        " for update",
        " offset ",
        "select exists",
        " ilike ",
        " true ",
        " false ",
        " boolean ",
        "random()",
        " ? ",
        "= ?",
        "ifnull(",
        " glob ",
        "array[",
        "json_",
        "strftime(",
        " rowid ",
    ];
    banned.into_iter().filter(|word| flat.contains(word)).collect()
}

#[test]
fn a_statement_beyond_the_portable_subset_is_noticed() {
    assert!(breaches("select id::text from users").contains(&"::"));
    assert!(breaches("select id from users limit 5 offset 10").contains(&" offset "));
    assert!(breaches("update users set name = ? where id = $1").contains(&"= ?"));
    assert!(breaches("select id from users where id = $1").is_empty());
}

#[tokio::test]
async fn every_statement_of_every_store_is_prepared_and_portable() {
    let server = TestApp::start().await;
    let mut found = Vec::new();
    stores(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let mut count = 0;
    for path in &found {
        for sql in statements(&std::fs::read_to_string(path).unwrap()) {
            count += 1;
            let name = path.display();
            assert_eq!(breaches(&sql), Vec::<&str>::new(), "{name}: {sql}");
            if let Err(error) = server.app.db.prepare(&sql).await {
                panic!("{name}: {error}\n{sql}");
            }
        }
    }
    assert!(found.len() >= 7 && count >= 60, "{} stores with {count} statements", found.len());
}
