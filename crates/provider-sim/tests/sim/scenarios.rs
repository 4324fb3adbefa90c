//! Every scenario token: what is answered, and whether it is charged.

use crate::client::{Reply, Sim, dimensions};
use crate::openai::file;
use serde_json::{Value, json};

/// A submit with this token, and how many charges it made.
fn ideogram(token: &str) -> (Reply, usize) {
    let sim = Sim::real();
    let reply = sim.submit(&format!("a fox sim:{token}"));
    (reply, sim.server.charges().len())
}

fn openai_body(token: &str) -> Value {
    json!({"prompt": format!("a fox sim:{token}"), "model": "gpt-image-2", "quality": "low"})
}

fn openai(token: &str) -> (Reply, usize) {
    let sim = Sim::real();
    let reply = sim.openai("sim-ok-acme", &openai_body(token));
    (reply, sim.server.charges().len())
}

#[test]
fn ideogram_refusals_have_their_status_and_reason_and_cost_nothing() {
    let cases = [
        ("429", 429, Value::Null),
        ("inflight", 429, json!("inflight_limit")),
        ("quota", 402, json!("insufficient_funds")),
        (
            "quota=subscription_required",
            402,
            json!("subscription_required"),
        ),
        (
            "quota=priority_credit_required",
            402,
            json!("priority_credit_required"),
        ),
        ("quota=feature_limit", 402, json!("feature_limit")),
        ("quota=daily_limit", 429, json!("daily_limit")),
        ("auth", 401, Value::Null),
        ("forbidden", 403, Value::Null),
        ("unsafe", 422, Value::Null),
        ("500", 500, Value::Null),
        ("503", 503, Value::Null),
        ("529", 529, Value::Null),
    ];
    for (token, status, reason) in cases {
        let (reply, charges) = ideogram(token);
        assert_eq!((reply.status, charges), (status, 0), "{token}");
        assert_eq!(reply.json()["reject_reason"], reason, "{token}");
        assert!(reply.json()["error"].is_string(), "{token}");
    }
    let (reply, _) = ideogram("inflight");
    assert_eq!(reply.json()["max_inflight_requests"], 10);
}

#[test]
fn openai_refusals_have_their_status_and_code_and_cost_nothing() {
    let cases = [
        ("429", 429, json!("rate_limit_exceeded")),
        ("quota", 429, json!("insufficient_quota")),
        ("auth", 401, json!("invalid_api_key")),
        ("forbidden", 403, json!("model_not_found")),
        ("unsafe", 400, json!("moderation_blocked")),
        ("unsafe=image", 400, json!("moderation_blocked")),
        ("unsafe=partial", 400, json!("moderation_blocked")),
        ("500", 500, Value::Null),
        ("503", 503, Value::Null),
        ("529", 529, json!("overloaded")),
    ];
    for (token, status, code) in cases {
        let (reply, charges) = openai(token);
        assert_eq!((reply.status, charges), (status, 0), "{token}");
        assert_eq!(reply.json()["error"]["code"], code, "{token}");
    }
}

#[test]
fn a_throttled_call_is_told_to_wait_in_each_form() {
    let sim = Sim::virtual_clock();
    let wait = |token: &str| {
        let reply = sim.submit(&format!("a sim:{token}"));
        assert_eq!(reply.status, 429);
        reply.header("retry-after").map(str::to_owned)
    };
    assert_eq!(wait("429").as_deref(), Some("2"));
    assert_eq!(wait("429=14").as_deref(), Some("14"));
    assert_eq!(
        wait("429=date").as_deref(),
        Some("Sat, 21 Nov 2026 10:00:05 GMT")
    );
    assert_eq!(wait("429=none"), None);
}

#[test]
fn the_edge_answers_in_its_own_words() {
    for token in ["502", "502=html"] {
        let (reply, charges) = ideogram(token);
        assert_eq!((reply.status, charges), (502, 0));
        assert_eq!(
            reply.header("content-type"),
            Some("text/html; charset=utf-8")
        );
    }
    let (reply, charges) = openai("521");
    assert_eq!(
        (reply.status, reply.text().as_str(), charges),
        (521, "error code: 521", 0)
    );
}

#[test]
fn the_first_calls_of_a_body_fail_and_the_next_is_normal() {
    let sim = Sim::real();
    let statuses = |token: &str| [0; 4].map(|_| sim.submit(&format!("a sim:{token}")).status);
    assert_eq!(statuses("500x2"), [500, 500, 200, 200]);
    assert_eq!(statuses("521x1"), [521, 200, 200, 200]);
    assert_eq!(statuses("quota=daily_limitx1"), [429, 200, 200, 200]);
    // Another account, and another body, count for themselves.
    let body = json!({"prompt": "a sim:500x2", "async": true});
    assert_eq!(
        sim.ideogram("sim-ok-other", "ideogram-3", &body).status,
        500
    );
    let body = json!({"prompt": "a sim:500x2", "async": true, "seed": 1});
    assert_eq!(sim.ideogram("sim-ok-acme", "ideogram-3", &body).status, 500);
}

#[test]
fn a_reset_cuts_the_connection_before_or_after_the_work() {
    for (token, charges) in [("reset", 0), ("reset-after", 1)] {
        let sim = Sim::real();
        let body = json!({"prompt": format!("a sim:{token}"), "async": true});
        assert_cut(sim.try_ideogram("sim-ok-acme", "ideogram-3", &body));
        assert_cut(sim.try_openai("sim-ok-acme", &openai_body(token)));
        let made = sim.server.charges();
        assert_eq!(made.len(), charges * 2, "{token}");
        assert!(made.iter().all(|charge| !charge.answered));
        assert!(
            sim.server
                .requests()
                .iter()
                .all(|entry| entry.status.is_none())
        );
    }
}

fn assert_cut(result: Result<Reply, ureq::Error>) {
    match result {
        Err(ureq::Error::Io(error)) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        other => panic!("not a reset: {other:?}"),
    }
}

#[test]
fn a_timeout_never_answers_and_the_work_is_done_all_the_same() {
    let sim = Sim::real().timeout_ms(400);
    let body = json!({"prompt": "a sim:timeout", "async": true});
    assert!(matches!(
        sim.try_ideogram("sim-ok-acme", "ideogram-3", &body),
        Err(ureq::Error::Timeout(_))
    ));
    assert!(matches!(
        sim.try_openai("sim-ok-acme", &openai_body("timeout")),
        Err(ureq::Error::Timeout(_))
    ));
    let charges = sim.server.charges();
    assert_eq!(
        charges
            .iter()
            .map(|charge| charge.answered)
            .collect::<Vec<_>>(),
        [false, false]
    );
    let job = &charges[0].job_id;
    assert_eq!(sim.until_ended(job)["status"], "completed");
}

#[test]
fn slow_answers_arrive_and_are_charged() {
    for token in ["late=300ms", "slow=300ms", "slow-body=300ms"] {
        let sim = Sim::real();
        let started_ms = sim.server.now_ms();
        assert_eq!(sim.submit(&format!("a sim:{token}")).status, 200);
        let took_ms = sim.server.now_ms() - started_ms;
        assert!((300..3_000).contains(&took_ms), "{token}: {took_ms} ms");
        assert!(sim.server.charges()[0].answered, "{token}");
    }
    // Whoever gives up first never sees what was paid.
    let sim = Sim::real().timeout_ms(200);
    let body = json!({"prompt": "a sim:slow=2s", "async": true});
    assert!(
        sim.try_ideogram("sim-ok-acme", "ideogram-3", &body)
            .is_err()
    );
    assert!(!sim.server.charges()[0].answered);
}

#[test]
fn a_queue_keeps_the_job_pending_that_long() {
    let sim = Sim::virtual_clock();
    let id = sim.submit("a sim:queue=30s").json()["generation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    sim.advance_ms(29_999);
    assert_eq!(sim.poll(&id).json()["status"], "pending");
    sim.advance_ms(1_000);
    assert_eq!(sim.poll(&id).json()["status"], "completed");
}

#[test]
fn broken_answers_are_charged() {
    for submit in [ideogram, openai] {
        let (reply, charges) = submit("bad-json");
        assert_eq!((reply.status, charges), (200, 1));
        assert!(serde_json::from_slice::<Value>(&reply.body).is_err());
        let (reply, charges) = submit("truncated");
        assert_eq!((reply.status, charges), (200, 1));
        assert_eq!(reply.body.first(), Some(&b'{'));
        assert!(serde_json::from_slice::<Value>(&reply.body).is_err());
        let (reply, charges) = submit("html200");
        assert_eq!((reply.status, charges), (200, 1));
        assert!(reply.text().starts_with("<!DOCTYPE html>"));
        let (reply, charges) = submit("empty");
        assert_eq!((reply.status, charges, reply.body.len()), (200, 1, 0));
    }
    let (reply, charges) = openai("wrong-type");
    assert_eq!(
        (reply.header("content-type"), charges),
        (Some("text/plain; charset=utf-8"), 1)
    );
    assert_eq!(dimensions(&file(&reply, 0)), (1024, 1024));
}

/// The file of a finished Ideogram job with this token, and the charges.
fn fetched(sim: &Sim, token: &str) -> (Reply, String) {
    let done = sim.run(&json!({"prompt": format!("a sim:{token}"), "async": true}));
    let link = done["data"][0]["url"].as_str().unwrap().to_owned();
    let reply = sim.get(&link, &[]);
    assert_eq!(sim.server.charges().len(), 1, "{token}");
    (reply, link)
}

#[test]
fn the_host_of_the_pictures_breaks_files() {
    let (reply, _) = fetched(&Sim::real(), "img-truncated");
    assert_eq!((reply.status, &reply.body[1..4]), (200, &b"PNG"[..]));
    assert!(image::load_from_memory(&reply.body).is_err());
    assert_eq!(
        reply.header("content-length"),
        Some(reply.body.len().to_string().as_str())
    );
    let (reply, _) = fetched(&Sim::real(), "img-html");
    assert!(reply.text().starts_with("<!DOCTYPE html>"));
    let (reply, _) = fetched(&Sim::real(), "wrong-type");
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(dimensions(&reply.body), (1024, 1024));
    let (reply, _) = fetched(&Sim::real(), "size-lie");
    assert_eq!(dimensions(&reply.body), (512, 512));
    let (reply, _) = fetched(&Sim::real(), "bytes=3000000");
    assert!(reply.body.len().abs_diff(3_000_000) < 64);
    assert_eq!(dimensions(&reply.body), (1024, 1024));
}

#[test]
fn huge_files_have_a_length_or_none() {
    let (reply, _) = fetched(&Sim::real(), "huge");
    assert_eq!(reply.body.len() >> 20, 50);
    assert!(reply.header("content-length").is_some());
    let (reply, _) = fetched(&Sim::real(), "huge=chunked");
    assert_eq!(reply.body.len() >> 20, 50);
    assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
}

#[test]
fn the_host_of_the_pictures_refuses_and_redirects() {
    for (token, status) in [("img-403", 403), ("img-404", 404), ("img-expired", 403)] {
        let sim = Sim::real();
        let (reply, link) = fetched(&sim, token);
        assert_eq!(reply.status, status, "{token}");
        assert_eq!(sim.get(&link, &[]).status, status, "{token}");
        assert!(sim.server.violations().is_empty());
    }
    let sim = Sim::real();
    let (reply, link) = fetched(&sim, "img-404x1");
    assert_eq!((reply.status, sim.get(&link, &[]).status), (404, 200));
    let sim = Sim::real();
    let (reply, _) = fetched(&sim, "img-redirect");
    let target = reply.header("location").unwrap();
    assert_eq!(
        (reply.status, dimensions(&sim.get(target, &[]).body)),
        (302, (1024, 1024))
    );
    assert!(sim.server.violations().is_empty());
    sim.get(target, &[("api-key", "sim-ok-acme")]);
    assert_eq!(
        sim.violation_kinds(),
        ["credential_on_image_host", "redirect_followed_with_key"]
    );
    let sim = Sim::real();
    let (reply, _) = fetched(&sim, "img-redirect=offlist");
    let target = reply.header("location").unwrap();
    assert!(target.starts_with(&sim.server.off_list_host()));
    assert!(sim.server.violations().is_empty());
    sim.get(target, &[]);
    assert_eq!(sim.violation_kinds(), ["off_list_host"]);
}

#[test]
fn base64_holds_broken_and_padded_files_too() {
    let (reply, charges) = openai("img-truncated");
    assert_eq!(charges, 1);
    assert!(image::load_from_memory(&file(&reply, 0)).is_err());
    let (reply, _) = openai("img-html");
    assert!(file(&reply, 0).starts_with(b"<!DOCTYPE html>"));
    let (reply, _) = openai("size-lie");
    assert_eq!(
        (&reply.json()["size"], dimensions(&file(&reply, 0))),
        (&json!("1024x1024"), (512, 512))
    );
    let (reply, _) = openai("bytes=8000000");
    assert!(file(&reply, 0).len().abs_diff(8_000_000) < 64);
    let (reply, _) = openai("huge");
    assert_eq!(file(&reply, 0).len() >> 20, 50);
}

#[test]
fn withheld_pictures_are_billed_and_have_no_link() {
    let sim = Sim::real();
    let states = |token: &str, n: u32| -> Vec<(bool, bool)> {
        let done =
            sim.run(&json!({"prompt": format!("a sim:{token}"), "num_images": n, "async": true}));
        assert_eq!(done["usage_cost_usd_micros"], 60_000 * n);
        let items = done["data"].as_array().unwrap().iter();
        items
            .map(|item| {
                (
                    item["is_image_safe"].as_bool().unwrap(),
                    item["url"].as_str().is_some_and(|url| !url.is_empty()),
                )
            })
            .collect()
    };
    let (shown, kept) = ((true, true), (false, false));
    assert_eq!(states("unsafe=image", 2), [kept, kept]);
    assert_eq!(states("unsafe=partial", 4), [shown, shown, kept, kept]);
    assert_eq!(states("unsafe=partial", 1), [kept]);
    assert_eq!(sim.server.charges().len(), 3);
}

#[test]
fn jobs_that_fail_or_vanish_cost_nothing() {
    for (token, reason) in [
        ("failed", "generation_failed"),
        ("failed=safety", "content_policy_violation"),
    ] {
        let sim = Sim::real();
        let done = sim.run(&json!({"prompt": format!("a sim:{token}"), "async": true}));
        assert_eq!(
            (&done["status"], &done["failure_reason"]),
            (&json!("failed"), &json!(reason))
        );
        assert!(done.get("usage_cost_usd_micros").is_none());
        assert!(sim.server.charges().is_empty());
    }
    let sim = Sim::virtual_clock();
    let lost = sim.submit("a sim:not-found").json()["generation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(sim.poll(&lost).status, 404);
    let expired = sim.submit("a sim:expired").json()["generation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(sim.poll(&expired).json()["status"], "pending");
    sim.advance_ms(2_000);
    assert_eq!(sim.poll(&expired).status, 404);
    assert!(sim.server.charges().is_empty());
}

#[test]
fn polls_can_fail_while_the_job_is_unharmed() {
    let sim = Sim::real();
    let polls = |token: &str, count: usize| -> Vec<u16> {
        let id = sim.submit(&format!("a sim:{token}")).json()["generation_id"]
            .as_str()
            .unwrap()
            .to_owned();
        (0..count).map(|_| sim.poll(&id).status).collect()
    };
    assert_eq!(polls("poll-500x3", 4), [500, 500, 500, 200]);
    assert_eq!(polls("poll-429x1", 2), [429, 200]);
    assert_eq!(polls("poll-429", 3), [429, 429, 429]);
    let id = sim.submit("a sim:poll-429=7").json()["generation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(sim.poll(&id).header("retry-after"), Some("7"));
    assert_eq!(sim.server.charges().len(), 4);
}

#[test]
fn a_deprecated_endpoint_says_so_in_headers_and_body() {
    let (reply, charges) = ideogram("deprecated");
    assert_eq!((reply.status, charges), (200, 1));
    assert!(reply.header("deprecation").is_some());
    assert!(
        reply
            .header("link")
            .unwrap()
            .contains("rel=\"successor-version\"")
    );
    assert!(reply.json()["notice"].is_string());
}

#[test]
fn tokens_combine() {
    let sim = Sim::virtual_clock();
    let body =
        json!({"prompt": "a sim:queue=5s sim:unsafe=partial", "async": true, "num_images": 2});
    let id = sim.ideogram("sim-ok-acme", "ideogram-3", &body).json()["generation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    sim.advance_ms(4_000);
    assert_eq!(sim.poll(&id).json()["status"], "pending");
    sim.advance_ms(1_000);
    assert_eq!(sim.poll(&id).json()["data"][1]["is_image_safe"], false);
}

#[test]
fn unknown_and_foreign_tokens_are_refused_with_the_list() {
    for (reply, charges) in [ideogram("nonsense"), openai("nonsense"), openai("queue=1s")] {
        assert_eq!((reply.status, charges), (400, 0));
        assert!(
            reply.text().contains("img-redirect[=offlist]"),
            "{}",
            reply.text()
        );
    }
}

#[test]
fn the_control_queue_beats_the_prompt_and_the_prompt_beats_the_key() {
    let sim = Sim::real();
    let with_key = |prompt: &str| {
        let body = json!({"prompt": prompt, "async": true});
        sim.ideogram("sim-429-acme", "ideogram-3", &body).status
    };
    assert_eq!(with_key("a"), 429);
    assert_eq!(with_key("a sim:503"), 503);
    let fault =
        json!({"provider": "ideogram", "phase": "submit", "scenario": "500", "account": "acme"});
    assert_eq!(sim.control("POST", "faults", Some(&fault)).status, 200);
    assert_eq!(with_key("a sim:503"), 500);
    assert_eq!(with_key("a sim:503"), 503);
    let shield = json!({"provider": "ideogram", "phase": "submit", "scenario": "ok"});
    sim.control("POST", "faults", Some(&shield));
    assert_eq!(with_key("a sim:503"), 200);
}

#[test]
fn keys_carry_every_refusal() {
    let sim = Sim::real();
    let body = json!({"prompt": "a", "async": true});
    for (key, status) in [
        ("sim-429-acme", 429),
        ("sim-quota_daily_limit-acme", 429),
        ("sim-auth-acme", 401),
        ("sim-502_html-acme", 502),
        ("sim-slow_10ms-acme", 200),
    ] {
        assert_eq!(
            sim.ideogram(key, "ideogram-3", &body).status,
            status,
            "{key}"
        );
    }
    let id = sim.submit("a").json()["generation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(sim.poll_as("sim-auth-acme", &id).status, 401);
    assert_eq!(sim.poll_as("sim-429-acme", &id).status, 200);
}
