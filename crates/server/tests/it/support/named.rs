//! Pages of the documentation, and the tests that they name: whether they exist.
use std::path::{Path, PathBuf};

/// A page under `docs/`.
pub fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)).unwrap()
}

/// The mark of a test of the pure crate.
const CRYPTO: &str = "crypto: ";

/// The source of a module: its file and those in the folder of its name.
fn source(root: &Path, module: &str) -> String {
    let mut files = vec![root.join(format!("{module}.rs"))];
    if let Ok(entries) = std::fs::read_dir(root.join(module)) {
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.iter().map(|file: &PathBuf| std::fs::read_to_string(file).unwrap_or_default()).collect()
}

/// Whether there is a test of this name: `file::test` of this binary, or `crypto: module::test` of the pure crate.
pub fn exists(test: &str) -> bool {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (path, roots) = match test.strip_prefix(CRYPTO) {
        Some(path) => (path, vec![server.join("../crypto/src"), server.join("../crypto/tests")]),
        None => (test, vec![server.join("tests/it")]),
    };
    let (module, _) = path.split_once("::").unwrap_or_else(|| panic!("{test} is not module::test"));
    let (_, name) = path.rsplit_once("::").unwrap();
    let head = format!("fn {name}(");
    // A test has its attribute right above; a helper of the same name does not count.
    roots.iter().any(|root| {
        let source = source(root, module);
        source.match_indices(&head).any(|(at, _)| {
            let before = source[..at].trim_end_matches("async ").trim_end();
            before.ends_with("#[test]") || before.rsplit('\n').next().unwrap().contains("#[tokio::test")
        })
    })
}
