//! Access of users to instances: replaced as a set, revoked, listed, bounded.
#![expect(clippy::unwrap_used, reason = "tests")]

use crate::edits::edit;
use crate::support::*;
use http::Method;
use middleware::testing::TestResponse;
use serde_json::{Value, json};

async fn replace(service: &Service, key: &str, user: &str, ids: Value) -> TestResponse {
    let path = format!("/user/{user}/instance");
    service.put(key, &path, &json!({"instance_ids": ids})).await
}

async fn grants(service: &Service, key: &str, query: &str) -> Vec<String> {
    let list = service.get(key, &format!("/access{query}")).await;
    assert_eq!(list.status, 200, "{}", list.text());
    let items = list.json()["items"].as_array().cloned().unwrap_or_default();
    let short = |item: &Value| {
        let user = item["user_id"].as_str().unwrap();
        format!(
            "{} {}",
            &user[user.len() - 1..],
            item["instance_id"].as_str().unwrap()
        )
    };
    items.iter().map(short).collect()
}

async fn narrow(service: &Service, instance: &str) -> String {
    let body = json!({"name": "narrow", "instance_ids": [instance]});
    let minted = service.post(ADMIN, "/api-key", &body).await;
    minted.json()["api_key"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_set_is_replaced_whole_and_repeating_changes_nothing() {
    let service = Service::new();
    let first = replace(
        &service,
        ADMIN,
        USER_USER,
        json!(["production", "production"]),
    )
    .await;
    assert_eq!(first.status, 200, "{}", first.text());
    let mut told = first.json();
    told.as_object_mut().unwrap().remove("request_id");
    assert_eq!(
        told,
        json!({"added": ["production"], "removed": ["development"]})
    );
    assert_eq!(service.get(USER, "/instance/production").await.status, 200);
    assert_eq!(service.get(USER, "/instance/development").await.status, 403);
    let again = replace(&service, ADMIN, USER_USER, json!(["production"]))
        .await
        .json();
    assert_eq!(
        (&again["added"], &again["removed"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(service.count("audit_log").await, 1);
    let row = service
        .row("SELECT action, before, after, target_id FROM audit_log")
        .await;
    assert_eq!(
        (row.text("action"), row.text("target_id")),
        (Some("replace_access"), Some(USER_USER))
    );
    assert_eq!(row.text("before"), Some(r#"{"access":["development"]}"#));
    assert_eq!(row.text("after"), Some(r#"{"access":["production"]}"#));
    let row = service
        .row(&format!(
            "SELECT granted_by FROM user_instance_access WHERE user_id = '{USER_USER}'"
        ))
        .await;
    assert_eq!(row.text("granted_by"), Some("key:4fGh7kQ2mZ0a"));
    let none = replace(&service, ADMIN, USER_USER, json!([])).await.json();
    assert_eq!(none["removed"], json!(["production"]));
    // One stranger among them, and nothing is written.
    for stranger in ["foreign", "nowhere"] {
        let refused = replace(&service, ADMIN, USER_USER, json!(["production", stranger])).await;
        assert_eq!(refused.outcome(), (404, "not_found".into()));
    }
    let many: Vec<String> = (0..101).map(|n| format!("i{n}")).collect();
    for (body, code) in [
        (json!({"instance_ids": many}), "invalid_field"),
        (json!({"instance_ids": ["A B"]}), "invalid_field"),
        (json!({"instance_ids": "production"}), "invalid_field"),
        (json!({}), "invalid_field"),
        (
            json!({"instance_ids": [], "user_id": USER_USER}),
            "unknown_field",
        ),
    ] {
        let refused = service
            .put(ADMIN, &format!("/user/{USER_USER}/instance"), &body)
            .await;
        assert_eq!(refused.outcome(), (400, code.into()), "{body}");
    }
    assert_eq!(grants(&service, ADMIN, "").await, Vec::<String>::new());
    assert_eq!(service.count("audit_log").await, 2);
    // Superadmins have no organization, so no instance is one of theirs.
    assert_eq!(
        replace(&service, ROOT, ROOT_USER, json!(["production"]))
            .await
            .status,
        404
    );
    // Nothing of this is published: nobody authorizes by the copies.
    assert!(service.ports.kv.keys().is_empty());
    service.settle().await;
}

#[tokio::test]
async fn revoking_access_is_repeatable_and_holds_at_once() {
    let service = Service::new();
    let path = format!("/user/{USER_USER}/instance/development");
    for _ in 0..2 {
        let gone = service.delete(ADMIN, &path).await;
        assert_eq!(
            (gone.status.as_u16(), gone.body.len()),
            (204, 0),
            "{}",
            gone.text()
        );
    }
    assert_eq!(service.count("audit_log").await, 1);
    let row = service
        .row("SELECT action, before, after, instance_id FROM audit_log")
        .await;
    assert_eq!(
        (row.text("action"), row.text("instance_id")),
        (Some("revoke_access"), Some("development"))
    );
    assert_eq!(
        (row.text("before"), row.text("after")),
        (Some(r#"{"access":"development"}"#), None)
    );
    assert_eq!(service.get(USER, "/instance/development").await.status, 403);
    let verdict = service
        .resolve("image-gen", &ask(USER, Some("development")))
        .await;
    assert_eq!(verdict.outcome(), (403, "forbidden".into()));
    // Granting again, twice, is one more entry.
    for _ in 0..2 {
        assert_eq!(service.put(ADMIN, &path, &json!({})).await.status, 204);
    }
    assert_eq!(service.count("audit_log").await, 2);
    assert_eq!(service.get(USER, "/instance/development").await.status, 200);
    service.settle().await;
}

#[tokio::test]
async fn a_restricted_key_gives_and_takes_within_its_reach_only() {
    let service = Service::new();
    let key = narrow(&service, "development").await;
    let production = format!("/user/{USER_USER}/instance/production");
    assert_eq!(
        service.put(&key, &production, &json!({})).await.outcome(),
        (403, "forbidden".into())
    );
    assert_eq!(
        service.delete(&key, &production).await.outcome(),
        (403, "forbidden".into())
    );
    let both = json!(["development", "production"]);
    assert_eq!(
        replace(&service, &key, USER_USER, both.clone())
            .await
            .outcome(),
        (403, "forbidden".into())
    );
    replace(&service, ADMIN, USER_USER, both.clone()).await;
    // Taking what it does not reach is refused; leaving it is not.
    assert_eq!(
        replace(&service, &key, USER_USER, json!(["development"]))
            .await
            .outcome(),
        (403, "forbidden".into())
    );
    assert_eq!(grants(&service, ADMIN, "").await.len(), 2);
    let taken = replace(&service, &key, USER_USER, json!(["production"]))
        .await
        .json();
    assert_eq!(
        (&taken["added"], &taken["removed"]),
        (&json!([]), &json!(["development"]))
    );
    assert_eq!(replace(&service, &key, USER_USER, both).await.status, 200);
    assert_eq!(grants(&service, &key, "").await, ["2 development"]);
    service.settle().await;
}

#[tokio::test]
async fn grants_are_listed_for_the_matrix_of_users_and_instances() {
    let service = Service::new();
    replace(
        &service,
        ADMIN,
        USER_USER,
        json!(["development", "production"]),
    )
    .await;
    replace(&service, ADMIN, ADMIN_USER, json!(["production"])).await;
    let all = ["2 development", "2 production", "1 production"];
    assert_eq!(grants(&service, ADMIN, "").await, all);
    assert_eq!(
        grants(&service, ROOT, "").await,
        ["4 foreign", "2 development", "2 production", "1 production"]
    );
    assert_eq!(
        grants(&service, ADMIN, &format!("?user_id={USER_USER}")).await,
        all[..2]
    );
    assert_eq!(
        grants(&service, ADMIN, "?instance_id=production").await,
        all[1..]
    );
    assert!(
        grants(&service, ADMIN, "?instance_id=foreign")
            .await
            .is_empty()
    );
    assert!(
        grants(&service, ADMIN, &format!("?user_id={FOREIGN_USER}"))
            .await
            .is_empty()
    );
    assert!(
        grants(&service, ADMIN, &format!("?org_id={FOREIGN_LTD}"))
            .await
            .is_empty()
    );
    assert_eq!(
        grants(&service, ROOT, &format!("?org_id={FOREIGN_LTD}")).await,
        ["4 foreign"]
    );
    let first = service.get(ADMIN, "/access?limit=1").await.json();
    assert_eq!(first["items"][0]["granted_by"], "seed");
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let query = format!("?limit=1{cursor}");
        seen.extend(grants(&service, ADMIN, &query).await);
        let page = service.get(ADMIN, &format!("/access{query}")).await.json();
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, all);
    let other = service
        .get(ADMIN, &format!("/access?instance_id=production{cursor}"))
        .await;
    assert_eq!(other.outcome(), (400, "invalid_cursor".into()));
    let wrong = service.get(ADMIN, "/access?user_id=x").await;
    assert_eq!(wrong.outcome(), (400, "invalid_field".into()));
    service.settle().await;
}

#[tokio::test]
async fn racers_do_not_pass_the_limit_of_an_instance_together() {
    let service = Service::new();
    service.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 502) INSERT INTO users (user_id, email, role, org_id, created_at, updated_at) \
        SELECT printf('0198f0a1-0000-7000-8000-1%011d', i), printf('u%d@acme.example', i), 'user', '0198f0a0-0000-7000-8000-000000000001', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z' FROM n").await;
    service.run("INSERT INTO user_instance_access SELECT user_id, 'production', created_at, 's' FROM users WHERE user_id BETWEEN '0198f0a1-0000-7000-8000-100000000001' AND '0198f0a1-0000-7000-8000-100000000499'").await;
    service.ports.world.faults.slow("database", 5);
    let single = "/user/0198f0a1-0000-7000-8000-100000000500/instance/production";
    let none = json!({});
    let (one, two, three) = futures_util::join!(
        service.put(ADMIN, single, &none),
        replace(
            &service,
            ADMIN,
            "0198f0a1-0000-7000-8000-100000000501",
            json!(["production"])
        ),
        replace(
            &service,
            ADMIN,
            "0198f0a1-0000-7000-8000-100000000502",
            json!(["development", "production"])
        ),
    );
    let answers = [one, two, three];
    let good = answers
        .iter()
        .filter(|answer| answer.status.as_u16() < 300)
        .count();
    let full: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 409)
        .collect();
    assert_eq!((good, full.len()), (1, 2));
    assert!(
        full.iter()
            .all(|answer| answer.outcome().1 == "quota_reached")
    );
    assert_eq!(
        service
            .count("user_instance_access WHERE instance_id = 'production'")
            .await,
        500
    );
    // Nothing of a refused set stays.
    let rest = service
        .count("user_instance_access WHERE user_id = '0198f0a1-0000-7000-8000-100000000502'")
        .await;
    assert!(rest == 0 || rest == 2, "{rest}");
    service.ports.world.faults.heal_all();
    let who = "/user/0198f0a1-0000-7000-8000-100000000001/instance/production";
    assert_eq!(
        edit(&service, ADMIN, Method::DELETE, who, None, None)
            .await
            .status,
        204
    );
    let freed = replace(&service, ADMIN, USER_USER, json!(["production"])).await;
    assert_eq!(freed.status, 200, "{}", freed.text());
    service.settle().await;
}
