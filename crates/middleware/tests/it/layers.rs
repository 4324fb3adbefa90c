//! Order, rendering, headers and the one event.

use crate::worker::{House, INTERNAL, reply, routes};
use api_types::{InstanceStatus, Scope, SecretVersion, Timestamp};
use auth::permission::Class;
use axum::body::Body;
use errors::Code;
use http::{Method, Request};
use platform::fakes::START_MS;
use serde_json::{Value, json};

const UUID: &str = "0199a1c2-0000-7000-8000-000000000001";

fn good() -> Value {
    json!({"prompt": "a lighthouse"})
}

/// Each case breaks a layer and everything behind it; the outermost broken layer must answer.
#[tokio::test]
async fn the_outermost_broken_layer_answers() {
    let house = House::new();
    let big = "x".repeat(2_000);
    let post = || house.app.post("/generate");

    assert_eq!(
        post()
            .text("text/plain", big.clone())
            .send()
            .await
            .outcome(),
        (413, "payload_too_large".into())
    );
    assert_eq!(
        post().text("text/plain", "{").send().await.outcome(),
        (415, "unsupported_media_type".into())
    );
    assert_eq!(
        post().text("application/json", "{").send().await.outcome(),
        (401, "auth_failed".into())
    );
    let unknown = auth::key::mint(&platform::fakes::FakeRandom::seeded(9)).api_key;
    let answer = post()
        .key(unknown.expose())
        .text("application/json", "{")
        .send()
        .await;
    assert_eq!(answer.outcome(), (401, "auth_failed".into()));
    assert_eq!(answer.json()["details"]["reason"], "unknown");

    let paused = reply(InstanceStatus::Paused, &[Scope::ConfigRead]);
    house.source.answer(&house.key, Ok(paused));
    let broken_body = || post().key(&house.key).text("application/json", "{");
    assert_eq!(
        broken_body().send().await.outcome(),
        (403, "instance_paused".into())
    );

    let house = House::new();
    house.source.answer(
        &house.key,
        Ok(reply(InstanceStatus::Deploying, &[Scope::All])),
    );
    let answer = house
        .app
        .post("/generate")
        .key(&house.key)
        .json(&good())
        .send()
        .await;
    assert_eq!(answer.outcome(), (409, "instance_not_active".into()));
    assert_eq!(answer.header("x-should-retry"), "true");

    let house = House::new();
    house.source.answer(
        &house.key,
        Ok(reply(InstanceStatus::Active, &[Scope::ConfigRead])),
    );
    let broken_body = house
        .app
        .post("/generate")
        .key(&house.key)
        .text("application/json", "{");
    assert_eq!(
        broken_body.send().await.outcome(),
        (403, "scope_missing".into())
    );

    let house = House::new();
    let broken_body = house
        .app
        .post("/generate")
        .key(&house.key)
        .text("application/json", "{");
    assert_eq!(
        broken_body.send().await.outcome(),
        (400, "invalid_request".into())
    );
    let answer = house
        .app
        .post("/generate")
        .key(&house.key)
        .json(&good())
        .send()
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["instance"], "development");
    assert_eq!(answer.json()["version"], 17);
}

#[tokio::test]
async fn reading_goes_on_in_a_paused_instance() {
    let house = House::new();
    house
        .source
        .answer(&house.key, Ok(reply(InstanceStatus::Paused, &[Scope::All])));
    let answer = house.app.get("/v1/models").key(&house.key).send().await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_warm_isolate_does_no_io() {
    let house = House::new();
    for _ in 0..5 {
        house
            .app
            .post("/generate")
            .key(&house.key)
            .json(&good())
            .send()
            .await;
    }
    assert_eq!(house.source.asked().len(), 1);
    for event in house.app.request_events() {
        let ops = event["ops"].as_object().unwrap();
        assert!(ops.values().all(|count| *count == 0), "{event}");
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_json_errors() {
    let house = House::new();
    let answer = house.app.get("/nope").send().await;
    assert_eq!(answer.outcome(), (404, "not_found".into()));
    assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
    assert_eq!(answer.header("content-type"), "application/json");
    let answer = house.app.request(Method::DELETE, "/generate").send().await;
    assert_eq!(answer.outcome(), (405, "method_not_allowed".into()));
    assert_eq!(answer.header("allow"), "POST");
    for method in [Method::TRACE, Method::CONNECT] {
        for (path, allow) in [
            ("/nope", ""),
            ("/generate", "POST"),
            ("/v1/models", "GET,HEAD"),
            ("/internal/v1/resolve", ""),
            ("/internal/v1/nothing", ""),
        ] {
            let answer = house.app.request(method.clone(), path).send().await;
            let (status, code) = answer.outcome();
            let code = if path.starts_with("/v1/") {
                "method_not_allowed".into()
            } else {
                code
            };
            assert_eq!((status, code), (405, "method_not_allowed".into()), "{path}");
            assert_eq!(answer.header("allow"), allow, "{path}");
            assert!(answer.headers.contains_key("allow"), "{path}");
        }
    }
    let answer = house.app.get("/plain").send().await;
    assert_eq!(answer.outcome(), (400, "invalid_request".into()));
    assert!(!answer.text().contains("library"));
    let answer = house.app.request(Method::HEAD, "/nope").send().await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (404, 0));
}

#[tokio::test]
async fn internal_routes_look_like_no_route_to_everybody_else() {
    let house = House::new();
    let same = |answer: middleware::testing::TestResponse| {
        let mut body = answer.json();
        body["request_id"] = Value::Null;
        let mut headers = answer.headers.clone();
        for name in ["x-request-id", "traceparent"] {
            headers.remove(name);
        }
        (answer.status, body, headers)
    };
    let huge = "x".repeat(5_000);
    let unknown = same(house.app.post("/internal/v1/nothing").send().await);
    let path = "/internal/v1/resolve";
    let forged = house
        .app
        .post(path)
        .header("props", "{\"caller\":\"image-gen\"}")
        .key(&house.key);
    for answer in [
        house.app.post(path).send().await,
        house.app.get(path).send().await,
        house.app.request(Method::DELETE, path).send().await,
        house
            .app
            .post(path)
            .text("text/plain", huge.clone())
            .send()
            .await,
        house
            .app
            .post(path)
            .from_worker("admission")
            .json(&json!({}))
            .send()
            .await,
        forged.json(&json!({})).send().await,
    ] {
        assert_eq!(same(answer), unknown);
    }
    let answer = house
        .app
        .post(path)
        .from_worker("image-gen")
        .json(&json!({}))
        .send()
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, json!({"caller": "image-gen"}))
    );
}

#[tokio::test]
async fn every_answer_has_the_common_headers() {
    let house = House::new();
    for path in ["/health", "/nope", "/broken", "/v1/models"] {
        let answer = house
            .app
            .get(path)
            .header("x-request-id", UUID)
            .send()
            .await;
        assert_eq!(answer.header("x-request-id"), UUID);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("server-timing").contains("total;dur="));
        assert_eq!(answer.header("traceparent").len(), 55);
        let kept = if path == "/health" {
            "max-age=1"
        } else {
            "no-store"
        };
        assert_eq!(answer.header("cache-control"), kept, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    let answer = house.app.get("/v1/models").key(&house.key).send().await;
    assert!(
        answer.header("server-timing").contains("plan;dur=4"),
        "{}",
        answer.header("server-timing")
    );
}

#[tokio::test]
async fn ids_of_the_caller_are_continued_when_they_have_their_form() {
    let house = House::new();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = house
        .app
        .get("/health")
        .header("traceparent", parent)
        .send()
        .await;
    let own = answer.header("traceparent");
    assert!(
        own.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && own != parent,
        "{own}"
    );
    let answer = house
        .app
        .get("/health")
        .header("x-request-id", "my id")
        .header("traceparent", "nonsense")
        .send()
        .await;
    assert_eq!(answer.header("x-request-id").len(), 36);
    let event = house.app.request_events().pop().unwrap();
    assert_eq!(event["client_request_id"], "my id");
}

#[tokio::test]
async fn each_request_is_one_event_with_what_is_known_of_it() {
    let house = House::new();
    house
        .app
        .post("/generate")
        .key(&house.key)
        .json(&good())
        .send()
        .await;
    house.app.get("/nope").send().await;
    let events = house.app.request_events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["route"], "/generate");
    assert_eq!(events[0]["method"], "POST");
    assert_eq!(events[0]["status"], 200);
    assert_eq!(events[0]["key_id"], "4fGh7kQ2mZ0a");
    assert_eq!(events[0]["spans"][0]["name"], "auth");
    assert_eq!(events[1]["route"], "unmatched");
    assert_eq!(events[1]["code"], "not_found");
    let line = house
        .app
        .lines()
        .into_iter()
        .find(|line| line["message"] == "request")
        .unwrap();
    assert_eq!(line["instance_id"], "development");
    assert_eq!(line["user_id"], "0198f0a1-0000-7000-8000-000000000001");
}

#[tokio::test]
async fn a_client_that_leaves_is_an_event_too() {
    let house = House::new();
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = lines.clone();
    let dispatch = logging::dispatch(
        "t",
        None,
        house.deps.ports.world.clock.clone(),
        house.deps.ports.world.random.clone(),
        move |_, line| {
            kept.lock().unwrap().push(line.to_owned());
        },
    );
    {
        let _guard = tracing::dispatcher::set_default(&dispatch);
        let endless = Body::from_stream(futures_util::stream::pending::<
            Result<bytes::Bytes, std::io::Error>,
        >());
        let mut request = Request::new(endless);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = "/generate".parse().unwrap();
        request
            .headers_mut()
            .insert("content-type", "application/json".parse().unwrap());
        let work = house.worker.handle(request);
        let mut work = Box::pin(work);
        assert!(futures_util::FutureExt::now_or_never(&mut work).is_none());
    }
    let lines = lines.lock().unwrap().clone();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("\"status\":499"), "{lines:?}");
}

/// In the middle of a handler, when it is known who called: still one event, with all of that.
#[tokio::test]
async fn a_client_that_leaves_later_is_one_event_with_what_was_known() {
    let house = House::new();
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::<Value>::new()));
    let kept = lines.clone();
    let dispatch = logging::dispatch(
        "t",
        None,
        house.deps.ports.world.clock.clone(),
        house.deps.ports.world.random.clone(),
        move |_, line| {
            kept.lock()
                .unwrap()
                .push(serde_json::from_str(line).unwrap());
        },
    );
    {
        let _guard = tracing::dispatcher::set_default(&dispatch);
        let endless = Body::from_stream(futures_util::stream::pending::<
            Result<bytes::Bytes, std::io::Error>,
        >());
        let mut request = Request::new(endless);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = "/v1/read".parse().unwrap();
        for (name, value) in [
            ("content-type", "application/json"),
            ("x-request-id", UUID),
            ("authorization", &format!("Bearer {}", house.key)),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let mut work = Box::pin(house.worker.handle(request));
        assert!(futures_util::FutureExt::now_or_never(&mut work).is_none());
        assert!(lines.lock().unwrap().is_empty(), "not before its end");
    }
    let lines = lines.lock().unwrap().clone();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let (line, event) = (&lines[0], &lines[0]["metadata"]);
    assert_eq!(
        (event["status"].as_u64(), event["code"].as_str()),
        (Some(499), Some("client_left"))
    );
    assert_eq!(
        (event["route"].as_str(), event["key_id"].as_str()),
        (Some("/v1/read"), Some("4fGh7kQ2mZ0a"))
    );
    assert_eq!(
        (line["request_id"].as_str(), event.get("orphan")),
        (Some(UUID), None)
    );
    assert_eq!(line["instance_id"], "development");
}

#[tokio::test]
async fn our_own_failures_are_logged_once_and_not_told() {
    let house = House::new();
    let answer = house.app.get("/broken").send().await;
    assert_eq!(answer.outcome(), (500, "internal_error".into()));
    assert!(!answer.text().contains(INTERNAL));
    let errors: Vec<Value> = house
        .app
        .lines()
        .into_iter()
        .filter(|line| line["level"] == "ERROR")
        .collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["metadata"]["internal"], INTERNAL);
    assert_eq!(errors[0]["request_id"], answer.header("x-request-id"));
}

#[tokio::test]
async fn openai_clients_get_the_shape_they_know() {
    let house = House::new();
    for (code, status, word, kind) in [
        (
            Code::AuthFailed,
            401,
            "invalid_api_key",
            "invalid_request_error",
        ),
        (
            Code::BudgetExceeded,
            429,
            "insufficient_quota",
            "insufficient_quota",
        ),
        (
            Code::RejectedBySafety,
            400,
            "moderation_blocked",
            "image_generation_user_error",
        ),
        (Code::RateLimited, 429, "rate_limited", "rate_limit_error"),
        (Code::ProviderError, 502, "provider_error", "server_error"),
        (Code::NotFound, 404, "not_found", "invalid_request_error"),
    ] {
        let answer = house
            .app
            .post("/v1/refused")
            .text("application/json", code.as_str())
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(
            answer.json(),
            json!({"error": {"message": "as asked", "type": kind, "param": "prompt", "code": word}})
        );
        assert_eq!(
            answer.header("x-should-retry"),
            code.retryable().to_string()
        );
        assert_eq!(
            house.app.request_events().pop().unwrap()["code"],
            code.as_str()
        );
    }
    for (answer, code) in [
        (house.app.get("/v1/models").send().await, "invalid_api_key"),
        (house.app.get("/v1/nothing").send().await, "not_found"),
        (
            house.app.post("/v1/models").send().await,
            "method_not_allowed",
        ),
    ] {
        assert_eq!(answer.json()["error"]["code"], code);
    }
}

#[tokio::test]
async fn ages_of_key_and_configuration_are_told() {
    let house = House::new();
    let mut rotating = reply(InstanceStatus::Active, &[Scope::All]);
    let ends = Timestamp(START_MS).plus_ms(86_400_000);
    if let Some(key) = &mut rotating.auth.key {
        key.secret = SecretVersion::Previous;
        key.expires_at = Some(ends);
    }
    house.source.answer(&house.key, Ok(rotating));
    let answer = house.app.get("/v1/models").key(&house.key).send().await;
    assert_eq!(answer.header("x-key-expires"), ends.to_string());
    assert_eq!(answer.header("x-config-age-ms"), "");
}

/// The table is the promise: each route's class decides what a caller without a key gets.
#[tokio::test]
async fn every_route_is_denied_by_default() {
    let house = House::new();
    let table = routes();
    assert_eq!(table.marks().len(), 10);
    for mark in table.marks() {
        assert_eq!(mark.body_cap_bytes, 1_000);
        let path = mark.path.replace("{id}", "1").replace("{*path}", "a/b");
        let answer = house.app.request(mark.method.clone(), &path).send().await;
        let status = answer.status.as_u16();
        match mark.operation.class {
            Class::Public => assert_ne!(status, 401, "{path}"),
            Class::System(_) => assert_eq!(status, 404, "{path}"),
            _ => {
                assert_eq!(status, 401, "{path}");
                assert_eq!(answer.header("www-authenticate"), "Bearer");
                assert!(mark.operation.need.is_some(), "{path}");
            }
        }
    }
    assert!(house.source.asked().is_empty());
}
