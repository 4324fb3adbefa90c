//! What the tests share: commands with sensible members, a table in memory, an object over fakes.

use api_types::*;
use platform::fakes::{FakeClock, FakeQueue, FakeRandom, FakeStorage, SqliteDatabase, World};
use platform::{ActorReply, Clock, PortError, Statement};
use rate_limiter::{
    Attempt, AttemptSource, Changes, LimiterObject, LimiterState, Tuning, WindowEntry, lease_key,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const OBJECT: &str = "instance:production:provider:ideogram";

pub(crate) fn uuid(kind: u32, n: u64) -> String {
    format!("{kind:08x}-0000-7000-8000-{n:012x}")
}

pub(crate) fn lease(n: u64) -> LeaseId {
    LeaseId::parse(&uuid(1, n)).unwrap()
}

pub(crate) fn job(n: u64) -> JobId {
    JobId::parse(&uuid(2, n)).unwrap()
}

pub(crate) fn limits(rpm: u32, images: u32) -> Limits {
    Limits {
        config_version: 1,
        rpm: Some(rpm),
        tpm: None,
        max_inflight_images: Some(images),
        windows: Vec::new(),
    }
}

/// A command of job `n`, first attempt, one call, one image.
pub(crate) fn acquire(n: u64, limits: &Limits) -> Acquire {
    Acquire {
        v: 1,
        lease_id: lease(n),
        job_id: job(n),
        attempt_no: 1,
        instance_id: InstanceId::parse("production").unwrap(),
        provider: ProviderName::parse("ideogram").unwrap(),
        calls: 1,
        images: 1,
        tokens: 0,
        work: Work::Image,
        model: "ideogram-3".to_owned(),
        org_id: OrgId::parse(&uuid(3, 1)).unwrap(),
        project_id: None,
        key_id: Some(KeyId::parse("4fGh7kQ2mZ0a").unwrap()),
        request_id: uuid(4, n),
        traceparent: String::new(),
        estimate_usd_micros: Some(60_000),
        upper_usd_micros: Some(60_000),
        price_version: Some("2026-11-16".to_owned()),
        limits: limits.clone(),
        run_ms: 900_000,
        holder_ms: 60_000,
        image_ids: vec![ImageId::parse(&uuid(5, n)).unwrap()],
        job: json!({ "v": 1, "prompt": "a lighthouse" }),
    }
}

pub(crate) fn settle(n: u64, epoch: u32, outcome: Outcome) -> Settle {
    let good = outcome == Outcome::Succeeded;
    Settle {
        v: 1,
        lease_id: lease(n),
        epoch,
        outcome,
        billed: if good { Billed::Yes } else { Billed::No },
        cost_usd_micros: Some(if good { 60_000 } else { 0 }),
        cost_basis: if good {
            CostBasis::Table
        } else {
            CostBasis::None
        },
        tokens: None,
        usage: None,
        images: if good { vec![image(n)] } else { Vec::new() },
        withheld: 0,
        warnings: Vec::new(),
        error: None,
        retry_after_ms: None,
        observed_max_inflight: None,
        generation_ms: good.then_some(3_000),
        breaker_failure: match outcome {
            Outcome::Succeeded => Some(false),
            Outcome::Unavailable | Outcome::Timeout | Outcome::NoOutput => Some(true),
            _ => None,
        },
        next: Next::Final,
    }
}

pub(crate) fn image(n: u64) -> StoredImage {
    StoredImage {
        image_id: ImageId::parse(&uuid(5, n)).unwrap(),
        image_url: String::new(),
        r2_path: format!("production/default/1_{n}.png"),
        bucket: "prod-images".to_owned(),
        size_bytes: 10,
        dimensions: "1024x1024".to_owned(),
        format: ImageFormat::Png,
        seed: Some(1),
        quality: "ok".to_owned(),
        sha256: String::new(),
        revised_prompt: None,
    }
}

pub(crate) fn job_ref(part: u32, id: &str, at_ms: i64) -> JobRef {
    JobRef {
        v: 1,
        provider: ProviderName::parse("ideogram").unwrap(),
        adapter: "ideogram".to_owned(),
        api: "v2".to_owned(),
        model: "ideogram-3".to_owned(),
        part,
        weight: 1,
        job_id: id.to_owned(),
        poll_url: None,
        result_url: None,
        cancel_url: None,
        submitted_at: Timestamp(at_ms),
        expires_at: Timestamp(at_ms + 3_600_000),
    }
}

pub(crate) fn release(n: u64, epoch: u32, reason: ReleaseReason) -> Release {
    Release {
        v: 1,
        lease_id: lease(n),
        epoch,
        reason,
    }
}

pub(crate) fn renew(n: u64, epoch: u32) -> Renew {
    Renew {
        v: 1,
        lease_id: lease(n),
        epoch,
        stage: None,
        credential_id: None,
    }
}

pub(crate) fn take(n: u64) -> Take {
    Take {
        v: 1,
        lease_id: lease(n),
        holder_ms: 60_000,
    }
}

/// The object's tables as maps: what a crash leaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) rows: BTreeMap<u128, Attempt>,
    pub(crate) meta: BTreeMap<&'static str, String>,
}

impl Table {
    pub(crate) fn write(&mut self, changes: &Changes) {
        for lease_id in &changes.removed {
            self.rows.remove(&lease_key(lease_id));
        }
        for row in &changes.rows {
            self.rows.insert(lease_key(&row.lease_id), row.clone());
        }
        for (meta, text) in &changes.meta {
            self.meta.insert(meta.key(), text.clone());
        }
    }

    /// Memory as a new process would have it.
    pub(crate) fn rebuild(&self) -> LimiterState {
        let mut state = LimiterState::new(Tuning::default());
        state.restore(|meta| self.meta.get(meta.key()).cloned());
        for row in self.rows.values() {
            state.track(row);
        }
        state
    }
}

impl AttemptSource for Table {
    fn by_lease(&self, lease_id: &LeaseId) -> Result<Option<Attempt>, PortError> {
        Ok(self.rows.get(&lease_key(lease_id)).cloned())
    }

    fn by_attempt(&self, job_id: &JobId, attempt_no: u32) -> Result<Option<Attempt>, PortError> {
        let same = |row: &&Attempt| row.job_id == *job_id && row.attempt_no == attempt_no;
        Ok(self.rows.values().find(same).cloned())
    }

    fn newest(&self, job_id: &JobId) -> Result<Option<Attempt>, PortError> {
        let rows = self.rows.values().filter(|row| row.job_id == *job_id);
        Ok(rows.max_by_key(|row| row.attempt_no).cloned())
    }

    fn open(&self, most: u32) -> Result<Vec<Attempt>, PortError> {
        let rows = self.rows.values().filter(|row| row.settled_ms.is_none());
        let mut rows: Vec<Attempt> = rows.cloned().collect();
        rows.sort_by_key(|row| row.created_ms);
        rows.truncate(most as usize);
        Ok(rows)
    }

    fn entries_since(&self, at_ms: i64) -> Result<Vec<WindowEntry>, PortError> {
        let rows = self.rows.values().filter(|row| row.counted);
        let granted = |row: &Attempt| row.state == AttemptState::Granted;
        Ok(rows
            .filter(|row| row.at_ms > at_ms || granted(row))
            .map(|row| WindowEntry {
                key: lease_key(&row.lease_id),
                at_ms: (!granted(row)).then_some(row.at_ms),
                calls: row.calls,
            })
            .collect())
    }
}

/// The ledger as the tests see it: usage by lease and phase, jobs by version.
pub(crate) fn statements(rows: &[OutboxRow]) -> Vec<Statement> {
    let mut statements = Vec::new();
    for row in rows {
        for usage in &row.usage {
            statements.push(
                Statement::new(
                    "INSERT INTO usage (lease_id, phase, cost, calls, images, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                )
                .bind(row.attempt.lease_id.as_str())
                .bind(usage.phase.as_str())
                .bind(usage.cost_usd_micros)
                .bind(usage.calls)
                .bind(usage.images)
                .bind(row.attempt.outcome.map(Outcome::as_str)),
            );
        }
        statements.push(
            Statement::new(
                "INSERT INTO jobs (job_id, state, version, model) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (job_id) DO UPDATE SET state = excluded.state, version = excluded.version WHERE excluded.version > jobs.version",
            )
            .bind(row.attempt.job_id.as_str())
            .bind(row.attempt.job_state.as_str())
            .bind(row.attempt.version)
            .bind(row.attempt.model.as_str()),
        );
    }
    statements
}

const LEDGER: &str = "CREATE TABLE usage (lease_id TEXT, phase TEXT, cost INTEGER, calls INTEGER, images INTEGER, outcome TEXT, PRIMARY KEY (lease_id, phase));
CREATE TABLE jobs (job_id TEXT PRIMARY KEY, state TEXT, version INTEGER, model TEXT CHECK (model <> 'spoilt'));";

pub(crate) type Object =
    LimiterObject<FakeStorage, SqliteDatabase, FakeQueue, FakeClock, FakeRandom>;

/// One object over fakes. Its memory can be dropped; storage, ledger and queue stay.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) storage: FakeStorage,
    pub(crate) database: SqliteDatabase,
    pub(crate) queue: FakeQueue,
    pub(crate) object: Object,
    pub(crate) tuning: Tuning,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new(World::manual(), Tuning::default())
    }
}

impl Bench {
    pub(crate) fn new(world: World, tuning: Tuning) -> Self {
        let storage = FakeStorage::new(&world).unwrap();
        let database = SqliteDatabase::empty(&world).unwrap();
        database.with(|connection| connection.execute_batch(LEDGER).unwrap());
        let queue = FakeQueue::new(&world);
        let object = object(&world, &storage, &database, &queue, &tuning);
        Self {
            world,
            storage,
            database,
            queue,
            object,
            tuning,
        }
    }

    /// The process dies; everything that was not stored is gone.
    pub(crate) fn crash(&mut self) {
        self.object = object(
            &self.world,
            &self.storage,
            &self.database,
            &self.queue,
            &self.tuning,
        );
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.world.clock.now_ms()
    }

    pub(crate) async fn raw(&self, command: &str, body: &impl Serialize) -> ActorReply {
        let body = serde_json::to_string(body).unwrap();
        self.object.handle(command, &body).await
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        command: &str,
        body: &impl Serialize,
    ) -> T {
        let reply = self.raw(command, body).await;
        assert_eq!(reply.status, 200, "{command}: {}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    }

    pub(crate) async fn acquire(&self, command: &Acquire) -> AcquireDecision {
        self.call::<AcquireReply>("acquire", command).await.decision
    }

    pub(crate) async fn granted(&self, command: &Acquire) {
        let decision = self.acquire(command).await;
        assert!(
            matches!(decision, AcquireDecision::Granted { .. }),
            "{decision:?}"
        );
    }

    pub(crate) async fn settle(&self, command: &Settle) -> SettleReply {
        self.call("settle", command).await
    }

    pub(crate) async fn take(&self, n: u64) -> TakeReply {
        self.call("take", &take(n)).await
    }

    pub(crate) async fn taken(&self, n: u64) -> (u32, TakeMode) {
        match self.take(n).await {
            TakeReply::Taken { epoch, mode, .. } => (epoch, mode),
            busy @ TakeReply::Busy { .. } => panic!("{busy:?}"),
        }
    }

    pub(crate) async fn gauges(&self) -> LimiterGauges {
        match self.call("state", &StateQuery::default()).await {
            StateReply::Gauges(gauges) => *gauges,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn view(&self, n: u64) -> AttemptView {
        let query = StateQuery {
            job_id: Some(job(n)),
            open: 0,
        };
        match self.call("state", &query).await {
            StateReply::Job(view) => *view,
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass and rings the alarm whenever it is due.
    pub(crate) async fn pass(&self, ms: u64) {
        let until_ms = self.now_ms().saturating_add_unsigned(ms);
        for _ in 0..10_000 {
            match self.storage.alarm_ms() {
                Some(at_ms) if at_ms <= until_ms => {
                    self.world.clock.set(at_ms.max(self.now_ms()));
                    assert!(self.storage.take_due_alarm());
                    self.object.alarm().await;
                }
                _ => {
                    self.world.clock.set(until_ms);
                    return;
                }
            }
        }
        panic!("the alarm never rests");
    }

    /// Leases that the queue holds wake-ups for, with the reasons.
    pub(crate) fn wakes(&self) -> Vec<(String, WakeReason)> {
        self.queue
            .take()
            .iter()
            .map(|body| {
                let wake: JobMessage = serde_json::from_str(body).unwrap();
                assert_eq!(wake.object, OBJECT);
                (wake.lease_id.as_str().to_owned(), wake.reason)
            })
            .collect()
    }

    /// Rows of the ledger's table `usage`.
    pub(crate) fn usage(&self) -> BTreeSet<(String, String, Option<i64>)> {
        self.database.with(|connection| {
            let mut statement = connection
                .prepare("SELECT lease_id, phase, cost FROM usage")
                .unwrap();
            statement
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .unwrap()
                .map(Result::unwrap)
                .collect()
        })
    }

    /// The ledger's state of a job.
    pub(crate) fn ledger_job(&self, n: u64) -> Option<(String, i64)> {
        self.database.with(|connection| {
            connection
                .query_row(
                    "SELECT state, version FROM jobs WHERE job_id = ?1",
                    [uuid(2, n)],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .ok()
        })
    }
}

fn object(
    world: &World,
    storage: &FakeStorage,
    database: &SqliteDatabase,
    queue: &FakeQueue,
    tuning: &Tuning,
) -> Object {
    LimiterObject::new(
        storage.clone(),
        database.clone(),
        queue.clone(),
        world.clock.clone(),
        world.random.clone(),
        statements,
        tuning.clone(),
    )
}

pub(crate) fn limited(decision: &AcquireDecision) -> (LimitedReason, u64) {
    match decision {
        AcquireDecision::Limited {
            reason,
            retry_after_ms,
            ..
        } => (*reason, *retry_after_ms),
        other => panic!("{other:?}"),
    }
}
