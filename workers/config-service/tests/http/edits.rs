//! Changing and ending organizations, users, access and projects: who may, what a fault leaves, what a stranger learns.

use crate::support::*;
use http::Method;
use middleware::testing::TestResponse;
use platform::fakes::When;
use serde_json::{Value, json};

/// A request with `If-Match` and body as given.
pub(crate) async fn edit(
    service: &Service,
    key: &str,
    method: Method,
    path: &str,
    tag: Option<&str>,
    body: Option<&Value>,
) -> TestResponse {
    let mut request = service.app.request(method, path).key(key);
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    request.send().await
}

struct Case {
    method: Method,
    path: String,
    body: Option<Value>,
    /// By superadmin, administrator, user, project key.
    want: [u16; 4],
}

fn case(method: Method, path: String, body: Option<Value>, want: [u16; 4]) -> Case {
    Case {
        method,
        path,
        body,
        want,
    }
}

/// Every route of these resources by own, sibling, foreign and missing targets.
fn cases() -> Vec<Case> {
    let get = |path: &str, want| case(Method::GET, path.into(), None, want);
    let patch = |path: String, want| case(Method::PATCH, path, Some(json!({"name": "New"})), want);
    let delete = |path: String, want| case(Method::DELETE, path, None, want);
    let put = |user: &str, ids: Value, want| {
        let path = format!("/user/{user}/instance");
        case(Method::PUT, path, Some(json!({"instance_ids": ids})), want)
    };
    let foreign = [200, 404, 404, 404];
    let missing = [404, 404, 404, 404];
    vec![
        get("/organization", [200, 200, 200, 403]),
        get(&format!("/organization/{ACME}"), [200, 200, 200, 403]),
        get(&format!("/organization/{FOREIGN_LTD}"), foreign),
        get(&format!("/organization/{NOBODY}"), missing),
        patch(format!("/organization/{ACME}"), [200, 200, 403, 403]),
        patch(format!("/organization/{FOREIGN_LTD}"), foreign),
        patch(format!("/organization/{NOBODY}"), missing),
        delete(format!("/organization/{ACME}"), [409, 403, 403, 403]),
        delete(format!("/organization/{FOREIGN_LTD}"), [409, 404, 404, 404]),
        delete(format!("/organization/{NOBODY}"), missing),
        get("/user", [200, 200, 403, 403]),
        patch(format!("/user/{USER_USER}"), [200, 200, 403, 403]),
        patch(format!("/user/{ADMIN_USER}"), [200, 200, 403, 403]),
        patch(format!("/user/{FOREIGN_USER}"), foreign),
        patch(format!("/user/{ROOT_USER}"), foreign),
        patch(format!("/user/{NOBODY}"), missing),
        delete(format!("/user/{USER_USER}"), [204, 204, 403, 403]),
        delete(format!("/user/{FOREIGN_USER}"), [204, 404, 404, 404]),
        delete(format!("/user/{ROOT_USER}"), [409, 404, 404, 404]),
        delete(format!("/user/{NOBODY}"), missing),
        get("/access", [200, 200, 403, 403]),
        put(USER_USER, json!(["production"]), [200, 200, 403, 403]),
        put(USER_USER, json!(["foreign"]), [404, 404, 403, 403]),
        put(USER_USER, json!(["nowhere"]), [404, 404, 403, 403]),
        put(FOREIGN_USER, json!(["foreign"]), foreign),
        put(NOBODY, json!(["production"]), missing),
        delete(
            format!("/user/{USER_USER}/instance/development"),
            [204, 204, 403, 403],
        ),
        delete(
            format!("/user/{USER_USER}/instance/production"),
            [204, 204, 403, 403],
        ),
        delete(format!("/user/{USER_USER}/instance/foreign"), missing),
        delete(format!("/user/{USER_USER}/instance/nowhere"), missing),
        delete(
            format!("/user/{FOREIGN_USER}/instance/foreign"),
            [204, 404, 404, 404],
        ),
        delete(format!("/user/{NOBODY}/instance/production"), missing),
        // The project key of the seed lacks config:read.
        get("/project", [200, 200, 200, 403]),
        get(&format!("/project/{CHAT}"), [200, 200, 200, 403]),
        get(&format!("/project/{FORGE}"), [200, 200, 403, 403]),
        get(&format!("/project/{FOREIGN_PROJECT}"), foreign),
        get(&format!("/project/{NOBODY}"), missing),
        patch(format!("/project/{CHAT}"), [200, 200, 200, 200]),
        patch(format!("/project/{FORGE}"), [200, 200, 403, 403]),
        patch(format!("/project/{FOREIGN_PROJECT}"), foreign),
        patch(format!("/project/{NOBODY}"), missing),
        delete(format!("/project/{CHAT}"), [204, 204, 403, 403]),
        delete(format!("/project/{FORGE}"), [204, 204, 403, 403]),
        delete(format!("/project/{FOREIGN_PROJECT}"), [204, 404, 404, 404]),
        delete(format!("/project/{NOBODY}"), missing),
    ]
}

#[tokio::test]
async fn the_matrix_of_roles_holds_for_every_edit() {
    for case in cases() {
        for (key, want) in [ROOT, ADMIN, USER, PROJECT].into_iter().zip(case.want) {
            let service = Service::new();
            let method = case.method.clone();
            let answer = edit(
                &service,
                key,
                method,
                &case.path,
                Some("\"1\""),
                case.body.as_ref(),
            );
            let answer = answer.await;
            assert_eq!(
                answer.status.as_u16(),
                want,
                "{} {} by {key}: {}",
                case.method,
                case.path,
                answer.text()
            );
            // Who is refused changes nothing, and who changes something is in the log.
            let changed = want < 300 && case.method != Method::GET;
            let audited = service.count("audit_log").await;
            assert!(
                audited <= i64::from(changed),
                "{} {}",
                case.method,
                case.path
            );
            service.settle().await;
        }
    }
}

#[tokio::test]
async fn a_foreign_and_a_missing_target_are_one_to_every_edit() {
    let service = Service::new();
    let project = FOREIGN_PROJECT;
    let users = (format!("/user/{FOREIGN_USER}"), format!("/user/{NOBODY}"));
    let organizations = (
        format!("/organization/{FOREIGN_LTD}"),
        format!("/organization/{NOBODY}"),
    );
    let projects = (format!("/project/{project}"), format!("/project/{NOBODY}"));
    let grants = (
        format!("/user/{FOREIGN_USER}/instance"),
        format!("/user/{NOBODY}/instance"),
    );
    let sets = (
        format!("/user/{USER_USER}/instance/foreign"),
        format!("/user/{USER_USER}/instance/nowhere"),
    );
    let one = (
        format!("/user/{FOREIGN_USER}/instance/production"),
        format!("/user/{NOBODY}/instance/production"),
    );
    let name = Some(json!({"name": "New"}));
    let ids = Some(json!({"instance_ids": ["production"]}));
    let pairs = [
        (Method::GET, organizations.clone(), None),
        (Method::PATCH, organizations.clone(), name.clone()),
        (Method::DELETE, organizations, None),
        (Method::GET, users.clone(), None),
        (Method::PATCH, users.clone(), name.clone()),
        (Method::DELETE, users, None),
        (Method::PUT, grants, ids),
        (Method::PUT, sets.clone(), None),
        (Method::DELETE, sets, None),
        (Method::PUT, one.clone(), None),
        (Method::DELETE, one, None),
        (Method::GET, projects.clone(), None),
        (Method::PATCH, projects.clone(), name),
        (Method::DELETE, projects, None),
    ];
    for key in [ADMIN, USER] {
        service.get(key, "/session").await;
        service.settle().await;
        for (method, (foreign, missing), body) in &pairs {
            let mut seen = Vec::new();
            for path in [foreign, missing] {
                let before = service.ports.world.ops.count().d1_queries;
                let mut request = service
                    .app
                    .request(method.clone(), path)
                    .key(key)
                    .header("if-match", "\"1\"")
                    .header("x-request-id", "0199a1c2-0000-7000-8000-000000000001");
                if let Some(body) = body {
                    request = request.json(body);
                }
                let answer = request.send().await;
                let queries = service.ports.world.ops.count().d1_queries - before;
                seen.push((answer.status, answer.text(), queries));
            }
            assert_eq!(seen[0], seen[1], "{method} {foreign}");
            assert_eq!(seen[0].0, 404, "{method} {foreign}");
        }
    }
    // The same in the body of a set: one stranger in it, and nothing is written.
    let mut seen = Vec::new();
    for stranger in ["foreign", "nowhere"] {
        let before = service.ports.world.ops.count().d1_queries;
        let body = json!({"instance_ids": ["production", stranger]});
        let path = format!("/user/{USER_USER}/instance");
        let answer = service
            .app
            .request(Method::PUT, &path)
            .key(ADMIN)
            .header("x-request-id", "0199a1c2-0000-7000-8000-000000000001")
            .json(&body)
            .send()
            .await;
        let queries = service.ports.world.ops.count().d1_queries - before;
        seen.push((answer.outcome(), answer.text(), queries));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].0, (404, "not_found".into()));
    assert_eq!(service.count("user_instance_access").await, 2);
    assert_eq!(service.count("audit_log").await, 0);
    service.settle().await;
}

#[tokio::test]
async fn every_edit_needs_its_scope() {
    let service = Service::new();
    let mint = async |key: &str, scopes: Value| {
        let body = json!({"name": "narrow", "scopes": scopes});
        let minted = service.post(key, "/api-key", &body).await;
        minted.json()["api_key"].as_str().unwrap().to_owned()
    };
    let images = mint(ADMIN, json!(["images:write"])).await;
    let root = mint(ROOT, json!(["config:write"])).await;
    let name = Some(json!({"name": "New"}));
    let ids = Some(json!({"instance_ids": []}));
    for (key, method, path, body, scope) in [
        (
            &images,
            Method::GET,
            "/organization".to_owned(),
            None,
            "config:read",
        ),
        (
            &images,
            Method::GET,
            format!("/organization/{ACME}"),
            None,
            "config:read",
        ),
        (
            &images,
            Method::PATCH,
            format!("/organization/{ACME}"),
            name.clone(),
            "config:write",
        ),
        (
            &root,
            Method::DELETE,
            format!("/organization/{ACME}"),
            None,
            "platform:write",
        ),
        (
            &images,
            Method::GET,
            "/user".to_owned(),
            None,
            "config:read",
        ),
        (
            &images,
            Method::PATCH,
            format!("/user/{USER_USER}"),
            name.clone(),
            "config:write",
        ),
        (
            &images,
            Method::DELETE,
            format!("/user/{USER_USER}"),
            None,
            "config:write",
        ),
        (
            &images,
            Method::GET,
            "/access".to_owned(),
            None,
            "config:read",
        ),
        (
            &images,
            Method::PUT,
            format!("/user/{USER_USER}/instance"),
            ids,
            "config:write",
        ),
        (
            &images,
            Method::DELETE,
            format!("/user/{USER_USER}/instance/development"),
            None,
            "config:write",
        ),
        (
            &images,
            Method::GET,
            "/project".to_owned(),
            None,
            "config:read",
        ),
        (
            &images,
            Method::GET,
            format!("/project/{CHAT}"),
            None,
            "config:read",
        ),
        (
            &images,
            Method::DELETE,
            format!("/project/{CHAT}"),
            None,
            "config:write",
        ),
    ] {
        let answer = edit(
            &service,
            key,
            method.clone(),
            &path,
            Some("\"1\""),
            body.as_ref(),
        )
        .await;
        assert_eq!(
            answer.outcome(),
            (403, "scope_missing".into()),
            "{method} {path}"
        );
        assert_eq!(answer.json()["details"]["scope"], scope, "{method} {path}");
    }
    // Any scope that writes may change a project; one that only reads may not.
    let chat = format!("/project/{CHAT}");
    let written = edit(
        &service,
        &images,
        Method::PATCH,
        &chat,
        Some("\"1\""),
        name.as_ref(),
    )
    .await;
    assert_eq!(written.status, 200, "{}", written.text());
    let reads = mint(ADMIN, json!(["config:read", "images:read"])).await;
    let refused = edit(
        &service,
        &reads,
        Method::PATCH,
        &chat,
        Some("\"2\""),
        name.as_ref(),
    )
    .await;
    assert_eq!(refused.outcome(), (403, "scope_missing".into()));
    service.settle().await;
}

/// One edit of each kind by a superadmin, with what it must leave behind as a condition over the tables.
fn edits() -> Vec<(Method, String, Option<Value>, u16, String)> {
    vec![
        (
            Method::PATCH,
            format!("/organization/{ACME}"),
            Some(json!({"name": "New"})),
            200,
            "organizations WHERE name = 'New' AND version = 2".into(),
        ),
        (
            Method::DELETE,
            "/organization/0198f0a0-0000-7000-8000-0000000000aa".into(),
            None,
            204,
            "organizations WHERE deleted_at IS NOT NULL".into(),
        ),
        (
            Method::PATCH,
            format!("/user/{USER_USER}"),
            Some(json!({"role": "admin"})),
            200,
            "users WHERE role = 'admin' AND version = 2".into(),
        ),
        (
            Method::DELETE,
            format!("/user/{USER_USER}"),
            None,
            204,
            "users u WHERE status = 'deleted' AND NOT EXISTS (SELECT 1 FROM user_instance_access a WHERE a.user_id = u.user_id) \
             AND NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.user_id = u.user_id AND k.revoked_at IS NULL)"
                .into(),
        ),
        (
            Method::PUT,
            format!("/user/{USER_USER}/instance"),
            Some(json!({"instance_ids": ["production"]})),
            200,
            format!("user_instance_access WHERE user_id = '{USER_USER}' AND instance_id = 'production' AND NOT EXISTS \
                (SELECT 1 FROM user_instance_access b WHERE b.user_id = '{USER_USER}' AND b.instance_id = 'development')"),
        ),
        (
            Method::DELETE,
            format!("/user/{USER_USER}/instance/development"),
            None,
            204,
            format!("users u WHERE user_id = '{USER_USER}' AND NOT EXISTS (SELECT 1 FROM user_instance_access a WHERE a.user_id = u.user_id)"),
        ),
        (
            Method::PATCH,
            format!("/project/{CHAT}"),
            Some(json!({"settings": {"tone": "dry"}})),
            200,
            "projects WHERE json_extract(settings, '$.tone') = 'dry' AND version = 2".into(),
        ),
        (
            Method::DELETE,
            format!("/project/{CHAT}"),
            None,
            204,
            "projects p WHERE status = 'deleted' AND NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.project_id = p.project_id AND k.revoked_at IS NULL)"
                .into(),
        ),
    ]
}

async fn with_an_empty_organization() -> Service {
    let service = Service::new();
    service.run("INSERT INTO organizations (org_id, name, billing_email, created_at, updated_at) VALUES ('0198f0a0-0000-7000-8000-0000000000aa', 'Empty', 'a@b', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z')").await;
    service.get(ROOT, "/session").await;
    service.settle().await;
    service
}

#[tokio::test]
async fn a_fault_leaves_all_of_an_edit_or_nothing() {
    for (method, path, body, good, left) in edits() {
        let name = format!("{method} {path}");
        let send = async |service: &Service| {
            edit(
                service,
                ROOT,
                method.clone(),
                &path,
                Some("\"1\""),
                body.as_ref(),
            )
            .await
        };
        // The write never arrives, and the same request does it later.
        let service = with_an_empty_organization().await;
        service.ports.world.faults.fail("database", 2, When::Before);
        assert_eq!(
            send(&service).await.outcome(),
            (503, "database_unavailable".into()),
            "{name}"
        );
        assert_eq!(
            (service.count(&left).await, service.count("audit_log").await),
            (0, 0),
            "{name}"
        );
        assert_eq!(send(&service).await.status, good, "{name}");
        assert_eq!(
            (service.count(&left).await, service.count("audit_log").await),
            (1, 1),
            "{name}"
        );
        service.settle().await;
        // It arrives and its answer is lost: the audit entry tells.
        let service = with_an_empty_organization().await;
        service.ports.world.faults.fail("database", 2, When::After);
        let done = send(&service).await;
        assert_eq!(done.status, good, "{name}: {}", done.text());
        assert_eq!(
            (service.count(&left).await, service.count("audit_log").await),
            (1, 1),
            "{name}"
        );
        service.settle().await;
        // Nothing tells it: the caller repeats and learns what is there.
        let service = with_an_empty_organization().await;
        let faults = &service.ports.world.faults;
        faults.fail("database", 2, When::After);
        faults.fail("database", 3, When::Before);
        faults.fail("database", 4, When::Before);
        assert_eq!(
            send(&service).await.outcome(),
            (503, "database_unavailable".into()),
            "{name}"
        );
        let again = send(&service).await;
        let want = match (
            &method,
            path.ends_with("/instance") || path.contains("/instance/"),
        ) {
            (_, true) => good,
            (&Method::DELETE, false) => 404,
            _ => 412,
        };
        assert_eq!(again.status, want, "{name}: {}", again.text());
        assert_eq!(
            (service.count(&left).await, service.count("audit_log").await),
            (1, 1),
            "{name}"
        );
        service.settle().await;
    }
}

#[tokio::test]
async fn an_edit_is_two_round_trips_and_a_read_is_one() {
    for (method, path, body, good, _) in edits() {
        let service = with_an_empty_organization().await;
        let calls = || service.ports.world.faults.calls("database");
        let (before, puts) = (calls(), service.ports.world.faults.calls("kv.put"));
        let done = edit(
            &service,
            ROOT,
            method.clone(),
            &path,
            Some("\"1\""),
            body.as_ref(),
        )
        .await;
        assert_eq!(done.status, good);
        assert_eq!(calls() - before, 2, "{method} {path}");
        // Workers see none of this, so nothing is published.
        assert_eq!(
            service.ports.world.faults.calls("kv.put"),
            puts,
            "{method} {path}"
        );
        service.settle().await;
    }
    let service = with_an_empty_organization().await;
    for path in ["/organization", "/user", "/access", "/project"] {
        let before = service.ports.world.faults.calls("database");
        assert_eq!(service.get(ROOT, path).await.status, 200);
        assert_eq!(
            service.ports.world.faults.calls("database") - before,
            1,
            "{path}"
        );
    }
    service.settle().await;
}
