//! Base configuration of a worker -> the configuration that a session runs with.
//!
//! In scope: absolute paths, vars, secrets beside the file. Out of scope: resource ids of an
//! account, which only a deployment knows.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::failure::{Context, Result};
use crate::secrets::Secrets;
use crate::workers::{CONFIG_SERVICE, GATEWAY, OUTAGE, PROBE, Worker};

/// Binding of the gateway that exists only while the probe runs.
pub const PROBE_BINDING: &str = "PROBE";

/// What a rendered set has in common.
#[derive(Clone, Debug)]
pub struct Target {
    /// Folder of the session.
    pub dir: PathBuf,
    /// `http://127.0.0.1:<port>` of the gateway.
    pub base_url: String,
    /// `local` or `test`.
    pub environment: String,
    /// The commit.
    pub git_sha: String,
    /// Whether the gateway forwards to the probe.
    pub probe: bool,
    /// Whether `outage` stands between the workers and config-service. The gateway then reaches it as the probe.
    pub outage: bool,
    /// Origins besides the gateway's own that pages may call from.
    pub public_origins: Vec<String>,
    /// Test knobs, set on every worker.
    pub knobs: BTreeMap<String, String>,
}

/// One database that has migrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// `database_name`, also the name in wrangler's commands.
    pub name: String,
    /// Absolute folder of the SQL files.
    pub migrations: PathBuf,
    /// The rendered file that declares it.
    pub config: PathBuf,
}

/// Renders one worker's base configuration. Pure.
pub fn render(worker: &Worker, base: Value, target: &Target) -> Value {
    let mut config = base;
    if let Some(members) = config.as_object_mut() {
        members.remove("$schema");
    }
    absolute(&mut config, "main", &worker.dir);
    if let Some(assets) = config.get_mut("assets") {
        absolute(assets, "directory", &worker.dir);
    }
    for database in array_mut(&mut config, "d1_databases") {
        absolute(database, "migrations_dir", &worker.dir);
    }
    if worker.name == GATEWAY
        && (target.probe || target.outage)
        && let Some(services) = config.get_mut("services").and_then(Value::as_array_mut)
    {
        let service = if target.outage { OUTAGE } else { PROBE };
        services.push(json!({
            "binding": PROBE_BINDING, "service": service, "props": {"caller": GATEWAY},
        }));
    }
    // What the gateway forwards for people goes on: they must see what the workers say, not the outage itself.
    if target.outage && worker.name != GATEWAY && worker.name != OUTAGE {
        for service in array_mut(&mut config, "services") {
            if service.get("service").and_then(Value::as_str) == Some(CONFIG_SERVICE)
                && let Some(slot) = service.get_mut("service")
            {
                *slot = json!(OUTAGE);
            }
        }
    }
    let declared: Vec<String> = config
        .get("vars")
        .and_then(Value::as_object)
        .map(|vars| vars.keys().cloned().collect())
        .unwrap_or_default();
    let own_url = format!("{}/api/{}", target.base_url, worker.name);
    let mut vars = BTreeMap::from([
        ("ENVIRONMENT", target.environment.clone()),
        ("GIT_SHA", target.git_sha.clone()),
    ]);
    let origins = target.public_origins.join(",");
    for (name, value) in [
        ("PUBLIC_BASE_URL", own_url.as_str()),
        ("CDN_BASE_URL", own_url.as_str()),
        ("PUBLIC_ORIGINS", origins.as_str()),
        // Here the providers are always the simulator.
        ("SIMULATOR", "on"),
    ] {
        if declared.iter().any(|known| known == name) {
            vars.insert(name, value.to_owned());
        }
    }
    for (name, value) in vars {
        set_var(&mut config, name, &value);
    }
    for (name, value) in &target.knobs {
        set_var(&mut config, name, value);
    }
    config
}

/// Renders all workers into the session's folder; answers the files in the same order.
pub fn write_all(workers: &[Worker], secrets: &Secrets, target: &Target) -> Result<Vec<PathBuf>> {
    workers
        .iter()
        .map(|worker| {
            let dir = target.dir.join("config").join(&worker.name);
            fs::create_dir_all(&dir).context(dir.display())?;
            let config = render(worker, worker.config()?, target);
            let path = dir.join("wrangler.jsonc");
            let text = serde_json::to_string_pretty(&config).context("rendered configuration")?;
            // An unchanged file is left alone: wrangler restarts a worker whose file is written.
            if fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
                write_private(&path, &text)?;
            }
            let names = match worker.name.as_str() {
                PROBE | OUTAGE => Vec::new(),
                _ => worker.secret_names()?,
            };
            write_private(&dir.join(".dev.vars"), &secrets.dev_vars(&names)?)?;
            Ok(path)
        })
        .collect()
}

/// The databases that the rendered files declare with migrations, each once.
pub fn databases(configs: &[PathBuf]) -> Result<Vec<Database>> {
    let mut found: Vec<Database> = Vec::new();
    for path in configs {
        let text = fs::read_to_string(path).context(path.display())?;
        let mut config: Value = serde_json::from_str(&text).context(path.display())?;
        for database in array_mut(&mut config, "d1_databases") {
            let text = |key: &str| database.get(key).and_then(Value::as_str);
            if let (Some(name), Some(dir)) = (text("database_name"), text("migrations_dir"))
                && !found.iter().any(|known| known.name == name)
            {
                found.push(Database {
                    name: name.to_owned(),
                    migrations: PathBuf::from(dir),
                    config: path.clone(),
                });
            }
        }
    }
    Ok(found)
}

/// Cron expressions of a configuration.
pub fn crons(config: &Value) -> Vec<String> {
    config
        .pointer("/triggers/crons")
        .and_then(Value::as_array)
        .map(|crons| {
            crons
                .iter()
                .filter_map(|cron| cron.as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default()
}

/// Writes a file that only this user can read.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    // Written beside and renamed, so that a reader never sees half of it.
    let partial = path.with_extension("partial");
    let _ = fs::remove_file(&partial);
    let mut file = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .context(partial.display())?;
    file.write_all(text.as_bytes()).context(partial.display())?;
    fs::rename(&partial, path).context(path.display())
}

fn absolute(value: &mut Value, key: &str, dir: &Path) {
    if let Some(path) = value.get(key).and_then(Value::as_str) {
        let joined = normal(&dir.join(path));
        if let Some(slot) = value.get_mut(key) {
            *slot = json!(joined);
        }
    }
}

/// Resolves `..` by name: the file need not exist yet.
fn normal(path: &Path) -> String {
    let mut parts = PathBuf::new();
    for part in path.components() {
        if part == std::path::Component::ParentDir {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.display().to_string()
}

fn array_mut<'a>(config: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    config
        .get_mut(key)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

fn set_var(config: &mut Value, name: &str, value: &str) {
    if let Some(members) = config.as_object_mut()
        && let Some(vars) = members
            .entry("vars")
            .or_insert_with(|| json!({}))
            .as_object_mut()
    {
        vars.insert(name.to_owned(), json!(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn target() -> Target {
        Target {
            dir: PathBuf::from("/s"),
            base_url: "http://127.0.0.1:9".into(),
            environment: "test".into(),
            git_sha: "abc".into(),
            probe: false,
            outage: false,
            public_origins: vec!["http://127.0.0.1:5173".into()],
            knobs: BTreeMap::from([("LEASE_MS".to_owned(), "5".to_owned())]),
        }
    }

    fn worker(name: &str) -> Worker {
        Worker {
            name: name.into(),
            dir: PathBuf::from("/r/workers").join(name),
        }
    }

    #[test]
    fn paths_become_absolute_and_vars_follow_the_session() {
        let base = json!({
            "$schema": "x", "name": "image-gen", "main": "build/index.js",
            "d1_databases": [{"binding": "DB", "database_name": "ledger", "migrations_dir": "../../migrations/ledger"}],
            "vars": {"ENVIRONMENT": "local", "PUBLIC_BASE_URL": "", "KEK_CURRENT": "k1"},
        });
        assert_eq!(
            render(&worker("image-gen"), base, &target()),
            json!({
                "name": "image-gen", "main": "/r/workers/image-gen/build/index.js",
                "d1_databases": [{"binding": "DB", "database_name": "ledger", "migrations_dir": "/r/migrations/ledger"}],
                "vars": {
                    "ENVIRONMENT": "test", "PUBLIC_BASE_URL": "http://127.0.0.1:9/api/image-gen",
                    "KEK_CURRENT": "k1", "GIT_SHA": "abc", "LEASE_MS": "5",
                },
            })
        );
    }

    #[test]
    fn the_gateway_gets_its_files_origins_and_the_word_of_the_simulator() {
        let base = json!({
            "name": "console", "assets": {"directory": "web/dist", "binding": "ASSETS"},
            "vars": {"PUBLIC_ORIGINS": "", "SIMULATOR": "off"},
        });
        let rendered = render(&worker("console"), base, &target());
        assert_eq!(
            rendered["assets"],
            json!({"directory": "/r/workers/console/web/dist", "binding": "ASSETS"})
        );
        assert_eq!(rendered["vars"]["PUBLIC_ORIGINS"], "http://127.0.0.1:5173");
        assert_eq!(rendered["vars"]["SIMULATOR"], "on");
    }

    #[test]
    fn only_a_probed_gateway_binds_the_probe() {
        let base = json!({"name": "console", "services": []});
        let services = |target: &Target| {
            render(&worker("console"), base.clone(), target)["services"]
                .as_array()
                .unwrap()
                .len()
        };
        assert_eq!(services(&target()), 0);
        let probed = Target {
            probe: true,
            ..target()
        };
        assert_eq!(services(&probed), 1);
    }

    #[test]
    fn a_database_with_migrations_is_listed_once() {
        let dir = Scratch::new("render");
        let write = |name: &str, text: Value| {
            let path = dir.path().join(name);
            fs::write(&path, text.to_string()).unwrap();
            path
        };
        let owner = json!({"d1_databases": [{"database_name": "ledger", "migrations_dir": "/m"}]});
        let guest = json!({"d1_databases": [{"database_name": "ledger"}]});
        let configs = [
            write("a", guest),
            write("b", owner.clone()),
            write("c", owner),
        ];
        let found = databases(&configs).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].config, configs[1]);
    }

    #[test]
    fn secret_files_are_private_and_replaced_whole() {
        use std::os::unix::fs::PermissionsExt;
        let dir = Scratch::new("render");
        let path = dir.path().join(".dev.vars");
        write_private(&path, "A=\"1\"").unwrap();
        write_private(&path, "A=\"2\"").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "A=\"2\"");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
