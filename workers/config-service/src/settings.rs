//! Vars and secrets, read once per isolate.
//!
//! In scope: parsing them, naming what is missing. Out of scope: where they come from (`bindings`).

use auth::envelope::{KekScope, Keks};
use auth::hash::{Pepper, Peppers};
use auth::keyring::Keyring;
use errors::{Error, Result};
use middleware::parse_origins;

/// What the worker was started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `local`, `test`, `production` or another word.
    pub environment: String,
    /// Commit it was built from.
    pub git_sha: String,
    /// Lowest level of lines that are sent.
    pub log_level: String,
    /// Origins of other sites whose pages may call; usually none.
    pub allowed_origins: Vec<String>,
    keks: Option<Keks>,
    peppers: Option<Peppers>,
    missing: Vec<String>,
}

impl Settings {
    /// Reads them. `names` are all vars and secrets that exist, `get` gives one of them as text.
    pub fn read(names: &[String], get: impl Fn(&str) -> Option<String>) -> Self {
        let mut missing = Vec::new();
        let scope = kek_scope(&get, &mut missing);
        let mut ring = |prefix| {
            let ring = Keyring::read(names, &get, prefix);
            missing.extend_from_slice(&ring.problems);
            ring.texts()
                .for_each(|text| logging::register_secret(&text));
            ring.current.map(|current| (current, ring.keys))
        };
        let keks = ring("KEK").and_then(|(current, all)| Keks::new(&current, all, scope?).ok());
        let peppers = ring("KEY_PEPPER").and_then(|(current, all)| {
            let all = all
                .into_iter()
                .map(|(id, bytes)| Pepper::new(id, &bytes))
                .collect();
            Peppers::new(&current, all).ok()
        });
        let text = |name: &str| get(name).unwrap_or_default();
        let allowed_origins = parse_origins(&text("ALLOWED_ORIGINS")).unwrap_or_else(|_| {
            missing.push("ALLOWED_ORIGINS".to_owned());
            Vec::new()
        });
        Self {
            environment: text("ENVIRONMENT"),
            git_sha: text("GIT_SHA"),
            log_level: text("LOG_LEVEL"),
            allowed_origins,
            keks,
            peppers,
            missing,
        }
    }

    /// Whether loopback providers and instances that start as active are allowed.
    pub fn is_local(&self) -> bool {
        matches!(self.environment.as_str(), "local" | "test")
    }

    /// Names of secrets and vars that are missing or malformed.
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

/// This worker seals the keys of all instances, so it must hold the master: under the derived key of one instance it would
/// seal what nobody opens. A set that is deployed for one instance has this worker on the other side of its binding.
fn kek_scope(get: &impl Fn(&str) -> Option<String>, missing: &mut Vec<String>) -> Option<KekScope> {
    let name = "KEK_SCOPE";
    let scope = KekScope::from_var(get(name).as_deref())
        .ok()
        .filter(|scope| *scope == KekScope::Master);
    if scope.is_none() {
        missing.push(name.to_owned());
    }
    scope
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
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
    #[test]
    fn only_the_master_will_do() {
        let good = STANDARD.encode([7; 32]);
        for (scope, missing) in [
            ("platform", None),
            ("", None),
            ("instance", Some("KEK_SCOPE")),
            ("both", Some("KEK_SCOPE")),
        ] {
            let settings = read(&[
                ("KEK_CURRENT", "k1"),
                ("KEK_k1", &good),
                ("KEK_SCOPE", scope),
                ("KEY_PEPPER_CURRENT", "p1"),
                ("KEY_PEPPER_p1", &good),
            ]);
            let named = settings.missing().first().map(String::as_str);
            assert_eq!(named, missing, "{scope}");
            assert_eq!(settings.keks().is_ok(), missing.is_none(), "{scope}");
        }
    }

    #[test]
    fn origins_are_exact_or_the_deployment_is_not_healthy() {
        let one = read(&[("ALLOWED_ORIGINS", "https://console.example.com")]);
        assert_eq!(one.allowed_origins, ["https://console.example.com"]);
        assert!(read(&[]).allowed_origins.is_empty());
        let open = read(&[("ALLOWED_ORIGINS", "https://a.example, *")]);
        assert!(open.allowed_origins.is_empty());
        assert!(open.missing().contains(&"ALLOWED_ORIGINS".to_owned()));
    }
}
