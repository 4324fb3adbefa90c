//! The provider's job id: whoever lets a job go has told it, or nobody could ever ask for the result.

use crate::answer::refused;
use crate::support::{Stage, request};
use crate::vendors::Act;
use api_types::JobState;
use errors::Code;
use platform::fakes::When;
use serde_json::{Value, json};

/// Calls that the client makes in 20 s of patience: three a try, a try each two seconds.
const PATIENCE: u32 = 30;

fn impatient(timeout_ms: u64) -> Value {
    let mut asked = request("ideogram");
    asked["timeout_ms"] = json!(timeout_ms);
    asked
}

fn told(stage: &Stage) -> usize {
    let calls = stage.ports.actors.calls();
    let told = calls.iter().filter(|call| call.command == "submitted");
    told.count()
}

/// The object does not hear of it while the first patience lasts.
fn deaf(stage: &Stage) {
    for nth in 1..=PATIENCE {
        let faults = &stage.ports.world.faults;
        faults.fail("actors.submitted", nth, When::Before);
    }
}

async fn delivered(stage: &Stage, job_id: &str) {
    stage.pass(600_000).await;
    let job = stage.job(job_id).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(stage.vendors.charged().len(), 1);
    let usage = stage.rows("SELECT outcome FROM usage_logs").await;
    assert_eq!(usage.len(), 1, "{usage:?}");
}

#[tokio::test]
async fn a_holder_that_gives_up_tells_it_once_more() {
    let stage = Stage::new();
    stage.vendors.act([Act::Finish { polls: 4 }]);
    deaf(&stage);
    let response = stage.post("/generate", impatient(5_000)).await;
    let details = refused(&response, 504, Code::ProviderTimeout);
    assert_eq!(stage.ports.world.faults.pending(), 0);
    delivered(&stage, details["job_id"].as_str().unwrap()).await;
}

#[tokio::test]
async fn a_handle_that_was_heard_is_told_once() {
    let stage = Stage::new();
    stage.vendors.act([Act::Finish { polls: 9 }]);
    let response = stage.post("/generate", impatient(5_000)).await;
    refused(&response, 504, Code::ProviderTimeout);
    stage.pass(600_000).await;
    assert_eq!(told(&stage), 1);
}

#[tokio::test]
async fn while_it_polls_it_tells_it_as_soon_as_the_object_hears() {
    let stage = Stage::new();
    stage.vendors.act([Act::Finish { polls: 4 }]);
    deaf(&stage);
    let response = stage.post("/generate", impatient(60_000)).await;
    assert_eq!(response.status.as_u16(), 200, "{}", response.text());
    // The first patience is over, and the next poll brings it: 31 calls, and none after that.
    assert_eq!(told(&stage), 1);
    assert_eq!(
        stage.ports.world.faults.calls("actors.submitted"),
        PATIENCE + 1
    );
}

#[tokio::test]
async fn a_holder_that_has_lost_its_lease_tells_it_before_it_stops() {
    let stage = Stage::new();
    stage.vendors.act([Act::Finish { polls: 16 }]);
    let faults = &stage.ports.world.faults;
    // For more than a holder's time the object hears nothing from this holder; the consumer finds nothing in the bucket.
    for nth in 1..=2 * PATIENCE {
        faults.fail("actors.submitted", nth, When::Before);
    }
    for nth in 1..=3 * PATIENCE {
        faults.fail("actors.renew", nth, When::Before);
    }
    let response = stage.generate_meanwhile(&impatient(600_000), 200).await;
    assert_eq!(response.status.as_u16(), 504, "{}", response.text());
    let job_id = response.header("x-switchyard-job-id").to_owned();
    assert_eq!(faults.pending(), 0);
    stage.pass(1_800_000).await;
    let events = stage.job(&job_id).await.timeline;
    assert!(
        events.iter().any(|it| it.event == "holder_lost"),
        "{events:?}"
    );
    assert_eq!(stage.job(&job_id).await.state, JobState::Succeeded);
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn an_image_that_cannot_be_stored_is_no_reason_to_forget_it() {
    let stage = Stage::new();
    let faults = &stage.ports.world.faults;
    deaf(&stage);
    faults.fail_every("objects.put", When::Before);
    let details = refused(&stage.generate("ideogram").await, 502, Code::StorageError);
    faults.heal("objects.put");
    delivered(&stage, details["job_id"].as_str().unwrap()).await;
}

#[tokio::test]
async fn a_job_that_the_vendor_has_lost_from_sight_is_still_told() {
    let stage = Stage::new();
    stage.vendors.act([Act::FileDown { index: 0, times: 4 }]);
    deaf(&stage);
    let details = refused(&stage.generate("ideogram").await, 502, Code::OutcomeUnknown);
    stage.pass(600_000).await;
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert_eq!(job.state, JobState::Succeeded);
}
