//! The description of the API is kept in `docs/openapi`; `UPDATE_OPENAPI=1` writes it anew.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::Value;
use std::collections::BTreeSet;
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

const README: &str = include_str!("../README.md");

/// Operations of the document: method, path, operation.
fn operations(document: &Value) -> Vec<(String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, it)| (method.to_uppercase(), path, it))
    });
    all.collect()
}

#[test]
fn the_readme_has_each_route_once_with_its_class() {
    let document = config_service::openapi::document();
    for (method, path, it) in operations(&document) {
        let text = |name: &str| it[name].as_str().unwrap_or_default();
        let route = format!("| `{method} {path}` | `{}` | ", text("operationId"));
        let rows: Vec<&str> = README
            .lines()
            .filter_map(|line| line.strip_prefix(&route))
            .collect();
        assert_eq!(rows.len(), 1, "{route}");
        let said = format!("`{method} {path}` |");
        assert_eq!(README.matches(&said).count(), 1, "{route}");
        let class = text("x-class");
        assert!(
            rows[0].starts_with(class),
            "{route}: {class}, not {}",
            rows[0]
        );
        let scope = text("x-scope");
        assert!(
            scope.is_empty() || rows[0].contains(&format!("`{scope}`")),
            "{route}: {scope}, not {}",
            rows[0]
        );
    }
}

#[test]
fn the_readme_lists_every_code_of_the_description_once() {
    // Of internal routes, of the router, and of what the description calls an internal error.
    let undescribed = [
        "decryption_failed",
        "instance_mismatch",
        "instance_required",
        "method_not_allowed",
        "project_mismatch",
        "project_required",
    ];
    let document = config_service::openapi::document();
    let mut codes: BTreeSet<&str> = undescribed.into();
    for (_, _, it) in operations(&document) {
        let answers = it["responses"].as_object().unwrap().values();
        let listed = answers.filter_map(|answer| answer["x-codes"].as_array());
        codes.extend(listed.flatten().map(|code| code.as_str().unwrap()));
    }
    let (_, list) = README.split_once("## Error codes").unwrap();
    let line = list.lines().find(|line| line.starts_with('`')).unwrap();
    let told: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
    assert_eq!(told, codes.into_iter().collect::<Vec<_>>());
    assert_eq!(README.matches("## Error codes").count(), 1);
}
