//! Planted secrets.

use crate::support::*;
use serde_json::{Value, json};

/// Secrets planted in headers and bodies come back in no answer and stand in no log line.
#[tokio::test]
async fn planted_secrets_are_nowhere() {
    let service = Service::new();
    let mut texts = Vec::new();
    let provider = "canary-provider-0123456789abcdef";
    for (path, body) in [
        (
            "/instance",
            json!({"name": "Canary", "config": {"api_keys": {"openai": provider}}}),
        ),
        (
            "/instance",
            json!({"name": "Canary 2", "config": {"api_keys": {"openai": provider, "nobody": provider}}}),
        ),
        (
            "/instance",
            json!({"name": "Canary 3", "config": {"api_keys": {"openai": {"x": provider}}}}),
        ),
    ] {
        texts.push(service.post(ADMIN, path, &body).await.text());
    }
    let path = "/instance/production/provider-key/openai";
    texts.push(
        service
            .put(
                ADMIN,
                path,
                &json!({"api_key": provider, "webhook_secret": provider}),
            )
            .await
            .text(),
    );
    texts.push(
        service
            .put(
                ADMIN,
                path,
                &json!({"api_key": provider, "wrong": provider}),
            )
            .await
            .text(),
    );
    texts.push(
        service
            .put(ADMIN, path, &json!({"api_key": [provider]}))
            .await
            .text(),
    );
    for body in [
        json!({"api_key": provider, "webhook_secret": provider}),
        json!({"api_key": provider, "account": "a\u{0}"}),
        json!({"api_key": provider, "keep_previous_s": provider}),
    ] {
        let path = format!("{path}/rotate");
        texts.push(service.post(ADMIN, &path, &body).await.text());
    }
    texts.push(service.delete(ADMIN, path).await.text());
    texts.push(service.get(ADMIN, "/instance/canary").await.text());
    texts.push(
        service
            .get(ADMIN, "/instance/production/provider-key")
            .await
            .text(),
    );
    texts.push(service.get(ADMIN, "/api-key").await.text());
    texts.push(service.get(REVOKED, "/session").await.text());
    texts.push(
        service
            .resolve("image-gen", &ask(ADMIN, Some("canary")))
            .await
            .text(),
    );
    texts.push(
        service
            .resolve("image-gen", &ask(REVOKED, Some("canary")))
            .await
            .text(),
    );
    texts.push(
        service
            .resolve("image-gen", &json!({"credential": ADMIN, "need": ADMIN}))
            .await
            .text(),
    );
    service.settle().await;
    texts.extend(service.app.lines().iter().map(Value::to_string));
    for key in service.ports.kv.keys() {
        texts.push(service.ports.kv.newest(&key).unwrap());
    }
    let admin_secret = &ADMIN[16..59];
    for text in &texts {
        for secret in [provider, ADMIN, admin_secret, REVOKED, "edf52ce9a2b9c957"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    for table in [
        "instances",
        "instance_effective",
        "provider_credentials",
        "audit_log",
        "idempotency",
        "api_keys",
    ] {
        let rows = platform::Database::query(
            &service.ports.database,
            platform::Statement::new(format!("SELECT * FROM {table}")),
        )
        .await
        .unwrap();
        let text = format!("{:?}", rows.rows);
        assert!(
            !text.contains(provider) && !text.contains(admin_secret),
            "{table}"
        );
    }
}
