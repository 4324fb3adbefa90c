//! A small client of the product, as an application would write it.
//!
//! What a journey wants to succeed is asked and read in the types of `api-types`, so an answer that lacks a member fails
//! where it is read. What a journey wants refused, or compares as it came, is JSON.

use api_types::{GenerateRequest, GenerateResponse, JobId, JobState, JobView};
use reqwest::header::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The instance that every stack is seeded with.
const INSTANCE: &str = "development";

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// The body of a 200 in its type.
    ///
    /// # Panics
    /// When it is another status, or not of that type.
    pub fn read<T: DeserializeOwned>(&self) -> T {
        let text = String::from_utf8_lossy(&self.bytes);
        assert_eq!(self.status, 200, "{text}");
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// A header as text; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The request id.
    pub fn request_id(&self) -> String {
        self.header("x-request-id").to_owned()
    }

    /// Asserts status and code of an error, and that it can be acted upon: hint, documentation and request id.
    ///
    /// # Panics
    /// When one of them is not there.
    pub fn expect_error(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        let text = String::from_utf8_lossy(&self.bytes);
        assert_eq!(self.status, status, "{text}");
        assert_eq!(body["error"], code, "{text}");
        assert!(
            body["hint"].as_str().is_some_and(|hint| hint.len() > 10),
            "{text}"
        );
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|message| message.len() > 5),
            "{text}"
        );
        assert_eq!(body["docs"], format!("/docs/errors#{code}"), "{text}");
        assert_eq!(body["request_id"], self.header("x-request-id"), "{text}");
        assert_eq!(self.header("x-request-id").len(), 36, "{text}");
        body
    }
}

/// Calls through the console's gateway with one key.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    key: String,
    http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(base: &str, key: &str) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without TLS needs nothing");
        Self {
            base: base.to_owned(),
            key: key.to_owned(),
            http,
        }
    }

    /// The same client with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self.clone()
        }
    }

    /// The base URL of one worker.
    pub fn worker(&self, name: &str) -> String {
        format!("{}/api/{name}", self.base)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.try_send(request).await.expect("an answer")
    }

    /// Sends a request; an error when there is no whole answer.
    ///
    /// # Errors
    /// The connection was refused or cut.
    pub async fn try_send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer {
            status,
            headers,
            bytes: response.bytes().await?.to_vec(),
        })
    }

    /// A request with this client's key.
    pub fn request(&self, method: &str, url: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let url = if url.starts_with("http") {
            url.to_owned()
        } else {
            format!("{}{url}", self.base)
        };
        let request = self.http.request(method, url);
        match HeaderValue::from_str(&format!("Bearer {}", self.key)) {
            Ok(value) if !self.key.is_empty() => request.header("authorization", value),
            _ => request,
        }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    /// POST of a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("POST", path).json(body)).await
    }

    /// `POST /generate` in the instance `development`, of a body that may be refused.
    pub async fn generate(&self, mut body: Value) -> Answer {
        if body.get("instance_id").is_none() {
            body["instance_id"] = INSTANCE.into();
        }
        self.post("/api/image-gen/generate", &body).await
    }

    /// `POST /generate` in the instance `development`: the answer, and what it says.
    ///
    /// # Panics
    /// When no picture is made.
    pub async fn picture(&self, request: GenerateRequest) -> (Answer, GenerateResponse) {
        let answer = self.generate(json!(request)).await;
        let made = answer.read();
        (answer, made)
    }

    /// `GET /jobs/{id}` until the job is final.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn ended(&self, job_id: &JobId, limit_s: u64) -> JobView {
        let job = self.job_end(job_id.as_str(), limit_s).await;
        serde_json::from_value(job).expect("a job")
    }

    /// Makes an active instance with the providers of `development`, whose keys at the simulator are `sim_key`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn make_instance(&self, name: &str, sim_key: &str, rate_limits: Value) {
        let template = self
            .get("/api/config-service/instance/development")
            .await
            .json();
        let mut providers = template["providers"].clone();
        for provider in ["ideogram", "openai"] {
            if let Some(settings) = providers[provider].as_object_mut() {
                settings.remove("credential_id");
                settings.remove("credential_state");
            }
        }
        let body = json!({"instance_id": name, "name": name, "status": "active", "config": {
            "api_keys": {"ideogram": sim_key, "openai": sim_key}, "providers": providers,
            "rate_limits": rate_limits, "r2_bucket": "dev-images"}});
        let answer = self.post("/api/config-service/instance", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.json());
    }

    /// Runs the minute cron of image-gen now, which the local runtime does not do by itself.
    pub async fn sweep(&self, stack: &crate::Stack) {
        self.cron(stack, "image-gen").await;
    }

    /// Runs the minute cron of a worker now.
    pub async fn cron(&self, stack: &crate::Stack, worker: &str) {
        let url = format!(
            "{}/cdn-cgi/local/explorer/api/local/scheduled?worker={worker}",
            stack.base_url()
        );
        let cron = json!({"cron": "* * * * *"});
        // A second way to the same end: without it the objects' alarms and the stack's own clock get there alone.
        let _ = self.http.post(url).json(&cron).send().await;
    }

    /// The same as JSON.
    pub async fn job_end(&self, job_id: &str, limit_s: u64) -> Value {
        crate::until(&format!("the end of job {job_id}"), limit_s, || async {
            let request = self.request("GET", &format!("/api/image-gen/jobs/{job_id}"));
            let request = request.header("x-instance-id", INSTANCE);
            let answer = self
                .try_send(request)
                .await
                .ok()
                .filter(|answer| answer.status == 200)?;
            let job: JobView = answer.read();
            let over = job.state.is_final() || job.state == JobState::Unknown;
            over.then(|| answer.json())
        })
        .await
    }
}
