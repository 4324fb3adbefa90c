//! Limits, budgets, worker URLs and deployments of an instance.

use crate::support::*;
use http::Method;
use serde_json::{Value, json};

const NO_SUCH_PROVIDER: &str =
    "must be a provider in /providers or an adapter; known are ideogram, openai";
const LIMIT: &str = "/instance/production/rate-limit/ideogram";
const BUDGETS: &str = "/instance/production/budgets";
const URLS: &str = "/instance/production/worker-urls";

#[tokio::test]
async fn limits_are_told_with_what_holds_where_nothing_is_configured() {
    let service = Service::new();
    let key = json!({"api_key": "0123456789"});
    service
        .put(ADMIN, "/instance/production/provider-key/openai", &key)
        .await;
    let answer = service.get(ADMIN, "/instance/production/limits").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("etag"), "\"1\"");
    let body = answer.json();
    assert_eq!(
        body["items"],
        json!([
            {"provider": "ideogram", "configured": true, "rpm": 500, "tpm": null, "max_inflight_images": 10, "windows": [], "default_max_inflight_images": 10},
            {"provider": "openai", "configured": false, "rpm": null, "tpm": null, "max_inflight_images": null, "windows": [], "default_max_inflight_images": null},
        ])
    );
    assert_eq!(body["budgets"], json!([]));
    assert_eq!(body["queue"]["on_limit"], "reject");
    service.settle().await;
}

#[tokio::test]
async fn a_rate_limit_is_set_and_taken_away() {
    let service = Service::new();
    let set = async |version: &str, limit: &Value| {
        service
            .at(Method::PUT, ADMIN, LIMIT, version, Some(limit))
            .await
    };
    let answer = set(
        "\"1\"",
        &json!({"rpm": 30, "windows": [{"requests": 5, "per_ms": 1000}]}),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("etag"), "\"2\"");
    let body = answer.json();
    assert_eq!((&body["rpm"], &body["version"]), (&json!(30), &json!(2)));
    // The whole limit is replaced; the vendor's own holds again.
    assert_eq!(body["max_inflight_images"], Value::Null);
    assert_eq!(body["default_max_inflight_images"], 10);
    let copy = service.copy("production").unwrap()["config"]["rate_limits"]["ideogram"].clone();
    assert_eq!(
        (&copy["rpm"], &copy["max_inflight_images"]),
        (&json!(30), &json!(10))
    );
    assert_eq!(service.last_entry(ACME).await["action"], "set_rate_limit");
    for (limit, code, pointer) in [
        (
            json!({"rpm": 0}),
            "invalid_config",
            "/rate_limits/ideogram/rpm",
        ),
        (
            json!({"rps": 1}),
            "unknown_field",
            "/rate_limits/ideogram/rps",
        ),
        (
            json!({"rpm": "x"}),
            "invalid_field",
            "/rate_limits/ideogram/rpm",
        ),
        (json!([]), "invalid_field", "/rate_limits/ideogram"),
    ] {
        let answer = set("\"2\"", &limit).await;
        assert_eq!(answer.outcome(), (400, code.into()), "{limit}");
        assert_eq!(answer.json()["details"]["problems"][0]["pointer"], pointer);
    }
    let late = set("\"1\"", &json!({"rpm": 1})).await;
    assert_eq!(late.outcome(), (412, "version_mismatch".into()));
    assert_eq!(late.json()["details"]["current"]["rpm"], 30);
    assert_eq!(set("", &json!({})).await.status, 428);
    let unknown = service
        .at(
            Method::PUT,
            ADMIN,
            "/instance/production/rate-limit/nobody",
            "*",
            Some(&json!({})),
        )
        .await;
    assert_eq!(unknown.outcome(), (400, "invalid_field".into()));
    assert_eq!(unknown.json()["details"]["rule"], NO_SUCH_PROVIDER);
    // An adapter without settings of its own is a provider as well.
    let adapter = service
        .at(
            Method::PUT,
            ADMIN,
            "/instance/production/rate-limit/openai",
            "\"2\"",
            Some(&json!({"tpm": 5})),
        )
        .await;
    assert_eq!(adapter.status, 200, "{}", adapter.text());
    let delete = async |version: &str| {
        service
            .at(Method::DELETE, ADMIN, LIMIT, version, None)
            .await
    };
    assert_eq!(delete("").await.status, 428);
    let gone = delete("\"3\"").await;
    assert_eq!((gone.status.as_u16(), gone.header("etag")), (204, "\"4\""));
    let again = delete("\"4\"").await;
    assert_eq!(
        (again.status.as_u16(), again.header("etag")),
        (204, "\"4\"")
    );
    let copy = service.copy("production").unwrap()["config"]["rate_limits"].clone();
    assert_eq!(copy["ideogram"]["rpm"], Value::Null);
    assert_eq!(copy["openai"]["tpm"], 5);
    service.settle().await;
}

/// A typing error would be a limit of nothing, and be believed.
#[tokio::test]
async fn a_provider_that_there_is_not_has_no_limit_and_no_budget() {
    let service = Service::new();
    let budgets = json!([
        {"scope": "instance", "period": "day", "limit_usd_micros": 1},
        {"scope": "provider:ideogramm", "period": "day", "limit_usd_micros": 1},
    ]);
    let limits = json!({"ideogramm": {"rpm": 5}});
    let whole = json!({"rate_limits": limits, "budgets": budgets});
    let made = json!({"name": "New", "config": whole});
    let patch = json!({ "config": whole });
    let instance = "/instance/production";
    let (limit, scope) = ("/rate_limits/ideogramm", "/budgets/1/scope");
    for (method, path, body, pointers) in [
        (Method::POST, "/instance", &made, vec![limit, scope]),
        (Method::PATCH, instance, &patch, vec![limit, scope]),
        (Method::PUT, BUDGETS, &budgets, vec![scope]),
    ] {
        let version = if method == Method::POST { "" } else { "\"1\"" };
        let answer = service
            .at(method.clone(), ADMIN, path, version, Some(body))
            .await;
        assert_eq!(answer.outcome(), (400, "invalid_config".into()), "{method}");
        let problems = answer.json()["details"]["problems"].clone();
        let problems = problems.as_array().unwrap();
        let told: Vec<&str> = problems
            .iter()
            .map(|it| it["pointer"].as_str().unwrap())
            .collect();
        assert_eq!(told, pointers, "{method}");
        assert!(problems.iter().all(|it| it["rule"] == NO_SUCH_PROVIDER));
    }
    // A provider whose settings cannot be read is not said to be missing as well.
    let unreadable = json!({"config": {"providers": {"own": {"adapter": 1}}, "rate_limits": {"own": {"rpm": 5}}}});
    let answer = service
        .at(Method::PATCH, ADMIN, instance, "\"1\"", Some(&unreadable))
        .await;
    assert_eq!(answer.outcome(), (400, "invalid_field".into()));
    assert_eq!(
        answer.json()["details"]["problems"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    service.settle().await;
}

#[tokio::test]
async fn budgets_are_replaced_as_a_whole() {
    let service = Service::new();
    let set = async |version: &str, budgets: &Value| {
        service
            .at(Method::PUT, ADMIN, BUDGETS, version, Some(budgets))
            .await
    };
    let budget =
        |scope: &str| json!({"scope": scope, "period": "day", "limit_usd_micros": 50_000_000});
    let good = json!([
        budget("instance"),
        budget(&format!("project:{FORGE}")),
        budget("key:user00000001")
    ]);
    let answer = set("\"1\"", &good).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["budgets"], good);
    assert_eq!(answer.json()["version"], 2);
    assert_eq!(
        service.copy("production").unwrap()["config"]["budgets"],
        good
    );
    for (budgets, code, pointer) in [
        (
            json!([budget("instance"), budget("instance")]),
            "invalid_config",
            "/budgets/1",
        ),
        (
            json!([budget("team:x")]),
            "invalid_config",
            "/budgets/0/scope",
        ),
        // Of a sibling instance, of another organization, of nobody.
        (
            json!([budget(&format!("project:{CHAT}"))]),
            "invalid_config",
            "/budgets/0/scope",
        ),
        (
            json!([budget(&format!("project:{FOREIGN_PROJECT}"))]),
            "invalid_config",
            "/budgets/0/scope",
        ),
        (
            json!([budget("key:fore00000001")]),
            "invalid_config",
            "/budgets/0/scope",
        ),
        (
            json!([budget("key:000000000000")]),
            "invalid_config",
            "/budgets/0/scope",
        ),
        (
            json!([{"scope": "instance", "period": "year", "limit_usd_micros": 1}]),
            "invalid_field",
            "/budgets/0/period",
        ),
        (
            json!([{"scope": "instance", "period": "day", "limit_usd_micros": 1, "x": 1}]),
            "unknown_field",
            "/budgets/0/x",
        ),
        (json!({}), "invalid_field", "/budgets"),
    ] {
        let answer = set("\"2\"", &budgets).await;
        assert_eq!(
            answer.outcome(),
            (400, code.into()),
            "{budgets} {}",
            answer.text()
        );
        assert_eq!(
            answer.json()["details"]["problems"][0]["pointer"],
            pointer,
            "{budgets}"
        );
    }
    let many: Vec<Value> = (0..101)
        .map(|n| budget(&format!("provider:p{n}")))
        .collect();
    assert_eq!(set("\"2\"", &json!(many)).await.status, 400);
    assert_eq!(
        set("\"1\"", &json!([])).await.json()["details"]["current"]["budgets"],
        good
    );
    assert_eq!(set("\"2\"", &json!([])).await.status, 200);
    // A project that went later is no obstacle to other changes.
    assert_eq!(set("\"3\"", &good).await.status, 200);
    service
        .run(&format!(
            "UPDATE projects SET status = 'deleted' WHERE project_id = '{FORGE}'"
        ))
        .await;
    let name = json!({"name": "x"});
    let other = service
        .at(
            Method::PATCH,
            ADMIN,
            "/instance/production",
            "*",
            Some(&name),
        )
        .await;
    assert_eq!(other.status, 200, "{}", other.text());
    service.settle().await;
}

#[tokio::test]
async fn worker_urls_are_checked_and_the_one_of_image_gen_stays() {
    let service = Service::new();
    let set = async |version: &str, urls: &Value| {
        service
            .at(Method::PUT, ADMIN, URLS, version, Some(urls))
            .await
    };
    let urls = json!({"image_gen": "https://image-gen-production.acme.workers.dev", "task_master": "http://127.0.0.1:8787/x"});
    let answer = set("\"1\"", &urls).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["worker_urls"], urls);
    assert_eq!(
        service.copy("production").unwrap()["config"]["worker_urls"],
        urls
    );
    assert_eq!(
        service.get(ADMIN, "/instance/production").await.json()["worker_urls"],
        urls
    );
    for (urls, code, pointer) in [
        (
            json!({"telemetry": "https://a.example.com"}),
            "unknown_field",
            "/telemetry",
        ),
        (json!({"image_gen": 1}), "invalid_field", "/image_gen"),
        (
            json!({"image_gen": "ftp://a.example.com"}),
            "invalid_field",
            "/image_gen",
        ),
        (
            json!({"image_gen": "https://a.example.com/?x=1"}),
            "invalid_field",
            "/image_gen",
        ),
    ] {
        let answer = set("\"2\"", &urls).await;
        assert_eq!(answer.outcome(), (400, code.into()), "{urls}");
        assert_eq!(answer.json()["details"]["problems"][0]["pointer"], pointer);
    }
    assert_eq!(
        set("\"2\"", &json!([])).await.outcome(),
        (400, "invalid_request".into())
    );
    let removed = set("\"2\"", &json!({})).await;
    assert_eq!(removed.outcome(), (409, "deploy_managed".into()));
    let moved = json!({"image_gen": "https://other.acme.workers.dev"});
    assert_eq!(set("\"2\"", &moved).await.status, 200);
    service.settle().await;
    let service = Service::with(settings("production"));
    for url in [
        "http://127.0.0.1:1",
        "https://127.0.0.1",
        "http://a.example.com",
    ] {
        let answer = service
            .at(
                Method::PUT,
                ADMIN,
                URLS,
                "*",
                Some(&json!({"image_gen": url})),
            )
            .await;
        assert_eq!(answer.outcome(), (400, "invalid_field".into()), "{url}");
    }
    service.settle().await;
}

#[tokio::test]
async fn deployments_are_listed_newest_first_without_what_is_the_tools_own() {
    let service = Service::new();
    for n in 1..=3 {
        let status = ["failed", "rolled_back", "succeeded"][n - 1];
        service.run(&format!(
            "INSERT INTO deployments (deployment_id, account_id, instance_id, status, actor, source, git_sha, plan, journal, anchor, secrets_mark, created_at, ended_at) \
             VALUES ('d{n}', 'account-canary', 'development', '{status}', 'ops', 'github:1', 'ab12cd3', '{{\"schema\":1}}', '[]', '{{\"x\":\"anchor-canary\"}}', '{{\"x\":\"mark-canary\"}}', '2025-11-21T0{n}:00:00.000Z', '2025-11-21T0{n}:05:00.000Z')"
        )).await;
    }
    let first = service
        .get(USER, "/instance/development/deployments?limit=2")
        .await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert!(!first.text().contains("canary"));
    let body = first.json();
    let ids = |body: &Value| -> Vec<String> {
        let items = body["items"].as_array().unwrap().iter();
        items
            .map(|item| item["deployment_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&body), ["d3", "d2"]);
    assert_eq!(body["items"][0]["plan"], json!({"schema": 1}));
    assert_eq!(body["items"][0]["status"], "succeeded");
    let cursor = body["next_cursor"].as_str().unwrap();
    let next = service
        .get(
            USER,
            &format!("/instance/development/deployments?limit=2&cursor={cursor}"),
        )
        .await;
    assert_eq!(ids(&next.json()), ["d1"]);
    assert_eq!(next.json()["next_cursor"], Value::Null);
    let wrong = service
        .get(
            ADMIN,
            &format!("/instance/production/deployments?cursor={cursor}"),
        )
        .await;
    assert_eq!(wrong.outcome(), (400, "invalid_cursor".into()));
    let query = service
        .get(ADMIN, "/instance/production/deployments?x=1")
        .await;
    assert_eq!(query.outcome(), (400, "unknown_field".into()));

    let list = service.get(ADMIN, "/instance").await.json();
    let last = |id: &str| -> Value {
        let mut lines = list["items"].as_array().unwrap().iter();
        lines.find(|line| line["instance_id"] == id).unwrap()["last_deployment"].clone()
    };
    assert_eq!(
        last("development"),
        json!({
            "deployment_id": "d3", "status": "succeeded",
            "created_at": "2025-11-21T03:00:00.000Z", "ended_at": "2025-11-21T03:05:00.000Z"
        })
    );
    assert_eq!(last("production"), Value::Null);
    service.settle().await;
}

/// An adapter that there was once: its limit and its budget are in the way of nobody who edits something else.
#[tokio::test]
async fn what_was_wrong_before_refuses_no_edit_of_something_else() {
    let service = Service::new();
    let gone = json!({"scope": "provider:gone", "period": "day", "limit_usd_micros": 5});
    service
        .run(&format!(
            "UPDATE instances SET config = json_set(config, '$.rate_limits.gone', json('{{\"rpm\":5}}'), '$.budgets', json('[{gone}]')) WHERE instance_id = 'production'"
        ))
        .await;
    let patch = async |config: &Value| {
        let body = json!({ "config": config });
        service
            .at(
                Method::PATCH,
                ADMIN,
                "/instance/production",
                "*",
                Some(&body),
            )
            .await
    };
    let pointers = |answer: &middleware::testing::TestResponse| -> Vec<String> {
        assert_eq!(answer.status, 400, "{}", answer.text());
        let problems = answer.json()["details"]["problems"].clone();
        let of = |problem: &Value| problem["pointer"].as_str().unwrap_or_default().to_owned();
        problems.as_array().unwrap().iter().map(of).collect()
    };
    let urls = json!({"image_gen": "https://images.example"});
    let put = |path: &'static str, body: Value| {
        let service = &service;
        async move { service.at(Method::PUT, ADMIN, path, "*", Some(&body)).await }
    };
    let answer = put(URLS, urls).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = put(LIMIT, json!({"rpm": 30})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // One provider more is another list of known ones in the words of the rule.
    let more = json!({"providers": {"second": {"adapter": "openai"}}, "quality_check": "off"});
    let answer = patch(&more).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["rate_limits"]["gone"]["rpm"], 5);
    // What an edit touches or adds, it must leave in order; the rest is not told.
    let answer = patch(&json!({"rate_limits": {"gone": {"rpm": 6}}})).await;
    assert_eq!(pointers(&answer), ["/rate_limits/gone"]);
    let answer = patch(&json!({"rate_limits": {"never": {"rpm": 6}}})).await;
    assert_eq!(pointers(&answer), ["/rate_limits/never"]);
    let moved = json!([{"scope": "instance", "period": "day", "limit_usd_micros": 5}, gone]);
    let answer = put(BUDGETS, moved).await;
    assert_eq!(pointers(&answer), ["/budgets/1/scope"]);
    // And the way out.
    let answer = patch(&json!({"rate_limits": {"gone": null}, "budgets": []})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = patch(&json!({"rate_limits": {"gone": {"rpm": 5}}})).await;
    assert_eq!(pointers(&answer), ["/rate_limits/gone"]);
    service.settle().await;
}
