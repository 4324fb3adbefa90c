//! A rotation of 10,000 values in 250 instances with a crash at every step.
//!
//! In scope: what is left when the database or KV fails before or after having done it, when the process is lost, when
//! two runners meet, when a value is set, rotated or erased in the middle of a step. Out of scope: the routes.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use api_types::{
    Ciphertext, CredentialId, EditableConfig, InstanceConfig, InstanceId, OrgId, ProviderName,
    Timestamp,
};
use auth::chain;
use auth::envelope::{CredentialContext, KekScope, Keks};
use config_service::effective::{Parts, build, text};
use futures_util::FutureExt;
use http::Method;
use platform::fakes::When;
use platform::{Database, Rows, Statement};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use store::control::credentials::{self, CredentialRow};
use store::control::instances::{self, NewInstance};
use support::*;

const INSTANCES: usize = 250;
/// Each with its current key and three previous ones.
const PROVIDERS: usize = 10;
const PREVIOUS: usize = 3;
const AN_INSTANCE: i64 = 40;

fn name_of(number: usize) -> InstanceId {
    InstanceId::parse(&format!("many-{number:03}")).unwrap()
}

fn provider_of(number: usize) -> ProviderName {
    ProviderName::parse(&format!("p{number}")).unwrap()
}

fn keks() -> Keks {
    let all = vec![("k1".to_owned(), [9; 32]), ("k2".to_owned(), [8; 32])];
    Keks::new("k1", all, KekScope::Master).unwrap()
}

/// The world after a step: what must be readable, by row.
struct Vault {
    service: Service,
    values: BTreeMap<String, String>,
}

impl Vault {
    /// So many instances with 40 values each, all under `k1`; new values are sealed under `current`.
    async fn with(count: usize, current: &str) -> Self {
        let service = Service::with(keyed_settings(current, &["k1", "k2"]));
        let mut values = BTreeMap::new();
        let org_id = OrgId::parse(ACME).unwrap();
        let now = service.deps.now();
        for number in 0..count {
            let instance_id = name_of(number);
            let providers: serde_json::Map<String, Value> = (0..PROVIDERS)
                .map(|at| {
                    let base = json!({"adapter": "openai", "base_url": "http://127.0.0.1:8790/v1", "allow_private_host": true});
                    (provider_of(at).to_string(), base)
                })
                .collect();
            let config = json!({ "providers": providers });
            let mut batch = vec![instances::create(&NewInstance {
                instance_id: &instance_id,
                org_id: &org_id,
                name: "Many",
                config: &config.to_string(),
                status: "active",
                now,
            })];
            let mut current_rows = Vec::new();
            for at in 0..PROVIDERS {
                for version in 1..=PREVIOUS + 1 {
                    let row = sealed(&service, &instance_id, at, version, now);
                    values.insert(row.credential_id.to_string(), value_of(&row));
                    batch.push(credentials::put(&row));
                    if version <= PREVIOUS {
                        let ends = now.plus_ms(86_400_000);
                        batch.push(credentials::retire(&row.credential_id, ends));
                    } else {
                        current_rows.push(row);
                    }
                }
            }
            let edited: EditableConfig = serde_json::from_value(config).unwrap();
            let effective = build(Parts {
                instance_id: &instance_id,
                org_id: &org_id,
                name: "Many",
                self_hosted: false,
                worker_urls: &BTreeMap::new(),
                config_version: 1,
                edited,
                credentials: &current_rows,
                prices: &[],
                now: Timestamp(0),
            })
            .unwrap();
            let body = text(&effective).unwrap();
            let sha256 = chain::sha256_hex(body.as_bytes());
            batch.push(instances::put_effective(
                &instance_id,
                1,
                &body,
                &sha256,
                now,
            ));
            batch.push(instances::mark_published(&instance_id, 1, now));
            service.ports.database.batch(batch).await.unwrap();
        }
        Self { service, values }
    }

    async fn start(&self, dry_run: bool) -> String {
        let body = json!({"to": "k2", "dry_run": dry_run});
        let answer = self.service.post(ROOT, "/admin/kek-rotation", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["rotation_id"].as_str().unwrap().to_owned()
    }

    async fn rows(&self, sql: String) -> Rows {
        self.service
            .ports
            .database
            .query(Statement::new(sql))
            .await
            .unwrap()
    }

    async fn rotation(&self) -> (String, i64, i64, i64) {
        let row = self
            .service
            .row("SELECT state, done, skipped, failed FROM kek_rotations")
            .await;
        let count = |name| row.int(name).unwrap();
        let state = row.text("state").unwrap().to_owned();
        (state, count("done"), count("skipped"), count("failed"))
    }

    /// Every value of that instance (or of all) is readable and is the one that was put in, whichever key it is under;
    /// what workers get holds the same envelopes; the two sides of an instance never differ.
    async fn assert_readable(&self, of: Option<&InstanceId>) -> (usize, usize) {
        let only = of.map_or(String::new(), |id| format!(" AND instance_id = '{id}'"));
        let rows = self
            .rows(format!(
                "SELECT * FROM provider_credentials WHERE instance_id LIKE 'many-%'{only}"
            ))
            .await;
        let bodies = self
            .rows(format!(
                "SELECT body FROM instance_effective WHERE instance_id LIKE 'many-%'{only}"
            ))
            .await;
        let bodies: BTreeMap<String, InstanceConfig> = bodies
            .rows
            .iter()
            .map(|row| {
                let config: InstanceConfig =
                    serde_json::from_str(row.text("body").unwrap()).unwrap();
                (config.instance_id.to_string(), config)
            })
            .collect();
        let keks = keks();
        let (mut old, mut new) = (0, 0);
        for row in &rows.rows {
            let text = |name: &str| row.text(name).unwrap();
            let context = CredentialContext {
                org_id: OrgId::parse(text("org_id")).unwrap(),
                instance_id: InstanceId::parse(text("instance_id")).unwrap(),
                provider: ProviderName::parse(text("provider")).unwrap(),
                credential_id: CredentialId::parse(text("credential_id")).unwrap(),
                host: text("host").to_owned(),
            };
            let envelope = Ciphertext(text("ciphertext").to_owned());
            assert_eq!(envelope.kek_id(), Some(text("kek_id")));
            let opened = keks.open(&context, &envelope).unwrap();
            let value = &self.values[text("credential_id")];
            assert_eq!(&String::from_utf8_lossy(&opened), value);
            if text("slot") == "current" {
                let held = &bodies[text("instance_id")].api_keys[&context.provider];
                assert_eq!(held, &envelope, "{context:?}");
            }
            match text("kek_id") {
                "k1" => old += 1,
                _ => new += 1,
            }
        }
        (old, new)
    }

    /// The chain of the organization has no gap, no changed row and one entry for each rewrapped instance.
    async fn assert_chain(&self, instances: usize) {
        let rows = self
            .rows(format!(
                "SELECT * FROM audit_log WHERE org_id = '{ACME}' ORDER BY seq"
            ))
            .await;
        let mut prev = chain::FIRST_PREV_HASH.to_owned();
        let mut rewrapped = BTreeMap::new();
        for (at, row) in rows.rows.iter().enumerate() {
            assert_eq!(row.int("seq"), Some(at as i64 + 1));
            let json_of = |name: &str| -> Value {
                row.text(name)
                    .map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
            };
            let entry = json!({
                "org_id": ACME, "seq": at + 1, "at": row.text("at"), "actor": json_of("actor"),
                "action": row.text("action"), "target_type": row.text("target_type"),
                "target_id": row.text("target_id"), "instance_id": row.text("instance_id"),
                "before": json_of("before"), "after": json_of("after"),
                "request_id": row.text("request_id"), "ip": row.text("ip"), "prev_hash": prev,
            });
            let hash = chain::entry_hash(&prev, &entry);
            assert_eq!(row.text("hash"), Some(hash.as_str()));
            prev = hash;
            if row.text("action") == Some("run_kek_rotation") {
                *rewrapped
                    .entry(row.text("target_id").unwrap().to_owned())
                    .or_insert(0) += 1;
            }
        }
        assert_eq!(rewrapped.len(), instances);
        assert!(rewrapped.values().all(|times| *times == 1), "{rewrapped:?}");
    }

    /// KV has what the database has, after the sweeper.
    async fn assert_published(&self) {
        while self.service.deps.sweep().await.published > 0 {}
        let rows = self
            .rows(
                "SELECT instance_id, body FROM instance_effective WHERE instance_id LIKE 'many-%'"
                    .to_owned(),
            )
            .await;
        for row in &rows.rows {
            let key = format!("cfg:v1:{}", row.text("instance_id").unwrap());
            let kept: Value =
                serde_json::from_str(&self.service.ports.kv.newest(&key).unwrap()).unwrap();
            let body: Value = serde_json::from_str(row.text("body").unwrap()).unwrap();
            assert_eq!(kept["config"], body);
        }
    }
}

/// The plain form that was sealed.
fn value_of(row: &CredentialRow) -> String {
    json!({"api_key": format!("value of {}", row.credential_id)}).to_string()
}

fn sealed(
    service: &Service,
    instance_id: &InstanceId,
    provider: usize,
    version: usize,
    now: Timestamp,
) -> CredentialRow {
    let context = CredentialContext {
        org_id: OrgId::parse(ACME).unwrap(),
        instance_id: instance_id.clone(),
        provider: provider_of(provider),
        credential_id: service.deps.new_id().unwrap(),
        host: "127.0.0.1:8790".to_owned(),
    };
    let mut row = CredentialRow {
        credential_id: context.credential_id.clone(),
        org_id: context.org_id.clone(),
        instance_id: context.instance_id.clone(),
        provider: context.provider.clone(),
        host: context.host.clone(),
        ciphertext: Ciphertext(String::new()),
        last4: String::new(),
        set_at: now,
        set_by: "seed".into(),
        last_used_at: None,
        last_error: None,
        version: version as i64,
    };
    let value = value_of(&row);
    row.ciphertext = keks()
        .seal(&service.deps.random, &context, value.as_bytes())
        .unwrap();
    row
}

/// Runs work until the `nth` call of that port hangs, and loses it there: nothing of it runs any more.
async fn lose(service: &Service, target: &str, nth: u32, work: impl Future) {
    let faults = &service.ports.world.faults;
    faults.slow(target, 50);
    let before = faults.calls(target);
    {
        let mut work = pin!(work);
        let mut turns = 0;
        // Every call hangs at first; the one that is meant is left hanging.
        while faults.calls(target) < before + nth {
            assert!(
                (&mut work).now_or_never().is_none(),
                "it ended before call {nth} of {target}"
            );
            tokio::task::yield_now().await;
            turns += 1;
            assert!(turns < 10_000, "call {nth} of {target} does not come");
        }
    }
    faults.heal(target);
}

#[tokio::test]
async fn ten_thousand_values_survive_a_crash_at_every_step() {
    let vault = Vault::with(INSTANCES, "k2").await;
    assert_eq!(vault.values.len(), 10_000);
    vault.start(false).await;
    let (service, faults) = (&vault.service, vault.service.ports.world.faults.clone());
    let step = || service.deps.rotate_kek_by_itself(1);
    // Calls of a step: the running rotation, what the step needs, its write, the note of its publication.
    let (first, read, write, note) = (1, 2, 3, 4);
    for number in 0..INSTANCES {
        let id = name_of(number);
        // Nothing is done.
        faults.fail("database", read, When::Before);
        faults.fail("database", read + 1, When::Before);
        assert!(step().await.is_err());
        faults.fail("database", write, When::Before);
        assert!(step().await.is_err());
        for lost in [first, read, write] {
            lose(service, "database", lost, step()).await;
        }
        assert_eq!(vault.assert_readable(Some(&id)).await, (40, 0), "{id}");
        // It is done, and more or less of what follows.
        match number % 5 {
            0 => {
                faults.fail("database", write, When::After);
                assert!(step().await.is_err());
            }
            1 => {
                faults.fail("kv.put", 1, When::Before);
                assert_eq!(step().await.unwrap(), 1);
            }
            2 => {
                faults.fail("kv.put", 1, When::After);
                assert_eq!(step().await.unwrap(), 1);
            }
            3 => {
                faults.fail("database", note, When::Before);
                assert_eq!(step().await.unwrap(), 1);
            }
            _ => lose(service, "kv.put", 1, step()).await,
        }
        assert_eq!(faults.pending(), 0, "{id}");
        assert_eq!(vault.assert_readable(Some(&id)).await, (0, 40), "{id}");
        if number % 50 == 25 {
            let moved = 40 * (number + 1);
            assert_eq!(vault.assert_readable(None).await, (10_000 - moved, moved));
        }
    }
    // The end may be lost as well.
    faults.fail("database", write, When::Before);
    assert!(step().await.is_err());
    assert_eq!(vault.rotation().await.0, "running");
    faults.fail("database", write, When::After);
    assert!(step().await.is_err());
    assert_eq!(vault.rotation().await, ("done".into(), 10_000, 0, 0));
    assert_eq!(step().await.unwrap(), 0);
    assert_eq!(vault.assert_readable(None).await, (0, 10_000));
    vault.assert_chain(INSTANCES).await;
    vault.assert_published().await;
    let versions = service
        .row("SELECT min(config_version) AS a, max(config_version) AS b FROM instances WHERE instance_id LIKE 'many-%'")
        .await;
    assert_eq!((versions.int("a"), versions.int("b")), (Some(2), Some(2)));
    let ended = service
        .count("audit_log WHERE org_id = 'platform' AND action = 'run_kek_rotation'")
        .await;
    assert_eq!(ended, 1);
    service.settle().await;
}

/// Two people and two sweepers at the same time until it ends; slow calls let them meet at every point.
async fn run_by_four(vault: &Vault, id: &str) {
    let service = &vault.service;
    let path = format!("/admin/kek-rotation/{id}/run");
    let mut rounds = 0;
    service.ports.world.faults.slow("database", 5);
    while vault.rotation().await.0 == "running" {
        let people = (0..2).map(|_| service.app.post(&path).key(ROOT).send().boxed());
        let people = futures_util::future::join_all(people);
        let sweepers = (0..2).map(|_| service.deps.rotate_kek_by_itself(20).boxed());
        let sweepers = futures_util::future::join_all(sweepers);
        let (answers, _) = futures_util::future::join(people, sweepers).await;
        let known: Vec<u16> = answers
            .iter()
            .map(|answer| answer.status.as_u16())
            .collect();
        assert!(
            known.iter().all(|status| [200, 503].contains(status)),
            "{known:?}"
        );
        rounds += 1;
        assert!(rounds < 100, "no end");
    }
    service.ports.world.faults.heal("database");
}

#[tokio::test]
async fn runners_that_meet_never_do_an_instance_twice() {
    let vault = Vault::with(30, "k2").await;
    let id = vault.start(false).await;
    run_by_four(&vault, &id).await;
    assert_eq!(
        vault.rotation().await,
        ("done".into(), 30 * AN_INSTANCE, 0, 0)
    );
    assert_eq!(vault.assert_readable(None).await, (0, 30 * 40));
    vault.assert_chain(30).await;
    vault.assert_published().await;
    vault.service.settle().await;
}

#[tokio::test]
async fn runners_that_meet_in_a_dry_run_count_everything_once() {
    let vault = Vault::with(15, "k2").await;
    // Where nothing is rewrapped no audit entry orders the runners; what fails is counted once all the same.
    let broken = "UPDATE provider_credentials SET host = 'elsewhere' WHERE provider = 'p3' AND slot = 'current'";
    vault.service.run(broken).await;
    let id = vault.start(true).await;
    run_by_four(&vault, &id).await;
    assert_eq!(
        vault.rotation().await,
        ("failed".into(), 15 * (AN_INSTANCE - 1), 0, 15)
    );
    vault.service.settle().await;
}

/// Runs `meanwhile` while a step has read and not yet written.
async fn in_the_middle<T>(vault: &Vault, meanwhile: impl Future<Output = T>) -> T {
    let faults = &vault.service.ports.world.faults;
    let before = faults.calls("database");
    let mut step = pin!(vault.service.deps.rotate_kek_by_itself(1));
    faults.slow("database", 50);
    while faults.calls("database") < before + 3 {
        assert!((&mut step).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    faults.heal("database");
    let done = meanwhile.await;
    assert_eq!(step.await.unwrap(), 1);
    done
}

#[tokio::test]
async fn what_people_do_in_the_middle_of_a_step_is_left_alone() {
    let mut vault = Vault::with(4, "k2").await;
    vault.start(false).await;
    let path = |number: usize| format!("/instance/many-00{number}/provider-key/p0");
    let row = |vault: &Vault, number: usize| {
        let sql = format!(
            "SELECT credential_id AS id, kek_id, ciphertext FROM provider_credentials WHERE instance_id = 'many-00{number}' AND provider = 'p0' AND slot = 'current'"
        );
        let database = vault.service.ports.database.clone();
        async move { database.query(Statement::new(sql)).await.unwrap().rows[0].clone() }
    };
    // A value is replaced: same row, new value.
    let answer = in_the_middle(&vault, async {
        let request = vault.service.app.request(Method::PUT, &path(0)).key(ROOT);
        let request = request.header("if-match", "*");
        request
            .json(&json!({"api_key": "entered meanwhile"}))
            .send()
            .await
    })
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let kept = row(&vault, 0).await;
    assert_eq!(kept.text("kek_id"), Some("k2"));
    let new = json!({"api_key": "entered meanwhile"}).to_string();
    vault
        .values
        .insert(kept.text("id").unwrap().to_owned(), new);
    assert_eq!(vault.assert_readable(Some(&name_of(0))).await, (0, 40));
    // A value is rotated: another row, and the oldest goes.
    let rotate = format!("{}/rotate", path(1));
    let body = json!({"api_key": "rotated meanwhile"});
    let answer = in_the_middle(&vault, vault.service.post(ROOT, &rotate, &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let new = json!({"api_key": "rotated meanwhile"}).to_string();
    let id = row(&vault, 1).await.text("id").unwrap().to_owned();
    vault.values.insert(id, new);
    assert_eq!(vault.assert_readable(Some(&name_of(1))).await, (0, 40));
    // A value and its previous ones are erased.
    let erase = format!("{}?now=true", path(2));
    let answer = in_the_middle(&vault, vault.service.delete(ROOT, &erase)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(vault.assert_readable(Some(&name_of(2))).await, (0, 36));
    // Previous keys are swept, which nobody else's version tells: they are counted as left alone.
    in_the_middle(&vault, async {
        let gone = "DELETE FROM provider_credentials WHERE instance_id = 'many-003' AND provider = 'p0' AND slot = 'previous'";
        vault.service.run(gone).await;
    })
    .await;
    assert_eq!(vault.assert_readable(Some(&name_of(3))).await, (0, 37));
    assert_eq!(
        vault.service.deps.rotate_kek_by_itself(20).await.unwrap(),
        1
    );
    let (state, done, skipped, failed) = vault.rotation().await;
    assert_eq!((state.as_str(), skipped, failed), ("done", 3, 0));
    assert_eq!(done, 39 + 39 + 36 + 37);
    let ids: BTreeSet<String> = vault
        .rows("SELECT kek_id FROM provider_credentials".to_owned())
        .await
        .rows
        .iter()
        .map(|row| row.text("kek_id").unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["k2".to_owned()].into());
    vault.service.settle().await;
}

#[tokio::test]
async fn cancelling_in_the_middle_of_a_step_ends_it_before_or_after() {
    let vault = Vault::with(3, "k2").await;
    let id = vault.start(false).await;
    let service = &vault.service;
    let step = || service.deps.rotate_kek_by_itself(1);
    step().await.unwrap();
    let faults = &service.ports.world.faults;
    let before = faults.calls("database");
    {
        let mut late = pin!(step());
        faults.slow("database", 50);
        while faults.calls("database") < before + 3 {
            assert!((&mut late).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        faults.heal("database");
        let path = format!("/admin/kek-rotation/{id}/cancel");
        assert_eq!(service.app.post(&path).key(ROOT).send().await.status, 200);
        assert_eq!(late.await.unwrap(), 0);
    }
    assert_eq!(vault.rotation().await, ("cancelled".into(), 40, 0, 0));
    assert_eq!(vault.assert_readable(None).await, (80, 40));
    vault.assert_chain(1).await;
    service.settle().await;
}

#[tokio::test]
async fn a_lost_process_and_a_lost_answer_of_start_and_cancel_leave_one_truth() {
    let vault = Vault::with(1, "k1").await;
    let service = &vault.service;
    let faults = &service.ports.world.faults;
    // The request is the third call's batch: caller and rows, then guards, row and audit entry.
    faults.fail("database", 2, When::Before);
    let body = json!({"to": "k2"});
    let failed = service.post(ROOT, "/admin/kek-rotation", &body).await;
    assert_eq!(failed.status, 503, "{}", failed.text());
    assert_eq!(service.count("kek_rotations").await, 0);
    assert_eq!(service.count("audit_log").await, 0);
    faults.fail("database", 2, When::After);
    let id = vault.start(false).await;
    assert_eq!(service.count("kek_rotations").await, 1);
    assert_eq!(service.count("audit_log").await, 1);
    faults.fail("database", 2, When::After);
    let path = format!("/admin/kek-rotation/{id}/cancel");
    let cancelled = service.app.post(&path).key(ROOT).send().await;
    assert_eq!(
        cancelled.json()["state"],
        "cancelled",
        "{}",
        cancelled.text()
    );
    assert_eq!(service.count("audit_log").await, 2);
    assert_eq!(vault.assert_readable(None).await, (40, 0));
    service.settle().await;
}
