//! Flushing: repeated and late, corrected and split; the rollup, plans, rows written.

use crate::support::*;
use api_types::{
    InstanceId, JobState, LeaseId, OutboxRow, Outcome, Timestamp, UsagePhase, UsageRow, Work,
};
use platform::{Database, SqlValue, Statement};
use proptest::prelude::*;
use store::ledger::{flush, job};

#[tokio::test]
async fn a_job_comes_back_as_it_was_flushed() {
    let database = database();
    bring(&database, &[running(1)]).await;
    let stored = job(&database, &instance(), &job_id(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.object_name, "instance:production:provider:ideogram");
    assert_eq!(stored.view, api_types::JobView::of(&running(1).attempt));
    assert_eq!(stored.view.state, JobState::Running);
    assert_eq!(stored.view.cost_usd_micros, Some(0));

    bring(&database, &[succeeded(1)]).await;
    let stored = job(&database, &instance(), &job_id(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.view, api_types::JobView::of(&succeeded(1).attempt));
    let result = stored.view.result.unwrap();
    assert_eq!(result.metadata.dimensions, "1024x768");
    assert_eq!(result.cost_usd_micros, Some(60_000));
    let image = select(&database, "SELECT * FROM images").await;
    let image = image.first().unwrap();
    assert_eq!(
        image.text("prompt"),
        Some("a cat with \"quotes\" and 'more'")
    );
    assert_eq!(
        (image.int("width"), image.int("height")),
        (Some(1024), Some(768))
    );
    assert_eq!(image.int("cost"), Some(60_000));

    let foreign = InstanceId::parse("development").unwrap();
    assert!(
        job(&database, &foreign, &job_id(1))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        job(&database, &instance(), &job_id(2))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn flushing_twice_is_flushing_once() {
    let database = database();
    let rows = [succeeded(1), running(2), succeeded(3)];
    bring(&database, &rows).await;
    let once = dump(&database).await;
    bring(&database, &rows).await;
    assert_eq!(dump(&database).await, once);
    assert_eq!(once[0].rows.len(), 2);
    assert_eq!(once[3].rows.len(), 2);
}

#[tokio::test]
async fn an_older_version_that_comes_late_changes_no_state() {
    let database = database();
    bring(&database, &[succeeded(1)]).await;
    let before = dump(&database).await;
    bring(&database, &[running(1)]).await;
    assert_eq!(dump(&database).await[2], before[2]);
}

#[tokio::test]
async fn the_events_of_an_attempt_that_comes_after_its_successor_are_kept() {
    let database = database();
    let mut first = succeeded(1);
    first.attempt.job_state = JobState::Running;
    first.attempt.outcome = Some(Outcome::Unavailable);
    first.attempt.images.clear();
    first.attempt.timeline[1].event = "fallback".to_owned();
    let mut second = succeeded(1);
    second.attempt.lease_id = LeaseId::parse(&uuid(12)).unwrap();
    second.attempt.attempt_no = 2;
    second.attempt.version = 2_002;
    bring(&database, &[second]).await;
    bring(&database, std::slice::from_ref(&first)).await;
    bring(&database, &[first]).await;
    let view = job(&database, &instance(), &job_id(1))
        .await
        .unwrap()
        .unwrap()
        .view;
    let events: Vec<&str> = view.timeline.iter().map(|e| e.event.as_str()).collect();
    assert_eq!(events, ["admitted", "fallback", "admitted", "succeeded"]);
    assert_eq!((view.state, view.attempts), (JobState::Succeeded, 2));
    let usage = select(&database, "SELECT * FROM usage_logs").await;
    assert_eq!(usage.rows.len(), 2);
}

#[tokio::test]
async fn a_correction_is_a_further_row_of_the_same_day() {
    let database = database();
    let mut row = succeeded(1);
    bring(&database, std::slice::from_ref(&row)).await;
    row.usage.push(UsageRow {
        phase: UsagePhase::Correction,
        calls: 0,
        images: 0,
        tokens_used: 0,
        cost_usd_micros: Some(-60_000),
        ..charge(0)
    });
    for _ in 0..2 {
        bring(&database, std::slice::from_ref(&row)).await;
    }
    let daily = select(&database, "SELECT * FROM usage_daily").await;
    assert_eq!(daily.rows.len(), 1);
    let day = daily.first().unwrap();
    assert_eq!(day.text("day"), Some("2025-11-21"));
    assert_eq!((day.int("cost"), day.int("calls")), (Some(0), Some(1)));
}

#[tokio::test]
async fn text_work_has_usage_and_no_job() {
    let database = database();
    let mut row = succeeded(1);
    row.attempt.job = serde_json::json!({"task": 1});
    row.usage[0].work = Work::Text;
    bring(&database, &[row]).await;
    assert!(
        select(&database, "SELECT * FROM jobs")
            .await
            .rows
            .is_empty()
    );
    let usage = select(&database, "SELECT work FROM usage_logs").await;
    assert_eq!(usage.first().unwrap().text("work"), Some("text"));
}

#[tokio::test]
async fn shares_of_the_cost_add_up() {
    let database = database();
    let mut row = succeeded(1);
    row.attempt.images = vec![image(1), image(2), image(3)];
    row.attempt.cost_usd_micros = Some(100_000);
    bring(&database, &[row]).await;
    let sum = select(&database, "SELECT sum(cost) AS cost FROM images").await;
    assert_eq!(sum.first().unwrap().int("cost"), Some(100_000));
}

#[tokio::test]
async fn a_batch_of_large_jobs_is_split_below_the_limit_of_a_parameter() {
    let rows: Vec<OutboxRow> = (1..=100)
        .map(|n| {
            let mut row = succeeded(n);
            let mut job = stored_job(n, 1);
            job.request.prompt = "x".repeat(32_000);
            row.attempt.job = serde_json::to_value(job).unwrap();
            row
        })
        .collect();
    let statements = flush(&rows);
    for statement in &statements {
        let SqlValue::Text(list) = &statement.params[0] else {
            panic!("not a list")
        };
        assert!(list.len() < 1_000_000, "{}", list.len());
    }
    let database = database();
    database.batch(statements).await.unwrap();
    let count = select(&database, "SELECT count(*) AS n FROM jobs").await;
    assert_eq!(count.first().unwrap().int("n"), Some(100));
}

#[tokio::test]
async fn nothing_to_flush_is_no_statement() {
    assert!(flush(&[]).is_empty());
}

#[tokio::test]
async fn images_are_found_by_their_words_and_hostile_words_are_words() {
    let database = database();
    bring(&database, &[succeeded(1)]).await;
    for (query, found) in [
        ("\"cat\"", 1),
        ("\"pets\"", 1),
        ("\"dog\"", 0),
        ("\"NEAR(\" \"*\" \"a\"\"b\"", 0),
    ] {
        let rows = database
            .query(
                Statement::new(
                    "SELECT image_id FROM images_fts JOIN images ON images.seq = images_fts.rowid
WHERE images_fts MATCH ?1",
                )
                .bind(query),
            )
            .await
            .unwrap();
        assert_eq!(rows.rows.len(), found, "{query}");
    }
    select(
        &database,
        "UPDATE images SET prompt = '' WHERE state = 'live'",
    )
    .await;
    let rows = select(
        &database,
        "SELECT rowid FROM images_fts WHERE images_fts MATCH '\"cat\"'",
    )
    .await;
    assert!(rows.rows.is_empty());
    select(&database, "DELETE FROM images").await;
    select(
        &database,
        "INSERT INTO images_fts (images_fts) VALUES ('integrity-check')",
    )
    .await;
}

/// Every insert touches the row and each index that covers it; counted from the schema, because SQLite's own count
/// leaves the indexes out.
#[tokio::test]
async fn one_plain_image_stays_below_24_rows_written() {
    let database = database();
    let mut written = 0;
    for table in [
        "usage_logs",
        "usage_daily",
        "jobs",
        "images",
        "limiter_objects",
    ] {
        let indexes = database
            .query(
                Statement::new(
                    "SELECT count(*) AS n FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1
AND (sql IS NULL OR sql NOT LIKE '%WHERE%') AND name NOT LIKE 'sqlite_autoindex_usage%'
AND name NOT LIKE 'sqlite_autoindex_jobs%' AND name NOT LIKE 'sqlite_autoindex_limiter%'",
                )
                .bind(table),
            )
            .await
            .unwrap();
        written += 1 + indexes.first().unwrap().int("n").unwrap();
    }
    // The full-text index writes its own tables: data, docsize and the segment directory.
    written += 4;
    assert!(written <= 24, "{written}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_rollup_is_what_a_recount_gives(
        flushes in prop::collection::vec(prop::collection::vec((1_u32..12, 0_i64..3, -1_i64..90_000), 1..8), 1..8)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let database = database();
            for batch in flushes {
                let rows: Vec<OutboxRow> = batch
                    .into_iter()
                    .map(|(n, day, cost)| {
                        let mut row = succeeded(n);
                        row.attempt.created_at = Timestamp(ADMITTED_MS + day * 86_400_000);
                        row.usage[0].cost_usd_micros = (cost >= 0).then_some(cost);
                        row
                    })
                    .collect();
                bring(&database, &rows).await;
            }
            let recount = select(&database, "SELECT instance_id, strftime('%Y-%m-%d', timestamp / 1000, 'unixepoch') AS day,
  provider, model, project_id, key_id, sum(calls) AS calls, sum(images) AS images,
  sum(tokens_used) AS tokens_used, coalesce(sum(cost), 0) AS cost
FROM usage_logs GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2").await;
            let rollup = select(&database, "SELECT * FROM usage_daily ORDER BY 1, 2").await;
            assert!(!rollup.rows.is_empty());
            assert_eq!(rollup.rows, recount.rows);
        });
    }
}
