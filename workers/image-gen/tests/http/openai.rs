//! The OpenAI-compatible endpoints: shapes, defaults, errors in their form.

use crate::support::Stage;
use crate::vendors::{Act, png};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

fn error(response: &middleware::testing::TestResponse) -> (u16, String, String) {
    let error = &response.json()["error"];
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    assert!(!text("message").is_empty(), "{}", response.text());
    assert!(error.get("param").is_some());
    (response.status.as_u16(), text("type"), text("code"))
}

const PATH: &str = "/v1/images/generations";

#[tokio::test]
async fn gpt_image_models_answer_bytes_unless_asked_otherwise() {
    let stage = Stage::new();
    let asked = json!({"prompt": "a cat", "model": "gpt-image-2", "n": 2, "size": "1024x1024"});
    let response = stage.post(PATH, asked.clone()).await;
    assert_eq!(response.status.as_u16(), 200, "{}", response.text());
    assert_eq!(response.header("content-type"), "application/json");
    assert!(!response.header("x-switchyard-job-id").is_empty());
    assert!(!response.header("x-ratelimit-remaining-requests").is_empty());
    let body = response.json();
    assert_eq!(body["created"], 1_795_255_200);
    let data = body["data"].as_array().unwrap();
    assert_eq!(data.len(), 2);
    for (i, image) in data.iter().enumerate() {
        let bytes = STANDARD
            .decode(image["b64_json"].as_str().unwrap())
            .unwrap();
        assert_eq!(bytes, png(1024, 1024, i as u8));
        assert!(image.get("url").is_none());
    }
    // What the vendor counted, in the form that its clients know.
    let usage = json!({
        "input_tokens": 10, "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
        "output_tokens": 1_000, "total_tokens": 1_010,
    });
    assert_eq!(body["usage"], usage);
    let mut by_url = asked;
    by_url["response_format"] = json!("url");
    let body = stage.post(PATH, by_url).await.json();
    assert_eq!(body["usage"], usage);
    assert!(
        body["data"][0]["url"]
            .as_str()
            .unwrap()
            .contains("/images/production/")
    );
    assert!(body["data"][0].get("b64_json").is_none());
}

#[tokio::test]
async fn other_models_answer_urls_unless_asked_otherwise() {
    let stage = Stage::new();
    let asked = json!({"prompt": "a cat", "model": "ideogram/ideogram-3", "size": "1024x1024"});
    let body = stage.post(PATH, asked.clone()).await.json();
    assert!(
        body["data"][0]["url"].as_str().unwrap().contains("sig="),
        "{body}"
    );
    assert!(body.get("usage").is_none(), "{body}");
    let mut bytes = asked;
    bytes["response_format"] = json!("b64_json");
    let body = stage.post(PATH, bytes).await.json();
    assert!(body["data"][0]["b64_json"].as_str().is_some(), "{body}");
}

#[tokio::test]
async fn our_members_go_into_switchyard_only() {
    let stage = Stage::new();
    let asked = json!({
        "prompt": "a cat", "model": "gpt-image-2", "response_format": "url",
        "switchyard": {"filename": "mine", "visibility": "public", "fallback": "none"},
    });
    let body = stage.post(PATH, asked).await.json();
    let url = body["data"][0]["url"].as_str().unwrap();
    assert!(url.contains("_mine-") && !url.contains("sig="), "{url}");
    for (member, value) in [
        ("timeout_ms", json!(5_000)),
        ("fallback", json!("none")),
        ("nonsense", json!(1)),
    ] {
        let mut asked = json!({"prompt": "a cat"});
        asked[member] = value;
        let response = stage.post(PATH, asked).await;
        assert_eq!(
            error(&response),
            (400, "invalid_request_error".into(), "unknown_field".into())
        );
        assert_eq!(response.json()["error"]["param"], member);
    }
}

#[tokio::test]
async fn errors_are_in_their_shape_and_say_whether_to_repeat() {
    let stage = Stage::new();
    let asked =
        json!({"prompt": "a cat", "model": "gpt-image-2", "switchyard": {"fallback": "none"}});
    let (app, _) = stage.app();
    let response = app.post(PATH).key("sy_bad").json(&asked).send().await;
    assert_eq!(
        error(&response),
        (
            401,
            "invalid_request_error".into(),
            "invalid_api_key".into()
        )
    );

    let refuse = |status, code: &str, message: &str| {
        Act::Refuse(
            status,
            json!({"error": {"message": message, "type": "x", "code": code, "param": null}}),
        )
    };
    stage.vendors.act([refuse(
        400,
        "moderation_blocked",
        "Your request was rejected by the safety system.",
    )]);
    let response = stage.post(PATH, asked.clone()).await;
    assert_eq!(
        error(&response),
        (
            400,
            "image_generation_user_error".into(),
            "moderation_blocked".into()
        )
    );

    stage.vendors.act([Act::AcceptAndLose]);
    let response = stage.post(PATH, asked.clone()).await;
    assert_eq!(
        error(&response),
        (502, "server_error".into(), "outcome_unknown".into())
    );
    assert_eq!(response.header("x-should-retry"), "false");

    stage
        .vendors
        .act([refuse(429, "rate_limit_exceeded", "slow down")]);
    let response = stage.post(PATH, asked.clone()).await;
    assert_eq!(
        error(&response),
        (429, "rate_limit_error".into(), "rate_limited".into())
    );
    assert_eq!(response.header("x-should-retry"), "true");
    assert!(!response.header("retry-after").is_empty());

    let response = stage
        .post(PATH, json!({"prompt": "a", "stream": true}))
        .await;
    assert_eq!(
        error(&response),
        (
            400,
            "invalid_request_error".into(),
            "unsupported_parameter".into()
        )
    );
    assert_eq!(response.json()["error"]["param"], "stream");
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn models_are_those_that_the_instance_can_use() {
    let stage = Stage::new();
    let list = stage.get("/v1/models").await.json();
    assert_eq!(list["object"], "list");
    let ids = |list: &Value| -> Vec<String> {
        let data = list["data"].as_array().unwrap().iter();
        data.map(|model| model["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = ids(&list);
    assert!(
        all.contains(&"ideogram/ideogram-3".to_owned())
            && all.contains(&"openai/gpt-image-2".to_owned()),
        "{all:?}"
    );
    let facts = |id: &str| -> Value {
        let mut data = list["data"].as_array().unwrap().iter();
        data.find(|model| model["id"] == id).unwrap()["switchyard"].clone()
    };
    for (id, most) in [
        ("ideogram/ideogram-3", 10_000),
        ("openai/gpt-image-2", 32_000),
    ] {
        assert_eq!(facts(id)["max_prompt_chars"], most, "{id}");
    }
    let model = &list["data"][0];
    assert_eq!(
        (&model["object"], &model["created"]),
        (&json!("model"), &json!(0))
    );
    assert_eq!(model["switchyard"]["options"]["type"], "object");
    assert!(model["switchyard"]["prices"].is_array());
    assert_eq!(model["switchyard"]["available"], true);

    let one = stage.get("/v1/models/ideogram/ideogram-3").await.json();
    assert_eq!(
        (&one["id"], &one["owned_by"]),
        (&json!("ideogram/ideogram-3"), &json!("ideogram"))
    );
    let short = stage.get("/v1/models/gpt-image-2.5-flare").await.json();
    assert_eq!(short["id"], "openai/gpt-image-2.5-flare");
    let missing = stage.get("/v1/models/nobody/x").await;
    assert_eq!(
        error(&missing),
        (404, "invalid_request_error".into(), "not_found".into())
    );

    // A key that does not open is as good as none.
    stage.configure(|config| config["api_keys"]["openai"] = config["api_keys"]["ideogram"].clone());
    stage.ports.world.clock.advance(6_000);
    let openable = ids(&stage.get("/v1/models").await.json());
    assert!(
        !openable.is_empty() && openable.iter().all(|id| id.starts_with("ideogram/")),
        "{openable:?}"
    );

    stage.configure(|config| {
        config["providers"]["ideogram"]["credential_state"] = json!("missing");
        config["api_keys"] = json!({});
    });
    stage.ports.world.clock.advance(6_000);
    let gone = stage.get("/v1/models/ideogram/ideogram-3").await;
    assert_eq!(gone.status.as_u16(), 404);

    stage.configure(|config| {
        config["providers"]["ideogram"]["credential_state"] = json!("set");
        config["providers"]["openai"]["enabled"] = json!(false);
        config["routing"] = json!({"models": ["ideogram/ideogram-3"]});
    });
    stage.ports.world.clock.advance(6_000);
    assert_eq!(
        ids(&stage.get("/v1/models").await.json()),
        ["ideogram/ideogram-3"]
    );
}
