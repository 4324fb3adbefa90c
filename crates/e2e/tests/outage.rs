//! Journey: config-service is away for the other workers, and comes back.
//!
//! 1. generations are started and a key is in image-gen's memory; 2. config-service fails (answers 500, throws, hangs):
//!    the cached verdict is good for 5 s after it was asked for, and never longer; then new work is 503
//!    `config_unavailable` with `Retry-After`; 3. the generations that run end with their pictures; 4. config-service is
//!    back: work is accepted again without a restart, and the jobs can be read.
#![expect(
    clippy::disallowed_methods,
    reason = "what is measured is real time: how long a verdict goes on being used"
)]

use api_types::{Fallback, FallbackWord, GenerateRequest, JobState};
use e2e::{Answer, Client, Options, Stack, until};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long a verdict may be used.
const VERDICT: Duration = Duration::from_secs(5);

async fn models(client: &Client) -> Answer {
    let request = client.request("GET", "/api/image-gen/v1/models");
    client
        .send(request.header("x-instance-id", "development"))
        .await
}

fn is_unavailable(answer: &Answer) {
    let code = &answer.json()["error"]["code"];
    assert_eq!((answer.status, code), (503, &json!("config_unavailable")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_stops_new_work_after_five_seconds_and_never_running_jobs() {
    let stack = Stack::start(Options {
        outage: true,
        expected_errors: vec!["config_unavailable"],
        ..Options::default()
    });
    let admin = stack.admin();
    assert_eq!(models(&admin).await.status, 200);

    for (number, mode) in ["fail", "throw", "hang"].into_iter().enumerate() {
        let running: Vec<_> = ["ideogram", "openai"]
            .into_iter()
            .map(|provider| {
                let client = admin.clone();
                let body = json!({
                    "prompt": format!("sim:once={mode}-{provider} sim:slow=9s a lighthouse"),
                    "provider": provider, "fallback": "none",
                });
                tokio::spawn(async move { client.generate(body).await })
            })
            .collect();
        until("both providers to have the work", 20, || async {
            let asked = stack.sim().requests().await;
            let seen = asked
                .iter()
                .filter(|request| request.to_string().contains(&format!("sim:once={mode}-")))
                .count();
            (seen >= 2).then_some(())
        })
        .await;

        stack.outage(mode).await;
        let began = Instant::now();
        let (mut good, mut last_good) = (0, None);
        let refused = loop {
            let asked = Instant::now();
            let answer = models(&admin).await;
            if answer.status != 200 {
                break answer;
            }
            good += 1;
            last_good = Some(asked);
            assert!(
                asked < began + VERDICT,
                "{mode}: good {:?} after",
                asked - began
            );
        };
        let lasted = last_good.map(|asked| asked - began);
        println!("{mode}: {good} good answers, the last {lasted:?} after the outage began");
        assert!(good > 0, "{mode}: the verdict was not in memory");
        is_unavailable(&refused);
        assert_eq!(refused.header("retry-after"), "2", "{mode}");
        assert_eq!(refused.header("x-should-retry"), "true", "{mode}");

        // What was accepted before goes on to its end while nobody new gets in.
        for run in running {
            let answer = run.await.expect("it only asks");
            assert_eq!(answer.status, 200, "{mode}: {}", answer.json());
            assert_eq!(answer.json()["images"].as_array().map(Vec::len), Some(1));
        }
        is_unavailable(&models(&admin).await);

        stack.outage("pass").await;
        // The longest pause of the breaker is 30 s and a fifth.
        until("work to be accepted again", 60, || async {
            (models(&admin).await.status == 200).then_some(())
        })
        .await;
        let request = GenerateRequest {
            prompt: format!("calm after storm {number}"),
            fallback: Some(Fallback::Word(FallbackWord::None)),
            ..GenerateRequest::default()
        };
        let (_, again) = admin.picture(request).await;
        let job = admin.ended(&again.job_id, 20).await;
        assert_eq!(job.state, JobState::Succeeded, "{mode}");
    }
    let charges = stack.sim().charges().await;
    assert_eq!(charges.len(), 3 * 3, "{charges:?}");
    assert_eq!(
        stack.sim().duplicates().await,
        Vec::<serde_json::Value>::new()
    );
}
