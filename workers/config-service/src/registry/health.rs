//! What a check of a worker means: a table of states and observations, without any I/O.
//!
//! In scope: judging an answer, the next state, what is kept of a body. Out of scope: asking (`probe`).

use serde_json::{Map, Value};
use store::control::registry::Health;

/// A slower answer is not a healthy one, in milliseconds.
pub(super) const SLOW_MS: i64 = 2_000;
/// Failed checks in a row that make a worker unhealthy.
const FAILURES: i64 = 3;
/// Good checks in a row that make an unhealthy worker healthy.
const SUCCESSES: i64 = 2;
/// Largest body that is kept whole, in bytes of JSON.
const MAX_KEPT_BYTES: usize = 16 * 1024;
/// Members that are kept of a larger one.
const KEPT: [&str; 8] = [
    "status",
    "version",
    "version_id",
    "git_sha",
    "bindings",
    "kek_ids",
    "pepper_ids",
    // Whether an old key may go depends on it.
    "old_kek_rows",
];

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// Nothing that can be used; why.
    None(String),
    /// An answer.
    Some {
        /// Its status.
        status: u16,
        /// Its body, if it is a JSON object.
        body: Option<Map<String, Value>>,
        /// How long it took, in milliseconds.
        took_ms: i64,
    },
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// All is as it should be.
    Good,
    /// It answers, but something is wrong.
    Weak,
    /// It does not answer.
    Failed,
}

/// State and counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) health: Health,
    pub(super) failures: i64,
    pub(super) successes: i64,
}

/// Judges an answer: the finding, and why it is not good. In an answer with status 200 a binding that is `absent` is an
/// optional one: a worker that lacks what it needs says 503.
pub(super) fn judge(answer: &Answer, registered_git_sha: &str) -> (Finding, Option<String>) {
    let failed = |why: String| (Finding::Failed, Some(why));
    let weak = |why: String| (Finding::Weak, Some(why));
    let (body, took_ms) = match answer {
        Answer::None(why) => return failed(why.clone()),
        Answer::Some { status, .. } if *status != 200 => return failed(format!("status {status}")),
        Answer::Some { body: None, .. } => return failed("the body is no JSON object".to_owned()),
        Answer::Some {
            body: Some(body),
            took_ms,
            ..
        } => (body, *took_ms),
    };
    let broken = body
        .get("bindings")
        .and_then(Value::as_object)
        .and_then(|bindings| {
            let fine = |state: &Value| matches!(state.as_str(), Some("ok" | "absent"));
            bindings.iter().find(|(_, state)| !fine(state))
        });
    if let Some((name, _)) = broken {
        let name: String = name.chars().take(60).collect();
        return weak(format!("binding {name} is not ok"));
    }
    match body.get("git_sha").and_then(Value::as_str) {
        Some(git_sha) if git_sha != registered_git_sha => {
            weak("another build answers than is registered".to_owned())
        }
        _ if took_ms > SLOW_MS => weak(format!("took {took_ms} ms")),
        _ => (Finding::Good, None),
    }
}

/// The next state. Whoever is unhealthy becomes healthy by two good checks in a row and by nothing else.
pub(super) fn next(now: Standing, finding: Finding) -> Standing {
    let Standing {
        health,
        failures,
        successes,
    } = now;
    match finding {
        Finding::Good => {
            let successes = successes.saturating_add(1);
            let recovered = health != Health::Unhealthy || successes >= SUCCESSES;
            Standing {
                health: if recovered { Health::Healthy } else { health },
                failures: 0,
                successes,
            }
        }
        Finding::Weak => Standing {
            health: match health {
                Health::Unhealthy => health,
                _ => Health::Degraded,
            },
            failures: 0,
            successes: 0,
        },
        Finding::Failed => {
            let failures = failures.saturating_add(1);
            Standing {
                health: if failures >= FAILURES {
                    Health::Unhealthy
                } else {
                    health
                },
                failures,
                successes: 0,
            }
        }
    }
}

/// What is kept of a body: all of it, or the members that others read.
pub(super) fn kept(body: Map<String, Value>) -> Value {
    let bytes = |value: &Value| value.to_string().len();
    let whole = Value::Object(body);
    if bytes(&whole) <= MAX_KEPT_BYTES {
        return whole;
    }
    let mut rest = Map::new();
    for name in KEPT {
        if let Some(value) = whole.get(name)
            && bytes(value) <= MAX_KEPT_BYTES / KEPT.len()
        {
            rest.insert(name.to_owned(), value.clone());
        }
    }
    rest.insert("_truncated".to_owned(), Value::Bool(true));
    Value::Object(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: u16, body: Value, took_ms: i64) -> Answer {
        let body = match body {
            Value::Object(members) => Some(members),
            _ => None,
        };
        Answer::Some {
            status,
            body,
            took_ms,
        }
    }

    #[test]
    fn an_answer_is_judged_by_status_body_bindings_build_and_time() {
        let good = json!({"status": "ok", "git_sha": "ab12cd3", "bindings": {"DB": "ok", "LOG_SINK": "absent"}});
        for (answer, finding, why) in [
            (answer(200, good.clone(), 1), Finding::Good, ""),
            (answer(200, good.clone(), 2_000), Finding::Good, ""),
            (answer(200, json!({}), 1), Finding::Good, ""),
            (
                answer(200, good.clone(), 2_001),
                Finding::Weak,
                "took 2001 ms",
            ),
            (
                answer(200, json!({"git_sha": "other"}), 1),
                Finding::Weak,
                "another build answers than is registered",
            ),
            (
                answer(200, json!({"bindings": {"A": "ok", "DB": "error"}}), 1),
                Finding::Weak,
                "binding DB is not ok",
            ),
            (
                answer(200, json!({"bindings": {"DB": {"state": "ok"}}}), 1),
                Finding::Weak,
                "binding DB is not ok",
            ),
            (answer(503, good.clone(), 1), Finding::Failed, "status 503"),
            (answer(302, good.clone(), 1), Finding::Failed, "status 302"),
            (answer(204, good, 1), Finding::Failed, "status 204"),
            (
                answer(200, json!("ok"), 1),
                Finding::Failed,
                "the body is no JSON object",
            ),
            (
                Answer::None("no answer within 3000 ms".into()),
                Finding::Failed,
                "no answer within 3000 ms",
            ),
        ] {
            let (found, reason) = judge(&answer, "ab12cd3");
            assert_eq!(found, finding, "{answer:?}");
            assert_eq!(reason.unwrap_or_default(), why, "{answer:?}");
        }
    }

    /// Every state and counter, by every finding.
    #[test]
    fn the_table_of_states_holds() {
        use Finding::{Failed, Good, Weak};
        use Health::{Degraded, Healthy, Unhealthy, Unknown};
        let at = |health, failures, successes| Standing {
            health,
            failures,
            successes,
        };
        for (now, finding, then) in [
            (at(Unknown, 0, 0), Good, at(Healthy, 0, 1)),
            (at(Unknown, 2, 0), Good, at(Healthy, 0, 1)),
            (at(Unknown, 0, 0), Weak, at(Degraded, 0, 0)),
            (at(Unknown, 0, 0), Failed, at(Unknown, 1, 0)),
            (at(Unknown, 1, 0), Failed, at(Unknown, 2, 0)),
            (at(Unknown, 2, 0), Failed, at(Unhealthy, 3, 0)),
            (at(Healthy, 0, 7), Good, at(Healthy, 0, 8)),
            (at(Healthy, 0, 7), Weak, at(Degraded, 0, 0)),
            (at(Healthy, 0, 7), Failed, at(Healthy, 1, 0)),
            (at(Healthy, 1, 0), Failed, at(Healthy, 2, 0)),
            (at(Healthy, 2, 0), Failed, at(Unhealthy, 3, 0)),
            (at(Healthy, 2, 0), Good, at(Healthy, 0, 1)),
            (at(Degraded, 0, 0), Good, at(Healthy, 0, 1)),
            (at(Degraded, 0, 0), Weak, at(Degraded, 0, 0)),
            (at(Degraded, 2, 0), Weak, at(Degraded, 0, 0)),
            (at(Degraded, 2, 0), Failed, at(Unhealthy, 3, 0)),
            (at(Unhealthy, 3, 0), Failed, at(Unhealthy, 4, 0)),
            (at(Unhealthy, 9, 0), Good, at(Unhealthy, 0, 1)),
            (at(Unhealthy, 0, 1), Good, at(Healthy, 0, 2)),
            (at(Unhealthy, 0, 1), Failed, at(Unhealthy, 1, 0)),
            (at(Unhealthy, 0, 1), Weak, at(Unhealthy, 0, 0)),
            (at(Unhealthy, 9, 0), Weak, at(Unhealthy, 0, 0)),
        ] {
            assert_eq!(next(now, finding), then, "{now:?} {finding:?}");
        }
    }

    #[test]
    fn a_large_body_keeps_what_others_read() {
        let small = json!({"kek_ids": ["k1"], "extra": 1});
        assert_eq!(kept(small.as_object().unwrap().clone()), small);
        let large = json!({
            "kek_ids": ["k1"], "old_kek_rows": 3, "extra": "x".repeat(20_000), "bindings": "x".repeat(9_000),
        });
        let kept = kept(large.as_object().unwrap().clone());
        assert_eq!(
            kept,
            json!({"kek_ids": ["k1"], "old_kek_rows": 3, "_truncated": true})
        );
    }
}
