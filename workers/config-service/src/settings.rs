//! Vars and secrets, read once per isolate.
//!
//! In scope: parsing them, naming what is missing. Out of scope: where they come from (`bindings`).

use auth::envelope::{KekScope, Keks};
use auth::hash::{Pepper, Peppers};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use errors::{Error, Result};

/// What the worker was started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `local`, `test`, `production` or another word.
    pub environment: String,
    /// Commit it was built from.
    pub git_sha: String,
    /// Lowest level of lines that are sent.
    pub log_level: String,
    keks: Option<Keks>,
    peppers: Option<Peppers>,
    missing: Vec<String>,
}

impl Settings {
    /// Reads them. `names` are all vars and secrets that exist, `get` gives one of them as text.
    pub fn read(names: &[String], get: impl Fn(&str) -> Option<String>) -> Self {
        let mut missing = Vec::new();
        let keks = keys(names, &get, "KEK", &mut missing)
            .and_then(|(current, all)| Keks::new(&current, all, KekScope::Master).ok());
        let peppers = keys(names, &get, "KEY_PEPPER", &mut missing).and_then(|(current, all)| {
            let all = all
                .into_iter()
                .map(|(id, bytes)| Pepper::new(id, &bytes))
                .collect();
            Peppers::new(&current, all).ok()
        });
        let text = |name: &str| get(name).unwrap_or_default();
        Self {
            environment: text("ENVIRONMENT"),
            git_sha: text("GIT_SHA"),
            log_level: text("LOG_LEVEL"),
            keks,
            peppers,
            missing,
        }
    }

    /// Whether loopback providers and instances that start as active are allowed.
    pub fn is_local(&self) -> bool {
        matches!(self.environment.as_str(), "local" | "test")
    }

    /// Names of secrets that are missing or malformed.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The key-encryption keys.
    ///
    /// # Errors
    /// 500 when the current one is missing or malformed.
    pub fn keks(&self) -> Result<&Keks> {
        self.keks.as_ref().ok_or_else(|| self.lacks("KEK"))
    }

    /// The peppers.
    ///
    /// # Errors
    /// 500 when the current one is missing or malformed.
    pub fn peppers(&self) -> Result<&Peppers> {
        self.peppers
            .as_ref()
            .ok_or_else(|| self.lacks("KEY_PEPPER"))
    }

    fn lacks(&self, what: &str) -> Error {
        Error::internal(format!(
            "no current {what}; missing: {}",
            self.missing.join(", ")
        ))
    }
}

type Keyring = (String, Vec<(String, [u8; 32])>);

/// `<prefix>_CURRENT` and all `<prefix>_<id>`; what is missing or not 32 bytes of base64 is named.
fn keys(
    names: &[String],
    get: &impl Fn(&str) -> Option<String>,
    prefix: &str,
    missing: &mut Vec<String>,
) -> Option<Keyring> {
    let current_var = format!("{prefix}_CURRENT");
    let current = get(&current_var).filter(|id| !id.is_empty());
    let mut all = Vec::new();
    let mut ids: Vec<&str> = names
        .iter()
        .filter_map(|name| name.strip_prefix(prefix)?.strip_prefix('_'))
        .filter(|id| *id != "CURRENT")
        .collect();
    if let Some(current) = &current
        && !ids.contains(&current.as_str())
    {
        ids.push(current);
    }
    for id in ids {
        let name = format!("{prefix}_{id}");
        let bytes = get(&name)
            .and_then(|text| STANDARD.decode(text.trim()).ok())
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        match bytes {
            Some(bytes) => all.push((id.to_owned(), bytes)),
            None => missing.push(name),
        }
    }
    if current.is_none() {
        missing.push(current_var);
    }
    current.map(|current| (current, all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn read(vars: &[(&str, &str)]) -> Settings {
        let vars: BTreeMap<String, String> = vars
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let names: Vec<String> = vars.keys().cloned().collect();
        Settings::read(&names, |name| vars.get(name).cloned())
    }

    #[test]
    fn missing_and_malformed_secrets_are_named() {
        let good = STANDARD.encode([7; 32]);
        let settings = read(&[
            ("KEK_CURRENT", "k1"),
            ("KEK_k1", "short"),
            ("KEY_PEPPER_CURRENT", "p1"),
        ]);
        assert_eq!(settings.missing(), ["KEK_k1", "KEY_PEPPER_p1"]);
        assert!(settings.keks().unwrap_err().internal.contains("KEK_k1"));
        assert!(settings.peppers().is_err());
        let settings = read(&[
            ("KEK_CURRENT", "k2"),
            ("KEK_k1", &good),
            ("KEK_k2", &good),
            ("KEY_PEPPER_CURRENT", "p1"),
            ("KEY_PEPPER_p1", &good),
        ]);
        assert!(settings.missing().is_empty());
        assert_eq!(settings.keks().unwrap().ids(), ["k1", "k2"]);
        assert_eq!(settings.keks().unwrap().current_id(), "k2");
        assert_eq!(settings.peppers().unwrap().ids(), ["p1"]);
    }
}
