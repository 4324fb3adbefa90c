//! `control`: what reads and changes of the control plane ask of its database and of KV, counted on the real runtime.

use serde_json::{Value, json};

use crate::failure::{Context, Result};
use crate::say;
use crate::setup::Tools;
use crate::stack::{Options, Stack, seed};

use super::events::{Event, Mark};
use super::figures::{self, Figure, Must};
use super::load::{Target, pairs};
use super::report::{self, Level, Report};
use super::service::Service;

/// Connections, and requests in one block.
const LEVELS: [(usize, usize); 3] = [(1, 60), (8, 240), (64, 240)];
const INSTANCE: &str = "bench-control";

/// Starts a stack and measures.
pub(super) fn run(tools: &Tools) -> Result<Report> {
    let options = Options {
        temp: true,
        seed_tests: true,
        ..Options::default()
    };
    let stack = Stack::start(tools, options)?;
    let outcome = measure(&stack);
    stack.end();
    outcome
}

/// What one operation asked for.
struct Cost {
    operation: String,
    counts: [u64; 5],
}

/// The members of `ops` in a [`Cost`].
const COUNTS: [&str; 5] = [
    "d1_round_trips",
    "d1_queries",
    "d1_rows_read",
    "d1_rows_written",
    "kv_ops",
];

impl Cost {
    fn of(event: &Event, operation: &str) -> Result<Self> {
        let mut counts = [0; 5];
        for (count, name) in counts.iter_mut().zip(COUNTS) {
            *count = event.ops(name)?;
        }
        Ok(Self {
            operation: operation.to_owned(),
            counts,
        })
    }

    fn is_read(&self) -> bool {
        self.operation.starts_with("GET ")
    }

    fn round_trips(&self) -> u64 {
        self.counts[0]
    }

    fn kv_ops(&self) -> u64 {
        self.counts[4]
    }
}

fn measure(stack: &Stack) -> Result<Report> {
    let service = Service::of(stack)?;
    say::talk("reads and changes of every kind");
    let costs = costs(&service)?;
    let figures = judged(&costs);
    let health = Target::get(format!("{}/api/config-service/health", stack.base_url));
    let read = Target::get(format!(
        "{}/api/config-service/instance/{INSTANCE}",
        stack.base_url
    ))
    .with(
        "authorization",
        format!("Bearer {}", stack.secrets.key("admin")?),
    );
    let levels = pairs(&health, &read, LEVELS)?;
    Ok(Report {
        section: format!(
            "{}\n\n### Operations\n\nBefore the answer; what follows it (the note that KV has the configuration, the key's last use) is not part of the event.\n\n{}\n\n### Rates\n\n`GET /instance/{{id}}`, which reads D1 each time, in ten turns with `GET /health`; mean over the turns with its 95 % confidence interval.\n\n{}",
            figures::table(&figures),
            operations(&costs),
            report::against_health(&levels)
        ),
        raw: json!({
            "figures": figures::raw(&figures),
            "operations": costs.iter().map(|cost| json!({"operation": cost.operation, "counts": cost.counts})).collect::<Vec<_>>(),
            "levels": levels.iter().map(Level::raw).collect::<Vec<_>>(),
        }),
        broken: figures::broken(&figures),
    })
}

/// Two round trips and at most one put for a change, one round trip and nothing written for a read: the dearest of each.
fn judged(costs: &[Cost]) -> Vec<Figure> {
    let dearest = |reads: bool, count: fn(&Cost) -> u64| {
        let of_kind = costs.iter().filter(|cost| cost.is_read() == reads);
        of_kind
            .max_by_key(|cost| count(cost))
            .map_or((0, "nothing measured".to_owned()), |cost| {
                (count(cost), cost.operation.clone())
            })
    };
    let figure = |what: &str, (is, whose): (u64, String), must| {
        Figure::count(format!("{what} (most: `{whose}`)"), is, must)
    };
    vec![
        figure(
            "change: D1 round trips",
            dearest(false, Cost::round_trips),
            Must::Be(2.0),
        ),
        figure(
            "change: KV puts",
            dearest(false, Cost::kv_ops),
            Must::AtMost(1.0),
        ),
        figure(
            "read: D1 round trips",
            dearest(true, Cost::round_trips),
            Must::Be(1.0),
        ),
        figure(
            "read: KV operations",
            dearest(true, Cost::kv_ops),
            Must::Be(0.0),
        ),
        figure(
            "read: rows written",
            dearest(true, |cost| cost.counts[3]),
            Must::Be(0.0),
        ),
    ]
}

fn operations(costs: &[Cost]) -> String {
    let mut lines = vec![
        "| Operation | Round trips | Statements | Rows read | Rows written | KV puts |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    for cost in costs {
        let counts = cost.counts.map(|count| count.to_string()).join(" | ");
        lines.push(format!("| `{}` | {counts} |", cost.operation));
    }
    lines.join("\n")
}

/// Makes, reads, changes and ends one of everything.
fn costs(service: &Service<'_>) -> Result<Vec<Cost>> {
    let mark = Mark::now(service.stack)?;
    let mut run = Run {
        service,
        done: Vec::new(),
    };
    let (org_id, user_id) = (service.id("org_id")?, service.id("user_user_id")?);
    let price = json!({
        "instance_id": INSTANCE, "provider": "openai", "model": "gpt-image-2",
        "row": {"unit": "image", "usd_micros": 50_000, "basis": "exact"},
    });
    let sim = service.stack.sim();
    run.call(
        "POST",
        "/instance",
        "/instance",
        Some(&json!({
            "org_id": org_id, "instance_id": INSTANCE, "name": "Bench", "status": "active",
            "config": {
                "api_keys": {"openai": seed::SIM_KEY}, "providers": seed::providers(sim), "r2_bucket": "dev-images",
            },
        })),
    )?;
    let instance = format!("/instance/{INSTANCE}");
    let at = "/instance/{instance_id}";
    run.call("GET", at, &instance, None)?;
    run.call("GET", "/instance", "/instance?limit=50", None)?;
    run.call(
        "PATCH",
        at,
        &instance,
        Some(&json!({"name": "Bench two", "config": {"quality_check": "off"}})),
    )?;
    run.call(
        "PUT",
        "/instance/{instance_id}/rate-limit/{provider}",
        &format!("{instance}/rate-limit/openai"),
        Some(&json!({"rpm": 100})),
    )?;
    run.call(
        "PUT",
        "/instance/{instance_id}/provider-key/{provider}",
        &format!("{instance}/provider-key/openai"),
        Some(&json!({"api_key": "sim-ok-other"})),
    )?;
    run.call(
        "GET",
        "/instance/{instance_id}/provider-key",
        &format!("{instance}/provider-key"),
        None,
    )?;
    run.call("POST", "/price", "/price", Some(&price))?;
    let prices = format!("/price?instance_id={INSTANCE}");
    run.call("GET", "/price", &prices, None)?;
    let project = json!({"instance_id": INSTANCE, "name": "Bench", "settings": {}});
    let project = run.made("/project", &project, "project_id")?;
    let project = format!("/project/{project}");
    run.call("GET", "/project/{project_id}", &project, None)?;
    let named = json!({"name": "Bench two"});
    run.call("PATCH", "/project/{project_id}", &project, Some(&named))?;
    let access = format!("/user/{user_id}/instance/{INSTANCE}");
    let grant = "/user/{user_id}/instance/{instance_id}";
    run.call("PUT", grant, &access, Some(&json!({})))?;
    run.call("GET", "/user/{user_id}", &format!("/user/{user_id}"), None)?;
    let key = json!({"user_id": user_id, "name": "bench", "scopes": ["*"]});
    let key = run.made("/api-key", &key, "key_id")?;
    run.call("GET", "/api-key/{key_id}", &format!("/api-key/{key}"), None)?;
    run.call(
        "DELETE",
        "/api-key/{key_id}",
        &format!("/api-key/{key}"),
        None,
    )?;
    run.call("DELETE", grant, &access, None)?;
    run.call("DELETE", "/project/{project_id}", &project, None)?;
    let pause = json!({"reason": "bench"});
    let state = "/instance/{instance_id}/";
    run.call(
        "POST",
        &format!("{state}pause"),
        &format!("{instance}/pause"),
        Some(&pause),
    )?;
    run.call(
        "POST",
        &format!("{state}resume"),
        &format!("{instance}/resume"),
        Some(&json!({})),
    )?;
    let audit = format!("/audit?org_id={org_id}");
    run.call("GET", "/audit", &audit, None)?;
    run.call("GET", "/session", "/session", None)?;
    run.costs(&mark)
}

struct Run<'a> {
    service: &'a Service<'a>,
    /// Operation and the request that did it.
    done: Vec<(String, String)>,
}

impl Run<'_> {
    fn call(
        &mut self,
        method: &str,
        route: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let (request_id, answer) = self.service.call(method, path, body)?;
        self.done.push((format!("{method} {route}"), request_id));
        Ok(answer)
    }

    /// POSTs and answers the id of what was made.
    fn made(&mut self, path: &str, body: &Value, id: &str) -> Result<String> {
        let made = self.call("POST", path, path, Some(body))?;
        let id_of = made.get(id).and_then(Value::as_str).map(str::to_owned);
        id_of.context(format!("POST {path}: the answer has no {id}"))
    }

    fn costs(self, mark: &Mark) -> Result<Vec<Cost>> {
        let ids: Vec<String> = self.done.iter().map(|(_, id)| id.clone()).collect();
        let events = mark.of("config-service", &ids)?;
        let mut costs = Vec::new();
        for (operation, id) in &self.done {
            let event = events.iter().find(|event| event.request_id == *id);
            costs.push(Cost::of(event.context(operation)?, operation)?);
        }
        Ok(costs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(operation: &str, counts: [u64; 5]) -> Cost {
        Cost {
            operation: operation.to_owned(),
            counts,
        }
    }

    #[test]
    fn the_dearest_of_each_kind_is_judged() {
        let mut costs = vec![
            cost("GET /a", [1, 3, 9, 0, 0]),
            cost("POST /a", [2, 9, 5, 3, 1]),
            cost("PATCH /a", [2, 9, 5, 3, 0]),
        ];
        assert_eq!(figures::broken(&judged(&costs)), Vec::<String>::new());
        for (dear, name) in [
            (cost("GET /b", [2, 3, 9, 0, 0]), "read: D1 round trips"),
            (cost("GET /b", [1, 3, 9, 1, 0]), "read: rows written"),
            (cost("GET /b", [1, 3, 9, 0, 1]), "read: KV operations"),
            (cost("PUT /b", [3, 3, 9, 1, 0]), "change: D1 round trips"),
            (cost("PUT /b", [2, 3, 9, 1, 2]), "change: KV puts"),
        ] {
            let operation = dear.operation.clone();
            costs.push(dear);
            let broken = figures::broken(&judged(&costs));
            assert_eq!(broken.len(), 1, "{broken:?}");
            assert!(broken[0].contains(name) && broken[0].contains(&operation));
            costs.pop();
        }
        // A run that measured nothing proves nothing.
        assert!(!figures::broken(&judged(&[])).is_empty());
    }
}
