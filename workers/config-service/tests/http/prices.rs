//! Prices in time: added, closed, planned, ended, and what workers see of them.

use crate::support::*;
use http::Method;
use platform::fakes::When;
use serde_json::{Value, json};

fn row(usd_micros: i64) -> Value {
    json!({"unit": "image", "usd_micros": usd_micros, "basis": "exact"})
}

fn body(of: Option<&str>, usd_micros: i64) -> Value {
    let mut body = json!({"provider": "ideogram", "model": "ideogram-3", "row": row(usd_micros)});
    if let Some(of) = of {
        body["instance_id"] = json!(of);
    }
    body
}

fn with(mut body: Value, member: &str, value: Value) -> Value {
    body[member] = value;
    body
}

/// Amounts of the rows that workers get for a provider.
fn amounts(service: &Service, instance: &str) -> Vec<i64> {
    let copy = service.copy(instance).unwrap_or_default();
    let rows = copy["config"]["providers"]["ideogram"]["prices"].clone();
    rows.as_array()
        .map(|rows| {
            rows.iter()
                .map(|row| row["usd_micros"].as_i64().unwrap())
                .collect()
        })
        .unwrap_or_default()
}

async fn post(service: &Service, body: &Value) -> Value {
    let answer = service.post(ADMIN, "/price", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn a_price_counts_at_once_and_the_next_one_closes_it() {
    let service = Service::new();
    let faults = &service.ports.world.faults;
    service.get(ADMIN, "/session").await;
    service.settle().await;
    let (batches, puts) = (faults.calls("database"), faults.calls("kv.put"));
    let first = service
        .post(ADMIN, "/price", &body(Some("production"), 70_000))
        .await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(
        (
            faults.calls("database") - batches,
            faults.calls("kv.put") - puts
        ),
        (2, 1)
    );
    let made = first.json();
    let id = made["price_id"].as_str().unwrap().to_owned();
    assert_eq!(first.header("location"), format!("/price/{id}"));
    assert_eq!(
        (&made["state"], &made["closed_price_id"]),
        (&json!("current"), &Value::Null)
    );
    assert_eq!(made["row"], row(70_000));
    assert_eq!(amounts(&service, "production"), [70_000]);
    let copy = service.copy("production").unwrap();
    assert_eq!(copy["config_version"], 2);
    assert_eq!(
        copy["config"]["providers"]["ideogram"]["prices"][0],
        json!({"model": "ideogram-3", "when": {}, "unit": "image", "usd_micros": 70_000, "from": "2025-11-21", "basis": "exact"})
    );
    // What people edit has no new version.
    assert_eq!(
        service
            .get(ADMIN, "/instance/production")
            .await
            .header("etag"),
        "\"1\""
    );
    service.ports.world.clock.advance(1_000);
    let second = post(&service, &body(Some("production"), 80_000)).await;
    assert_eq!(second["closed_price_id"], id.as_str());
    assert_eq!(amounts(&service, "production"), [80_000]);
    let listed = service
        .get(ADMIN, "/price?instance_id=production")
        .await
        .json();
    let told: Vec<(&Value, &Value)> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["state"], &item["valid_to"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("current"), &Value::Null),
            (&json!("ended"), &json!("2025-11-21T10:00:01.000Z"))
        ]
    );
    let entry = service.last_entry(ACME).await;
    assert_eq!(
        (&entry["action"], &entry["target_type"]),
        (&json!("put_price"), &json!("price"))
    );
    assert_eq!(entry["before"]["price_id"], id.as_str());
    assert_eq!(entry["after"]["row"], row(80_000));
    // Of other requests for the same model it is no competitor.
    service.ports.world.clock.advance(1_000);
    let low = with(
        body(Some("production"), 1),
        "row",
        json!({"unit": "image", "usd_micros": 5, "basis": "exact", "when": {"quality": ["low"]}}),
    );
    assert_eq!(post(&service, &low).await["closed_price_id"], Value::Null);
    assert_eq!(amounts(&service, "production"), [80_000, 5]);
    // A new provider key builds the body anew, with the prices in it.
    let key = json!({"api_key": "0123456789"});
    service
        .put(ADMIN, "/instance/production/provider-key/ideogram", &key)
        .await;
    assert_eq!(amounts(&service, "production"), [80_000, 5]);
    // So does an edit, whose own rows give way to these.
    let own = json!({"config": {"providers": {"ideogram": {"prices": [
        {"model": "ideogram-3", "unit": "image", "usd_micros": 1, "from": "2025-01-01", "basis": "exact"},
        {"model": "ideogram-4", "unit": "image", "usd_micros": 2, "from": "2025-01-01", "basis": "exact"},
    ]}}}});
    let edit = service
        .at(
            Method::PATCH,
            ADMIN,
            "/instance/production",
            "\"1\"",
            Some(&own),
        )
        .await;
    assert_eq!(edit.status, 200, "{}", edit.text());
    assert_eq!(amounts(&service, "production"), [2, 80_000, 5]);
    service.settle().await;
}

#[tokio::test]
async fn a_planned_price_begins_and_ends_by_the_sweeper() {
    let service = Service::new();
    let minutes = |n: i64| {
        let at = api_types::Timestamp(1_763_719_200_000).plus_ms(n * 60_000);
        json!(at)
    };
    post(&service, &body(Some("production"), 70_000)).await;
    let planned = with(
        with(body(Some("production"), 90_000), "valid_from", minutes(10)),
        "valid_to",
        minutes(20),
    );
    let planned = post(&service, &planned).await;
    assert_eq!(planned["state"], "future");
    assert!(planned["closed_price_id"].is_string());
    assert_eq!(amounts(&service, "production"), [70_000]);
    let version = || service.copy("production").unwrap()["config_version"].clone();
    assert_eq!(version(), 2);
    let sweep = async |to_minute: i64| {
        let to = minutes(to_minute);
        let to = api_types::Timestamp::parse(to.as_str().unwrap()).unwrap();
        service
            .ports
            .world
            .clock
            .advance((to.ms() - service.deps.now().ms()) as u64);
        let swept = service.deps.sweep().await;
        assert_eq!(swept.failed_steps, 0);
        swept.rebuilt
    };
    assert_eq!(sweep(9).await, 0);
    assert_eq!(amounts(&service, "production"), [70_000]);
    assert_eq!(sweep(10).await, 1);
    assert_eq!(amounts(&service, "production"), [90_000]);
    assert_eq!((sweep(11).await, version()), (0, json!(3)));
    assert_eq!(sweep(20).await, 1);
    assert!(amounts(&service, "production").is_empty());
    assert_eq!(version(), 4);
    // A turn that the sweeper's outage missed is found by the daily recount.
    let later = with(body(Some("production"), 60_000), "valid_from", minutes(30));
    post(&service, &later).await;
    assert_eq!(sweep(30 + 61).await, 0);
    service.ports.world.clock.advance(86_400_000);
    assert_eq!(service.deps.sweep().await.rebuilt, 1);
    assert_eq!(amounts(&service, "production"), [60_000]);
    service.settle().await;
}

#[tokio::test]
async fn prices_that_break_a_rule_are_refused() {
    let service = Service::new();
    let base = || body(Some("production"), 5);
    for (wrong, code, field) in [
        (
            with(base(), "valid_from", json!("2025-11-21T09:58:00Z")),
            "invalid_field",
            "valid_from",
        ),
        (
            with(base(), "valid_from", json!("2035-11-21T09:58:00Z")),
            "invalid_field",
            "valid_from",
        ),
        (
            with(base(), "valid_to", json!("2025-11-21T10:00:00Z")),
            "invalid_field",
            "valid_to",
        ),
        (
            with(base(), "valid_from", json!("soon")),
            "invalid_field",
            "valid_from",
        ),
        (
            with(base(), "provider", json!("nobody")),
            "invalid_field",
            "provider",
        ),
        (
            with(base(), "provider", json!("No")),
            "invalid_field",
            "provider",
        ),
        (with(base(), "model", json!("")), "invalid_field", "model"),
        (with(base(), "row", row(0)), "invalid_field", "row.free"),
        (
            with(base(), "row", row(-1)),
            "invalid_field",
            "row.usd_micros",
        ),
        (
            with(
                base(),
                "row",
                json!({"unit": "image", "usd_micros": 5, "basis": "exact", "from": "2026-01-01"}),
            ),
            "read_only_field",
            "row.from",
        ),
        (
            with(
                base(),
                "row",
                json!({"unit": "image", "usd_micros": 5, "basis": "exact", "model": "other"}),
            ),
            "invalid_field",
            "row.model",
        ),
        (
            with(
                base(),
                "row",
                json!({"unit": "barrel", "usd_micros": 5, "basis": "exact"}),
            ),
            "invalid_field",
            "row.unit",
        ),
        (
            with(
                base(),
                "row",
                json!({"unit": "image", "usd_micros": 5, "basis": "exact", "x": 1}),
            ),
            "unknown_field",
            "row.x",
        ),
        (
            with(
                base(),
                "row",
                json!({"unit": "image", "usd_micros": 5, "basis": "estimate"}),
            ),
            "invalid_field",
            "row.upper_usd_micros",
        ),
        (with(base(), "row", json!([])), "invalid_field", "row"),
        (
            with(base(), "org_id", json!(FOREIGN_LTD)),
            "invalid_field",
            "org_id",
        ),
        (with(base(), "price", json!(1)), "unknown_field", "price"),
    ] {
        let answer = service.post(ADMIN, "/price", &wrong).await;
        assert_eq!(
            answer.outcome(),
            (400, code.into()),
            "{wrong} {}",
            answer.text()
        );
        assert_eq!(answer.json()["details"]["field"], field, "{wrong}");
    }
    assert_eq!(service.count("price_overrides").await, 0);
    // The seed's providers are on a private host, where a price may be nothing; the vendor's may not.
    let free = json!({"unit": "image", "usd_micros": 0, "basis": "exact", "free": true});
    post(&service, &with(base(), "row", free.clone())).await;
    let public = with(with(base(), "provider", json!("openai")), "row", free);
    assert_eq!(
        service.post(ADMIN, "/price", &public).await.outcome(),
        (400, "invalid_field".into())
    );
    // A clock that is a little behind means now.
    service.ports.world.clock.advance(1_000);
    let late = with(base(), "valid_from", json!("2025-11-21T09:59:30Z"));
    let late = post(&service, &late).await;
    assert_eq!(late["valid_from"], "2025-11-21T10:00:01.000Z");
    service.settle().await;
}

#[tokio::test]
async fn what_is_planned_is_not_overrun() {
    let service = Service::new();
    let planned = with(
        body(Some("production"), 9),
        "valid_from",
        json!("2025-12-01T00:00:00Z"),
    );
    let id = post(&service, &planned).await["price_id"].clone();
    let now = service
        .post(ADMIN, "/price", &body(Some("production"), 5))
        .await;
    assert_eq!(now.outcome(), (409, "conflict".into()));
    assert_eq!(now.json()["details"]["price_id"], id);
    // Until then there is room, and elsewhere too.
    let until = with(
        body(Some("production"), 5),
        "valid_to",
        json!("2025-12-01T00:00:00Z"),
    );
    post(&service, &until).await;
    post(&service, &body(Some("development"), 5)).await;
    post(&service, &body(None, 5)).await;
    // For a part of its requests only: which of the two would count?
    let part = |qualities: Value| {
        let row = json!({"unit": "image", "usd_micros": 5, "basis": "exact", "when": {"quality": qualities}});
        with(
            with(body(Some("production"), 5), "model", json!("ideogram-4")),
            "row",
            row,
        )
    };
    post(&service, &part(json!(["low", "draft"]))).await;
    service.ports.world.clock.advance(1);
    let overlap = service.post(ADMIN, "/price", &part(json!(["low"]))).await;
    assert_eq!(overlap.outcome(), (409, "conflict".into()));
    assert!(post(&service, &part(json!(["draft", "low"]))).await["closed_price_id"].is_string());
    service.settle().await;
}

#[tokio::test]
async fn a_price_for_all_instances_reaches_all_of_them_in_one_batch() {
    let service = Service::new();
    service.get(ADMIN, "/session").await;
    service.settle().await;
    post(&service, &body(Some("production"), 70_000)).await;
    let batches = service.ports.world.faults.calls("database");
    let all = post(&service, &body(None, 50_000)).await;
    assert_eq!(service.ports.world.faults.calls("database") - batches, 2);
    assert_eq!(
        (&all["instance_id"], &all["org_id"]),
        (&Value::Null, &json!(ACME))
    );
    // Published after the answer; the nearer price of one instance counts before it.
    service.settle().await;
    assert_eq!(amounts(&service, "development"), [50_000]);
    assert_eq!(amounts(&service, "production"), [70_000]);
    let versions = service.row("SELECT group_concat(config_version, ' ') AS v FROM (SELECT config_version FROM instances ORDER BY instance_id)").await;
    // Development, foreign, production: the last one sees nothing new.
    assert_eq!(versions.text("v"), Some("2 1 2"));
    let made = service
        .post(
            ADMIN,
            "/instance",
            &json!({"name": "New", "config": {"providers": {"ideogram": {}}}}),
        )
        .await;
    assert_eq!(
        made.json()["providers"]["ideogram"]["prices"][0]["usd_micros"],
        50_000
    );
    // A key for some instances sets no price for all.
    let narrow = json!({"name": "narrow", "instance_ids": ["production"]});
    let narrow = service.post(ADMIN, "/api-key", &narrow).await.json()["api_key"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        service
            .post(&narrow, "/price", &body(None, 1))
            .await
            .outcome(),
        (403, "forbidden".into())
    );
    assert_eq!(
        service
            .post(&narrow, "/price", &body(Some("development"), 1))
            .await
            .outcome(),
        (403, "forbidden".into())
    );
    assert_eq!(
        service
            .post(
                &narrow,
                "/price",
                &with(body(Some("production"), 1), "model", json!("x"))
            )
            .await
            .status,
        201
    );
    let id = all["price_id"].as_str().unwrap();
    assert_eq!(
        service
            .delete(&narrow, &format!("/price/{id}"))
            .await
            .outcome(),
        (403, "forbidden".into())
    );
    // A superadmin says whose.
    assert_eq!(
        service.post(ROOT, "/price", &body(None, 1)).await.outcome(),
        (400, "invalid_field".into())
    );
    let of = with(
        with(body(None, 1), "org_id", json!(ACME)),
        "model",
        json!("y"),
    );
    assert_eq!(service.post(ROOT, "/price", &of).await.status, 201);
    assert_eq!(service.last_entry(ACME).await["after"]["model"], "y");
    let gone = service.delete(ROOT, &format!("/price/{id}")).await;
    assert_eq!(gone.status, 204);
    service.settle().await;
    assert_eq!(amounts(&service, "development"), [1]);
    assert_eq!(service.last_entry(ACME).await["action"], "end_price");
    service.settle().await;
}

#[tokio::test]
async fn a_price_ends_or_is_withdrawn() {
    let service = Service::new();
    let now = post(&service, &body(Some("production"), 7)).await;
    let planned = with(
        with(body(Some("production"), 9), "model", json!("m")),
        "valid_from",
        json!("2025-12-01T00:00:00Z"),
    );
    let planned = post(&service, &planned).await;
    let path = |price: &Value| format!("/price/{}", price["price_id"].as_str().unwrap());
    service.ports.world.clock.advance(5);
    let gone = service.delete(ADMIN, &path(&now)).await;
    assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
    assert!(amounts(&service, "production").is_empty());
    let entry = service.last_entry(ACME).await;
    assert_eq!(
        entry["after"],
        json!({"valid_to": "2025-11-21T10:00:00.005Z"})
    );
    let entries = service.count("audit_log").await;
    assert_eq!(service.delete(ADMIN, &path(&now)).await.status, 204);
    assert_eq!(service.count("audit_log").await, entries);
    let puts = service.ports.world.faults.calls("kv.put");
    assert_eq!(service.delete(ADMIN, &path(&planned)).await.status, 204);
    assert_eq!(service.ports.world.faults.calls("kv.put"), puts);
    assert_eq!(service.count("price_overrides").await, 1);
    assert_eq!(service.delete(ADMIN, &path(&planned)).await.status, 404);
    // One that is ended in the very instant in which it began has not held.
    let brief = post(&service, &body(Some("production"), 7)).await;
    assert_eq!(service.delete(ADMIN, &path(&brief)).await.status, 204);
    assert!(amounts(&service, "production").is_empty());
    // Foreign and missing: the same bytes. Users may look only.
    let foreign = service
        .post(FOREIGN, "/price", &body(Some("foreign"), 3))
        .await
        .json();
    let id = "0199a1c2-0000-7000-8000-000000000001";
    let mut seen = Vec::new();
    for path in [path(&foreign), format!("/price/{NOBODY}")] {
        let request = service.app.request(Method::DELETE, &path).key(ADMIN);
        let answer = request.header("x-request-id", id).send().await;
        seen.push((answer.status, answer.text()));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].0, 404);
    let own = post(&service, &body(Some("development"), 3)).await;
    assert_eq!(
        service.delete(USER, &path(&own)).await.outcome(),
        (403, "role_required".into())
    );
    assert_eq!(
        service.delete(ADMIN, "/price/x").await.outcome(),
        (400, "invalid_field".into())
    );
    service.settle().await;
}

#[tokio::test]
async fn lists_are_paged_filtered_and_bounded_by_what_may_be_seen() {
    let service = Service::new();
    for (of, model) in [
        (Some("production"), "a"),
        (Some("development"), "b"),
        (None, "c"),
    ] {
        post(&service, &with(body(of, 5), "model", json!(model))).await;
        service.ports.world.clock.advance(1);
    }
    service
        .post(FOREIGN, "/price", &body(Some("foreign"), 3))
        .await;
    let models = async |key: &str, query: &str| {
        let answer = service.get(key, &format!("/price{query}")).await;
        assert_eq!(answer.status, 200, "{query} {}", answer.text());
        let items = answer.json()["items"].clone();
        let models: Vec<String> = items
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["model"].as_str().unwrap().to_owned())
            .collect();
        models.join(" ")
    };
    assert_eq!(models(ADMIN, "").await, "c b a");
    assert_eq!(models(USER, "").await, "c b");
    assert_eq!(models(FOREIGN, "").await, "ideogram-3");
    assert_eq!(models(ADMIN, "?instance_id=production").await, "c a");
    assert_eq!(models(ADMIN, "?instance_id=foreign").await, "");
    assert_eq!(models(ADMIN, &format!("?org_id={FOREIGN_LTD}")).await, "");
    assert_eq!(models(ADMIN, "?provider=openai").await, "");
    assert_eq!(models(ADMIN, "?model=b&state=current").await, "b");
    assert_eq!(models(ADMIN, "?state=ended").await, "");
    assert_eq!(models(ROOT, "?limit=2").await, "ideogram-3 c");
    let first = service.get(ADMIN, "/price?limit=2").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(
        models(ADMIN, &format!("?limit=2&cursor={cursor}")).await,
        "a"
    );
    for (query, code) in [
        (format!("?model=a&cursor={cursor}"), "invalid_cursor"),
        ("?state=old".into(), "invalid_field"),
        ("?x=1".into(), "unknown_field"),
        ("?limit=0".into(), "invalid_field"),
    ] {
        let answer = service.get(ADMIN, &format!("/price{query}")).await;
        assert_eq!(answer.outcome(), (400, code.into()), "{query}");
    }
    service.settle().await;
}

#[tokio::test]
async fn open_prices_have_a_quota() {
    let service = Service::new();
    let fill = |of: &str, n: i64| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n}) \
             INSERT INTO price_overrides (price_id, org_id, instance_id, provider, model, row, valid_from, created_by, created_at) \
             SELECT printf('0198f0d0-0000-7000-8000-%012d', i), '{ACME}', {of}, 'openai', 'm' || i, '{{\"unit\":\"image\",\"usd_micros\":5,\"basis\":\"exact\"}}', '2025-01-01T00:00:00.000Z', 's', '2025-01-01T00:00:00.000Z' FROM n"
        )
    };
    service.run(&fill("'production'", 499)).await;
    post(&service, &body(Some("production"), 1)).await;
    let over = with(body(Some("production"), 2), "model", json!("x"));
    let refused = service.post(ADMIN, "/price", &over).await;
    assert_eq!(refused.outcome(), (409, "quota_reached".into()));
    assert_eq!(
        refused.json()["details"],
        json!({"limit": 500, "current": 500})
    );
    // One that takes the place of another is no further one.
    service.ports.world.clock.advance(1);
    post(&service, &body(Some("production"), 2)).await;
    post(&service, &body(None, 2)).await;
    service.settle().await;
}

#[tokio::test]
async fn a_price_is_whole_when_the_database_fails() {
    let service = Service::new();
    service.get(ADMIN, "/session").await;
    service.settle().await;
    let faults = &service.ports.world.faults;
    let send = async |key: &str, amount: i64| {
        let request = service
            .app
            .post("/price")
            .key(ADMIN)
            .header("idempotency-key", key);
        request.json(&body(Some("production"), amount)).send().await
    };
    faults.fail("database", 2, When::Before);
    assert_eq!(
        send("a", 5).await.outcome(),
        (503, "database_unavailable".into())
    );
    assert_eq!(service.count("price_overrides").await, 0);
    assert_eq!(
        service
            .count("instance_effective WHERE config_version > 1")
            .await,
        0
    );
    faults.fail("database", 2, When::After);
    let done = send("a", 5).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let again = send("a", 5).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["price_id"], done.json()["price_id"]);
    assert_eq!(service.count("price_overrides").await, 1);
    assert_eq!(service.count("audit_log").await, 1);
    assert_eq!(amounts(&service, "production"), [5]);
    // Racers for one place in time: each closes the one before, none is lost.
    service.ports.world.clock.advance(1);
    faults.slow("database", 5);
    let racers = (0..4).map(|n| {
        let (service, body) = (&service, body(Some("production"), 10 + n));
        async move { service.post(ADMIN, "/price", &body).await.status.as_u16() }
    });
    let statuses = futures_util::future::join_all(racers).await;
    let done = statuses.iter().filter(|status| **status == 201).count() as i64;
    assert!(
        done >= 1 && statuses.iter().all(|s| [201, 409, 503].contains(s)),
        "{statuses:?}"
    );
    assert_eq!(
        service
            .count("price_overrides WHERE valid_to IS NULL")
            .await,
        1
    );
    assert_eq!(service.count("price_overrides").await, 1 + done);
    service.settle().await;
}

#[tokio::test]
async fn a_body_that_differs_from_its_parts_is_found_and_built_anew() {
    let service = Service::new();
    let first = service.deps.sweep().await;
    assert_eq!(
        (first.recounted, first.rebuilt, first.failed_steps),
        (3, 0, 0)
    );
    assert_eq!(service.deps.sweep().await.recounted, 0);
    service
        .run("UPDATE instance_effective SET body = json_set(body, '$.rate_limits.ideogram.rpm', 1) WHERE instance_id = 'production'")
        .await;
    service.ports.world.clock.advance(86_400_001);
    let swept = service.deps.sweep().await;
    assert_eq!((swept.recounted, swept.rebuilt, swept.published), (3, 1, 1));
    let copy = service.copy("production").unwrap();
    assert_eq!(copy["config"]["rate_limits"]["ideogram"]["rpm"], 500);
    assert_eq!(copy["config_version"], 2);
    // Parts that cannot be read keep nobody else.
    service
        .run("UPDATE instances SET config = '{\"queue\":7}' WHERE instance_id = 'development'")
        .await;
    service
        .run("UPDATE instance_effective SET body = json_set(body, '$.name', 'x') WHERE instance_id = 'production'")
        .await;
    service.ports.world.clock.advance(86_400_001);
    let swept = service.deps.sweep().await;
    assert_eq!(
        (swept.recounted, swept.rebuilt, swept.failed_steps),
        (3, 1, 0)
    );
    service.settle().await;
}
