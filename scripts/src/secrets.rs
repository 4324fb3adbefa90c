//! Random secrets of a local state folder, and the keys that its seed handed out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::failure::{Context, Result};
use crate::render::write_private;

const FILE: &str = "secrets.json";
/// Id of the pepper that local keys are hashed with.
pub const PEPPER_ID: &str = "p1";
/// Key-encryption keys besides `k1`, so that a rotation can be tried on one machine.
const FURTHER_KEKS: [&str; 1] = ["k2"];

/// Kept as long as the state, in a file of mode 0600 beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Secrets {
    /// The key-encryption key `k1`.
    kek: String,
    /// The others by their ids.
    #[serde(default)]
    further_keks: BTreeMap<String, String>,
    pepper: String,
    url_signing: String,
    /// API keys by who holds them: `superadmin`, `admin`, `user`, `foreign`.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    /// Ids of seeded rows by name.
    #[serde(default)]
    pub ids: BTreeMap<String, String>,
    /// Seeded facts that have no id of their own.
    #[serde(default)]
    pub done: BTreeSet<String>,
    /// What the seeded instances were last told about the simulator.
    #[serde(default)]
    pub seeded_for: String,
    #[serde(skip)]
    path: PathBuf,
}

impl Secrets {
    /// Reads those of the session, or makes them; a session of before gets what it lacks.
    pub fn of_session(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let mut secrets = match fs::read_to_string(&path) {
            Ok(text) => {
                let known: Self = serde_json::from_str(&text).context(path.display())?;
                Self { path, ..known }
            }
            Err(_) => Self {
                kek: random_base64()?,
                further_keks: BTreeMap::new(),
                pepper: random_base64()?,
                url_signing: format!("u1:{}", random_base64()?),
                keys: BTreeMap::new(),
                ids: BTreeMap::new(),
                done: BTreeSet::new(),
                seeded_for: String::new(),
                path,
            },
        };
        for id in FURTHER_KEKS {
            if !secrets.further_keks.contains_key(id) {
                secrets.further_keks.insert(id.to_owned(), random_base64()?);
            }
        }
        secrets.save()?;
        Ok(secrets)
    }

    /// Writes them back.
    pub fn save(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context(FILE)?;
        write_private(&self.path, &text)
    }

    /// Every secret text, for a search of places where none may be.
    pub fn texts(&self) -> Vec<String> {
        let signing = self.url_signing.rsplit(':').next().unwrap_or_default();
        let own = [self.kek.as_str(), self.pepper.as_str(), signing];
        let further = self.further_keks.values().map(String::as_str);
        let keys = self.keys.values().map(String::as_str);
        let all = own.into_iter().chain(further).chain(keys);
        all.map(str::to_owned).collect()
    }

    /// The pepper's bytes.
    pub fn pepper(&self) -> Result<[u8; 32]> {
        STANDARD
            .decode(&self.pepper)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .context(format!("{FILE}: the pepper is not 32 bytes"))
    }

    /// The key of one holder.
    pub fn key(&self, holder: &str) -> Result<&str> {
        self.keys
            .get(holder)
            .map(String::as_str)
            .context(format!("no key of {holder} in this session"))
    }

    /// A `.dev.vars` file with these names.
    pub fn dev_vars(&self, names: &[String]) -> Result<String> {
        let mut lines = Vec::new();
        for name in names {
            let value = match name.split_once('_') {
                Some(("KEK", "k1")) => Some(&self.kek),
                Some(("KEK", id)) => self.further_keks.get(id),
                _ if name.starts_with("KEY_PEPPER_") => Some(&self.pepper),
                _ if name == "URL_SIGNING_KEYS" => Some(&self.url_signing),
                _ => None,
            };
            let value = value.context(format!(
                "`.dev.vars.example` names {name}, which scripts/src/secrets.rs does not make"
            ))?;
            lines.push(format!("{name}=\"{value}\"\n"));
        }
        Ok(lines.concat())
    }
}

fn random_base64() -> Result<String> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .context("randomness of the system")?;
    Ok(STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_second_start_keeps_the_secrets_of_the_state() {
        let dir = Scratch::new("secrets");
        let mut first = Secrets::of_session(dir.path()).unwrap();
        first.keys.insert("admin".into(), "k".into());
        first.save().unwrap();
        let second = Secrets::of_session(dir.path()).unwrap();
        assert_eq!(first.pepper().unwrap(), second.pepper().unwrap());
        assert_eq!(first.further_keks, second.further_keks);
        assert_eq!(second.key("admin").unwrap(), "k");
        let other = Scratch::new("secrets");
        let third = Secrets::of_session(other.path()).unwrap();
        assert_ne!(first.pepper().unwrap(), third.pepper().unwrap());
    }

    #[test]
    fn a_session_of_before_keeps_its_key_and_gets_one_to_rotate_to() {
        let dir = Scratch::new("secrets");
        let old = r#"{"kek": "one", "pepper": "p", "url_signing": "u1:u", "keys": {"admin": "k"}}"#;
        fs::write(dir.path().join(FILE), old).unwrap();
        let names = ["KEK_k1", "KEK_k2"].map(str::to_owned);
        let vars = || {
            Secrets::of_session(dir.path())
                .unwrap()
                .dev_vars(&names)
                .unwrap()
        };
        let first = vars();
        assert!(first.starts_with("KEK_k1=\"one\"\nKEK_k2=\""), "{first}");
        assert_eq!(first.matches("\"one\"").count(), 1);
        assert_eq!(first, vars());
    }

    #[test]
    fn every_secret_of_the_examples_can_be_made_and_an_unknown_one_is_refused() {
        let dir = Scratch::new("secrets");
        let secrets = Secrets::of_session(dir.path()).unwrap();
        let names = ["KEK_k1", "KEK_k2", "KEY_PEPPER_p1", "URL_SIGNING_KEYS"].map(str::to_owned);
        let text = secrets.dev_vars(&names).unwrap();
        assert_eq!(crate::workers::names_in_dev_vars(&text), names);
        for unknown in ["NEW_SECRET", "KEK_k9"] {
            assert!(secrets.dev_vars(&[unknown.to_owned()]).is_err());
        }
    }
}
