//! What every test leaves behind is looked at when its service is dropped: each change has exactly one audit entry, each
//! chain can be recomputed, no entry holds a secret.
//!
//! The chain is computed here from the columns, without the worker's own code for reading it. A new route falls under
//! this by being tested at all.

use platform::fakes::{Journal, Ran, SqliteDatabase};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Writes that are no change of a resource, by their beginning: use of keys, publication, sweeping, observations.
/// Everything else must stand in a batch with an audit entry.
const UPKEEP: &[&str] = &[
    "UPDATE api_keys SET secret_first_used_at = ?2, last_used_at = ?2 ",
    "UPDATE api_keys SET last_used_at = ?2 ",
    "UPDATE api_keys SET key_hash = ?3, pepper_id = ?4 ",
    "UPDATE instances SET published_version = ?2, published_at = ?3 ",
    "UPDATE provider_credentials SET last_used_at = ",
    "UPDATE worker_registry SET health = ",
    "INSERT INTO audit_checkpoints ",
    "DELETE FROM idempotency ",
    // Alone it keeps an answer that changed nothing.
    "INSERT INTO idempotency ",
    "DELETE FROM provider_credentials WHERE credential_id IN (SELECT p.credential_id FROM provider_credentials p INDEXED BY provider_credentials_retiring ",
    "DELETE FROM api_keys WHERE key_id IN (SELECT key_id FROM api_keys INDEXED BY api_keys_sessions ",
    "UPDATE api_keys SET prev_key_hash = NULL, prev_pepper_id = NULL, prev_expires_at = NULL WHERE key_id IN (SELECT key_id FROM api_keys INDEXED BY api_keys_overlapping ",
    "UPDATE instance_effective SET recounted_at = ",
    "UPDATE instances SET published_version = config_version WHERE instance_id = ?1 AND config_version = ?2 AND status = 'deleted'",
    // A body is built anew from parts that were changed with their entries.
    "UPDATE instances SET config_version = x.version FROM ",
    "INSERT INTO instance_effective ",
    "UPDATE kek_rotations SET cursor = '', failed = 0, ",
    // Alone it is the step of a dry run; a real one changes envelopes too.
    "UPDATE kek_rotations SET cursor = ?2, ",
];
const AUDIT: &str = "INSERT INTO audit_log ";
/// Most of `before` or `after`, in bytes.
const MAX_BYTES: usize = 8 * 1024;

fn unaudited(batch: &[Ran]) -> Option<String> {
    let entries = batch.iter().filter(|it| it.sql.starts_with(AUDIT)).count();
    let change = batch
        .iter()
        .find(|it| !UPKEEP.iter().any(|start| it.sql.starts_with(start)))?;
    (entries != 1).then(|| {
        format!(
            "a change with {entries} audit entries; is it upkeep, then name it in UPKEEP: {}",
            change.sql
        )
    })
}

struct Row {
    texts: BTreeMap<&'static str, Option<String>>,
    seq: i64,
}

impl Row {
    fn text(&self, name: &str) -> Value {
        json!(self.texts.get(name).cloned().flatten())
    }

    fn parsed(&self, name: &str) -> Value {
        let text = self.texts.get(name).cloned().flatten();
        text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }
}

fn rows(database: &SqliteDatabase) -> Vec<Row> {
    const NAMES: [&str; 13] = [
        "org_id",
        "at",
        "actor",
        "action",
        "target_type",
        "target_id",
        "instance_id",
        "before",
        "after",
        "request_id",
        "ip",
        "prev_hash",
        "hash",
    ];
    database.with(|connection| {
        let sql = format!(
            "SELECT seq, {} FROM audit_log ORDER BY org_id, seq",
            NAMES.join(", ")
        );
        let mut statement = connection.prepare(&sql).unwrap();
        let read = statement.query_map([], |row| {
            let mut texts = BTreeMap::new();
            for (at, name) in NAMES.into_iter().enumerate() {
                texts.insert(name, row.get(at + 1)?);
            }
            Ok(Row {
                texts,
                seq: row.get(0)?,
            })
        });
        read.unwrap().map(Result::unwrap).collect()
    })
}

/// What is wrong with the chains.
fn broken(rows: &[Row]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut ends: BTreeMap<String, (i64, String)> = BTreeMap::new();
    let mut requests = BTreeSet::new();
    for row in rows {
        let org_id = row.text("org_id").as_str().unwrap().to_owned();
        let place = format!("{org_id} {}", row.seq);
        let (last, prev_hash) = ends
            .remove(&org_id)
            .unwrap_or_else(|| (0, auth::chain::FIRST_PREV_HASH.to_owned()));
        let whole = json!({
            "org_id": org_id, "seq": row.seq, "at": row.text("at"), "actor": row.parsed("actor"),
            "action": row.text("action"), "target_type": row.text("target_type"), "target_id": row.text("target_id"),
            "instance_id": row.text("instance_id"), "before": row.parsed("before"), "after": row.parsed("after"),
            "request_id": row.text("request_id"), "ip": row.text("ip"), "prev_hash": prev_hash,
        });
        if row.seq != last + 1 {
            problems.push(format!("{place} follows {last}"));
        }
        let hash = auth::chain::entry_hash(&prev_hash, &whole);
        if row.text("prev_hash") != json!(prev_hash) || row.text("hash") != json!(hash) {
            problems.push(format!("{place} does not fit into its chain: {whole}"));
        }
        // A run of a key rotation is one request that changes many instances.
        let change = [
            "request_id",
            "action",
            "target_type",
            "target_id",
            "instance_id",
        ];
        if !requests.insert(change.map(|name| row.text(name).to_string())) {
            problems.push(format!("{place} is the second entry of its request"));
        }
        for name in ["before", "after"] {
            let text = row.text(name).as_str().unwrap_or_default().to_owned();
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let secret = text.contains("canary-")
                || words.into_iter().any(|it| auth::key::parse(it).is_ok());
            if secret || text.len() > MAX_BYTES {
                problems.push(format!(
                    "{place} has a secret or too much in `{name}`: {text}"
                ));
            }
        }
        ends.insert(org_id, (row.seq, hash));
    }
    problems
}

/// All that is wrong with what a test left behind.
pub(crate) fn problems(database: &SqliteDatabase, journal: &Journal) -> Vec<String> {
    let mut problems = broken(&rows(database));
    problems.extend(
        journal
            .written()
            .iter()
            .filter_map(|batch| unaudited(batch)),
    );
    problems
}

#[test]
fn a_change_without_an_entry_is_noticed() {
    let written = |sql: &str| Ran {
        sql: sql.to_owned(),
        changes: 1,
        ..Ran::default()
    };
    let entry = written("INSERT INTO audit_log (org_id) VALUES (?1)");
    let change = written("UPDATE users SET role = ?2");
    let use_of_key = written("UPDATE api_keys SET last_used_at = ?2 WHERE key_id = ?1");
    for (batch, good) in [
        (vec![change.clone(), entry.clone()], true),
        (vec![use_of_key.clone()], true),
        (vec![change.clone()], false),
        (vec![use_of_key, change.clone()], false),
        (vec![change, entry.clone(), entry], false),
    ] {
        assert_eq!(unaudited(&batch).is_none(), good, "{batch:?}");
    }
}
