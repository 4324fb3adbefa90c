//! Ten thousand times a key is revoked while a worker uses it: no success after five seconds.
//!
//! Each race is an isolate of its own, eight requests at any moment around the revocation, a refresh in the background
//! whenever it likes, and a config-service that is up to 0.9 s away each way.

use crate::common::House;
use errors::Code;
use futures_util::future::{join, join_all};
use platform::fakes::{FakeRandom, World};
use platform::{Clock, Random};

const RACES: usize = 10_000;
const USES: usize = 8;
const VERDICT_MS: i64 = 5_000;

#[derive(Default)]
struct Seen {
    before: usize,
    within: usize,
    refused: usize,
    late_ms: Vec<i64>,
}

async fn race(house: &House, random: &FakeRandom, seen: &mut Seen) {
    house.source.state().refuse = None;
    let uses = (0..USES).map(|_| {
        let at_ms = random.next_u64() % 16_000;
        async move {
            house.clock().sleep(at_ms).await;
            let passed = house.resolve().await.is_ok();
            (passed, house.clock().now_ms())
        }
    });
    let revoke = async {
        house.clock().sleep(3_000 + random.next_u64() % 4_000).await;
        house.source.state().refuse = Some(Code::AuthFailed);
        house.clock().now_ms()
    };
    let background = async {
        for _ in 0..24 {
            house.clock().sleep(random.next_u64() % 1_400).await;
            house.ports.background.drain().await;
        }
    };
    let ((uses, revoked_ms), ()) = join(join(join_all(uses), revoke), background).await;
    house.ports.background.drain().await;
    for (passed, ended_ms) in uses {
        match (passed, ended_ms - revoked_ms) {
            (false, _) => seen.refused += 1,
            (true, ..0) => seen.before += 1,
            (true, 0..VERDICT_MS) => seen.within += 1,
            (true, late_ms) => seen.late_ms.push(late_ms),
        }
    }
}

#[tokio::test]
async fn no_revoked_key_passes_after_five_seconds_in_ten_thousand_races() {
    let mut house = House::new(World::auto());
    house.source.state().travel_ms = 900;
    let random = FakeRandom::seeded(20_261_127);
    let mut seen = Seen::default();
    for number in 0..RACES {
        house.cold();
        house.source.state().asked.clear();
        race(&house, &random, &mut seen).await;
        assert!(
            seen.late_ms.is_empty(),
            "race {number}: {:?} ms after the revocation",
            seen.late_ms
        );
    }
    // The races are real ones: keys work before, often a moment longer, and then no more.
    let Seen {
        before,
        within,
        refused,
        ..
    } = seen;
    assert!(
        before > RACES && within > RACES / 4 && refused > RACES,
        "{before} {within} {refused}"
    );
}
