//! A browser on one of the console's own pages, as far as its requests go: the cookie, and the words that it says about
//! where a request came from.

use crate::{Answer, Client};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

/// One signed-in browser.
#[derive(Clone, Debug)]
pub struct Browser {
    anonymous: Client,
    base: String,
    /// The cookie, `name=value`.
    pub cookie: String,
}

impl Browser {
    /// Signs in with a key; also the answer.
    ///
    /// # Panics
    /// When the sign-in is refused.
    pub async fn sign_in(anonymous: &Client, base: &str, key: &str) -> (Self, Answer) {
        let mut browser = Self {
            anonymous: anonymous.with_key(""),
            base: base.to_owned(),
            cookie: String::new(),
        };
        let body = json!({"api_key": key});
        let request = browser.write("POST", "/auth/session").json(&body);
        let answer = browser.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let set = answer.header("set-cookie");
        set.split(';')
            .next()
            .unwrap_or_default()
            .clone_into(&mut browser.cookie);
        (browser, answer)
    }

    /// The same browser before it signed in.
    #[must_use]
    pub fn signed_out(&self) -> Self {
        Self {
            cookie: String::new(),
            ..self.clone()
        }
    }

    /// A request with the cookie alone, as a link of another site makes it.
    pub fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        let request = self.anonymous.request(method, path);
        if self.cookie.is_empty() {
            request
        } else {
            request.header("cookie", &self.cookie)
        }
    }

    /// A request that changes something, as the console's page makes it.
    pub fn write(&self, method: &str, path: &str) -> RequestBuilder {
        self.bare(method, path)
            .header("origin", &self.base)
            .header("x-switchyard-console", "1")
            .header("sec-fetch-site", "same-origin")
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.anonymous.send(request).await
    }

    /// GET by a page of the console.
    pub async fn get(&self, path: &str) -> Answer {
        let request = self.bare("GET", path);
        self.send(request.header("sec-fetch-site", "same-origin"))
            .await
    }

    /// POST of a JSON body by a page of the console.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.write("POST", path).json(body)).await
    }
}
