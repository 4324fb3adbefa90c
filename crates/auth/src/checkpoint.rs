//! Checkpoints of audit chains: an HMAC over the end of a chain, under a key that is not in the database.
//!
//! Who can write to the database can write a whole new chain that is good in itself; it does not have the hashes that
//! earlier checkpoints name, and it cannot make new ones. In scope: making and verifying one. Out of scope: when.

use crate::chain::canonical_json;
use crate::hash::Pepper;
use serde_json::json;

/// What the checkpoints' key is derived for.
const PURPOSE: &str = "switchyard/audit-checkpoint/v1";

/// The end of a chain at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint<'a> {
    /// The chain.
    pub org_id: &'a str,
    /// The newest entry.
    pub seq: i64,
    /// Its hash.
    pub hash: &'a str,
    /// When, RFC 3339.
    pub created_at: &'a str,
}

impl Checkpoint<'_> {
    fn text(&self) -> String {
        canonical_json(&json!({
            "org_id": self.org_id, "seq": self.seq, "hash": self.hash, "created_at": self.created_at,
        }))
    }

    /// Hex HMAC-SHA256.
    pub fn mac(&self, pepper: &Pepper) -> String {
        pepper.mac(PURPOSE, self.text().as_bytes())
    }

    /// Whether that is its HMAC. In constant time.
    pub fn verify(&self, pepper: &Pepper, mac: &str) -> bool {
        pepper.verify_mac(PURPOSE, self.text().as_bytes(), mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: Checkpoint<'static> = Checkpoint {
        org_id: "platform",
        seq: 7,
        hash: "aa",
        created_at: "2025-11-21T10:00:00.000Z",
    };

    #[test]
    fn checkpoint_mac_unchanged() {
        let pepper = Pepper::new("p1", &std::array::from_fn(|i| i as u8));
        assert_eq!(
            POINT.mac(&pepper),
            "b13fd8178267b90bc5b87a278611ef5baa22dbd930ef50e18def88e68d79979e"
        );
    }

    #[test]
    fn every_member_and_the_pepper_are_covered() {
        let pepper = Pepper::new("p1", &[1; 32]);
        let mac = POINT.mac(&pepper);
        assert!(POINT.verify(&pepper, &mac));
        for other in [
            Checkpoint {
                org_id: "other",
                ..POINT
            },
            Checkpoint { seq: 8, ..POINT },
            Checkpoint {
                hash: "ab",
                ..POINT
            },
            Checkpoint {
                created_at: "2025-11-22T10:00:00.000Z",
                ..POINT
            },
        ] {
            assert!(!other.verify(&pepper, &mac), "{other:?}");
        }
        assert!(!POINT.verify(&Pepper::new("p1", &[2; 32]), &mac));
        assert!(!POINT.verify(&pepper, ""));
        assert!(!POINT.verify(&pepper, "zz"));
    }
}
