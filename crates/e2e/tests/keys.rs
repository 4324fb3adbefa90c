//! Journey: keys and sessions while another worker holds them in its memory.
//!
//! 1. a key is revoked while image-gen uses its verdict: answers are counted, and none is good that was asked for 5 s
//!    after; 2. a session ends with its parent, at once where it was revoked and within 5 s elsewhere; 3. a rotated key
//!    works with both secrets until the old one ends, and answers to the old one say when; 4. resolving a caller reads
//!    at most 12 rows of the real database, and lists work there; 5. who guesses keys is told to wait, by the runtime's
//!    own rate limit.
#![expect(
    clippy::disallowed_methods,
    reason = "what is measured is real time: how long a refused key goes on being accepted"
)]

use e2e::{Answer, Client, Options, Stack, until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long a verdict may be used.
const VERDICT: Duration = Duration::from_secs(5);
const KEYS: &str = "/api/config-service/api-key";
const SESSION: &str = "/api/config-service/session";

/// One use of a key in image-gen.
#[derive(Clone, Copy, Debug)]
struct Use {
    asked: Instant,
    status: u16,
}

async fn models(client: &Client) -> Answer {
    let request = client.request("GET", "/api/image-gen/v1/models");
    client
        .send(request.header("x-instance-id", "development"))
        .await
}

/// Uses the key without pause until told to stop; `done` counts.
fn keep_using(
    client: &Client,
    stop: &Arc<AtomicBool>,
    done: &Arc<AtomicUsize>,
) -> JoinHandle<Vec<Use>> {
    let (client, stop, done) = (client.clone(), Arc::clone(stop), Arc::clone(done));
    tokio::spawn(async move {
        let mut uses = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let asked = Instant::now();
            let status = models(&client).await.status;
            uses.push(Use { asked, status });
            done.fetch_add(1, Ordering::Relaxed);
        }
        uses
    })
}

async fn mint(admin: &Client, body: Value) -> (String, String) {
    let answer = admin.post(KEYS, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    let text = |name: &str| answer.json()[name].as_str().unwrap_or_default().to_owned();
    (text("key_id"), text("api_key"))
}

async fn delete(client: &Client, path: &str) -> Answer {
    client.send(client.request("DELETE", path)).await
}

/// Waits that long: the subject is how a key is treated after it.
async fn pass(time: Duration) {
    let start = Instant::now();
    until("time to pass", time.as_secs() + 5, || async {
        (start.elapsed() >= time).then_some(())
    })
    .await;
}

fn count(uses: &[Use], from: Instant, to: Option<Instant>, good: bool) -> usize {
    uses.iter()
        .filter(|it| it.asked >= from && to.is_none_or(|to| it.asked < to))
        .filter(|it| (it.status == 200) == good)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_within_five_seconds_by_a_worker_that_has_it_cached() {
    let uses_wanted: usize = std::env::var("E2E_USES")
        .ok()
        .and_then(|uses| uses.parse().ok())
        .unwrap_or(1_000);
    let stack = Stack::start(Options::default());
    let admin = stack.admin();
    let (key_id, key) = mint(&admin, json!({"name": "raced"})).await;
    let client = admin.with_key(&key);
    assert_eq!(models(&client).await.status, 200);

    let (start, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let done = Arc::new(AtomicUsize::new(0));
    let users: Vec<_> = (0..8).map(|_| keep_using(&client, &stop, &done)).collect();
    pass(Duration::from_secs(2)).await;
    let revoked = delete(&admin, &format!("{KEYS}/{key_id}?reason=raced")).await;
    let ended = Instant::now();
    assert_eq!(revoked.status, 200, "{}", revoked.json());
    // Where it was revoked, the very next request is refused.
    let refused = client.get(SESSION).await.expect_error(401, "auth_failed");
    assert_eq!(refused["details"]["reason"], "revoked");
    pass(VERDICT * 2).await;
    // A slow machine takes longer to as many uses.
    until("the key to be used that often", 60, || async {
        (done.load(Ordering::Relaxed) >= uses_wanted).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let mut uses = Vec::new();
    for user in users {
        uses.extend(user.await.expect("it only asks"));
    }

    let over = ended + VERDICT;
    let before = count(&uses, start, Some(ended), true);
    let cached = count(&uses, ended, Some(over), true);
    let refused = count(&uses, over, None, false);
    println!("good before {before}, good within 5 s {cached}, refused later {refused}");
    assert!(before > 0 && refused > 0);
    // The verdict was really in memory: otherwise this would show nothing.
    assert!(cached > 0);
    assert_eq!(count(&uses, over, None, true), 0);
    // Good means good: nothing else went wrong before the key ended.
    assert_eq!(count(&uses, start, Some(ended), false), 0);
    assert!(uses.len() >= uses_wanted, "{}", uses.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_parent() {
    let stack = Stack::start(Options::default());
    let admin = stack.admin();
    let (key_id, key) = mint(&admin, json!({"name": "parent"})).await;
    let parent = admin.with_key(&key);
    let open = async |label: &str| {
        let answer = parent.post(SESSION, &json!({"label": label})).await;
        assert_eq!(answer.status, 201, "{}", answer.json());
        let body = answer.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (parent.with_key(&text("key")), text("session_id"))
    };
    let (browser, _) = open("browser").await;
    let (other, other_id) = open("other").await;

    let own = browser.get(SESSION).await.json();
    assert_eq!(
        (&own["kind"], &own["key_id"]),
        (&json!("session"), &json!(key_id))
    );
    assert_eq!(own["session"]["label"], "browser");
    let list = browser.get(&format!("{SESSION}/list")).await.json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "{list}");
    let again = browser.post(SESSION, &json!({})).await;
    again.expect_error(403, "forbidden");
    for session in [&browser, &other] {
        assert_eq!(models(session).await.status, 200);
    }
    // A picture by a session is its parent's.
    let picture = browser.generate(json!({"prompt": "a quiet harbour"})).await;
    assert_eq!(picture.status, 200, "{}", picture.json());

    let path = format!("{SESSION}/{other_id}");
    for _ in 0..2 {
        assert_eq!(delete(&browser, &path).await.status, 204);
    }
    other.get(SESSION).await.expect_error(401, "auth_failed");
    assert_eq!(browser.get(SESSION).await.status, 200);

    let revoked = delete(&admin, &format!("{KEYS}/{key_id}")).await;
    let ended = Instant::now();
    assert_eq!(revoked.status, 200, "{}", revoked.json());
    let refused = browser.get(SESSION).await.expect_error(401, "auth_failed");
    assert_eq!(refused["details"]["reason"], "revoked");
    let mut accepted = 0;
    until("image-gen to refuse the session", 10, || async {
        let asked = Instant::now();
        let status = models(&browser).await.status;
        assert!(
            status == 401 || asked < ended + VERDICT,
            "{status} after 5 s"
        );
        (status == 401).then_some(())
    })
    .await;
    for _ in 0..20 {
        accepted += u32::from(models(&browser).await.status == 200);
    }
    assert_eq!(accepted, 0, "what was refused once is never accepted again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_works_with_both_secrets_until_the_old_one_ends() {
    let stack = Stack::start(Options::default());
    let admin = stack.admin();
    let (key_id, key) = mint(&admin, json!({"name": "rotated"})).await;
    let old = admin.with_key(&key);
    assert_eq!(models(&old).await.header("x-key-expires"), "");

    let path = format!("{KEYS}/{key_id}/rotate");
    let lost = admin.post(&path, &json!({"overlap_s": 20})).await.json();
    // Its answer is taken for lost: asked again before anybody used it.
    let rotated = admin.post(&path, &json!({})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.json());
    let ended = Instant::now() + Duration::from_secs(20);
    let body = rotated.json();
    assert_eq!(body["previous_expires_at"], lost["previous_expires_at"]);
    let new = admin.with_key(body["api_key"].as_str().unwrap_or_default());
    let unused = admin.with_key(lost["api_key"].as_str().unwrap_or_default());
    let refused = models(&unused).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (401, &json!("invalid_api_key"))
    );

    let ends = body["previous_expires_at"].as_str().unwrap_or_default();
    assert_eq!(models(&new).await.header("x-key-expires"), "");
    // The verdict of before the rotation lives on for 5 s at most; then the old secret's own end is told.
    until("the old secret to be told its end", 10, || async {
        let answer = models(&old).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        (answer.header("x-key-expires") == ends).then_some(())
    })
    .await;
    assert_eq!(old.get(SESSION).await.header("x-key-expires"), ends);
    for client in [&old, &new] {
        let picture = client
            .generate(json!({"prompt": "two keys on a ring"}))
            .await;
        assert_eq!(picture.status, 200, "{}", picture.json());
    }
    let refused = admin.post(&path, &json!({})).await;
    refused.expect_error(409, "rotation_in_progress");
    let shown = admin.get(&format!("{KEYS}/{key_id}")).await.json();
    assert_eq!(
        (&shown["state"], &shown["secret_version"]),
        (&json!("rotating"), &json!(3))
    );

    until("image-gen to refuse the old secret", 40, || async {
        let asked = Instant::now();
        let status = models(&old).await.status;
        assert!(
            status == 401 || asked < ended + VERDICT,
            "{status} after its end"
        );
        (status == 401).then_some(())
    })
    .await;
    assert!(
        Instant::now() + Duration::from_secs(1) >= ended,
        "refused too early"
    );
    assert_eq!(models(&new).await.status, 200);
    assert_eq!(new.get(SESSION).await.json()["key"]["secret"], "current");
}

#[tokio::test(flavor = "multi_thread")]
async fn resolving_reads_few_rows_of_the_real_database_and_lists_work_there() {
    let stack = Stack::start(Options::default());
    let admin = stack.admin();
    let opened = stack
        .client(&stack.keys().user)
        .post(SESSION, &json!({"label": "counted"}))
        .await
        .json();
    let session = opened["key"].as_str().unwrap_or_default();
    let user_id = stack.ids()["user_user_id"].as_str().unwrap_or_default();
    let project = mint(
        &admin,
        json!({"name": "robot", "project_id": stack.ids()["website_chat_project_id"]}),
    )
    .await;
    for (who, key) in [
        ("admin", stack.keys().admin.as_str()),
        ("user", stack.keys().user.as_str()),
        ("session", session),
        ("project", project.1.as_str()),
    ] {
        for (hint, limit) in [(Some("development"), 12), (None, 33)] {
            // A key is asked about once in 5 s, so the second hint is another question.
            let client = stack.client(key);
            let request = client.request("GET", "/api/image-gen/v1/models");
            let request = match hint {
                Some(hint) => request.header("x-instance-id", hint),
                None => request,
            };
            let answer = client.send(request).await;
            assert!([200, 400].contains(&answer.status), "{}", answer.json());
            let event = stack
                .request_event(&answer.request_id(), "config-service")
                .await;
            let ops = &event["metadata"]["ops"];
            println!("{who} {hint:?}: {ops}");
            let rows = ops["d1_rows_read"].as_i64().unwrap_or(i64::MAX);
            assert!(rows > 0 && rows <= limit, "{who} {hint:?}: {ops}");
        }
    }
    for query in [
        "",
        "?status=active",
        "?unused_days=0&limit=1",
        &format!("?user_id={user_id}"),
    ] {
        for key in [
            &stack.keys().superadmin,
            &stack.keys().admin,
            &stack.keys().user,
            &project.1,
        ] {
            let list = stack.client(key).get(&format!("{KEYS}{query}")).await;
            assert_eq!(list.status, 200, "{query}: {}", list.json());
        }
    }
    let list = admin
        .get(&format!("{SESSION}/list?user_id={user_id}"))
        .await
        .json();
    assert_eq!(list["items"][0]["label"], "counted", "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_keys_is_told_to_wait() {
    let stack = Stack::start(Options::default());
    // Well-formed, so that only the database can tell that nobody has it.
    let guesser = stack.client("sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb");
    let mut refused = 0;
    let told = loop {
        let answer = guesser.get(SESSION).await;
        if answer.status == 429 {
            break answer;
        }
        answer.expect_error(401, "auth_failed");
        refused += 1;
        // `AUTH_GUARD` allows 10 in a minute; a slow machine may begin another minute on the way.
        assert!(refused < 60, "{refused} guesses and no end");
    };
    told.expect_error(429, "too_many_auth_failures");
    assert_eq!(told.header("retry-after"), "60");
    assert!(refused >= 10, "{refused}");
}
