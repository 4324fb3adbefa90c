//! No worker's document without its matrix.

use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Whether tests below that folder compare the document with recipes, both ways.
fn has_matrix(tests: &Path) -> bool {
    sources(tests).iter().any(|path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.contains("testing::matrix") && text.contains("differences(")
    })
}

#[test]
fn every_document_is_compared_with_the_recipes_of_its_worker() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut without = Vec::new();
    let mut documents = 0;
    for path in sources(&root.join("docs/openapi")) {
        let worker = path.file_stem().unwrap().to_str().unwrap().to_owned();
        documents += 1;
        if !has_matrix(&root.join("workers").join(&worker).join("tests")) {
            without.push(worker);
        }
    }
    assert!(without.is_empty(), "no matrix: {without:?}");
    assert!(documents >= 4, "{documents}");
    assert!(!has_matrix(&root.join("crates/errors/src")));
}
