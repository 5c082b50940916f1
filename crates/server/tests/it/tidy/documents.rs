//! Rules for every text of the repository, not only for Rust: no folders of one machine, no mention of a file that is not there.
use super::none;
use super::source::{files_below, repository};
use std::fs;

/// Folders of one particular machine. The needles are put together here, so that this file does not hold them.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let needles = ["work", "root", "tmp", "home"].map(|folder| format!("/{folder}"));
    let begins = |before: &str| {
        before.ends_with("://") || !before.ends_with(|c: char| c.is_alphanumeric() || "_.~$}-/*)".contains(c))
    };
    let ends = |needle: &str, after: &str| {
        let below = after
            .strip_prefix('/')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || "._-".contains(c)));
        // A bare temporary folder or a bare `/home` may be meant in general.
        let general = needle.ends_with("tmp") || needle.ends_with("home");
        below || (!general && !after.starts_with(|c: char| c.is_alphanumeric() || "_-./".contains(c)))
    };
    let names = |line: &str, needle: &str| {
        line.match_indices(needle)
            .any(|(at, _)| begins(&line[..at]) && ends(needle, &line[at + needle.len()..]))
    };
    let lines = text.lines().enumerate();
    let wrong = lines.filter(|(_, line)| needles.iter().any(|needle| names(line, needle)));
    wrong
        .map(|(number, line)| format!("{path}:{}: a path of one machine: {}", number + 1, line.trim()))
        .collect()
}

/// The files and folders that a Markdown text names in backticks, and the targets of its links within the repository.
fn mentions(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        let quoted = line.split('`').skip(1).step_by(2).filter(|word| is_file_name(word));
        let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let inside = links.filter(|link| !link.is_empty() && !link.contains(':') && !link.starts_with('/'));
        found.extend(quoted.chain(inside).map(|word| (number + 1, word.to_owned())));
    }
    found
}

fn is_file_name(word: &str) -> bool {
    let plain = word.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c));
    let ending = word.rsplit_once('.').map_or("", |(_, ending)| ending);
    let file = ending == "rs" || (word.contains('/') && ["md", "toml", "sql"].contains(&ending));
    plain && !word.starts_with('/') && (file || word.ends_with('/'))
}

/// What a document names and the repository does not have. Names stand for places below the root, the document's own folder
/// or one of the source folders; a name without a folder stands for any file or folder of that name.
fn missing(document: &str, text: &str, files: &[String]) -> Vec<String> {
    let own = document.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let roots =
        ["", &own, "crates/server/src/", "crates/server/tests/it/", "crates/server/", "crates/crypto/src/"];
    let exists = |name: &str| {
        let bare = name.trim_end_matches('/');
        let below = |path: &String| {
            roots
                .iter()
                .any(|root| *path == format!("{root}{bare}") || path.starts_with(&format!("{root}{bare}/")))
        };
        let anywhere = |path: &String| !bare.contains('/') && path.split('/').any(|part| part == bare);
        files.iter().any(|path| below(path) || anywhere(path))
    };
    let unknown = mentions(text).into_iter().filter(|(_, name)| !exists(name));
    unknown.map(|(line, name)| format!("{document}:{line}: {name} does not exist")).collect()
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    let root = repository();
    let files = files_below(&root);
    assert!(files.iter().any(|path| path == "Cargo.toml"), "the walk missed the workspace");
    let text =
        |path: &String| fs::read_to_string(root.join(path)).ok().map(|text| machine_paths(path, &text));
    none(&files.iter().filter_map(text).flatten().collect::<Vec<_>>());
}

#[test]
fn a_folder_of_one_machine_is_noticed() {
    let slash = '/';
    for text in [
        "cd {}work",
        "see {}work/main/a.rs",
        "\"{}root/.cargo\"",
        "({}tmp/a-b)",
        "file://{}home/ann/x",
        "{}root",
    ] {
        let line = text.replace("{}", &slash.to_string());
        assert_eq!(machine_paths("a.md", &line).len(), 1, "{line}");
    }
    let fine = [
        "src{}work/a.rs",
        "https:/{}work.example",
        "{}working",
        "{}tmp",
        "{}tmp/$name",
        "${TMPDIR}{}tmp/a",
        "{}rooted/a",
        "{}home",
    ];
    for text in fine {
        none(&machine_paths("a.md", &text.replace("{}", &slash.to_string())));
    }
}

#[test]
fn what_the_documents_name_exists() {
    let root = repository();
    let files = files_below(&root);
    let mut seen = 0;
    let mut wrong = Vec::new();
    for document in ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md", "SECURITY.md"] {
        let text = fs::read_to_string(root.join(document)).unwrap();
        seen += mentions(&text).len();
        wrong.extend(missing(document, &text, &files));
    }
    assert!(seen > 10, "the documents name hardly a file: the rule is blind");
    none(&wrong);
}

#[test]
fn a_document_that_names_a_missing_file_is_noticed() {
    let files = ["crates/server/src/login/mod.rs", "docs/decisions/a.md", "README.md"].map(str::to_owned);
    for text in ["see `login/gone.rs`", "in `crates/gone/`", "[why](docs/decisions/gone.md)", "`gone.rs`"] {
        assert_eq!(missing("README.md", text, &files).len(), 1, "{text}");
    }
    for text in [
        "`login/mod.rs`, `mod.rs`, `docs/`",
        "`/api/v1/`",
        "[a](https://a.example/gone.md)",
        "```\n`gone.rs`\n```",
        "gone.rs",
    ] {
        none(&missing("README.md", text, &files));
    }
    none(&missing("docs/decisions/b.md", "[a](a.md)", &files));
}
