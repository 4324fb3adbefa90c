//! Planted secrets, looked for in everything that is kept or sent: log lines, answers, every column of every table, the
//! KV copies, messages, and requests to other workers; plain, in base64 at each alignment, URL-encoded, in hexadecimal.
//!
//! Half a million log lines are those of requests that are refused, which cost nothing; at least ten thousand are those of
//! operations that are carried out.
//!
//! `house` has the secrets; `middleware::testing::misplaced` knows where a caller can put one; the search is
//! `platform::fakes::Canaries`.

mod house;

use crate::matrix::{arrived, listed, prepare};
use crate::places::{key_of, values};
use crate::support::*;
use futures_util::FutureExt;
use house::{Heap, Template, handed_out};
use middleware::testing::matrix::{Filled, Listed, Recipe};
use middleware::testing::misplaced::{Misplaced, in_bodies, in_heads, in_paths, refused};
use platform::fakes::{FakeReply, Watch, When};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

/// One operation as the least who may ask for it does.
struct Walk {
    recipe: Recipe,
    listed: Listed,
    values: BTreeMap<&'static str, String>,
    filled: Filled,
    key: &'static str,
}

fn walks() -> Vec<Walk> {
    let walk = |(recipe, listed): (Recipe, Listed)| {
        let (who, place) = recipe.least().unwrap();
        let values = values(who, recipe.kind, place).unwrap();
        let filled = recipe.request(&listed, &values).unwrap();
        Walk {
            key: key_of(who),
            recipe,
            listed,
            values,
            filled,
        }
    };
    arrived().into_iter().map(walk).collect()
}

impl Walk {
    async fn prepare(&self, service: &Service) {
        let (_, place) = self.recipe.least().unwrap();
        prepare(service, &self.recipe, place, &self.values).await;
    }

    /// The requests, by the part of the request that holds the secret.
    fn parts(&self, secret: &str) -> [Vec<Misplaced>; 3] {
        [
            in_heads(&self.filled, secret),
            in_paths(&self.recipe, &self.listed, &self.values, secret).unwrap(),
            in_bodies(&self.filled, secret),
        ]
    }
}

/// Lines of this worker's router that every run reads; image-gen's reads as many.
const LINES: u64 = 500_000;

fn assert_none(watch: &Watch, least: &[(&str, u64)]) {
    let leaks = watch.leaks();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    for (kind, least) in least {
        let looked = watch.looked(kind);
        assert!(looked >= *least, "only {looked} of {kind}");
    }
}

/// Every operation of the document with a secret in every place, and with ports that fail and repeat it.
#[tokio::test]
async fn no_secret_that_any_operation_is_given_is_kept_or_sent() {
    let template = Template::new().await;
    let misplaced = template.misplaced();
    let mut next = misplaced.iter().cycle();
    let heap = Heap::default();
    let mut handed: Vec<(String, String)> = Vec::new();
    let mut asked_for = BTreeSet::new();
    let mut fulfilled = BTreeSet::new();
    for walk in walks() {
        let id = &walk.listed.id;
        for part in 0..3 {
            let service = template.house(heap.lines());
            walk.prepare(&service).await;
            let parts = walk.parts(&next.next().unwrap().1);
            for at in 0..parts[part].len() {
                let (name, secret) = next.next().unwrap();
                let asked = &walk.parts(secret)[part][at];
                let answer = asked.send(&service.app, walk.key).await;
                asked_for.insert(id.clone());
                if answer.status.as_u16() == walk.recipe.done(&walk.listed) {
                    fulfilled.insert(id.clone());
                }
                let (text, key) = handed_out(id, &answer);
                handed.extend(key.map(|key| (format!("handed out by {id}"), key)));
                heap.put("answer", &format!("{id}, {}: {name}", asked.place), text);
            }
            settle(&service).await;
            keep(&heap, &service, id);
        }
        for (target, when) in [
            ("database", When::Before),
            ("database", When::After),
            ("kv", When::Before),
            ("service", When::After),
            ("http", When::After),
        ] {
            let service = template.house(heap.lines());
            walk.prepare(&service).await;
            let faults = &service.ports.world.faults;
            for nth in 1..=3 {
                let (name, secret) = next.next().unwrap();
                let cause = format!("Network connection lost at {secret} (injected)");
                faults.fail_with(target, nth, when, &cause);
                let asked = &in_heads(&walk.filled, secret)[nth as usize];
                let answer = asked.send(&service.app, walk.key).await;
                settle(&service).await;
                faults.heal_all();
                let (text, key) = handed_out(id, &answer);
                handed.extend(key.map(|key| (format!("handed out by {id}"), key)));
                heap.put("answer", &format!("{id}, {target} fails: {name}"), text);
            }
            keep(&heap, &service, id);
        }
    }
    let watch = template.watch(&handed);
    heap.shown_to(&watch);
    let listed: BTreeSet<String> = listed().into_keys().collect();
    assert_eq!(
        asked_for, listed,
        "each operation of the document was asked for"
    );
    assert_eq!(fulfilled, listed, "and did what it is for");
    assert!(handed.len() > 10, "{} keys were handed out", handed.len());
    assert_none(
        &watch,
        &[
            ("log line", 10_000),
            ("answer", 5_000),
            ("row", 10_000),
            ("copy", 100),
            ("request", 50),
        ],
    );
}

/// Work after the answers and a sweep, whose lines are read too.
async fn settle(service: &Service) {
    service.app.within(service.settle()).await;
    service.app.within(service.deps.sweep()).await;
    service.app.within(service.settle()).await;
}

/// What the fakes hold, and what was sent to others.
fn keep(heap: &Heap, service: &Service, id: &str) {
    for it in service.ports.kept() {
        heap.put(it.kind, &format!("{id}, {}", it.place), it.bytes);
    }
    let sent = [
        service.ports.service.requests(),
        service.ports.http.requests(),
    ];
    for request in sent.iter().flatten() {
        heap.put("request", id, format!("{request:?}"));
    }
}

/// A million with those of image-gen: each operation with each secret in each encoding in each place of its head, round by
/// round, mostly under a key that is none, because that is refused without asking anything.
#[tokio::test]
async fn half_a_million_log_lines_hold_no_secret() {
    let template = Template::new().await;
    let misplaced = template.misplaced();
    let watch = template.watch(&[]);
    let walks = walks().into_iter().filter(|walk| walk.listed.class != "P");
    let walks: Vec<Walk> = walks.collect();
    let mut round = 0;
    while watch.looked("log line") < LINES {
        let lines = watch.clone();
        let service = template.house(move |line| lines.look("log line", "", line.as_bytes()));
        for (at, walk) in walks.iter().enumerate() {
            let (name, secret) = &misplaced[(round + at) % misplaced.len()];
            for asked in refused(&walk.filled, secret) {
                let answer = asked.send(&service.app, "").await;
                watch.look("answer", name, &answer.whole());
            }
        }
        settle(&service).await;
        watch.look_at(&service.ports.kept(), &[]);
        round += 1;
    }
    assert_none(&watch, &[("log line", LINES), ("answer", LINES / 3)]);
}

/// The routes for workers of the house stand in no document: secrets as credentials, hints, ids and wrong members.
#[tokio::test]
async fn no_secret_that_another_worker_tells_is_kept_or_sent() {
    let template = Template::new().await;
    let watch = template.watch(&[]);
    let lines = watch.clone();
    let service = template.house(move |line| lines.look("log line", "", line.as_bytes()));
    for (name, secret) in template.misplaced() {
        let secret = secret.as_str();
        let mut bodies = vec![
            ask(secret, None),
            ask(secret, Some("production")),
            ask(secret, Some(secret)),
            ask(USER, Some(secret)),
            json!({"v": 1, "credential": [secret], "need": secret}),
            json!({"v": 1, "credential": ADMIN, "need": "instance", "project_hint": secret, "client_ip": secret}),
            json!({secret: 1}),
        ];
        let mut answers = Vec::new();
        for body in &bodies {
            answers.push(service.resolve("image-gen", body).await);
        }
        let item = json!({"credential_id": secret, "outcome": secret, "at": secret});
        bodies = vec![
            json!({"v": 1, "items": [item]}),
            json!({"items": secret, secret: secret}),
        ];
        for body in &bodies {
            let asked = service.app.post("/internal/v1/credentials/report");
            answers.push(asked.from_worker("image-gen").json(body).send().await);
        }
        let url = secret.replace(['+', '/', '='], "-");
        for path in [
            format!("/internal/v1/config/{url}"),
            format!("/internal/v1/config/production?have={url}"),
            format!("/internal/v1/credentials/{url}/ideogram"),
            format!("/internal/v1/credentials/production/{url}"),
            format!("/internal/v1/credentials/production/ideogram?credential_id={url}"),
        ] {
            answers.push(service.app.get(&path).from_worker("image-gen").send().await);
        }
        for answer in answers {
            watch.look("answer", &name, &answer.whole());
        }
    }
    settle(&service).await;
    watch.look_at(&service.ports.kept(), &[]);
    assert_none(
        &watch,
        &[("log line", 1_000), ("answer", 1_000), ("row", 100)],
    );
}

/// A panic in the middle of a request: what is written while it unwinds, and what stays.
#[tokio::test]
async fn a_panic_that_names_a_secret_leaves_none_behind() {
    let template = Template::new().await;
    let watch = template.watch(&[]);
    let lines = watch.clone();
    let service = template.house(move |line| lines.look("log line", "", line.as_bytes()));
    let walks = walks();
    // It asks image-gen what still runs.
    let walk = walks
        .iter()
        .find(|walk| walk.listed.id == "delete_instance")
        .unwrap();
    walk.prepare(&service).await;
    let panics = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    service
        .ports
        .service
        .handle(|_| -> std::future::Ready<FakeReply> { panic!("a vendor said {ADMIN}") });
    let asked = in_heads(&walk.filled, ADMIN).into_iter();
    let mut asked = asked.filter(|asked| asked.place == "header x-unknown");
    let asked = asked.next().unwrap();
    let request = asked.send(&service.app, walk.key);
    let unwound = AssertUnwindSafe(request).catch_unwind().await;
    std::panic::set_hook(panics);
    assert!(unwound.is_err(), "it was to panic");
    service.settle().await;
    watch.look_at(&service.ports.kept(), &[]);
    assert_none(&watch, &[("log line", 1), ("row", 100)]);
}

/// The same requests without redaction: secrets reach the log lines of real routes, so the search would find them.
#[tokio::test]
async fn without_redaction_the_same_requests_leak() {
    let template = Template::new().await;
    let mut leaky: BTreeMap<&str, usize> = BTreeMap::new();
    for walk in walks()
        .iter()
        .filter(|walk| walk.listed.id == "set_provider_key")
    {
        for (name, secret) in template.misplaced().into_iter().step_by(7) {
            let watch = template.watch(&[]);
            let mut service = template.house(|_| {});
            let lines = watch.clone();
            service.app = service
                .app
                .unredacted(move |line| lines.look("log line", "", line.as_bytes()));
            walk.prepare(&service).await;
            for asked in walk.parts(&secret).iter().flatten() {
                asked.send(&service.app, walk.key).await;
            }
            service.settle().await;
            assert!(!watch.leaks().is_empty(), "{name} reached no line");
            *leaky.entry("log line").or_insert(0) += watch.leaks().len();
        }
    }
    assert!(leaky["log line"] > 20, "{leaky:?}");
}

/// A leak in each other place is found by the same search: an answer that hands out a key, a row, a copy.
#[tokio::test]
async fn a_leak_in_any_place_is_found() {
    let template = Template::new().await;
    let service = template.house(|_| {});
    let label = json!({"label": "x"});
    let answer = service.post(USER, "/session", &label).await;
    let (stripped, key) = handed_out("create_session", &answer);
    let watch = template.watch(&[("session".to_owned(), key.unwrap())]);
    watch.look("answer", "", &stripped);
    watch.look_at(&service.ports.kept(), &[]);
    assert_none(&watch, &[("row", 100)]);
    watch.look("answer", "", &answer.whole());
    assert_eq!(watch.leaks().len(), 1);
    for sql in [
        "UPDATE users SET name = 'x' || hex('{key}')",
        "UPDATE worker_registry SET health_detail = json_object('a', '{key}')",
        "UPDATE provider_credentials SET last_error = '{key}'",
    ] {
        let service = template.house(|_| {});
        service.made_up();
        service.run(&sql.replace("{key}", ADMIN)).await;
        let watch = template.watch(&[]);
        watch.look_at(&service.ports.kept(), &[]);
        assert!(!watch.leaks().is_empty(), "{sql}");
    }
    let watch = template.watch(&[]);
    let copy = platform::KvStore::put(&service.ports.kv, "cfg:v1:x", house::PROVIDER, None);
    copy.await.unwrap();
    watch.look_at(&service.ports.kept(), &[]);
    assert!(watch.leaks()[0].starts_with("copy cfg:v1:x: provider key (plain)"));
}
