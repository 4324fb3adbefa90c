//! A set of keys in a worker's variables and secrets: `<PREFIX>_CURRENT` names one of `<PREFIX>_<id>`.
//!
//! In scope: which names count, 32 bytes in base64, naming what is missing or malformed. Out of scope: where variables
//! come from, what the keys are for (modules `envelope`, `hash`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What was found under one prefix.
#[derive(Clone, Default)]
pub struct Keyring {
    /// Id of the current key; none when no variable names it.
    pub current: Option<String>,
    /// Keys by id, those that could be read.
    pub keys: Vec<(String, [u8; 32])>,
    /// Names of variables that are missing, or not 32 bytes in base64. Never a value.
    pub problems: Vec<String>,
}

impl Keyring {
    /// Reads it. `names` are all variables and secrets that exist, `get` gives one of them as text.
    pub fn read(names: &[String], get: impl Fn(&str) -> Option<String>, prefix: &str) -> Self {
        let current_var = format!("{prefix}_CURRENT");
        let mut ring = Self {
            current: get(&current_var).filter(|id| !id.is_empty()),
            ..Self::default()
        };
        let mut ids: Vec<&str> = names
            .iter()
            .filter_map(|name| name.strip_prefix(prefix)?.strip_prefix('_'))
            .filter(|id| !matches!(*id, "CURRENT" | "SCOPE"))
            .collect();
        if let Some(current) = &ring.current
            && !ids.contains(&current.as_str())
        {
            ids.push(current);
        }
        for id in ids {
            let name = format!("{prefix}_{id}");
            let bytes = get(&name)
                .and_then(|text| STANDARD.decode(text.trim()).ok())
                .and_then(|bytes| bytes.try_into().ok());
            match bytes {
                Some(bytes) => ring.keys.push((id.to_owned(), bytes)),
                None => ring.problems.push(name),
            }
        }
        if ring.current.is_none() {
            ring.problems.push(current_var);
        }
        ring
    }

    /// The keys as they stand in the secrets, for whoever must keep them out of logs.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.keys.iter().map(|(_, bytes)| STANDARD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Keyring {
        let names: Vec<String> = vars.iter().map(|(name, _)| (*name).to_owned()).collect();
        let get = |name: &str| {
            let found = vars.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Keyring::read(&names, get, "KEK")
    }

    #[test]
    fn what_is_missing_or_malformed_is_named_and_the_rest_is_read() {
        let good = STANDARD.encode([7; 32]);
        let short = STANDARD.encode([7; 31]);
        let ring = read(&[
            ("KEK_CURRENT", "k3"),
            ("KEK_SCOPE", "platform"),
            ("KEK_k1", &good),
            ("KEK_k2", &short),
            ("KEKS_k4", &good),
            ("DB", "x"),
        ]);
        assert_eq!(ring.current.as_deref(), Some("k3"));
        assert_eq!(ring.keys, [("k1".to_owned(), [7; 32])]);
        assert_eq!(ring.problems, ["KEK_k2", "KEK_k3"]);
        assert_eq!(ring.texts().collect::<Vec<_>>(), [good]);
        for vars in [&[][..], &[("KEK_CURRENT", "")]] {
            assert_eq!(read(vars).problems, ["KEK_CURRENT"]);
        }
    }
}
