//! What each operation may cost: `tests/budgets.json` against what the database fake counts.
//!
//! `UPDATE_BUDGETS=1 cargo test -p config-service --test http budgets` writes the file anew. Counts of calls may not
//! rise at all, rows by 10 %; an operation without a row fails. Both counts of rows are lower bounds of what D1 bills:
//! `rows_read` is what the fake sees, so an index walk is caught by the second test, which counts the steps of SQLite's
//! machine; `rows_written` counts rows of tables, while D1 adds one for each index entry that is written with them.

use crate::matrix::{arrived, prepare};
use crate::places::{ask_for, furnished, key_of, nothing_runs, values};
use crate::support::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use middleware::testing::TestResponse;
use middleware::testing::matrix::{Listed, Recipe, Who};
use platform::fakes::{Ran, SqliteDatabase};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// One way of paying: before the answer, or after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cost {
    round_trips: u64,
    statements: u64,
    rows_read: u64,
    rows_written: u64,
    kv_ops: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Budget {
    answer: Cost,
    later: Cost,
}

impl Cost {
    /// The members in which `self` is more than it may be.
    fn over(&self, budget: &Cost) -> Vec<String> {
        let counts = [
            ("round_trips", self.round_trips, budget.round_trips),
            ("statements", self.statements, budget.statements),
            ("kv_ops", self.kv_ops, budget.kv_ops),
        ];
        let rows = [
            ("rows_read", self.rows_read, budget.rows_read),
            ("rows_written", self.rows_written, budget.rows_written),
        ];
        let over = counts.into_iter().filter(|(_, is, may)| is > may);
        let over = over.chain(rows.into_iter().filter(|(_, is, may)| is * 10 > may * 11));
        over.map(|(name, is, may)| format!("{name} {is} of {may}"))
            .collect()
    }
}

/// Rows of a hundred other organizations and of the tables that grow, `times` thousand each. What is bounded by a quota
/// stays the same: counting it is bounded work.
pub(crate) fn grown(times: u32) -> SqliteDatabase {
    let database = furnished().ports.database.clone();
    let sql = format!(
        "
CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {times}000) SELECT i FROM n;
INSERT INTO organizations (org_id, name, billing_email, created_at, updated_at)
  SELECT printf('0198f0b0-0000-7000-8000-%012d', i), 'Other', 'b@o.example', '2025-11-20T09:00:00.000Z', '2025-11-20T09:00:00.000Z' FROM n WHERE i <= 100;
INSERT INTO instances (instance_id, org_id, name, config, created_at, status, published_version, published_at, updated_at)
  SELECT printf('other-%d', i), printf('0198f0b0-0000-7000-8000-%012d', 1 + i % 100), 'Other', '{{}}', '2025-11-20T09:00:00.000Z', 'active', 1, '2035-11-20T09:00:00.000Z', '2025-11-20T09:00:00.000Z' FROM n;
INSERT INTO instance_effective (instance_id, config_version, body, sha256, created_at)
  SELECT printf('other-%d', i), 1, '{{}}', printf('%064d', i), '2025-11-20T09:00:00.000Z' FROM n;
INSERT INTO users (user_id, email, role, org_id, created_at, updated_at)
  SELECT printf('0198f0b1-0000-7000-8000-%012d', i), i || '@o.example', 'user', printf('0198f0b0-0000-7000-8000-%012d', 1 + i % 100), '2025-11-20T09:00:00.000Z', '2025-11-20T09:00:00.000Z' FROM n;
INSERT INTO user_instance_access (user_id, instance_id, created_at, granted_by)
  SELECT printf('0198f0b1-0000-7000-8000-%012d', i), printf('other-%d', i), '2025-11-20T09:00:00.000Z', 's' FROM n;
INSERT INTO projects (project_id, instance_id, name, created_at, created_by, updated_at)
  SELECT printf('0198f0b2-0000-7000-8000-%012d', i), printf('other-%d', i), 'Other', '2025-11-20T09:00:00.000Z', 's', '2025-11-20T09:00:00.000Z' FROM n;
INSERT INTO api_keys (key_id, user_id, key_hash, last4, pepper_id, scopes, created_by, created_at)
  SELECT printf('other%07d', i), printf('0198f0b1-0000-7000-8000-%012d', i), printf('%064d', i), 'x', 'p1', '[]', 's', '2025-11-20T09:00:00.000Z' FROM n;
INSERT INTO api_keys (key_id, user_id, kind, parent_key_id, key_hash, last4, pepper_id, scopes, expires_at, created_by, created_at)
  SELECT printf('sess_%07d', i), u.user_id, 'session', k.key_id, printf('%064d', i), 'x', 'p1', '[]', '2025-11-20T09:00:00.000Z', 's', '2025-11-20T08:00:00.000Z'
  FROM n, (SELECT '{ADMIN_USER}' AS user_id) u, (SELECT '4fGh7kQ2mZ0a' AS key_id) k;
INSERT INTO audit_log (org_id, seq, at, actor, action, target_type, target_id, before, after, request_id, prev_hash, hash)
  SELECT o.org_id, i, '2025-11-20T09:00:00.000Z', '{{}}', 'x', 'instance', 'development', NULL, NULL, 'r', printf('%064d', i - 1), printf('%064d', i)
  FROM n, (SELECT '{ACME}' AS org_id UNION ALL SELECT 'platform') o;
INSERT INTO idempotency (principal, route, key, request_sha256, status, response, created_at, expires_at)
  SELECT p.principal, 'POST /instance', 'k' || i, printf('%064d', i), 201, '{{}}', '2025-11-20T09:00:00.000Z', '2035-11-20T09:00:00.000Z'
  FROM n, (SELECT 'key:4fGh7kQ2mZ0a' AS principal UNION ALL SELECT 'key:user00000001') p;
INSERT INTO price_overrides (price_id, org_id, instance_id, provider, model, row, valid_from, created_by, created_at)
  SELECT printf('0198f0b5-0000-7000-8000-%012d', i), printf('0198f0b0-0000-7000-8000-%012d', 1 + i % 100), printf('other-%d', i), 'ideogram', 'm', '{{}}', '2025-11-20T09:00:00.000Z', 's', '2025-11-20T09:00:00.000Z' FROM n;
INSERT INTO worker_registry (name, instance_id, version, git_sha, url, registered_at, created_at, health, checked_at)
  SELECT 'image-gen', printf('other-%d', i), '1.0.0', 'ab12cd3', 'https://o.example', '2025-11-20T09:00:00.000Z', '2025-11-20T09:00:00.000Z', 'healthy', '2035-11-20T09:00:00.000Z' FROM n;
DROP TABLE n;
"
    );
    database.with(|connection| connection.execute_batch(&sql).unwrap());
    database
}

fn name_of(recipe: &Recipe, first: bool) -> String {
    if first {
        recipe.operation.to_owned()
    } else {
        format!("{} of {:?}", recipe.operation, recipe.kind)
    }
}

/// Every recipe under a name of its own: the operation's for its first one.
fn named() -> Vec<(String, Recipe, Listed)> {
    let mut seen: Vec<String> = Vec::new();
    arrived()
        .into_iter()
        .map(|(recipe, listed)| {
            let name = name_of(&recipe, !seen.contains(&listed.id));
            seen.push(listed.id.clone());
            (name, recipe, listed)
        })
        .collect()
}

/// How often the database was asked.
fn round_trips(ran: &[Ran]) -> u64 {
    let batches: BTreeSet<u64> = ran.iter().map(|it| it.batch).collect();
    batches.len() as u64
}

/// Carries the recipe out by whoever of least power may, in a house with that content. With the costs come the steps
/// of the machine before the answer.
async fn measure(database: &SqliteDatabase, recipe: &Recipe, listed: &Listed) -> (Budget, u64) {
    let (who, place) = recipe.least().unwrap();
    let values = values(who, recipe.kind, place).unwrap();
    let service = Service::on(database, settings("test"));
    service.made_up();
    nothing_runs(&service);
    prepare(&service, recipe, place, &values).await;
    let mut filled = recipe.request(listed, &values).unwrap();
    if listed.method == Method::POST {
        filled
            .headers
            .push(("idempotency-key", "measured".to_owned()));
    }
    let asked = ask_for(&service, key_of(who), &filled);
    let (answer, budget, steps) = paid(&service, asked).await;
    let done = recipe.done(listed);
    assert_eq!(
        answer.status.as_u16(),
        done,
        "{}: {}",
        listed.id,
        answer.text()
    );
    (budget, steps)
}

/// What a request costs before its answer and after it.
async fn paid(
    service: &Service,
    asked: impl Future<Output = TestResponse>,
) -> (TestResponse, Budget, u64) {
    let kv_ops = || service.ports.world.ops.count().kv_ops;
    let cost = |kv_before: u32| {
        let ran = service.recorded();
        Cost {
            round_trips: round_trips(&ran),
            statements: ran.len() as u64,
            rows_read: ran.iter().map(|it| it.rows_read).sum(),
            rows_written: ran.iter().map(|it| it.rows_written).sum(),
            kv_ops: u64::from(kv_ops() - kv_before),
        }
    };
    let kv = kv_ops();
    service.record();
    let response = asked.await;
    let steps = service.steps();
    let answer = cost(kv);
    let kv = kv_ops();
    service.record();
    service.settle().await;
    let later = cost(kv);
    (response, Budget { answer, later }, steps)
}

/// What is in no description: the questions of other workers, and a run of a key rotation that has a key to move.
async fn undescribed(database: &SqliteDatabase) -> Vec<(&'static str, Budget, u64)> {
    const ROTATION: &str = "0198f0a4-0000-7000-8000-000000000001";
    let mut measured = Vec::new();
    for name in [
        "internal_config",
        "internal_credential",
        "internal_credential_report",
        "run_kek_rotation of one instance",
    ] {
        let new_kek = ("KEK_k2", STANDARD.encode([8; 32]));
        let service = Service::on(database, settings_with("test", &[new_kek]));
        service.made_up();
        let key = json!({"api_key": "0123456789-a-key"});
        let path = "/instance/development/provider-key/ideogram";
        let set = service.put(ADMIN, path, &key).await;
        assert_eq!(set.status, 201, "{}", set.text());
        service.settle().await;
        let id = service
            .row("SELECT credential_id AS id FROM provider_credentials WHERE instance_id = 'development'")
            .await;
        let items = json!({"items": [{"credential_id": id.text("id"), "outcome": "ok", "at": service.deps.now()}]});
        let start = format!(
            "INSERT INTO kek_rotations (rotation_id, to_kek, state, started_by, created_at) VALUES ('{ROTATION}', 'k2', 'running', 'seed', '2025-11-21T09:00:00.000Z')"
        );
        service.run(&start).await;
        let get = |path: &str| service.app.get(path).from_worker("image-gen");
        let request = match name {
            "internal_config" => get("/internal/v1/config/development"),
            "internal_credential" => get("/internal/v1/credentials/development/ideogram"),
            "internal_credential_report" => service
                .app
                .post("/internal/v1/credentials/report")
                .from_worker("image-gen")
                .json(&items),
            _ => {
                let path = format!("/admin/kek-rotation/{ROTATION}/run");
                service.app.post(&path).key(ROOT)
            }
        };
        let (answer, budget, steps) = paid(&service, request.send()).await;
        assert!(answer.status.is_success(), "{name}: {}", answer.text());
        measured.push((name, budget, steps));
    }
    measured
}

/// What names a change must write; a recipe that changes nothing measures nothing.
#[tokio::test]
async fn every_recipe_of_a_change_writes() {
    for (name, recipe, listed) in named() {
        let (cost, _) = measure(one_thousand(), &recipe, &listed).await;
        let reads = listed.method == Method::GET;
        let written = cost.answer.rows_written;
        assert_eq!(written > 0, !reads, "{name}: {written} rows");
    }
    for (name, cost, _) in undescribed(one_thousand()).await {
        let reads = ["internal_config", "internal_credential"].contains(&name);
        let written = cost.answer.rows_written;
        assert_eq!(written > 0, !reads, "{name}: {written} rows");
    }
}

/// What a worker that looks a caller up costs: one round trip, and rows by whether it names the instance.
#[tokio::test]
async fn a_look_up_reads_at_most_twelve_rows_with_a_hint_and_thirty_three_without() {
    let many = grown(4);
    // A key that is restricted to one instance is not looked for among all of its owner's.
    for (who, restricted) in Who::ALL
        .into_iter()
        .flat_map(|who| [(who, false), (who, true)])
    {
        for (hint, most) in [(Some("development"), 12), (None, 33)] {
            let mut seen = Vec::new();
            for database in [one_thousand(), &many] {
                let service = Service::on(database, settings("test"));
                service.made_up();
                nothing_runs(&service);
                if restricted {
                    let id = &key_of(who)[3..15];
                    let reach =
                        "UPDATE api_keys SET instance_ids = '[\"development\"]' WHERE key_id";
                    service.run(&format!("{reach} = '{id}'")).await;
                }
                let answer = service.resolve("image-gen", &ask(key_of(who), hint)).await;
                // Who may use many instances is told to name one; that costs no more.
                assert!(
                    matches!(answer.status.as_u16(), 200 | 400),
                    "{}",
                    answer.text()
                );
                assert!(!restricted || answer.status == 200, "{}", answer.text());
                let ran = service.recorded();
                let rows: u64 = ran.iter().map(|it| it.rows_read).sum();
                let written: u64 = ran.iter().map(|it| it.rows_written).sum();
                assert_eq!((round_trips(&ran), written), (1, 0), "{who:?} {hint:?}");
                assert!(rows <= most, "{who:?} {hint:?}: {rows} rows");
                seen.push((rows, service.steps()));
                service.settle().await;
            }
            assert_eq!(seen[0], seen[1], "{who:?} {hint:?} grows with the house");
        }
    }
}

fn one_thousand() -> &'static SqliteDatabase {
    static DATABASE: OnceLock<SqliteDatabase> = OnceLock::new();
    DATABASE.get_or_init(|| grown(1))
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/budgets.json")
}

/// One operation a line, so that a change of one is a change of one line.
fn text(budgets: &BTreeMap<String, Budget>) -> String {
    let line = |(name, budget): (&String, &Budget)| {
        format!(
            "  {}: {}",
            serde_json::json!(name),
            serde_json::to_string(budget).unwrap()
        )
    };
    let lines: Vec<String> = budgets.iter().map(line).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

#[tokio::test]
async fn every_operation_stays_in_its_budget() {
    let mut measured = BTreeMap::new();
    for (name, recipe, listed) in named() {
        measured.insert(name, measure(one_thousand(), &recipe, &listed).await.0);
    }
    for (name, budget, _) in undescribed(one_thousand()).await {
        measured.insert(name.to_owned(), budget);
    }
    if std::env::var_os("UPDATE_BUDGETS").is_some() {
        std::fs::write(path(), text(&measured)).unwrap();
    }
    let budgets = std::fs::read_to_string(path()).unwrap();
    let budgets: BTreeMap<String, Budget> = serde_json::from_str(&budgets).unwrap();
    let mut problems = Vec::new();
    for (name, cost) in &measured {
        let Some(budget) = budgets.get(name) else {
            problems.push(format!("{name}: no budget"));
            continue;
        };
        for (when, is, may) in [
            ("answer", cost.answer, budget.answer),
            ("later", cost.later, budget.later),
        ] {
            problems.extend(
                is.over(&may)
                    .into_iter()
                    .map(|over| format!("{name}, {when}: {over}")),
            );
        }
    }
    let gone = budgets.keys().filter(|name| !measured.contains_key(*name));
    problems.extend(gone.map(|name| format!("{name}: a budget of nothing")));
    let how = "UPDATE_BUDGETS=1 cargo test -p config-service --test http budgets";
    assert!(problems.is_empty(), "{}\n{how}", problems.join("\n"));
}

/// A read is one round trip; a mutation is two and one put.
#[tokio::test]
async fn no_operation_takes_more_round_trips_than_reading_and_writing_once() {
    for (name, recipe, listed) in named() {
        let (cost, _) = measure(one_thousand(), &recipe, &listed).await;
        let most = if listed.method == Method::GET { 1 } else { 2 };
        let (trips, puts) = (cost.answer.round_trips, cost.answer.kv_ops);
        // A deletion reads before image-gen is asked and after it; a verification reads the head before the entries.
        let twice = ["delete_instance", "verify_audit"].contains(&name.as_str());
        // A run of a key rotation is several steps (claim, read, rewrap, publish, progress), each its own commit: it may
        // be killed between any two.
        let rotates = name == "run_kek_rotation";
        let most_trips = most + u64::from(twice) + 3 * u64::from(rotates);
        assert!(trips <= most_trips, "{name}: {trips} round trips");
        // Whether KV answers is asked for, once a minute.
        let most_puts = most - 1 + u64::from(name == "health");
        assert!(rotates || puts <= most_puts, "{name}: {puts} KV operations");
        if listed.method == Method::GET {
            assert_eq!(cost.answer.rows_written, 0, "{name}");
        }
    }
}

/// Four times as many rows of others and of the tables that grow: not a tenth more work.
#[tokio::test]
async fn the_work_of_an_operation_does_not_grow_with_the_house() {
    let many = grown(4);
    let mut growing = Vec::new();
    for (name, recipe, listed) in named() {
        let (few_cost, few) = measure(one_thousand(), &recipe, &listed).await;
        let (many_cost, many) = measure(&many, &recipe, &listed).await;
        if many * 10 > few * 11 || many_cost != few_cost {
            growing.push((
                name,
                format!("{few} steps became {many}\n{few_cost:?}\n{many_cost:?}"),
            ));
        }
    }
    let (few, many) = (undescribed(one_thousand()).await, undescribed(&many).await);
    for ((name, few_cost, few), (_, many_cost, many)) in few.into_iter().zip(many) {
        if many * 10 > few * 11 || many_cost != few_cost {
            growing.push((
                name.to_owned(),
                format!("{few} steps became {many}\n{few_cost:?}\n{many_cost:?}"),
            ));
        }
    }
    assert!(growing.is_empty(), "{growing:#?}");
}

#[test]
fn more_calls_and_a_tenth_more_rows_are_over_budget() {
    let may = Cost {
        round_trips: 2,
        statements: 5,
        rows_read: 10,
        rows_written: 0,
        kv_ops: 1,
    };
    assert!(may.over(&may).is_empty());
    assert!(
        Cost {
            rows_read: 11,
            ..may
        }
        .over(&may)
        .is_empty()
    );
    for (cost, name) in [
        (
            Cost {
                rows_read: 12,
                ..may
            },
            "rows_read",
        ),
        (
            Cost {
                rows_written: 1,
                ..may
            },
            "rows_written",
        ),
        (
            Cost {
                round_trips: 3,
                ..may
            },
            "round_trips",
        ),
        (
            Cost {
                statements: 6,
                ..may
            },
            "statements",
        ),
        (Cost { kv_ops: 2, ..may }, "kv_ops"),
    ] {
        let over = cost.over(&may);
        assert!(over.len() == 1 && over[0].starts_with(name), "{over:?}");
    }
}
