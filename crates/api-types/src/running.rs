//! Whether an instance still has work: what config-service asks image-gen before it lets an instance go.

use crate::{InstanceId, JobId, JobState, ProviderName, Timestamp};
use serde::{Deserialize, Serialize};

/// Most jobs that an answer names.
pub const RUNNING_JOBS_MAX: usize = 20;

/// Answer of `GET /internal/v1/running/{instance_id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningReply {
    /// Version of this form.
    pub v: u32,
    /// The instance.
    pub instance_id: InstanceId,
    /// Jobs that have not ended: of the ledger, and of the limiter objects, which know of them seconds earlier.
    pub running: u64,
    /// Of these, jobs whose outcome nobody knows: nothing runs for them here any more, and some stay so until a person
    /// says what became of them.
    #[serde(default)]
    pub unknown: u64,
    /// The oldest of them, at most [`RUNNING_JOBS_MAX`].
    pub jobs: Vec<RunningJob>,
}

/// One job that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningJob {
    /// Id.
    pub job_id: JobId,
    /// `queued`, `running` or `unknown`.
    pub state: JobState,
    /// Provider of its current attempt.
    pub provider: ProviderName,
    /// When it was accepted.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_reply_format_unchanged() {
        let text = r#"{"v":1,"instance_id":"production","running":1,"unknown":0,"jobs":[{"job_id":"0199a1c2-0000-7000-8000-000000000001","state":"running","provider":"ideogram","created_at":"2025-11-21T10:00:00.000Z"}]}"#;
        let reply: RunningReply = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&reply).unwrap(), text);
        assert_eq!(reply.jobs[0].created_at, Timestamp(1_763_719_200_000));
        let older = r#"{"v":1,"instance_id":"production","running":0,"jobs":[],"later":1}"#;
        assert!(serde_json::from_str::<RunningReply>(older).is_ok());
    }
}
