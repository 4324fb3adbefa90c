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
            "bindings": {"DB": "ok", "CONFIG": "ok", "AUTH_GUARD": "ok", "LOG_SINK": "absent"}, "kek_ids": ["k1"], "pepper_ids": ["p1"],
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

#[tokio::test]
async fn without_the_counter_of_wrong_keys_the_deployment_is_unhealthy_and_says_so() {
    let service = Service::new().unguarded();
    let answer = service.app.get("/health").send().await;
    let body = answer.json();
    assert_eq!(
        (
            answer.status.as_u16(),
            &body["status"],
            &body["bindings"]["AUTH_GUARD"]
        ),
        (503, &json!("unhealthy"), &json!("absent"))
    );
    let wrong = json!({"v": 1, "credential": tampered(ADMIN), "need": "principal", "client_ip": "203.0.113.9"});
    for _ in 0..20 {
        assert_eq!(service.resolve("image-gen", &wrong).await.status, 401);
    }
    let told = async |ms: u64| {
        service.ports.world.clock.advance(ms);
        service.resolve("image-gen", &wrong).await;
        let lines = service.app.lines();
        let told = lines.iter().filter(|line| {
            line["level"] == "ERROR" && line.to_string().contains("AUTH_GUARD is not bound")
        });
        told.count()
    };
    assert_eq!(told(59_999).await, 1);
    assert_eq!(told(1).await, 2);
}

#[tokio::test]
async fn kv_that_does_not_answer_is_told_and_everything_goes_on() {
    let service = Service::new();
    service
        .ports
        .world
        .faults
        .fail_every("kv.get", When::Before);
    let health = async || {
        let answer = service.app.get("/health").send().await;
        let body = answer.json();
        (
            answer.status.as_u16(),
            body["status"].as_str().unwrap().to_owned(),
            body["bindings"]["CONFIG"].as_str().unwrap().to_owned(),
        )
    };
    let weak = (200, "degraded".to_owned(), "error".to_owned());
    assert_eq!(health().await, weak);
    service.ports.world.faults.heal_all();
    assert_eq!(health().await, weak, "asked once a minute");
    service.ports.world.clock.advance(60_000);
    assert_eq!(health().await, (200, "ok".to_owned(), "ok".to_owned()));
}
