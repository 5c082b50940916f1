//! The rules that look at one file: each takes it and answers with what is wrong, as `path:line: what`.
use super::paths::named;
use super::source::{Source, lines_with};

/// `store` is private to its feature.
pub(super) fn public_store(source: &Source) -> Vec<String> {
    let open = |line: &usize| {
        let before = source.code.lines().nth(line - 1).unwrap_or_default().split("mod store").next();
        before.is_some_and(|before| before.split_whitespace().any(|word| word.starts_with("pub")))
    };
    let lines = lines_with(&source.code, "mod store").into_iter().filter(open);
    lines.map(|line| at(source, line, "store has to be private")).collect()
}

/// SQL stands only in `store.rs` and under `db/`.
pub(super) fn stray_sql(source: &Source) -> Vec<String> {
    if source.name() == "store.rs" || source.path.starts_with("db/") {
        return Vec::new();
    }
    let sql = source.strings.iter().filter(|(_, text)| is_sql(text));
    sql.map(|(line, _)| at(source, *line, "SQL belongs into store.rs")).collect()
}

/// Whether a string is a statement: begins with a verb and has the word that follows it. A sentence such as
/// "Update your client" is none, nor is the name of an HTTP method.
pub(super) fn is_sql(text: &str) -> bool {
    let text = text.replace("\\n", " ").to_lowercase();
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || "(),\\".contains(c)).filter(|w| !w.is_empty()).collect();
    match words.as_slice() {
        ["select", _, ..]
        | ["insert", "into" | "or", ..]
        | ["delete", "from", ..]
        | ["with", "recursive", ..] => true,
        ["update", rest @ ..] => rest.contains(&"set"),
        ["with", _, "as", ..] => text.contains('('),
        _ => false,
    }
}

/// Database engines are known only under `db/`.
pub(super) fn stray_engine(source: &Source) -> Vec<String> {
    if source.path.starts_with("db/") {
        return Vec::new();
    }
    let engines = ["rusqlite", "tokio_postgres", "deadpool_postgres", "refinery"];
    let found = |engine| lines_with(&source.code, engine).into_iter().map(move |line| (line, engine));
    engines
        .into_iter()
        .flat_map(found)
        .map(|(line, engine)| at(source, line, &format!("{engine} is for db/ only")))
        .collect()
}

/// A file has at most 400 lines, or says why.
pub(super) fn too_long(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    let reason = |line: &str| {
        line.trim_start().strip_prefix("// long file:").is_some_and(|why| !why.trim().is_empty())
    };
    if lines <= 400 || source.text.lines().any(reason) {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines; split it or add a line `// long file: reason`", source.path)]
}

/// Nothing is left for later, nothing is skipped.
pub(super) fn unfinished(source: &Source) -> Vec<String> {
    let macros = ["todo!", "unimplemented!", "dbg!"];
    let mut wrong: Vec<String> = Vec::new();
    for name in macros {
        wrong.extend(lines_with(&source.code, name).into_iter().map(|line| at(source, line, name)));
    }
    let ignored = |line: &usize| {
        let line = source.code.lines().nth(line - 1).unwrap_or_default().trim_start();
        line.contains(concat!("#[", "ignore")) || (line.contains("#[cfg_attr") && line.contains("ignore"))
    };
    wrong.extend(
        lines_with(&source.code, "ignore")
            .into_iter()
            .filter(ignored)
            .map(|line| at(source, line, "an ignored test")),
    );
    wrong
}

/// Only `login` starts sessions. Inside `sessions` nobody calls it either.
pub(super) fn starts_sessions(source: &Source) -> Vec<String> {
    if source.module() == "login" {
        return Vec::new();
    }
    let begins = ["start", "impersonate", "*"];
    let is_start = |segments: &[String]| matches!(segments, [module, name] if module == "sessions" && begins.contains(&name.as_str()));
    let mut lines: Vec<usize> =
        named(source).iter().filter(|path| is_start(&path.segments)).map(|path| path.line).collect();
    if source.path == "sessions/mod.rs" {
        let called = |line: &usize| {
            let line = source.code.lines().nth(line - 1).unwrap_or_default();
            !line.contains("fn start(") && !line.contains(".start(") && !line.contains("::start(")
        };
        lines.extend(lines_with(&source.code, "start(").into_iter().filter(called));
    }
    lines.into_iter().map(|line| at(source, line, "only login starts sessions")).collect()
}

/// A handler opens no transaction: verbs do.
pub(super) fn handler_begins(source: &Source) -> Vec<String> {
    if source.name() != "routes.rs" {
        return Vec::new();
    }
    lines_with(&source.code, "begin(")
        .into_iter()
        .map(|line| at(source, line, "a handler opens no transaction"))
        .collect()
}

/// Handlers and pages do not import those of another feature.
pub(super) fn borrows_handlers(source: &Source) -> Vec<String> {
    if !["routes.rs", "pages.rs"].contains(&source.name()) {
        return Vec::new();
    }
    let borrowed = |segments: &[String]| match segments {
        [feature, file, ..] => feature != source.module() && ["routes", "pages"].contains(&file.as_str()),
        _ => false,
    };
    let paths = named(source);
    let wrong = paths.iter().filter(|path| borrowed(&path.segments));
    wrong
        .map(|path| {
            at(source, path.line, &format!("{} belongs to another feature", path.segments.join("::")))
        })
        .collect()
}

/// The pure crate knows no clock, no I/O, no async and not the server.
pub(super) fn impure(source: &Source) -> Vec<String> {
    let banned = [
        "async",
        "tokio",
        "axum",
        "hallpass",
        "std::env",
        "std::fs",
        "std::io",
        "std::net",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant",
    ];
    let found = |word| lines_with(&source.code, word).into_iter().map(move |line| (line, word));
    banned
        .into_iter()
        .flat_map(found)
        .map(|(line, word)| at(source, line, &format!("{word} in the pure crate")))
        .collect()
}

fn at(source: &Source, line: usize, what: &str) -> String {
    format!("{}:{line}: {what}", source.path)
}
