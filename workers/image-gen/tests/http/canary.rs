//! Planted secrets, looked for in everything that is kept or sent: log lines, answers, every column of the ledger, keys and
//! metadata of objects, KV copies, messages, the limiters' rows, and what other workers and vendors are told.
//!
//! `middleware::testing::misplaced` knows where a caller can put a secret; the search is `platform::fakes::Canaries`.

use crate::matrix::arrived;
use crate::support::{INSTANCE, PROJECT, Stage, request};
use crate::vendors::Act;
use api_types::{PrincipalKind, ProjectId, Role};
use futures_util::FutureExt;
use image_gen::deps::Deps;
use image_gen::routes::routes;
use middleware::testing::TestApp;
use middleware::testing::matrix::{Filled, Listed, Recipe, operations};
use middleware::testing::misplaced::{Misplaced, in_bodies, in_heads, in_paths, refused};
use platform::fakes::{Canaries, FakePorts, FakeReply, Watch, When, encodings};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

const DOCUMENT: &str = include_str!("../../../../docs/openapi/image-gen.json");
/// Lines of this worker's router that every run reads; config-service's reads as many.
const LINES: u64 = 500_000;
/// Secrets that are misplaced in one deployment, one after the other.
const A_HOUSE: usize = 40;
/// A deployment full of secrets, and what looks at it.
struct House {
    stage: Stage,
    watch: Watch,
    app: TestApp<Deps<FakePorts>>,
    /// What callers have and may misplace.
    held: Vec<(&'static str, String)>,
    values: BTreeMap<&'static str, String>,
}

impl House {
    /// With one image, made by the route, for whoever asks for a job or a file.
    async fn new() -> Self {
        let stage = Stage::new();
        let session = stage.further_key(|auth| auth.kind = PrincipalKind::Session);
        let platform = stage.further_key(|auth| {
            auth.role = Role::Superadmin;
            auth.org_id = None;
        });
        let project = stage.further_key(|auth| {
            auth.kind = PrincipalKind::ProjectKey;
            auth.user = None;
            auth.project_id = Some(ProjectId::parse(PROJECT).unwrap());
        });
        let revoked = auth::key::mint(&stage.ports.world.random);
        let held = vec![
            ("user key", stage.key.clone()),
            ("session key", session),
            ("platform key", platform),
            ("project key", project),
            ("revoked key", revoked.api_key.expose().to_owned()),
        ];
        let secrets = held
            .iter()
            .map(|(name, key)| (*name, &key.as_bytes()[16..]));
        let watch = Watch::new(Canaries::new(secrets.chain([
            ("key of ideogram", &b"ideogram-secret"[..]),
            ("new key of ideogram", b"ideogram-new"),
            ("key of openai", b"openai-secret"),
            ("key-encryption key", &[9; 32]),
            ("URL-signing key", &[7; 32]),
        ])));
        let lines = watch.clone();
        let read = move |line: &str| lines.look("log line", "", line.as_bytes());
        let (deps, _) = stage.deps();
        let app = TestApp::read_by(routes().into_app(deps.clone()), &deps, read);
        let mut house = Self {
            stage,
            watch,
            app,
            held,
            values: BTreeMap::new(),
        };
        let mut asked = request("ideogram");
        asked["instance_id"] = json!(INSTANCE);
        asked["project_id"] = json!(PROJECT);
        asked["visibility"] = json!("public");
        let made = house
            .app
            .post("/generate")
            .key(&house.stage.key)
            .json(&asked)
            .send()
            .await;
        assert_eq!(made.status, 200, "{}", made.text());
        let made = made.json();
        let file = made["r2_path"]
            .as_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap();
        house.values = BTreeMap::from([
            ("instance_id", INSTANCE.to_owned()),
            ("project_id", PROJECT.to_owned()),
            ("id", made["job_id"].as_str().unwrap().to_owned()),
            ("file", file.to_owned()),
        ]);
        house.settle().await;
        house
    }

    /// All keys in all encodings: name and text.
    fn misplaced(&self) -> Vec<(String, String)> {
        let all = self.held.iter().flat_map(|(name, key)| {
            let texts = encodings(key).into_iter();
            texts.map(move |(encoding, text)| (format!("{name} ({encoding})"), text))
        });
        all.collect()
    }

    /// The requests of an operation, by the part of the request that holds the secret.
    fn parts(&self, (recipe, listed): &(Recipe, Listed), secret: &str) -> [Vec<Misplaced>; 3] {
        let filled: Filled = recipe.request(listed, &self.values).unwrap();
        [
            in_heads(&filled, secret),
            in_paths(recipe, listed, &self.values, secret).unwrap(),
            in_bodies(&filled, secret),
        ]
    }

    async fn send(&self, asked: &Misplaced, place: &str) -> u16 {
        let answer = asked.send(&self.app, &self.stage.key).await;
        self.watch.look("answer", place, &answer.whole());
        answer.status.as_u16()
    }

    /// Work after the answers, alarms, messages and a sweep, whose lines are read too.
    async fn settle(&self) {
        self.app.within(self.stage.ports.background.drain()).await;
        self.app.within(self.stage.pass(60_000)).await;
        self.app.within(self.stage.sweep()).await;
    }

    /// Looks at everything that is kept, and at what was sent to others.
    fn look(&self, name: &str) {
        self.watch.look_at(&self.stage.ports.kept(), &[]);
        self.watch.look_at(&self.stage.kept_by_limiters(), &[]);
        for call in self.stage.ports.actors.calls() {
            // The command holds the job; the rest is what correlates it.
            let text = format!("{} {} {:?}", call.name, call.command, call.context);
            self.watch.look("command", name, text.as_bytes());
        }
        for mut request in self.stage.ports.http.requests() {
            // The vendor's own key belongs there, and the prompt.
            request.headers.remove("api-key");
            request.headers.remove("authorization");
            let text = format!("{} {} {:?}", request.method, request.url, request.headers);
            self.watch.look("request", name, text.as_bytes());
        }
        for request in self.stage.ports.service.requests() {
            // To be resolved a key must be told; nothing else may be.
            let told = if request.url.ends_with("/resolve") {
                String::new()
            } else {
                format!("{:?}", request.body)
            };
            let text = format!(
                "{} {} {:?} {told}",
                request.method, request.url, request.headers
            );
            self.watch.look("request", name, text.as_bytes());
        }
    }

    fn assert_none(&self, least: &[(&str, u64)]) {
        let leaks = self.watch.leaks();
        assert!(leaks.is_empty(), "{}", leaks.join("\n"));
        for (kind, least) in least {
            let looked = self.watch.looked(kind);
            assert!(looked >= *least, "only {looked} of {kind}");
        }
    }
}

/// Every operation of the document with a secret in every place, and with ports that fail and repeat it.
#[tokio::test]
async fn no_secret_that_any_operation_is_given_is_kept_or_sent() {
    let (mut asked_for, mut fulfilled) = (BTreeSet::new(), BTreeSet::new());
    let mut looked: BTreeMap<&str, u64> = BTreeMap::new();
    let kinds = [
        "log line",
        "answer",
        "row",
        "object",
        "actor row",
        "command",
        "request",
    ];
    let mut count = |house: &House| {
        house.assert_none(&[]);
        for kind in kinds {
            *looked.entry(kind).or_insert(0) += house.watch.looked(kind);
        }
    };
    let mut turn = 0..;
    for walk in arrived() {
        let id = &walk.1.id;
        for part in 0..3 {
            let house = House::new().await;
            let misplaced = house.misplaced();
            let many = house.parts(&walk, "x")[part].len();
            for at in 0..many {
                let (name, secret) = &misplaced[turn.next().unwrap() % misplaced.len()];
                let asked = &house.parts(&walk, secret)[part][at];
                let place = format!("{id}, {}: {name}", asked.place);
                let status = house.send(asked, &place).await;
                asked_for.insert(id.clone());
                if status == walk.0.done(&walk.1) {
                    fulfilled.insert(id.clone());
                }
            }
            house.settle().await;
            house.look(id);
            count(&house);
        }
        for target in [
            "database", "kv", "service", "http", "actors", "objects", "queue",
        ] {
            for when in [When::Before, When::After] {
                let mut house = House::new().await;
                house.stage.forget();
                let misplaced = house.misplaced();
                for nth in 1..=3 {
                    let (name, secret) = &misplaced[turn.next().unwrap() % misplaced.len()];
                    let faults = &house.stage.ports.world.faults;
                    let cause = format!("Network connection lost at {secret} (injected)");
                    faults.fail_with(target, nth, when, &cause);
                    let asked = &house.parts(&walk, secret)[0][nth as usize];
                    house
                        .send(asked, &format!("{id}, {target} fails: {name}"))
                        .await;
                    house.stage.ports.world.clock.advance(6_000);
                    house.settle().await;
                    faults.heal_all();
                }
                house.settle().await;
                house.look(id);
                count(&house);
            }
        }
    }
    let listed = operations(DOCUMENT).unwrap().into_iter().map(|it| it.id);
    let listed: BTreeSet<String> = listed.collect();
    assert_eq!(
        asked_for, listed,
        "each operation of the document was asked for"
    );
    assert_eq!(fulfilled, listed, "and did what it is for");
    for kind in kinds {
        assert!(looked[kind] > 300, "{looked:?}");
    }
}

/// A vendor whose errors, failures, pages and prompts repeat what it was sent.
#[tokio::test]
async fn a_vendor_that_repeats_a_key_tells_nobody() {
    for (provider, key) in [("ideogram", "ideogram-secret"), ("openai", "openai-secret")] {
        for (encoding, told) in encodings(key) {
            let house = House::new().await;
            let message = format!("Incorrect API key provided: {told}.");
            let error = json!({"error": {"message": message, "code": told, "param": {"api_key": told}}, told.clone(): told});
            for status in [400, 401, 403, 404, 409, 422, 429, 500, 503] {
                house
                    .stage
                    .vendors
                    .act([Act::Refuse(status, error.clone())]);
                let asked = house
                    .app
                    .post("/generate")
                    .key(&house.stage.key)
                    .json(&request(provider));
                let answer = asked.send().await;
                assert!(!answer.status.is_success(), "{status}: {}", answer.text());
                house.watch.look(
                    "answer",
                    &format!("{provider} {status} {encoding}"),
                    &answer.whole(),
                );
                house.settle().await;
                house.stage.ports.world.clock.advance(600_000);
            }
            house
                .stage
                .vendors
                .act([Act::Fail(Box::leak(message.into_boxed_str()))]);
            let asked = house
                .app
                .post("/generate")
                .key(&house.stage.key)
                .json(&request(provider));
            let answer = asked.send().await;
            house.watch.look(
                "answer",
                &format!("{provider} fails {encoding}"),
                &answer.whole(),
            );
            house.settle().await;
            house.look(provider);
            house.assert_none(&[("answer", 10), ("log line", 10), ("row", 10)]);
        }
    }
}

/// A million with those of config-service: each operation with each key in each encoding in each place of its head, round by
/// round, mostly under a key that is none, because that is refused without asking anything.
#[tokio::test]
async fn half_a_million_log_lines_hold_no_secret() {
    let walks = arrived().into_iter().filter(|walk| walk.1.class != "P");
    let walks: Vec<(Recipe, Listed)> = walks.collect();
    let mut lines = 0;
    let mut round = 0;
    while lines < LINES {
        let house = House::new().await;
        let misplaced = house.misplaced();
        for turn in 0..A_HOUSE {
            for (at, walk) in walks.iter().enumerate() {
                let (name, secret) = &misplaced[(round * A_HOUSE + turn + at) % misplaced.len()];
                let filled = walk.0.request(&walk.1, &house.values).unwrap();
                for asked in refused(&filled, secret) {
                    house.send(&asked, name).await;
                }
            }
        }
        house.settle().await;
        house.look("after all");
        house.assert_none(&[]);
        lines += house.watch.looked("log line");
        round += 1;
    }
}

/// A panic in the middle of a generation: what is written while it unwinds, and what stays.
#[tokio::test]
async fn a_panic_that_names_a_secret_leaves_none_behind() {
    let house = House::new().await;
    let key = house.stage.key.clone();
    let panics = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    house
        .stage
        .ports
        .http
        .handle(move |_| -> std::future::Ready<FakeReply> { panic!("a vendor said {key}") });
    let asked = house
        .app
        .post("/generate")
        .key(&house.stage.key)
        .json(&request("openai"));
    let unwound = AssertUnwindSafe(asked.send()).catch_unwind().await;
    std::panic::set_hook(panics);
    assert!(unwound.is_err(), "it was to panic");
    house.look("generate");
    house.assert_none(&[("log line", 1), ("row", 10)]);
}

/// A leak through a real route: whoever plays config-service writes what it was asked into the log as it is.
#[tokio::test]
async fn a_leak_through_a_real_route_is_found() {
    let mut house = House::new().await;
    house.assert_none(&[]);
    house.stage.forget();
    let (deps, _) = house.stage.deps();
    let lines = house.watch.clone();
    let read = move |line: &str| lines.look("log line", "", line.as_bytes());
    house.app = TestApp::read_by(routes().into_app(deps.clone()), &deps, read);
    let raw = house.watch.clone();
    house.stage.ports.service.handle(move |request| {
        raw.look(
            "log line",
            "planted",
            format!("asked {:?}", request.body).as_bytes(),
        );
        std::future::ready(FakeReply::status(503))
    });
    house
        .app
        .get("/v1/models")
        .key(&house.stage.key)
        .send()
        .await;
    let leaks = house.watch.leaks();
    assert!(
        leaks[0].starts_with("log line planted: user key (plain)"),
        "{leaks:?}"
    );
}

/// Without redaction the same requests leak, so the search is not of lines that hold nothing.
#[tokio::test]
async fn without_redaction_the_same_requests_leak() {
    let walks = arrived();
    let walk = walks
        .iter()
        .find(|walk| walk.1.id == "list_models")
        .unwrap();
    // A line shows 64 characters of a request id, too few for half a key that is percent-encoded.
    let misplaced = House::new().await.misplaced().into_iter().enumerate();
    let misplaced = misplaced.filter(|(_, (name, _))| !name.contains("percent"));
    for (at, (name, _)) in misplaced.step_by(3) {
        let house = House::new().await;
        let lines = house.watch.clone();
        let app = house
            .app
            .unredacted(move |line| lines.look("log line", "", line.as_bytes()));
        let (_, secret) = &house.misplaced()[at];
        house.assert_none(&[]);
        for asked in &house.parts(walk, secret)[0] {
            asked.send(&app, &house.stage.key).await;
        }
        assert!(!house.watch.leaks().is_empty(), "{name} reached no line");
    }
}

/// A leak in each other place is found by the same search.
#[tokio::test]
async fn a_leak_in_any_place_is_found() {
    use platform::{Database, KvStore, MessageQueue, ObjectStore, PutBody, PutOptions, Statement};
    let house = House::new().await;
    let key = &house.stage.key;
    let ports = &house.stage.ports;
    house.look("before");
    house.assert_none(&[]);
    let options = PutOptions {
        metadata: vec![("prompt".to_owned(), format!("draw {key}"))],
        ..PutOptions::default()
    };
    let body = PutBody::Bytes(Vec::new().into());
    ports.objects.put("a/b.png", body, &options).await.unwrap();
    ports.kv.put("cfg:v1:x", key, None).await.unwrap();
    let message = json!({"key": key}).to_string();
    ports.queue.send(&message).await.unwrap();
    let leak = Statement::new("UPDATE usage_logs SET model = ?1").bind(key);
    ports.database.query(leak).await.unwrap();
    house.look("after");
    let leaks = house.watch.leaks();
    for start in [
        "object a/b.png: user key",
        "copy cfg:v1:x: user key",
        "message",
        "row usage_logs.model: user key",
    ] {
        assert!(
            leaks.iter().any(|leak| leak.starts_with(start)),
            "{start}: {leaks:?}"
        );
    }
}
