//! Rows of provider keys whose column and envelope disagree about the key that opens them.

use crate::kek_rotation::{ADMIN_PATH, newest, run, set, start, with_keys};
use crate::support::*;
use platform::{Database, Statement};
use serde_json::{Value, json};

/// Rows of before the triggers of migration 0007 that refuse them, or written past these.
#[tokio::test]
async fn a_row_that_names_another_key_than_its_envelope_is_damaged_and_never_counts_as_moved() {
    for (row_kek, envelope_kek) in [("k2", "k1"), ("k1", "k2")] {
        let service = with_keys(envelope_kek);
        set(&service, "production", "ideogram", "p").await;
        let service = service.deployed(keyed_settings("k1", &["k1", "k2"]));
        set(&service, "development", "ideogram", "d").await;
        let change = format!(
            "UPDATE provider_credentials SET kek_id = '{row_kek}' WHERE instance_id = 'production'"
        );
        let refused = service
            .ports
            .database
            .query(Statement::new(change.clone()))
            .await
            .unwrap_err();
        assert!(
            refused
                .cause
                .contains("provider_credentials_name_their_key")
        );
        service
            .run("DROP TRIGGER provider_credentials_keep_their_key")
            .await;
        service.run(&change).await;
        let id = service
            .row("SELECT credential_id AS id FROM provider_credentials WHERE instance_id = 'production'")
            .await;
        let service = service.deployed(keyed_settings("k2", &["k1", "k2"]));
        let old_rows = async || {
            service.ports.world.clock.advance(60_000);
            let health = service.app.get("/health").send().await;
            assert_eq!(health.status, 200, "{}", health.text());
            health.json()["old_kek_rows"].clone()
        };
        assert_eq!(old_rows().await, 2);
        for dry_run in [true, false] {
            let order = json!({"to": "k2", "dry_run": dry_run});
            // Of one moment the ids would not tell which is the newest.
            service.ports.world.clock.advance(1);
            let started = service.post(ROOT, ADMIN_PATH, &order).await.json();
            assert_eq!(newest(&service).await["remaining"], 2);
            let ended = run(&service, started["rotation_id"].as_str().unwrap()).await;
            assert_eq!(
                (&ended["state"], &ended["done"], &ended["failed"]),
                (&json!("failed"), &json!(1), &json!(1)),
                "{ended}"
            );
            assert_eq!(
                ended["unopened"],
                json!([{"instance_id": "production", "credential_id": id.text("id"), "kek_id": envelope_kek, "row_kek_id": row_kek}])
            );
            assert_eq!(ended["safe_to_remove_after"], Value::Null);
        }
        assert_eq!(old_rows().await, 1);
        let told = service
            .app
            .lines()
            .into_iter()
            .find(|line| line["level"] == "ERROR" && line["metadata"]["row_kek_id"] == row_kek);
        assert!(told.is_some());
        // Entered again it is well.
        set(&service, "production", "ideogram", "again").await;
        let rotation = start(&service, "k2").await;
        let ended = run(&service, &rotation).await;
        assert_eq!(ended["state"], "done");
        assert_eq!(old_rows().await, 0);
        assert_ne!(ended["safe_to_remove_after"], Value::Null);
        service.settle().await;
    }
}
