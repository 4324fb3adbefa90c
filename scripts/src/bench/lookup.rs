//! `lookup`: what knowing the caller and the configuration costs a worker, counted on the real runtime.
//!
//! The worker `outage` stands between image-gen and config-service: it counts their calls and the bytes of the answers,
//! and it refuses when the age of a verdict is the question.

use std::collections::BTreeSet;
use std::sync::{Barrier, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clock;
use crate::failure::{Context, Failure, Result};
use crate::http::Client;
use crate::interrupt;
use crate::say;
use crate::session::SimPorts;
use crate::setup::Tools;
use crate::stack::{Options, Stack, seed};

use super::events::{Event, Mark};
use super::figures::{self, Figure, Must};
use super::load::{Block, Target, Until, pairs};
use super::needles;
use super::report::{self, Level, Report};
use super::service::{Service, unexpected};

/// Connections, and requests in one block.
const LEVELS: [(usize, usize); 3] = [(1, 100), (8, 400), (64, 400)];
const COLD_REQUESTS: usize = 500;
const STEADY: Duration = Duration::from_mins(1);
const STEADY_CONNECTIONS: usize = 8;
/// An answer of config-service is asked for anew at this age of a verdict.
const REFRESH_S: u64 = 3;
/// No verdict is used at this age.
const VERDICT: Duration = Duration::from_secs(5);
/// A request that has waited so long for the answer asks itself.
const VOID_MARK_MS: u64 = 250;
const REVOKED_KEYS: usize = 8;
const REFRESHES: u64 = 3;
/// Rows of each kind that are added for the comparison.
const ROWS: u64 = 100_000;
/// The seeded instance that the user may use.
const SEEDED: &str = "development";
const LARGE: &str = "bench-large";
const LARGE_BYTES: u64 = 32 * 1024;
const MODELS: &str = "/v1/models/{*id}";
const RESOLVE: &str = "/internal/v1/resolve";
/// Ends a wait for something that never comes.
const LIMIT: Duration = Duration::from_mins(2);

/// Starts a stack and measures.
pub(super) fn run(tools: &Tools) -> Result<Report> {
    let options = Options {
        temp: true,
        outage: true,
        seed_tests: true,
        ..Options::default()
    };
    let mut stack = Stack::start(tools, options)?;
    let outcome = measure(&mut stack);
    stack.end();
    outcome
}

fn measure(stack: &mut Stack) -> Result<Report> {
    let mut figures = Vec::new();
    let levels = {
        let bench = Bench::of(stack)?;
        say::talk("a cold isolate, refreshes, a steady minute");
        figures.extend(bench.cold()?);
        figures.extend(bench.refresh()?);
        figures.extend(bench.steady()?);
        figures.push(bench.malformed()?);
        let levels = bench.pairs()?;
        say::talk("verdicts and revoked keys after five seconds");
        figures.extend(levels.iter().map(share));
        figures.push(bench.outage()?);
        figures.push(bench.revoked()?);
        figures.push(bench.needles()?);
        levels
    };
    figures.extend(growth(stack)?);
    let section = format!(
        "Reads of one model by image-gen, whose calls of config-service are counted by a worker between the two.\n\n{}\n\n### Rates\n\n`GET /v1/models/{{id}}` with a warm cache, in ten turns with `GET /health` of the same worker; mean over the turns with its 95 % confidence interval.\n\n{}",
        figures::table(&figures),
        report::against_health(&levels)
    );
    Ok(Report {
        section,
        raw: json!({
            "figures": figures::raw(&figures),
            "levels": levels.iter().map(Level::raw).collect::<Vec<_>>(),
        }),
        broken: figures::broken(&figures),
    })
}

fn share(level: &Level) -> Figure {
    Figure::ratio(
        format!(
            "requests per second of an authenticated read for each one of `GET /health`, {} connections",
            level.connections
        ),
        level.ratio().mean,
        Must::AtLeast(0.8),
    )
}

/// Calls that are one per `every` at the most, and the first.
fn allowed(took: Duration, every: Duration) -> u64 {
    1 + (took.as_millis() / every.as_millis().max(1)) as u64
}

struct Bench<'a> {
    service: Service<'a>,
    stack: &'a Stack,
    /// A model that the seeded instances and those of the suite know.
    model: String,
}

impl<'a> Bench<'a> {
    fn of(stack: &'a Stack) -> Result<Self> {
        let service = Service::of(stack)?;
        let list = Target::get(format!("{}/api/image-gen/v1/models", stack.base_url));
        let list = signed(list, stack.secrets.key("admin")?, SEEDED);
        let answer = list.send(&service.client)?;
        let json = answer.json();
        let models = json.get("data").and_then(Value::as_array);
        let ids = models
            .into_iter()
            .flatten()
            .filter_map(|it| it.get("id")?.as_str());
        // A model is listed where its provider has a key, and the instances of this suite have this one.
        let model = ids
            .into_iter()
            .find(|id| id.starts_with("openai/"))
            .context(format!("{} has no model: {}", list.url, answer.text()))?
            .to_owned();
        Ok(Self {
            service,
            stack,
            model,
        })
    }

    fn read(&self, key: &str, instance: &str) -> Target {
        let url = format!(
            "{}/api/image-gen/v1/models/{}",
            self.stack.base_url, self.model
        );
        signed(Target::get(url), key, instance)
    }

    /// Calls of config-service since the last [`Bench::mode`], and the bytes of their answers.
    fn calls(&self) -> Result<(u64, Vec<u64>)> {
        let url = format!("{}/api/probe/mode", self.stack.base_url);
        let told = self.service.client.get(&url)?.json();
        let calls = told.get("calls").and_then(Value::as_u64);
        let bytes = told.get("bytes").and_then(Value::as_array);
        Ok((
            calls.context("the worker between does not count")?,
            bytes
                .into_iter()
                .flatten()
                .filter_map(Value::as_u64)
                .collect(),
        ))
    }

    /// Sets what happens to the calls, and starts counting them anew.
    fn mode(&self, mode: &str) -> Result<()> {
        let url = format!("{}/api/probe/mode?is={mode}", self.stack.base_url);
        let answer = self.service.client.send("POST", &url, &[], None)?;
        if answer.status == 200 {
            return Ok(());
        }
        Err(unexpected("POST", &url, &answer))
    }

    fn good(&self, target: &Target, request_id: Option<&str>) -> Result<()> {
        let answer = target.send_as(&self.service.client, request_id)?;
        if answer.status == 200 {
            return Ok(());
        }
        Err(unexpected("GET", &target.url, &answer))
    }

    /// All at once with a key that no isolate has seen.
    fn cold(&self) -> Result<Vec<Figure>> {
        let (_, key) = self.service.key("admin_user_id")?;
        let target = self.read(&key, SEEDED);
        self.mode("pass")?;
        let start = Barrier::new(COLD_REQUESTS);
        let first = std::sync::Mutex::new(None::<Duration>);
        let answered = std::thread::scope(|scope| {
            let all: Vec<_> = (0..COLD_REQUESTS)
                .map(|_| {
                    scope.spawn(|| {
                        let client = Client::new(LIMIT);
                        start.wait();
                        let sent = clock::now();
                        let answer = target.send(&client);
                        let took = sent.elapsed();
                        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                        *first = Some(first.map_or(took, |known| known.min(took)));
                        answer.is_ok_and(|answer| answer.status == 200)
                    })
                })
                .collect();
            all.into_iter()
                .filter_map(|one| one.join().ok())
                .filter(|good| *good)
                .count()
        });
        let first = first.into_inner().unwrap_or_else(PoisonError::into_inner);
        let first = first.context("nobody was answered")?;
        let (calls, _) = self.calls()?;
        Ok(vec![
            Figure::count(
                format!("{COLD_REQUESTS} requests at once with an unknown key: good answers"),
                answered as u64,
                Must::Be(COLD_REQUESTS as f64),
            ),
            Figure::count(
                format!(
                    "the same: service calls; one, and one more for each {VOID_MARK_MS} ms of the {} ms until the first answer",
                    first.as_millis()
                ),
                calls,
                Must::AtMost(allowed(first, Duration::from_millis(VOID_MARK_MS)) as f64),
            ),
        ])
    }

    /// Verdicts that are confirmed while a configuration of 32 KB stays the same.
    fn refresh(&self) -> Result<Vec<Figure>> {
        self.service.instance(LARGE, &large(self.stack.sim()))?;
        let (_, key) = self.service.key("admin_user_id")?;
        let target = self.read(&key, LARGE);
        let mark = Mark::now(self.stack)?;
        self.mode("pass")?;
        let (mut request_ids, started) = (Vec::new(), clock::now());
        loop {
            let request_id = self.service.request_id();
            self.good(&target, Some(&request_id))?;
            request_ids.push(request_id);
            if self.calls()?.0 > REFRESHES {
                break;
            }
            over(started, "refreshes")?;
            interrupt::check()?;
        }
        let events = mark.on("config-service", RESOLVE, REFRESHES as usize + 1)?;
        let (calls, bytes) = self.calls()?;
        let (first, later) = bytes.split_first().context("no answer was counted")?;
        let own: BTreeSet<&str> = request_ids.iter().map(String::as_str).collect();
        let refreshes: Vec<&Event> = events
            .iter()
            .filter(|event| own.contains(event.request_id.as_str()))
            .skip(1)
            .collect();
        Ok(vec![
            Figure::ratio(
                "verdict refresh: service calls",
                (calls - 1) as f64 / refreshes.len().max(1) as f64,
                Must::Be(1.0),
            ),
            most(
                "verdict refresh: D1 round trips",
                &refreshes,
                "d1_round_trips",
                Must::Be(1.0),
            )?,
            most(
                "verdict refresh: rows read",
                &refreshes,
                "d1_rows_read",
                Must::AtMost(12.0),
            )?,
            most(
                "verdict refresh: rows written",
                &refreshes,
                "d1_rows_written",
                Must::Be(0.0),
            )?,
            Figure::count(
                "bytes of a full answer, configuration included",
                *first,
                Must::AtLeast(LARGE_BYTES as f64),
            ),
            Figure::ratio(
                "bytes of a refresh for each byte of the full answer",
                later.iter().max().copied().unwrap_or(u64::MAX) as f64 / *first as f64,
                Must::AtMost(0.1),
            ),
        ])
    }

    /// One key for a minute. Whoever finds the verdict fresh asks nobody.
    fn steady(&self) -> Result<Vec<Figure>> {
        let (_, key) = self.service.key("admin_user_id")?;
        let target = self.read(&key, SEEDED);
        self.good(&target, None)?;
        let mark = Mark::now(self.stack)?;
        self.mode("pass")?;
        let block = Block::run(&target, STEADY_CONNECTIONS, Until::Passed(STEADY));
        let (calls, _) = self.calls()?;
        let requests = block.latencies_ms.len() + block.failures;
        let events = mark.on("image-gen", MODELS, requests)?;
        let mut hops = [0, 0, 0];
        let (mut warm, mut bad) = (0, 0);
        for event in &events {
            bad += u64::from(event.status != 200);
            if event.ops("service_calls")? > 0 {
                continue;
            }
            warm += 1;
            let count = [
                event.ops("do_calls")? + event.ops("subrequests")? + event.ops("r2_ops")?,
                event.ops("d1_queries")?,
                event.ops("kv_ops")?,
            ];
            for (most, is) in hops.iter_mut().zip(count) {
                *most = is.max(*most);
            }
        }
        let may = allowed(
            Duration::from_secs_f64(block.seconds),
            Duration::from_secs(REFRESH_S),
        );
        let [other, d1, kv] = hops;
        Ok(vec![
            Figure::count(
                format!(
                    "one key at steady load for {:.0} s: requests",
                    block.seconds
                ),
                requests as u64,
                Must::Anything,
            ),
            Figure::count("the same: failed", bad, Must::Be(0.0)),
            Figure::count(
                format!("the same: service calls, one for each {REFRESH_S} s"),
                calls,
                Must::AtMost(may as f64),
            ),
            Figure::count(
                "the same: requests without a service call",
                warm,
                Must::AtLeast((requests as u64).saturating_sub(calls) as f64),
            ),
            Figure::count("warm resolve: hops", other, Must::Be(0.0)),
            Figure::count("warm resolve: D1 queries", d1, Must::Be(0.0)),
            Figure::count("warm resolve: KV operations", kv, Must::Be(0.0)),
        ])
    }

    fn malformed(&self) -> Result<Figure> {
        let key = self.stack.secrets.key("admin")?;
        self.mode("pass")?;
        for last in ["0", "1", "2", "x", "Z"] {
            let head = key.get(..key.len() - 1).unwrap_or_default();
            let wrong = format!("{head}{last}");
            if wrong == key {
                continue;
            }
            let answer = self.read(&wrong, SEEDED).send(&self.service.client)?;
            if answer.status != 401 {
                return Err(unexpected("GET", "with a wrong checksum", &answer));
            }
        }
        let (calls, _) = self.calls()?;
        Ok(Figure::count(
            "keys with a bad checksum: service calls",
            calls,
            Must::Be(0.0),
        ))
    }

    fn pairs(&self) -> Result<Vec<Level>> {
        let health = Target::get(format!("{}/api/image-gen/health", self.stack.base_url));
        let read = self.read(self.stack.secrets.key("admin")?, SEEDED);
        pairs(&health, &read, LEVELS)
    }

    /// config-service fails: good answers to requests that were sent when no verdict could be young enough.
    fn outage(&self) -> Result<Figure> {
        let target = self.read(self.stack.secrets.key("admin")?, SEEDED);
        self.good(&target, None)?;
        self.mode("fail")?;
        let late = self.late(std::slice::from_ref(&target), clock::now());
        self.mode("pass")?;
        let started = clock::now();
        while target.send(&self.service.client)?.status != 200 {
            over(started, "the end of the outage")?;
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(Figure::count(
            "config-service down: requests sent after 5 s that a verdict let in",
            late?,
            Must::Be(0.0),
        ))
    }

    fn revoked(&self) -> Result<Figure> {
        let mut keys = Vec::new();
        for _ in 0..REVOKED_KEYS {
            keys.push(self.service.key("admin_user_id")?);
        }
        let targets: Vec<Target> = keys.iter().map(|(_, key)| self.read(key, SEEDED)).collect();
        for target in &targets {
            self.good(target, None)?;
        }
        for (key_id, _) in &keys {
            self.service
                .call("DELETE", &format!("/api-key/{key_id}"), None)?;
        }
        Ok(Figure::count(
            "revoked keys: requests sent after 5 s that were let in",
            self.late(&targets, clock::now())?,
            Must::Be(0.0),
        ))
    }

    /// Asks with all of them until each was refused and five seconds have passed; answers how many requests that were sent
    /// after these five seconds got in. Judged by the time of sending, so a slow machine changes nothing.
    fn late(&self, targets: &[Target], since: Instant) -> Result<u64> {
        let mut late = 0;
        loop {
            let (mut refused, mut all_late) = (0, true);
            for target in targets {
                let is_late = since.elapsed() > VERDICT;
                let answer = target.send(&self.service.client)?;
                all_late &= is_late;
                if answer.status != 200 {
                    refused += 1;
                } else if is_late {
                    late += 1;
                }
            }
            if all_late && (refused == targets.len() || late > 100) {
                return Ok(late);
            }
            interrupt::check()?;
        }
    }

    fn needles(&self) -> Result<Figure> {
        let mut secrets = self.stack.secrets.texts();
        secrets.push(seed::SIM_KEY.to_owned());
        secrets.extend(self.service.minted.borrow().iter().cloned());
        let dirs = [self.stack.state(), self.stack.logs()];
        let (found, bytes) = needles::search(&dirs, &needles::forms(&secrets))?;
        for path in &found {
            say::talk(&format!("a secret in {}", path.display()));
        }
        Ok(Figure::count(
            format!(
                "{} secrets, in four forms, in {:.1} MB of state and logs: files that hold one",
                secrets.len(),
                bytes as f64 / 1e6
            ),
            found.len() as u64,
            Must::Be(0.0),
        ))
    }
}

fn signed(target: Target, key: &str, instance: &str) -> Target {
    let target = target.with("authorization", format!("Bearer {key}"));
    if instance.is_empty() {
        return target;
    }
    target.with("x-instance-id", instance)
}

/// The largest of one count over these events.
fn most(what: &str, events: &[&Event], name: &str, must: Must) -> Result<Figure> {
    let mut most = None;
    for event in events {
        most = Some(event.ops(name)?.max(most.unwrap_or_default()));
    }
    let most = most.context(format!("{what}: nothing was measured"))?;
    Ok(Figure::count(what, most, must))
}

fn over(started: Instant, what: &str) -> Result<()> {
    if started.elapsed() < LIMIT {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "waited {} for {what}",
        clock::spoken(LIMIT)
    )))
}

/// Most hosts of one list of a provider.
const MAX_HOSTS: usize = 20;

/// Members that make a configuration of over 32 KB: names of hosts that nobody calls.
fn large(sim: SimPorts) -> Value {
    let hosts = |from: usize, count: usize| -> Vec<Value> {
        let label = "switchyard-bench-switchyard-bench-switchyard-bench";
        (from..from + count)
            .map(|at| json!(format!("h{at:03}.{label}.{label}.{label}.{label}.example")))
            .collect()
    };
    let mut providers = seed::providers(sim);
    let lists = [
        "/openai/extra_result_hosts",
        "/openai/extra_api_hosts",
        "/ideogram/extra_result_hosts",
        "/ideogram/extra_api_hosts",
    ];
    for (at, list) in lists.iter().enumerate() {
        let known = providers.pointer_mut(list).and_then(Value::as_array_mut);
        if let Some(known) = known {
            let room = MAX_HOSTS - known.len();
            known.extend(hosts(100 + at * MAX_HOSTS, room));
        }
    }
    json!({
        "webhook_hosts": hosts(0, 50),
        "repo_agent": {"allowed_hosts": hosts(50, 50)},
        "providers": providers,
    })
}

/// The same questions among ten times ten thousand others: with a named instance, and with none.
fn growth(stack: &mut Stack) -> Result<Vec<Figure>> {
    let few = resolve_rows(stack)?;
    say::talk(&format!("{ROWS} more keys, users and instances"));
    stack.execute_sql("control", &rows(ROWS))?;
    let many = resolve_rows(stack)?;
    let mut figures = Vec::new();
    for (at, (what, most)) in [("named", 12.0), ("not named", 33.0)]
        .into_iter()
        .enumerate()
    {
        let (few, many) = (few.get(at).copied(), many.get(at).copied());
        let (few, many) = few.zip(many).context("rows of a resolve")?;
        figures.push(Figure::count(
            format!("resolve, instance {what}: rows read with the seeded keys"),
            few,
            Must::AtMost(most),
        ));
        figures.push(Figure::count(
            format!("the same with {ROWS} more keys, users and instances"),
            many,
            Must::Be(few as f64),
        ));
    }
    Ok(figures)
}

/// Rows read by the first resolve of a new key that names its instance, and of one that does not.
fn resolve_rows(stack: &Stack) -> Result<Vec<u64>> {
    let bench = Bench::of(stack)?;
    let mut rows = Vec::new();
    for instance in [SEEDED, ""] {
        // The user may use one instance, so there is no need to name it.
        let (key_id, key) = bench.service.key("user_user_id")?;
        let mark = Mark::now(stack)?;
        let request_id = bench.service.request_id();
        bench.good(&bench.read(&key, instance), Some(&request_id))?;
        let events = mark.of("config-service", &[request_id])?;
        let event = events.iter().find(|event| event.route == RESOLVE);
        rows.push(event.context("no resolve")?.ops("d1_rows_read")?);
        bench
            .service
            .call("DELETE", &format!("/api-key/{key_id}"), None)?;
    }
    Ok(rows)
}

/// SQL that adds so many users, instances and keys in a thousand organizations, all of others.
fn rows(count: u64) -> String {
    let at = "'2026-11-20T09:00:00.000Z'";
    let n = |most: u64| {
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {most})")
    };
    let org = "printf('0198f0b0-0000-7000-8000-%012d', 1 + i % 1000)";
    let user = "printf('0198f0b1-0000-7000-8000-%012d', i)";
    let (all, orgs) = (n(count), n(1_000));
    [
        format!("INSERT INTO organizations (org_id, name, billing_email, created_at, updated_at) {orgs} SELECT printf('0198f0b0-0000-7000-8000-%012d', i), 'Other', 'b@o.example', {at}, {at} FROM n"),
        format!("INSERT INTO instances (instance_id, org_id, name, config, created_at, status, published_version, published_at, updated_at) {all} SELECT printf('other-%d', i), {org}, 'Other', '{{}}', {at}, 'active', 1, {at}, {at} FROM n"),
        format!("INSERT INTO instance_effective (instance_id, config_version, body, sha256, created_at) {all} SELECT printf('other-%d', i), 1, '{{}}', printf('%064d', i), {at} FROM n"),
        format!("INSERT INTO users (user_id, email, role, org_id, created_at, updated_at) {all} SELECT {user}, i || '@o.example', 'user', {org}, {at}, {at} FROM n"),
        format!("INSERT INTO user_instance_access (user_id, instance_id, created_at, granted_by) {all} SELECT {user}, printf('other-%d', i), {at}, 's' FROM n"),
        format!("INSERT INTO api_keys (key_id, user_id, key_hash, last4, pepper_id, scopes, created_by, created_at) {all} SELECT printf('other%07d', i), {user}, printf('%064d', i), 'x', 'p1', '[]', 's', {at} FROM n"),
    ]
    .join(";\n")
        + ";\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_allowed_by_the_time_that_passed() {
        let every = Duration::from_secs(REFRESH_S);
        assert_eq!(allowed(Duration::from_mins(1), every), 21);
        assert_eq!(allowed(Duration::from_millis(2_999), every), 1);
        assert_eq!(allowed(Duration::from_secs(3), every), 2);
    }

    #[test]
    fn the_large_configuration_is_larger_than_it_must_be() {
        let config = large(SimPorts::default());
        let bytes = config.to_string().len() as u64;
        assert!(bytes > LARGE_BYTES, "{bytes}");
        let mut whole = json!({"environment": "development", "r2_bucket": "dev-images"});
        for (name, value) in config.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let whole: api_types::EditableConfig = serde_json::from_value(whole).unwrap();
        let local = api_types::ValidateContext {
            local: true,
            self_hosted: false,
            now: api_types::Timestamp(0),
        };
        let problems = api_types::validate_config(&whole, local);
        assert!(problems.is_empty(), "{problems:?}");
        // The simulator's own place is still allowed.
        let seeded = seed::providers(SimPorts::default());
        let own = seeded.pointer("/openai/extra_result_hosts/0");
        assert_eq!(
            config.pointer("/providers/openai/extra_result_hosts/0"),
            own
        );
    }
}
