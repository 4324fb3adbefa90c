//! The document is a snapshot, and it names every route of the table.

#[cfg(test)]
mod tests {
    use console::{openapi, routes};
    use platform::fakes::FakePorts;
    use std::path::Path;

    #[test]
    fn the_document_is_the_committed_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi/console.json");
        let mut text = serde_json::to_string_pretty(&openapi::document()).unwrap();
        text.push('\n');
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "docs/openapi/console.json differs: UPDATE_OPENAPI=1 cargo test -p console --test openapi"
        );
    }

    #[test]
    fn every_route_is_described_with_its_class() {
        let document = openapi::document();
        for mark in routes::routes::<FakePorts>().marks() {
            let method = mark.method.as_str().to_ascii_lowercase();
            let operation = &document["paths"][mark.path][method];
            assert_eq!(
                operation["x-class"],
                mark.operation.class_word(),
                "{}",
                mark.path
            );
            let id = operation["operationId"].as_str().unwrap();
            assert!(id.starts_with(mark.operation.name), "{id}");
        }
    }
}
