//! Every test that the documents name as what keeps a promise exists.

use std::path::{Path, PathBuf};

#[test]
fn every_test_that_a_document_names_exists() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = ["tests", "crates"].map(|folder| sources(&top.join(folder))).concat();
    let mut missing = Vec::new();
    for document in ["docs/SPECIFICATION.md", "docs/ARCHITECTURE.md", "docs/isolation.md"] {
        for name in super::read(document).split('`').filter(|word| is_sentence(word)) {
            if !sources.contains(&format!("fn {name}(")) {
                missing.push(format!("{document}: {name}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// Test names are sentences: at least four words.
fn is_sentence(word: &str) -> bool {
    word.matches('_').count() >= 3
        && word.bytes().all(|c| c.is_ascii_lowercase() || b"_0123456789".contains(&c))
}

fn sources(folder: &Path) -> String {
    let mut waiting = vec![folder.to_owned()];
    let mut text = String::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs_err::read_dir(&path).unwrap();
            waiting.extend(entries.map(|entry: std::io::Result<fs_err::DirEntry>| -> PathBuf {
                entry.unwrap().path()
            }));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs_err::read_to_string(&path).unwrap();
        }
    }
    text
}
