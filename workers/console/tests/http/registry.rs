//! A worker that is not bound: its URL from the registry, asked for as the caller, and where keys may go.

use crate::house::{Answer, House, KEY, Plan};
use console::registry::{To, parse_hosts};
use http::Method;
use platform::SendPhase;
use platform::fakes::{FakeHttp, FakeReply};
use serde_json::{Value, json};

const URL: &str = "https://image-gen-production.acme.workers.dev";
const PATH: &str = "/api/image-gen/generate";

/// A deployed console with no image-gen of its own.
fn deployed() -> House {
    let mut plan = Plan::default().without("IMAGE_GEN");
    plan.gateway.worker_hosts = vec!["acme.workers.dev".to_owned()];
    House::new(plan)
}

/// What config-service answers to `GET /instance/{instance_id}`, as far as it matters here.
fn instance(urls: &Value) -> FakeReply {
    FakeReply::json(
        200,
        &json!({"instance_id": "production", "status": "active", "worker_urls": urls, "version": 3}),
    )
}

fn at(url: &str) -> FakeReply {
    instance(&json!({"image_gen": url, "task_master": "https://elsewhere.example"}))
}

fn refusal(status: u16, code: &str) -> FakeReply {
    let body = json!({
        "error": code, "message": "m", "hint": "h", "details": {"reason": "revoked"}, "docs": "d",
        "request_id": "r",
    });
    FakeReply::json(status, &body)
}

async fn call(house: &House, bearer: &str, instance: &str) -> Answer {
    let pairs = [("authorization", bearer), ("x-instance-id", instance)];
    house
        .send(
            Method::POST,
            &format!("https://c.example{PATH}"),
            &pairs,
            None,
        )
        .await
}

fn to(answer: &Answer) -> Option<&To> {
    answer.forward.as_ref().map(|(_, to)| to)
}

fn url(url: &str) -> To {
    To::Url(url.to_owned())
}

fn asked(config: &FakeHttp) -> Vec<(String, String)> {
    let requests = config.requests();
    let shown = requests.iter().map(|it| {
        let bearer = it.headers.get("authorization");
        let bearer = bearer.map_or("", |value| value.to_str().unwrap());
        (it.url.clone(), bearer.to_owned())
    });
    shown.collect()
}

#[tokio::test]
async fn the_registry_is_asked_once_a_minute_for_each_caller_and_instance() {
    let house = deployed();
    house.config().reply(at(URL));
    for _ in 0..3 {
        let answer = call(&house, "Bearer a", "production").await;
        assert_eq!(to(&answer), Some(&url(URL)), "{}", answer.text());
    }
    let first = (
        "http://config-service/instance/production".to_owned(),
        "Bearer a".to_owned(),
    );
    assert_eq!(asked(house.config()), std::slice::from_ref(&first));

    house.config().reply(at("https://b.acme.workers.dev/base/"));
    let answer = call(&house, "Bearer b", "production").await;
    assert_eq!(to(&answer), Some(&url("https://b.acme.workers.dev/base")));
    house.config().reply(at("https://s.acme.workers.dev"));
    let answer = call(&house, "Bearer a", "staging").await;
    assert_eq!(to(&answer), Some(&url("https://s.acme.workers.dev")));
    assert_eq!(house.config().requests().len(), 3);
    // Nobody's answer is anybody else's.
    assert_eq!(
        to(&call(&house, "Bearer a", "production").await),
        Some(&url(URL))
    );

    house.world.clock.advance(59_000);
    assert_eq!(
        to(&call(&house, "Bearer a", "production").await),
        Some(&url(URL))
    );
    house.world.clock.advance(1_000);
    house.config().reply(at("https://n.acme.workers.dev"));
    let answer = call(&house, "Bearer a", "production").await;
    assert_eq!(to(&answer), Some(&url("https://n.acme.workers.dev")));
    assert_eq!(house.config().requests().len(), 4);
}

#[tokio::test]
async fn an_isolate_remembers_a_bounded_number_of_callers() {
    let house = deployed();
    for caller in 0..=256 {
        house.config().reply(at(URL));
        call(&house, &format!("Bearer {caller}"), "production").await;
    }
    assert_eq!(house.config().requests().len(), 257);
    call(&house, "Bearer 256", "production").await;
    call(&house, "Bearer 1", "production").await;
    assert_eq!(house.config().requests().len(), 257);
    house.config().reply(at(URL));
    call(&house, "Bearer 0", "production").await;
    assert_eq!(house.config().requests().len(), 258, "the oldest made room");
}

#[tokio::test]
async fn a_session_asks_with_its_own_key_and_nobody_with_none() {
    let house = deployed();
    house.config().reply(at(URL));
    let cookie = format!("__Host-sy_session={KEY}");
    let url_of = |query: &str| format!("https://c.example/api/image-gen/images/a.png{query}");
    let pairs = [("cookie", cookie.as_str())];
    let answer = house
        .send(Method::GET, &url_of("?__instance=production"), &pairs, None)
        .await;
    assert_eq!(to(&answer), Some(&url(URL)), "{}", answer.text());
    let (forward, _) = answer.forward.as_ref().unwrap();
    assert_eq!(forward.path_and_query, "/images/a.png");
    assert_eq!(forward.instance.as_ref().unwrap().as_str(), "production");
    let request = house.config().requests().remove(0);
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    assert!(!request.headers.contains_key("cookie"));

    house.config().reply(refusal(401, "auth_failed"));
    let answer = house.get(&url_of("?__instance=production")).await;
    assert_eq!(answer.outcome(), (401, "auth_failed".to_owned()));
    assert_eq!(asked(house.config())[1].1, "");
}

#[tokio::test]
async fn what_the_registry_refuses_is_refused_and_forgotten() {
    let house = deployed();
    for (status, code) in [
        (401, "auth_failed"),
        (403, "forbidden"),
        (404, "not_found"),
        (429, "too_many_auth_failures"),
    ] {
        house.config().reply(refusal(status, code));
        let answer = call(&house, "Bearer a", "production").await;
        assert_eq!(answer.outcome(), (status, code.to_owned()));
        assert_eq!(answer.json()["details"]["reason"], "revoked");
        assert_eq!(answer.json()["message"], "m");
    }
    for reply in [
        FakeReply::failure(SendPhase::MaybeSent, "gone"),
        refusal(503, "database_unavailable"),
        at(URL).delayed(60_000),
    ] {
        house.config().reply(reply);
        let answer = call(&house, "Bearer a", "production").await;
        assert_eq!(answer.outcome(), (503, "config_unavailable".to_owned()));
    }
    house.config().reply(FakeReply::json(200, &json!({})));
    assert_eq!(call(&house, "Bearer a", "production").await.status, 500);
    house.config().reply(at(URL));
    assert_eq!(
        to(&call(&house, "Bearer a", "production").await),
        Some(&url(URL))
    );
}

#[tokio::test]
async fn an_instance_without_the_worker_says_so() {
    let house = deployed();
    house.config().reply(instance(&json!({"task_master": URL})));
    let answer = call(&house, "Bearer a", "production").await;
    assert_eq!(answer.outcome(), (503, "worker_not_deployed".to_owned()));
    let details = &answer.json()["details"];
    assert_eq!(
        details,
        &json!({"worker": "image-gen", "instance_id": "production"})
    );
    assert_ne!(answer.header("retry-after"), "");
}

/// A registered URL -> whether a deployed console, and whether a local one, sends keys there.
const URLS: &[(&str, bool, bool)] = &[
    (URL, true, true),
    ("https://acme.workers.dev", true, true),
    ("https://IMAGE.Acme.Workers.Dev:8443/base", true, true),
    ("http://image.acme.workers.dev", false, false),
    ("https://acme.workers.dev.evil.example", false, false),
    ("https://evilacme.workers.dev", false, false),
    ("https://evil.example/acme.workers.dev", false, false),
    ("https://evil.example#acme.workers.dev", false, false),
    ("https://acme.workers.dev@evil.example", false, false),
    ("https://key@image.acme.workers.dev", false, false),
    ("https://image.acme.workers.dev./", false, false),
    ("https://image.acme.workers.dev?x=1", false, false),
    ("ftp://image.acme.workers.dev", false, false),
    ("//image.acme.workers.dev", false, false),
    (
        "https://evil.example\\@image.acme.workers.dev",
        false,
        false,
    ),
    ("https://image.acme.workers.dev/a\\b", false, false),
    ("https://image.acme.workers.dev:99999", false, false),
    ("https://image.acme.workers.dev:", false, false),
    ("https://%69mage.acme.workers.dev", false, false),
    ("https:image.acme.workers.dev", false, false),
    ("https://.acme.workers.dev", false, false),
    ("https://a..acme.workers.dev", false, false),
    ("https://.127.0.0.1", false, false),
    ("https://a.127.0.0.1", false, false),
    ("", false, false),
    ("https://10.0.0.1", false, false),
    ("https://127.0.0.1:9", false, true),
    ("http://127.0.0.1:9/api/image-gen", false, true),
    ("http://localhost:9", false, false),
    ("http://10.0.0.1", false, false),
    ("http://127.0.0.1.evil.example", false, false),
];

#[tokio::test]
async fn keys_are_sent_to_hosts_of_the_list_only() {
    for (registered, when_deployed, when_local) in URLS {
        for (local, sent) in [(false, when_deployed), (true, when_local)] {
            let mut plan = Plan::default().without("IMAGE_GEN");
            plan.gateway.local = local;
            plan.gateway.worker_hosts = vec!["acme.workers.dev".into(), "127.0.0.1".into()];
            let house = House::new(plan);
            house.config().reply(at(registered));
            let pairs = [
                ("authorization", "Bearer a"),
                ("x-instance-id", "production"),
            ];
            let answer = house.send(Method::GET, PATH, &pairs, None).await;
            assert_eq!(to(&answer).is_some(), *sent, "{registered} {local}");
            let errors = house.lines();
            let errors = errors.iter().filter(|line| line["level"] == "ERROR");
            if *sent {
                assert_eq!(errors.count(), 0, "{registered}");
                continue;
            }
            assert_eq!(answer.outcome(), (502, "upstream_refused".to_owned()));
            assert!(!answer.text().contains("evil"), "{}", answer.text());
            assert_eq!(errors.count(), 1, "{registered}");
        }
    }
    // Without the list nothing is allowed.
    let house = House::new(Plan::default().without("IMAGE_GEN"));
    house.config().reply(at(URL));
    let answer = call(&house, "Bearer a", "production").await;
    assert_eq!(answer.status, 502);
    let line = house
        .lines()
        .into_iter()
        .find(|line| line["level"] == "ERROR");
    let line = line.unwrap().to_string();
    assert!(
        line.contains("image-gen-production.acme.workers.dev"),
        "{line}"
    );
}

#[test]
fn a_list_of_hosts_holds_names_only() {
    assert_eq!(
        parse_hosts(" Acme.workers.dev,127.0.0.1 ,"),
        Ok(vec!["acme.workers.dev".to_owned(), "127.0.0.1".to_owned()])
    );
    assert_eq!(parse_hosts(""), Ok(Vec::new()));
    for bad in [
        "https://a.example",
        "a.example/x",
        "*.a.example",
        ".a.example",
        "a:1",
        "a. b",
    ] {
        assert_eq!(
            parse_hosts(&format!("b.example,{bad}")),
            Err(bad.to_owned())
        );
    }
}

fn access(instances: &[String], more: bool) -> FakeReply {
    let items: Vec<Value> = instances
        .iter()
        .map(|id| json!({"instance_id": id, "name": "N"}))
        .collect();
    FakeReply::json(
        200,
        &json!({"role": "admin", "instances": items, "instances_more": more}),
    )
}

async fn unnamed(house: &House) -> Answer {
    let pairs = [("authorization", "Bearer a")];
    house
        .send(
            Method::GET,
            &format!("https://c.example{PATH}"),
            &pairs,
            None,
        )
        .await
}

#[tokio::test]
async fn a_request_without_an_instance_is_told_which_there_are() {
    let many: Vec<String> = (0..25).map(|at| format!("i{at}")).collect();
    for (instances, more, shown, said) in [
        (&many[..2], false, 2, false),
        (&many[..2], true, 2, true),
        (&many[..0], false, 0, false),
        (&many[..], false, 20, true),
    ] {
        let house = deployed();
        house.config().reply(access(instances, more));
        let answer = unnamed(&house).await;
        assert_eq!(answer.outcome(), (400, "instance_required".to_owned()));
        let details = &answer.json()["details"];
        assert_eq!(
            details,
            &json!({"instances": instances[..shown], "more": said})
        );
        assert!(answer.text().contains("__instance"), "{}", answer.text());
        assert_eq!(
            asked(house.config()),
            [(
                "http://config-service/session".to_owned(),
                "Bearer a".to_owned()
            )]
        );
    }
}

#[tokio::test]
async fn without_the_list_the_request_is_still_incomplete_but_a_bad_key_comes_first() {
    for reply in [
        FakeReply::failure(SendPhase::MaybeSent, "gone"),
        refusal(503, "database_unavailable"),
        FakeReply::json(200, &json!({})),
    ] {
        let house = deployed();
        house.config().reply(reply);
        let answer = unnamed(&house).await;
        assert_eq!(answer.outcome(), (400, "instance_required".to_owned()));
        assert!(answer.json()["details"]["instances"].is_null());
    }
    let house = deployed();
    house.config().reply(refusal(401, "auth_failed"));
    assert_eq!(
        unnamed(&house).await.outcome(),
        (401, "auth_failed".to_owned())
    );
}

#[tokio::test]
async fn a_binding_costs_no_call() {
    for (binding, to_binding) in [
        ("IMAGE_GEN", "IMAGE_GEN"),
        ("IMAGE_GEN__PRODUCTION", "IMAGE_GEN__PRODUCTION"),
    ] {
        let plan = Plan::default().without("IMAGE_GEN").with(binding);
        let house = House::new(plan);
        let answer = call(&house, "Bearer a", "production").await;
        assert_eq!(to(&answer), Some(&To::Binding(to_binding.to_owned())));
        assert!(house.config().requests().is_empty());
    }
}
