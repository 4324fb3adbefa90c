//! Registers the running workers at config-service, as a deployment would: what they say of themselves, and where they
//! answer. Repeating it changes nothing as long as the same builds run at the same place.

use std::time::Duration;

use serde_json::{Value, json};

use crate::digest;
use crate::failure::{Context, Failure, Result};
use crate::http::Client;

use super::health_url;

/// What each worker can do, for the catalog.
fn capabilities(worker: &str) -> &'static [&'static str] {
    match worker {
        "config-service" => &[
            "config.organizations",
            "config.instances",
            "config.keys",
            "config.audit",
            "config.registry",
        ],
        "image-gen" => &["image.generate", "image.jobs", "openai.images"],
        "admission" => &["admission.limits"],
        "console" => &["gateway"],
        _ => &[],
    }
}

/// Registers all of them as workers of the platform: one set serves every local instance.
pub(super) fn run(base_url: &str, bearer: &str, workers: &[String]) -> Result<()> {
    let client = Client::new(Duration::from_secs(30));
    for worker in workers {
        let health = health_url(base_url, worker);
        let url = health.strip_suffix("/health").unwrap_or(&health);
        let said = ask(&client, &health)?;
        let said: Value = serde_json::from_slice(&said).context(&health)?;
        let text = |name: &str| {
            let value = said.get(name).and_then(Value::as_str);
            value.context(format!("{health} does not tell its {name}"))
        };
        let openapi_url = format!("{url}/openapi.json");
        let description = ask(&client, &openapi_url)?;
        let body = json!({
            "version": text("version")?, "git_sha": text("git_sha")?, "url": url, "openapi_url": openapi_url,
            "openapi_sha256": digest::of_bytes(&description), "capabilities": capabilities(worker),
        });
        let place = format!("{base_url}/api/config-service/worker/{worker}");
        let answer = client.send("PUT", &place, &[("authorization", bearer)], Some(&body))?;
        if !matches!(answer.status, 200 | 201) {
            return Err(Failure::failed(format!(
                "PUT {place} answered {}: {}",
                answer.status,
                answer.text()
            )));
        }
    }
    Ok(())
}

fn ask(client: &Client, url: &str) -> Result<Vec<u8>> {
    let answer = client.get(url)?;
    if answer.status == 200 {
        return Ok(answer.body);
    }
    let (status, text) = (answer.status, answer.text());
    Err(Failure::failed(format!(
        "GET {url} answered {status}: {text}"
    )))
}
