//! Calls of the control plane on a stack, each with a request id by which its events are found.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use serde_json::{Value, json};

use crate::failure::{Context, Failure, Result};
use crate::http::{Answer, Client};
use crate::stack::{Stack, seed};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The control plane as the superadmin.
pub(super) struct Service<'a> {
    pub(super) stack: &'a Stack,
    pub(super) client: Client,
    bearer: String,
    next: Cell<u64>,
    /// Every key that was made.
    pub(super) minted: RefCell<Vec<String>>,
}

impl<'a> Service<'a> {
    pub(super) fn of(stack: &'a Stack) -> Result<Self> {
        Ok(Self {
            stack,
            client: Client::new(PATIENCE),
            bearer: format!("Bearer {}", stack.secrets.key("superadmin")?),
            next: Cell::new(1),
            minted: RefCell::default(),
        })
    }

    /// An id that no request of this run has had.
    pub(super) fn request_id(&self) -> String {
        let number = self.next.replace(self.next.get() + 1);
        format!("0199b000-0000-7000-8000-{number:012x}")
    }

    pub(super) fn id(&self, name: &str) -> Result<&'a str> {
        self.stack
            .secrets
            .ids
            .get(name)
            .map(String::as_str)
            .context(format!("{name} was not seeded"))
    }

    /// One call below `/api/config-service`; any status below 300 is as it should be.
    pub(super) fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(String, Value)> {
        let request_id = self.request_id();
        let url = format!("{}/api/config-service{path}", self.stack.base_url);
        let headers = [
            ("authorization", self.bearer.as_str()),
            ("x-request-id", request_id.as_str()),
            // Nobody else edits here.
            ("if-match", "*"),
        ];
        let takes_version = ["PATCH", "PUT", "DELETE"].contains(&method);
        let headers = headers.get(..if takes_version { 3 } else { 2 });
        let answer = self
            .client
            .send(method, &url, headers.unwrap_or_default(), body)?;
        if answer.status >= 300 {
            return Err(unexpected(method, &url, &answer));
        }
        Ok((request_id, answer.json()))
    }

    /// Another active instance of the seeded organization, whose provider is the simulator.
    pub(super) fn instance(&self, instance_id: &str, more: &Value) -> Result<()> {
        let mut config = json!({
            "api_keys": {"openai": seed::SIM_KEY},
            "providers": seed::providers(self.stack.sim()),
            "r2_bucket": "dev-images",
        });
        if let (Some(config), Some(more)) = (config.as_object_mut(), more.as_object()) {
            config.extend(more.clone());
        }
        let body = json!({
            "org_id": self.id("org_id")?, "instance_id": instance_id, "name": instance_id,
            "status": "active", "config": config,
        });
        self.call("POST", "/instance", Some(&body)).map(|_| ())
    }

    /// A new key of a seeded user: its id and the key.
    pub(super) fn key(&self, user: &str) -> Result<(String, String)> {
        let body = json!({"user_id": self.id(user)?, "name": "bench", "scopes": ["*"]});
        let (_, made) = self.call("POST", "/api-key", Some(&body))?;
        let text = |member: &str| {
            let text = made.get(member).and_then(Value::as_str);
            text.map(str::to_owned)
                .context(format!("POST /api-key: the answer has no {member}"))
        };
        let key = text("api_key")?;
        self.minted.borrow_mut().push(key.clone());
        Ok((text("key_id")?, key))
    }
}

pub(super) fn unexpected(method: &str, url: &str, answer: &Answer) -> Failure {
    Failure::failed(format!(
        "{method} {url} answered {}: {}",
        answer.status,
        answer.text()
    ))
}
