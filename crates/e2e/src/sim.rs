//! The simulator's control calls: the witness of what was really asked and charged.

use serde_json::{Value, json};

/// Control of one simulator.
#[derive(Clone, Debug)]
pub struct Sim {
    base: String,
    http: reqwest::Client,
}

impl Sim {
    pub(crate) fn new(control: &str) -> Self {
        let base = control
            .trim_end_matches('/')
            .trim_end_matches("/_sim")
            .to_owned();
        Self {
            base,
            http: reqwest::Client::new(),
        }
    }

    /// Its URL, below which the vendors are.
    pub fn url(&self) -> &str {
        &self.base
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self
            .http
            .get(format!("{}/_sim/{path}", self.base))
            .send()
            .await
            .expect("the simulator answers");
        answer.json().await.expect("the simulator answers JSON")
    }

    /// A control call.
    ///
    /// # Panics
    /// When the simulator refuses it.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self
            .http
            .post(format!("{}/_sim/{path}", self.base))
            .json(body)
            .send()
            .await
            .expect("an answer");
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// The items of a list call.
    async fn items(&self, path: &str) -> Vec<Value> {
        match self.get(path).await {
            Value::Array(items) => items,
            Value::Object(mut members) => members
                .remove("items")
                .and_then(|items| items.as_array().cloned())
                .unwrap_or_else(|| panic!("{path} has no items")),
            other => panic!("{path}: {other}"),
        }
    }

    /// Everything that was charged.
    pub async fn charges(&self) -> Vec<Value> {
        self.items("charges").await
    }

    /// Groups of charges that belong to one request: must be empty.
    pub async fn duplicates(&self) -> Vec<Value> {
        self.items("charges/duplicates").await
    }

    /// Broken rules of the vendors: must be empty.
    pub async fn violations(&self) -> Vec<Value> {
        self.items("violations").await
    }

    /// The same, blocking: it is asked while a stack is dropped, where nothing can be awaited.
    ///
    /// # Panics
    /// When the simulator does not answer a list: a check that did not take place must not pass.
    pub(crate) fn violations_so_far(&self) -> Vec<Value> {
        let answer = crate::raw(&self.base, &["GET /_sim/violations HTTP/1.1"]);
        let list = serde_json::from_str(&answer.body).ok();
        list.unwrap_or_else(|| panic!("the simulator's violations: {answer:?}"))
    }

    /// The request log.
    pub async fn requests(&self) -> Vec<Value> {
        self.items("requests?limit=10000").await
    }

    /// Jobs of the asynchronous vendors.
    pub async fn jobs(&self) -> Vec<Value> {
        self.items("jobs").await
    }

    /// Sets the images in progress that an account may have.
    pub async fn set_in_flight(&self, provider: &str, account: &str, images: u32) {
        self.post(
            "limits",
            &json!({"provider": provider, "account": account, "in_flight": images}),
        )
        .await;
    }
}
