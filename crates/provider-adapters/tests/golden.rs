//! Golden requests and answers of each adapter.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use api_types::{ImageOptions, ProviderName, ProviderSettings, Timestamp};
use provider_adapters::{
    About, Advice, Body, FormatContext, ImageAdapter, JobResult, JobStatus, ParseContext, Parsed,
    Phase, ProviderError, RawResponse, registry,
};
use serde_json::{Map, Value, json};

const JOB: &str = "0199a1c2-0000-7000-8000-000000000001";

fn read(path: &str) -> Vec<Value> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(dir.join("tests/golden").join(path)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn adapter(vendor: &str, settings: &Value) -> ImageAdapter {
    let settings: ProviderSettings = match settings {
        Value::Null => ProviderSettings::default(),
        given => serde_json::from_value(given.clone()).unwrap(),
    };
    registry::image(&ProviderName::parse(vendor).unwrap(), &settings).unwrap()
}

fn check_requests(vendor: &str) {
    for golden in read(&format!("{vendor}/requests.json")) {
        let name = &golden["name"];
        let adapter = adapter(vendor, &golden["settings"]);
        let options: ImageOptions = serde_json::from_value(golden["options"].clone()).unwrap();
        let context = FormatContext {
            model: golden["model"].as_str().unwrap(),
            job_id: JOB,
            attempt_no: 2,
        };
        let prompt = golden["prompt"].as_str().unwrap();
        let formatted = adapter.format_request(prompt, &options, &context).unwrap();
        let [part] = &formatted.parts[..] else {
            panic!("{name}: one part");
        };
        assert_eq!(part.method, http::Method::POST, "{name}");
        assert_eq!(part.url.as_str(), golden["url"], "{name}");
        let Body::Json(body) = &part.body else {
            panic!("{name}: JSON");
        };
        assert_eq!(body, &golden["body"], "{name}");
        assert_eq!(
            serde_json::to_value(&formatted.effective).unwrap(),
            golden["effective"],
            "{name}"
        );
        assert_eq!(
            serde_json::to_value(&formatted.warnings).unwrap(),
            golden["warnings"],
            "{name}"
        );
        assert_eq!(formatted.weight, options.n, "{name}");
        let header = |name: &str| {
            part.headers
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(header("x-request-id"), Some(format!("{JOB}.2.0")), "{name}");
        assert_eq!(
            header("content-type").as_deref(),
            Some("application/json"),
            "{name}"
        );
        assert!(
            header("user-agent").unwrap().starts_with("switchyard/"),
            "{name}"
        );
        for absent in ["traceparent", "api-key", "authorization", "cookie"] {
            assert_eq!(header(absent), None, "{name}");
        }
        let again = adapter
            .format_request(prompt, &formatted.effective, &context)
            .unwrap();
        assert_eq!(
            again.parts, formatted.parts,
            "{name}: what was sent formats to itself"
        );
        assert_eq!(again.warnings, [], "{name}");
    }
}

#[test]
fn ideogram_requests_are_golden() {
    check_requests("ideogram");
}

#[test]
fn openai_requests_are_golden() {
    check_requests("openai");
}

fn word<T: serde::Serialize>(value: T) -> Value {
    serde_json::to_value(value).unwrap()
}

fn told(error: &ProviderError, expected: &Value) -> Value {
    let (advice, after_ms) = match error.advice {
        Advice::RetrySame { after_ms } => ("retry_same", Some(after_ms)),
        Advice::Fallback => ("fallback", None),
        Advice::Reconcile => ("reconcile", None),
        Advice::Never => ("never", None),
    };
    let all = json!({
        "kind": error.kind.as_str(), "accepted": word(error.accepted), "advice": advice, "after_ms": after_ms,
        "retry_after_ms": error.retry_after_ms, "billed": word(error.billed), "cost": error.cost.and_then(|cost| cost.usd_micros),
        "code": error.provider_code, "observed_limit": error.observed_limit, "finished": error.finished,
        "request_id": error.provider_request_id, "job_id": error.job.as_ref().map(|job| job.job_id.clone()),
        "outcome": error.outcome().as_str(),
    });
    // `billed` and `finished` are told where the golden names them, everything else where it is something.
    let always = ["billed", "finished", "request_id"];
    let members = all.as_object().unwrap();
    let kept = members.iter().filter(|(name, value)| {
        expected.get(*name).is_some() || !value.is_null() && !always.contains(&name.as_str())
    });
    Value::Object(
        kept.map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

fn result(done: &JobResult, expected: &Value) -> Value {
    let first = done.images.first().unwrap();
    let mut all = Map::new();
    let states: Vec<Value> = done.images.iter().map(|image| word(image.state)).collect();
    let blobs: Vec<u32> = done.images.iter().filter_map(|image| image.blob).collect();
    all.insert("states".into(), json!(states));
    all.insert("usd_micros".into(), json!(done.cost.usd_micros));
    all.insert("basis".into(), word(done.cost.basis));
    all.insert("first_url".into(), json!(first.image_url));
    all.insert("seed".into(), json!(first.seed));
    all.insert("revised".into(), json!(first.revised_prompt));
    all.insert("blobs".into(), json!(blobs));
    all.insert("tokens".into(), json!(done.tokens));
    all.retain(|name, value| {
        expected.get(name).is_some() || !value.is_null() && *value != json!([])
    });
    Value::Object(all)
}

fn check_answers(vendor: &str, model: &str) {
    let adapter = adapter(vendor, &Value::Null);
    let submitted = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
    for golden in read(&format!("{vendor}/answers.json")) {
        let name = &golden["name"];
        let phase = match golden["phase"].as_str().unwrap() {
            "submit" => Phase::Submit,
            "status" => Phase::Status,
            "result" => Phase::Result,
            "probe" => Phase::Probe,
            other => panic!("{other}"),
        };
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", "application/json".parse().unwrap());
        for (header, value) in golden["headers"].as_object().into_iter().flatten() {
            headers.insert(
                http::HeaderName::try_from(header.as_str()).unwrap(),
                value.as_str().unwrap().parse().unwrap(),
            );
        }
        let text = golden["text"]
            .as_str()
            .map_or_else(|| golden["body"].to_string(), str::to_owned);
        let response = RawResponse {
            status: u16::try_from(golden["status"].as_u64().unwrap()).unwrap(),
            headers,
            body: text.into_bytes().into(),
        };
        let is_submit = phase == Phase::Submit;
        let about = About {
            model: model.to_owned(),
            api: "v2".to_owned(),
            part: 0,
            weight: 2,
            job_id: "dGVzdA".to_owned(),
            effective: is_submit.then(|| {
                serde_json::from_value(json!({"size":"1024x1024","quality":"medium","n":2}))
                    .unwrap()
            }),
            prompt_bytes: if is_submit { 12 } else { 0 },
            submitted_at: Some(submitted),
            expires_at: Some(submitted.plus_ms(86_400_000)),
        };
        let now = golden["at"]
            .as_str()
            .map_or(submitted, |at| Timestamp::parse(at).unwrap());
        let context = ParseContext { now, about: &about };
        let expected = &golden["expect"];
        let actual = match adapter.parse_response(phase, &response, &context) {
            Ok(Parsed::Accepted { job, warnings }) => {
                assert!(serde_json::to_string(&job).unwrap().len() < 4_096);
                json!({"accepted": {"job_id": job.job_id, "warnings": warnings}})
            }
            Ok(Parsed::Done(done)) => json!({"done": result(&done, &expected["done"])}),
            Ok(Parsed::Status(JobStatus::Pending { .. })) => json!({"status": "pending"}),
            Ok(Parsed::Status(JobStatus::Expired)) => json!({"status": "expired"}),
            Ok(Parsed::Status(JobStatus::Completed { result: done })) => {
                json!({"done": result(&done.unwrap(), &expected["done"])})
            }
            Ok(Parsed::Status(JobStatus::Failed(error))) => {
                json!({"failed": told(&error, &expected["failed"])})
            }
            Ok(Parsed::Healthy(report)) => json!({"healthy": report.models}),
            Err(error) => {
                assert!(!error.public.contains("html"), "{name}");
                json!({"error": told(&error, &expected["error"])})
            }
        };
        assert_eq!(actual, *expected, "{name}");
    }
}

#[test]
fn ideogram_answers_are_golden() {
    check_answers("ideogram", "ideogram-3");
}

#[test]
fn openai_answers_are_golden() {
    check_answers("openai", "gpt-image-2.5-flare");
}
