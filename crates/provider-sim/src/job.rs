//! Work that a vendor accepted: what it will become, and which pictures it has.
//!
//! In scope: states on the simulator's clock, the pictures of a job. Not in scope: how a vendor shows them.

use crate::ledger::ChargeNumber;
use crate::picture::{Format, Picture};
use crate::scenario::{Scenario, Token};
use crate::vendor::Vendor;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};

/// Jobs kept; the oldest are dropped.
const KEPT: usize = 10_000;

/// How a job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Completed,
    /// With the vendor's word for the reason.
    Failed(&'static str),
    /// It ended, and the vendor has forgotten it.
    Expired,
    /// The vendor never knows it.
    Lost,
}

/// What a job is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Ended(Outcome),
}

/// One accepted request.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) vendor: Vendor,
    pub(crate) account: String,
    pub(crate) model: String,
    pub(crate) prompt: String,
    pub(crate) seed: u64,
    pub(crate) images: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) format: Format,
    pub(crate) quality: u8,
    pub(crate) transparent: bool,
    pub(crate) created_ms: u64,
    pub(crate) ready_ms: u64,
    pub(crate) outcome: Outcome,
    /// How long links and the job itself live after it has ended.
    pub(crate) life_ms: u64,
    pub(crate) usd_micros: u64,
    pub(crate) charge: Option<ChargeNumber>,
    pub(crate) request_id: Option<String>,
    /// Scenarios for its polls and downloads.
    pub(crate) tokens: Vec<Token>,
    pub(crate) polls: u32,
    /// When it was last told to be pending.
    pub(crate) told_pending_ms: Option<u64>,
    pub(crate) fetches: HashMap<u32, u32>,
}

impl Job {
    pub(crate) fn state(&self, now_ms: u64) -> State {
        if self.outcome == Outcome::Lost {
            State::Ended(Outcome::Lost)
        } else if now_ms < self.ready_ms {
            State::Pending
        } else if now_ms >= self.ends_ms() {
            State::Ended(Outcome::Expired)
        } else {
            State::Ended(self.outcome)
        }
    }

    /// When its links and its status end.
    pub(crate) const fn ends_ms(&self) -> u64 {
        self.ready_ms.saturating_add(self.life_ms)
    }

    /// Its images count against the vendor's limit.
    pub(crate) fn in_flight(&self, now_ms: u64) -> bool {
        now_ms < self.ready_ms
    }

    pub(crate) fn token(&self, scenario: Scenario) -> Option<&Token> {
        self.tokens.iter().find(|token| token.scenario == scenario)
    }

    /// Whether the vendor's filter keeps this picture back.
    pub(crate) fn withheld(&self, index: u32) -> bool {
        match self.token(Scenario::Unsafe) {
            Some(token) if token.is("image") => true,
            // Half of them, and the only one of one.
            Some(token) if token.is("partial") => index >= self.images / 2,
            _ => false,
        }
    }

    /// Seed of one picture.
    pub(crate) const fn seed_of(&self, index: u32) -> u64 {
        (self.seed + index as u64) % 2_147_483_648
    }

    /// The picture as `tokens` want it; the job's own or those of a control call.
    pub(crate) fn picture(&self, index: u32, tokens: &[Token]) -> Picture {
        let has = |scenario| tokens.iter().find(|token| token.scenario == scenario);
        let lie = has(Scenario::SizeLie).is_some();
        let huge = has(Scenario::Huge).map(|_| 50 << 20);
        let shrink = |pixels: u32| if lie { (pixels / 2).max(1) } else { pixels };
        Picture {
            model: self.model.clone(),
            prompt: self.prompt.clone(),
            seed: self.seed_of(index),
            index,
            count: self.images,
            width: shrink(self.width),
            height: shrink(self.height),
            format: self.format,
            transparent: self.transparent,
            quality: self.quality,
            file_bytes: huge.or_else(|| has(Scenario::Bytes).and_then(|token| token.number)),
        }
    }

    /// For the control calls.
    pub(crate) fn describe(&self, now_ms: u64) -> Value {
        let status = match self.state(now_ms) {
            State::Pending => "pending",
            State::Ended(Outcome::Completed) => "completed",
            State::Ended(Outcome::Failed(_)) => "failed",
            State::Ended(Outcome::Expired) => "expired",
            State::Ended(Outcome::Lost) => "lost",
        };
        json!({
            "job_id": self.id, "provider": self.vendor.name(), "account": self.account, "model": self.model,
            "status": status, "images": self.images, "size": format!("{}x{}", self.width, self.height),
            "created": crate::clock::timestamp(self.created_ms), "ready": crate::clock::timestamp(self.ready_ms),
            "usd_micros": self.usd_micros, "request_id": self.request_id, "polls": self.polls,
            "fetches": self.fetches.values().sum::<u32>(), "prompt": self.prompt,
        })
    }
}

/// All jobs, oldest first.
#[derive(Default)]
pub(crate) struct Jobs {
    by_id: HashMap<String, Job>,
    order: VecDeque<String>,
    pub(crate) dropped: u64,
}

impl Jobs {
    pub(crate) fn add(&mut self, job: Job) {
        self.order.push_back(job.id.clone());
        self.by_id.insert(job.id.clone(), job);
        if self.order.len() > KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.by_id.remove(&oldest);
            }
            self.dropped += 1;
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Job> {
        self.by_id.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Job> {
        self.by_id.get_mut(id)
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.order.iter().filter_map(|id| self.by_id.get(id))
    }

    pub(crate) fn forget(&mut self, account: Option<&str>) {
        self.by_id
            .retain(|_, job| account.is_some_and(|account| job.account != account));
        self.order.retain(|id| self.by_id.contains_key(id));
    }
}
