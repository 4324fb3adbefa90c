//! What the layers need from a worker's dependencies.

use lookup::{ConfigSource, Lookup};
use platform::{Ops, Ports};

/// The dependencies of a worker, made for each event. The type is also axum's state.
pub trait AppState: Clone + Send + Sync + 'static {
    /// The worker's ports.
    type Ports: Ports;
    /// Where verdicts come from; `lookup::NoSource` for workers that look nothing up.
    type Source: ConfigSource;

    /// The worker's name, as it stands in `component` of its log lines.
    fn service(&self) -> &'static str;

    /// Time.
    fn clock(&self) -> &<Self::Ports as Ports>::Clock;

    /// Randomness.
    fn random(&self) -> &<Self::Ports as Ports>::Random;

    /// The counter that this event's ports share.
    fn ops(&self) -> Ops;

    /// Other origins that a browser may call from, exactly as browsers write them.
    fn allowed_origins(&self) -> &[String] {
        &[]
    }

    /// The look-up. `None` where handlers resolve the caller themselves: then the layers `resolve`, `status` and
    /// `permit` do nothing, and handlers take `Presented` and `Hints`.
    fn lookup(&self) -> Option<&Lookup<Self::Ports, Self::Source>> {
        None
    }
}
