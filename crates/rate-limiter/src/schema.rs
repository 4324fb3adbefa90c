//! The object's own SQL: tables, reading rows, loading memory, writing changes.
//!
//! In scope: the form of stored rows, pinned by tests. Out of scope: the ledger (crate `store`), decisions.

use crate::Tuning;
use crate::lease::{Attempt, attempt_id, lease_key};
use crate::state::{AttemptSource, Changes, LimiterState, WindowEntry, json};
use api_types::{InstanceId, JobId, KeyId, LeaseId, OrgId, ProjectId, ProviderName};
use platform::{ActorStorage, PortError, Row, SqlValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::LazyLock;

/// Version of the tables.
const SCHEMA: i64 = 1;

/// Columns in the order of [`params`]; the second member is the type.
const COLUMNS: &[(&str, &str)] = &[
    ("lease_id", "TEXT PRIMARY KEY"),
    ("attempt_id", "TEXT NOT NULL UNIQUE"),
    ("job_id", "TEXT NOT NULL"),
    ("attempt_no", "INTEGER NOT NULL"),
    ("instance_id", "TEXT NOT NULL"),
    ("provider", "TEXT NOT NULL"),
    ("state", "TEXT NOT NULL"),
    ("job_state", "TEXT NOT NULL"),
    ("stage", "TEXT"),
    ("epoch", "INTEGER NOT NULL"),
    ("owned", "INTEGER NOT NULL"),
    ("taker", "TEXT NOT NULL"),
    ("at_ms", "INTEGER NOT NULL"),
    ("counted", "INTEGER NOT NULL"),
    ("calls", "INTEGER NOT NULL"),
    ("images", "INTEGER NOT NULL"),
    ("tokens", "INTEGER NOT NULL"),
    ("work", "TEXT NOT NULL"),
    ("model", "TEXT NOT NULL"),
    ("org_id", "TEXT NOT NULL"),
    ("project_id", "TEXT"),
    ("key_id", "TEXT"),
    ("request_id", "TEXT NOT NULL"),
    ("trace", "TEXT NOT NULL"),
    ("estimate_usd_micros", "INTEGER"),
    ("upper_usd_micros", "INTEGER"),
    ("price_version", "TEXT"),
    ("created_ms", "INTEGER NOT NULL"),
    ("updated_ms", "INTEGER NOT NULL"),
    ("life_ms", "INTEGER NOT NULL"),
    ("run_until_ms", "INTEGER NOT NULL"),
    ("holder_ms", "INTEGER NOT NULL"),
    ("holder_until_ms", "INTEGER"),
    ("dispatches", "INTEGER NOT NULL"),
    ("cancel_requested", "INTEGER NOT NULL"),
    ("probe", "INTEGER NOT NULL"),
    ("generation", "INTEGER NOT NULL"),
    ("config_version", "INTEGER NOT NULL"),
    ("image_ids", "TEXT NOT NULL"),
    ("job_refs", "TEXT NOT NULL"),
    ("outcome", "TEXT"),
    ("billed", "TEXT"),
    ("cost_usd_micros", "INTEGER"),
    ("cost_basis", "TEXT"),
    ("result", "TEXT NOT NULL"),
    ("timeline", "TEXT NOT NULL"),
    ("version", "INTEGER NOT NULL"),
    ("flushed_version", "INTEGER NOT NULL"),
    ("flush_due_ms", "INTEGER"),
    ("settled_ms", "INTEGER"),
    // Last, and never updated: a row's job is what it was admitted with.
    ("job", "TEXT NOT NULL"),
];

/// Creates what is missing.
pub(crate) fn create(storage: &impl ActorStorage) -> Result<(), PortError> {
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|(name, kind)| format!("{name} {kind}"))
        .collect();
    storage.exec(
        &format!(
            "CREATE TABLE IF NOT EXISTS attempts ({})",
            columns.join(", ")
        ),
        &[],
    )?;
    storage.exec(
        "CREATE INDEX IF NOT EXISTS attempts_settled ON attempts (settled_ms) WHERE settled_ms IS NOT NULL",
        &[],
    )?;
    storage.exec(
        "CREATE TABLE IF NOT EXISTS meta (k TEXT PRIMARY KEY, v TEXT NOT NULL)",
        &[],
    )?;
    storage.exec(
        "INSERT INTO meta (k, v) VALUES ('schema', ?1) ON CONFLICT (k) DO NOTHING",
        &[SqlValue::Text(SCHEMA.to_string())],
    )?;
    Ok(())
}

/// Rebuilds the memory. Jobs and reports stay in the tables.
pub(crate) fn load(
    storage: &impl ActorStorage,
    tuning: Tuning,
    now_ms: i64,
) -> Result<LimiterState, PortError> {
    let mut state = LimiterState::new(tuning);
    let meta = storage.exec("SELECT k, v FROM meta", &[])?;
    state.restore(|key| {
        meta.iter()
            .find(|row| row.text("k") == Some(key.key()))
            .and_then(|row| row.text("v"))
            .map(str::to_owned)
    });
    let last = storage.exec("SELECT MAX(updated_ms) AS last FROM attempts", &[])?;
    let last_ms = last.first().and_then(|row| row.int("last")).unwrap_or(0);
    let now_ms = state.advance(now_ms.max(last_ms));
    let rows = storage.exec(
        &format!(
            "SELECT {} FROM attempts WHERE settled_ms IS NULL OR version > flushed_version OR at_ms > ?1",
            light_columns()
        ),
        &[SqlValue::Integer(now_ms - state.longest_window_ms())],
    )?;
    for row in &rows {
        state.track(&read(row)?);
    }
    state.prune_ms = oldest_settled(storage)?.map(|settled_ms| settled_ms + state.keep_ms());
    state.advance(now_ms);
    Ok(state)
}

/// When the oldest row that may leave ended.
pub(crate) fn oldest_settled(storage: &impl ActorStorage) -> Result<Option<i64>, PortError> {
    let rows = storage.exec(
        "SELECT settled_ms FROM attempts WHERE settled_ms IS NOT NULL AND version <= flushed_version ORDER BY settled_ms LIMIT 1",
        &[],
    )?;
    Ok(rows.first().and_then(|row| row.int("settled_ms")))
}

/// Removes rows that ended before `before_ms` and that the ledger has, at most `most`.
pub(crate) fn prune(
    storage: &impl ActorStorage,
    before_ms: i64,
    most: u32,
) -> Result<(), PortError> {
    storage.exec(
        "DELETE FROM attempts WHERE lease_id IN (SELECT lease_id FROM attempts WHERE settled_ms <= ?1 AND version <= flushed_version ORDER BY settled_ms LIMIT ?2)",
        &[SqlValue::Integer(before_ms), SqlValue::from(most)],
    )?;
    Ok(())
}

/// Writes what a command changed; run inside a transaction.
pub(crate) fn write(storage: &impl ActorStorage, changes: &Changes) -> Result<(), PortError> {
    for lease_id in &changes.removed {
        storage.exec(
            "DELETE FROM attempts WHERE lease_id = ?1",
            &[SqlValue::from(lease_id.as_str())],
        )?;
    }
    for row in &changes.rows {
        storage.exec(&UPSERT, &params(row))?;
    }
    for (lease_id, credential_id) in &changes.credentials {
        storage.exec(
            "UPDATE attempts SET job = json_set(job, '$.credential_id', ?2) WHERE lease_id = ?1",
            &[lease_id.as_str().into(), credential_id.as_str().into()],
        )?;
    }
    for (meta, text) in &changes.meta {
        storage.exec(
            "INSERT INTO meta (k, v) VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
            &[SqlValue::from(meta.key()), SqlValue::from(text)],
        )?;
    }
    Ok(())
}

/// Reads through the storage.
pub(crate) struct Source<'a, S>(pub(crate) &'a S);

impl<S: ActorStorage> Source<'_, S> {
    fn one(&self, condition: &str, params: &[SqlValue]) -> Result<Option<Attempt>, PortError> {
        let rows = self
            .0
            .exec(&format!("SELECT * FROM attempts WHERE {condition}"), params)?;
        rows.first().map(read).transpose()
    }
}

impl<S: ActorStorage> AttemptSource for Source<'_, S> {
    fn by_lease(&self, lease_id: &LeaseId) -> Result<Option<Attempt>, PortError> {
        self.one("lease_id = ?1", &[SqlValue::from(lease_id.as_str())])
    }

    fn by_attempt(&self, job_id: &JobId, attempt_no: u32) -> Result<Option<Attempt>, PortError> {
        self.one(
            "attempt_id = ?1",
            &[SqlValue::Text(attempt_id(job_id, attempt_no))],
        )
    }

    fn newest(&self, job_id: &JobId) -> Result<Option<Attempt>, PortError> {
        // A range of the unique index; ';' is the character after ':'.
        self.one(
            "attempt_id > ?1 AND attempt_id < ?2 ORDER BY attempt_no DESC LIMIT 1",
            &[
                SqlValue::Text(format!("{job_id}:")),
                SqlValue::Text(format!("{job_id};")),
            ],
        )
    }

    fn open(&self, most: u32) -> Result<Vec<Attempt>, PortError> {
        let rows = self.0.exec(
            &format!(
                "SELECT {} FROM attempts WHERE settled_ms IS NULL ORDER BY created_ms LIMIT ?1",
                light_columns()
            ),
            &[SqlValue::from(most)],
        )?;
        rows.iter().map(read).collect()
    }

    fn entries_since(&self, at_ms: i64) -> Result<Vec<WindowEntry>, PortError> {
        let rows = self.0.exec(
            "SELECT lease_id, at_ms, state, calls FROM attempts WHERE counted = 1 AND (at_ms > ?1 OR state = 'granted')",
            &[SqlValue::Integer(at_ms)],
        )?;
        rows.iter()
            .map(|row| {
                let granted = row.text("state") == Some("granted");
                Ok(WindowEntry {
                    key: lease_key(&id(row, "lease_id", LeaseId::parse)?),
                    at_ms: (!granted).then_some(int(row, "at_ms")?),
                    calls: u32::try_from(int(row, "calls")?).unwrap_or(u32::MAX),
                })
            })
            .collect()
    }
}

/// Made once: it is the same for every row.
static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let marks: Vec<String> = (1..=names.len()).map(|n| format!("?{n}")).collect();
    let updates: Vec<String> = names
        .iter()
        .skip(1)
        .filter(|name| **name != "job")
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    format!(
        "INSERT INTO attempts ({}) VALUES ({}) ON CONFLICT (lease_id) DO UPDATE SET {}",
        names.join(", "),
        marks.join(", "),
        updates.join(", ")
    )
});

/// Everything but the long texts, which memory does not need.
fn light_columns() -> String {
    let names: Vec<String> = COLUMNS
        .iter()
        .map(|(name, _)| match *name {
            "job" => "'null' AS job".to_owned(),
            "result" => "'{}' AS result".to_owned(),
            "image_ids" | "job_refs" | "timeline" => format!("'[]' AS {name}"),
            name => name.to_owned(),
        })
        .collect();
    names.join(", ")
}

/// The stored word of a wire enum.
fn word<T: Serialize>(value: &T) -> SqlValue {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => SqlValue::Text(word),
        _ => SqlValue::Null,
    }
}

fn params(row: &Attempt) -> Vec<SqlValue> {
    vec![
        row.lease_id.as_str().into(),
        attempt_id(&row.job_id, row.attempt_no).into(),
        row.job_id.as_str().into(),
        row.attempt_no.into(),
        row.instance_id.as_str().into(),
        row.provider.as_str().into(),
        word(&row.state),
        word(&row.job_state),
        word(&row.stage),
        row.epoch.into(),
        row.owned.into(),
        row.taker.as_str().into(),
        row.at_ms.into(),
        row.counted.into(),
        row.calls.into(),
        row.images.into(),
        row.tokens.into(),
        word(&row.work),
        row.model.as_str().into(),
        row.org_id.as_str().into(),
        row.project_id.as_ref().map(ProjectId::as_str).into(),
        row.key_id.as_ref().map(KeyId::as_str).into(),
        row.request_id.as_str().into(),
        row.traceparent.as_str().into(),
        row.estimate_usd_micros.into(),
        row.upper_usd_micros.into(),
        row.price_version.as_deref().into(),
        row.created_ms.into(),
        row.updated_ms.into(),
        row.life_ms.into(),
        row.run_until_ms.into(),
        row.holder_ms.into(),
        row.deadline_ms.into(),
        row.dispatches.into(),
        row.cancel_requested.into(),
        row.probe.into(),
        i64::try_from(row.generation).unwrap_or(i64::MAX).into(),
        row.config_version.into(),
        json(&row.image_ids).into(),
        json(&row.job_refs).into(),
        word(&row.outcome),
        word(&row.billed),
        row.cost_usd_micros.into(),
        word(&row.cost_basis),
        json(&row.report).into(),
        json(&row.timeline).into(),
        row.version.into(),
        row.flushed_version.into(),
        row.flush_due_ms.into(),
        row.settled_ms.into(),
        row.job.as_str().into(),
    ]
}

fn broken(column: &str) -> PortError {
    PortError::new("actor", format!("unreadable column {column}"))
}

fn int(row: &Row, column: &str) -> Result<i64, PortError> {
    row.int(column).ok_or_else(|| broken(column))
}

fn short(row: &Row, column: &str) -> Result<u32, PortError> {
    u32::try_from(int(row, column)?).map_err(|_| broken(column))
}

fn text(row: &Row, column: &str) -> Result<String, PortError> {
    row.text(column)
        .map(str::to_owned)
        .ok_or_else(|| broken(column))
}

fn id<T, E>(row: &Row, column: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, PortError> {
    row.text(column)
        .and_then(|text| parse(text).ok())
        .ok_or_else(|| broken(column))
}

fn maybe_id<T, E>(
    row: &Row,
    column: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, PortError> {
    match row.text(column) {
        None => Ok(None),
        Some(text) => parse(text).map(Some).map_err(|_| broken(column)),
    }
}

fn enumeration<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, PortError> {
    let value = match row.text(column) {
        Some(word) => serde_json::Value::String(word.to_owned()),
        None => serde_json::Value::Null,
    };
    serde_json::from_value(value).map_err(|_| broken(column))
}

fn document<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, PortError> {
    row.text(column)
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| broken(column))
}

fn read(row: &Row) -> Result<Attempt, PortError> {
    Ok(Attempt {
        lease_id: id(row, "lease_id", LeaseId::parse)?,
        job_id: id(row, "job_id", JobId::parse)?,
        attempt_no: short(row, "attempt_no")?,
        instance_id: id(row, "instance_id", InstanceId::parse)?,
        provider: id(row, "provider", ProviderName::parse)?,
        state: enumeration(row, "state")?,
        job_state: enumeration(row, "job_state")?,
        stage: enumeration(row, "stage")?,
        epoch: short(row, "epoch")?,
        owned: row.flag("owned"),
        taker: text(row, "taker")?,
        at_ms: int(row, "at_ms")?,
        counted: row.flag("counted"),
        calls: short(row, "calls")?,
        images: short(row, "images")?,
        tokens: short(row, "tokens")?,
        work: enumeration(row, "work")?,
        model: text(row, "model")?,
        org_id: id(row, "org_id", OrgId::parse)?,
        project_id: maybe_id(row, "project_id", ProjectId::parse)?,
        key_id: maybe_id(row, "key_id", KeyId::parse)?,
        request_id: text(row, "request_id")?,
        traceparent: text(row, "trace")?,
        estimate_usd_micros: row.int("estimate_usd_micros"),
        upper_usd_micros: row.int("upper_usd_micros"),
        price_version: row.text("price_version").map(str::to_owned),
        created_ms: int(row, "created_ms")?,
        updated_ms: int(row, "updated_ms")?,
        life_ms: int(row, "life_ms")?,
        run_until_ms: int(row, "run_until_ms")?,
        holder_ms: int(row, "holder_ms")?,
        deadline_ms: row.int("holder_until_ms"),
        dispatches: short(row, "dispatches")?,
        cancel_requested: row.flag("cancel_requested"),
        probe: row.flag("probe"),
        generation: u64::try_from(int(row, "generation")?).unwrap_or(0),
        config_version: int(row, "config_version")?,
        image_ids: document(row, "image_ids")?,
        job_refs: document(row, "job_refs")?,
        outcome: enumeration(row, "outcome")?,
        billed: enumeration(row, "billed")?,
        cost_usd_micros: row.int("cost_usd_micros"),
        cost_basis: enumeration(row, "cost_basis")?,
        report: document(row, "result")?,
        timeline: document(row, "timeline")?,
        version: int(row, "version")?,
        flushed_version: int(row, "flushed_version")?,
        flush_due_ms: row.int("flush_due_ms"),
        settled_ms: row.int("settled_ms"),
        job: text(row, "job")?,
    })
}
