//! Jobs, attempts and charges as they are flushed, and reading them back.

use api_types::{
    AttemptState, AttemptView, Billed, CostBasis, GenerateJob, GenerateRequest, ImageFormat,
    ImageId, ImageOptions, InstanceId, JobCaller, JobCandidate, JobId, JobStage, JobState, KeyId,
    LeaseId, OrgId, OutboxRow, Outcome, ProjectId, ProviderName, StoredImage, TimelineEvent,
    Timestamp, UsagePhase, UsageRow, Visibility, Work,
};
use platform::fakes::SqliteDatabase;
use platform::{Database, Rows, Statement};

use std::path::Path;
use store::ledger::flush;

pub(crate) const ADMITTED_MS: i64 = 1_763_719_203_240;

pub(crate) const WEEK_MS: i64 = 7 * 86_400_000;

pub(crate) const TABLES: [&str; 6] = [
    "usage_logs",
    "usage_daily",
    "jobs",
    "images",
    "limiter_objects",
    "images_fts",
];

pub(crate) fn database() -> SqliteDatabase {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/ledger");
    SqliteDatabase::from_migrations(&folder).unwrap()
}

pub(crate) fn uuid(n: u32) -> String {
    format!("0199a1c2-0000-7000-8000-{n:012x}")
}

pub(crate) fn instance() -> InstanceId {
    InstanceId::parse("production").unwrap()
}

pub(crate) fn job_id(n: u32) -> JobId {
    JobId::parse(&uuid(n)).unwrap()
}

pub(crate) fn image(n: u32) -> StoredImage {
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

pub(crate) fn stored_job(n: u32, images: u32) -> GenerateJob {
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
            tokens: 0,
            estimate_usd_micros: Some(60_000),
            upper_usd_micros: Some(60_000),
            price_version: Some("2026-11-16".to_owned()),
            score: None,
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

pub(crate) fn attempt(n: u32, attempt_no: u32, step: i64) -> AttemptView {
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
        usage: None,
        warnings: Vec::new(),
        generation_ms: None,
        error: None,
        timeline: vec![TimelineEvent {
            at: Timestamp(ADMITTED_MS),
            event: "admitted".to_owned(),
            provider: None,
            waited_ms: Some(0),
        }],
        job: serde_json::to_value(&job).unwrap(),
    }
}

pub(crate) fn running(n: u32) -> OutboxRow {
    OutboxRow {
        object_name: "instance:production:provider:ideogram".to_owned(),
        attempt: attempt(n, 1, 1),
        usage: Vec::new(),
        object_open: 1,
    }
}

pub(crate) fn charge(cost: i64) -> UsageRow {
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

pub(crate) fn succeeded(n: u32) -> OutboxRow {
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
        waited_ms: None,
    });
    OutboxRow {
        object_name: "instance:production:provider:ideogram".to_owned(),
        attempt,
        usage: vec![charge(60_000)],
        object_open: 0,
    }
}

pub(crate) async fn bring(database: &SqliteDatabase, rows: &[OutboxRow]) -> Vec<Rows> {
    database.batch(flush(rows)).await.unwrap()
}

pub(crate) async fn select(database: &SqliteDatabase, sql: &'static str) -> Rows {
    database.query(Statement::new(sql)).await.unwrap()
}

pub(crate) async fn dump(database: &SqliteDatabase) -> Vec<Rows> {
    let mut tables = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT * FROM {table} ORDER BY 1, 2");
        let mut rows = database.query(Statement::new(sql)).await.unwrap();
        rows.rows_read = 0;
        tables.push(rows);
    }
    tables
}
