//! The workers of the checkout, as found in `workers/`: never a list in code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::failure::{Context, Failure, Result};
use crate::layout::Layout;
use crate::process::capture;
use crate::setup::bare_command;

/// The worker that answers HTTP and forwards to the others: always first.
pub const GATEWAY: &str = "console";
/// The worker that all look-ups ask.
pub const CONFIG_SERVICE: &str = "config-service";
/// Name of the worker that only tests start.
pub const PROBE: &str = "probe";
/// Name of the worker that can be told to fail in config-service's place.
pub const OUTAGE: &str = "outage";
/// The worker whose code the probe is.
pub const PROBED: &str = "admission";

/// One deployable worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Its name, folder and crate.
    pub name: String,
    /// The folder of its `wrangler.jsonc`.
    pub dir: PathBuf,
}

impl Worker {
    /// The base configuration with comments removed.
    pub fn config(&self) -> Result<Value> {
        read_jsonc(&self.dir.join("wrangler.jsonc"))
    }

    /// Names of its secrets, from `.dev.vars.example`.
    pub fn secret_names(&self) -> Result<Vec<String>> {
        let path = self.dir.join(".dev.vars.example");
        let text = std::fs::read_to_string(&path).context(path.display())?;
        Ok(names_in_dev_vars(&text))
    }
}

/// All workers, the gateway first, the rest by name.
pub fn discover(layout: &Layout) -> Result<Vec<Worker>> {
    let root = layout.at("workers");
    let mut workers = Vec::new();
    for entry in std::fs::read_dir(&root).context(root.display())? {
        let dir = entry.context(root.display())?.path();
        let name = dir
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        if let Some(name) = name
            && dir.join("wrangler.jsonc").is_file()
        {
            workers.push(Worker { name, dir });
        }
    }
    workers.sort_by_key(|worker| (worker.name != GATEWAY, worker.name.clone()));
    match workers.first() {
        Some(first) if first.name == GATEWAY => Ok(workers),
        _ => Err(Failure::failed(format!("workers/{GATEWAY} is missing"))),
    }
}

/// The probe, whose configuration lies with the scripts because it is never deployed.
pub fn probe(layout: &Layout) -> Worker {
    Worker {
        name: PROBE.to_owned(),
        dir: layout.at("scripts/probe"),
    }
}

/// The worker that stands between the others and config-service and can be told to fail.
pub fn outage(layout: &Layout) -> Worker {
    Worker {
        name: OUTAGE.to_owned(),
        dir: layout.at("scripts/outage"),
    }
}

/// Reads a JSON file with comments.
pub fn read_jsonc(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).context(path.display())?;
    parse_jsonc(&text).context(path.display())
}

/// Parses JSON with comments and trailing commas.
pub fn parse_jsonc(text: &str) -> Result<Value> {
    // What wrangler itself accepts, and no more.
    let options = jsonc_parser::ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    jsonc_parser::parse_to_serde_value(text, &options).context("not valid JSON with comments")
}

/// `NAME="value"` lines without comments.
pub fn names_in_dev_vars(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

/// The packages of this workspace and which of them each is built from.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Folder by package name.
    pub dirs: BTreeMap<String, PathBuf>,
    /// Normal and build dependencies inside the workspace.
    pub built_from: BTreeMap<String, BTreeSet<String>>,
    /// Development dependencies inside the workspace.
    pub tested_with: BTreeMap<String, BTreeSet<String>>,
    /// Names of all direct normal and build dependencies, foreign ones too.
    pub direct: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<PathBuf>,
}

impl Graph {
    /// Asks `cargo metadata`, without resolving foreign packages.
    pub fn load(layout: &Layout) -> Result<Self> {
        let mut command = bare_command(layout, "cargo");
        command.args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ]);
        Self::parse(&capture(&mut command)?)
    }

    /// Reads what `cargo metadata` printed.
    pub fn parse(metadata: &str) -> Result<Self> {
        let metadata: Metadata = serde_json::from_str(metadata).context("cargo metadata")?;
        let mut graph = Self::default();
        for package in metadata.packages {
            let dir = package.manifest_path.parent().map(Path::to_owned);
            graph
                .dirs
                .insert(package.name.clone(), dir.unwrap_or_default());
            let mut built_from = BTreeSet::new();
            let mut tested_with = BTreeSet::new();
            let mut direct = BTreeSet::new();
            for dependency in package.dependencies {
                let dev = dependency.kind.as_deref() == Some("dev");
                if !dev {
                    direct.insert(dependency.name.clone());
                }
                match (dependency.path.is_some(), dev) {
                    (true, false) => built_from.insert(dependency.name),
                    (true, true) => tested_with.insert(dependency.name),
                    _ => false,
                };
            }
            graph.built_from.insert(package.name.clone(), built_from);
            graph.tested_with.insert(package.name.clone(), tested_with);
            graph.direct.insert(package.name, direct);
        }
        Ok(graph)
    }

    /// The package and everything in the workspace that it is built from.
    pub fn closure(&self, package: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut open = vec![package.to_owned()];
        while let Some(name) = open.pop() {
            if let Some(next) = self.built_from.get(&name) {
                open.extend(next.iter().filter(|name| !seen.contains(*name)).cloned());
            }
            seen.insert(name);
        }
        seen
    }

    /// The package that a file belongs to.
    pub fn owner(&self, file: &Path) -> Option<&str> {
        self.dirs
            .iter()
            .find(|(_, dir)| file.starts_with(dir))
            .map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"packages":[
        {"name":"w","manifest_path":"/r/workers/w/Cargo.toml","dependencies":[
            {"name":"a","kind":null,"path":"/r/crates/a"},{"name":"serde","kind":null,"path":null},
            {"name":"t","kind":"dev","path":"/r/crates/t"}]},
        {"name":"a","manifest_path":"/r/crates/a/Cargo.toml","dependencies":[
            {"name":"b","kind":"build","path":"/r/crates/b"}]},
        {"name":"b","manifest_path":"/r/crates/b/Cargo.toml","dependencies":[]},
        {"name":"t","manifest_path":"/r/crates/t/Cargo.toml","dependencies":[]}]}"#;

    #[test]
    fn a_worker_is_built_from_what_its_crates_are_built_from_but_not_from_test_helpers() {
        let graph = Graph::parse(METADATA).unwrap();
        let closure: Vec<String> = graph.closure("w").into_iter().collect();
        assert_eq!(closure, ["a", "b", "w"]);
        assert!(graph.direct["w"].contains("serde"));
        assert!(graph.tested_with["w"].contains("t"));
    }

    #[test]
    fn a_changed_file_has_one_owner() {
        let graph = Graph::parse(METADATA).unwrap();
        assert_eq!(graph.owner(Path::new("/r/crates/a/src/lib.rs")), Some("a"));
        assert_eq!(graph.owner(Path::new("/r/docs/x.md")), None);
    }

    #[test]
    fn secrets_are_read_from_assignments_only() {
        let text = "# KEK_k0=no\nKEK_k1=\"x=y\"\n\nURL = \"z\"\n";
        assert_eq!(names_in_dev_vars(text), ["KEK_k1", "URL"]);
    }

    #[test]
    fn comments_and_trailing_commas_are_fine_in_base_files() {
        let value = parse_jsonc("// c\n{\"a\": [1, /* two */ 2,],}").unwrap();
        assert_eq!(value, serde_json::json!({"a": [1, 2]}));
    }
}
