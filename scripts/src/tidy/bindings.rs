//! Names of bindings, vars and secrets: equal in `wrangler.jsonc`, `.dev.vars.example` and code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::digest;
use crate::failure::{Context, Result};
use crate::layout::Layout;
use crate::versions::Versions;
use crate::workers::{PROBE, PROBED};

use super::all_workers;

/// Vars of every worker.
const COMMON_VARS: [&str; 3] = ["ENVIRONMENT", "GIT_SHA", "LOG_LEVEL"];

/// Names that code may ask for although no base file declares them: bindings of workers that come
/// later, what only a deployment sets, and test knobs, which `bindings.rs` ignores in production.
const UNDECLARED: &[&str] = &[
    "BUDGET",
    "INSTANCE_ID",
    "LOG_SINK",
    "PROBE",
    "VERSION_METADATA",
];
/// Secrets that come with an id: code joins the family and the id.
const FAMILIES: &[&str] = &["KEK", "KEY_PEPPER"];
/// Endings of test knobs.
const KNOB_ENDINGS: &[&str] = &["_MS"];

/// Where wrangler files declare names: list, member with the name.
const BINDING_LISTS: &[(&str, &str)] = &[
    ("/d1_databases", "binding"),
    ("/kv_namespaces", "binding"),
    ("/r2_buckets", "binding"),
    ("/services", "binding"),
    ("/queues/producers", "binding"),
    ("/durable_objects/bindings", "name"),
    ("/ratelimits", "name"),
];

/// Runs the rules on the checkout.
pub fn all(layout: &Layout, versions: &Versions) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut configs = BTreeMap::new();
    for worker in all_workers(layout)? {
        let config = worker.config()?;
        // Declared names may be used anywhere in the worker: the gateway has a table of its targets.
        // The other way round `bindings.rs` is the one place that asks the platform for names.
        let code = if worker.name == PROBE {
            layout.at("workers").join(PROBED)
        } else {
            worker.dir.clone()
        };
        let mut names = declared(&config);
        if worker.name != PROBE {
            names.extend(worker.secret_names()?);
            let path = worker.dir.join("src/bindings.rs");
            match fs::read_to_string(&path).context(layout.shown(&path)) {
                Ok(code) => {
                    problems.extend(undeclared(&worker.name, &names, &literals(&code)));
                }
                Err(failure) => problems.push(failure.message),
            }
        }
        let mut named = source_literals(&code)?;
        named.extend(named_in_vars(&config));
        problems.extend(unused(&worker.name, &names, &named));
        problems.extend(file_rules(&worker.name, &config, versions));
        configs.insert(worker.name, config);
    }
    problems.extend(wiring(&configs));
    Ok(problems)
}

/// Names of bindings and vars in a wrangler file.
fn declared(config: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (list, member) in BINDING_LISTS {
        names.extend(texts(config, list, member));
    }
    let assets = config.pointer("/assets/binding").and_then(Value::as_str);
    names.extend(assets.map(str::to_owned));
    if let Some(vars) = config.get("vars").and_then(Value::as_object) {
        names.extend(vars.keys().cloned());
    }
    names
}

fn texts(config: &Value, list: &str, member: &str) -> Vec<String> {
    config
        .pointer(list)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get(member)?.as_str().map(str::to_owned))
        .collect()
}

/// Bindings that a var chooses from, as `R2_BUCKETS` does: `{"<bucket>":"<binding>"}`.
fn named_in_vars(config: &Value) -> Vec<String> {
    let vars = config.get("vars").and_then(Value::as_object);
    vars.into_iter()
        .flatten()
        .filter_map(|(_, value)| serde_json::from_str::<Value>(value.as_str()?).ok())
        .filter_map(|value| value.as_object().cloned())
        .flat_map(|map| map.into_iter().map(|(_, binding)| binding))
        .filter_map(|binding| binding.as_str().map(str::to_owned))
        .collect()
}

fn source_literals(worker: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for file in digest::files_below(&worker.join("src"), &|_| false)? {
        if file.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&file).context(file.display())?;
            let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            found.extend(literals(product));
        }
    }
    Ok(found)
}

/// String literals in capitals, outside of comments. `"KEK_{id}"` and `"KEK_"` stand for a family.
fn literals(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in code.lines() {
        let code = line.split("//").next().unwrap_or_default();
        for text in code.split('"').skip(1).step_by(2) {
            let name = text.split('{').next().unwrap_or_default();
            let in_capitals = name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            let starts = name.starts_with(|c: char| c.is_ascii_uppercase());
            if starts && in_capitals && name.len() > 1 {
                found.insert(name.to_owned());
            }
        }
    }
    found
}

fn stands_for(literal: &str, name: &str) -> bool {
    let family = literal.strip_suffix('_').unwrap_or(literal);
    let of_family = || {
        let id = name
            .strip_prefix(family)
            .and_then(|rest| rest.strip_prefix('_'));
        FAMILIES.contains(&family) && id.is_some()
    };
    literal == name || of_family()
}

fn unused(worker: &str, names: &BTreeSet<String>, literals: &BTreeSet<String>) -> Vec<String> {
    names
        .iter()
        .filter(|name| !literals.iter().any(|literal| stands_for(literal, name)))
        .map(|name| format!("{worker}: {name} is declared but no code names it"))
        .collect()
}

fn undeclared(worker: &str, names: &BTreeSet<String>, literals: &BTreeSet<String>) -> Vec<String> {
    let known = |literal: &str| {
        names.iter().any(|name| stands_for(literal, name))
            // What is left of a name after its family was cut off.
            || names.iter().any(|name| {
                name.strip_suffix(literal).is_some_and(|family| family.ends_with('_'))
            })
            || UNDECLARED.contains(&literal)
            || KNOB_ENDINGS.iter().any(|ending| literal.ends_with(ending))
    };
    literals
        .iter()
        .filter(|literal| literal.contains('_') || literal.len() > 3 || *literal == "DB")
        .filter(|literal| !known(literal))
        // Methods and levels are no names of bindings.
        .filter(|literal| {
            !["INFO", "WARN", "ERROR", "DEBUG", "POST", "PATCH", "DELETE", "HEAD"]
                .contains(&literal.as_str())
        })
        .map(|literal| {
            format!("{worker}: bindings.rs names {literal}, which wrangler.jsonc and .dev.vars.example do not")
        })
        .collect()
}

fn file_rules(worker: &str, config: &Value, versions: &Versions) -> Vec<String> {
    let mut problems = Vec::new();
    if config.get("name").and_then(Value::as_str) != Some(worker) {
        problems.push(format!("{worker}: `name` is not the folder's name"));
    }
    let date = config.get("compatibility_date").and_then(Value::as_str);
    if date != Some(versions.workers.compatibility_date.as_str()) {
        problems.push(format!(
            "{worker}: compatibility_date is not {}",
            versions.workers.compatibility_date
        ));
    }
    for var in COMMON_VARS {
        if config.pointer(&format!("/vars/{var}")).is_none() {
            problems.push(format!("{worker}: no var {var}"));
        }
    }
    for forbidden in ["build", "env"] {
        if config.get(forbidden).is_some() {
            problems.push(format!("{worker}: a base file has no `{forbidden}`"));
        }
    }
    problems
}

/// What one file names must exist in another.
fn wiring(configs: &BTreeMap<String, Value>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut namespaces: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let consumed: BTreeSet<String> = configs
        .values()
        .flat_map(|config| texts(config, "/queues/consumers", "queue"))
        .collect();
    for (worker, config) in configs {
        for service in texts(config, "/services", "service") {
            if !configs.contains_key(&service) {
                problems.push(format!("{worker}: no worker {service}"));
            }
        }
        for queue in texts(config, "/queues/producers", "queue") {
            if !consumed.contains(&queue) {
                problems.push(format!("{worker}: nobody consumes the queue {queue}"));
            }
        }
        for object in config
            .pointer("/durable_objects/bindings")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let class = object.get("class_name").and_then(Value::as_str);
            let host = object.get("script_name").and_then(Value::as_str);
            let hosted = configs
                .get(host.unwrap_or(worker))
                .and_then(|config| config.pointer("/migrations"))
                .is_some_and(|migrations| {
                    class.is_some_and(|class| {
                        migrations.to_string().contains(&format!("\"{class}\""))
                    })
                });
            if !hosted {
                problems.push(format!(
                    "{worker}: {} does not host the class {}",
                    host.unwrap_or(worker),
                    class.unwrap_or("?")
                ));
            }
        }
        if worker != PROBE {
            let ids = texts(config, "/kv_namespaces", "id");
            for (binding, id) in texts(config, "/kv_namespaces", "binding")
                .into_iter()
                .zip(ids)
            {
                namespaces.entry(binding).or_default().insert(id);
            }
        }
    }
    for (binding, ids) in namespaces {
        if ids.len() > 1 {
            problems.push(format!("KV {binding} has several ids: {ids:?}"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_kind_of_binding_is_collected() {
        let config = json!({
            "d1_databases": [{"binding": "DB"}], "kv_namespaces": [{"binding": "CONFIG"}],
            "r2_buckets": [{"binding": "IMAGES"}], "services": [{"binding": "IMAGE_GEN"}],
            "queues": {"producers": [{"binding": "JOBS"}]},
            "durable_objects": {"bindings": [{"name": "RATE_LIMITER"}]},
            "ratelimits": [{"name": "AUTH_GUARD"}], "vars": {"GIT_SHA": ""},
            "assets": {"directory": "web/dist", "binding": "ASSETS"},
        });
        let all = [
            "ASSETS",
            "AUTH_GUARD",
            "CONFIG",
            "DB",
            "GIT_SHA",
            "IMAGES",
            "IMAGE_GEN",
            "JOBS",
            "RATE_LIMITER",
        ];
        assert_eq!(declared(&config), set(&all));
    }

    #[test]
    fn literals_are_names_in_capitals_outside_of_comments() {
        let code = r#"env.kv("CONFIG")?; format!("KEK_{id}") // "NOT_THIS"
            let x = "not this"; env.secret("KEY_PEPPER_")"#;
        assert_eq!(literals(code), set(&["CONFIG", "KEK_", "KEY_PEPPER_"]));
    }

    #[test]
    fn names_must_agree_in_both_directions() {
        let declared = set(&["DB", "KEK_k1", "CONFIG"]);
        let code = set(&["DB", "KEK_", "IMAGES"]);
        assert_eq!(
            unused("w", &declared, &code),
            ["w: CONFIG is declared but no code names it"]
        );
        let found = undeclared("w", &declared, &code);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("IMAGES"));
        assert!(undeclared("w", &declared, &set(&["LOG_SINK", "LEASE_MS", "GET"])).is_empty());
    }

    #[test]
    fn a_var_that_maps_to_bindings_names_them() {
        let config = json!({"vars": {"R2_BUCKETS": "{\"prod\":\"IMAGES\"}", "OTHER": "x"}});
        assert_eq!(named_in_vars(&config), ["IMAGES"]);
    }

    #[test]
    fn wiring_between_files_is_checked() {
        let host = json!({"migrations": [{"new_sqlite_classes": ["RateLimiter"]}],
            "kv_namespaces": [{"binding": "CONFIG", "id": "a"}]});
        let guest = json!({
            "services": [{"binding": "X", "service": "gone"}],
            "queues": {"producers": [{"binding": "JOBS", "queue": "jobs"}]},
            "durable_objects": {"bindings": [
                {"name": "A", "class_name": "RateLimiter", "script_name": "host"},
                {"name": "B", "class_name": "Budget", "script_name": "host"}]},
            "kv_namespaces": [{"binding": "CONFIG", "id": "b"}],
        });
        let configs = BTreeMap::from([("guest".to_owned(), guest), ("host".to_owned(), host)]);
        let found = wiring(&configs);
        assert_eq!(found.len(), 4, "{found:?}");
        for part in ["no worker gone", "queue jobs", "class Budget", "KV CONFIG"] {
            assert!(found.iter().any(|problem| problem.contains(part)), "{part}");
        }
    }
}
