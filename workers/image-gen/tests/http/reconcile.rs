//! What a dead holder has left in the bucket: looked at as if it had just been made.

use crate::crash::until_call;
use crate::support::{Stage, request};
use api_types::{JobState, JobView};
use errors::Code;
use serde_json::{Value, json};

/// The request dies when it enters its k-th call.
async fn dies_at(stage: &Stage, k: u32, body: &Value) {
    stage.get("/v1/models").await;
    let (app, _) = stage.app();
    let send = app.post("/generate").key(&stage.key).json(body).send();
    assert!(!until_call(stage, k, send));
}

async fn the_job(stage: &Stage) -> JobView {
    let rows = stage.rows("SELECT job_id FROM jobs").await;
    assert_eq!(rows.len(), 1);
    stage.job(rows[0].text("job_id").unwrap()).await
}

#[tokio::test]
async fn what_is_found_is_checked_as_what_is_made() {
    for (check, state, quality) in [
        ("warn", JobState::Succeeded, "dimensions"),
        ("off", JobState::Succeeded, "unchecked"),
        ("strict", JobState::Failed, "dimensions"),
    ] {
        let stage = Stage::new();
        stage.vendors.draw(640, 480);
        let mut asked = request("openai");
        asked["quality_check"] = json!(check);
        // acquire, submit, put, settle.
        dies_at(&stage, 4, &asked).await;
        stage.pass(120_000).await;
        let job = the_job(&stage).await;
        assert_eq!(job.state, state, "{check}");
        let images = stage.rows("SELECT quality FROM images").await;
        assert_eq!(images[0].text("quality"), Some(quality), "{check}");
        match job.result {
            Some(result) => {
                let warned = result.warnings.iter().any(|it| it.code == "quality");
                assert_eq!(warned, check == "warn");
            }
            None => assert_eq!(job.error.unwrap().code, Code::QualityRejected),
        }
        assert_eq!(stage.vendors.charged().len(), 1);
    }
}

#[tokio::test]
async fn what_came_before_a_synchronous_holder_died_is_delivered_when_nobody_can_bring_the_rest() {
    let stage = Stage::new();
    let mut asked = request("openai");
    asked["n"] = json!(3);
    // acquire, submit, put, put, put, settle: the second image is not there.
    dies_at(&stage, 4, &asked).await;
    stage.pass(600_000).await;
    assert_eq!(the_job(&stage).await.state, JobState::Unknown, "too early");
    stage.pass(1_800_000).await;
    let job = the_job(&stage).await;
    assert_eq!(job.state, JobState::Succeeded);
    let result = job.result.unwrap();
    assert_eq!(result.images.len(), 1);
    let lost: Vec<_> = result
        .warnings
        .iter()
        .filter(|warning| warning.code == "image_lost")
        .filter_map(|warning| warning.from.as_deref())
        .collect();
    assert_eq!(lost, ["1", "2"]);
    assert_eq!(stage.vendors.charged().len(), 1);
}
