//! Reading Rust well enough for the rules: code, comments and string literals kept apart.
use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository. In `code` comments and the insides of strings are blank, so every line keeps its number.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) code: String,
    pub(crate) strings: Vec<(usize, String)>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, strings) = split(text);
        Self { path: path.to_owned(), text: text.to_owned(), code, strings }
    }

    /// The file's name without its folders.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The first folder or file below `src/`, without its ending: the module of the map that the file belongs to.
    pub(super) fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or(&self.path);
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

/// The folder that holds the workspace.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace folder")
}

/// Every Rust file below a folder of the repository, its path relative to that folder.
pub(crate) fn rust_below(folder: &str) -> Vec<Source> {
    let root = repository().join(folder);
    let rust = |path: &&String| Path::new(path.as_str()).extension().is_some_and(|end| end == "rs");
    let all = files_below(&root);
    let sources: Vec<Source> = all.iter().filter(rust).map(|path| read(&root, path)).collect();
    assert!(!sources.is_empty(), "no Rust file below {folder}: the rules would check nothing");
    sources
}

fn read(root: &Path, path: &str) -> Source {
    Source::new(path, &fs::read_to_string(root.join(path)).expect("a readable file"))
}

/// The files below a folder, sorted, without those that `.gitignore` names at the top.
pub(super) fn files_below(root: &Path) -> Vec<String> {
    let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let entry = entry.expect("a readable entry");
            let path = entry.path();
            let relative =
                path.strip_prefix(root).expect("a path below the root").to_string_lossy().into_owned();
            let name = entry.file_name();
            if is_ignored(&ignored, &relative) || name == ".git" || name == "node_modules" {
                continue;
            }
            let kind = entry.file_type().expect("a kind of file");
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                found.push(relative);
            }
        }
    }
    found.sort();
    found
}

fn is_ignored(ignored: &str, relative: &str) -> bool {
    ignored
        .lines()
        .filter_map(|line| line.trim().strip_prefix('/'))
        .any(|name| name.trim_end_matches('/') == relative)
}

/// Splits Rust text into code and string literals; the literals come with the number of their first line.
fn split(text: &str) -> (String, Vec<(usize, String)>) {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut strings = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        if rest.starts_with(&['/', '/']) {
            let length = rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
            blank(&mut code, &rest[..length]);
            at += length;
        } else if rest.starts_with(&['/', '*']) {
            let length = comment(rest);
            blank(&mut code, &rest[..length]);
            at += length;
        } else if let Some((open, close)) = literal(rest, at.checked_sub(1).map(|before| chars[before])) {
            let line = code.matches('\n').count() + 1;
            let inside = &rest[open..close];
            strings.push((line, inside.iter().collect()));
            code.push('"');
            blank(&mut code, inside);
            code.push('"');
            at += close + end_of(rest, open);
        } else if let Some(length) = character(rest) {
            blank(&mut code, &rest[..length]);
            at += length;
        } else {
            code.push(chars[at]);
            at += 1;
        }
    }
    (code, strings)
}

fn blank(code: &mut String, chars: &[char]) {
    code.extend(chars.iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
}

/// The length of a block comment, with those nested in it.
fn comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// Where the inside of a string literal begins and ends, if one begins here: `"…"`, `b"…"`, `c"…"`, `r#"…"#`.
fn literal(rest: &[char], before: Option<char>) -> Option<(usize, usize)> {
    if before.is_some_and(is_word) && rest[0] != '"' {
        return None;
    }
    let kind = rest.iter().take_while(|c| matches!(c, 'b' | 'c' | 'r')).count();
    let hashes = rest[kind..].iter().take_while(|c| **c == '#').count();
    let raw = rest[..kind].contains(&'r');
    if kind > 2 || (hashes > 0 && !raw) || rest.get(kind + hashes) != Some(&'"') {
        return None;
    }
    let open = kind + hashes + 1;
    let mut at = open;
    while at < rest.len() {
        match rest[at] {
            '\\' if !raw => at += 1,
            '"' if rest[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes => {
                return Some((open, at));
            }
            _ => {}
        }
        at += 1;
    }
    Some((open, rest.len()))
}

/// The length of what closes a literal whose inside begins at `open`: the quote and as many `#` as opened it.
fn end_of(rest: &[char], open: usize) -> usize {
    1 + rest[..open].iter().filter(|c| **c == '#').count()
}

/// The length of a character literal, if one begins here; a lifetime is none.
fn character(rest: &[char]) -> Option<usize> {
    match rest {
        ['\'', '\\', ..] => rest.get(3..)?.iter().position(|c| *c == '\'').map(|end| end + 4),
        ['\'', _, '\'', ..] => Some(3),
        _ => None,
    }
}

/// Whether a character may stand in a name.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The line numbers on which a needle stands as whole words.
pub(super) fn lines_with(code: &str, needle: &str) -> Vec<usize> {
    let stands = |line: &str| {
        line.match_indices(needle).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + needle.len()..].chars().next();
            let inner =
                |edge: Option<char>, own: Option<char>| edge.is_some_and(is_word) && own.is_some_and(is_word);
            !inner(before, needle.chars().next()) && !inner(after, needle.chars().next_back())
        })
    };
    code.lines().enumerate().filter(|(_, line)| stands(line)).map(|(number, _)| number + 1).collect()
}
