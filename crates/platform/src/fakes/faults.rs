//! Which call of which port goes wrong, and how.

use super::world::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// At which moment a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nothing happened.
    Before,
    /// It has been done and stored; only the answer is lost.
    After,
}

#[derive(Debug)]
struct Rule {
    target: String,
    /// Counts down to the call that fails; `None` fails every call.
    countdown: Option<u32>,
    when: When,
    cause: String,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    slow_ms: BTreeMap<String, u64>,
    calls: BTreeMap<String, u32>,
}

/// The shared handle with which a test breaks the world.
///
/// A target is a port (`kv`, `objects`, `database`, `queue`, `actors`, `storage`, `http`, `service`)
/// or one operation of it (`objects.put`, `kv.get`, `actors.acquire`).
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<State>>);

/// The text of an injected failure where the test gave none; a D1 text, so that it counts as "nobody knows".
const LOST: &str = "Network connection lost. (injected)";

impl Faults {
    /// Fails the `nth` call from now on (1 is the next) of that target, once.
    pub fn fail(&self, target: &str, nth: u32, when: When) {
        self.fail_with(target, nth, when, LOST);
    }

    /// As [`Faults::fail`], with the text of the failure. `overloaded` in it makes an actor overloaded.
    pub fn fail_with(&self, target: &str, nth: u32, when: When, cause: &str) {
        self.add(target, Some(nth.max(1)), when, cause);
    }

    /// Fails every call of that target until [`Faults::heal`].
    pub fn fail_every(&self, target: &str, when: When) {
        self.add(target, None, when, LOST);
    }

    /// As [`Faults::fail_every`], with the text of the failure.
    pub fn fail_every_with(&self, target: &str, when: When, cause: &str) {
        self.add(target, None, when, cause);
    }

    /// Makes every call of that target take `ms` longer.
    pub fn slow(&self, target: &str, ms: u64) {
        lock(&self.0).slow_ms.insert(target.to_owned(), ms);
    }

    /// Takes back all faults of that target.
    pub fn heal(&self, target: &str) {
        let mut state = lock(&self.0);
        state.rules.retain(|rule| rule.target != target);
        state.slow_ms.remove(target);
    }

    /// Takes back all faults.
    pub fn heal_all(&self) {
        let mut state = lock(&self.0);
        state.rules.clear();
        state.slow_ms.clear();
    }

    /// How often that target was called so far.
    pub fn calls(&self, target: &str) -> u32 {
        lock(&self.0).calls.get(target).copied().unwrap_or(0)
    }

    /// Faults that were ordered for one call that has not come: a test that leaves some proves nothing.
    pub fn pending(&self) -> usize {
        let state = lock(&self.0);
        let once = |rule: &&Rule| rule.countdown.is_some();
        state.rules.iter().filter(once).count()
    }

    fn add(&self, target: &str, countdown: Option<u32>, when: When, cause: &str) {
        lock(&self.0).rules.push(Rule {
            target: target.to_owned(),
            countdown,
            when,
            cause: cause.to_owned(),
        });
    }

    /// Notes one call and says how long it takes and whether it fails.
    pub(super) fn strike(&self, port: &str, operation: &str) -> (u64, Option<(When, String)>) {
        let full = format!("{port}.{operation}");
        let mut state = lock(&self.0);
        let mut slow_ms = 0;
        for target in [port, full.as_str()] {
            *state.calls.entry(target.to_owned()).or_insert(0) += 1;
            slow_ms += state.slow_ms.get(target).copied().unwrap_or(0);
        }
        let mut hit = None;
        state.rules.retain_mut(|rule| {
            if rule.target != port && rule.target != full {
                return true;
            }
            let due = match &mut rule.countdown {
                None => true,
                Some(left) => {
                    *left -= 1;
                    *left == 0
                }
            };
            if due && hit.is_none() {
                hit = Some((rule.when, rule.cause.clone()));
            }
            !due || rule.countdown.is_none()
        });
        (slow_ms, hit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ordered_call_fails() {
        let faults = Faults::default();
        faults.fail("kv.get", 2, When::After);
        assert!(faults.strike("kv", "get").1.is_none());
        assert!(faults.strike("kv", "put").1.is_none());
        assert_eq!(faults.pending(), 1);
        assert_eq!(faults.strike("kv", "get").1.unwrap().0, When::After);
        assert!(faults.strike("kv", "get").1.is_none());
        assert_eq!((faults.calls("kv"), faults.calls("kv.get")), (4, 3));
        assert_eq!(faults.pending(), 0);
    }

    #[test]
    fn every_call_fails_until_healed() {
        let faults = Faults::default();
        faults.fail_every("queue", When::Before);
        faults.slow("queue", 40);
        for _ in 0..3 {
            let (slow_ms, hit) = faults.strike("queue", "send");
            assert_eq!(slow_ms, 40);
            assert!(hit.is_some());
        }
        faults.heal("queue");
        assert_eq!(faults.strike("queue", "send"), (0, None));
    }
}
