//! What is wrong with a body is said by member and rule.

use crate::worker::House;
use axum::body::Body;
use serde_json::{Value, json};

async fn ask(text: &str) -> (u16, Value) {
    let house = House::new();
    let answer = house
        .app
        .post("/generate")
        .key(&house.key)
        .text("application/json", text.to_owned())
        .send()
        .await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn each_mistake_names_its_member() {
    for (text, code, field) in [
        (r#"{"prompt":"x","promt":1}"#, "unknown_field", "promt"),
        (
            r#"{"prompt":"x","options":{"qualty":"low"}}"#,
            "unknown_field",
            "options.qualty",
        ),
        ("{}", "invalid_field", "prompt"),
        (r#"{"prompt":5}"#, "invalid_field", "prompt"),
        (r#"{"prompt":"x","n":-1}"#, "invalid_field", "n"),
        (r#"{"prompt":"x","n":"2"}"#, "invalid_field", "n"),
        (r#"{"prompt":"x","n":1.5}"#, "invalid_field", "n"),
        (
            r#"{"prompt":"x","options":{"quality":"best"}}"#,
            "invalid_field",
            "options.quality",
        ),
        (
            r#"{"prompt":"x","options":{"seeds":[1,2,"3"]}}"#,
            "invalid_field",
            "options.seeds[2]",
        ),
        (r#"{"prompt":"x","options":[]}"#, "invalid_field", "options"),
        (r#"{"prompt":"x","prompt":"y"}"#, "invalid_field", "prompt"),
        ("[]", "invalid_field", "body"),
        (r#""prompt""#, "invalid_field", "body"),
        ("null", "invalid_field", "body"),
    ] {
        let (status, body) = ask(text).await;
        assert_eq!(
            (status, body["error"].as_str()),
            (400, Some(code)),
            "{text}: {body}"
        );
        assert_eq!(body["details"]["field"], field, "{text}: {body}");
        assert!(
            !body["message"].as_str().unwrap().contains("struct"),
            "{body}"
        );
    }
    for text in ["", " ", "{", "{}{}", "{\"prompt\":NaN}", "{\"n\":1e999}"] {
        assert_eq!(ask(text).await.1["error"], "invalid_request", "{text}");
    }
}

#[tokio::test]
async fn a_misspelt_member_is_recognised() {
    let (_, body) = ask(r#"{"prompt":"x","instanceid":"a"}"#).await;
    assert_eq!(body["details"]["did_you_mean"], "instance_id");
    assert_eq!(body["hint"], "Did you mean instance_id?");
    let (_, body) = ask(r#"{"prompt":"x","zzzzzzzz":"a"}"#).await;
    assert_eq!(body["details"].get("did_you_mean"), None);
    assert!(
        body["details"]["allowed"]
            .as_array()
            .unwrap()
            .contains(&json!("prompt"))
    );
}

#[tokio::test]
async fn allowed_values_are_listed() {
    let (_, body) = ask(r#"{"prompt":"x","options":{"quality":"best"}}"#).await;
    assert_eq!(body["details"]["allowed"], json!(["low", "high"]));
    assert_eq!(body["message"], "options.quality: must be one of low, high");
}

#[tokio::test]
async fn types_and_parameters_are_checked_before_the_handler() {
    let house = House::new();
    let post = || house.app.post("/generate").key(&house.key);
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
    ] {
        let answer = post().text(kind, "{\"prompt\":\"x\"}").send().await;
        assert_eq!(
            answer.outcome(),
            (415, "unsupported_media_type".into()),
            "{kind}"
        );
    }
    assert_eq!(
        post().send().await.outcome(),
        (415, "unsupported_media_type".into())
    );
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(
            post().text(kind, "{\"prompt\":\"x\"}").send().await.status,
            200,
            "{kind}"
        );
    }
    for (query, code, field) in [
        ("?limt=5", "unknown_field", "limt"),
        ("?limit=x", "invalid_field", "limit"),
    ] {
        let answer = house
            .app
            .get(&format!("/jobs/1{query}"))
            .key(&house.key)
            .send()
            .await;
        assert_eq!(answer.outcome(), (400, code.into()), "{query}");
        assert_eq!(
            answer.json()["details"]["field"],
            field,
            "{}",
            answer.text()
        );
    }
    assert_eq!(
        house
            .app
            .get("/jobs/1?limit=5")
            .key(&house.key)
            .send()
            .await
            .json(),
        json!({"limit": 5})
    );
}

#[tokio::test]
async fn a_body_without_length_is_counted() {
    let house = House::new();
    let endless = || {
        let chunk = || Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b' '; 100]));
        Body::from_stream(futures_util::stream::repeat_with(chunk))
    };
    let answer = house
        .app
        .post("/generate")
        .key(&house.key)
        .text("application/json", endless())
        .send()
        .await;
    assert_eq!(answer.outcome(), (413, "payload_too_large".into()));
    assert_eq!(answer.json()["details"]["max_bytes"], 1_000);
    assert!(house.source.asked().is_empty());
    let exactly = format!("{{\"prompt\":\"{}\"}}", "x".repeat(1_000 - 13));
    assert_eq!(exactly.len(), 1_000);
    assert_eq!(
        house
            .app
            .post("/generate")
            .key(&house.key)
            .text("application/json", exactly)
            .send()
            .await
            .status,
        200
    );
}
