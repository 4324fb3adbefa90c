//! Limits, charges, duplicates and violations.

use crate::client::Sim;
use provider_sim::SimConfig;
use serde_json::json;

const ASYNC_4: &str = r#"{"prompt":"a","async":true,"num_images":4}"#;

fn submit(sim: &Sim, headers: &[(&str, &str)], body: &str) -> u16 {
    let url = format!(
        "{}/v2/image/generate/ideogram-3",
        sim.server.base("ideogram")
    );
    let mut all = vec![
        ("api-key", "sim-ok-acme"),
        ("content-type", "application/json"),
    ];
    all.extend_from_slice(headers);
    sim.try_send("POST", &url, &all, Some(body.as_bytes()))
        .unwrap()
        .status
}

#[test]
fn ten_images_are_in_flight_and_a_finished_job_frees_its_own() {
    let sim = Sim::virtual_clock();
    assert_eq!([0; 3].map(|_| submit(&sim, &[], ASYNC_4)), [200, 200, 429]);
    let two = r#"{"prompt":"a","async":true,"num_images":2}"#;
    assert_eq!([0; 2].map(|_| submit(&sim, &[], two)), [200, 429]);
    // Another account has its own.
    let other = sim.ideogram(
        "sim-ok-other",
        "ideogram-3",
        &json!({"prompt": "a", "async": true}),
    );
    assert_eq!(other.status, 200);
    sim.advance_ms(2_000);
    assert_eq!(submit(&sim, &[], ASYNC_4), 200);
    assert_eq!(sim.server.charges().len(), 5);
}

#[test]
fn the_limit_in_flight_can_be_set_and_is_told() {
    let sim = Sim::virtual_clock();
    let limits = json!({"provider": "ideogram", "account": "acme", "in_flight": 3});
    assert_eq!(
        sim.control("POST", "limits", Some(&limits)).json()["in_flight"],
        3
    );
    let reply = sim.ideogram(
        "sim-ok-acme",
        "ideogram-3",
        &json!({"prompt": "a", "async": true, "num_images": 4}),
    );
    assert_eq!(reply.status, 429);
    assert_eq!(
        (
            &reply.json()["reject_reason"],
            &reply.json()["max_inflight_requests"]
        ),
        (&json!("inflight_limit"), &json!(3))
    );
}

#[test]
fn polls_are_limited_in_ten_seconds() {
    let sim = Sim::virtual_clock();
    let limits = json!({"provider": "ideogram", "account": "acme", "polls_per_10s": 2});
    sim.control("POST", "limits", Some(&limits));
    let id = sim.submit("a").json()["generation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    sim.advance_ms(2_000);
    assert_eq!([0; 2].map(|_| sim.poll(&id).status), [200, 200]);
    let refused = sim.poll(&id);
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("10"))
    );
    sim.advance_ms(10_000);
    assert_eq!(sim.poll(&id).status, 200);
}

#[test]
fn prepaid_credit_runs_out() {
    let sim = Sim::real();
    let limits = json!({"provider": "ideogram", "account": "acme", "credit_usd_micros": 100_000});
    sim.control("POST", "limits", Some(&limits));
    assert_eq!(sim.submit("a").status, 200);
    let refused = sim.submit("a");
    assert_eq!(
        (refused.status, &refused.json()["reject_reason"]),
        (402, &json!("insufficient_funds"))
    );
}

#[test]
fn a_charge_says_who_paid_what_for_which_request() {
    let sim = Sim::real();
    assert_eq!(submit(&sim, &[("x-request-id", "job1.1.0")], ASYNC_4), 200);
    let charge = &sim
        .control("GET", "charges?account=acme&provider=ideogram", None)
        .json()["items"][0];
    assert_eq!(charge["usd_micros"], 240_000);
    assert_eq!(
        (&charge["images"], &charge["request_id"]),
        (&json!(4), &json!("job1.1.0"))
    );
    assert_eq!(
        (&charge["answered"], &charge["tag"]),
        (&json!(true), &json!(null))
    );
    assert!(
        charge["fingerprint"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    assert_eq!(
        sim.control("GET", "charges?account=other", None).json()["items"],
        json!([])
    );
}

#[test]
fn a_request_paid_twice_is_a_duplicate_and_a_violation() {
    let sim = Sim::real();
    let same = [("x-request-id", "job1.1.0")];
    assert_eq!(submit(&sim, &same, ASYNC_4), 200);
    assert_eq!(
        sim.control("GET", "charges/duplicates", None).json()["items"],
        json!([])
    );
    assert_eq!(submit(&sim, &same, ASYNC_4), 200);
    assert_eq!(submit(&sim, &[("x-request-id", "job1.2.0")], ASYNC_4), 429);
    let groups = sim.control("GET", "charges/duplicates", None).json();
    assert_eq!(
        groups["items"],
        json!([{"key": "request_id:job1.1.0", "charges": ["c1", "c2"]}])
    );
    assert_eq!(sim.violation_kinds(), ["submit_after_accept"]);
}

#[test]
fn a_request_that_was_refused_may_be_sent_again() {
    let sim = Sim::real();
    let same = [("x-request-id", "job1.1.0")];
    let body = r#"{"prompt":"a sim:500x1","async":true}"#;
    assert_eq!(submit(&sim, &same, body), 500);
    assert_eq!(submit(&sim, &same, body), 200);
    assert!(sim.server.violations().is_empty());
    assert!(sim.server.duplicates().is_empty());
}

#[test]
fn tags_and_equal_bodies_show_duplicates() {
    let sim = Sim::virtual_clock();
    sim.submit("one sim:once=t1");
    sim.submit("two sim:once=t1");
    sim.submit("three");
    sim.submit("three");
    let keys: Vec<_> = sim
        .server
        .duplicates()
        .into_iter()
        .map(|group| group.key)
        .collect();
    assert_eq!(keys.len(), 2);
    assert!(keys[0].starts_with("fingerprint:sha256:"));
    assert_eq!(keys[1], "tag:t1");
    sim.advance_ms(61_000);
    sim.submit("four");
    sim.advance_ms(61_000);
    sim.submit("four");
    assert_eq!(sim.server.duplicates().len(), 2);
}

#[test]
fn credentials_and_tracing_in_wrong_places_are_violations() {
    let sim = Sim::real();
    let done = sim.run(&json!({"prompt": "a", "async": true}));
    let link = done["data"][0]["url"].as_str().unwrap();
    assert_eq!(
        sim.get(link, &[("authorization", "Bearer sim-ok-acme")])
            .status,
        200
    );
    assert_eq!(sim.violation_kinds(), ["credential_on_image_host"]);
    sim.control("POST", "reset", None);
    sim.submit("a");
    let url = format!(
        "{}/v2/generations/x?key=sim-ok-acme",
        sim.server.base("ideogram")
    );
    sim.get(
        &url,
        &[("api-key", "sim-ok-acme"), ("traceparent", "00-1-1-01")],
    );
    assert_eq!(sim.violation_kinds(), ["traceparent_sent", "key_in_query"]);
    sim.get(
        &format!("{}/x", sim.server.off_list_host()),
        &[("api-key", "sim-ok-acme")],
    );
    sim.get(
        &format!("{}/x", sim.server.alt_host()),
        &[("api-key", "sim-ok-acme")],
    );
    let kinds = sim.violation_kinds();
    assert_eq!(
        kinds[2..],
        [
            "off_list_host",
            "credential_on_foreign_host",
            "redirect_followed_with_key",
            "credential_on_foreign_host"
        ]
    );
    let logged = sim.control("GET", "requests", None).text();
    assert!(logged.contains("sim-ok-***") && !logged.contains("\"sim-ok-acme\""));
}

#[test]
fn polling_a_pending_job_too_fast_is_a_violation_and_reading_a_finished_one_is_not() {
    let sim = Sim::virtual_clock();
    let id = sim.submit("a").json()["generation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    sim.advance_ms(500);
    sim.poll(&id);
    sim.advance_ms(500);
    sim.poll(&id);
    assert!(sim.violation_kinds().is_empty());
    sim.advance_ms(499);
    sim.poll(&id);
    assert_eq!(sim.violation_kinds(), ["polled_too_fast"]);
    sim.advance_ms(600);
    sim.poll(&id);
    sim.poll(&id);
    assert_eq!(sim.violation_kinds().len(), 1);
}

#[test]
fn the_least_gap_between_polls_can_be_set() {
    let sim = Sim::with(SimConfig {
        min_poll_gap_ms: 0,
        pending_ms: 60_000,
        ..SimConfig::default()
    });
    let id = sim.submit("a").json()["generation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    sim.poll(&id);
    sim.poll(&id);
    assert!(sim.server.violations().is_empty());
}
