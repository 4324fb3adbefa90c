//! The marks of every route, said once more: a route that is not here, or differs, fails.

use crate::support::TestDeps;
use auth::permission::{Class, config_service as op};
use config_service::routes::routes;
use std::collections::BTreeSet;

/// Workers that may ask for verdicts and configurations.
const ASKERS: [&str; 5] = [
    "image-gen",
    "task-master",
    "repo-agent",
    "telemetry",
    "console",
];

#[test]
fn every_route_has_the_marks_that_this_worker_needs() {
    let table = config_service_routes();
    let mut served = BTreeSet::new();
    for mark in table.marks() {
        let operation = mark.operation;
        let name = operation.name;
        assert!(served.insert(name), "{name} twice");
        assert_eq!(mark.body_cap_bytes, 256 * 1024, "{name}");
        // The caller is resolved in the handler's own read batch.
        assert_eq!(operation.need, None, "{name}");
        // No work begins here, and no key comes in a body.
        assert!(!operation.work && !operation.body_key, "{name}");
        let internal = mark.path.starts_with("/internal/v1/");
        match operation.class {
            Class::System(callers) => {
                assert!(internal, "{name}");
                let most = if name.contains("credential") {
                    &ASKERS[..3]
                } else {
                    &ASKERS[..]
                };
                assert_eq!(callers, most, "{name}");
            }
            Class::Public => assert!(["health", "openapi"].contains(&name), "{name}"),
            _ => assert!(!internal, "{name}"),
        }
        let also: &[&str] = if name == "pause_instance" {
            &["telemetry"]
        } else {
            &[]
        };
        assert_eq!(operation.also, also, "{name}");
        assert_eq!(operation.by_key_itself, name == "rotate_api_key", "{name}");
    }
    let all: BTreeSet<&str> = op::ALL.iter().map(|operation| operation.name).collect();
    assert_eq!(served, all);
}

fn config_service_routes() -> middleware::Routes<TestDeps> {
    routes()
}
