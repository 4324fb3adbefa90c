//! The sample image: one picture by the way that every request takes, made in the background once the system is up.
//!
//! In scope: making it once a session. Out of scope: samples of workers that are not built yet. A failure is one line: the
//! system is up without it.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::failure::{Context, Failure, Result};
use crate::http::{Answer, Client};
use crate::secrets::Secrets;

/// Under which the session keeps its job. The key below is forgotten after a day, the session is not.
pub(super) const JOB: &str = "sample_image_job_id";
const IDEMPOTENCY_KEY: &str = "seed-sample-image-v1";
/// As long as the service itself waits for a provider.
const DEADLINE: Duration = Duration::from_mins(2);

/// The making of the image.
#[derive(Debug)]
pub(super) struct Sample {
    outcome: Receiver<Result<String>>,
}

impl Sample {
    /// Starts it, unless the session has one.
    pub(super) fn start(base_url: &str, secrets: &Secrets) -> Result<Option<Self>> {
        if secrets.ids.contains_key(JOB) {
            return Ok(None);
        }
        let url = format!("{base_url}/api/image-gen/generate");
        let bearer = format!("Bearer {}", secrets.key("admin")?);
        let body = body(secrets.ids.get("website_chat_project_id"));
        let (done, outcome) = channel();
        std::thread::spawn(move || {
            let headers = [
                ("authorization", bearer.as_str()),
                ("idempotency-key", IDEMPOTENCY_KEY),
            ];
            let answer = Client::new(DEADLINE).send("POST", &url, &headers, Some(&body));
            // Nobody listens any more when the session has ended.
            let _ = done.send(answer.and_then(|answer| job_id(&answer)));
        });
        Ok(Some(Self { outcome }))
    }

    /// The job once it is over; it tells that once.
    pub(super) fn outcome(&self) -> Option<Result<String>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(Failure::failed("it was not made"))),
        }
    }
}

fn body(project_id: Option<&String>) -> Value {
    let mut body = json!({"prompt": "a lighthouse at dawn", "instance_id": "development"});
    if let Some(id) = project_id {
        body["project_id"] = json!(id);
    }
    body
}

fn job_id(answer: &Answer) -> Result<String> {
    let body = answer.json();
    if answer.status != 200 {
        let code = body["error"].as_str().unwrap_or("without a code");
        let told = format!("{} {code}", answer.status);
        return Err(Failure::failed(told));
    }
    let id = body["job_id"]
        .as_str()
        .context("the answer has no job_id")?;
    Ok(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer {
            status,
            body: body.to_string().into_bytes(),
        }
    }

    #[test]
    fn names_its_project_where_there_is_one() {
        assert_eq!(body(None).get("project_id"), None);
        assert_eq!(body(Some(&"p".to_owned()))["project_id"], "p");
    }

    #[test]
    fn a_refusal_is_one_line_with_its_code() {
        let made = job_id(&answer(200, &json!({"job_id": "j"})));
        assert_eq!(made.map_err(|failure| failure.to_string()), Ok("j".into()));
        let refused = answer(503, &json!({"error": "provider_unavailable"}));
        let told = job_id(&refused).map_err(|failure| failure.to_string());
        assert_eq!(told, Err("503 provider_unavailable".into()));
    }
}
