//! What is taken away while it is used: over the real routes, with isolates next door that remember their verdicts.
//!
//! Each way of ending a key is raced against its use: at once where it was ended, and nowhere after the time that the
//! answer names, or five seconds where it names none.

use crate::support::neighbour::Isolate;
use crate::support::*;
use api_types::Timestamp;
use futures_util::future::{join, join_all};
use http::Method;
use middleware::testing::TestResponse;
use platform::fakes::FakeRandom;
use platform::{Clock, Random};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const VERDICT_MS: i64 = 5_000;
/// Most that a question, or its answer, is on its way between two workers, in milliseconds.
const TRAVEL_MS: u64 = 900;
/// One round trip to the database, in milliseconds.
const DATABASE_MS: u64 = 40;
/// Of each way to end a key.
const RACES: u64 = 10;

async fn made(service: &Service, key: &str, path: &str, body: &Value) -> (String, String) {
    let answer = service.post(key, path, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let of = |a: &str, b: &str| if body[a].is_null() { text(b) } else { text(a) };
    (of("session_id", "key_id"), of("key", "api_key"))
}

/// A key of the user of `development`: id and text.
async fn key_of_user(service: &Service) -> (String, String) {
    let wanted = json!({"user_id": USER_USER, "name": "laptop"});
    made(service, ADMIN, "/api-key", &wanted).await
}

async fn models(isolate: &Isolate, key: &str) -> TestResponse {
    let request = isolate.app.get("/v1/models").key(key);
    request.header("x-instance-id", "development").send().await
}

async fn works_here(service: &Service, key: &str) -> bool {
    let answer = service
        .app
        .get("/instance/development")
        .key(key)
        .send()
        .await;
    let refused = [401, 403].contains(&answer.status.as_u16());
    assert!(answer.status == 200 || refused, "{}", answer.text());
    answer.status == 200
}

#[tokio::test]
async fn a_verdict_on_its_way_when_the_key_is_revoked_ends_with_its_five_seconds() {
    let service = Service::new();
    let (key_id, key) = key_of_user(&service).await;
    service.settle().await;
    let clock = &service.ports.world.clock;
    // The question arrives at once, its answer comes late.
    let isolate = service.isolate_behind(|leg| if leg == 0 { 0 } else { 1_500 });
    let asked_ms = clock.now_ms();
    let revoke = async {
        clock.sleep(10).await;
        let path = format!("/api-key/{key_id}");
        let answer = service.delete(ADMIN, &path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!works_here(&service, &key).await);
    };
    let (used, ()) = join(models(&isolate, &key), revoke).await;
    assert_eq!(used.status, 200, "{}", used.text());
    for (at_ms, status) in [(VERDICT_MS - 1, 200), (VERDICT_MS, 401)] {
        clock.set(asked_ms + at_ms);
        assert_eq!(models(&isolate, &key).await.status, status, "{at_ms}");
    }
    // The refresh that was due after three seconds would have heard of it.
    isolate.background.abandon();
    service.settle().await;
}

#[tokio::test]
async fn the_time_that_the_answer_names_counts_from_when_it_was_written() {
    let service = Service::new();
    service.ports.world.faults.slow("database", DATABASE_MS);
    let clock = &service.ports.world.clock;
    let (key_id, _) = key_of_user(&service).await;
    let path = format!("/api-key/{key_id}");
    let revoked = async || service.delete(ADMIN, &path).await.json();
    let time = |body: &Value, name: &str| Timestamp::parse(body[name].as_str().unwrap()).unwrap();
    let first = revoked().await;
    let written = clock.now_ms();
    assert!(time(&first, "effective_by").ms() >= written + VERDICT_MS);
    assert!(time(&first, "effective_by").ms() - time(&first, "revoked_at").ms() < 6_000);
    clock.advance(3_600_000);
    let again = revoked().await;
    assert_eq!(again["revoked_at"], first["revoked_at"]);
    assert!(time(&again, "effective_by").ms() < clock.now_ms());
    service.settle().await;
}

/// How a key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Revoked,
    ParentRevoked,
    Replaced,
    UserDisabled,
    AccessTaken,
    OrganizationSuspended,
}

impl End {
    /// Brings it about; the time after which nobody may accept the key any more.
    async fn bring(self, service: &Service, key_id: &str) -> i64 {
        let answer = match self {
            Self::Revoked | Self::ParentRevoked => {
                service.delete(ADMIN, &format!("/api-key/{key_id}")).await
            }
            Self::Replaced => {
                let path = format!("/api-key/{key_id}/rotate");
                service
                    .post(ADMIN, &path, &json!({"overlap_s": 0, "force": true}))
                    .await
            }
            Self::UserDisabled => {
                let (path, body) = (format!("/user/{USER_USER}"), json!({"status": "disabled"}));
                service
                    .at(Method::PATCH, ADMIN, &path, "*", Some(&body))
                    .await
            }
            Self::AccessTaken => {
                let path = format!("/user/{USER_USER}/instance/development");
                service.delete(ADMIN, &path).await
            }
            Self::OrganizationSuspended => {
                let (path, body) = (
                    format!("/organization/{ACME}"),
                    json!({"status": "suspended"}),
                );
                service
                    .at(Method::PATCH, ROOT, &path, "*", Some(&body))
                    .await
            }
        };
        assert!(answer.status.is_success(), "{self:?}: {}", answer.text());
        match answer.json()["effective_by"].as_str() {
            Some(by) => Timestamp::parse(by).unwrap().ms(),
            None => service.ports.world.clock.now_ms() + VERDICT_MS,
        }
    }
}

/// One use: when it was asked for, when it was answered, whether it was let through.
#[derive(Clone, Copy, Debug)]
struct Use {
    asked_ms: i64,
    ended_ms: i64,
    passed: bool,
}

async fn use_after(service: &Service, ms: u64, by: impl AsyncFnOnce() -> bool) -> Use {
    let clock = &service.ports.world.clock;
    clock.sleep(ms).await;
    let asked_ms = clock.now_ms();
    let passed = by().await;
    Use {
        asked_ms,
        ended_ms: clock.now_ms(),
        passed,
    }
}

/// Races one end of a key against its use here and in two isolates next door; counts what was seen.
async fn race(end: End, seed: u64, seen: &mut BTreeMap<&'static str, usize>) {
    let service = Service::new();
    let random = FakeRandom::seeded(seed);
    let clock = &service.ports.world.clock;
    let (key_id, mut key) = key_of_user(&service).await;
    if end == End::ParentRevoked {
        // What is used is the session; what ends is its parent.
        (_, key) = made(&service, &key, "/session", &json!({})).await;
    }
    if end == End::Replaced {
        assert!(works_here(&service, &key).await);
    }
    service.settle().await;
    service.ports.world.faults.slow("database", DATABASE_MS);
    let way = FakeRandom::seeded(seed + 1);
    let isolates: Vec<Isolate> = (0..2)
        .map(|_| {
            let way = way.clone();
            service.isolate_behind(move |_| way.next_u64() % TRAVEL_MS)
        })
        .collect();
    let next_door = isolates.iter().flat_map(|isolate| {
        let (service, key, random) = (&service, &key, &random);
        (0..10).map(move |_| {
            use_after(service, random.next_u64() % 12_000, async move || {
                models(isolate, key).await.status == 200
            })
        })
    });
    let here = (0..6).map(|_| {
        use_after(&service, 2_500 + random.next_u64() % 4_000, async || {
            works_here(&service, &key).await
        })
    });
    let ended = async {
        clock.sleep(3_000 + random.next_u64() % 3_000).await;
        let by_ms = end.bring(&service, &key_id).await;
        (by_ms, clock.now_ms())
    };
    let background = async {
        for _ in 0..20 {
            clock.sleep(random.next_u64() % 1_200).await;
            join_all(isolates.iter().map(|isolate| isolate.background.drain())).await;
        }
    };
    let uses = join(join_all(next_door), join_all(here));
    let ((next_door, here), ((by_ms, ended_ms), ())) = join(uses, join(ended, background)).await;
    for one in &here {
        assert!(
            !(one.passed && one.asked_ms >= ended_ms),
            "{end:?} {seed}: {one:?} here, ended at {ended_ms}"
        );
    }
    for one in &next_door {
        assert!(
            !(one.passed && one.ended_ms >= by_ms),
            "{end:?} {seed}: {one:?} next door, over at {by_ms}"
        );
        let kind = match (one.passed, one.asked_ms >= ended_ms) {
            (true, false) => "before",
            (true, true) => "within",
            (false, _) => "refused",
        };
        *seen.entry(kind).or_default() += 1;
    }
    for isolate in &isolates {
        isolate.background.drain().await;
    }
    service.settle().await;
}

/// Nothing passes after its time, however it is raced.
async fn raced(end: End) {
    let mut seen = BTreeMap::new();
    for seed in 0..RACES {
        race(end, seed, &mut seen).await;
    }
    // The races are real ones: it works before, often a moment longer, and then no more.
    let kinds: BTreeSet<_> = seen.keys().copied().collect();
    assert_eq!(
        kinds,
        BTreeSet::from(["before", "refused", "within"]),
        "{end:?} {seen:?}"
    );
}

#[tokio::test]
async fn a_revoked_key_passes_nowhere_after_its_time() {
    raced(End::Revoked).await;
}

#[tokio::test]
async fn a_session_of_a_revoked_key_passes_nowhere_after_its_time() {
    raced(End::ParentRevoked).await;
}

#[tokio::test]
async fn a_replaced_secret_passes_nowhere_after_its_time() {
    raced(End::Replaced).await;
}

#[tokio::test]
async fn a_key_of_a_disabled_user_passes_nowhere_after_its_time() {
    raced(End::UserDisabled).await;
}

#[tokio::test]
async fn a_key_without_access_passes_nowhere_after_its_time() {
    raced(End::AccessTaken).await;
}

#[tokio::test]
async fn a_key_of_a_suspended_organization_passes_nowhere_after_its_time() {
    raced(End::OrganizationSuspended).await;
}

/// No secret of a key that was revoked while it was rotated.
#[tokio::test]
async fn a_key_that_is_revoked_while_it_is_rotated_has_no_secret_that_works() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..2 * RACES {
        let service = Service::new();
        let random = FakeRandom::seeded(seed);
        let clock = &service.ports.world.clock;
        let (key_id, key) = key_of_user(&service).await;
        assert!(works_here(&service, &key).await);
        service.settle().await;
        service.ports.world.faults.slow("database", DATABASE_MS);
        let isolate = service.isolate();
        assert_eq!(models(&isolate, &key).await.status, 200);
        // By an administrator or by the key itself.
        let by = if seed % 2 == 0 { ADMIN } else { key.as_str() };
        let rotate = async {
            clock.sleep(random.next_u64() % (4 * DATABASE_MS)).await;
            let path = format!("/api-key/{key_id}/rotate");
            service.post(by, &path, &json!({})).await
        };
        let revoke = async {
            clock.sleep(random.next_u64() % (4 * DATABASE_MS)).await;
            let path = format!("/api-key/{key_id}");
            service.delete(ADMIN, &path).await
        };
        let (rotated, revoked) = join(rotate, revoke).await;
        assert_eq!(revoked.status, 200, "{}", revoked.text());
        outcomes.insert((by == ADMIN, rotated.status.as_u16()));
        let mut secrets = vec![key.clone()];
        secrets.extend(rotated.json()["api_key"].as_str().map(str::to_owned));
        for secret in &secrets {
            assert!(!works_here(&service, secret).await, "{seed}");
        }
        let by = revoked.json()["effective_by"].as_str().unwrap().to_owned();
        clock.set(Timestamp::parse(&by).unwrap().ms());
        for secret in &secrets {
            assert_eq!(models(&isolate, secret).await.status, 401, "{seed}");
        }
        isolate.background.drain().await;
        service.settle().await;
    }
    assert_eq!(
        outcomes,
        BTreeSet::from([(true, 200), (true, 409), (false, 200), (false, 401)])
    );
}

#[tokio::test]
async fn a_session_that_is_minted_while_its_parent_is_revoked_is_none() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..2 * RACES {
        let service = Service::new();
        let random = FakeRandom::seeded(seed);
        let clock = &service.ports.world.clock;
        let (key_id, key) = key_of_user(&service).await;
        service.settle().await;
        service.ports.world.faults.slow("database", DATABASE_MS);
        let isolate = service.isolate();
        let sign_in = async {
            clock.sleep(random.next_u64() % (4 * DATABASE_MS)).await;
            let answer = service.post(&key, "/session", &json!({})).await;
            // Whoever signs in goes on at once.
            let session = answer.json()["key"].as_str().map(str::to_owned);
            if let Some(session) = &session {
                models(&isolate, session).await;
            }
            (answer.status.as_u16(), session)
        };
        let revoke = async {
            clock.sleep(random.next_u64() % (4 * DATABASE_MS)).await;
            service.delete(ADMIN, &format!("/api-key/{key_id}")).await
        };
        let ((status, session), revoked) = join(sign_in, revoke).await;
        assert_eq!(revoked.status, 200, "{}", revoked.text());
        outcomes.insert(status);
        if let Some(session) = session {
            assert!(!works_here(&service, &session).await, "{seed}");
            let by = revoked.json()["effective_by"].as_str().unwrap().to_owned();
            clock.set(Timestamp::parse(&by).unwrap().ms());
            assert_eq!(models(&isolate, &session).await.status, 401, "{seed}");
        }
        isolate.background.drain().await;
        service.settle().await;
    }
    assert_eq!(outcomes, BTreeSet::from([201, 401]));
}
