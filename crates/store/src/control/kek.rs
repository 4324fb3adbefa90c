//! Table `kek_rotations`, and the statements of one step: an instance's envelopes from the old key to the new one.
//!
//! In scope: SQL, the form of a rotation. Out of scope: sealing (auth), when a step runs, what an answer says.
//! A step is one read batch and one write batch. The cursor is the last instance that was visited; a step is refused
//! when it moved, so that two runners never do the same one twice.

use super::audit;
use super::columns;
use super::credentials::{damaged, not_under};
use super::guard::require;
use api_types::{
    Ciphertext, CredentialId, InstanceConfig, InstanceId, InstanceStatus, OrgId, ProviderName,
    RotationId, Timestamp,
};
use errors::Result;
use platform::{Row, Rows, SqlValue, Statement};
use serde::{Deserialize, Serialize};

/// Where a rotation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationState {
    /// Steps are due.
    Running,
    /// All envelopes are under the new key.
    Done,
    /// Somebody ended it; what was done stays done.
    Cancelled,
    /// Some envelopes could not be opened; all others are under the new key.
    Failed,
}

/// An envelope that could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unopened {
    /// Whose.
    pub instance_id: InstanceId,
    /// Which.
    pub credential_id: CredentialId,
    /// The key that it names.
    pub kek_id: String,
    /// The key that its row names, where that is another one: the row is damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_kek_id: Option<String>,
}

/// A rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Id.
    pub rotation_id: RotationId,
    /// Id of the new key.
    pub to: String,
    /// Where it stands.
    pub state: RotationState,
    /// The last instance that was visited; empty before the first.
    pub cursor: String,
    /// Envelopes under the new key by its doing.
    pub done: i64,
    /// Envelopes that changed or went between reading and writing, and were left alone.
    pub skipped: i64,
    /// Envelopes that could not be opened.
    pub failed: i64,
    /// The first of those.
    pub unopened: Vec<Unopened>,
    /// It only opens and counts.
    pub dry_run: bool,
    /// Principal that started it.
    pub started_by: String,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

const COLUMNS: &str = "rotation_id, to_kek, state, cursor, done, skipped, failed, dry_run, started_by, created_at, ended_at, error";

impl Rotation {
    /// Reads rotations.
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        rows.rows.iter().map(Self::from_row).collect()
    }

    /// Reads the first one; `None` when there is none.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        rows.first().map(Self::from_row).transpose()
    }

    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            rotation_id: columns::word(row, "rotation_id")?,
            to: columns::text(row, "to_kek")?,
            state: columns::word(row, "state")?,
            cursor: columns::text(row, "cursor")?,
            done: columns::int(row, "done")?,
            skipped: columns::int(row, "skipped")?,
            failed: columns::int(row, "failed")?,
            unopened: columns::json_or_null(row, "error")?.unwrap_or_default(),
            dry_run: row.flag("dry_run"),
            started_by: columns::text(row, "started_by")?,
            created_at: columns::time(row, "created_at")?,
            ended_at: columns::time_or_null(row, "ended_at")?,
        })
    }
}

/// The running one, if there is one.
pub fn running() -> Statement {
    Statement {
        sql: format!("SELECT {COLUMNS} FROM kek_rotations WHERE state = 'running'").into(),
        params: Vec::new(),
    }
}

/// One by its id.
pub fn by_id(rotation_id: &RotationId) -> Statement {
    Statement {
        sql: format!("SELECT {COLUMNS} FROM kek_rotations WHERE rotation_id = ?1").into(),
        params: vec![rotation_id.as_str().into()],
    }
}

/// All of them, newest first, from before that id on; `limit` rows at most.
pub fn list(before: Option<&str>, limit: i64) -> Statement {
    Statement {
        sql: format!(
            "SELECT {COLUMNS} FROM kek_rotations WHERE rotation_id < ?1 ORDER BY rotation_id DESC LIMIT ?2"
        )
        .into(),
        params: vec![columns::before(before).into(), SqlValue::Integer(limit)],
    }
}

/// Starts one; the schema refuses a second that runs.
pub fn create(
    rotation_id: &RotationId,
    to: &str,
    dry_run: bool,
    started_by: &str,
    now: Timestamp,
) -> Vec<Statement> {
    vec![
        require(
            "SELECT count(*) = 0 FROM kek_rotations WHERE state = 'running'",
            Vec::new(),
        ),
        Statement::new(
            "INSERT INTO kek_rotations (rotation_id, to_kek, state, dry_run, started_by, created_at) VALUES (?1, ?2, 'running', ?3, ?4, ?5)",
        )
        .bind(rotation_id.as_str())
        .bind(to)
        .bind(dry_run)
        .bind(started_by)
        .bind(now.to_string()),
    ]
}

/// Ends a running one; refused when it runs no more.
pub fn end(rotation_id: &RotationId, state: RotationState, now: Timestamp) -> Vec<Statement> {
    let word = match state {
        RotationState::Running => "running",
        RotationState::Done => "done",
        RotationState::Cancelled => "cancelled",
        RotationState::Failed => "failed",
    };
    vec![
        require(
            "SELECT state = 'running' FROM kek_rotations WHERE rotation_id = ?1",
            vec![rotation_id.as_str().into()],
        ),
        Statement::new("UPDATE kek_rotations SET state = ?2, ended_at = ?3 WHERE rotation_id = ?1")
            .bind(rotation_id.as_str())
            .bind(word)
            .bind(now.to_string()),
    ]
}

/// Workers that [`lacking`] and [`unasked`] name at most.
pub const MAX_WORKERS: i64 = 100;

/// Different lists of keys that one statement looks at. Workers of the house have a handful; somebody else's may say
/// anything.
const MAX_LISTS: i64 = 1_000;

/// Workers of the platform whose last `/health` names their keys and not this one, as columns `name` and `instance_id`;
/// workers that name no keys have none to lack. At most [`MAX_WORKERS`]: the lists of keys are few, so each is looked at
/// once, and then only the workers of those that lack the key.
pub fn lacking(to: &str) -> Statement {
    lacking_in("worker_registry_platform_keys", "AND w.by_platform = 1", to)
}

/// The same of workers that organizations registered. Anybody's URL answers for those, so they stop nothing.
pub fn lacking_elsewhere(to: &str) -> Statement {
    lacking_in("worker_registry_by_keys", "AND w.by_platform = 0", to)
}

fn lacking_in(index: &str, whose: &str, to: &str) -> Statement {
    const NAMES_KEYS: &str = "json_type(w.health_detail, '$.kek_ids') = 'array'";
    const KEYS: &str = "json_extract(w.health_detail, '$.kek_ids')";
    // Without the owner in the second index, its lists are those of all.
    let listed = if index.contains("platform") {
        whose
    } else {
        ""
    };
    let first = format!(
        "SELECT min({KEYS}) FROM worker_registry w INDEXED BY {index} WHERE {NAMES_KEYS} {listed}"
    );
    Statement::new(format!(
        "WITH RECURSIVE lists (kek_ids) AS ({first} UNION ALL \
           SELECT ({first} AND {KEYS} > l.kek_ids) FROM lists l WHERE l.kek_ids IS NOT NULL LIMIT {MAX_LISTS}) \
         SELECT w.name, w.instance_id FROM lists l CROSS JOIN worker_registry w INDEXED BY {index} \
         WHERE l.kek_ids IS NOT NULL AND NOT EXISTS (SELECT 1 FROM json_each(l.kek_ids) k WHERE k.value = ?1) \
           AND {NAMES_KEYS} {whose} AND {KEYS} = l.kek_ids LIMIT {MAX_WORKERS}"
    ))
    .bind(to)
}

/// Workers of the platform that were never asked, as columns `name` and `instance_id`, by name; at most [`MAX_WORKERS`].
pub fn unasked() -> Statement {
    Statement::new(format!(
        "SELECT w.name, w.instance_id FROM worker_registry w WHERE w.health_detail IS NULL AND w.by_platform = 1 \
         ORDER BY w.name, w.instance_id LIMIT {MAX_WORKERS}"
    ))
}

/// Workers of the platform whose last `/health` told of values under another key than their current one, as column `n`.
pub fn count_workers_with_old_rows() -> Statement {
    Statement::new(
        "SELECT count(*) AS n FROM worker_registry WHERE json_extract(health_detail, '$.old_kek_rows') > 0 AND by_platform = 1",
    )
}

/// Envelopes that the running rotation has before it, as column `n`; no row when none runs.
pub fn count_remaining() -> Statement {
    Statement::new(format!(
        "SELECT {} AS n FROM kek_rotations r WHERE r.state = 'running'",
        not_under("r.to_kek")
    ))
}

/// The next instance after the cursor that has an envelope under another key than the rotation's, or a damaged row.
fn next() -> String {
    format!(
        "(SELECT n.instance_id FROM provider_credentials n \
         WHERE n.instance_id > (SELECT r.cursor FROM kek_rotations r WHERE r.rotation_id = ?1) AND {} \
         ORDER BY n.instance_id LIMIT 1)",
        due("n")
    )
}

/// An envelope that a step looks at, under that table alias.
fn due(alias: &str) -> String {
    format!(
        "({alias}.kek_id <> (SELECT r.to_kek FROM kek_rotations r WHERE r.rotation_id = ?1) OR {})",
        damaged(alias)
    )
}

/// What a step needs to know, for [`Step::read`].
pub fn step(rotation_id: &RotationId) -> Vec<Statement> {
    let of = |sql: String| Statement {
        sql: sql.into(),
        params: vec![rotation_id.as_str().into()],
    };
    let next = next();
    vec![
        by_id(rotation_id),
        of(format!(
            "SELECT i.instance_id, i.org_id, i.status, i.config_version, e.body FROM instances i \
             LEFT JOIN instance_effective e ON e.instance_id = i.instance_id WHERE i.instance_id = {next}"
        )),
        of(format!(
            "SELECT k.credential_id, k.org_id, k.instance_id, k.provider, k.slot, k.host, k.ciphertext, k.kek_id FROM provider_credentials k \
             WHERE k.instance_id = {next} AND {} ORDER BY k.provider, k.credential_id",
            due("k")
        )),
        audit::head_of(
            &format!("(SELECT i.org_id FROM instances i WHERE i.instance_id = {next})"),
            vec![rotation_id.as_str().into()],
        ),
        of(format!(
            "SELECT CASE WHEN {next} IS NULL THEN {} END AS n FROM kek_rotations r WHERE r.rotation_id = ?1",
            not_under("r.to_kek")
        )),
    ]
}

/// An envelope that is to be wrapped anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// Row.
    pub credential_id: CredentialId,
    /// Organization.
    pub org_id: OrgId,
    /// Instance.
    pub instance_id: InstanceId,
    /// Provider.
    pub provider: ProviderName,
    /// Whether it is the provider's current key.
    pub is_current: bool,
    /// Host that it may be sent to.
    pub host: String,
    /// The envelope.
    pub ciphertext: Ciphertext,
    /// The key that the row says it is under.
    pub kek_id: String,
}

/// The instance that a step visits.
#[derive(Clone, Debug, PartialEq)]
pub struct Visited {
    /// Id.
    pub instance_id: InstanceId,
    /// Version of what workers see.
    pub config_version: i64,
    /// What workers get; `None` for a deleted instance.
    pub effective: Option<InstanceConfig>,
    /// Its envelopes under another key.
    pub envelopes: Vec<Wrapped>,
}

/// What a step was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The rotation.
    pub rotation: Rotation,
    /// The next instance; `None` after the last.
    pub visited: Option<Visited>,
    /// End of the instance's audit chain; that of `platform` after the last instance.
    pub head: audit::Head,
    /// After the last instance: envelopes that are still under another key.
    pub remaining: i64,
}

impl Step {
    /// Reads the results of [`step`]; `None` when there is no such rotation.
    pub fn read(results: &[Rows]) -> Result<Option<Self>> {
        let rows = |at: usize| results.get(at).cloned().unwrap_or_default();
        let Some(rotation) = Rotation::read(&rows(0))? else {
            return Ok(None);
        };
        let visited = match rows(1).first() {
            None => None,
            Some(row) => {
                let status: InstanceStatus = columns::word(row, "status")?;
                let body = columns::json_or_null(row, "body")?;
                Some(Visited {
                    instance_id: columns::word(row, "instance_id")?,
                    config_version: columns::int(row, "config_version")?,
                    effective: body.filter(|_| status != InstanceStatus::Deleted),
                    envelopes: rows(2)
                        .rows
                        .iter()
                        .map(wrapped)
                        .collect::<Result<Vec<_>>>()?,
                })
            }
        };
        Ok(Some(Self {
            rotation,
            visited,
            head: audit::Head::read(&rows(3))?,
            remaining: rows(4).first().and_then(|row| row.int("n")).unwrap_or(0),
        }))
    }
}

fn wrapped(row: &Row) -> Result<Wrapped> {
    Ok(Wrapped {
        credential_id: columns::word(row, "credential_id")?,
        org_id: columns::word(row, "org_id")?,
        instance_id: columns::word(row, "instance_id")?,
        provider: columns::word(row, "provider")?,
        is_current: row.text("slot") == Some("current"),
        host: columns::text(row, "host")?,
        ciphertext: Ciphertext(columns::text(row, "ciphertext")?),
        kek_id: columns::text(row, "kek_id")?,
    })
}

/// Refuses unless the rotation runs and stands where it was read.
pub fn guard_cursor(rotation: &Rotation) -> Statement {
    require(
        "SELECT state = 'running' AND cursor = ?2 FROM kek_rotations WHERE rotation_id = ?1",
        vec![
            rotation.rotation_id.as_str().into(),
            (&rotation.cursor).into(),
        ],
    )
}

/// Refuses unless no envelope after the cursor is under another key: none came while the last step was decided.
pub fn guard_last(rotation_id: &RotationId) -> Statement {
    require(
        &format!("SELECT {} IS NULL", next()),
        vec![rotation_id.as_str().into()],
    )
}

/// Replaces envelopes that are still what was read; `envelopes` is JSON, a list of `credential_id`, `old`, `new`.
pub fn rewrap(envelopes: &str, to: &str) -> Statement {
    Statement::new(
        "UPDATE provider_credentials SET ciphertext = given.ciphertext, kek_id = ?2 \
         FROM (SELECT json_extract(value, '$.credential_id') AS credential_id, json_extract(value, '$.old') AS old, \
                 json_extract(value, '$.new') AS ciphertext FROM json_each(?1)) given \
         WHERE provider_credentials.credential_id = given.credential_id AND provider_credentials.ciphertext = given.old",
    )
    .bind(envelopes)
    .bind(to)
}

/// Moves the cursor and counts: of `ids` (JSON, a list of rows that were rewrapped) those under the new key now are
/// done, the others were left alone. A dry run counts all of them.
pub fn advance(rotation: &Rotation, cursor: &str, ids: &str) -> Statement {
    const MOVED: &str = "(SELECT count(*) FROM provider_credentials k WHERE k.credential_id IN (SELECT value FROM json_each(?3)) AND (dry_run = 1 OR k.kek_id = to_kek))";
    let unopened = serde_json::to_string(&rotation.unopened).unwrap_or_default();
    Statement::new(format!(
        "UPDATE kek_rotations SET cursor = ?2, done = done + {MOVED}, skipped = skipped + json_array_length(?3) - {MOVED}, \
           failed = ?4, error = CASE WHEN ?4 > 0 THEN ?5 END WHERE rotation_id = ?1"
    ))
    .bind(rotation.rotation_id.as_str())
    .bind(cursor)
    .bind(ids)
    .bind(rotation.failed)
    .bind(unopened)
}

/// Sends it to the first instance again: envelopes came behind the cursor. Those that cannot be opened are counted anew.
pub fn rewind(rotation_id: &RotationId) -> Statement {
    Statement::new(
        "UPDATE kek_rotations SET cursor = '', failed = 0, error = NULL WHERE rotation_id = ?1",
    )
    .bind(rotation_id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unopened_format_unchanged() {
        let text = r#"[{"instance_id":"production","credential_id":"0198f0c0-0000-7000-8000-000000000001","kek_id":"k0"}]"#;
        let read: Vec<Unopened> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        let text = r#"[{"instance_id":"production","credential_id":"0198f0c0-0000-7000-8000-000000000001","kek_id":"k1","row_kek_id":"k2"}]"#;
        let read: Vec<Unopened> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
