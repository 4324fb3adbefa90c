//! The description of the API is kept in `docs/openapi`; `UPDATE_OPENAPI=1` writes it anew.

use std::path::Path;

#[test]
fn the_kept_description_is_the_served_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi/config-service.json");
    let mut served = serde_json::to_string_pretty(&config_service::openapi::document()).unwrap();
    served.push('\n');
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &served).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == served,
        "docs/openapi/config-service.json is old: run with UPDATE_OPENAPI=1"
    );
}
