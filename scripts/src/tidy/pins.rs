//! `scripts/versions.toml` against the files that must repeat it.

use serde_json::Value;

use crate::failure::{Context, Result};
use crate::versions::Versions;

/// Cargo tools whose version a library of the same release must have.
const TOOL_OF_LIBRARY: &[(&str, &str)] = &[
    ("wasm-bindgen", "wasm-bindgen-cli"),
    ("worker", "worker-build"),
];

/// Runs the rules on the checkout.
pub fn all(versions: &Versions, read: &dyn Fn(&str) -> Result<String>) -> Result<Vec<String>> {
    let mut problems = toolchain(versions, &read("rust-toolchain.toml")?)?;
    problems.extend(cargo_lock(versions, &read("Cargo.lock")?)?);
    problems.extend(npm(versions, &read("scripts/package.json")?)?);
    let lock = "scripts/package-lock.json";
    problems.extend(npm_lock(lock, &read(lock)?));
    Ok(problems)
}

fn toolchain(versions: &Versions, text: &str) -> Result<Vec<String>> {
    let file: toml::Table = toml::from_str(text).context("rust-toolchain.toml")?;
    let channel = file
        .get("toolchain")
        .and_then(|table| table.get("channel"))
        .and_then(toml::Value::as_str)
        .context("rust-toolchain.toml has no channel")?;
    Ok((channel != versions.rust.channel)
        .then(|| {
            format!(
                "rust-toolchain.toml: {channel}, versions.toml: {}",
                versions.rust.channel
            )
        })
        .into_iter()
        .collect())
}

fn cargo_lock(versions: &Versions, text: &str) -> Result<Vec<String>> {
    let file: toml::Table = toml::from_str(text).context("Cargo.lock")?;
    let packages = file
        .get("package")
        .and_then(toml::Value::as_array)
        .context("Cargo.lock has no packages")?;
    let mut problems = Vec::new();
    for (library, tool) in TOOL_OF_LIBRARY {
        let text_of = |package: &toml::Value, key: &str| {
            package
                .get(key)
                .and_then(toml::Value::as_str)
                .map(str::to_owned)
        };
        let locked: Vec<String> = packages
            .iter()
            .filter(|package| text_of(package, "name").as_deref() == Some(library))
            .filter_map(|package| text_of(package, "version"))
            .collect();
        let pinned = &versions
            .cargo_tools
            .get(*tool)
            .context(format!("versions.toml has no {tool}"))?
            .version;
        if locked != [pinned.clone()] {
            problems.push(format!(
                "Cargo.lock has {library} {}, versions.toml {tool} {pinned}",
                locked.join(" and ")
            ));
        }
    }
    Ok(problems)
}

fn npm(versions: &Versions, text: &str) -> Result<Vec<String>> {
    let file: Value = serde_json::from_str(text).context("scripts/package.json")?;
    let listed = file
        .get("devDependencies")
        .and_then(Value::as_object)
        .context("scripts/package.json has no devDependencies")?;
    let mut problems = Vec::new();
    for name in listed.keys().chain(versions.npm.keys()) {
        let there = listed.get(name).and_then(Value::as_str);
        let here = versions.npm.get(name).map(String::as_str);
        if there != here {
            problems.push(format!(
                "{name}: scripts/package.json {}, versions.toml {}",
                there.unwrap_or("none"),
                here.unwrap_or("none")
            ));
        }
    }
    problems.sort();
    problems.dedup();
    Ok(problems)
}

/// A lock file that names one registry host cannot be used with another.
pub(super) fn npm_lock(file: &str, text: &str) -> Vec<String> {
    text.contains("\"resolved\": \"http")
        .then(|| format!("{file} names a registry host (`resolved`)"))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    fn versions() -> Versions {
        Versions::load(&Layout::find().unwrap()).unwrap()
    }

    #[test]
    fn a_second_version_of_a_library_does_not_fit_its_tool() {
        let lock = |bindgen: &str| {
            format!(
                "[[package]]\nname = \"wasm-bindgen\"\nversion = \"{bindgen}\"\n\n[[package]]\nname = \"worker\"\nversion = \"{}\"\n",
                versions().cargo_tools["worker-build"].version
            )
        };
        let right = versions().cargo_tools["wasm-bindgen-cli"].version.clone();
        assert!(cargo_lock(&versions(), &lock(&right)).unwrap().is_empty());
        assert_eq!(cargo_lock(&versions(), &lock("0.2.1")).unwrap().len(), 1);
        let twice = lock(&right) + "[[package]]\nname = \"worker\"\nversion = \"0.1.0\"\n";
        assert_eq!(cargo_lock(&versions(), &twice).unwrap().len(), 1);
    }

    #[test]
    fn toolchain_and_npm_must_repeat_the_pins() {
        let channel = &versions().rust.channel;
        let text = format!("[toolchain]\nchannel = \"{channel}\"\n");
        assert!(toolchain(&versions(), &text).unwrap().is_empty());
        assert_eq!(
            toolchain(&versions(), "[toolchain]\nchannel = \"1.0.0\"\n")
                .unwrap()
                .len(),
            1
        );
        let right = serde_json::json!({"devDependencies": versions().npm}).to_string();
        assert!(npm(&versions(), &right).unwrap().is_empty());
        let wrong = serde_json::json!({"devDependencies": {"wrangler": "^4"}}).to_string();
        assert!(npm(&versions(), &wrong).unwrap().len() > 1);
    }

    #[test]
    fn a_registry_host_in_the_lock_file_is_found() {
        assert!(npm_lock("l", "{\"integrity\": \"x\"}").is_empty());
        assert_eq!(
            npm_lock("l", "{\"resolved\": \"https://registry/x.tgz\"}").len(),
            1
        );
    }
}
