//! Claims of idempotency keys, rejected messages, known objects, open jobs.

use crate::support::*;
use api_types::{InstanceId, JobState, OutboxRow, Timestamp};
use platform::Database;

use std::collections::BTreeSet;
use store::ledger::{
    Claim, OPEN_JOBS, claim, finish_maintenance, forget_claim, forget_expired_claims,
    forget_old_rejects, limiter_objects, limiter_objects_of, open_jobs, reject_message, take_over,
};

fn a_claim(n: u32, fingerprint: &str) -> Claim {
    Claim {
        instance_id: instance(),
        project_id: None,
        route: "POST /generate".to_owned(),
        key: "k-1".to_owned(),
        fingerprint: fingerprint.to_owned(),
        job_id: job_id(n),
    }
}

#[tokio::test]
async fn of_many_claims_one_wins_and_all_see_it() {
    let database = database();
    let mut winners = 0;
    for n in 1..=1_000 {
        let row = claim(&database, &a_claim(n, "f"), 1_000).await.unwrap();
        assert_eq!(row.job_id, job_id(1));
        winners += u32::from(row.job_id == job_id(n));
    }
    assert_eq!(winners, 1);
    let other = claim(&database, &a_claim(2, "g"), 1_000).await.unwrap();
    assert_eq!(other.fingerprint, "f");
}

#[tokio::test]
async fn a_claim_ends_by_its_owner_or_by_time() {
    let database = database();
    claim(&database, &a_claim(1, "f"), 0).await.unwrap();
    forget_claim(&database, &a_claim(2, "f")).await.unwrap();
    let row = claim(&database, &a_claim(3, "f"), 86_399_999)
        .await
        .unwrap();
    assert_eq!(row.job_id, job_id(1), "another's claim is not forgotten");
    let row = claim(&database, &a_claim(4, "h"), 86_400_000)
        .await
        .unwrap();
    assert_eq!((row.job_id, row.fingerprint.as_str()), (job_id(4), "h"));
    forget_claim(&database, &a_claim(4, "h")).await.unwrap();
    let row = claim(&database, &a_claim(5, "f"), 86_400_001)
        .await
        .unwrap();
    assert_eq!(row.job_id, job_id(5));
    database
        .query(forget_expired_claims(2 * 86_400_001))
        .await
        .unwrap();
    let left = select(&database, "SELECT * FROM idempotency_keys").await;
    assert!(left.rows.is_empty());
}

#[tokio::test]
async fn an_abandoned_claim_is_taken_over_once() {
    let database = database();
    let abandoned = claim(&database, &a_claim(1, "f"), 0).await.unwrap();
    assert!(
        take_over(&database, &a_claim(2, "f"), &abandoned, 130_000)
            .await
            .unwrap()
    );
    assert!(
        !take_over(&database, &a_claim(3, "f"), &abandoned, 130_000)
            .await
            .unwrap()
    );
    let row = claim(&database, &a_claim(4, "f"), 130_001).await.unwrap();
    assert_eq!((row.job_id, row.claimed_at_ms), (job_id(2), 130_000));
}

#[tokio::test]
async fn upkeep_keeps_a_week_and_knows_the_objects() {
    let database = database();
    let long = "ü".repeat(2_000);
    for _ in 0..2 {
        database
            .query(reject_message("m1", "jobs", &long, "not JSON", 5))
            .await
            .unwrap();
    }
    let kept = select(
        &database,
        "SELECT length(CAST(body AS BLOB)) AS n FROM queue_rejects",
    )
    .await;
    assert_eq!(kept.rows.len(), 1);
    assert_eq!(kept.first().unwrap().int("n"), Some(1_024));
    database
        .query(forget_old_rejects(WEEK_MS + 6))
        .await
        .unwrap();
    assert!(
        select(&database, "SELECT * FROM queue_rejects")
            .await
            .rows
            .is_empty()
    );
    for at in [1, 2] {
        database
            .query(finish_maintenance("sweep", at, ""))
            .await
            .unwrap();
    }
    let run = select(&database, "SELECT last_run_at FROM maintenance").await;
    assert_eq!(run.first().unwrap().int("last_run_at"), Some(2));

    bring(&database, &[succeeded(1)]).await;
    let at = ADMITTED_MS + 300;
    let known = limiter_objects(&database, at + WEEK_MS - 1).await.unwrap();
    assert_eq!(known[0].name, "instance:production:provider:ideogram");
    assert!(
        limiter_objects(&database, at + WEEK_MS + 1)
            .await
            .unwrap()
            .is_empty()
    );
    bring(&database, &[running(2)]).await;
}

#[tokio::test]
async fn of_more_objects_than_one_sweep_takes_none_is_left_out_for_ever() {
    let database = database();
    let objects = 700;
    let rows: Vec<OutboxRow> = (0..objects)
        .map(|n| {
            let mut row = succeeded(1);
            row.object_name = format!("instance:i{n:04}:provider:ideogram");
            row
        })
        .collect();
    for rows in rows.chunks(100) {
        bring(&database, rows).await;
    }
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        let swept = limiter_objects(&database, ADMITTED_MS).await.unwrap();
        assert_eq!(swept.len(), 500);
        seen.extend(swept.into_iter().map(|object| object.name));
    }
    // Left out by chance forty times: less than once in 10^20 runs.
    assert_eq!(seen.len(), objects);
}

#[tokio::test]
async fn the_objects_of_an_instance_are_its_own() {
    let database = database();
    for (name, provider) in [
        ("production", "openai"),
        ("production", "ideogram"),
        ("production-2", "ideogram"),
        ("a", "ideogram"),
    ] {
        let mut row = succeeded(1);
        row.object_name = format!("instance:{name}:provider:{provider}");
        bring(&database, &[row]).await;
    }
    let own = limiter_objects_of(&database, &instance()).await.unwrap();
    let names: BTreeSet<&str> = own.iter().map(|object| object.name.as_str()).collect();
    assert_eq!(
        names,
        BTreeSet::from([
            "instance:production:provider:ideogram",
            "instance:production:provider:openai"
        ])
    );
}

#[tokio::test]
async fn open_jobs_are_those_of_the_instance_that_have_not_ended() {
    let database = database();
    let mut foreign = running(4);
    foreign.attempt.instance_id = InstanceId::parse("other").unwrap();
    let mut unknown = running(3);
    unknown.attempt.job_state = JobState::Unknown;
    unknown.attempt.job["admitted_at"] = Timestamp(ADMITTED_MS - 1).to_string().into();
    bring(&database, &[succeeded(1), running(2), unknown, foreign]).await;
    let open = open_jobs(&database, &instance(), 10).await.unwrap();
    let found: Vec<_> = open
        .iter()
        .map(|it| (it.job_id.clone(), it.state))
        .collect();
    assert_eq!(
        found,
        [
            (job_id(3), JobState::Unknown),
            (job_id(2), JobState::Running)
        ]
    );
    assert_eq!(open[0].provider.as_str(), "ideogram");
    assert_eq!(
        open_jobs(&database, &instance(), 1).await.unwrap(),
        open[..1]
    );
    // It reads what is going on, not what ever was: the index holds open jobs only.
    let plan = database.plan(OPEN_JOBS).unwrap().join("\n");
    assert!(plan.contains("jobs_open"), "{plan}");
}
