//! Who may depend on whom, as an allow-list.

use std::collections::{BTreeMap, BTreeSet};

use crate::workers::Graph;

/// Direct dependencies that each library or program may have inside the workspace.
const ALLOWED: &[(&str, &[&str])] = &[
    ("errors", &[]),
    ("api-types", &["errors"]),
    ("platform", &["api-types", "errors"]),
    ("store", BASE),
    ("logging", BASE),
    ("rate-limiter", &["api-types", "errors", "jobs", "platform"]),
    ("r2-manager", BASE),
    ("auth", BASE),
    ("platform-workers", BASE),
    ("lookup", &["api-types", "auth", "errors", "platform"]),
    ("provider-adapters", PURE),
    ("jobs", PURE),
    ("mcp", PURE),
    ("evidence", PURE),
    (
        "provider-driver",
        &["api-types", "errors", "platform", "provider-adapters"],
    ),
    (
        "middleware",
        &[
            "api-types",
            "auth",
            "errors",
            "logging",
            "lookup",
            "platform",
        ],
    ),
    ("provider-sim", &["api-types"]),
    ("sandbox-runner", &["api-types", "evidence", "logging"]),
    ("e2e", &["api-types", "provider-sim"]),
    ("scripts", &["api-types", "auth", "platform"]),
];

const BASE: &[&str] = &["api-types", "errors", "platform"];
const PURE: &[&str] = &["api-types", "errors"];

/// What every worker may use.
const WORKERS: &[&str] = &[
    "api-types",
    "auth",
    "errors",
    "jobs",
    "logging",
    "lookup",
    "mcp",
    "middleware",
    "platform",
    "platform-workers",
    "provider-adapters",
    "r2-manager",
    "rate-limiter",
    "store",
];

/// What only some workers may use besides.
const WORKERS_BY_NAME: &[(&str, &[&str])] = &[
    (
        "provider-driver",
        &["image-gen", "task-master", "repo-agent"],
    ),
    ("evidence", &["repo-agent"]),
];

/// Edges that exist for tests only.
const TESTS_ONLY: &[(&str, &str)] = &[
    ("provider-driver", "provider-sim"),
    // A journey seals values itself, because only then does it know what must come out again.
    ("e2e", "auth"),
    ("e2e", "platform"),
];

/// The crate of the platform's own bindings.
const WORKER_CRATE: &str = "worker";
const PLATFORM_CRATE: &str = "platform-workers";

/// Every edge outside the list.
pub fn problems(graph: &Graph) -> Vec<String> {
    let table: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let none = BTreeSet::new();
    let mut problems = Vec::new();
    for (package, dir) in &graph.dirs {
        let is_worker = dir
            .parent()
            .is_some_and(|parent| parent.ends_with("workers"));
        let may = |dependency: &str| {
            if is_worker {
                WORKERS.contains(&dependency)
                    || WORKERS_BY_NAME.iter().any(|(name, users)| {
                        *name == dependency && users.contains(&package.as_str())
                    })
            } else {
                table
                    .get(package.as_str())
                    .is_some_and(|allowed| allowed.contains(&dependency))
            }
        };
        if !is_worker && !table.contains_key(package.as_str()) {
            problems.push(format!("{package}: no row in scripts/src/tidy/edges.rs"));
        }
        for dependency in graph.built_from.get(package).unwrap_or(&none) {
            if !may(dependency) {
                problems.push(format!("{package} may not depend on {dependency}"));
            }
        }
        for dependency in graph.tested_with.get(package).unwrap_or(&none) {
            let for_tests = TESTS_ONLY.contains(&(package.as_str(), dependency.as_str()));
            if !may(dependency) && !for_tests && dependency != package {
                problems.push(format!("tests of {package} may not depend on {dependency}"));
            }
        }
        let direct = graph.direct.get(package).unwrap_or(&none);
        if direct.contains(WORKER_CRATE) && !is_worker && package != PLATFORM_CRATE {
            problems.push(format!(
                "{package} depends on `worker`: only platform-workers and workers may"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn graph(edges: &[(&str, &str, &str)]) -> Graph {
        let mut graph = Graph::default();
        for (package, kind, dependency) in edges {
            let folder = if *kind == "worker" {
                "workers"
            } else {
                "crates"
            };
            let (name, dependency) = ((*package).to_owned(), (*dependency).to_owned());
            graph
                .dirs
                .entry(name.clone())
                .or_insert_with(|| PathBuf::from("/r").join(folder).join(package));
            let map = if *kind == "dev" {
                &mut graph.tested_with
            } else {
                &mut graph.built_from
            };
            map.entry(name.clone())
                .or_default()
                .insert(dependency.clone());
            if *kind != "dev" {
                graph.direct.entry(name).or_default().insert(dependency);
            }
        }
        graph
    }

    #[test]
    fn listed_edges_pass() {
        let graph = graph(&[
            ("store", "", "platform"),
            ("image-gen", "worker", "provider-driver"),
            ("provider-driver", "dev", "provider-sim"),
        ]);
        assert_eq!(problems(&graph), Vec::<String>::new());
    }

    #[test]
    fn other_edges_are_named() {
        for (edge, expected) in [
            (("store", "", "auth"), "store may not depend on auth"),
            (
                ("console", "worker", "provider-driver"),
                "console may not depend on provider-driver",
            ),
            (
                ("console", "worker", "image-gen"),
                "console may not depend on image-gen",
            ),
            (
                ("e2e", "dev", "scripts"),
                "tests of e2e may not depend on scripts",
            ),
            (("novel", "", "errors"), "novel: no row"),
        ] {
            let found = problems(&graph(&[edge]));
            assert!(
                found.iter().any(|problem| problem.contains(expected)),
                "{found:?}"
            );
        }
    }

    #[test]
    fn the_platform_crate_stays_behind_its_wall() {
        let mut graph = graph(&[("store", "", "platform")]);
        graph
            .direct
            .get_mut("store")
            .unwrap()
            .insert("worker".into());
        assert_eq!(problems(&graph).len(), 1);
    }
}
