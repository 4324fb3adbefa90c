//! What one step writes. Pure but for the randomness of new envelopes.

use crate::change::Audited;
use crate::effective;
use crate::mutate::{By, entry};
use api_types::{Ciphertext, InstanceConfig, Timestamp};
use auth::chain::sha256_hex;
use auth::envelope::{CredentialContext, Keks, named_kek};
use auth::permission::config_service;
use errors::{Code, Error, Result};
use platform::{Random, Statement};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::control::kek::{self, Rotation, RotationState, Step, Unopened, Visited, Wrapped};
use store::control::{audit, instances};

/// Envelopes in one statement: two of the largest each stay well below what a parameter may hold (2 MB).
const CHUNK: usize = 40;
/// Envelopes that could not be opened and are named in the rotation; all of them are counted.
const MAX_NAMED: usize = 100;

/// One batch.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    /// Guards and writes, in order.
    pub statements: Vec<Statement>,
    /// What workers get from now on, where that changed.
    pub publish: Option<InstanceConfig>,
    /// Envelopes that could not be opened.
    pub unopened: Vec<Unopened>,
}

/// An envelope and the one that takes its place.
type Renewed<'a> = (&'a Wrapped, Ciphertext);

/// One instance, or the end.
///
/// # Errors
/// 500 when the new key is not here.
pub(super) fn decide(
    step: &Step,
    keks: &Keks,
    random: &impl Random,
    by: &By,
    now: Timestamp,
) -> Result<Decided> {
    match &step.visited {
        Some(visited) => visit(step, visited, keks, random, by, now),
        None => Ok(finish(step, by, now)),
    }
}

/// New envelopes, and those that could not be opened or whose row is damaged.
fn rewrap<'a>(
    rotation: &Rotation,
    visited: &'a Visited,
    keks: &Keks,
    random: &impl Random,
) -> Result<(Vec<Renewed<'a>>, Vec<Unopened>)> {
    let (mut new, mut unopened) = (Vec::new(), Vec::new());
    for envelope in &visited.envelopes {
        let context = CredentialContext {
            org_id: envelope.org_id.clone(),
            instance_id: envelope.instance_id.clone(),
            provider: envelope.provider.clone(),
            credential_id: envelope.credential_id.clone(),
            host: envelope.host.clone(),
        };
        let named = envelope.ciphertext.kek_id();
        let row_kek_id = (named != Some(&envelope.kek_id)).then(|| envelope.kek_id.clone());
        if row_kek_id.is_some() {
            // Whatever moved only one of the two is not to be trusted with the other either.
            unopened.push(lost(envelope, row_kek_id));
            continue;
        }
        match keks.rewrap(random, &context, &envelope.ciphertext, &rotation.to) {
            Ok(ciphertext) => new.push((envelope, ciphertext)),
            Err(error) if error.code == Code::DecryptionFailed => {
                unopened.push(lost(envelope, None));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((new, unopened))
}

fn lost(envelope: &Wrapped, row_kek_id: Option<String>) -> Unopened {
    Unopened {
        instance_id: envelope.instance_id.clone(),
        credential_id: envelope.credential_id.clone(),
        kek_id: named_kek(&envelope.ciphertext).to_owned(),
        row_kek_id,
    }
}

fn visit(
    step: &Step,
    visited: &Visited,
    keks: &Keks,
    random: &impl Random,
    by: &By,
    now: Timestamp,
) -> Result<Decided> {
    let rotation = &step.rotation;
    let (new, unopened) = rewrap(rotation, visited, keks, random)?;
    let mut statements = vec![kek::guard_cursor(rotation)];
    let mut publish = None;
    if !rotation.dry_run && !new.is_empty() {
        for chunk in new.chunks(CHUNK) {
            let envelopes: Vec<Value> = chunk
                .iter()
                .map(|(old, new)| {
                    json!({"credential_id": old.credential_id, "old": old.ciphertext, "new": new})
                })
                .collect();
            statements.push(kek::rewrap(&json!(envelopes).to_string(), &rotation.to));
        }
        publish = renewed(visited, &new);
        if let Some(config) = &publish {
            let body = effective::text(config)?;
            let (id, version) = (&visited.instance_id, config.config_version);
            let sha256 = sha256_hex(body.as_bytes());
            // Whoever changed the configuration meanwhile changed what workers get as well.
            statements.push(instances::guard_config_version(id, visited.config_version));
            statements.push(instances::set_config_version(id, version));
            statements.push(instances::put_effective(id, version, &body, &sha256, now));
        }
        let said = said_of_instance(rotation, visited, &new);
        statements.extend(audit::append(&audited_entry(by, &said, step, now)));
    }
    let ids: Vec<_> = new.iter().map(|(old, _)| &old.credential_id).collect();
    let mut moved = rotation.clone();
    moved.failed += i64::try_from(unopened.len()).unwrap_or(0);
    moved.unopened.extend(unopened.iter().cloned());
    moved.unopened.truncate(MAX_NAMED);
    let (cursor, ids) = (visited.instance_id.as_str(), json!(ids).to_string());
    statements.push(kek::advance(&moved, cursor, &ids));
    Ok(Decided {
        statements,
        publish,
        unopened,
    })
}

/// What workers get with the new envelopes; `None` when they get the same as before.
fn renewed(visited: &Visited, new: &[Renewed<'_>]) -> Option<InstanceConfig> {
    let mut config = visited.effective.clone()?;
    let mut changed = false;
    for (old, ciphertext) in new.iter().filter(|(old, _)| old.is_current) {
        if let Some(held) = config.api_keys.get_mut(&old.provider)
            && *held == old.ciphertext
        {
            *held = ciphertext.clone();
            changed = true;
        }
    }
    config.config_version = visited.config_version + 1;
    changed.then_some(config)
}

fn said_of_instance(rotation: &Rotation, visited: &Visited, new: &[Renewed<'_>]) -> Audited {
    let from: BTreeSet<_> = new
        .iter()
        .map(|(old, _)| named_kek(&old.ciphertext))
        .collect();
    Audited {
        target_type: "instance",
        target_id: visited.instance_id.to_string(),
        instance_id: Some(visited.instance_id.clone()),
        before: json!({"kek_ids": from}),
        after: json!({
            "kek_ids": [rotation.to], "provider_keys": new.len(), "rotation_id": rotation.rotation_id,
        }),
    }
}

fn audited_entry(by: &By, said: &Audited, step: &Step, now: Timestamp) -> audit::Entry {
    entry(
        config_service::RUN_KEK_ROTATION.name,
        by,
        said,
        &step.head,
        now,
    )
}

/// No instance is left. Envelopes that came behind the cursor, sealed by a worker whose current key is another one, send
/// it round once more.
fn finish(step: &Step, by: &By, now: Timestamp) -> Decided {
    let rotation = &step.rotation;
    let mut statements = vec![
        kek::guard_cursor(rotation),
        kek::guard_last(&rotation.rotation_id),
    ];
    if !rotation.dry_run && step.remaining > rotation.failed {
        statements.push(kek::rewind(&rotation.rotation_id));
    } else {
        let state = if rotation.failed > 0 {
            RotationState::Failed
        } else {
            RotationState::Done
        };
        let said = Audited {
            target_type: "kek_rotation",
            target_id: rotation.rotation_id.to_string(),
            instance_id: None,
            before: json!({"state": "running"}),
            after: json!({
                "state": state, "done": rotation.done, "skipped": rotation.skipped,
                "failed": rotation.failed,
            }),
        };
        statements.extend(kek::end(&rotation.rotation_id, state, now));
        statements.extend(audit::append(&audited_entry(by, &said, step, now)));
    }
    Decided {
        statements,
        publish: None,
        unopened: Vec::new(),
    }
}

/// The text of a failure that nothing of the value stands in.
pub(super) fn log_unopened(unopened: &Unopened) {
    if let Some(row_kek_id) = &unopened.row_kek_id {
        tracing::error!(
            credential_id = %unopened.credential_id,
            kek_id = %unopened.kek_id,
            row_kek_id = %row_kek_id,
            "the row of a stored provider key is damaged: it names another key than its envelope"
        );
        return;
    }
    tracing::error!(
        credential_id = %unopened.credential_id,
        kek_id = %unopened.kek_id,
        "a stored provider key cannot be opened"
    );
}

/// So many runners at once that this one was always too late.
pub(super) fn overloaded() -> Error {
    Error::new(
        Code::Overloaded,
        "Too many changes were made at the same time.",
    )
    .with_retry_after_ms(1_000)
}
