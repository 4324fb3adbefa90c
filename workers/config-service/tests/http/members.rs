//! Which members of a PATCH are refused, and which forms of its header and body.

use crate::edits::edit;
use crate::support::*;
use http::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn members_that_people_do_not_edit_are_refused_and_nothing_changes() {
    let service = Service::new();
    let patch = async |path: &str, body: &Value| {
        edit(
            &service,
            ROOT,
            Method::PATCH,
            path,
            Some("\"1\""),
            Some(body),
        )
        .await
    };
    let (organization, user, project) = (
        format!("/organization/{ACME}"),
        format!("/user/{USER_USER}"),
        format!("/project/{CHAT}"),
    );
    for (path, member, code) in [
        (&organization, "org_id", "read_only_field"),
        (&organization, "version", "read_only_field"),
        (&organization, "created_at", "read_only_field"),
        (&organization, "key_hash", "unknown_field"),
        (&organization, "created_by", "unknown_field"),
        (&user, "org_id", "read_only_field"),
        (&user, "version", "read_only_field"),
        (&user, "email", "read_only_field"),
        (&user, "instances", "read_only_field"),
        (&user, "permissions", "read_only_field"),
        (&user, "last_seen_at", "read_only_field"),
        (&user, "key_hash", "unknown_field"),
        (&user, "created_by", "unknown_field"),
        (&project, "org_id", "read_only_field"),
        (&project, "instance_id", "read_only_field"),
        (&project, "version", "read_only_field"),
        (&project, "created_by", "read_only_field"),
        (&project, "status", "read_only_field"),
        (&project, "key_hash", "unknown_field"),
    ] {
        for value in [json!("x"), Value::Null] {
            let answer = patch(path, &json!({"name": "New", member: value})).await;
            assert_eq!(answer.outcome(), (400, code.into()), "{path} {member}");
            assert_eq!(answer.json()["details"]["field"], member, "{path}");
        }
    }
    let route = patch(&user, &json!({"instances": []})).await.json();
    assert_eq!(route["details"]["route"], "PUT /user/{user_id}/instance");
    for (path, body) in [
        (&organization, json!([])),
        (&organization, json!({"name": null})),
        (&organization, json!({"name": " "})),
        (&organization, json!({"billing_email": "nobody"})),
        (&organization, json!({"status": "closed"})),
        (&user, json!("x")),
        (&user, json!({"role": null})),
        (&user, json!({"role": "owner"})),
        (&user, json!({"status": "deleted"})),
        (&user, json!({"name": ""})),
        (&project, json!(null)),
        (&project, json!({"name": null})),
        (&project, json!({"name": "x".repeat(201)})),
        (&project, json!({"settings": []})),
        (
            &project,
            json!({"settings": {"text": "x".repeat(16 * 1024)}}),
        ),
    ] {
        let answer = patch(path, &body).await;
        assert_eq!(
            answer.outcome(),
            (400, "invalid_field".into()),
            "{path} {body}"
        );
    }
    // The form of If-Match: quotes; weak tags match nothing; any member may match.
    let name = json!({"name": "New"});
    for path in [&organization, &user, &project] {
        for (tag, want) in [
            (None, (428, "precondition_required")),
            (Some("1"), (400, "invalid_field")),
            (Some("W/\"1\""), (412, "version_mismatch")),
            (Some("\"0\""), (412, "version_mismatch")),
        ] {
            for (method, body) in [(Method::PATCH, Some(&name)), (Method::DELETE, None)] {
                let answer = edit(&service, ROOT, method, path, tag, body).await;
                assert_eq!(
                    answer.outcome(),
                    (want.0, want.1.to_owned()),
                    "{path} {tag:?}"
                );
            }
        }
    }
    assert_eq!(service.count("audit_log").await, 0);
    for path in [&organization, &user, &project] {
        let listed = edit(
            &service,
            ROOT,
            Method::PATCH,
            path,
            Some("\"9\", \"1\""),
            Some(&name),
        )
        .await;
        assert_eq!(listed.status, 200, "{}", listed.text());
    }
    let plain = service
        .app
        .request(Method::PATCH, &project)
        .key(ROOT)
        .header("if-match", "*")
        .text("application/merge-patch+json", r#"{"name":"Newer"}"#)
        .send()
        .await;
    assert_eq!(plain.json()["name"], "Newer");
    let text = service
        .app
        .request(Method::PATCH, &project)
        .key(ROOT)
        .header("if-match", "*")
        .text("text/plain", "{}")
        .send()
        .await;
    assert_eq!(text.outcome(), (415, "unsupported_media_type".into()));
    service.settle().await;
}
