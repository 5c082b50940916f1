//! The map in `lib.rs`: groups of modules, and which imports their order forbids.
use super::paths::named;
use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// The groups in the order of imports: each may use those before it.
const GROUPS: [&str; 5] = ["platform", "ground", "features", "flows", "edge"];

/// The group of each module, as its place in [`GROUPS`].
pub(super) struct Map(BTreeMap<String, usize>);

impl Map {
    /// Reads `lib.rs`; a module outside the groups, a strange group or a wrong order is an error.
    pub(super) fn read(lib: &str) -> Result<Self, Vec<String>> {
        let mut groups = BTreeMap::new();
        let mut seen: Vec<&str> = Vec::new();
        let mut wrong = Vec::new();
        for (number, line) in lib.lines().enumerate() {
            let number = number + 1;
            let line = line.trim();
            let declared = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ");
            if let Some(header) = line.strip_prefix("// ──") {
                seen.push(header.split([':', ' ']).find(|word| !word.is_empty()).unwrap_or_default());
            } else if let Some(module) = declared.and_then(|rest| rest.strip_suffix(';')) {
                match seen.last().and_then(|group| GROUPS.iter().position(|known| known == group)) {
                    Some(group) => drop(groups.insert(module.to_owned(), group)),
                    None => wrong.push(format!("lib.rs:{number}: {module} stands in no known group")),
                }
            }
        }
        if seen != GROUPS {
            wrong.push(format!("lib.rs: the groups are {seen:?}, not {GROUPS:?}"));
        }
        if wrong.is_empty() { Ok(Self(groups)) } else { Err(wrong) }
    }

    /// Imports of a module from a group below its own.
    pub(super) fn upward(&self, sources: &[Source]) -> Vec<String> {
        let mut wrong = BTreeSet::new();
        self.each_import(sources, |source, line, from, to| {
            if self.0[from] < self.0[to] {
                let (lower, upper) = (GROUPS[self.0[from]], GROUPS[self.0[to]]);
                wrong.insert(format!("{}:{line}: {from} ({lower}) may not use {to} ({upper})", source.path));
            }
        });
        wrong.into_iter().collect()
    }

    /// Modules of one group that use each other in a circle.
    pub(super) fn cycles(&self, sources: &[Source]) -> Vec<String> {
        let mut edges: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
        self.each_import(sources, |source, line, from, to| {
            if from != to && self.0[from] == self.0[to] {
                edges.entry(from).or_default().entry(to).or_insert_with(|| format!("{}:{line}", source.path));
            }
        });
        let mut wrong = Vec::new();
        while let Some(circle) = circle(&mut edges) {
            let next = |index: usize| circle[(index + 1) % circle.len()];
            let step = |(index, from): (usize, &&str)| {
                format!("{from} uses {} ({})", next(index), edges[*from][next(index)])
            };
            wrong.push(circle.iter().enumerate().map(step).collect::<Vec<_>>().join(", "));
            // The next round looks for a circle that does without this step.
            if let Some(uses) = edges.get_mut(circle[0]) {
                uses.remove(next(0));
            }
        }
        wrong
    }

    /// Files of modules that the map does not name.
    pub(super) fn strangers(&self, sources: &[Source]) -> Vec<String> {
        let stranger = |source: &&Source| !self.0.contains_key(source.module()) && !is_root(source);
        sources.iter().filter(stranger).map(|source| format!("{}: not on the map", source.path)).collect()
    }

    fn each_import<'a>(
        &'a self,
        sources: &'a [Source],
        mut visit: impl FnMut(&Source, usize, &'a str, &'a str),
    ) {
        for source in sources.iter().filter(|source| !is_root(source)) {
            let Some((from, _)) = self.0.get_key_value(source.module()) else { continue };
            for path in named(source) {
                let Some(first) = path.segments.first() else { continue };
                if first == "*" {
                    // Everything at once: taken as the last group, so that nobody below it can do so.
                    self.0.keys().for_each(|to| visit(source, path.line, from, to));
                } else if let Some((to, _)) = self.0.get_key_value(first) {
                    visit(source, path.line, from, to);
                }
            }
        }
    }
}

/// One circle among the uses, if there is any. Modules on no circle are taken out on the way.
fn circle<'a>(edges: &mut BTreeMap<&'a str, BTreeMap<&'a str, String>>) -> Option<Vec<&'a str>> {
    // A module that uses nothing that is left is on no circle; those that remain all use another one.
    loop {
        let left: BTreeSet<&str> = edges.keys().copied().collect();
        for uses in edges.values_mut() {
            uses.retain(|to, _| left.contains(to));
        }
        edges.retain(|_, uses| !uses.is_empty());
        if edges.len() == left.len() {
            break;
        }
    }
    // So following the uses comes back to a module of the way, and from there on it is a circle.
    let mut way = vec![*edges.keys().next()?];
    loop {
        let next = *edges[way.last()?].keys().next()?;
        if let Some(start) = way.iter().position(|module| *module == next) {
            return Some(way.split_off(start));
        }
        way.push(next);
    }
}

fn is_root(source: &Source) -> bool {
    ["lib.rs", "main.rs"].contains(&source.path.as_str())
}
