//! The ledger's SQL on the real migrations: repeated and late flushes, the rollup, claims, plans, rows written.
#![expect(
    clippy::unwrap_used,
    reason = "what is set up here is part of the tests that use it"
)]

use api_types::{
    AttemptState, AttemptView, Billed, CostBasis, GenerateJob, GenerateRequest, ImageFormat,
    ImageId, ImageOptions, InstanceId, JobCaller, JobCandidate, JobId, JobStage, JobState, KeyId,
    LeaseId, OrgId, OutboxRow, Outcome, ProjectId, ProviderName, StoredImage, TimelineEvent,
    Timestamp, UsagePhase, UsageRow, Visibility, Work,
};
use platform::fakes::SqliteDatabase;
use platform::{Database, Rows, SqlValue, Statement};
use proptest::prelude::*;
use std::path::Path;
use store::ledger::{
    Claim, claim, finish_maintenance, flush, forget_claim, forget_expired_claims,
    forget_old_rejects, job, limiter_objects, reject_message, take_over,
};

const ADMITTED_MS: i64 = 1_763_719_203_240;
const WEEK_MS: i64 = 7 * 86_400_000;
const TABLES: [&str; 6] = [
    "usage_logs",
    "usage_daily",
    "jobs",
    "images",
    "limiter_objects",
    "images_fts",
];

fn database() -> SqliteDatabase {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/ledger");
    SqliteDatabase::from_migrations(&folder).unwrap()
}

fn uuid(n: u32) -> String {
    format!("0199a1c2-0000-7000-8000-{n:012x}")
}

fn instance() -> InstanceId {
    InstanceId::parse("production").unwrap()
}

fn job_id(n: u32) -> JobId {
    JobId::parse(&uuid(n)).unwrap()
}

fn image(n: u32) -> StoredImage {
    StoredImage {
        image_id: ImageId::parse(&uuid(n)).unwrap(),
        image_url: String::new(),
        r2_path: format!("production/default/{n}.png"),
        bucket: "prod-images".to_owned(),
        size_bytes: 900,
        dimensions: "1024x768".to_owned(),
        format: ImageFormat::Png,
        seed: Some(7),
        quality: "ok".to_owned(),
        sha256: "ab".repeat(32),
        revised_prompt: None,
    }
}

fn stored_job(n: u32, images: u32) -> GenerateJob {
    GenerateJob {
        v: 1,
        job_id: job_id(n),
        request_id: uuid(900_000 + n),
        caller: JobCaller {
            instance_id: instance(),
            org_id: OrgId::parse(&uuid(1_000_001)).unwrap(),
            project_id: Some(ProjectId::parse(&uuid(1_000_002)).unwrap()),
            key_id: Some(KeyId::parse("4fGh7kQ2mZ0a").unwrap()),
            user_id: None,
        },
        request: GenerateRequest {
            prompt: "a cat with \"quotes\" and 'more'".to_owned(),
            tags: vec!["pets".to_owned()],
            ..GenerateRequest::default()
        },
        candidates: vec![JobCandidate {
            provider: ProviderName::parse("ideogram").unwrap(),
            model: "ideogram-3".to_owned(),
            effective: ImageOptions::default(),
            warnings: Vec::new(),
            weight: images,
            calls: 1,
            estimate_usd_micros: Some(60_000),
            upper_usd_micros: Some(60_000),
            price_version: Some("2026-11-16".to_owned()),
        }],
        candidate: 0,
        attempt_no: 1,
        max_attempts: 3,
        credential_id: None,
        image_ids: (0..images)
            .map(|i| ImageId::parse(&uuid(n * 100 + i)).unwrap())
            .collect(),
        bucket: "prod-images".to_owned(),
        visibility: Visibility::Private,
        admitted_at: Timestamp(ADMITTED_MS),
        skipped: Vec::new(),
    }
}

fn attempt(n: u32, attempt_no: u32, step: i64) -> AttemptView {
    let job = stored_job(n, 1);
    AttemptView {
        lease_id: LeaseId::parse(&uuid(n * 10 + attempt_no)).unwrap(),
        job_id: job_id(n),
        attempt_no,
        state: AttemptState::Held,
        job_state: JobState::Running,
        stage: Some(JobStage::Submitting),
        epoch: 1,
        instance_id: instance(),
        org_id: job.caller.org_id.clone(),
        project_id: job.caller.project_id.clone(),
        key_id: job.caller.key_id.clone(),
        provider: ProviderName::parse("ideogram").unwrap(),
        model: "ideogram-3".to_owned(),
        request_id: job.request_id.clone(),
        traceparent: String::new(),
        version: i64::from(attempt_no) * 1_000 + step,
        created_at: Timestamp(ADMITTED_MS),
        updated_at: Timestamp(ADMITTED_MS + step * 100),
        estimate_usd_micros: Some(60_000),
        upper_usd_micros: Some(60_000),
        cost_usd_micros: None,
        cost_basis: None,
        outcome: None,
        cancel_requested: false,
        job_refs: Vec::new(),
        image_ids: job.image_ids.clone(),
        images: Vec::new(),
        withheld: 0,
        warnings: Vec::new(),
        generation_ms: None,
        error: None,
        timeline: vec![TimelineEvent {
            at: Timestamp(ADMITTED_MS),
            event: "admitted".to_owned(),
            provider: None,
        }],
        job: serde_json::to_value(&job).unwrap(),
    }
}

fn running(n: u32) -> OutboxRow {
    OutboxRow {
        object_name: "instance:production:provider:ideogram".to_owned(),
        attempt: attempt(n, 1, 1),
        usage: Vec::new(),
    }
}

fn charge(cost: i64) -> UsageRow {
    UsageRow {
        phase: UsagePhase::Charge,
        calls: 1,
        images: 1,
        tokens_used: 5,
        billed: Billed::Yes,
        cost_usd_micros: Some(cost),
        work: Work::Image,
        overrun: false,
        price_version: Some("2026-11-16".to_owned()),
        latency_ms: 3_240,
    }
}

fn succeeded(n: u32) -> OutboxRow {
    let mut attempt = attempt(n, 1, 3);
    attempt.state = AttemptState::Settled;
    attempt.job_state = JobState::Succeeded;
    attempt.stage = None;
    attempt.outcome = Some(Outcome::Succeeded);
    attempt.cost_usd_micros = Some(60_000);
    attempt.cost_basis = Some(CostBasis::Table);
    attempt.images = vec![image(n * 100)];
    attempt.generation_ms = Some(3_240);
    attempt.timeline.push(TimelineEvent {
        at: Timestamp(ADMITTED_MS + 300),
        event: "succeeded".to_owned(),
        provider: None,
    });
    OutboxRow {
        object_name: "instance:production:provider:ideogram".to_owned(),
        attempt,
        usage: vec![charge(60_000)],
    }
}

async fn bring(database: &SqliteDatabase, rows: &[OutboxRow]) -> Vec<Rows> {
    database.batch(flush(rows)).await.unwrap()
}

async fn select(database: &SqliteDatabase, sql: &'static str) -> Rows {
    database.query(Statement::new(sql)).await.unwrap()
}

async fn dump(database: &SqliteDatabase) -> Vec<Rows> {
    let mut tables = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT * FROM {table} ORDER BY 1, 2");
        let mut rows = database.query(Statement::new(sql)).await.unwrap();
        rows.rows_read = 0;
        tables.push(rows);
    }
    tables
}

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
async fn no_statement_scans_a_table_that_grows() {
    let database = database();
    let mut statements: Vec<String> = flush(&[succeeded(1), running(2), {
        let mut row = running(3);
        row.attempt.state = AttemptState::Handover;
        row
    }])
    .into_iter()
    .map(|statement| statement.sql.into_owned())
    .collect();
    statements.extend([
        forget_expired_claims(0).sql.into_owned(),
        forget_old_rejects(0).sql.into_owned(),
        "SELECT job_id FROM jobs WHERE job_id = 'a' AND instance_id = 'b'".to_owned(),
        "SELECT job_id FROM jobs WHERE instance_id = 'a' ORDER BY created_at DESC LIMIT 50".to_owned(),
        "SELECT job_id FROM jobs WHERE instance_id = 'a' AND project_id = 'p' ORDER BY created_at DESC LIMIT 50".to_owned(),
        "SELECT log_id FROM usage_logs WHERE job_id = 'a'".to_owned(),
        "SELECT log_id FROM usage_logs WHERE instance_id = 'a' AND timestamp > 5".to_owned(),
        "SELECT image_id FROM images WHERE instance_id = 'a' AND project_id = 'p' ORDER BY created_at DESC LIMIT 50".to_owned(),
        "SELECT image_id FROM images WHERE image_id = 'a'".to_owned(),
    ]);
    for sql in statements {
        for line in database.plan(&sql).unwrap() {
            let scans = line.contains("SCAN")
                && !line.contains("VIRTUAL TABLE")
                && !line.contains("json_each")
                && !line.contains("late");
            assert!(
                !scans && !line.contains("TEMP B-TREE FOR ORDER BY"),
                "{sql}\n{line}"
            );
        }
    }
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
