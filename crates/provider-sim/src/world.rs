//! Everything a simulator remembers, and which scenario a call meets.
//!
//! In scope: accounts, jobs, ledger, journal, queued faults, chaos, the precedence of their sources.
//! Not in scope: answers; nothing here waits.

use crate::account::{Account, Taken};
use crate::call::Call;
use crate::config::SimConfig;
use crate::job::{Job, Jobs};
use crate::journal::{Journal, ViolationKind};
use crate::ledger::{Ledger, NewCharge};
use crate::scenario::{self, Scenario, Token, Unknown};
use crate::vendor::Vendor;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};

/// Counters of `xK`, and request ids, kept; the oldest are dropped.
const KEPT_COUNTERS: usize = 20_000;

/// Accounts kept; a new one beyond that starts all over.
const KEPT_ACCOUNTS: usize = 2_000;

/// Queued faults kept.
const KEPT_FAULTS: usize = 1_000;

/// Scenarios that chaos picks from.
const CHAOS: [&str; 14] = [
    "429=1",
    "500",
    "503",
    "521",
    "529",
    "502=html",
    "reset",
    "reset-after",
    "slow=1s",
    "bad-json",
    "failed",
    "img-404x1",
    "poll-500x1",
    "img-truncated",
];

/// Kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    Submit,
    Status,
    Download,
    Quote,
    Probe,
}

/// A fault that a control call queued.
#[derive(Clone, Debug)]
pub(crate) struct QueuedFault {
    pub(crate) id: u64,
    pub(crate) vendor: Vendor,
    /// None: every phase.
    pub(crate) phase: Option<Phase>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) times: u32,
    pub(crate) account: Option<String>,
}

/// Random scenarios for calls that name none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chaos {
    pub(crate) seed: u64,
    pub(crate) rate: f64,
    pub(crate) calls: u64,
}

/// A map that forgets its oldest keys.
#[derive(Default)]
pub(crate) struct Counters {
    counts: HashMap<String, u32>,
    order: VecDeque<String>,
}

impl Counters {
    /// Counts one more; gives the count before.
    fn add(&mut self, key: String) -> u32 {
        if let Some(count) = self.counts.get_mut(&key) {
            *count += 1;
            return *count - 1;
        }
        self.order.push_back(key.clone());
        self.counts.insert(key, 1);
        if self.order.len() > KEPT_COUNTERS
            && let Some(oldest) = self.order.pop_front()
        {
            self.counts.remove(&oldest);
        }
        0
    }

    fn has(&self, key: &str) -> bool {
        self.counts.contains_key(key)
    }

    fn forget(&mut self, prefix: &str) {
        self.counts.retain(|key, _| !key.starts_with(prefix));
        self.order.retain(|key| self.counts.contains_key(key));
    }
}

/// Everything that is remembered.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) pending_ms: u64,
    pub(crate) min_poll_gap_ms: u64,
    accounts: HashMap<(Vendor, String), Account>,
    pub(crate) jobs: Jobs,
    pub(crate) journal: Journal,
    pub(crate) ledger: Ledger,
    pub(crate) faults: VecDeque<QueuedFault>,
    last_fault: u64,
    pub(crate) chaos: Option<Chaos>,
    firsts: Counters,
    accepted: Counters,
    last_job: u64,
}

impl World {
    pub(crate) fn new(config: &SimConfig) -> Self {
        Self {
            seed: config.seed,
            pending_ms: config.pending_ms,
            min_poll_gap_ms: config.min_poll_gap_ms,
            ..Self::default()
        }
    }

    pub(crate) fn account(&mut self, vendor: Vendor, name: &str) -> &mut Account {
        let key = (vendor, name.to_owned());
        if self.accounts.len() >= KEPT_ACCOUNTS && !self.accounts.contains_key(&key) {
            self.accounts.clear();
        }
        self.accounts.entry(key).or_default()
    }

    /// A job id that no other job of this simulator has: URL-safe base64.
    pub(crate) fn next_job_id(&mut self) -> String {
        self.last_job += 1;
        let source = format!("{}\n{}", self.seed, self.last_job);
        let hash = digest(&SHA256, source.as_bytes());
        URL_SAFE_NO_PAD.encode(hash.as_ref().get(..12).unwrap_or_default())
    }

    /// The seed of a request that names none: equal requests get equal pictures.
    pub(crate) fn open_seed(&self, fingerprint: &str) -> u64 {
        let hash = digest(&SHA256, format!("{}\n{fingerprint}", self.seed).as_bytes());
        hash.as_ref()
            .iter()
            .take(4)
            .fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte))
            % 2_147_483_647
            + 1
    }

    /// Images that the account has in progress.
    pub(crate) fn in_flight(&mut self, vendor: Vendor, account: &str, now_ms: u64) -> u32 {
        let pending = std::mem::take(&mut self.account(vendor, account).pending);
        let (mut images, mut still) = (0, Vec::new());
        for id in pending {
            if let Some(job) = self.jobs.get(&id)
                && job.in_flight(now_ms)
            {
                images += job.images;
                still.push(id);
            }
        }
        self.account(vendor, account).pending = still;
        images
    }

    /// Counts a call against the requests of a minute.
    pub(crate) fn take_request(
        &mut self,
        vendor: Vendor,
        account: &str,
        now_ms: u64,
    ) -> (Taken, u32) {
        let account = self.account(vendor, account);
        let limit = account.limits.requests_per_min;
        (account.requests.take(now_ms, 60_000, limit), limit)
    }

    /// Books an accepted job: charge, in flight, request id.
    pub(crate) fn accept(&mut self, call: &Call, mut job: Job) -> Job {
        let tag = job
            .token(Scenario::Once)
            .and_then(|token| token.value.clone());
        if job.outcome == crate::job::Outcome::Completed {
            job.charge = Some(self.ledger.add(NewCharge {
                at_ms: call.now_ms,
                provider: job.vendor.name(),
                account: job.account.clone(),
                job_id: job.id.clone(),
                model: job.model.clone(),
                images: job.images,
                usd_micros: job.usd_micros,
                request_id: call.request_id.clone(),
                fingerprint: call.fingerprint.clone(),
                tag,
            }));
            let account = self.account(job.vendor, &job.account);
            if let Some(credit) = &mut account.limits.credit_usd_micros {
                *credit = credit.saturating_sub(job.usd_micros);
            }
        }
        if let Some(id) = &call.request_id {
            self.accepted
                .add(accepted_key(job.vendor, &job.account, id));
        }
        if job.in_flight(call.now_ms) {
            self.account(job.vendor, &job.account)
                .pending
                .push(job.id.clone());
        }
        self.jobs.add(job.clone());
        job
    }

    /// Notes a request id that is sent again although its job was made.
    pub(crate) fn check_resend(&self, call: &mut Call, account: &str) {
        if let Some(id) = call.request_id.clone()
            && self.accepted.has(&accepted_key(call.vendor, account, &id))
        {
            call.violate(ViolationKind::SubmitAfterAccept, id);
        }
    }

    /// Queues a fault; gives its id.
    pub(crate) fn queue_fault(&mut self, mut fault: QueuedFault) -> u64 {
        self.last_fault += 1;
        fault.id = self.last_fault;
        self.faults.push_back(fault);
        if self.faults.len() > KEPT_FAULTS {
            self.faults.pop_front();
        }
        self.last_fault
    }

    /// The first queued fault for this call, used up by one.
    pub(crate) fn queued(
        &mut self,
        vendor: Vendor,
        phase: Phase,
        account: &str,
    ) -> Option<Vec<Token>> {
        let index = self.faults.iter().position(|fault| {
            fault.vendor == vendor
                && fault.phase.is_none_or(|wanted| wanted == phase)
                && fault
                    .account
                    .as_deref()
                    .is_none_or(|wanted| wanted == account)
        })?;
        let fault = self.faults.get_mut(index)?;
        fault.times = fault.times.saturating_sub(1);
        let tokens = fault.tokens.clone();
        if fault.times == 0 {
            self.faults.remove(index);
        }
        Some(tokens)
    }

    /// What a submit meets: the control queue, else the prompt, else the key, else chaos.
    pub(crate) fn resolve(
        &mut self,
        call: &mut Call,
        account: &str,
        prompt: &str,
        key: &[Token],
    ) -> Result<Vec<Token>, Unknown> {
        let spoken = scenario::in_prompt(prompt)?;
        if let Some(token) = spoken
            .iter()
            .find(|token| !token.scenario.reaches(call.vendor))
        {
            let text = token.text();
            let vendor = call.vendor.name();
            return Err(Unknown(format!(
                "scenario `{text}` does not exist for {vendor}"
            )));
        }
        let tokens = if let Some(queued) = self.queued(call.vendor, Phase::Submit, account) {
            queued
        } else {
            let mut tokens = if spoken.is_empty() {
                key.to_vec()
            } else {
                spoken
            };
            if tokens.is_empty() {
                tokens.extend(self.roll(call.vendor));
            }
            tokens.retain(|token| self.still_met(token, call, account));
            tokens
        };
        call.scenario = label(&tokens);
        Ok(tokens)
    }

    /// What another call than a submit meets: the control queue, else the key's refusals.
    pub(crate) fn resolve_free(
        &mut self,
        call: &mut Call,
        phase: Phase,
        account: &str,
        key: &[Token],
    ) -> Vec<Token> {
        let tokens = self.queued(call.vendor, phase, account).unwrap_or_else(|| {
            let mut tokens = key.to_vec();
            tokens.retain(|token| match phase {
                // A throttled or broken submit must not hide the job that another key made.
                Phase::Status => matches!(token.scenario, Scenario::Auth | Scenario::Forbidden),
                _ => token.scenario != Scenario::Unsafe && self.still_met(token, call, account),
            });
            tokens
        });
        call.scenario = label(&tokens);
        tokens
    }

    fn still_met(&mut self, token: &Token, call: &Call, account: &str) -> bool {
        match token.first {
            // A vendor without links meets everything at the submit.
            Some(first) if !token.scenario.is_later() || call.vendor == Vendor::OpenAi => {
                let (vendor, text, body) = (call.vendor.name(), token.text(), &call.fingerprint);
                self.firsts
                    .add(format!("{account}\n{vendor}\n{text}\n{body}"))
                    < first
            }
            _ => true,
        }
    }

    fn roll(&mut self, vendor: Vendor) -> Option<Token> {
        let chaos = self.chaos.as_mut()?;
        chaos.calls += 1;
        let source = format!("{}\n{}", chaos.seed, chaos.calls);
        let hash = digest(&SHA256, source.as_bytes());
        let number = hash
            .as_ref()
            .iter()
            .take(6)
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let fraction = number as f64 / (1_u64 << 48) as f64;
        if fraction >= chaos.rate {
            return None;
        }
        let fitting: Vec<Token> = CHAOS
            .iter()
            .filter_map(|text| Token::parse(text).ok())
            .filter(|token| token.scenario.reaches(vendor))
            .collect();
        let last = *hash.as_ref().last()?;
        fitting
            .get(usize::from(last) % fitting.len().max(1))
            .cloned()
    }

    /// Forgets everything, or one account of every vendor.
    pub(crate) fn reset(&mut self, account: Option<&str>) {
        self.jobs.forget(account);
        self.journal.forget(account);
        self.ledger.forget(account);
        if let Some(name) = account {
            self.accounts.retain(|(_, other), _| other != name);
            self.faults
                .retain(|fault| fault.account.as_deref() != Some(name));
            self.firsts.forget(&format!("{name}\n"));
            self.accepted.forget(&format!("{name}\n"));
        } else {
            self.accounts.clear();
            self.faults.clear();
            self.chaos = None;
            self.firsts = Counters::default();
            self.accepted = Counters::default();
        }
    }
}

fn accepted_key(vendor: Vendor, account: &str, request_id: &str) -> String {
    format!("{account}\n{}\n{request_id}", vendor.name())
}

/// How the request log names what was met.
pub(crate) fn label(tokens: &[Token]) -> String {
    if tokens.is_empty() {
        return "ok".to_owned();
    }
    tokens.iter().map(Token::text).collect::<Vec<_>>().join(" ")
}
