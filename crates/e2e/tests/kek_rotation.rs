//! Journey: the key-encryption key is rotated while workerd dies by SIGKILL again and again.
//!
//! 1. 10,000 provider keys in 250 instances, sealed natively under `k1`, are stored beside the seeded ones;
//! 2. a rotation to `k2` is started and run while the runtime is killed at seeded points; meanwhile a person replaces a
//!    key; 3. afterwards every value is the one that was put in, none is under `k1`, and workers' configurations hold the
//!    same envelopes and are published; 4. `k1` is taken away and a picture is still made.
#![expect(clippy::expect_used, clippy::panic, reason = "tests")]

use api_types::{Ciphertext, CredentialId, InstanceId, OrgId, ProviderName};
use auth::envelope::{CredentialContext, KekScope, Keks};
use auth::hash::hex;
use base64::Engine as _;
use e2e::{Client, Options, Stack, asked_for, seeded_point, until};
use platform::Random;
use platform::fakes::FakeRandom;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const INSTANCES: usize = 250;
const PROVIDERS: usize = 10;
/// The current key and three previous ones.
const VERSIONS: usize = 4;
const HOST: &str = "127.0.0.1:9";
const ROUTE: &str = "/api/config-service/admin/kek-rotation";

fn key(stack: &Stack, id: &str) -> [u8; 32] {
    let text = stack.secret("config-service", &format!("KEK_{id}"));
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    bytes
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .expect("32 bytes")
}

fn keks(stack: &Stack, current: &str, ids: &[&str]) -> Keks {
    let all = ids.iter().map(|id| ((*id).to_owned(), key(stack, id)));
    Keks::new(current, all.collect(), KekScope::Master).expect("the current one is among them")
}

fn uuid(random: &FakeRandom) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    let hex = hex(&bytes);
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

/// Stores the values; answers what must come out again, by row.
fn seed(stack: &Stack, keks: &Keks) -> BTreeMap<String, String> {
    let org_id = OrgId::parse(stack.ids()["org_id"].as_str().expect("seeded")).expect("a UUID");
    let random = FakeRandom::seeded(20_261_127);
    let mut values = BTreeMap::new();
    let now = "2026-11-27T00:00:00.000Z";
    let later = "2099-01-01T00:00:00.000Z";
    stack.control().write(|database| {
        for number in 0..INSTANCES {
            let instance_id = InstanceId::parse(&format!("many-{number:03}")).expect("a slug");
            let mut rows = Vec::new();
            let mut api_keys = serde_json::Map::new();
            let mut providers = serde_json::Map::new();
            let mut edited = serde_json::Map::new();
            for at in 0..PROVIDERS {
                let provider = ProviderName::parse(&format!("p{at}")).expect("a slug");
                for version in 1..=VERSIONS {
                    let context = CredentialContext {
                        org_id: org_id.clone(),
                        instance_id: instance_id.clone(),
                        provider: provider.clone(),
                        credential_id: CredentialId::parse(&uuid(&random)).expect("a UUID"),
                        host: HOST.to_owned(),
                    };
                    let value = json!({"api_key": format!("value of {}", context.credential_id)});
                    let value = value.to_string();
                    let envelope = keks.seal(&random, &context, value.as_bytes()).expect("sealed");
                    values.insert(context.credential_id.to_string(), value);
                    let settings = json!({
                        "adapter": "openai", "base_url": format!("http://{HOST}/v1"), "allow_private_host": true,
                    });
                    if version == VERSIONS {
                        edited.insert(provider.to_string(), settings.clone());
                        let mut settings = settings;
                        settings["credential_id"] = json!(context.credential_id);
                        settings["credential_state"] = json!("set");
                        providers.insert(provider.to_string(), settings);
                        api_keys.insert(provider.to_string(), json!(envelope));
                    }
                    rows.push((context.credential_id, provider.clone(), envelope, version));
                }
            }
            let body = json!({
                "instance_id": instance_id, "org_id": org_id, "api_keys": api_keys, "worker_urls": {},
                "config_version": 1, "name": "Many", "self_hosted": false, "providers": providers,
            });
            database.execute(
                "INSERT INTO instances (instance_id, org_id, name, config, created_at, status, updated_at) VALUES (?1, ?2, 'Many', ?3, ?4, 'active', ?4)",
                (instance_id.as_str(), org_id.as_str(), json!({"providers": edited}).to_string(), now),
            )?;
            database.execute(
                "INSERT INTO instance_effective (instance_id, config_version, body, sha256, created_at) VALUES (?1, 1, ?2, ?3, ?4)",
                (instance_id.as_str(), body.to_string(), auth::chain::sha256_hex(body.to_string().as_bytes()), now),
            )?;
            for (credential_id, provider, envelope, version) in rows {
                let current = version == VERSIONS;
                database.execute(
                    "INSERT INTO provider_credentials (credential_id, org_id, instance_id, provider, slot, host, ciphertext, kek_id, set_at, set_by, retire_at, version, created_at) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'k1', ?8, 'seed', ?9, ?10, ?8)",
                    (
                        credential_id.as_str(), org_id.as_str(), instance_id.as_str(), provider.as_str(),
                        if current { "current" } else { "previous" }, HOST, &envelope.0, now,
                        (!current).then_some(later), version as i64,
                    ),
                )?;
            }
        }
        Ok(())
    });
    values
}

/// Runs steps until the rotation ends; a killed runtime answers nothing, and is asked again.
fn run(client: &Client, rotation_id: &str) -> tokio::task::JoinHandle<()> {
    let (client, path) = (client.clone(), format!("{ROUTE}/{rotation_id}/run"));
    tokio::spawn(async move {
        while let Ok(answer) = client.try_send(client.request("POST", &path)).await {
            if answer.status == 200 && answer.json()["state"] != "running" {
                return;
            }
        }
    })
}

/// Values that are under the new key.
fn moved(stack: &Stack) -> usize {
    let sql = "SELECT count(*) FROM provider_credentials WHERE kek_id = 'k2'";
    let rows = stack.control().rows(sql).concat();
    rows.first()
        .and_then(|count| count.parse().ok())
        .unwrap_or_default()
}

async fn newest(client: &Client) -> Value {
    until("the list of rotations", 60, || async {
        let answer = client.try_send(client.request("GET", ROUTE)).await.ok()?;
        (answer.status == 200).then(|| answer.json()["items"][0].clone())
    })
    .await
}

/// Every value that is stored: readable with these keys, as it was put in; answers how many there are by their key.
fn count_readable(
    stack: &Stack,
    keks: &Keks,
    values: &BTreeMap<String, String>,
) -> BTreeMap<String, usize> {
    let rows = stack.control().rows(
        "SELECT credential_id, org_id, instance_id, provider, host, ciphertext, kek_id FROM provider_credentials",
    );
    let mut counts = BTreeMap::new();
    for row in &rows {
        let [
            credential_id,
            org_id,
            instance_id,
            provider,
            host,
            ciphertext,
            kek_id,
        ] = row.as_slice()
        else {
            panic!("{row:?}");
        };
        let context = CredentialContext {
            org_id: OrgId::parse(org_id).expect("a UUID"),
            instance_id: InstanceId::parse(instance_id).expect("a slug"),
            provider: ProviderName::parse(provider).expect("a slug"),
            credential_id: CredentialId::parse(credential_id).expect("a UUID"),
            host: host.clone(),
        };
        let opened = keks.open(&context, &Ciphertext(ciphertext.clone()));
        let opened = opened.unwrap_or_else(|error| panic!("unreadable: {error:?}"));
        if let Some(value) = values.get(credential_id) {
            assert_eq!(&String::from_utf8_lossy(&opened), value);
        }
        *counts.entry(kek_id.clone()).or_insert(0) += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_keys_move_to_a_new_key_over_kills_and_none_is_lost() {
    let most = asked_for("E2E_KILLS", 6) as usize;
    let stack = Stack::start(Options::default());
    let both = keks(&stack, "k1", &["k1", "k2"]);
    let root = stack.client(&stack.keys().superadmin);
    let values = stack.while_paused(|| seed(&stack, &both));
    assert_eq!(values.len(), 10_000);
    let before = count_readable(&stack, &both, &values);
    assert_eq!(before.keys().collect::<Vec<_>>(), ["k1"]);
    let all = before["k1"];
    assert!(all > 10_000, "the seeded ones are there as well");

    let unknown = root.post(ROUTE, &json!({"to": "k3"})).await;
    unknown.expect_error(400, "invalid_field");
    let started = root.post(ROUTE, &json!({"to": "k2"})).await;
    assert_eq!(started.status, 201, "{}", started.json());
    let rotation_id = started.json()["rotation_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let second = root.post(ROUTE, &json!({"to": "k2"})).await;
    second.expect_error(409, "conflict");

    let mut kills = 0;
    let mut replaced = false;
    while kills < most && newest(&root).await["state"] == "running" {
        let runner = run(&root, &rotation_id);
        // Each kill comes after some more values have moved, wherever the machine's speed puts that: so each finds the
        // rotation at work, and all of them together do not end it.
        let due = all * (kills + 1) / (most + 2);
        until("more values under the new key", 120, || async {
            (moved(&stack) >= due).then_some(())
        })
        .await;
        seeded_point(17 * (kills as u64 % 4)).await;
        stack.kill_and_restart();
        kills += 1;
        runner.abort();
        let counts = count_readable(&stack, &both, &values);
        println!("after kill {kills}: {counts:?}");
        assert_eq!(counts.values().sum::<usize>(), all);
        if !replaced {
            // Sealed under `k1`, which is the current key until a deployment changes it.
            let path = "/api/config-service/instance/development/provider-key/openai";
            let request = root.request("PUT", path).header("if-match", "*");
            let answer = root
                .send(request.json(&json!({"api_key": "sim-ok-dev"})))
                .await;
            assert_eq!(answer.status, 200, "{}", answer.json());
            replaced = true;
        }
    }
    assert!(
        kills >= 3,
        "the rotation was through after {kills} kills: they proved little"
    );
    let end = until("the end of the rotation", 180, || async {
        let _ = run(&root, &rotation_id).await;
        let item = newest(&root).await;
        (item["state"] != "running").then_some(item)
    })
    .await;
    println!("{kills} kills, {end}");
    assert_eq!(
        (&end["state"], &end["failed"]),
        (&json!("done"), &json!(0)),
        "{end}"
    );
    assert!(
        end["done"].as_u64().is_some_and(|done| done >= all as u64),
        "{end}"
    );
    // The old key is the current one still, so it must not go yet.
    assert_eq!(end["safe_to_remove_after"], Value::Null);

    let only_new = keks(&stack, "k2", &["k2"]);
    let counts = count_readable(&stack, &only_new, &values);
    assert_eq!(counts, BTreeMap::from([("k2".to_owned(), all)]));
    let bodies = stack
        .control()
        .rows("SELECT instance_id, body FROM instance_effective");
    let sealed: BTreeMap<(String, String), String> = stack
        .control()
        .rows("SELECT instance_id, provider, ciphertext FROM provider_credentials WHERE slot = 'current'")
        .into_iter()
        .map(|row| ((row[0].clone(), row[1].clone()), row[2].clone()))
        .collect();
    let mut held = 0;
    for body in &bodies {
        let config: Value = serde_json::from_str(&body[1]).expect("JSON");
        for (provider, envelope) in config["api_keys"].as_object().expect("an object") {
            let stored = &sealed[&(body[0].clone(), provider.clone())];
            assert_eq!(
                envelope.as_str(),
                Some(stored.as_str()),
                "{} {provider}",
                body[0]
            );
            held += 1;
        }
    }
    assert_eq!(held, sealed.len());
    let unpublished = "SELECT instance_id FROM instances WHERE published_version < config_version";
    until("the publication of what kills had left", 480, || async {
        root.cron(&stack, "config-service").await;
        stack.control().rows(unpublished).is_empty().then_some(())
    })
    .await;

    // A deployment without the old key: nobody misses it.
    stack.while_paused(|| {
        for worker in ["config-service", "image-gen"] {
            let folder = stack.rendered(worker);
            for (file, from, to) in [
                (".dev.vars", "KEK_k1=", "OLD_KEK="),
                (
                    "wrangler.jsonc",
                    "\"KEK_CURRENT\": \"k1\"",
                    "\"KEK_CURRENT\": \"k2\"",
                ),
            ] {
                let text = std::fs::read_to_string(folder.join(file)).expect("rendered");
                assert!(text.contains(from), "{worker} {file}");
                std::fs::write(folder.join(file), text.replace(from, to)).expect("written");
            }
        }
    });
    let health = root.get("/api/config-service/health").await.json();
    assert_eq!(
        (&health["kek_ids"], &health["old_kek_rows"]),
        (&json!(["k2"]), &json!(0)),
        "{health}"
    );
    for provider in ["ideogram", "openai"] {
        let body =
            json!({"prompt": "after the rotation", "provider": provider, "fallback": "none"});
        let picture = stack.admin().generate(body).await;
        assert_eq!(picture.status, 200, "{}", picture.json());
    }
    // As soon as no registered worker's last word is from before.
    until("the time from which the old key may go", 120, || async {
        root.cron(&stack, "config-service").await;
        let item = newest(&root).await;
        item["safe_to_remove_after"].is_string().then_some(())
    })
    .await;
    let unopened: Vec<Value> = stack
        .log_lines()
        .into_iter()
        .filter(|line| line["message"] == "a stored provider key cannot be opened")
        .collect();
    assert!(unopened.is_empty(), "{unopened:?}");
}
