//! `scripts/versions.toml`, typed.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::failure::{Context, Result};
use crate::layout::Layout;
use crate::setup::DiskMb;

/// All pinned versions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// The toolchains.
    pub rust: Rust,
    /// Tools that cargo installs, by crate name.
    pub cargo_tools: BTreeMap<String, CargoTool>,
    /// Packages of `scripts/package.json`.
    pub npm: BTreeMap<String, String>,
    /// Packages of the Python environment.
    pub pypi: BTreeMap<String, String>,
    /// What the workers are pinned to.
    pub workers: Workers,
    /// What the machine must have.
    pub minimum: Minimum,
    /// Space that the commands need.
    pub disk_mb: DiskMb,
}

/// The toolchains.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rust {
    /// The stable release.
    pub channel: String,
    /// Oldest nightly that builds the workers, `YYYY-MM-DD`.
    pub nightly_since: String,
}

/// A tool that `cargo install` provides.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CargoTool {
    /// The exact version.
    pub version: String,
    /// The program that proves the installation.
    pub bin: String,
    /// Built without optimization: quicker to install, and it is not hot.
    pub debug: bool,
}

/// What the workers are pinned to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workers {
    /// `compatibility_date` of every wrangler file.
    pub compatibility_date: String,
}

/// What the machine must have.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minimum {
    /// Oldest git, `major.minor`.
    pub git: String,
}

impl Versions {
    /// Reads the file of the checkout.
    pub fn load(layout: &Layout) -> Result<Self> {
        let path = layout.at("scripts/versions.toml");
        let text = std::fs::read_to_string(&path).context("scripts/versions.toml")?;
        toml::from_str(&text).context("scripts/versions.toml")
    }
}
