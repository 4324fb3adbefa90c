//! The description against the route table and against its snapshot. `UPDATE_OPENAPI=1` writes the snapshot.

use admission::{OPENAPI, routes};
use platform::fakes::FakePorts;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_route_is_described_and_nothing_else() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let described: BTreeSet<(String, String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .iter()
                .map(|(method, operation)| {
                    let name = operation["operationId"].as_str().unwrap().to_owned();
                    (path.clone(), method.to_uppercase(), name)
                })
        })
        .collect();
    let served: BTreeSet<(String, String, String)> = routes::<FakePorts>()
        .marks()
        .iter()
        .map(|mark| {
            (
                mark.path.to_owned(),
                mark.method.to_string(),
                mark.operation.name.to_owned(),
            )
        })
        .collect();
    assert_eq!(described, served);
}

#[test]
fn the_snapshot_is_the_description() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi/admission.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, OPENAPI).unwrap();
    }
    let snapshot = std::fs::read_to_string(&path).unwrap();
    assert_eq!(snapshot, OPENAPI, "run `cargo x openapi`");
}
