//! What callers see while config-service is away, and how often it is asked meanwhile.

use crate::worker::{House, reply};
use api_types::{InstanceStatus, Scope};
use serde_json::{Value, json};

fn warnings(house: &House) -> Vec<Value> {
    let lines = house.app.lines().into_iter();
    lines
        .filter(|line| line["level"] == "WARN" && line["metadata"]["age_ms"].is_u64())
        .collect()
}

/// Values of the gauge of stale configurations, in order.
fn gauged(house: &House) -> Vec<u64> {
    let lines = house.app.lines().into_iter();
    let of = |line: &Value| {
        let metadata = &line["metadata"];
        let is = metadata["event"] == "gauge" && metadata["name"] == "stale_config_ms";
        is.then(|| {
            assert_eq!(metadata["label"], "development");
            metadata["value"].as_u64().unwrap()
        })
    };
    lines.filter_map(|line| of(&line)).collect()
}

/// The verdict names a version whose configuration cannot be had: the older one is served, its age is told in every
/// answer, and the log says so once a minute.
#[tokio::test]
async fn a_configuration_that_cannot_be_confirmed_tells_its_age() {
    let house = House::new();
    let models = async || house.app.get("/v1/models").key(&house.key).send().await;
    assert_eq!(models().await.header("x-config-age-ms"), "");

    let mut newer = reply(InstanceStatus::Active, &[Scope::All]);
    newer.config = None;
    if let Some(instance) = &mut newer.instance {
        instance.config_version = 18;
    }
    house.source.answer(&house.key, Ok(newer));
    house.source.set_configs_down(true);
    let clock = house.deps.ports.world.clock.clone();
    let mut told = 0;
    for second in 1..=130 {
        clock.advance(1_000);
        let answer = models().await;
        assert_eq!(answer.status, 200, "{second}: {}", answer.text());
        if let Ok(age_ms) = answer.header("x-config-age-ms").parse::<u64>() {
            assert!(age_ms + 1_000 >= second * 1_000, "{second}: {age_ms}");
            told += 1;
        } else {
            assert!(second < 5, "{second}: no age");
        }
        house.deps.ports.background.drain().await;
    }
    assert!(told >= 125, "{told}");
    let warned = warnings(&house).len();
    assert!((2..=3).contains(&warned), "{warned} lines in 130 s");
    let ages = gauged(&house);
    assert_eq!(ages.len(), warned, "{ages:?}");
    assert!(ages.is_sorted() && ages[0] > 0, "{ages:?}");

    house.source.set_configs_down(false);
    let mut whole = reply(InstanceStatus::Active, &[Scope::All]);
    if let (Some(instance), Some(config)) = (&mut whole.instance, &mut whole.config) {
        instance.config_version = 18;
        config.config_version = 18;
    }
    house.source.answer(&house.key, Ok(whole));
    clock.advance(40_000);
    let answer = models().await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-config-age-ms")),
        (200, "")
    );
    assert_eq!(gauged(&house)[warned..], [0], "fresh again, told once");
    assert_eq!(models().await.status, 200);
    assert_eq!(gauged(&house).len(), warned + 1);
}

#[tokio::test]
async fn without_a_verdict_new_work_is_503_with_retry_after_and_comes_back_by_itself() {
    let house = House::new();
    let body = json!({"prompt": "x"});
    let post = async || {
        house
            .app
            .post("/generate")
            .key(&house.key)
            .json(&body)
            .send()
            .await
    };
    assert_eq!(post().await.status, 200);
    house.source.set_down(true);
    let clock = house.deps.ports.world.clock.clone();
    clock.advance(4_999);
    assert_eq!(
        post().await.status,
        200,
        "the verdict is not yet five seconds old"
    );
    house.deps.ports.background.abandon();
    clock.advance(1);
    let refused = post().await;
    assert_eq!(refused.outcome(), (503, "config_unavailable".into()));
    assert_eq!(refused.header("retry-after"), "2");
    assert_eq!(refused.header("x-should-retry"), "true");
    // One request is two attempts, and no layer above repeats it.
    assert_eq!(house.source.asked().len(), 1 + 2);
    house.source.set_down(false);
    clock.advance(2_000);
    assert_eq!(post().await.status, 200);
}
