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

use super::figures::{self, Figure, Must};
use super::load::{Target, pairs};
use super::report::{Level, Report};

/// Connections, and requests in one block.
const LEVELS: [(usize, usize); 3] = [(1, 20), (8, 80), (64, 192)];
const INSTANCE: &str = "bench";
/// A provider that answers in one exchange, so that both ways do the same work.
const PROVIDER: &str = "openai";
/// Small pictures: the simulator draws them, and its time is not what is measured.
const PROMPT: &str = "sim:bytes=20000 a lighthouse";
/// Calls of one burst, asked for all at once.
const ASKED: u32 = 10_000;
/// What the two bursts may have: the first is refused most of it, the second nothing.
const LIMITS: [u32; 2] = [500, ASKED];
/// Window of their limits, in milliseconds: so long that no burst outlasts it, however slow the machine.
const WINDOW_MS: u64 = 3_600_000;

/// Everything that one run found out.
struct Results {
    levels: Vec<Level>,
    admissions: Vec<Admission>,
    sizes: BTreeMap<String, Size>,
}

/// One burst at one object. Each call has one of the four outcomes.
#[derive(Clone, Debug, PartialEq)]
struct Admission {
    limit: u32,
    admitted: u64,
    /// By the window of requests.
    refused: u64,
    /// For another reason, which none of these calls gives.
    otherwise: u64,
    /// Without a decision.
    failed: u64,
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
        broken: figures::broken(&judged(&results.admissions)),
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
        admissions: LIMITS
            .iter()
            .map(|limit| admission(stack, *limit))
            .collect::<Result<_>>()?,
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
fn admission(stack: &Stack, limit: u32) -> Result<Admission> {
    let client = Client::new(Duration::from_mins(5));
    let id = |kind: u32| format!("0199a1c2-{kind:04x}-7000-8000-000000000000");
    // An object of its own: what another burst was admitted is in no window of this one.
    let instance_id = format!("bench-{limit}");
    let acquire = json!({
        "v": 1, "lease_id": id(1), "job_id": id(2), "attempt_no": 1, "instance_id": instance_id,
        "provider": "ideogram", "calls": 1, "images": 1, "model": "ideogram-3",
        "org_id": "0198f0a0-0000-7000-8000-000000000001", "request_id": id(3),
        "estimate_usd_micros": 60_000, "upper_usd_micros": 60_000,
        "limits": {
            "config_version": 1, "rpm": null, "tpm": null, "max_inflight_images": null,
            "windows": [{"requests": limit, "per_ms": WINDOW_MS}],
        },
        "run_ms": 900_000, "holder_ms": 900_000, "job": {},
    });
    let url = format!(
        "{}/api/probe/__probe/limiter/instance:{instance_id}:provider:ideogram/burst",
        stack.base_url
    );
    let bearer = format!("Bearer {}", stack.secrets.key("superadmin")?);
    let body = json!({"count": ASKED, "acquire": acquire});
    let started = clock::now();
    let answer = client.send("POST", &url, &[("authorization", &bearer)], Some(&body))?;
    let seconds = started.elapsed().as_secs_f64();
    if answer.status != 200 {
        return Err(Failure::failed(format!(
            "POST {url} answered {}: {}",
            answer.status,
            answer.text()
        )));
    }
    Ok(Admission::of(limit, &answer.json(), seconds))
}

impl Admission {
    /// From what the probe has counted.
    fn of(limit: u32, counts: &Value, seconds: f64) -> Self {
        let count = |value: &Value| value.as_u64().unwrap_or_default();
        let limited = counts["limited"].as_object();
        let limited: u64 = limited.map_or(0, |reasons| reasons.values().map(count).sum());
        let refused = count(&counts["limited"]["requests"]);
        Self {
            limit,
            admitted: count(&counts["granted"]),
            refused,
            otherwise: limited - refused + count(&counts["refused"]) + count(&counts["existing"]),
            failed: count(&counts["failed"]),
            seconds,
        }
    }

    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds.max(1e-9)
    }

    fn raw(&self) -> Value {
        json!({
            "asked": ASKED, "limit": self.limit, "admitted": self.admitted, "refused": self.refused,
            "otherwise": self.otherwise, "failed": self.failed, "seconds": self.seconds,
        })
    }

    fn line(&self) -> String {
        format!(
            "| {ASKED} | {} | {} | {} | {:.0} | {:.0} |",
            self.limit,
            self.admitted,
            self.refused,
            self.per_second(self.admitted),
            self.per_second(self.admitted + self.refused),
        )
    }
}

/// What each burst must come to: as many admitted as fit, and never one more.
fn judged(admissions: &[Admission]) -> Vec<Figure> {
    let figures = |burst: &Admission| {
        let limit = burst.limit;
        let fitting = u64::from(limit.min(ASKED));
        let over = burst.admitted.saturating_sub(u64::from(limit));
        let rest = u64::from(ASKED) - fitting;
        let counts = [
            ("admitted over the limit", over, 0),
            ("admitted", burst.admitted, fitting),
            ("refused by the window", burst.refused, rest),
            ("refused for another reason", burst.otherwise, 0),
            ("without a decision", burst.failed, 0),
        ];
        counts.map(|(what, is, must)| {
            let what = format!("{what}, of {ASKED} at limit {limit}");
            Figure::count(what, is, Must::Be(must as f64))
        })
    };
    admissions.iter().flat_map(figures).collect()
}

impl Results {
    fn raw(&self) -> Value {
        json!({
            "levels": self.levels.iter().map(Level::raw).collect::<Vec<_>>(),
            "admissions": self.admissions.iter().map(Admission::raw).collect::<Vec<_>>(),
            "figures": figures::raw(&judged(&self.admissions)),
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
        lines.extend([
            String::new(),
            "### Admission".to_owned(),
            String::new(),
            "Calls at one limiter object, asked for all at once from inside a worker: a burst that is refused most of it, and one that fits. An admission writes a row, a refusal writes nothing.".to_owned(),
            String::new(),
            "| Asked | Limit | Admitted | Refused | Admitted per second | Decided per second |".to_owned(),
            "|---|---|---|---|---|---|".to_owned(),
        ]);
        lines.extend(self.admissions.iter().map(Admission::line));
        lines.extend([
            String::new(),
            figures::table(&judged(&self.admissions)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(limit: u32, granted: u32, requests: u32) -> Admission {
        let counts = json!({
            "granted": granted, "existing": 0, "refused": 0, "failed": 0, "limited": {"requests": requests},
        });
        Admission::of(limit, &counts, 2.0)
    }

    #[test]
    fn one_admission_over_the_limit_breaks_the_run_and_so_does_one_too_few() {
        let kept = [burst(500, 500, 9_500), burst(ASKED, ASKED, 0)];
        assert_eq!(figures::broken(&judged(&kept)), Vec::<String>::new());
        let over = figures::broken(&judged(&[burst(500, 501, 9_499)]));
        assert!(over[0].starts_with("admitted over the limit"), "{over:?}");
        let under = figures::broken(&judged(&[burst(500, 499, 9_501)]));
        assert!(under[0].starts_with("admitted, of 10000"), "{under:?}");
        // A burst that should fit and of which some was refused.
        assert!(!figures::broken(&judged(&[burst(ASKED, ASKED - 1, 1)])).is_empty());
    }

    #[test]
    fn what_is_no_admission_is_not_counted_as_one() {
        let counts = json!({
            "granted": 500, "existing": 1, "refused": 2, "failed": 3,
            "limited": {"requests": 9_490, "breaker": 4},
        });
        let burst = Admission::of(500, &counts, 2.0);
        assert_eq!((burst.admitted, burst.refused), (500, 9_490));
        assert_eq!((burst.otherwise, burst.failed), (7, 3));
        assert_eq!(
            figures::broken(&judged(std::slice::from_ref(&burst))).len(),
            3
        );
        assert_eq!(burst.line(), "| 10000 | 500 | 500 | 9490 | 250 | 4995 |");
    }
}
