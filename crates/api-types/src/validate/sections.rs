//! Rules of the sections that other workers read: storage, queue, hosts, logging, cost guard, repo-agent.
//!
//! In scope: fields and ranges as those workers document them. Out of scope: what they do with them.

use super::Check;
use crate::{EditableConfig, ProjectId, Retention, Timestamp, url_guard};
use serde_json::{Map, Value};

/// The most micro-dollars that any limit may name.
pub(super) const MAX_USD_MICROS: i64 = 10_000_000_000_000;
/// How far ahead debugging may be switched on, in milliseconds.
const DEBUG_MS: i64 = 3_600_000;

pub(super) fn bucket_name(check: &mut Check, pointer: &str, name: &str) {
    let ok = (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    check.require(ok, pointer, "must be 3 to 63 of a-z, 0-9 and hyphens");
}

pub(super) fn storage(check: &mut Check, config: &EditableConfig) {
    let storage = &config.storage;
    check.require(
        storage.r2_buckets.len() <= 20,
        "/storage/r2_buckets",
        "at most 20 buckets",
    );
    for (index, bucket) in storage.r2_buckets.iter().enumerate() {
        bucket_name(check, &format!("/storage/r2_buckets/{index}"), bucket);
    }
    check.range(
        Some(storage.url_ttl_s),
        60,
        604_800,
        "/storage/url_ttl_s".into(),
    );
    let whole = Retention {
        retention_days: storage.retention_days,
        keep_last: storage.keep_last,
        max_bytes: storage.max_bytes,
    };
    retention(check, "/storage", &whole);
    check.require(
        storage.projects.len() <= 1_000,
        "/storage/projects",
        "at most 1000 projects",
    );
    for (project, own) in &storage.projects {
        let at = format!("/storage/projects/{project}");
        project_id(check, &at, project);
        retention(check, &at, own);
    }
}

fn retention(check: &mut Check, at: &str, retention: &Retention) {
    check.range(
        retention.retention_days,
        1,
        3_650,
        format!("{at}/retention_days"),
    );
    check.range(retention.keep_last, 1, 1_000_000, format!("{at}/keep_last"));
    // Whole numbers above 2^53 do not survive JavaScript.
    check.range(retention.max_bytes, 1, 1 << 53, format!("{at}/max_bytes"));
}

fn project_id(check: &mut Check, at: &str, project: &str) {
    check.require(
        ProjectId::parse(project).is_ok(),
        at,
        "must be named by a project's id",
    );
}

pub(super) fn queue(check: &mut Check, config: &EditableConfig) {
    let queue = &config.queue;
    check.range(Some(queue.max_depth), 1, 10_000, "/queue/max_depth".into());
    check.range(
        Some(queue.max_depth_project),
        1,
        10_000,
        "/queue/max_depth_project".into(),
    );
    check.range(
        Some(queue.max_wait_s),
        60,
        86_400,
        "/queue/max_wait_s".into(),
    );
    for (project, weight) in &queue.weights {
        let at = format!("/queue/weights/{project}");
        project_id(check, &at, project);
        check.range(Some(*weight), 1, 100, at);
    }
}

/// A list of exact host names.
pub(super) fn hosts(check: &mut Check, at: &str, hosts: &[String], max: usize, local: bool) {
    check.require(hosts.len() <= max, at, format!("at most {max} hosts"));
    for (index, host) in hosts.iter().enumerate() {
        check.require(
            is_host(host, local),
            format!("{at}/{index}"),
            "must be the name of a public host, without scheme, port and path",
        );
    }
}

fn is_host(host: &str, local: bool) -> bool {
    !host.contains('*')
        && url_guard::check(&format!("https://{host}"), local).is_ok_and(|url| {
            url.host_str() == Some(host) && url.port().is_none() && url.path() == "/"
        })
}

/// An object whose members all are known; null stands for an empty one.
struct Section<'a> {
    at: &'static str,
    members: Option<&'a Map<String, Value>>,
}

impl<'a> Section<'a> {
    fn open(check: &mut Check, at: &'static str, value: &'a Value, known: &[&str]) -> Self {
        let members = value.as_object();
        check.require(
            members.is_some() || value.is_null(),
            at,
            "must be an object",
        );
        for name in members.into_iter().flat_map(Map::keys) {
            check.require(
                known.contains(&name.as_str()),
                format!("{at}/{name}"),
                format!("there is no such member; known are {}", known.join(", ")),
            );
        }
        Self { at, members }
    }

    /// A member that is there and not null.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.members?.get(name).filter(|value| !value.is_null())
    }

    fn number(&self, check: &mut Check, name: &str, min: i64, max: i64) {
        if let Some(value) = self.get(name) {
            let ok = value.as_i64().is_some_and(|n| (min..=max).contains(&n));
            let rule = format!("must be a whole number, {min} to {max}");
            check.require(ok, format!("{}/{name}", self.at), rule);
        }
    }

    fn flag(&self, check: &mut Check, name: &str) {
        if let Some(value) = self.get(name) {
            let at = format!("{}/{name}", self.at);
            check.require(value.is_boolean(), at, "must be true or false");
        }
    }

    fn word(&self, check: &mut Check, name: &str, words: &[&str]) {
        if let Some(value) = self.get(name) {
            let ok = value.as_str().is_some_and(|word| words.contains(&word));
            let rule = format!("must be one of {}", words.join(", "));
            check.require(ok, format!("{}/{name}", self.at), rule);
        }
    }
}

pub(super) fn logging(check: &mut Check, value: &Value, now: Timestamp) {
    let known = ["level", "retention_days", "debug_until", "prompts"];
    let section = Section::open(check, "/logging", value, &known);
    section.word(check, "level", &["DEBUG", "INFO", "WARN", "ERROR"]);
    section.number(check, "retention_days", 1, 90);
    section.flag(check, "prompts");
    let debug = section.get("level").and_then(Value::as_str) == Some("DEBUG");
    let until = section.get("debug_until");
    check.require(
        !debug || until.is_some(),
        "/logging/debug_until",
        "must say until when, because level is DEBUG",
    );
    if let Some(until) = until {
        // One that has passed stays valid: it must not stand in the way of other changes.
        let ok = until
            .as_str()
            .and_then(Timestamp::parse)
            .is_some_and(|until| until <= now.plus_ms(DEBUG_MS));
        check.require(
            ok,
            "/logging/debug_until",
            "must be a time at most one hour ahead",
        );
    }
}

pub(super) fn cost_guard(check: &mut Check, value: &Value) {
    let known = [
        "daily_usd_micros",
        "monthly_usd_micros",
        "action",
        "d1_rows_written_daily",
    ];
    let section = Section::open(check, "/cost_guard", value, &known);
    section.number(check, "daily_usd_micros", 1, MAX_USD_MICROS);
    section.number(check, "monthly_usd_micros", 1, MAX_USD_MICROS);
    section.number(check, "d1_rows_written_daily", 1, 1_000_000_000_000);
    section.word(check, "action", &["pause", "alert"]);
}

pub(super) fn repo_agent(check: &mut Check, value: &Value, local: bool) {
    let numbers = [
        ("max_concurrent", 1, 100),
        ("max_per_user", 1, 100),
        ("max_waiting", 0, 10_000),
        ("wall_ms", 60_000, 7_200_000),
        ("repeats", 1, 5),
        ("llm_usd_micros", 0, 50_000_000),
        ("retention_days", 1, 90),
    ];
    let flags = ["allow_test_network", "allow_ci_files"];
    let mut known: Vec<&str> = numbers.iter().map(|(name, ..)| *name).collect();
    known.extend(flags);
    known.extend(["planner", "allowed_hosts"]);
    let section = Section::open(check, "/repo_agent", value, &known);
    for (name, min, max) in numbers {
        section.number(check, name, min, max);
    }
    for name in flags {
        section.flag(check, name);
    }
    section.word(check, "planner", &["recipe", "llm"]);
    if let Some(value) = section.get("allowed_hosts") {
        match serde_json::from_value::<Vec<String>>(value.clone()) {
            Ok(names) => hosts(check, "/repo_agent/allowed_hosts", &names, 50, local),
            Err(_) => check.require(
                false,
                "/repo_agent/allowed_hosts",
                "must be a list of host names",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp(1_763_719_200_000);

    fn pointers(rules: impl FnOnce(&mut Check)) -> Vec<String> {
        let mut check = Check {
            problems: Vec::new(),
        };
        rules(&mut check);
        let problems = check.problems.into_iter();
        problems.map(|problem| problem.pointer).collect()
    }

    #[test]
    fn debugging_ends_within_the_hour() {
        let told = |value: Value| pointers(|check| logging(check, &value, NOW));
        for (value, pointer) in [
            (json!([]), "/logging"),
            (json!({"lvl": "INFO"}), "/logging/lvl"),
            (json!({"level": "info"}), "/logging/level"),
            (json!({"retention_days": 91}), "/logging/retention_days"),
            (json!({"retention_days": 1.5}), "/logging/retention_days"),
            (json!({"prompts": 1}), "/logging/prompts"),
            (json!({"level": "DEBUG"}), "/logging/debug_until"),
            (
                json!({"level": "DEBUG", "debug_until": NOW.plus_ms(DEBUG_MS + 1)}),
                "/logging/debug_until",
            ),
            (json!({"debug_until": "soon"}), "/logging/debug_until"),
        ] {
            assert_eq!(told(value.clone()), [pointer], "{value}");
        }
        for good in [
            json!(null),
            json!({"level": "WARN", "retention_days": 90, "prompts": true}),
            json!({"level": "DEBUG", "debug_until": NOW.plus_ms(DEBUG_MS)}),
            json!({"level": "DEBUG", "debug_until": NOW.plus_ms(-DEBUG_MS)}),
        ] {
            assert!(told(good.clone()).is_empty(), "{good}");
        }
    }

    #[test]
    fn the_cost_guard_has_its_ranges() {
        let told = |value: Value| pointers(|check| cost_guard(check, &value));
        for (value, pointer) in [
            (json!("off"), "/cost_guard"),
            (json!({"action": "kill"}), "/cost_guard/action"),
            (
                json!({"daily_usd_micros": 0}),
                "/cost_guard/daily_usd_micros",
            ),
            (
                json!({"monthly_usd_micros": MAX_USD_MICROS + 1}),
                "/cost_guard/monthly_usd_micros",
            ),
            (
                json!({"d1_rows_written_daily": "5"}),
                "/cost_guard/d1_rows_written_daily",
            ),
        ] {
            assert_eq!(told(value.clone()), [pointer], "{value}");
        }
        let good = json!({"daily_usd_micros": 1, "monthly_usd_micros": null, "action": "pause"});
        assert!(told(good).is_empty());
    }

    #[test]
    fn repo_agent_has_its_ranges() {
        let told = |value: Value| pointers(|check| repo_agent(check, &value, false));
        for (value, pointer) in [
            (json!({"max_concurrent": 0}), "/repo_agent/max_concurrent"),
            (json!({"wall_ms": 7_200_001}), "/repo_agent/wall_ms"),
            (json!({"repeats": 6}), "/repo_agent/repeats"),
            (json!({"planner": "oracle"}), "/repo_agent/planner"),
            (
                json!({"allow_ci_files": "no"}),
                "/repo_agent/allow_ci_files",
            ),
            (json!({"allowed_hosts": "x"}), "/repo_agent/allowed_hosts"),
            (
                json!({"allowed_hosts": ["*.github.com"]}),
                "/repo_agent/allowed_hosts/0",
            ),
            (json!({"unheard": 1}), "/repo_agent/unheard"),
        ] {
            assert_eq!(told(value.clone()), [pointer], "{value}");
        }
        let good = json!({"max_waiting": 0, "planner": "llm", "allowed_hosts": ["github.com"]});
        assert!(told(good).is_empty());
    }

    #[test]
    fn a_host_is_a_name_and_nothing_else() {
        for bad in [
            "",
            "https://a.example.com",
            "a.example.com/x",
            "a.example.com:8443",
            "u@a.example.com",
            "A.example.com",
            "localhost",
            "127.0.0.1",
            "a b",
        ] {
            assert!(!is_host(bad, false), "{bad}");
        }
        assert!(is_host("hooks.example.com", false));
        assert!(is_host("127.0.0.1", true) && !is_host("127.0.0.1:80", true));
    }
}
