//! Journey: config-service dies by SIGKILL between its commit in D1 and its put in KV, and clients leave in mid-POST.
//!
//! 1. six organizations write prices, each of which is a new version of an instance's configuration, while the runtime is
//!    killed at seeded points; after each start D1 and KV are compared in their files, until a kill has hit the window
//!    between the two; 2. after the start every reader sees at once what was committed, in half of the rounds before any
//!    sweep; 3. one sweep makes KV current, without any reader in the other half; 4. a repeated request gives its first
//!    answer and changes nothing, whether that answer had arrived or not; 5. each change has its audit row, no row is
//!    without its change, and the chains can be verified;
//! 6. a client that leaves in the middle of its body has asked for nothing; one that leaves without reading the answer, or
//!    at any seeded point between, has asked for one change, which a repetition finds or makes.

#![expect(clippy::expect_used, reason = "tests")]

use e2e::{Answer, Client, Options, Stack, asked_for, seeded_point, seeded_points, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const PLACES: usize = 6;
const SERVICE: &str = "/api/config-service";
const MODEL: &str = "gpt-image-2";
/// Prices of the journey are above all others.
const BASE: i64 = 1_000_000;
/// Kills until one has hit the window; a run needs a few.
const MOST_KILLS: usize = 30;

/// One instance in an organization of its own, so that no two of them write to the same audit chain.
#[derive(Clone)]
struct Place {
    org_id: String,
    instance_id: String,
}

/// A request that was sent: the price and its answer, if there was one.
#[derive(Clone)]
struct Sent {
    price: i64,
    answer: Option<Answer>,
}

async fn place(root: &Client, number: usize) -> Place {
    let organization =
        json!({"name": format!("Commit {number}"), "billing_email": "b@commit.example"});
    let made = root
        .post(&format!("{SERVICE}/organization"), &organization)
        .await;
    assert_eq!(made.status, 201, "{}", made.json());
    let org_id = made.json()["org_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let instance_id = format!("commit-{number}");
    let instance = json!({
        "org_id": org_id, "instance_id": instance_id, "name": "Commit", "status": "active",
        "config": {
            "api_keys": {"openai": "sim-ok-dev"},
            "providers": {"openai": {
                "adapter": "openai", "base_url": "http://127.0.0.1:9/v1", "allow_private_host": true,
            }},
        },
    });
    let made = root.post(&format!("{SERVICE}/instance"), &instance).await;
    assert_eq!(made.status, 201, "{}", made.json());
    Place {
        org_id,
        instance_id,
    }
}

fn body(place: &Place, price: i64) -> Value {
    json!({
        "instance_id": place.instance_id, "provider": "openai", "model": MODEL,
        "row": {"unit": "image", "usd_micros": BASE + price, "basis": "exact", "source": "a journey"},
    })
}

fn key(place: &Place, price: i64) -> String {
    format!("{}-{price}", place.instance_id)
}

async fn put(client: &Client, place: &Place, price: i64) -> Option<Answer> {
    let request = client
        .request("POST", &format!("{SERVICE}/price"))
        .header("idempotency-key", key(place, price))
        .json(&body(place, price));
    client.try_send(request).await.ok()
}

/// Prices one after the other until somebody says stop or there is no good answer any more.
async fn write(client: Client, place: Place, from: i64, stop: Arc<AtomicBool>) -> Vec<Sent> {
    let mut sent = Vec::new();
    for price in from.. {
        let answer = put(&client, &place, price).await;
        let arrived = answer.as_ref().is_some_and(|answer| answer.status == 201);
        sent.push(Sent { price, answer });
        if !arrived || stop.load(Ordering::Relaxed) {
            break;
        }
    }
    sent
}

/// The price that image-gen knows: what a reader of the configuration sees.
async fn seen(client: &Client, place: &Place) -> i64 {
    let path = format!("/api/image-gen/v1/models/openai/{MODEL}");
    let request = client
        .request("GET", &path)
        .header("x-instance-id", &place.instance_id);
    let answer = client.send(request).await;
    let told = answer.json();
    assert_eq!(answer.status, 200, "{told}");
    let prices = told["switchyard"]["prices"].as_array().cloned();
    let prices = prices.unwrap_or_default();
    let ours = prices
        .iter()
        .filter_map(|price| price["usd_micros"].as_i64());
    ours.filter(|micros| *micros >= BASE)
        .max()
        .map_or(-1, |micros| micros - BASE)
}

/// What D1 has of one instance.
#[derive(Clone, Debug, PartialEq)]
struct Stored {
    config_version: i64,
    published_version: i64,
    prices: Vec<i64>,
}

fn stored(stack: &Stack) -> BTreeMap<String, Stored> {
    let control = stack.control();
    let number = |text: &String| text.parse::<i64>().expect("a number");
    let mut all = BTreeMap::new();
    let sql = "SELECT instance_id, config_version, published_version FROM instances WHERE instance_id LIKE 'commit-%'";
    for row in control.rows(sql) {
        let instance = Stored {
            config_version: number(&row[1]),
            published_version: number(&row[2]),
            prices: Vec::new(),
        };
        all.insert(row[0].clone(), instance);
    }
    let sql = "SELECT instance_id, json_extract(row, '$.usd_micros') FROM price_overrides \
               WHERE instance_id LIKE 'commit-%' ORDER BY 2";
    for row in control.rows(sql) {
        let instance = all.get_mut(&row[0]).expect("a price of an instance");
        instance.prices.push(number(&row[1]) - BASE);
    }
    all
}

/// Everything of an answer that a repetition must give again: all but the request's own id.
fn told(answer: &Answer) -> (u16, Value, String) {
    let mut body = answer.json();
    body["request_id"] = Value::Null;
    (answer.status, body, answer.header("location").to_owned())
}

/// Each change has its audit row, no row is without its change, and the chain can be verified.
async fn audited(stack: &Stack, root: &Client, place: &Place, changes: usize) {
    let sql = format!(
        "SELECT count(*) FROM audit_log WHERE org_id = '{}' AND target_type = 'price'",
        place.org_id
    );
    let rows = stack.control().rows(&sql);
    assert_eq!(rows, [[changes.to_string()]], "{}", place.instance_id);
    let path = format!("{SERVICE}/audit/verify?org_id={}", place.org_id);
    let verdict = root.get(&path).await.json();
    assert_eq!(
        (&verdict["ok"], &verdict["complete"]),
        (&json!(true), &json!(true)),
        "{verdict}"
    );
}

/// One sweep, whoever starts it first, and KV has what D1 has.
async fn swept(stack: &Stack, root: &Client) {
    root.cron(stack, "config-service").await;
    until("KV to have every committed version", 300, || async {
        let copies = stack.copies().versions();
        let current = stored(stack).iter().all(|(instance_id, instance)| {
            copies.get(instance_id) == Some(&instance.config_version)
                && instance.published_version == instance.config_version
        });
        current.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_commit_and_put_loses_nothing_and_hides_nothing() {
    let seed = asked_for("E2E_SEED", 20_261_127);
    let at_least = asked_for("E2E_KILLS", 4) as usize;
    let stack = Stack::start(Options::default());
    let root = stack.client(&stack.keys().superadmin);
    let mut places = Vec::new();
    for number in 0..PLACES {
        places.push(place(&root, number).await);
    }
    // Which of a place's requests were answered, over all rounds.
    let mut history: BTreeMap<String, Vec<Sent>> = BTreeMap::new();
    let (mut in_window, mut before_note, mut unanswered) = (0, 0, 0);
    let mut kills = 0;
    for at_ms in seeded_points(seed, MOST_KILLS, 700) {
        if kills >= at_least && in_window > 0 {
            break;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = places
            .iter()
            .map(|place| {
                let from = history.get(&place.instance_id).map_or(0, |sent| {
                    sent.iter().map(|it| it.price + 1).max().unwrap_or(0)
                });
                tokio::spawn(write(root.clone(), place.clone(), from, stop.clone()))
            })
            .collect();
        // The first writes warm up; the kill comes into the midst of those that follow.
        let before = stored(&stack);
        until("every place to have written", 120, || async {
            let now = stored(&stack);
            let wrote = now
                .iter()
                .all(|(id, place)| place.config_version > before[id].config_version);
            wrote.then_some(())
        })
        .await;
        seeded_point(at_ms).await;
        stack.kill_and_restart();
        stop.store(true, Ordering::Relaxed);
        kills += 1;
        // Only what the runtime has opened again: whoever only reads the files cannot finish what a kill has cut short.
        // Nobody has asked for a configuration yet; a sweep at the turn of a minute only hides a hit.
        let (left, copies) = (stored(&stack), stack.copies().versions());
        let mut lost = Vec::new();
        for (place, writer) in places.iter().zip(writers) {
            let sent = writer.await.expect("a writer ends");
            let own = &left[&place.instance_id];
            let copy = copies.get(&place.instance_id).copied().unwrap_or_default();
            assert!(
                copy <= own.config_version,
                "KV is ahead of D1: {own:?}, {copy}"
            );
            if copy < own.config_version {
                in_window += 1;
            } else if own.published_version < own.config_version {
                before_note += 1;
            }
            for one in &sent {
                let is_stored = own.prices.contains(&one.price);
                match &one.answer {
                    Some(answer) if answer.status == 201 => {
                        assert!(is_stored, "{}: answered and lost", place.instance_id);
                    }
                    // The gateway may have told that the service went away.
                    _ => {
                        unanswered += usize::from(is_stored);
                        lost.push((place.clone(), one.price, is_stored));
                    }
                }
            }
            history
                .entry(place.instance_id.clone())
                .or_default()
                .extend(sent);
        }
        println!(
            "kill {kills} after {at_ms} ms: {in_window} in the window, {before_note} before the note, {unanswered} committed without an answer"
        );

        // In turns, so that neither a reader's confirmation nor the sweeper is always first.
        if kills % 2 == 0 {
            swept(&stack, &root).await;
        }
        for place in &places {
            let committed = left[&place.instance_id].prices.iter().max();
            assert_eq!(
                Some(&seen(&root, place).await),
                committed,
                "{}",
                place.instance_id
            );
        }
        if kills % 2 == 1 {
            swept(&stack, &root).await;
        }
        for (place, price, is_stored) in lost {
            let first = put(&root, &place, price).await.expect("an answer");
            assert_eq!(first.status, 201, "{}", first.json());
            let replayed = first.header("idempotent-replayed") == "true";
            assert_eq!(replayed, is_stored, "{} {price}", place.instance_id);
            let again = put(&root, &place, price).await.expect("an answer");
            assert_eq!(told(&again), told(&first));
            let sent = history.get_mut(&place.instance_id).expect("it has written");
            let one = sent.iter_mut().find(|one| one.price == price);
            one.expect("it was sent").answer = Some(first);
        }
    }
    assert!(
        in_window > 0,
        "{kills} kills and none between commit and put"
    );

    // Every request of the journey is one price, and its repetition is the same answer and no other price.
    let before = stored(&stack);
    for place in &places {
        let sent = &history[&place.instance_id];
        let prices: Vec<i64> = sent.iter().map(|one| one.price).collect();
        assert_eq!(before[&place.instance_id].prices, prices);
        for one in sent.iter().rev().take(5) {
            let first = one.answer.as_ref().expect("answered by now");
            let again = put(&root, place, one.price).await.expect("an answer");
            assert_eq!(again.header("idempotent-replayed"), "true");
            assert_eq!(told(&again), told(first));
        }
        audited(&stack, &root, place, prices.len()).await;
        // Its verdict may be from before the last price, and then is at most 5 s old.
        until("the reader to see the last price", 10, || async {
            (Some(&seen(&root, place).await) == prices.last()).then_some(())
        })
        .await;
    }
    let after = stored(&stack);
    assert_eq!(after, before);
}

/// The bytes of a request as a client without any library would send them.
fn raw(stack: &Stack, key: &str, place: &Place, price: i64) -> (String, Vec<u8>) {
    let host = stack.base_url().trim_start_matches("http://").to_owned();
    let body = body(place, price).to_string();
    let head = format!(
        "POST {SERVICE}/price HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\nidempotency-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        stack.keys().superadmin,
        body.len()
    );
    (host, [head.as_bytes(), body.as_bytes()].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_of_a_change_has_asked_for_it_once_or_not_at_all() {
    let seed = asked_for("E2E_SEED", 20_261_127);
    let stack = Stack::start(Options::default());
    let root = stack.client(&stack.keys().superadmin);
    let place = place(&root, 0).await;
    let prices = |stack: &Stack| stored(stack)[&place.instance_id].prices.clone();

    // In the middle of the body: nothing was asked for.
    let (host, request) = raw(&stack, &key(&place, 0), &place, 0);
    let mut socket = TcpStream::connect(&host).expect("connected");
    socket
        .write_all(&request[..request.len() - 20])
        .expect("sent");
    drop(socket);

    // The whole request, but nobody reads the answer: it is done once.
    let (_, request) = raw(&stack, &key(&place, 1), &place, 1);
    let mut socket = TcpStream::connect(&host).expect("connected");
    socket.write_all(&request).expect("sent");
    until("the change whose answer nobody reads", 60, || async {
        prices(&stack).contains(&1).then_some(())
    })
    .await;
    drop(socket);
    assert_eq!(prices(&stack), [1]);
    let repeated = put(&root, &place, 1).await.expect("an answer");
    assert_eq!(repeated.status, 201, "{}", repeated.json());
    assert_eq!(repeated.header("idempotent-replayed"), "true");
    assert_eq!(prices(&stack), [1]);

    // At any point between: the repetition finds it or makes it.
    let (mut found, mut made) = (0, 0);
    for (number, at_ms) in (2..).zip(seeded_points(seed, 24, 60)) {
        let (client, goes) = (root.clone(), place.clone());
        let request = tokio::spawn(async move { put(&client, &goes, number).await });
        seeded_point(at_ms).await;
        request.abort();
        // The abandoned request may still be at work: whoever comes first makes it, the other finds it or is refused.
        let repeated = until("an answer to the repetition", 60, || async {
            let answer = put(&root, &place, number).await?;
            (answer.status == 201).then_some(answer)
        })
        .await;
        if repeated.header("idempotent-replayed") == "true" {
            found += 1;
        } else {
            made += 1;
        }
        let again = put(&root, &place, number).await.expect("an answer");
        assert_eq!(told(&again), told(&repeated));
        let all: Vec<i64> = (1..=number).collect();
        assert_eq!(prices(&stack), all);
    }
    println!("{found} changes were found by the repetition, {made} were made by it");
    // The first request never arrived, so its key is free.
    let late = put(&root, &place, 26).await.expect("an answer");
    assert_eq!(late.status, 201, "{}", late.json());
    let first = put(&root, &place, 0).await.expect("an answer");
    assert_eq!(
        (first.status, first.header("idempotent-replayed")),
        (201, "")
    );

    swept(&stack, &root).await;
    let all = prices(&stack);
    assert_eq!(all.len(), 27, "{all:?}");
    audited(&stack, &root, &place, all.len()).await;
    // The newest price is the one that was sent last.
    assert_eq!(seen(&root, &place).await, 0);
}
