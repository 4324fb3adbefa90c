//! What using a key leaves behind, and which pepper it is hashed under.

use api_types::{KeyId, Timestamp};
use platform::Statement;

/// Records the first use of the current secret.
pub fn record_first_use(key_id: &KeyId, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE api_keys SET secret_first_used_at = ?2, last_used_at = ?2 WHERE key_id = ?1 AND secret_first_used_at IS NULL",
    )
    .bind(key_id.as_str())
    .bind(now.to_string())
}

/// Records a later use; the caller does so at most once a minute.
pub fn record_use(key_id: &KeyId, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE api_keys SET last_used_at = ?2 WHERE key_id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)",
    )
    .bind(key_id.as_str())
    .bind(now.to_string())
}

/// Replaces the hash by one under another pepper, if it is still the old one.
pub fn rehash(key_id: &KeyId, old_hash: &str, new_hash: &str, pepper_id: &str) -> Statement {
    Statement::new(
        "UPDATE api_keys SET key_hash = ?3, pepper_id = ?4 WHERE key_id = ?1 AND key_hash = ?2",
    )
    .bind(key_id.as_str())
    .bind(old_hash)
    .bind(new_hash)
    .bind(pepper_id)
}

/// Secrets that still need another pepper, as column `n`: of keys that can be used again, and previous ones that work.
pub fn count_old_peppers(current: &str, now: Timestamp) -> Statement {
    Statement::new(
        "SELECT (SELECT count(*) FROM api_keys WHERE (pepper_id < ?1 OR pepper_id > ?1) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)) \
         + (SELECT count(*) FROM api_keys INDEXED BY api_keys_overlapping WHERE prev_key_hash IS NOT NULL AND prev_expires_at > ?2 \
            AND prev_pepper_id <> ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)) AS n",
    )
    .bind(current)
    .bind(now.to_string())
}

/// Empties at most `limit` previous secrets whose time is over.
pub fn empty_ended(now: Timestamp, limit: i64) -> Statement {
    Statement::new(
        "UPDATE api_keys SET prev_key_hash = NULL, prev_pepper_id = NULL, prev_expires_at = NULL WHERE key_id IN \
         (SELECT key_id FROM api_keys INDEXED BY api_keys_overlapping WHERE prev_key_hash IS NOT NULL AND prev_expires_at <= ?1 LIMIT ?2)",
    )
    .bind(now.to_string())
    .bind(limit)
}
