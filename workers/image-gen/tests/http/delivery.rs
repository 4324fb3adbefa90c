//! From a finished answer to stored images: broken files, refusing buckets, answers that are cut. No paid image is lost that
//! somebody can still fetch, and none holds the others back for ever.

use crate::answer::{ok, refused};
use crate::support::{Stage, request};
use crate::vendors::{Act, OTHER_HOST, png};
use api_types::JobState;
use errors::Code;
use platform::fakes::When;
use platform::{Clock, ObjectStore};
use serde_json::{Value, json};

fn asked(provider: &str, n: u32) -> Value {
    let mut asked = request(provider);
    asked["n"] = json!(n);
    asked
}

fn warned(body: &Value, code: &str) -> Vec<String> {
    let warnings = body["warnings"].as_array().unwrap().iter();
    warnings
        .filter(|warning| warning["code"] == code)
        .map(|warning| warning["from"].as_str().unwrap().to_owned())
        .collect()
}

/// Outcome, cost and basis of all usage rows.
async fn booked(stage: &Stage) -> Vec<(String, Option<i64>, String)> {
    let rows = stage
        .rows("SELECT outcome, cost, cost_basis FROM usage_logs ORDER BY log_id")
        .await;
    let text = |row: &platform::Row, name: &str| row.text(name).unwrap().to_owned();
    rows.iter()
        .map(|row| {
            (
                text(row, "outcome"),
                row.int("cost"),
                text(row, "cost_basis"),
            )
        })
        .collect()
}

/// What 10 tokens of text and 1,000 of image cost, as the vendor reports them.
async fn cost_of_the_tokens() -> i64 {
    let stage = Stage::new();
    let body = ok(&stage.generate("openai").await);
    assert_eq!(body["cost_basis"], "reported");
    body["cost_usd_micros"].as_i64().unwrap()
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_fetched_once_more_and_again_by_the_consumer() {
    let stage = Stage::new();
    stage.vendors.act([Act::CutFiles(1)]);
    ok(&stage.generate("ideogram").await);
    stage.vendors.act([Act::CutFiles(2)]);
    let details = refused(&stage.generate("ideogram").await, 502, Code::OutcomeUnknown);
    assert_eq!(details["kind"], "contract_mismatch");
    assert_eq!(stage.ports.objects.keys().len(), 1);
    // The vendor has the file for a day: a broken download is not the end of a paid image.
    stage.pass(60_000).await;
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert_eq!(
        (job.state, job.cost_usd_micros),
        (JobState::Succeeded, Some(60_000))
    );
    assert_eq!(stage.ports.objects.keys().len(), 2);
    assert_eq!(stage.vendors.charged().len(), 2);
}

#[tokio::test]
async fn a_file_that_cannot_be_fetched_for_a_while_holds_the_job_and_not_the_others_for_ever() {
    for (times, images) in [(4, 3), (1_000_000, 2)] {
        let stage = Stage::new();
        stage.vendors.act([Act::FileDown { index: 1, times }]);
        let response = stage.post("/generate", asked("ideogram", 3)).await;
        let details = refused(&response, 502, Code::OutcomeUnknown);
        let job_id = details["job_id"].as_str().unwrap();
        stage
            .pass(if images == 3 { 60_000 } else { 3_600_000 })
            .await;
        let job = stage.job(job_id).await;
        assert_eq!(job.state, JobState::Succeeded, "{times}");
        let result = serde_json::to_value(job.result.unwrap()).unwrap();
        assert_eq!(result["images"].as_array().unwrap().len(), images);
        let lost: &[&str] = if images == 3 { &[] } else { &["1"] };
        assert_eq!(warned(&result, "image_lost"), lost);
        assert_eq!(result["cost_usd_micros"], 180_000);
        assert_eq!(stage.vendors.charged().len(), 1);
    }
}

#[tokio::test]
async fn a_result_on_a_host_that_is_not_listed_is_fetched_once_it_is() {
    let stage = Stage::new();
    stage.vendors.act([Act::OtherHost]);
    let details = refused(&stage.generate("ideogram").await, 502, Code::OutcomeUnknown);
    assert_eq!(details["kind"], "contract_mismatch");
    let job_id = details["job_id"].as_str().unwrap();
    stage.pass(120_000).await;
    let job = stage.job(job_id).await;
    assert_eq!(
        (job.state, job.cost_usd_micros),
        (JobState::Unknown, Some(60_000))
    );
    stage.configure(|config| {
        config["providers"]["ideogram"]["extra_result_hosts"] = json!([OTHER_HOST]);
    });
    stage.pass(1_200_000).await;
    assert_eq!(stage.job(job_id).await.state, JobState::Succeeded);
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_cut_after_its_images_delivers_them() {
    let stage = Stage::new();
    stage.vendors.act([Act::CutAnswer { before_end: 20 }]);
    let body = ok(&stage.generate("openai").await);
    let path = body["r2_path"].as_str().unwrap();
    assert_eq!(stage.ports.objects.bytes(path).unwrap(), png(1024, 1024, 0));
    assert_eq!(body["cost_basis"], "table");
    assert!(
        body["cost_usd_micros"]
            .as_i64()
            .is_some_and(|cost| cost > 0)
    );
    stage.pass(2_000).await;
    let job = stage.job(body["job_id"].as_str().unwrap()).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(booked(&stage).await.len(), 1);

    // In the second image: the first one is whole.
    stage.vendors.act([Act::CutAnswer { before_end: 5_000 }]);
    let body = ok(&stage.post("/generate", asked("openai", 2)).await);
    assert_eq!(body["images"].as_array().unwrap().len(), 1);
    assert_eq!(warned(&body, "image_lost"), ["1"]);

    // In the first one: there is nothing to deliver.
    stage.vendors.act([Act::CutAnswer { before_end: 5_000 }]);
    let details = refused(&stage.generate("openai").await, 502, Code::ProviderError);
    assert_eq!(details["kind"], "contract_mismatch");
    assert_eq!(stage.vendors.charged().len(), 3);
    assert_eq!(stage.ports.objects.keys().len(), 2);
}

#[tokio::test]
async fn an_image_that_a_bucket_refuses_does_not_hide_its_siblings() {
    for act in [Act::Bytes { delay_ms: 0 }, Act::Links] {
        let stage = Stage::new();
        stage.configure(|config| {
            config["providers"]["openai"]["extra_result_hosts"] = json!([OTHER_HOST]);
        });
        stage.vendors.act([act.clone()]);
        // The first image is put at once, the second one is refused three times.
        let nths = if matches!(act, Act::Links) {
            [1, 4, 5]
        } else {
            [2, 3, 4]
        };
        for nth in nths {
            let faults = &stage.ports.world.faults;
            faults.fail("objects.put", nth, When::Before);
        }
        let body = ok(&stage.post("/generate", asked("openai", 3)).await);
        assert_eq!(stage.ports.world.faults.pending(), 0, "{act:?}");
        assert_eq!(body["images"].as_array().unwrap().len(), 2, "{act:?}");
        assert_eq!(warned(&body, "image_lost").len(), 1, "{act:?}");
        assert_eq!(body["cost_basis"], "reported");
        stage.pass(2_000).await;
        let job = stage.job(body["job_id"].as_str().unwrap()).await;
        assert_eq!(job.state, JobState::Succeeded);
    }
}

#[tokio::test]
async fn a_polled_image_that_a_bucket_refuses_comes_with_its_siblings_later() {
    let stage = Stage::new();
    let faults = &stage.ports.world.faults;
    faults.fail_every("objects.put", When::Before);
    let response = stage.post("/generate", asked("ideogram", 3)).await;
    let details = refused(&response, 502, Code::StorageError);
    faults.heal_all();
    stage.pass(180_000).await;
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(job.result.unwrap().images.len(), 3);
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn what_a_synchronous_vendor_has_made_and_no_bucket_took_is_not_waited_for() {
    let cost = cost_of_the_tokens().await;
    for act in [Act::Bytes { delay_ms: 0 }, Act::Links] {
        let stage = Stage::new();
        stage.configure(|config| {
            config["providers"]["openai"]["extra_result_hosts"] = json!([OTHER_HOST]);
        });
        stage.vendors.act([act.clone()]);
        let faults = &stage.ports.world.faults;
        faults.fail_every("objects.put", When::Before);
        let response = stage.generate("openai").await;
        let details = refused(&response, 502, Code::StorageError);
        assert_eq!(
            response.header("x-switchyard-cost-usd-micros"),
            cost.to_string()
        );
        stage.pass(2_000).await;
        // Nobody can fetch it again, so the job does not pretend to run; the cost is the one that the vendor told.
        let job = stage.job(details["job_id"].as_str().unwrap()).await;
        assert_eq!(job.state, JobState::Unknown, "{act:?}");
        let row = ("unknown".to_owned(), Some(cost), "reported".to_owned());
        assert_eq!(booked(&stage).await, [row], "{act:?}");
        faults.heal_all();
        stage.pass(3_600_000).await;
    }
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_found_in_the_bucket() {
    let stage = Stage::new();
    let faults = &stage.ports.world.faults;
    faults.fail_every("objects.put", When::After);
    let details = refused(&stage.generate("openai").await, 502, Code::StorageError);
    faults.heal_all();
    stage.pass(60_000).await;
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn a_cost_that_is_known_stays_known_when_the_file_is_not_whole() {
    let cost = cost_of_the_tokens().await;
    let stage = Stage::new();
    stage.vendors.act([Act::CutImages(vec![0])]);
    let response = stage.generate("openai").await;
    let details = refused(&response, 502, Code::ProviderError);
    assert_eq!(details["kind"], "contract_mismatch");
    assert_eq!(
        response.header("x-switchyard-cost-usd-micros"),
        cost.to_string()
    );
    stage.pass(2_000).await;
    let row = ("no_output".to_owned(), Some(cost), "reported".to_owned());
    assert_eq!(booked(&stage).await, [row]);
    // One of two: the other one is delivered.
    stage.vendors.act([Act::CutImages(vec![0])]);
    let body = ok(&stage.post("/generate", asked("openai", 2)).await);
    assert_eq!(warned(&body, "image_lost"), ["0"]);
    assert_eq!(body["images"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refusing_bucket_is_502_and_the_job_goes_on() {
    let stage = Stage::new();
    stage
        .ports
        .world
        .faults
        .fail_every("objects.put", When::Before);
    let details = refused(&stage.generate("ideogram").await, 502, Code::StorageError);
    let job_id = details["job_id"].as_str().unwrap().to_owned();
    stage.ports.world.faults.heal("objects.put");
    stage.pass(180_000).await;
    assert_eq!(stage.job(&job_id).await.state, JobState::Succeeded);
    assert_eq!(stage.vendors.charged().len(), 1);
    assert_eq!(stage.ports.objects.keys().len(), 1);
}

#[tokio::test]
async fn two_refusals_of_a_bucket_cost_a_pause_and_are_not_noticed() {
    for provider in ["ideogram", "openai"] {
        let stage = Stage::new();
        let before_ms = stage.ports.world.clock.now_ms();
        ok(&stage.generate(provider).await);
        let undisturbed_ms = stage.ports.world.clock.now_ms() - before_ms;
        for nth in [1, 2] {
            let faults = &stage.ports.world.faults;
            faults.fail("objects.put", nth, When::Before);
        }
        let before_ms = stage.ports.world.clock.now_ms();
        ok(&stage.generate(provider).await);
        assert_eq!(stage.ports.world.faults.pending(), 0);
        let took_ms = stage.ports.world.clock.now_ms() - before_ms;
        // A bucket that refuses is not asked again at once.
        assert!(
            took_ms >= undisturbed_ms + 700,
            "{provider}: {took_ms} after {undisturbed_ms}"
        );
    }
}

/// An opaque text after `Bearer` is refused as every key is; a bearer of prose is drawn, and stored as it was asked for.
#[tokio::test]
async fn what_may_be_a_key_in_a_prompt_is_not_kept_and_prose_is() {
    let stage = Stage::new();
    let mut body = asked("ideogram", 1);
    body["prompt"] = json!("a cat, Authorization: Bearer Canary0123456789 on a roof");
    let details = refused(
        &stage.post("/generate", body.clone()).await,
        400,
        Code::InvalidField,
    );
    assert_eq!(details["field"], "prompt");
    assert!(stage.ports.objects.keys().is_empty());
    let prose = "a standard bearer walks behind the Bearer of the ring, a basic watercolour";
    body["prompt"] = json!(prose);
    let response = stage.post("/generate", body).await;
    ok(&response);
    let path = response.json()["r2_path"].as_str().unwrap().to_owned();
    let info = stage.ports.objects.head(&path).await.unwrap().unwrap();
    let kept = info.meta("prompt").unwrap().replace("%20", " ");
    assert_eq!(kept.replace("%2C", ","), prose);
    stage.pass(2_000).await;
    let images = stage.rows("SELECT prompt FROM images").await;
    assert_eq!(images[0].text("prompt"), Some(prose));
}
