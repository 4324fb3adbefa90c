//! What the object shows: one attempt, one job, its gauges.
//!
//! In scope: public forms of rows and memory. Out of scope: what clients see of a job (worker `image-gen`).

use crate::lease::Attempt;
use crate::state::{AttemptSource, LimiterState, RPM};
use api_types::{
    AttemptView, LimiterGauges, OpenAttempt, OutboxRow, StateQuery, StateReply, Timestamp,
    limiter_object_name,
};
use platform::PortError;
use serde_json::Value;

/// Most open attempts that are named at once.
const OPEN_MAX: u32 = 1_000;

impl LimiterState {
    /// Answers `state`.
    pub fn query(
        &mut self,
        source: &impl AttemptSource,
        query: &StateQuery,
        now_ms: i64,
        alarm_at_ms: Option<i64>,
    ) -> Result<StateReply, PortError> {
        let now_ms = self.advance(now_ms);
        let Some(job_id) = &query.job_id else {
            let mut gauges = self.gauges(now_ms, alarm_at_ms);
            if query.open > 0 {
                let rows = source.open(query.open.min(OPEN_MAX))?;
                gauges.open = rows.iter().map(open).collect();
            }
            return Ok(StateReply::Gauges(Box::new(gauges)));
        };
        Ok(source.newest(job_id)?.map_or(StateReply::NoJob, |row| {
            StateReply::Job(Box::new(view(&row)))
        }))
    }

    fn gauges(&self, now_ms: i64, alarm_at_ms: Option<i64>) -> LimiterGauges {
        let short = |sum: u64| u32::try_from(sum).unwrap_or(u32::MAX);
        LimiterGauges {
            requests_in_window: short(self.calls.sum(RPM)),
            tokens_in_window: short(self.tokens.sum(0)),
            inflight_images: short(self.places.taken()),
            open_attempts: self.open,
            unknown_attempts: self.unknown,
            outbox_rows: u32::try_from(self.outbox.len()).unwrap_or(u32::MAX),
            illegal_transitions: self.illegal_transitions,
            outbox_age_ms: self.outbox.overdue_ms(now_ms),
            breaker_ms: self.gate.breaker_ms(now_ms),
            effective_max_inflight: self.gate.max_inflight(&self.limits, now_ms),
            alarm_at_ms,
            limits: self.limits.clone(),
            calls_in_windows: (0..self.limits.windows.len())
                .map(|index| short(self.calls.sum(RPM + 1 + index)))
                .collect(),
            backoff_ms: self.gate.backoff_ms(now_ms),
            calibrated_max_inflight: self.gate.calibrated(),
            open: Vec::new(),
        }
    }
}

fn open(row: &Attempt) -> OpenAttempt {
    OpenAttempt {
        job_id: row.job_id.clone(),
        job_state: row.job_state,
        created_at: Timestamp(row.created_ms),
    }
}

/// A row in its public form.
pub(crate) fn view(row: &Attempt) -> AttemptView {
    AttemptView {
        lease_id: row.lease_id.clone(),
        job_id: row.job_id.clone(),
        attempt_no: row.attempt_no,
        state: row.state,
        job_state: row.job_state,
        stage: row.stage,
        epoch: row.epoch,
        instance_id: row.instance_id.clone(),
        org_id: row.org_id.clone(),
        project_id: row.project_id.clone(),
        key_id: row.key_id.clone(),
        provider: row.provider.clone(),
        model: row.model.clone(),
        request_id: row.request_id.clone(),
        traceparent: row.traceparent.clone(),
        version: row.version,
        created_at: Timestamp(row.created_ms),
        updated_at: Timestamp(row.updated_ms),
        estimate_usd_micros: row.estimate_usd_micros,
        upper_usd_micros: row.upper_usd_micros,
        cost_usd_micros: row.cost_usd_micros,
        cost_basis: row.cost_basis,
        outcome: row.outcome,
        cancel_requested: row.cancel_requested,
        job_refs: row.job_refs.clone(),
        image_ids: row.image_ids.clone(),
        images: row.report.images.clone(),
        withheld: row.report.withheld,
        warnings: row.report.warnings.clone(),
        usage: row.report.tokens,
        generation_ms: row.report.generation_ms,
        error: row.report.error.clone(),
        timeline: row.timeline.clone(),
        job: serde_json::from_str(&row.job).unwrap_or(Value::Null),
    }
}

/// A row as the ledger gets it, with how many of its object are not settled.
pub(crate) fn outbox_row(row: &Attempt, object_open: u32) -> OutboxRow {
    OutboxRow {
        object_name: limiter_object_name(&row.instance_id, &row.provider),
        attempt: view(row),
        usage: row.report.usage.clone(),
        object_open,
    }
}
