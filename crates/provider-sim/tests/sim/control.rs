//! The control calls.

use crate::client::Sim;
use serde_json::{Value, json};

#[test]
fn health_tells_version_and_clock() {
    let due =
        |clock: &str| json!({"status": "ok", "version": env!("CARGO_PKG_VERSION"), "clock": clock});
    assert_eq!(
        Sim::real().control("GET", "health", None).json(),
        due("real")
    );
    assert_eq!(
        Sim::virtual_clock().control("GET", "health", None).json(),
        due("virtual")
    );
}

#[test]
fn faults_meet_the_next_matching_calls_of_their_phase() {
    let sim = Sim::real();
    let fault = |value: Value| sim.control("POST", "faults", Some(&value));
    let reply = fault(
        json!({"provider": "ideogram", "phase": "submit", "scenario": "503", "times": 2, "account": "acme"}),
    );
    assert_eq!(reply.json(), json!({"id": "f1"}));
    let other = sim.ideogram(
        "sim-ok-other",
        "ideogram-3",
        &json!({"prompt": "a", "async": true}),
    );
    assert_eq!(other.status, 200);
    assert_eq!([0; 3].map(|_| sim.submit("a").status), [503, 503, 200]);

    fault(json!({"provider": "ideogram", "phase": "status", "scenario": "502=html"}));
    fault(json!({"provider": "ideogram", "phase": "download", "scenario": "500"}));
    fault(json!({"provider": "ideogram", "phase": "download", "scenario": "img-truncated"}));
    let id = sim.submit("a").json()["generation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(sim.poll(&id).status, 502);
    let done = sim.until_ended(&id);
    let link = done["data"][0]["url"].as_str().unwrap();
    assert_eq!(sim.get(link, &[]).status, 500);
    assert!(image::load_from_memory(&sim.get(link, &[]).body).is_err());
    assert!(image::load_from_memory(&sim.get(link, &[]).body).is_ok());

    fault(json!({"provider": "ideogram", "phase": "quote", "scenario": "429=1"}));
    assert_eq!(
        sim.ideogram(
            "sim-ok-acme",
            "ideogram-3?dry_run=true",
            &json!({"prompt": "a"})
        )
        .status,
        429
    );
    fault(json!({"provider": "openai", "phase": "probe", "scenario": "auth"}));
    let models = format!("{}/models", sim.server.base("openai"));
    let bearer = [("authorization", "Bearer sim-ok-acme")];
    assert_eq!([0; 2].map(|_| sim.get(&models, &bearer).status), [401, 200]);
    assert_eq!(
        sim.control("GET", "faults", None).json()["items"],
        json!([])
    );
}

#[test]
fn a_queued_fault_can_be_removed_and_a_wrong_one_is_refused() {
    let sim = Sim::real();
    let fault = json!({"provider": "ideogram", "scenario": "503"});
    sim.control("POST", "faults", Some(&fault));
    assert_eq!(sim.control("DELETE", "faults/f1", None).status, 200);
    assert_eq!(sim.control("DELETE", "faults/f1", None).status, 404);
    assert_eq!(sim.submit("a").status, 200);
    for wrong in [
        json!({"provider": "nobody", "scenario": "503"}),
        json!({"provider": "ideogram", "scenario": "nonsense"}),
        json!({"provider": "openai", "scenario": "failed"}),
        json!({"provider": "ideogram", "scenario": "503", "phase": "never"}),
        json!({"provider": "ideogram", "scenario": "503", "tims": 2}),
    ] {
        assert_eq!(
            sim.control("POST", "faults", Some(&wrong)).status,
            400,
            "{wrong}"
        );
    }
}

#[test]
fn jobs_are_listed_and_can_be_ended_by_hand() {
    let sim = Sim::virtual_clock();
    let ids: Vec<String> = (0..3)
        .map(|_| {
            sim.submit("a sim:queue=600s").json()["generation_id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let act = |id: &str, action: &str| sim.control("POST", &format!("jobs/{id}/{action}"), None);
    assert_eq!(act(&ids[0], "complete").json()["status"], "completed");
    assert_eq!(sim.poll(&ids[0]).json()["status"], "completed");
    assert_eq!(sim.server.charges().len(), 3);
    assert_eq!(act(&ids[1], "fail").json()["status"], "failed");
    assert_eq!(sim.poll(&ids[1]).json()["status"], "failed");
    assert_eq!(act(&ids[2], "expire").json()["status"], "expired");
    assert_eq!(sim.poll(&ids[2]).status, 404);
    // Only the finished one stays billed, and it may still expire.
    assert_eq!(sim.server.charges().len(), 1);
    assert_eq!(act(&ids[0], "fail").status, 409);
    assert_eq!(act(&ids[1], "complete").status, 409);
    assert_eq!(act(&ids[0], "expire").json()["status"], "expired");
    assert_eq!(
        (sim.poll(&ids[0]).status, sim.server.charges().len()),
        (404, 1)
    );
    assert_eq!(act("unknown", "fail").status, 404);
    let list = sim
        .control("GET", "jobs?provider=ideogram&account=acme", None)
        .json();
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    assert_eq!(
        sim.control("GET", "jobs?account=other", None).json()["items"],
        json!([])
    );
}

#[test]
fn the_virtual_clock_moves_and_the_real_one_does_not() {
    let body = json!({"advance_ms": 86_400_000});
    let moved = Sim::virtual_clock().control("POST", "clock", Some(&body));
    assert_eq!(moved.json()["now"], "2026-11-22T10:00:00.000Z");
    assert_eq!(
        Sim::real().control("POST", "clock", Some(&body)).status,
        409
    );
}

#[test]
fn requests_are_logged_with_masked_keys() {
    let sim = Sim::real();
    sim.submit("a fox");
    sim.submit("a hare sim:503");
    let log = sim
        .control("GET", "requests?after=0&limit=200&provider=ideogram", None)
        .json();
    let items = log["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    let first = &items[0];
    assert_eq!(
        (&first["seq"], &first["status"], &first["scenario"]),
        (&json!(1), &json!(200), &json!("ok"))
    );
    assert_eq!(
        (&first["listener"], &first["account"]),
        (&json!("api"), &json!("acme"))
    );
    assert_eq!(
        (&first["method"], &first["path"]),
        (&json!("POST"), &json!("/v2/image/generate/ideogram-3"))
    );
    assert_eq!(first["headers"]["api-key"], "sim-ok-***");
    assert_eq!(first["body"]["prompt"], "a fox");
    assert!(first["ms"].is_u64());
    assert_eq!(
        (&items[1]["status"], &items[1]["scenario"]),
        (&json!(503), &json!("503"))
    );
    let page = sim.control("GET", "requests?after=1&limit=1", None).json();
    assert_eq!(page["items"][0]["seq"], 2);
}

#[test]
fn a_reset_forgets_everything_or_one_account() {
    let sim = Sim::real();
    let mine = sim.submit("a").json()["generation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let other = sim.ideogram(
        "sim-ok-other",
        "ideogram-3",
        &json!({"prompt": "a", "async": true, "x": 1}),
    );
    assert_eq!(other.status, 400);
    sim.ideogram(
        "sim-ok-other",
        "ideogram-3",
        &json!({"prompt": "a", "async": true}),
    );
    sim.control("POST", "reset", Some(&json!({"account": "other"})));
    let accounts: Vec<_> = sim
        .server
        .charges()
        .into_iter()
        .map(|charge| charge.account)
        .collect();
    assert_eq!(accounts, ["acme"]);
    assert!(sim.violation_kinds().is_empty());
    assert_eq!(sim.poll(&mine).status, 200);
    sim.control("POST", "reset", None);
    assert!(sim.server.charges().is_empty() && sim.server.requests().is_empty());
    assert_eq!(sim.poll(&mine).status, 404);
}

#[test]
fn chaos_is_seeded_and_can_be_switched_off() {
    let statuses = |seed: u64| -> Vec<String> {
        let sim = Sim::virtual_clock();
        let chaos = json!({"enabled": true, "seed": seed, "rate": 0.5});
        assert_eq!(sim.control("POST", "chaos", Some(&chaos)).status, 200);
        for number in 0..20 {
            let body = json!({"prompt": format!("a {number}"), "model": "gpt-image-1-mini", "quality": "low", "n": 1});
            // Slow answers wait for the virtual clock: only what was met matters here.
            let _ = crate::client::agent(250)
                .post(format!("{}/images/generations", sim.server.base("openai")))
                .header("authorization", "Bearer sim-ok-acme")
                .header("content-type", "application/json")
                .send(body.to_string());
        }
        let met = sim
            .server
            .requests()
            .into_iter()
            .map(|entry| entry.scenario)
            .collect();
        sim.control("POST", "chaos", Some(&json!({"enabled": false})));
        assert_eq!(
            sim.openai(
                "sim-ok-acme",
                &json!({"prompt": "b", "model": "gpt-image-2"})
            )
            .status,
            200
        );
        met
    };
    let first = statuses(7);
    assert_eq!(first.len(), 20);
    let faults = first.iter().filter(|scenario| *scenario != "ok").count();
    assert!((4..=16).contains(&faults), "{first:?}");
    assert_eq!(first, statuses(7));
    assert_ne!(first, statuses(8));
    let wrong = json!({"enabled": true, "rate": 2.0});
    assert_eq!(
        Sim::real().control("POST", "chaos", Some(&wrong)).status,
        400
    );
}

#[test]
fn the_closed_base_refuses_connections() {
    let sim = Sim::real();
    let error = sim
        .try_send("GET", &sim.server.closed_base(), &[], None)
        .unwrap_err();
    assert!(
        matches!(error, ureq::Error::Io(ref error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
    );
}

#[test]
fn dropping_it_closes_its_ports() {
    let sim = Sim::real();
    let url = format!("{}/_sim/health", sim.server.control());
    let agent = crate::client::agent(1_000);
    assert!(agent.get(&url).call().is_ok());
    drop(sim);
    let closed = (0..50).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        agent.get(&url).call().is_err()
    });
    assert!(closed);
}

#[test]
fn faults_for_polls_may_be_queued_under_both_names() {
    let sim = Sim::real();
    let id = sim.submit("a").json()["generation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    for scenario in ["429", "poll-429"] {
        let fault = json!({"provider": "ideogram", "phase": "status", "scenario": scenario});
        sim.control("POST", "faults", Some(&fault));
        assert_eq!([0; 2].map(|_| sim.poll(&id).status), [429, 200]);
    }
}
