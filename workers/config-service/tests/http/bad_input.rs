//! Bad input, row by row: `docs/api/README.md` has the table, and every row of it is tried here.
//!
//! A row without a case fails, and so does a case without a row. What is refused leaves nothing behind.

use crate::support::neighbour::Isolate;
use crate::support::*;
use api_types::KeyId;
use http::Method;
use middleware::testing::TestResponse;
use platform::KvStore;
use platform::fakes::FakeRandom;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const DOCUMENT: &str = include_str!("../../../../docs/api/README.md");
const TITLE: &str = "\n## Bad input\n";

/// What the table promises for one input.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    status: u16,
    code: String,
    hint: String,
}

/// The rows by their input.
fn rows() -> BTreeMap<String, Row> {
    let (_, section) = DOCUMENT.split_once(TITLE).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with("| "));
    // The first is the table's head.
    let rows = lines.skip(1).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [input, answer, hint] = cells.try_into().unwrap();
        let (status, code) = answer.split_once(' ').unwrap_or((answer, ""));
        let row = Row {
            status: status.parse().unwrap(),
            code: code.trim_matches('`').to_owned(),
            hint: hint.to_owned(),
        };
        (input.to_owned(), row)
    });
    rows.collect()
}

/// The parent of a session that asks for more.
const NARROWED: &str = r#"UPDATE api_keys SET scopes = '["keys:write","images:read"]', instance_ids = '["development"]'
    WHERE key_id = 'user00000001'"#;

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Here,
    NextDoor,
}

/// One way to put an input.
#[derive(Clone, Debug)]
struct Ask {
    door: Door,
    method: Method,
    path: String,
    key: String,
    by_session: bool,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
    times: usize,
    copy: Option<String>,
}

fn ask(method: Method, key: &str, path: impl Into<String>) -> Ask {
    Ask {
        door: Door::Here,
        method,
        path: path.into(),
        key: key.to_owned(),
        by_session: false,
        headers: Vec::new(),
        body: None,
        times: 1,
        copy: None,
    }
}

/// An edit of what is at version 1.
fn patch(path: impl Into<String>, body: &Value) -> Ask {
    let asked = ask(Method::PATCH, ROOT, path).header("if-match", "\"1\"");
    asked.body(body.to_string())
}

fn configured(config: &Value) -> Ask {
    patch("/instance/development", &json!({ "config": config }))
}

impl Ask {
    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(it, _)| *it != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    fn next_door(mut self) -> Self {
        self.door = Door::NextDoor;
        self
    }

    /// By a session that the key opens first.
    fn by_session(mut self) -> Self {
        self.by_session = true;
        self
    }

    fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// With that text as the copy of the configuration in KV.
    fn copy(mut self, text: impl Into<String>) -> Self {
        self.copy = Some(text.into());
        self
    }
}

/// An input and what its answer must have besides what the table says.
struct Case {
    input: &'static str,
    ways: Vec<Ask>,
    details: Value,
    costs_nothing: bool,
    warns: bool,
}

fn case(input: &'static str, ways: impl IntoIterator<Item = Ask>) -> Case {
    Case {
        input,
        ways: ways.into_iter().collect(),
        details: Value::Null,
        costs_nothing: false,
        warns: false,
    }
}

impl Case {
    /// With those members in `details`; of problems only where they are is compared.
    fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// Neither a query nor a call, here or next door.
    fn costs_nothing(mut self) -> Self {
        self.costs_nothing = true;
        self
    }

    fn warns(mut self) -> Self {
        self.warns = true;
        self
    }
}

/// The same thing asked for with that key here and next door.
fn with_key(key: &str) -> [Ask; 2] {
    let hint = "x-instance-id";
    [
        ask(Method::GET, key, "/session"),
        ask(Method::GET, key, "/v1/models")
            .header(hint, "development")
            .next_door(),
    ]
}

/// A key of that id with a secret that is not its own.
fn with_other_secret(key_id: &str) -> String {
    let key_id = KeyId::parse(key_id).unwrap();
    let other = auth::key::mint_secret(key_id, &FakeRandom::seeded(5));
    other.api_key.expose().to_owned()
}

fn keys() -> Vec<Case> {
    let changed = (0..ADMIN.len()).map(|at| {
        let mut text = ADMIN.as_bytes().to_vec();
        text[at] = if text[at] == b'x' { b'y' } else { b'x' };
        String::from_utf8(text).unwrap()
    });
    let none = |input, keys: Vec<String>| {
        case(input, keys.iter().flat_map(|key| with_key(key)))
            .details(json!({"reason": "malformed"}))
            .costs_nothing()
    };
    let known = |input, key: &str, reason: &str| {
        case(input, with_key(key)).details(json!({ "reason": reason }))
    };
    let guess = |path: &str| {
        ask(Method::GET, &with_other_secret("4fGh7kQ2mZ0a"), path)
            .header("cf-connecting-ip", "203.0.113.9")
            .times(11)
    };
    let no_key = with_other_secret("000000000000");
    vec![
        none("a key with one character changed", changed.collect()),
        none("a key in lower case", vec![ADMIN.to_lowercase()]),
        none(
            "a key that is cut",
            vec![ADMIN[..64].to_owned(), ADMIN[3..].to_owned()],
        ),
        none(
            "a key with a space inside",
            vec![
                format!("{} {}", &ADMIN[..30], &ADMIN[30..]),
                format!("{} {}", &ADMIN[..30], &ADMIN[31..]),
            ],
        ),
        none(
            "a key with `sy_` twice",
            vec![format!("sy_{ADMIN}"), format!("{ADMIN}{ADMIN}")],
        ),
        none(
            "a key of 10 KB",
            vec![format!("sy_{}", "a".repeat(10_240)), "a".repeat(10_240)],
        ),
        known(
            "the id of a key with another secret",
            &with_other_secret("4fGh7kQ2mZ0a"),
            "unknown",
        ),
        known("a key that does not exist", &no_key, "unknown"),
        known("a key that has expired", EXPIRED, "expired"),
        known("a key that was revoked", REVOKED, "revoked"),
        known(
            "the id of an expired or revoked key with another secret",
            &with_other_secret("revoked00001"),
            "unknown",
        ),
        case(
            "wrong keys from one address, the 11th within a minute",
            [guess("/session"), guess("/v1/models").next_door()],
        ),
    ]
}

fn names_and_versions() -> Vec<Case> {
    let hinted = |value: &str| {
        ask(Method::GET, USER, "/v1/models")
            .header("x-instance-id", value)
            .next_door()
    };
    let (organization, user, project, key) = (
        format!("/organization/{ACME}"),
        format!("/user/{USER_USER}"),
        format!("/project/{CHAT}"),
        "/api-key/user00000001".to_owned(),
    );
    let instance = "/instance/development".to_owned();
    let with = |path: &String, member: &str| patch(path, &json!({"name": "New", member: "x"}));
    let derived = [
        (&organization, "org_id"),
        (&organization, "version"),
        (&instance, "org_id"),
        (&instance, "version"),
        (&user, "org_id"),
        (&user, "version"),
        (&project, "org_id"),
        (&project, "version"),
        (&project, "created_by"),
    ];

    let unknown = [
        (&organization, "key_hash"),
        (&organization, "created_by"),
        (&instance, "key_hash"),
        (&instance, "created_by"),
        (&user, "key_hash"),
        (&user, "created_by"),
        (&project, "key_hash"),
        (&key, "key_hash"),
        (&key, "org_id"),
    ];
    let renamed = |tag: &str| {
        [&organization, &instance, &user, &project, &key]
            .map(|path| patch(path, &json!({"name": "New"})).header("if-match", tag))
    };
    vec![
        case(
            "`X-Instance-ID` that is not a slug of at most 40 characters",
            ["../x", &"x".repeat(41), "Development", ""].map(hinted),
        )
        .details(json!({"field": "X-Instance-ID"})),
        case(
            "a member in a PATCH that no route sets, such as `org_id` or `version`",
            derived.map(|(path, member)| with(path, member)),
        ),
        case(
            "a member in a PATCH that another route sets, such as `status` of an instance",
            [(&instance, "status"), (&user, "instances")].map(|(path, member)| with(path, member)),
        ),
        case(
            "a member in a PATCH of a key that stays, such as `created_by` or `version`",
            ["created_by", "version"].map(|member| with(&key, member)),
        ),
        case(
            "a member in a PATCH that does not exist, such as `key_hash`",
            unknown.map(|(path, member)| with(path, member)),
        ),
        case("`If-Match: 8` without quotes", renamed("1")).details(json!({"field": "If-Match"})),
        case("`If-Match: W/\"8\"`", renamed("W/\"1\"")).details(json!({"current_version": 1})),
        case(
            "`If-Match` with a list that has the current version in it",
            renamed("\"9\", W/\"1\", \"1\""),
        ),
    ]
}

fn configurations() -> Vec<Case> {
    let raw = |number: &str| {
        let body = format!(r#"{{"config":{{"sync_timeout_ms":{number}}}}}"#);
        patch("/instance/development", &Value::Null).body(body)
    };
    let many: Map<String, Value> = (0..41)
        .map(|n| (format!("p{n}"), json!({"adapter": "openai"})))
        .collect();
    let at = |base_url: &str| configured(&json!({"providers": {"openai": {"base_url": base_url}}}));
    let pointers = |pointers: &[&str]| json!({ "problems": pointers });
    vec![
        case(
            "`config` that is not an object",
            [json!([]), json!("x"), Value::Null].map(|config| configured(&config)),
        ),
        case(
            "a number that JSON does not have (`NaN`) or nobody can hold (10^400)",
            ["NaN", "1e400"].map(raw),
        ),
        case(
            "`config` of more than 64 KB",
            [configured(
                &json!({"repo_agent": {"planner": "x".repeat(65 * 1024)}}),
            )],
        ),
        case(
            "more than 40 providers",
            [configured(&json!({ "providers": many }))],
        )
        .details(pointers(&["/providers"])),
        case(
            "a `default_provider` that the same PATCH disables",
            [configured(&json!({
                "providers": {"ideogram": {"enabled": false}}, "routing": {"default_provider": "ideogram"},
            }))],
        )
        .details(pointers(&[
            "/routing/default_provider",
            "/providers/ideogram/enabled",
            "/routing/default_provider",
        ])),
        case(
            "several mistakes in one `config`: all are told",
            [configured(&json!({
                "r2_bucket": "X", "rate_limits": {"openai": {"rpm": 0}}, "cdn_base_url": "https://cdn.example.com/?x",
            }))],
        )
        .details(pointers(&[
            "/rate_limits/openai/rpm",
            "/r2_bucket",
            "/cdn_base_url",
        ])),
        case(
            "a `base_url` that leads inside, names a user, or writes an address in another way",
            [
                "http://169.254.169.254",
                "https://169.254.169.254",
                "https://[::ffff:7f00:1]/",
                "https://user@host.example.com",
                "https://2130706433",
                "https://0177.0.0.1",
                "https://0x7f.0.0.1",
            ]
            .map(at),
        )
        .details(pointers(&["/providers/openai/base_url"])),
    ]
}

fn reach() -> Vec<Case> {
    let of_user = format!("/user/{USER_USER}/instance");
    let mint = |user: &str| {
        let body = json!({"user_id": user, "name": "x"});
        ask(Method::POST, ADMIN, "/api-key").body(body.to_string())
    };
    let beyond = |member: &str, value: Value| {
        let mut body =
            json!({"name": "x", "scopes": ["images:read"], "instance_ids": ["development"]});
        body[member] = value;
        ask(Method::POST, USER, "/api-key")
            .by_session()
            .body(body.to_string())
    };
    let forged = |path: &str| {
        ask(Method::POST, ROOT, path)
            .body(crate::support::ask(ROOT, Some("development")).to_string())
            .header("x-caller", "image-gen")
            .header("x-worker", "image-gen")
            .header("cf-worker", "image-gen")
            .header("x-forwarded-for", "127.0.0.1")
    };
    vec![
        case(
            "a grant of another organization's instance",
            [
                ask(Method::PUT, ADMIN, format!("{of_user}/foreign")),
                ask(Method::PUT, ADMIN, of_user)
                    .body(json!({"instance_ids": ["development", "foreign"]}).to_string()),
            ],
        ),
        case(
            "a key for a user of another organization",
            [mint(FOREIGN_USER), mint(NOBODY)],
        ),
        case(
            "a session that asks for a session",
            [ask(Method::POST, USER, "/session").by_session().body("{}")],
        ),
        case(
            "a session that mints a key with scopes beyond its parent's",
            [beyond("scopes", json!(["images:write"]))],
        )
        .details(json!({"scope": "images:write"})),
        case(
            "a session that mints a key with instances beyond its parent's",
            [
                beyond("instance_ids", json!(["production"])),
                beyond("instance_ids", Value::Null),
            ],
        ),
        case(
            "an internal route from outside, with whatever headers",
            [
                forged("/internal/v1/resolve"),
                forged("/internal/v1/credentials/report"),
                forged("/internal/v1/nowhere"),
            ],
        )
        .costs_nothing(),
    ]
}

fn copies() -> Vec<Case> {
    let config = |id: &str| json!({"instance_id": id, "org_id": ACME, "config_version": 9});
    let value = |v: u32, id: &str| {
        let at = "2025-11-21T10:00:00.000Z";
        json!({"v": v, "config_version": 9, "confirmed_at": at, "config": config(id)}).to_string()
    };
    let with = |text: String| {
        ask(Method::GET, "", "/images/development")
            .next_door()
            .copy(text)
    };
    let miss = |input, text: String| case(input, [with(text)]).warns();
    vec![
        miss("a KV copy that is not JSON", "not JSON".to_owned()),
        miss("a KV copy of another form (`v`)", value(2, "development")),
        miss("a KV copy of another instance", value(1, "production")),
    ]
}

fn cases() -> Vec<Case> {
    [
        keys(),
        names_and_versions(),
        configurations(),
        reach(),
        copies(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What came back, and what it took.
struct Told {
    answer: TestResponse,
    /// D1 queries, KV operations and calls of config-service by the isolate next door.
    cost: [u32; 3],
    rows_written: u32,
    warned: bool,
}

async fn put(asked: &Ask, service: &Service, isolate: &Isolate, key: &str) -> TestResponse {
    let headers = asked.headers.iter().map(|(name, value)| (*name, value));
    let body = asked.body.clone();
    match asked.door {
        Door::Here => {
            let mut request = service.app.request(asked.method.clone(), &asked.path);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            if let Some(body) = body {
                request = request.text("application/json", body);
            }
            request.key(key).send().await
        }
        Door::NextDoor => {
            let mut request = isolate.app.request(asked.method.clone(), &asked.path);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            if key.is_empty() {
                request.send().await
            } else {
                request.key(key).send().await
            }
        }
    }
}

async fn tried(asked: &Ask) -> Told {
    let service = Service::new();
    let isolate = service.isolate();
    let mut key = asked.key.clone();
    if asked.by_session {
        service.run(NARROWED).await;
        let opened = service.post(&key, "/session", &json!({})).await;
        opened.json()["key"].as_str().unwrap().clone_into(&mut key);
        assert_eq!(service.get(&key, "/session").await.status, 200);
    }
    if let Some(text) = &asked.copy {
        let put = service.ports.kv.put("cfg:v1:development", text, None);
        put.await.unwrap();
    }
    service.settle().await;
    let entries = service.count("audit_log").await;
    for _ in 1..asked.times {
        assert_eq!(put(asked, &service, &isolate, &key).await.status, 401);
        // A wrong key is remembered for five seconds; a guesser who waits is counted all the same.
        service.ports.world.clock.advance(5_000);
    }
    let ops = || service.ports.world.ops.count();
    let before = ops();
    let answer = put(asked, &service, &isolate, &key).await;
    let after = ops();
    let rows_written = after.d1_rows_written - before.d1_rows_written;
    if answer.status.as_u16() >= 400 {
        assert_eq!(service.count("audit_log").await, entries, "{asked:?}");
    }
    if asked.times > 1 {
        let owner =
            ask(Method::GET, ADMIN, asked.path.clone()).header("cf-connecting-ip", "203.0.113.10");
        let owner = Ask {
            door: asked.door,
            ..owner.header("x-instance-id", "development")
        };
        let works = put(&owner, &service, &isolate, ADMIN).await;
        assert_eq!(works.status, 200, "the owner elsewhere: {}", works.text());
        assert_eq!(answer.header("retry-after"), "60");
    }
    service.settle().await;
    isolate.background.drain().await;
    let warned = isolate
        .app
        .lines()
        .iter()
        .any(|line| line["level"] == "WARN");
    let cost = [
        after.d1_queries - before.d1_queries,
        after.kv_ops - before.kv_ops,
        after.service_calls - before.service_calls,
    ];
    Told {
        answer,
        cost,
        rows_written,
        warned,
    }
}

/// The named members of `details`; of problems their pointers.
fn detailed(answer: &Value, like: &Value) -> Value {
    let details = &answer["details"];
    let members = like.as_object().into_iter().flatten();
    let found = members.map(|(name, _)| {
        let value = match details[name].as_array() {
            Some(problems) if name == "problems" => {
                problems.iter().map(|it| it["pointer"].clone()).collect()
            }
            _ => details[name].clone(),
        };
        (name.clone(), value)
    });
    if like.is_null() {
        Value::Null
    } else {
        Value::Object(found.collect())
    }
}

#[tokio::test]
async fn every_row_of_the_table_is_answered_as_it_says() {
    let rows = rows();
    let cases = cases();
    let named: BTreeSet<&str> = rows.keys().map(String::as_str).collect();
    let tried_here: BTreeSet<&str> = cases.iter().map(|case| case.input).collect();
    assert_eq!(
        named, tried_here,
        "rows of the document, cases of this test"
    );
    let mut broken = Vec::new();
    let mut bodies: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for case in &cases {
        let row = &rows[case.input];
        assert!(!case.ways.is_empty(), "{}", case.input);
        for way in &case.ways {
            let told = tried(way).await;
            let body = told.answer.json();
            let (status, code) = told.answer.outcome();
            let found = Row {
                status,
                code,
                hint: body["hint"].as_str().unwrap_or_default().to_owned(),
            };
            let mut complain = |what: String| {
                let shown: String = format!("{way:?}").chars().take(300).collect();
                broken.push(format!("{}: {what}\n    {shown}", case.input));
            };
            if found != *row {
                complain(format!("{found:?}, not {row:?}: {}", told.answer.text()));
            }
            let details = detailed(&body, &case.details);
            if details != case.details {
                complain(format!("{details}, not {}", case.details));
            }
            if status >= 400 && told.rows_written > 0 {
                complain(format!("{} rows written", told.rows_written));
            }
            if case.costs_nothing && told.cost != [0; 3] {
                complain(format!("it cost {:?}", told.cost));
            }
            if case.warns && !told.warned || body["version"].as_i64() == Some(9) {
                complain(format!("not a miss with a WARN: {body}"));
            }
            let mut plain = body;
            plain["request_id"] = Value::Null;
            bodies
                .entry(case.input)
                .or_default()
                .insert(plain.to_string());
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    // Only who knows the secret hears what became of the key.
    let unknown = &bodies["a key that does not exist"];
    assert_eq!(unknown.len(), 1);
    for input in [
        "the id of a key with another secret",
        "the id of an expired or revoked key with another secret",
    ] {
        assert_eq!(&bodies[input], unknown, "{input}");
    }
}
