//! What clients see of a job.

use api_types::{GenerateResponse, JobError, JobId, JobState, JobView, StoredImage};
use errors::{Code, Error};

/// The path of a job, relative to the worker's base.
pub fn status_path(job_id: &JobId) -> String {
    format!("/jobs/{job_id}")
}

/// Of several places that know the job, the one that knows most: the highest version. The events of earlier attempts
/// are kept, because each place knows only its own.
pub fn newest(views: impl IntoIterator<Item = JobView>) -> Option<JobView> {
    let mut views: Vec<JobView> = views.into_iter().collect();
    views.sort_by_key(|view| view.version);
    let mut newest = views.pop()?;
    for mut earlier in views.into_iter().rev() {
        earlier
            .timeline
            .retain(|event| !newest.timeline.contains(event));
        if !earlier.timeline.is_empty() {
            earlier.timeline.append(&mut newest.timeline);
            earlier.timeline.sort_by_key(|event| event.at);
            newest.timeline = earlier.timeline;
        }
        newest.created_at = newest.created_at.min(earlier.created_at);
    }
    Some(newest)
}

/// How much longer a running job will take, in milliseconds, where its provider usually takes `median_ms` (0: not known).
/// 0 means any moment: it takes longer than usual.
pub fn eta_ms(view: &JobView, median_ms: u64, now_ms: i64) -> Option<u64> {
    if view.state != JobState::Running || median_ms == 0 {
        return None;
    }
    let admitted = view
        .timeline
        .iter()
        .rev()
        .find(|event| event.event == "admitted");
    let since_ms = admitted.map_or(view.created_at, |event| event.at).ms();
    let gone_ms = u64::try_from(now_ms - since_ms).unwrap_or(0);
    Some(median_ms.saturating_sub(gone_ms))
}

/// Fills in the URLs of a stored result, which are made anew for each answer.
pub fn with_urls(response: &mut GenerateResponse, url: impl Fn(&StoredImage) -> String) {
    for image in &mut response.images {
        image.image_url = url(image);
    }
    response.image_url = response
        .images
        .first()
        .map(|image| image.image_url.clone())
        .unwrap_or_default();
}

/// The error that a job without a result is answered with; `None` while it may still succeed, or when it has.
pub fn final_error(view: &JobView) -> Option<Error> {
    // Every 502 says of which kind it is.
    let kind = |kind: &str| serde_json::json!({"kind": kind});
    let fallback = match view.state {
        JobState::Queued | JobState::Running | JobState::Succeeded => return None,
        JobState::Unknown => JobError {
            code: Code::OutcomeUnknown,
            message: "Nobody knows whether the provider ran this.".to_owned(),
            details: kind("unknown"),
        },
        JobState::Failed | JobState::Cancelled | JobState::Dead => JobError {
            code: Code::ProviderError,
            message: format!("The job is {}.", view.state.as_str()),
            details: kind(view.state.as_str()),
        },
    };
    let error = view.error.clone().unwrap_or(fallback);
    Some(
        Error::new(error.code, error.message)
            .with_details(error.details)
            .with_detail("job_id", view.job_id.as_str()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::{InstanceId, ProviderName, TimelineEvent, Timestamp};

    fn view(version: i64, state: JobState, events: &[(i64, &str)]) -> JobView {
        JobView {
            job_id: JobId::parse("0199a1c2-0000-7000-8000-000000000001").unwrap(),
            state,
            stage: None,
            version,
            instance_id: InstanceId::parse("production").unwrap(),
            project_id: None,
            provider: ProviderName::parse("ideogram").unwrap(),
            model: "ideogram-3".to_owned(),
            attempts: 1,
            position: None,
            eta_ms: None,
            cost_usd_micros: Some(0),
            estimate_usd_micros: None,
            cancel_requested: false,
            created_at: Timestamp(5),
            updated_at: Timestamp(6),
            result: None,
            error: None,
            timeline: events
                .iter()
                .map(|(at, event)| TimelineEvent {
                    at: Timestamp(*at),
                    event: (*event).to_owned(),
                    provider: None,
                    waited_ms: None,
                })
                .collect(),
            request_id: "r".to_owned(),
        }
    }

    #[test]
    fn the_highest_version_wins_and_earlier_events_stay() {
        let merged = newest([
            view(
                2_003,
                JobState::Succeeded,
                &[(30, "admitted"), (40, "succeeded")],
            ),
            view(
                1_002,
                JobState::Running,
                &[(10, "admitted"), (20, "fallback")],
            ),
            view(1_001, JobState::Running, &[(10, "admitted")]),
        ])
        .unwrap();
        assert_eq!(merged.state, JobState::Succeeded);
        let events: Vec<&str> = merged
            .timeline
            .iter()
            .map(|event| event.event.as_str())
            .collect();
        assert_eq!(events, ["admitted", "fallback", "admitted", "succeeded"]);
        assert!(newest([]).is_none());
    }

    #[test]
    fn the_rest_of_a_job_is_told_by_its_last_admission() {
        let events = [(10, "admitted"), (20, "fallback"), (1_000, "admitted")];
        let running = view(1, JobState::Running, &events);
        assert_eq!(eta_ms(&running, 5_000, 2_000), Some(4_000));
        assert_eq!(eta_ms(&running, 5_000, 9_000), Some(0), "any moment");
        assert_eq!(eta_ms(&running, 0, 2_000), None, "nobody has measured it");
        let done = view(1, JobState::Succeeded, &events);
        assert_eq!(eta_ms(&done, 5_000, 2_000), None);
    }

    #[test]
    fn a_job_in_progress_has_no_error_and_a_lost_one_names_itself() {
        assert!(final_error(&view(1, JobState::Running, &[])).is_none());
        assert!(final_error(&view(1, JobState::Succeeded, &[])).is_none());
        let error = final_error(&view(1, JobState::Unknown, &[])).unwrap();
        assert_eq!(error.code, Code::OutcomeUnknown);
        assert_eq!(error.details["kind"], "unknown");
        let dead = final_error(&view(1, JobState::Dead, &[])).unwrap();
        assert_eq!(dead.details["kind"], "dead");
        assert_eq!(
            error.details["job_id"],
            "0199a1c2-0000-7000-8000-000000000001"
        );
    }

    #[test]
    fn the_error_of_a_failed_job_is_the_one_it_ended_with() {
        let mut failed = view(1, JobState::Failed, &[]);
        failed.error = Some(JobError {
            code: Code::RejectedBySafety,
            message: "The provider refused the content.".to_owned(),
            details: serde_json::json!({"kind": "rejected_by_safety"}),
        });
        let error = final_error(&failed).unwrap();
        assert_eq!(error.code, Code::RejectedBySafety);
        assert_eq!(error.details["kind"], "rejected_by_safety");
    }
}
