//! `GET /health`.

use crate::support::*;
use platform::fakes::When;
use serde_json::json;

#[tokio::test]
async fn health_names_what_is_missing() {
    let service = Service::new();
    let good = service.app.get("/health").send().await;
    assert_eq!(good.status, 200);
    assert_eq!(
        good.json(),
        json!({
            "status": "ok", "version": env!("CARGO_PKG_VERSION"), "version_id": null, "git_sha": "ab12cd3",
            "bindings": {"DB": "ok", "CONFIG": "ok", "LOG_SINK": "absent"}, "kek_ids": ["k1"], "pepper_ids": ["p1"],
            "old_kek_rows": 0, "old_pepper_rows": 0,
        })
    );
    let vars = |name: &str| match name {
        "KEK_CURRENT" => Some("k1".to_owned()),
        "KEY_PEPPER_CURRENT" => Some("p1".to_owned()),
        "KEK_k1" => Some("not base64 of 32 bytes".to_owned()),
        _ => None,
    };
    let broken = Service::with(config_service::settings::Settings::read(
        &["KEK_k1".to_owned()],
        vars,
    ));
    let answer = broken.app.get("/health").send().await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.json()["missing_secrets"],
        json!(["KEK_k1", "KEY_PEPPER_p1"])
    );
    assert_eq!(
        broken.get(ADMIN, "/session").await.outcome(),
        (500, "internal_error".into())
    );
    let down = Service::new();
    down.ports.world.faults.fail_every("database", When::Before);
    let answer = down.app.get("/health").send().await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.json()["bindings"]["DB"].clone()
        ),
        (503, json!("error"))
    );
}
