//! OpenAI images: the happy path, formats, usage, validation, limits.

use crate::client::{Reply, Sim, dimensions, mark};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const KEY: &str = "sim-ok-acme";

pub(crate) fn file(reply: &Reply, index: usize) -> Vec<u8> {
    STANDARD
        .decode(reply.json()["data"][index]["b64_json"].as_str().unwrap())
        .unwrap()
}

#[test]
fn pictures_come_as_base64_with_usage_and_price() {
    let sim = Sim::real();
    let body = json!({"prompt": "a lighthouse", "model": "gpt-image-2.5-flare", "n": 2, "size": "1536x1024", "quality": "low"});
    let reply = sim.openai(KEY, &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.header("x-request-id").unwrap().starts_with("req_"));
    let json = reply.json();
    assert_eq!(
        (&json["size"], &json["quality"]),
        (&json!("1536x1024"), &json!("low"))
    );
    assert_eq!(
        (&json["background"], &json["output_format"]),
        (&json!("opaque"), &json!("png"))
    );
    let usage = json!({"input_tokens": 3, "output_tokens": 316, "total_tokens": 319,
        "input_tokens_details": {"text_tokens": 3, "image_tokens": 0}});
    assert_eq!(json["usage"], usage);
    for index in 0..2 {
        let file = file(&reply, index);
        assert_eq!(dimensions(&file), (1536, 1024));
        assert_eq!(mark(&file)["prompt"], "a lighthouse");
        assert_eq!(mark(&file)["index"], index);
    }
    let charges = sim.server.charges();
    assert_eq!(
        (
            charges[0].images,
            charges[0].usd_micros,
            charges[0].answered
        ),
        (2, 3 * 5 + 316 * 30, true)
    );
    assert!(sim.server.violations().is_empty());
}

#[test]
fn every_output_format_decodes() {
    let sim = Sim::real();
    for (name, format) in [
        ("png", image::ImageFormat::Png),
        ("jpeg", image::ImageFormat::Jpeg),
        ("webp", image::ImageFormat::WebP),
    ] {
        let body = json!({"prompt": "a fox", "model": "gpt-image-2", "size": "1536x864", "output_format": name});
        let reply = sim.openai(KEY, &body);
        assert_eq!(reply.json()["output_format"], name);
        let bytes = self::file(&reply, 0);
        assert_eq!(image::guess_format(&bytes).unwrap(), format);
        assert_eq!(dimensions(&bytes), (1536, 864));
        let again = self::file(&sim.openai(KEY, &body), 0);
        assert_eq!(bytes, again, "{name}: same request, same bytes");
    }
    let body = json!({"prompt": "a fox", "model": "gpt-image-2.5-flare", "background": "transparent", "output_format": "webp"});
    let decoded = image::load_from_memory(&file(&sim.openai(KEY, &body), 0))
        .unwrap()
        .to_rgba8();
    assert!(decoded.pixels().any(|pixel| pixel.0[3] == 0));
}

#[test]
fn older_models_answer_links_unless_asked_for_base64() {
    let sim = Sim::virtual_clock();
    let reply = sim.openai(
        KEY,
        &json!({"prompt": "a fox", "model": "dall-e-3", "size": "1792x1024"}),
    );
    let link = reply.json()["data"][0]["url"].as_str().unwrap().to_owned();
    assert_eq!(dimensions(&sim.get(&link, &[]).body), (1792, 1024));
    let body = json!({"prompt": "a fox", "model": "dall-e-2", "size": "256x256", "response_format": "b64_json"});
    assert_eq!(dimensions(&file(&sim.openai(KEY, &body), 0)), (256, 256));
    sim.advance_ms(3_600_000);
    assert_eq!(sim.get(&link, &[]).status, 403);
}

#[test]
fn a_broken_body_is_refused_in_the_vendors_shape() {
    let sim = Sim::real();
    let model = "gpt-image-2.5-flare";
    let cases = [
        (
            json!({"prompt": "a", "model": model, "seed": 1}),
            400,
            "seed",
            "unknown_parameter",
        ),
        (
            json!({"model": model}),
            400,
            "prompt",
            "missing_required_parameter",
        ),
        (
            json!({"prompt": 1, "model": model}),
            400,
            "prompt",
            "invalid_type",
        ),
        (
            json!({"prompt": "", "model": model}),
            400,
            "prompt",
            "string_below_min_length",
        ),
        (
            json!({"prompt": "a".repeat(32_001), "model": model}),
            400,
            "prompt",
            "string_above_max_length",
        ),
        (
            json!({"prompt": "a", "model": model, "n": 0}),
            400,
            "n",
            "integer_below_min_value",
        ),
        (
            json!({"prompt": "a", "model": model, "n": 11}),
            400,
            "n",
            "integer_above_max_value",
        ),
        (
            json!({"prompt": "a", "model": model, "size": "100x100"}),
            400,
            "size",
            "invalid_value",
        ),
        (
            json!({"prompt": "a", "model": model, "quality": "hd"}),
            400,
            "quality",
            "invalid_value",
        ),
        (
            json!({"prompt": "a", "model": model, "output_format": "gif"}),
            400,
            "output_format",
            "invalid_value",
        ),
        (
            json!({"prompt": "a", "model": model, "response_format": "url"}),
            400,
            "response_format",
            "unknown_parameter",
        ),
        (
            json!({"prompt": "a", "model": "gpt-9"}),
            404,
            "model",
            "model_not_found",
        ),
    ];
    for (body, status, param, code) in cases {
        let reply = sim.openai(KEY, &body);
        let error = &reply.json()["error"];
        assert_eq!(
            (reply.status, &error["param"], &error["code"]),
            (status, &json!(param), &json!(code)),
            "{body}"
        );
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].is_string());
    }
    assert!(sim.server.charges().is_empty());
    assert_eq!(sim.violation_kinds(), ["unknown_field"]);
    let url = format!("{}/images/generations", sim.server.base("openai"));
    let headers = [
        ("authorization", "Bearer sim-ok-acme"),
        ("content-type", "text/plain"),
    ];
    let reply = sim.try_send("POST", &url, &headers, Some(b"{}")).unwrap();
    assert_eq!((reply.status, sim.violation_kinds().len()), (400, 2));
    assert_eq!(reply.json()["error"]["code"], "unsupported_content_type");
}

#[test]
fn strangers_are_refused_and_their_keys_masked() {
    let sim = Sim::real();
    let body = json!({"prompt": "a", "model": "gpt-image-2"});
    let reply = sim.openai("sk-secret", &body);
    assert_eq!(
        (reply.status, &reply.json()["error"]["code"]),
        (401, &json!("invalid_api_key"))
    );
    assert!(!reply.text().contains("secret"));
    let url = format!("{}/images/generations", sim.server.base("openai"));
    let reply = sim
        .try_send(
            "POST",
            &url,
            &[("content-type", "application/json")],
            Some(b"{}"),
        )
        .unwrap();
    assert_eq!(
        (reply.status, &reply.json()["error"]["code"]),
        (401, &Value::Null)
    );
}

#[test]
fn models_are_listed_and_other_paths_are_not_found() {
    let sim = Sim::real();
    let base = sim.server.base("openai");
    let bearer = [("authorization", "Bearer sim-ok-acme")];
    let list = sim.get(&format!("{base}/models"), &bearer).json();
    assert_eq!(list["object"], "list");
    assert!(
        list["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|model| model["id"] == "gpt-image-2.5-flare")
    );
    assert_eq!(sim.get(&format!("{base}/audio"), &bearer).status, 404);
    assert_eq!(
        sim.get(&format!("{base}/images/generations"), &bearer)
            .status,
        405
    );
    assert_eq!(
        sim.get(
            &format!("{base}/models"),
            &[("authorization", "Bearer sim-503-acme")]
        )
        .status,
        503
    );
}

#[test]
fn requests_of_the_minute_are_told_and_enforced() {
    let sim = Sim::virtual_clock();
    let limits = json!({"provider": "openai", "account": "acme", "requests_per_min": 2});
    assert_eq!(sim.control("POST", "limits", Some(&limits)).status, 200);
    let body = json!({"prompt": "a", "model": "gpt-image-2", "quality": "low"});
    let first = sim.openai(KEY, &body);
    assert_eq!(first.header("x-ratelimit-limit-requests"), Some("2"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("1"));
    assert_eq!(
        sim.openai(KEY, &body)
            .header("x-ratelimit-remaining-requests"),
        Some("0")
    );
    sim.advance_ms(50_000);
    let refused = sim.openai(KEY, &body);
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("10"))
    );
    assert_eq!(refused.header("retry-after-ms"), Some("10000"));
    assert_eq!(refused.json()["error"]["code"], "rate_limit_exceeded");
    sim.advance_ms(10_000);
    assert_eq!(sim.openai(KEY, &body).status, 200);
}
