//! The first superadmin: rows for the control database. There is no bootstrap route.

use crate::chain;
use crate::hash::Pepper;
use crate::key;
use api_types::{KeyId, Secret, Timestamp, UserId};
use platform::Random;
use serde_json::json;

/// What the first start writes.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// SQL that does nothing when an active superadmin exists.
    pub sql: String,
    /// The key, shown once.
    pub api_key: Secret,
    /// The user.
    pub user_id: UserId,
    /// The key's id.
    pub key_id: KeyId,
}

fn uuid_v7(now: Timestamp, random: &impl Random) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    let ms = u64::try_from(now.ms()).unwrap_or(0).to_be_bytes();
    for (to, from) in bytes.iter_mut().zip(ms.iter().skip(2)) {
        *to = *from;
    }
    bytes[6] = (bytes[6] & 0x0f) | 0x70;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = crate::hash::hex(&bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

/// User, key and audit entry for a database whose chain `platform` is empty. The SQL makes all three rows or none: none
/// while a superadmin is active, and none where the chain has an entry. It may be run again, also after it was interrupted
/// between two statements.
///
/// # Errors
/// None in practice: the made id is a UUID.
pub fn superadmin(
    random: &impl Random,
    now: Timestamp,
    pepper_id: &str,
    pepper: &[u8; 32],
) -> Result<Bootstrap, api_types::InvalidId> {
    let user_id = UserId::parse(&uuid_v7(now, random))?;
    let minted = key::mint(random);
    let key_hash = Pepper::new(pepper_id, pepper).key_hash(&minted.secret);
    let email = "superadmin@platform.invalid";
    let actor = json!({"kind":"bootstrap"});
    let after = json!({"email": email, "role": "superadmin"});
    let prev = chain::FIRST_PREV_HASH;
    let entry = json!({
        "org_id": "platform", "seq": 1, "at": now, "actor": actor, "action": "create_user",
        "target_type": "user", "target_id": user_id, "instance_id": null, "before": null, "after": after,
        "request_id": "bootstrap", "ip": null, "prev_hash": prev,
    });
    let hash = chain::entry_hash(prev, &entry);
    let (key_id, last4) = (&minted.key_id, &minted.last4);
    // The entry comes first and everything hangs on it: its hash covers the user's id, so it is this run's or nobody's.
    // Every value is made here from digits and letters, or is a hash; nothing of a caller is pasted into SQL.
    let sql = format!(
        "INSERT INTO audit_log (org_id, seq, at, actor, action, target_type, target_id, instance_id, before, after, request_id, ip, prev_hash, hash)\n\
         SELECT 'platform', 1, '{now}', '{actor}', 'create_user', 'user', '{user_id}', NULL, NULL, '{after}', 'bootstrap', NULL, '{prev}', '{hash}'\n\
         WHERE NOT EXISTS (SELECT 1 FROM users WHERE role = 'superadmin' AND status = 'active')\n\
         AND NOT EXISTS (SELECT 1 FROM audit_log WHERE org_id = 'platform')\n\
         AND NOT EXISTS (SELECT 1 FROM users WHERE org_id IS NULL AND lower(email) = '{email}' AND status <> 'deleted');\n\
         INSERT INTO users (user_id, email, role, org_id, name, status, version, created_at, updated_at)\n\
         SELECT '{user_id}', '{email}', 'superadmin', NULL, 'Superadmin', 'active', 1, '{now}', '{now}'\n\
         WHERE EXISTS (SELECT 1 FROM audit_log WHERE org_id = 'platform' AND seq = 1 AND hash = '{hash}')\n\
         AND NOT EXISTS (SELECT 1 FROM users WHERE user_id = '{user_id}');\n\
         INSERT INTO api_keys (key_id, user_id, kind, name, key_hash, pepper_id, last4, scopes, secret_version, created_by, version, created_at)\n\
         SELECT '{key_id}', '{user_id}', 'key', 'bootstrap', '{key_hash}', '{pepper_id}', '{last4}', '[\"*\"]', 1, 'bootstrap', 1, '{now}'\n\
         WHERE EXISTS (SELECT 1 FROM users WHERE user_id = '{user_id}')\n\
         AND NOT EXISTS (SELECT 1 FROM api_keys WHERE key_id = '{key_id}');\n"
    );
    Ok(Bootstrap {
        sql,
        api_key: minted.api_key,
        user_id,
        key_id: minted.key_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::fakes::FakeRandom;

    #[test]
    fn the_sql_holds_the_hash_and_never_the_secret() {
        let made = superadmin(
            &FakeRandom::seeded(1),
            Timestamp(1_763_719_203_240),
            "p1",
            &[7; 32],
        )
        .unwrap();
        let secret = key::parse(made.api_key.expose()).unwrap().secret;
        assert!(!made.sql.contains(secret.expose()));
        assert!(
            made.sql
                .contains(&Pepper::new("p1", &[7; 32]).key_hash(&secret))
        );
        assert!(made.user_id.as_str().get(14..15) == Some("7"));
    }
}
