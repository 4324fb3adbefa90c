//! The hash chain of the audit log: each entry's hash covers the one before it.
//!
//! In scope: hashing an entry, walking a chain and naming its first broken place. Out of scope: where entries are kept,
//! checkpoints (`checkpoint`).

use crate::hash::hex;
use ring::digest;
use serde_json::Value;

/// `prev_hash` of the first entry of a chain.
pub const FIRST_PREV_HASH: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";

/// JSON with sorted member names and no spaces.
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            text.push('{');
            for (index, name) in names.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(name.clone()).to_string());
                text.push(':');
                write_canonical(members.get(name).unwrap_or(&Value::Null), text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// Hex SHA-256 of `prev_hash`, a newline and the canonical JSON of the entry without its own hash.
pub fn entry_hash(prev_hash: &str, entry: &Value) -> String {
    let text = format!("{prev_hash}\n{}", canonical_json(entry));
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

/// Hex SHA-256 of bytes, for fingerprints.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// One entry as it stands in the log.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// Its place.
    pub seq: i64,
    /// What it says the hash before it is.
    pub prev_hash: &'a str,
    /// What it says its own hash is.
    pub hash: &'a str,
    /// The entry without its own hash, its JSON members as values.
    pub body: &'a Value,
}

/// How a chain can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The entry that belongs here is not there.
    Missing,
    /// The entry does not follow the one before it.
    Link,
    /// The entry is not what its hash was made of.
    Hash,
    /// A checkpoint names another hash for it, or is itself not genuine.
    Checkpoint,
}

impl Fault {
    /// Its word in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Link => "link",
            Self::Hash => "hash",
            Self::Checkpoint => "checkpoint",
        }
    }
}

/// The first broken place of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where.
    pub seq: i64,
    /// How.
    pub fault: Fault,
}

/// A walk along a chain, from its beginning or from a place that was good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    seq: i64,
    hash: String,
}

impl Default for Walk {
    fn default() -> Self {
        Self::after(0, FIRST_PREV_HASH)
    }
}

impl Walk {
    /// Behind the entry of that place and hash.
    pub fn after(seq: i64, hash: impl Into<String>) -> Self {
        Self {
            seq,
            hash: hash.into(),
        }
    }

    /// The last place that was good; 0 before the first.
    pub const fn seq(&self) -> i64 {
        self.seq
    }

    /// The hash there.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// One entry further.
    ///
    /// # Errors
    /// The place that is broken; the walk stays before it.
    pub fn step(&mut self, link: &Link<'_>) -> Result<(), Broken> {
        let seq = self.seq + 1;
        let broken = |fault| Err(Broken { seq, fault });
        if link.seq != seq {
            return broken(Fault::Missing);
        }
        if link.prev_hash != self.hash {
            return broken(Fault::Link);
        }
        if entry_hash(link.prev_hash, link.body) != link.hash {
            return broken(Fault::Hash);
        }
        *self = Self::after(seq, link.hash);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Entry {
        seq: i64,
        prev_hash: String,
        hash: String,
        body: Value,
    }

    fn chain(length: i64) -> Vec<Entry> {
        let mut prev_hash = FIRST_PREV_HASH.to_owned();
        (1..=length)
            .map(|seq| {
                let body = json!({
                    "seq": seq, "action": "create_user", "after": {"n": seq, "f": 0.1}, "prev_hash": prev_hash,
                });
                let hash = entry_hash(&prev_hash, &body);
                let entry = Entry { seq, prev_hash: prev_hash.clone(), hash: hash.clone(), body };
                prev_hash = hash;
                entry
            })
            .collect()
    }

    fn walk(chain: &[Entry]) -> Result<i64, Broken> {
        let mut walk = Walk::default();
        for entry in chain {
            walk.step(&Link {
                seq: entry.seq,
                prev_hash: &entry.prev_hash,
                hash: &entry.hash,
                body: &entry.body,
            })?;
        }
        Ok(walk.seq())
    }

    const fn broken<T>(seq: i64, fault: Fault) -> Result<T, Broken> {
        Err(Broken { seq, fault })
    }

    #[test]
    fn any_changed_removed_or_moved_entry_is_found_where_it_is() {
        const LENGTH: usize = 9;
        assert_eq!(walk(&chain(9)), Ok(9));
        for at in 0..LENGTH {
            let seq = at as i64 + 1;
            for (name, value) in [
                ("action", json!("delete_user")),
                ("after", json!({"n": 0})),
                ("extra", json!(null)),
            ] {
                let mut changed = chain(9);
                changed[at].body[name] = value;
                assert_eq!(walk(&changed), broken(seq, Fault::Hash), "{name}");
            }
            let mut changed = chain(9);
            changed[at].hash = "f".repeat(64);
            assert_eq!(walk(&changed), broken(seq, Fault::Hash));
            let mut removed = chain(9);
            removed.remove(at);
            let expected = if at + 1 == LENGTH {
                Ok(8)
            } else {
                broken(seq, Fault::Missing)
            };
            assert_eq!(walk(&removed), expected);
            // The places of two entries exchanged, their numbers too.
            if at + 1 < LENGTH {
                let mut moved = chain(9);
                moved.swap(at, at + 1);
                moved[at].seq = seq;
                moved[at + 1].seq = seq + 1;
                assert_eq!(walk(&moved), broken(seq, Fault::Link));
            }
            // An entry whose own hash was made to fit betrays itself by the next one.
            let mut forged = chain(9);
            forged[at].body["action"] = json!("forged");
            forged[at].hash = entry_hash(&forged[at].prev_hash.clone(), &forged[at].body);
            let expected = if at + 1 == LENGTH {
                Ok(9)
            } else {
                broken(seq + 1, Fault::Link)
            };
            assert_eq!(walk(&forged), expected);
        }
    }

    #[test]
    fn a_walk_goes_on_where_another_one_ended() {
        let chain = chain(9);
        let mut walk = Walk::after(4, chain[3].hash.clone());
        for entry in &chain[4..] {
            let (prev_hash, hash) = (&entry.prev_hash, &entry.hash);
            let link = Link {
                seq: entry.seq,
                prev_hash,
                hash,
                body: &entry.body,
            };
            assert_eq!(walk.step(&link), Ok(()));
        }
        assert_eq!((walk.seq(), walk.hash()), (9, chain[8].hash.as_str()));
    }

    #[test]
    fn member_order_does_not_matter_and_any_change_does() {
        let a = json!({"b":1,"a":{"y":[1,2],"x":"é\n"}});
        let b = json!({"a":{"x":"é\n","y":[1,2]},"b":1});
        assert_eq!(canonical_json(&a), r#"{"a":{"x":"é\n","y":[1,2]},"b":1}"#);
        assert_eq!(
            entry_hash(FIRST_PREV_HASH, &a),
            entry_hash(FIRST_PREV_HASH, &b)
        );
        assert_ne!(
            entry_hash(FIRST_PREV_HASH, &a),
            entry_hash(FIRST_PREV_HASH, &json!({"b":2,"a":{}}))
        );
        assert_ne!(
            entry_hash(FIRST_PREV_HASH, &a),
            entry_hash(&entry_hash(FIRST_PREV_HASH, &a), &a)
        );
    }
}
