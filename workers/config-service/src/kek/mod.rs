//! `/admin/kek-rotation`: every stored provider key from the old key-encryption key to a new one.
//!
//! In scope: how a rotation is shown, when the old key may go. Out of scope: sealing (`auth::envelope`), SQL
//! (`store::control::kek`).
//!
//! A rotation is a row with a cursor. A step does one instance in one batch, so a runner may die anywhere: an envelope
//! is under the old key or under the new one, and both are readable. The sweeper takes steps by itself, `run` takes them
//! now, and any number of runners may do so at the same time.

mod cancel;
mod decide;
mod list;
mod run;
mod start;
mod step;

pub(crate) use cancel::cancel;
pub(crate) use list::list;
pub(crate) use run::run;
pub(crate) use start::start;

use crate::settings::Settings;
use api_types::Timestamp;
use platform::{Rows, Statement};
use serde_json::{Value, json};
use store::control::credentials;
use store::control::kek::{self, Rotation, RotationState};

/// Steps of one run of the sweeper and of one call of `run`.
pub(crate) const STEPS: usize = 20;
/// Copies of configurations may be this old, and envelopes under the old key with them, in milliseconds.
const COPIES_MS: i64 = 86_400_000;

/// What decides whether an old key may go.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    /// The key of new values.
    current: Option<String>,
    /// Values here that are not under it.
    old_rows: i64,
    /// Workers that told of such values.
    workers_with_old_rows: i64,
    /// Envelopes that the running rotation has before it.
    remaining: Option<i64>,
}

impl Facts {
    fn reads(settings: &Settings) -> Vec<Statement> {
        let current = settings.keks().map_or("", |keks| keks.current_id());
        vec![
            credentials::count_old_keks(current),
            kek::count_workers_with_old_rows(),
            kek::count_remaining(),
        ]
    }

    /// From the results of [`Facts::reads`].
    fn read(settings: &Settings, rows: &[Rows]) -> Self {
        let count = |at: usize| rows.get(at).and_then(|rows| rows.first()?.int("n"));
        Self {
            current: settings
                .keks()
                .ok()
                .map(|keks| keks.current_id().to_owned()),
            old_rows: count(0).unwrap_or(0),
            workers_with_old_rows: count(1).unwrap_or(0),
            remaining: count(2),
        }
    }

    /// From when on the other keys may be removed: when no copy can hold an old envelope any more, and nobody has one or
    /// makes one.
    fn safe_to_remove_after(&self, rotation: &Rotation) -> Option<Timestamp> {
        let all_new = rotation.state == RotationState::Done
            && !rotation.dry_run
            && self.current.as_deref() == Some(&rotation.to)
            && self.old_rows == 0
            && self.workers_with_old_rows == 0;
        rotation
            .ended_at
            .filter(|_| all_new)
            .map(|at| at.plus_ms(COPIES_MS))
    }
}

/// A rotation as people see it.
fn shown(rotation: &Rotation, facts: &Facts) -> Value {
    let running = rotation.state == RotationState::Running;
    json!({
        "rotation_id": rotation.rotation_id, "to": rotation.to, "state": rotation.state,
        "dry_run": rotation.dry_run, "done": rotation.done, "skipped": rotation.skipped,
        "failed": rotation.failed, "unopened": rotation.unopened,
        "remaining": facts.remaining.filter(|_| running), "started_by": rotation.started_by,
        "created_at": rotation.created_at, "ended_at": rotation.ended_at,
        "safe_to_remove_after": facts.safe_to_remove_after(rotation),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::RotationId;

    #[test]
    fn the_old_key_may_go_a_day_after_nobody_has_or_makes_old_values() {
        let done = Rotation {
            rotation_id: RotationId::parse("0198f0d0-0000-7000-8000-000000000001").unwrap(),
            to: "k2".into(),
            state: RotationState::Done,
            cursor: String::new(),
            done: 1,
            skipped: 0,
            failed: 0,
            unopened: Vec::new(),
            dry_run: false,
            started_by: "key:x".into(),
            created_at: Timestamp(0),
            ended_at: Some(Timestamp(1_000)),
        };
        let good = Facts {
            current: Some("k2".into()),
            old_rows: 0,
            workers_with_old_rows: 0,
            remaining: None,
        };
        let after = |facts: &Facts, rotation: &Rotation| facts.safe_to_remove_after(rotation);
        assert_eq!(after(&good, &done), Some(Timestamp(86_401_000)));
        for facts in [
            Facts {
                current: Some("k1".into()),
                ..good.clone()
            },
            Facts {
                current: None,
                ..good.clone()
            },
            Facts {
                old_rows: 1,
                ..good.clone()
            },
            Facts {
                workers_with_old_rows: 1,
                ..good.clone()
            },
        ] {
            assert_eq!(after(&facts, &done), None, "{facts:?}");
        }
        for state in [
            RotationState::Running,
            RotationState::Cancelled,
            RotationState::Failed,
        ] {
            let other = Rotation {
                state,
                ..done.clone()
            };
            assert_eq!(after(&good, &other), None, "{state:?}");
        }
        let dry_run = Rotation {
            dry_run: true,
            ..done
        };
        assert_eq!(after(&good, &dry_run), None);
    }
}
