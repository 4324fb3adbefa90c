//! The two internal calls as they go over the binding.

use api_types::{
    Ciphertext, CredentialId, InstanceId, Need, ProviderName, ResolveRequest, Secret, Timestamp,
};
use errors::Code;
use lookup::{
    ConfigSource, CredentialOutcome, CredentialReport, Hints, Lookup, SealedCredential,
    ServiceSource,
};
use platform::CallContext;
use platform::fakes::{FakeHttp, FakePorts, FakeReply, World};
use serde_json::json;
use std::sync::Arc;

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

/// Nothing below the look-up repeats, and the look-up repeats once: two requests leave the worker for one that fails, one
/// for one that is refused.
#[tokio::test]
async fn a_failing_call_is_two_attempts_in_all_and_a_refused_one_is_one() {
    let refused =
        json!({"error":"auth_failed","message":"no","hint":"h","docs":"d","request_id":"r"});
    for (reply, attempts, code) in [
        (FakeReply::status(500), 2, Code::ConfigUnavailable),
        (FakeReply::status(503), 2, Code::ConfigUnavailable),
        (
            FakeReply::failure(platform::SendPhase::MaybeSent, "Network connection lost."),
            2,
            Code::ConfigUnavailable,
        ),
        (
            FakeReply::status(200).delayed(60_000),
            2,
            Code::ConfigUnavailable,
        ),
        (FakeReply::json(401, &refused), 1, Code::AuthFailed),
    ] {
        let ports = FakePorts::new(World::auto()).unwrap();
        let answer = reply.clone();
        ports.service.handle(move |_| {
            let answer = answer.clone();
            async move { answer }
        });
        let lookup = Lookup::<FakePorts, _>::new(
            Arc::default(),
            ServiceSource::new(ports.service.clone()),
            ports.kv.clone(),
            ports.world.clock.clone(),
            ports.world.random.clone(),
            ports.background.clone(),
        );
        let key = auth::key::mint(&ports.world.random);
        let presented = auth::key::parse(key.api_key.expose()).unwrap();
        let (hints, call) = (Hints::default(), context());
        let asked = lookup.resolve(
            &presented,
            &key.api_key,
            &hints,
            Need::Instance,
            None,
            &call,
        );
        assert_eq!(asked.await.unwrap_err().code, code, "{reply:?}");
        assert_eq!(ports.service.requests().len(), attempts, "{reply:?}");
        assert_eq!(ports.world.ops.count().service_calls, attempts as u32);
        let id = InstanceId::parse("production").unwrap();
        if code == Code::ConfigUnavailable {
            let before = ports.service.requests().len();
            assert_eq!(lookup.config(&id, &context()).await.unwrap_err().code, code);
            // The verdicts' failures are not the configurations'.
            assert_eq!(ports.service.requests().len() - before, 2, "{reply:?}");
        }
    }
}

const CREDENTIAL: &str = "0198f0c0-0000-7000-8000-000000000001";

#[tokio::test]
async fn a_key_is_asked_for_by_its_id_or_as_the_current_one() {
    let (http, source) = service();
    let (instance, provider) = (
        InstanceId::parse("production").unwrap(),
        ProviderName::parse("ideogram").unwrap(),
    );
    let id = CredentialId::parse(CREDENTIAL).unwrap();
    let path = "http://config-service/internal/v1/credentials/production/ideogram";
    for (asked, url) in [
        (None, path.to_owned()),
        (Some(&id), format!("{path}?credential_id={CREDENTIAL}")),
    ] {
        http.reply(FakeReply::json(
            200,
            &json!({
                "credential_id": CREDENTIAL, "org_id": "o", "instance_id": "production", "provider": "ideogram",
                "host": "api.ideogram.ai", "ciphertext": "v1.k1.a.b", "version": 3,
            }),
        ));
        let context = context();
        let found = source.credential(&instance, &provider, asked, &context);
        let expected = SealedCredential {
            credential_id: id.clone(),
            host: "api.ideogram.ai".to_owned(),
            ciphertext: Ciphertext("v1.k1.a.b".to_owned()),
        };
        assert_eq!(found.await.unwrap(), expected);
        let requests = http.requests();
        assert_eq!(requests.last().unwrap().url, url);
    }
    let gone = json!({"error": "not_found", "message": "m", "hint": "h", "details": {}, "docs": "d", "request_id": "r"});
    for (reply, code) in [
        (FakeReply::json(404, &gone), Code::NotFound),
        (FakeReply::status(500), Code::ConfigUnavailable),
        (FakeReply::json(200, &json!({})), Code::ConfigUnavailable),
    ] {
        http.reply(reply);
        let context = context();
        let error = source.credential(&instance, &provider, Some(&id), &context);
        assert_eq!(error.await.unwrap_err().code, code);
    }
}

#[tokio::test]
async fn report_format_unchanged() {
    let (http, source) = service();
    http.reply(FakeReply::status(204));
    let items =
        [CredentialOutcome::Ok, CredentialOutcome::AuthFailed].map(|outcome| CredentialReport {
            credential_id: CredentialId::parse(CREDENTIAL).unwrap(),
            outcome,
            at: Timestamp(1_763_719_203_240),
        });
    source.report(&items, &context()).await.unwrap();
    let requests = http.requests();
    let sent = requests.last().unwrap();
    assert_eq!(
        sent.url,
        "http://config-service/internal/v1/credentials/report"
    );
    let at = "2025-11-21T10:00:03.240Z";
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&sent.body).unwrap(),
        json!({"items": [
            {"credential_id": CREDENTIAL, "outcome": "ok", "at": at},
            {"credential_id": CREDENTIAL, "outcome": "auth_failed", "at": at},
        ]})
    );
    http.reply(FakeReply::status(503));
    let error = source.report(&items, &context()).await.unwrap_err();
    assert_eq!(error.code, Code::ConfigUnavailable);
}
