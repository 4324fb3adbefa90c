//! Where things lie: the checkout, its build output, the tool cache.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// The checkout that the command works on.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The folder with the root `Cargo.toml`.
    pub root: PathBuf,
}

impl Layout {
    /// Walks up from the working directory, then asks cargo's environment.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir().ok();
        let from_cargo = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        for start in [here, from_cargo].into_iter().flatten() {
            if let Some(root) = start
                .ancestors()
                .find(|dir| dir.join("scripts/versions.toml").is_file())
            {
                return Ok(Self {
                    root: root.to_owned(),
                });
            }
        }
        Err(Failure::invalid(
            "run this inside the repository (no scripts/versions.toml above the working directory)",
        ))
    }

    /// A path inside the checkout.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// Our own output: logs, sessions, reports.
    pub fn target(&self) -> PathBuf {
        self.at("target")
    }

    /// Output of native cargo builds.
    pub fn cargo_target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.target(), PathBuf::from)
    }

    /// Logs of steps that belong to no session.
    pub fn logs(&self) -> PathBuf {
        self.target().join("logs")
    }

    /// `scripts/node_modules/.bin`, first in every child's PATH.
    pub fn node_bin(&self) -> PathBuf {
        self.at("scripts/node_modules/.bin")
    }

    /// The path as people and test reports should see it: relative to the checkout.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

/// The per-user tool cache: `SWITCHYARD_TOOLS`, else below `XDG_CACHE_HOME`, else `~/.cache`.
pub fn tool_cache(get: impl Fn(&str) -> Option<String>) -> Result<PathBuf> {
    let set = |name: &str| get(name).filter(|value| !value.is_empty());
    if let Some(dir) = set("SWITCHYARD_TOOLS") {
        return Ok(PathBuf::from(dir));
    }
    if let Some(dir) = set("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(dir).join("switchyard/tools"));
    }
    set("HOME")
        .map(|home| PathBuf::from(home).join(".cache/switchyard/tools"))
        .ok_or_else(|| {
            Failure::invalid("set HOME or SWITCHYARD_TOOLS: no place for the tool cache")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache_with(vars: &[(&str, &str)]) -> Result<PathBuf> {
        tool_cache(|name| {
            vars.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_own_variable_wins_over_xdg_and_home() {
        let all = [
            ("SWITCHYARD_TOOLS", "/t"),
            ("XDG_CACHE_HOME", "/x"),
            ("HOME", "/h"),
        ];
        assert_eq!(cache_with(&all).unwrap(), PathBuf::from("/t"));
        assert_eq!(
            cache_with(&all[1..]).unwrap(),
            PathBuf::from("/x/switchyard/tools")
        );
        assert_eq!(
            cache_with(&all[2..]).unwrap(),
            PathBuf::from("/h/.cache/switchyard/tools")
        );
    }

    #[test]
    fn an_empty_variable_counts_as_absent_and_nothing_at_all_is_refused() {
        assert_eq!(
            cache_with(&[("SWITCHYARD_TOOLS", ""), ("HOME", "/h")]).unwrap(),
            PathBuf::from("/h/.cache/switchyard/tools")
        );
        assert!(cache_with(&[]).is_err());
    }
}
