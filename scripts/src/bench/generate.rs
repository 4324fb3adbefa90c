//! `generate`: pictures at the simulator alone and through the system, in turns; admissions; sizes of the workers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::failure::{Context, Failure, Result};
use crate::http::Client;
use crate::interrupt;
use crate::layout::Layout;
use crate::setup::Tools;
use crate::stack::{Options, Stack, seed};
use crate::wasm::{self, Artifact, Size};
use crate::workers;

use super::load::{Target, pairs};
use super::report::{Level, Report};

/// Connections, and requests in one block.
const LEVELS: [(usize, usize); 3] = [(1, 20), (8, 80), (64, 192)];
const INSTANCE: &str = "bench";
/// A provider that answers in one exchange, so that both ways do the same work.
const PROVIDER: &str = "openai";
/// Small pictures: the simulator draws them, and its time is not what is measured.
const PROMPT: &str = "sim:bytes=20000 a lighthouse";
const ADMISSIONS: u32 = 10_000;
const ADMISSION_LIMIT: u32 = 500;

/// Everything that one run found out.
struct Results {
    levels: Vec<Level>,
    admission: Admission,
    sizes: BTreeMap<String, Size>,
}

struct Admission {
    decisions: u32,
    granted: u64,
    seconds: f64,
}

/// Starts a stack and measures.
pub(super) fn run(tools: &Tools) -> Result<Report> {
    let options = Options {
        temp: true,
        probe: true,
        seed_tests: true,
        ..Options::default()
    };
    let stack = Stack::start(tools, options)?;
    let outcome = measure(&tools.layout, &stack);
    stack.end();
    let results = outcome?;
    Ok(Report {
        section: results.section(),
        raw: results.raw(),
        // A limiter that admits too many has ended the run already.
        broken: Vec::new(),
    })
}

fn measure(layout: &Layout, stack: &Stack) -> Result<Results> {
    let system = system(stack)?;
    let direct = direct(stack, &system)?;
    let levels = pairs(&direct, &system, LEVELS)?;
    let mut sizes = BTreeMap::new();
    for worker in workers::discover(layout)? {
        let size = wasm::size(&Artifact::product(&worker).module())?;
        sizes.insert(worker.name, size);
    }
    Ok(Results {
        levels,
        admission: admission(stack)?,
        sizes,
    })
}

/// The way through the gateway to an instance without narrow limits.
fn system(stack: &Stack) -> Result<Target> {
    let bearer = format!("Bearer {}", stack.secrets.key("superadmin")?);
    let client = Client::new(Duration::from_mins(1));
    let org_id = stack
        .secrets
        .ids
        .get("org_id")
        .context("no seeded organization")?;
    let instance = json!({
        "org_id": org_id, "instance_id": INSTANCE, "name": "Bench", "status": "active",
        "config": {
            "api_keys": {PROVIDER: seed::SIM_KEY},
            "providers": seed::providers(stack.sim()),
            "rate_limits": {PROVIDER: {"rpm": 6000, "max_inflight_images": 1000}},
            "r2_bucket": "dev-images",
        },
    });
    let url = format!("{}/api/config-service/instance", stack.base_url);
    let headers = [("authorization", bearer.as_str())];
    let made = client.send("POST", &url, &headers, Some(&instance))?;
    if made.status != 201 {
        return Err(Failure::failed(format!(
            "POST {url} answered {}: {}",
            made.status,
            made.text()
        )));
    }
    let limits = json!({
        "provider": PROVIDER, "account": "dev", "in_flight": 1000, "requests_per_min": 1_000_000,
    });
    let url = format!("{}/limits", stack.sim_control());
    client.send("POST", &url, &[], Some(&limits))?;
    let body = json!({"prompt": PROMPT, "instance_id": INSTANCE, "provider": PROVIDER});
    let target = Target::post(
        format!("{}/api/image-gen/generate", stack.base_url),
        stack.secrets.key("admin")?,
        body,
    );
    // The first pictures warm up every worker on the way.
    let started = clock::now();
    loop {
        let answer = target.send(&client)?;
        if answer.status == 200 && started.elapsed() > Duration::from_secs(3) {
            return Ok(target);
        }
        if started.elapsed() > Duration::from_secs(30) {
            return Err(Failure::failed(format!(
                "{} answered {}: {}",
                target.url,
                answer.status,
                answer.text()
            )));
        }
        interrupt::check()?;
    }
}

/// The very request that the system sent last, from the simulator's own log.
fn direct(stack: &Stack, system: &Target) -> Result<Target> {
    let client = Client::new(Duration::from_mins(1));
    system.send(&client)?;
    let url = format!(
        "{}/requests?limit=200&provider={PROVIDER}",
        stack.sim_control()
    );
    let log = client.get(&url)?.json();
    let last = log
        .get("items")
        .or(Some(&log))
        .and_then(Value::as_array)
        .and_then(|items| items.iter().rev().find(|item| item["method"] == "POST"))
        .context(format!("{url} shows no request of the system"))?
        .clone();
    let path = last["path"].as_str().unwrap_or_default();
    let target = Target::post(
        // The log names paths as the vendor does, without the prefix of its place at the simulator.
        format!("http://127.0.0.1:{}/{PROVIDER}/v1{path}", stack.sim().port),
        seed::SIM_KEY,
        last["body"].clone(),
    );
    let answer = target.send(&client)?;
    if answer.status != 200 {
        return Err(Failure::failed(format!(
            "the simulator refuses its own logged request with {}: {}",
            answer.status,
            answer.text()
        )));
    }
    Ok(target)
}

/// Decisions of one limiter object, asked all at once from inside a worker.
fn admission(stack: &Stack) -> Result<Admission> {
    let client = Client::new(Duration::from_mins(2));
    let id = |kind: u32| format!("0199a1c2-{kind:04x}-7000-8000-000000000000");
    let acquire = json!({
        "v": 1, "lease_id": id(1), "job_id": id(2), "attempt_no": 1, "instance_id": INSTANCE,
        "provider": "ideogram", "calls": 1, "images": 1, "model": "ideogram-3",
        "org_id": "0198f0a0-0000-7000-8000-000000000001", "request_id": id(3),
        "estimate_usd_micros": 60_000, "upper_usd_micros": 60_000,
        "limits": {"config_version": 1, "rpm": ADMISSION_LIMIT, "tpm": null, "max_inflight_images": null, "windows": []},
        "run_ms": 900_000, "holder_ms": 900_000, "job": {},
    });
    let url = format!(
        "{}/api/probe/__probe/limiter/instance:bench:provider:ideogram/burst",
        stack.base_url
    );
    let bearer = format!("Bearer {}", stack.secrets.key("superadmin")?);
    let body = json!({"count": ADMISSIONS, "acquire": acquire});
    let started = clock::now();
    let answer = client.send("POST", &url, &[("authorization", &bearer)], Some(&body))?;
    let seconds = started.elapsed().as_secs_f64();
    let granted = answer.json()["granted"].as_u64();
    match granted {
        // The one thing here that may fail a run: a count.
        Some(granted) if granted == u64::from(ADMISSION_LIMIT) => Ok(Admission {
            decisions: ADMISSIONS,
            granted,
            seconds,
        }),
        _ => Err(Failure::failed(format!(
            "{ADMISSIONS} admissions at limit {ADMISSION_LIMIT}: {} {}",
            answer.status,
            answer.text()
        ))),
    }
}

impl Results {
    fn raw(&self) -> Value {
        json!({
            "levels": self.levels.iter().map(Level::raw).collect::<Vec<_>>(),
            "admission": {
                "decisions": self.admission.decisions, "granted": self.admission.granted,
                "seconds": self.admission.seconds,
            },
            "wasm": self.sizes,
        })
    }

    fn section(&self) -> String {
        let mut lines = vec![
            format!(
                "Closed loops of `POST /generate` with provider `{PROVIDER}` and prompt `{PROMPT}`, in ten turns with the same request sent to the simulator directly. Mean over the turns with its 95 % confidence interval. \"Added\" is the percentile through the system minus the simulator's own."
            ),
            String::new(),
            "| Connections | Requests per second | Simulator alone | Added p50, ms | Added p99, ms | Failed |".to_owned(),
            "|---|---|---|---|---|---|".to_owned(),
        ];
        for level in &self.levels {
            lines.push(format!(
                "| {} | {} | {} | {} | {} | {} |",
                level.connections,
                Level::rate(&level.system).text(),
                Level::rate(&level.direct).text(),
                level.added_ms(50.0).text(),
                level.added_ms(99.0).text(),
                Level::failures(&level.system),
            ));
        }
        let admission = &self.admission;
        lines.extend([
            String::new(),
            "### Admission".to_owned(),
            String::new(),
            format!(
                "{} decisions of one limiter object, asked at once: {} granted, {:.0} decisions per second.",
                admission.decisions,
                admission.granted,
                f64::from(admission.decisions) / admission.seconds.max(1e-9)
            ),
            String::new(),
            "### Size of the workers".to_owned(),
            String::new(),
            "| Worker | Bytes | Gzip |".to_owned(),
            "|---|---|---|".to_owned(),
        ]);
        for (name, size) in &self.sizes {
            lines.push(format!(
                "| {name} | {} | {} |",
                size.raw_bytes, size.gzip_bytes
            ));
        }
        lines.join("\n")
    }
}
