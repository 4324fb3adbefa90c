//! Which key was presented, and what happens to it.

use crate::worker::House;
use serde_json::{Value, json};

fn body() -> Value {
    json!({"prompt": "a lighthouse"})
}

#[tokio::test]
async fn malformed_keys_are_refused_without_any_io() {
    let house = House::new();
    let key = house.key.clone();
    let mut changed = key.clone();
    let last = changed.pop().unwrap();
    changed.push(if last == 'a' { 'b' } else { 'a' });
    let cut = key[..key.len() - 1].to_owned();
    for bad in [
        changed,
        key.to_ascii_lowercase(),
        cut,
        format!("{} {}", &key[..20], &key[20..]),
        format!("sy_{key}"),
        format!(" {key}"),
        format!("{key} "),
        "sy_".to_owned() + &"a".repeat(10_240),
        String::new(),
        "null".to_owned(),
    ] {
        let answers = [
            house
                .app
                .post("/generate")
                .key(&bad)
                .json(&body())
                .send()
                .await,
            house
                .app
                .post("/generate")
                .json(&json!({"prompt": "x", "api_key": bad}))
                .send()
                .await,
        ];
        for answer in answers {
            let big = bad.len() > 1_000 && answer.status == 413;
            assert!(big || answer.status == 401, "{bad}: {}", answer.status);
            assert!(!answer.text().contains(&key[16..40]), "{bad}");
        }
    }
    for value in [
        format!("Basic {key}"),
        key.clone(),
        format!("Bearer{key}"),
        "Bearer".to_owned(),
    ] {
        let answer = house
            .app
            .post("/generate")
            .header("authorization", &value)
            .json(&body())
            .send()
            .await;
        assert_eq!(answer.status, 401, "{value}");
    }
    let twice = house
        .app
        .post("/generate")
        .key(&key)
        .key(&key)
        .json(&body())
        .send()
        .await;
    assert_eq!(twice.status, 401);
    assert!(house.source.asked().is_empty());
    assert_eq!(
        house.deps.ports.world.ops.count(),
        platform::OpsCount::default()
    );
}

#[tokio::test]
async fn the_bearer_scheme_has_no_case() {
    let house = House::new();
    let value = format!("bEARER {}", house.key);
    let answer = house
        .app
        .post("/generate")
        .header("authorization", &value)
        .json(&body())
        .send()
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_body_may_carry_the_key_and_nobody_sees_it() {
    let house = House::new();
    let sent = json!({"prompt": "a lighthouse", "api_key": house.key, "n": 2});
    let answer = house.app.post("/generate").json(&sent).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["body"]["n"], 2);
    assert_eq!(house.source.asked()[0].credential.expose(), house.key);
    // Where the route has no such mark it is a member like any other: none.
    let answer = house
        .app
        .post("/v1/models")
        .json(&json!({"api_key": house.key}))
        .send()
        .await;
    assert_eq!(answer.status, 405);
}

#[tokio::test]
async fn the_header_wins_over_the_body() {
    let house = House::new();
    for other in [json!("nonsense"), json!(5), json!(null), json!({"a": 1})] {
        let sent = json!({"prompt": "a lighthouse", "api_key": other});
        let answer = house
            .app
            .post("/generate")
            .key(&house.key)
            .json(&sent)
            .send()
            .await;
        assert_eq!(answer.status, 200, "{other}");
    }
    let sent = json!({"prompt": "a lighthouse", "api_key": house.key});
    let answer = house
        .app
        .post("/generate")
        .key("nonsense")
        .json(&sent)
        .send()
        .await;
    assert_eq!(answer.status, 401);
    for other in [json!(5), json!(null), json!([])] {
        let sent = json!({"prompt": "a lighthouse", "api_key": other});
        let answer = house.app.post("/generate").json(&sent).send().await;
        assert_eq!(answer.outcome(), (401, "auth_failed".into()), "{other}");
    }
}

#[tokio::test]
async fn hints_must_agree_and_have_their_form() {
    let house = House::new();
    let ask = |header: &str, body: &Value| {
        let request = house.app.post("/generate").key(&house.key);
        let request = if header.is_empty() {
            request
        } else {
            request.header("x-instance-id", header)
        };
        request.json(body)
    };
    let named = |instance: &str| json!({"prompt": "x", "instance_id": instance});
    assert_eq!(
        ask("development", &named("development"))
            .send()
            .await
            .status,
        200
    );
    assert_eq!(
        ask("development", &named("production"))
            .send()
            .await
            .outcome(),
        (400, "conflicting_instance".into())
    );
    let long = "a".repeat(41);
    for bad in ["../x", "Development", long.as_str(), "", "platform"] {
        if !bad.is_empty() {
            let answer = ask(bad, &body()).send().await;
            assert_eq!(answer.outcome(), (400, "invalid_field".into()), "{bad}");
            assert_eq!(answer.json()["details"]["field"], "X-Instance-ID");
        }
        let answer = ask("", &named(bad)).send().await;
        assert_eq!(answer.outcome(), (400, "invalid_field".into()), "{bad}");
        assert_eq!(answer.json()["details"]["field"], "instance_id");
    }
    assert_eq!(
        ask("../x", &body())
            .header("authorization", "Bearer x")
            .send()
            .await
            .status,
        401
    );
    let asked = house.source.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].instance_hint.as_deref(), Some("development"));
}

#[tokio::test]
async fn public_routes_refuse_nobody_unless_they_ask() {
    let house = House::new();
    let nonsense = "Bearer nonsense";
    assert_eq!(
        house
            .app
            .get("/health")
            .header("authorization", nonsense)
            .send()
            .await
            .status,
        200
    );
    let none = house.app.get("/images/a/b").send().await;
    assert_eq!(none.json(), json!({"key": null, "instance": null}));
    let some = house
        .app
        .get("/images/a/b")
        .key(&house.key)
        .header("x-instance-id", "development")
        .send()
        .await;
    assert_eq!(some.json()["instance"], "development");
    assert!(some.json()["key"].is_string());
    let bad = house
        .app
        .get("/images/a/b")
        .header("authorization", nonsense)
        .send()
        .await;
    assert_eq!(bad.status, 401);
}

/// Planted wherever a caller can put one: no answer and no line repeats it.
#[tokio::test]
async fn planted_keys_appear_in_no_answer_and_no_line() {
    let house = House::new();
    let key = house.key.clone();
    let secret = &key[16..];
    let texts = [
        format!("{{\"prompt\":\"{key}\",\"n\":\"{key}\"}}"),
        format!("{{\"{key}\":1}}"),
        format!("{{\"prompt\":\"x\",\"options\":{{\"quality\":\"{key}\"}}}}"),
        format!("{{\"prompt\":\"x\",\"api_key\":\"{key}\",\"api_key\":\"{key}\"}}"),
        format!("{{\"prompt\":\"x\",\"api_key\":\"{key}\""),
        format!("{{\"prompt\":\"x\",\"instance_id\":\"{key}\"}}"),
        key.clone(),
    ];
    let mut answers = Vec::new();
    for text in texts {
        answers.push(
            house
                .app
                .post("/generate")
                .key(&key)
                .text("application/json", text.clone())
                .send()
                .await,
        );
        answers.push(
            house
                .app
                .post("/generate")
                .text("application/json", text)
                .send()
                .await,
        );
    }
    for path in [
        format!("/jobs/1?{key}=1"),
        format!("/jobs/1?limit={key}"),
        format!("/{key}"),
        format!("/images/{key}?api_key={key}"),
    ] {
        answers.push(house.app.get(&path).key(&key).send().await);
    }
    answers.push(
        house
            .app
            .get("/health")
            .header("x-request-id", &key)
            .header("traceparent", &key)
            .send()
            .await,
    );
    answers.push(
        house
            .app
            .get("/v1/models")
            .key(&key)
            .header("x-instance-id", &key)
            .header("if-match", &key)
            .send()
            .await,
    );
    for answer in &answers {
        let shown = format!("{:?} {}", answer.headers, answer.text());
        assert!(!shown.contains(secret), "{shown}");
    }
    let lines = house.app.lines();
    assert!(lines.len() >= answers.len());
    for line in lines {
        assert!(!line.to_string().contains(secret), "{line}");
    }
}
