//! Journey: what each operation of config-service reads and writes in the real database, against `d1_rows.json`.
//!
//! One house, the same requests in the same order, no cron. `UPDATE_BUDGETS=1` writes the file anew. More statements than
//! there, or over a tenth more rows, fails; so does an operation of the description that is not asked for. The twin on
//! fakes, `workers/config-service/tests/budgets.json`, counts rows of tables only: here each index entry counts that D1
//! bills.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a description or an answer of another form fails the test"
)]

use e2e::{Client, Options, Stack};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = include_str!("../../../docs/openapi/config-service.json");

/// What one request costs before its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cost {
    queries: u64,
    rows_read: u64,
    rows_written: u64,
}

impl Cost {
    fn of(event: &Value) -> Self {
        let count = |name: &str| {
            let count = event["metadata"]["ops"][name].as_u64();
            count.unwrap_or_else(|| panic!("no {name} in {event}"))
        };
        Self {
            queries: count("d1_queries"),
            rows_read: count("d1_rows_read"),
            rows_written: count("d1_rows_written"),
        }
    }

    /// The members in which it is more than it may be.
    fn over(&self, may: &Self) -> Vec<String> {
        let counts = [("queries", self.queries, may.queries, 10)];
        let rows = [
            ("rows_read", self.rows_read, may.rows_read, 11),
            ("rows_written", self.rows_written, may.rows_written, 11),
        ];
        let over = counts.into_iter().chain(rows);
        over.filter(|(_, is, may, tenths)| is * 10 > may * tenths)
            .map(|(name, is, may, _)| format!("{name} {is} of {may}"))
            .collect()
    }
}

/// Method and path of an operation of the description.
fn listed() -> BTreeMap<String, (String, String)> {
    let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let mut listed = BTreeMap::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            if let Some(id) = operation["operationId"].as_str() {
                listed.insert(id.to_owned(), (method.to_uppercase(), path.clone()));
            }
        }
    }
    listed
}

/// Asks for operations and keeps what each costs.
struct House {
    stack: Stack,
    admin: Client,
    root: Client,
    listed: BTreeMap<String, (String, String)>,
    costs: BTreeMap<String, Cost>,
}

impl House {
    async fn new() -> Self {
        let stack = Stack::start(Options {
            no_crons: true,
            ..Options::default()
        });
        let (admin, root) = (stack.admin(), stack.client(&stack.keys().superadmin));
        // The first use of a key is recorded, which is not the cost of what comes next.
        for client in [&admin, &root] {
            assert_eq!(client.get("/api/config-service/session").await.status, 200);
        }
        Self {
            stack,
            admin,
            root,
            listed: listed(),
            costs: BTreeMap::new(),
        }
    }

    /// By the administrator; see [`House::run`].
    async fn admin(&mut self, id: &str, places: &[&str], body: Value) -> Value {
        self.run(&self.admin.clone(), id, id, places, body).await
    }

    /// By the superadmin.
    async fn root(&mut self, id: &str, places: &[&str], body: Value) -> Value {
        self.run(&self.root.clone(), id, id, places, body).await
    }

    /// Carries an operation out whatever version is there; `places` fill its path, the one that is left is the query, and
    /// the body may be null.
    async fn run(
        &mut self,
        by: &Client,
        id: &str,
        name: &str,
        places: &[&str],
        body: Value,
    ) -> Value {
        let (method, template) = self
            .listed
            .get(id)
            .expect("an operation of the description");
        let (mut path, mut places) = (String::new(), places.iter());
        for part in template.split('/').skip(1) {
            let part = if part.starts_with('{') {
                places.next().expect("a value for each placeholder")
            } else {
                part
            };
            path = format!("{path}/{part}");
        }
        if let Some(query) = places.next() {
            path = format!("{path}?{query}");
        }
        let mut request = by.request(method, &format!("/api/config-service{path}"));
        if method != "GET" && (method != "POST" || id == "rotate_provider_key") {
            request = request.header("if-match", "*");
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = by.send(request).await;
        let told = answer.json();
        let done = (200..300).contains(&answer.status);
        assert!(done, "{name}: {} {told}", answer.status);
        let id = answer.request_id();
        let event = self.stack.request_event(&id, "config-service").await;
        let before = self.costs.insert(name.to_owned(), Cost::of(&event));
        assert!(before.is_none(), "{name} twice");
        told
    }
}

fn text(value: &Value, name: &str) -> String {
    let text = value[name].as_str();
    text.unwrap_or_else(|| panic!("no {name} in {value}"))
        .to_owned()
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/d1_rows.json")
}

/// One operation a line.
fn lines(costs: &BTreeMap<String, Cost>) -> String {
    let line = |(name, cost): (&String, &Cost)| format!("  {}: {}", json!(name), json!(cost));
    let lines: Vec<String> = costs.iter().map(line).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// What most operations are about: made by `instance_and_its_keys`, deleted at the end.
const INSTANCE: &str = "counted";

#[rustfmt::skip]
async fn sessions_and_organizations(house: &mut House) {
    house.admin("openapi", &[], Value::Null).await;
    house.admin("who_am_i", &[], Value::Null).await;
    let opened = house.admin("create_session", &[], json!({"label": "counted"})).await;
    house.admin("list_sessions", &[], Value::Null).await;
    house.admin("end_session", &[&text(&opened, "session_id")], Value::Null).await;

    let made = house.root("create_organization", &[], json!({"name": "Counted", "billing_email": "b@counted.example"})).await;
    let org = text(&made, "org_id");
    house.admin("list_organizations", &[], Value::Null).await;
    house.root("get_organization", &[&org], Value::Null).await;
    house.root("update_organization", &[&org], json!({"name": "Recounted"})).await;
    house.root("delete_organization", &[&org], Value::Null).await;
}

#[rustfmt::skip]
async fn instance_and_its_keys(house: &mut House) {
    let template = house.admin.get("/api/config-service/instance/development").await.json();
    let mut ideogram = template["providers"]["ideogram"].clone();
    for derived in ["credential_id", "credential_state"] {
        ideogram.as_object_mut().expect("settings").remove(derived);
    }
    let config = json!({"providers": {"ideogram": ideogram}, "rate_limits": {"ideogram": {"rpm": 60}}, "r2_bucket": "dev-images"});
    house.admin("create_instance", &[], json!({"instance_id": INSTANCE, "name": "Counted", "status": "active", "config": config})).await;
    house.admin("list_instances", &[], Value::Null).await;
    house.admin("get_instance", &[INSTANCE], Value::Null).await;
    house.admin("update_instance", &[INSTANCE], json!({"name": "Recounted"})).await;
    house.admin("set_worker_urls", &[INSTANCE], json!({"image_gen": "https://images.example.com"})).await;
    house.admin("pause_instance", &[INSTANCE], json!({"reason": "maintenance"})).await;
    house.admin("resume_instance", &[INSTANCE], Value::Null).await;
    house.admin("get_limits", &[INSTANCE], Value::Null).await;
    house.admin("set_rate_limit", &[INSTANCE, "ideogram"], json!({"rpm": 120})).await;
    house.admin("delete_rate_limit", &[INSTANCE, "ideogram"], Value::Null).await;
    house.admin("set_budgets", &[INSTANCE], json!([{"scope": "instance", "period": "day", "limit_usd_micros": 5_000_000}])).await;
    house.admin("list_deployments", &[INSTANCE], Value::Null).await;

    house.admin("set_provider_key", &[INSTANCE, "ideogram"], json!({"api_key": "0123456789-a-key"})).await;
    house.admin("list_provider_keys", &[INSTANCE], Value::Null).await;
    house.admin("rotate_provider_key", &[INSTANCE, "ideogram"], json!({"api_key": "0123456789-another"})).await;
    house.admin("delete_provider_key", &[INSTANCE, "ideogram"], Value::Null).await;

    let rotation = house.root("start_kek_rotation", &[], json!({"to": "k1"})).await;
    let rotation = text(&rotation, "rotation_id");
    house.root("list_kek_rotation", &[], Value::Null).await;
    house.root("cancel_kek_rotation", &[&rotation], Value::Null).await;
    let again = house.root.post("/api/config-service/admin/kek-rotation", &json!({"to": "k1"})).await.json();
    house.root("run_kek_rotation", &[&text(&again, "rotation_id")], Value::Null).await;
}

#[rustfmt::skip]
async fn people(house: &mut House) -> String {
    let made = house.admin("create_user", &[], json!({"email": "counted@acme.example", "name": "Counted", "role": "user"})).await;
    let user = text(&made, "user_id");
    house.admin("list_users", &[], Value::Null).await;
    house.admin("get_user", &[&user], Value::Null).await;
    house.admin("update_user", &[&user], json!({"name": "Recounted"})).await;
    house.admin("grant_access", &[&user, INSTANCE], Value::Null).await;
    house.admin("list_access", &[], Value::Null).await;
    house.admin("revoke_access", &[&user, INSTANCE], Value::Null).await;
    house.admin("replace_access", &[&user], json!({"instance_ids": ["development", INSTANCE]})).await;
    user
}

#[rustfmt::skip]
async fn prices_projects_and_keys(house: &mut House) {
    let row = json!({"unit": "image", "usd_micros": 1000, "basis": "exact"});
    let price = house.admin("put_price", &[], json!({"instance_id": INSTANCE, "provider": "ideogram", "model": "acme/x", "row": row})).await;
    house.admin("list_prices", &[], Value::Null).await;
    house.admin("end_price", &[&text(&price, "price_id")], Value::Null).await;

    let made = house.admin("create_project", &[], json!({"instance_id": INSTANCE, "name": "Counted"})).await;
    let project = text(&made, "project_id");
    house.admin("list_projects", &[], Value::Null).await;
    house.admin("get_project", &[&project], Value::Null).await;
    house.admin("update_project", &[&project], json!({"name": "Recounted"})).await;

    let made = house.admin("create_api_key", &[], json!({"name": "counted"})).await;
    let key = text(&made, "key_id");
    let admin = house.admin.clone();
    house.run(&admin, "create_api_key", "create_api_key of a project", &[], json!({"project_id": project, "name": "counted"})).await;
    house.admin("list_api_keys", &[], Value::Null).await;
    house.admin("get_api_key", &[&key], Value::Null).await;
    house.admin("update_api_key", &[&key], json!({"name": "recounted"})).await;
    house.admin("rotate_api_key", &[&key], json!({})).await;
    house.admin("revoke_api_key", &[&key], Value::Null).await;
    house.admin("delete_project", &[&project], Value::Null).await;
}

#[rustfmt::skip]
async fn workers_audit_and_the_end(house: &mut House, user: &str) {
    let of_instance = format!("instance_id={INSTANCE}");
    let url = "https://images.example.com";
    house.admin("register_worker", &["image-gen"], json!({"instance_id": INSTANCE, "version": "1.4.0", "git_sha": "ab12cd3", "url": url, "capabilities": []})).await;
    house.admin("list_workers", &[], Value::Null).await;
    house.admin("get_worker", &["image-gen", &of_instance], Value::Null).await;
    house.root("check_worker", &["admission"], Value::Null).await;
    house.admin("list_audit", &[], Value::Null).await;
    house.admin("verify_audit", &[], Value::Null).await;
    house.admin("delete_user", &[user], Value::Null).await;
    house.admin("set_instance_status", &[INSTANCE], json!({"status": "deleting"})).await;
    house.admin("delete_instance", &[INSTANCE], Value::Null).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_reads_or_writes_a_tenth_more_rows_than_before() {
    let mut house = House::new().await;
    sessions_and_organizations(&mut house).await;
    instance_and_its_keys(&mut house).await;
    let user = people(&mut house).await;
    prices_projects_and_keys(&mut house).await;
    workers_audit_and_the_end(&mut house, &user).await;
    let House { listed, costs, .. } = &house;
    let mut without: Vec<_> = listed
        .keys()
        .filter(|id| !costs.contains_key(*id))
        .collect();
    // What it tells is up to a minute old, so what it costs depends on when it is asked.
    without.retain(|id| *id != "health");
    assert!(without.is_empty(), "not asked for: {without:?}");

    if std::env::var_os("UPDATE_BUDGETS").is_some() {
        std::fs::write(path(), lines(costs)).expect("written");
    }
    let budgets = std::fs::read_to_string(path()).expect("the file");
    let budgets: BTreeMap<String, Cost> = serde_json::from_str(&budgets).expect("its form");
    let mut problems = Vec::new();
    for (name, cost) in costs {
        match budgets.get(name) {
            Some(may) => problems.extend(cost.over(may).iter().map(|it| format!("{name}: {it}"))),
            None => problems.push(format!("{name}: no budget")),
        }
    }
    let gone = budgets.keys().filter(|name| !costs.contains_key(*name));
    problems.extend(gone.map(|name| format!("{name}: a budget of nothing")));
    assert!(
        problems.is_empty(),
        "{}\nUPDATE_BUDGETS=1 writes d1_rows.json anew",
        problems.join("\n")
    );
}

#[test]
fn one_more_statement_and_a_tenth_more_rows_are_over_budget() {
    let may = Cost {
        queries: 5,
        rows_read: 10,
        rows_written: 0,
    };
    let with = |queries, rows_read, rows_written| {
        let cost = Cost {
            queries,
            rows_read,
            rows_written,
        };
        cost.over(&may)
    };
    assert!(with(5, 11, 0).is_empty());
    assert_eq!(with(6, 10, 0), ["queries 6 of 5"]);
    assert_eq!(with(5, 12, 0), ["rows_read 12 of 10"]);
    assert_eq!(with(5, 10, 1), ["rows_written 1 of 0"]);
}
