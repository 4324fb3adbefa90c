//! The OpenAPI document as a snapshot: `UPDATE_OPENAPI=1` writes it, otherwise drift fails.

use std::path::Path;

#[test]
fn the_document_is_the_one_in_docs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi/image-gen.json");
    let text = serde_json::to_string_pretty(&image_gen::openapi::document()).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        known == text,
        "docs/openapi/image-gen.json differs: UPDATE_OPENAPI=1 cargo test -p image-gen --test openapi"
    );
}
