//! What a simulator is started with.
//!
//! In scope: the settings of one process. Not in scope: what can be changed while it runs (`control`).

/// Which time the simulator lives in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockMode {
    /// The machine's clock.
    #[default]
    Real,
    /// Starts at 2026-11-21T10:00:00Z and moves only when it is told to.
    Virtual,
}

/// Settings of one simulator. Port 0 takes a free port.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Port of the vendors' API and of the control calls.
    pub port: u16,
    /// Port of the host that serves pictures.
    pub image_port: u16,
    /// Port of the second API host, for vendors that poll elsewhere.
    pub alt_port: u16,
    /// Start of everything that looks random: job ids, signatures, seeds that a request left open.
    pub seed: u64,
    /// Time source.
    pub clock: ClockMode,
    /// How long a job stays pending unless its prompt says `sim:queue=`.
    pub pending_ms: u64,
    /// Polls of a pending job that come sooner after each other are the violation `polled_too_fast`.
    pub min_poll_gap_ms: u64,
    /// Receives one JSON line per call; lines are dropped while the receiver is behind.
    pub log: Option<tokio::sync::mpsc::Sender<String>>,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            port: 0,
            image_port: 0,
            alt_port: 0,
            seed: 1,
            clock: ClockMode::Real,
            pending_ms: 2_000,
            min_poll_gap_ms: 500,
            log: None,
        }
    }
}
