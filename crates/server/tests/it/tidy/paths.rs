//! The paths that a Rust file names, `use` trees unfolded, each seen from the root of the crate.
use super::source::{Source, is_word};
use std::collections::HashMap;

/// A path such as `["sessions", "store"]` for `crate::sessions::store`, and the line that names it.
pub(super) struct Named {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

#[derive(Clone)]
struct Token {
    text: String,
    line: usize,
}

/// Every path of the file that leads to a place in the crate. What comes from other crates is left out.
pub(super) fn named(source: &Source) -> Vec<Named> {
    let tokens = tokens(&source.code);
    let home = home(&source.path);
    let mut known = HashMap::new();
    let mut all = Vec::new();
    // Imports first: they say what short names mean.
    walk(&tokens, &home, |place, at| {
        if tokens[at].text != "use" {
            return;
        }
        let mut cursor = at + 1;
        for (segments, name, line) in tree(&tokens, &mut cursor, &[]) {
            if let Some(absolute) = absolute(&segments, place, &HashMap::new()) {
                known.insert(name, absolute.clone());
                all.push(Named { segments: absolute, line });
            }
        }
    });
    walk(&tokens, &home, |place, at| {
        if let Some(absolute) = absolute(&inline(&tokens, at), place, &known) {
            all.push(Named { segments: absolute, line: tokens[at].line });
        }
    });
    all
}

/// The module path of a file: `a/mod.rs` and `a.rs` are `a`, `a/b.rs` is `a::b`, `lib.rs` is the root.
fn home(path: &str) -> Vec<String> {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let mut home: Vec<String> = stem.split('/').map(str::to_owned).collect();
    if home.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        home.pop();
    }
    home
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token { text: rest[..length].to_owned(), line: number + 1 });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// Calls `visit` for each token with the module it stands in; `mod tests { … }` inside a file counts.
fn walk(tokens: &[Token], home: &[String], mut visit: impl FnMut(&[String], usize)) {
    let mut place = home.to_vec();
    let mut depth = 0;
    let mut opened = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => {
                if at >= 2 && tokens[at - 2].text == "mod" {
                    place.push(tokens[at - 1].text.clone());
                    opened.push(depth);
                }
                depth += 1;
            }
            "}" => {
                depth -= 1;
                if opened.last() == Some(&depth) {
                    opened.pop();
                    place.pop();
                }
            }
            _ => {}
        }
        visit(&place, at);
    }
}

/// Unfolds one `use` tree: each path, the name it goes by in the file, its line.
fn tree(tokens: &[Token], cursor: &mut usize, before: &[String]) -> Vec<(Vec<String>, String, usize)> {
    let mut found = Vec::new();
    let mut segments = before.to_vec();
    let mut name = String::new();
    let mut line = 0;
    let mut own = false;
    while let Some(token) = tokens.get(*cursor) {
        match token.text.as_str() {
            "," | "}" | ";" => break,
            "::" => {}
            "{" => {
                loop {
                    *cursor += 1;
                    found.extend(tree(tokens, cursor, &segments));
                    if tokens.get(*cursor).is_none_or(|token| token.text != ",") {
                        break;
                    }
                }
                own = false;
                *cursor += 1;
                continue;
            }
            "as" => {
                *cursor += 1;
                name = tokens.get(*cursor).map(|token| token.text.clone()).unwrap_or_default();
            }
            text => {
                if text != "self" || segments.is_empty() {
                    segments.push(text.to_owned());
                }
                name = segments.last().cloned().unwrap_or_default();
                line = token.line;
                own = true;
            }
        }
        *cursor += 1;
    }
    if own {
        found.push((segments, name, line));
    }
    found
}

/// The path of two or more names that begins here; nothing where none begins.
fn inline(tokens: &[Token], at: usize) -> Vec<String> {
    let is_name = |at: usize| tokens.get(at).is_some_and(|token| token.text.starts_with(is_word));
    let is_joint = |at: usize| tokens.get(at).is_some_and(|token| token.text == "::");
    if !is_name(at) || (at > 0 && ["::", "use"].contains(&tokens[at - 1].text.as_str())) {
        return Vec::new();
    }
    let mut segments = vec![tokens[at].text.clone()];
    let mut joint = at + 1;
    while is_joint(joint) && is_name(joint + 1) {
        segments.push(tokens[joint + 1].text.clone());
        joint += 2;
    }
    if segments.len() > 1 { segments } else { Vec::new() }
}

/// The path from the root of the crate, if it leads into the crate.
fn absolute(
    segments: &[String],
    place: &[String],
    known: &HashMap<String, Vec<String>>,
) -> Option<Vec<String>> {
    let (first, mut rest) = segments.split_first()?;
    let mut path = match first.as_str() {
        "crate" | "hallpass" => Vec::new(),
        "self" => place.to_vec(),
        "super" => place.split_last()?.1.to_vec(),
        name => known.get(name)?.clone(),
    };
    while rest.first().is_some_and(|next| next == "super") {
        path.pop();
        rest = &rest[1..];
    }
    path.extend_from_slice(rest);
    Some(path)
}
