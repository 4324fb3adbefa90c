//! Messages of the queue `jobs`: they carry ids only and give no right.

use crate::LeaseId;
use serde::{Deserialize, Serialize};

/// Why the consumer is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WakeReason {
    /// Granted and certainly unsent: run it.
    Run,
    /// The provider has it: poll and store.
    Resume,
    /// Bytes may have been sent: find out, never submit.
    Reconcile,
}

/// One wake-up. A lost one costs time, a repeated one nothing: `take` decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMessage {
    /// Version of this form.
    pub v: u32,
    /// Name of the limiter object.
    pub object: String,
    /// The job.
    pub job_id: String,
    /// The lease.
    pub lease_id: LeaseId,
    /// Why.
    pub reason: WakeReason,
    /// Forwards so far; more than 1 is refused.
    #[serde(default)]
    pub hop: u32,
    /// The request that made the job.
    #[serde(default)]
    pub request_id: String,
    /// Its trace.
    #[serde(default)]
    pub traceparent: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_message_format_unchanged() {
        let text = r#"{"v":1,"object":"instance:production:provider:ideogram","job_id":"0199a1c2-0000-7000-8000-000000000001","lease_id":"0199a1c2-0000-7000-8000-000000000002","reason":"run","hop":0,"request_id":"r","traceparent":""}"#;
        let message: JobMessage = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&message).unwrap(), text);
        let older = r#"{"v":1,"object":"o","job_id":"j","lease_id":"0199a1c2-0000-7000-8000-000000000002","reason":"resume","later":1}"#;
        assert!(serde_json::from_str::<JobMessage>(older).is_ok());
    }
}
