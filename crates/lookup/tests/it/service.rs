//! The two internal calls as they go over the binding.

use api_types::{InstanceId, Need, ResolveRequest, Secret};
use errors::Code;
use lookup::{ConfigSource, ServiceSource};
use platform::CallContext;
use platform::fakes::{FakeHttp, FakeReply, World};
use serde_json::json;

fn service() -> (FakeHttp, ServiceSource<FakeHttp>) {
    let http = FakeHttp::service(&World::auto());
    (http.clone(), ServiceSource::new(http))
}

fn question() -> ResolveRequest {
    ResolveRequest {
        v: 1,
        credential: Secret::new("sy_key"),
        instance_hint: Some("development".into()),
        project_hint: None,
        need: Need::Instance,
        have: None,
        client_ip: Some("203.0.113.9".into()),
    }
}

fn context() -> CallContext {
    CallContext {
        request_id: "0199a1c2-0000-7000-8000-000000000001".into(),
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into(),
    }
}

#[tokio::test]
async fn a_question_carries_its_request_and_trace() {
    let (http, source) = service();
    http.reply(FakeReply::status(500));
    let error = source.resolve(question(), &context()).await.unwrap_err();
    assert_eq!(error.code, Code::ConfigUnavailable);
    let sent = http.requests().remove(0);
    assert_eq!(sent.method, "POST");
    assert!(sent.url.ends_with("/internal/v1/resolve"), "{}", sent.url);
    assert_eq!(sent.headers["x-request-id"], context().request_id);
    assert_eq!(sent.headers["traceparent"], context().traceparent);
    assert_eq!(sent.headers["content-type"], "application/json");
    let body: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(
        body,
        json!({"v":1,"credential":"sy_key","instance_hint":"development","project_hint":null,"need":"instance","have":null,"client_ip":"203.0.113.9"})
    );
}

#[tokio::test]
async fn answers_below_500_with_a_body_of_ours_are_answers_and_all_else_is_an_outage() {
    let refused = json!({"error":"auth_failed","message":"no","hint":"h","details":{"reason":"revoked"},"docs":"d","request_id":"r"});
    for (reply, code) in [
        (FakeReply::json(401, &refused), Code::AuthFailed),
        (
            FakeReply::json(404, &json!({"oops":1})),
            Code::ConfigUnavailable,
        ),
        (FakeReply::json(503, &refused), Code::ConfigUnavailable),
        (
            FakeReply::json(200, &json!({"v":1})),
            Code::ConfigUnavailable,
        ),
        (
            FakeReply::bytes(200, "text/html", "<html>"),
            Code::ConfigUnavailable,
        ),
        (FakeReply::status(302), Code::ConfigUnavailable),
        (FakeReply::status(200).cut_after(0), Code::ConfigUnavailable),
    ] {
        let (http, source) = service();
        http.reply(reply.clone());
        let error = source.resolve(question(), &context()).await.unwrap_err();
        assert_eq!(error.code, code, "{reply:?}");
        if code == Code::AuthFailed {
            assert_eq!(error.details["reason"], "revoked");
        }
    }
}

#[tokio::test]
async fn a_configuration_is_asked_for_with_the_version_in_hand() {
    let (http, source) = service();
    let id = InstanceId::parse("production").unwrap();
    let body = json!({"instance_id":"production","org_id":"0198f0a0-0000-7000-8000-000000000001","config_version":18});
    http.reply(FakeReply::status(304));
    http.reply(FakeReply::json(200, &body));
    assert!(
        source
            .config(&id, Some(17), &context())
            .await
            .unwrap()
            .is_none()
    );
    let config = source.config(&id, None, &context()).await.unwrap().unwrap();
    assert_eq!(config.config_version, 18);
    let urls: Vec<String> = http.requests().into_iter().map(|it| it.url).collect();
    assert!(urls[0].ends_with("/internal/v1/config/production?have=17"));
    assert!(urls[1].ends_with("/internal/v1/config/production"));
}
