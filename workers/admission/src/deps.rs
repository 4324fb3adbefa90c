//! What the handlers of this worker have.

use lookup::NoSource;
use middleware::AppState;
use platform::{Ops, Ports};
use std::collections::BTreeMap;

/// What `GET /health` tells.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// The commit that this build was made of.
    pub git_sha: String,
    /// The platform's id of this version; `None` locally.
    pub version_id: Option<String>,
    /// Whether each binding is there.
    pub bindings: BTreeMap<&'static str, bool>,
}

/// The dependencies of one event.
#[derive(Clone, Debug)]
pub struct Deps<P: Ports> {
    /// Time.
    pub clock: P::Clock,
    /// Randomness.
    pub random: P::Random,
    /// The event's counter.
    pub ops: Ops,
    /// Version and bindings.
    pub health: Health,
}

impl<P: Ports> AppState for Deps<P> {
    type Ports = P;
    type Source = NoSource;

    fn service(&self) -> &'static str {
        "admission"
    }

    fn clock(&self) -> &P::Clock {
        &self.clock
    }

    fn random(&self) -> &P::Random {
        &self.random
    }

    fn ops(&self) -> Ops {
        self.ops.clone()
    }
}
