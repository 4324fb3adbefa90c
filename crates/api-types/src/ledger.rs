//! Rows that the limiter's outbox brings to D1 `ledger`; the database is a projection, the lease is the truth.

use crate::{AttemptView, Billed, Work};
use serde::{Deserialize, Serialize};

/// Whether a usage row charges or corrects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsagePhase {
    /// The attempt's charge.
    Charge,
    /// What was learnt later, as a difference.
    Correction,
}

impl UsagePhase {
    /// The word in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Correction => "correction",
        }
    }
}

/// The usage part of an outbox row; absent for attempts that never reached a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// Charge or correction; unique with the lease.
    pub phase: UsagePhase,
    /// Calls.
    pub calls: u32,
    /// Images delivered or charged.
    pub images: u32,
    /// Tokens.
    pub tokens_used: u32,
    /// Whether the provider charged.
    pub billed: Billed,
    /// Micro-dollars; for a correction the difference. `None` when unknown.
    pub cost_usd_micros: Option<i64>,
    /// Kind of work.
    pub work: Work,
    /// The provider charged more than the most we had expected.
    pub overrun: bool,
    /// Date of the price row.
    pub price_version: Option<String>,
    /// From admission to the end, in milliseconds.
    pub latency_ms: u64,
}

/// One row of the outbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// The object it comes from.
    pub object_name: String,
    /// The attempt.
    pub attempt: AttemptView,
    /// Its usage, once it is known or assumed; several when corrected.
    pub usage: Vec<UsageRow>,
    /// Attempts of the object that are not settled.
    #[serde(default)]
    pub object_open: u32,
}
