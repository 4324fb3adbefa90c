//! Reading the audit log: pages equal a model, cost nothing that grows, checkpoints come once a day.
#![expect(clippy::unwrap_used, reason = "tests")]

use api_types::{KeyId, OrgId, Timestamp};
use platform::fakes::SqliteDatabase;
use platform::{Database, Statement};
use proptest::prelude::*;
use std::path::Path;
use store::control::audit::{self, ChainOf, Entry};
use store::control::audit_trail::{self, Filter, Listed};
use store::control::checkpoints::{self, CheckpointRow, Due};

const ACME: &str = "0198f0a0-0000-7000-8000-000000000001";
const START: i64 = 1_763_719_200_000;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

fn empty() -> SqliteDatabase {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/control");
    SqliteDatabase::from_migrations(&folder).unwrap()
}

fn caller() -> KeyId {
    KeyId::parse("4fGh7kQ2mZ0a").unwrap()
}

fn acme() -> ChainOf {
    ChainOf::Organization(OrgId::parse(ACME).unwrap())
}

/// Entry `seq` of a chain: a minute after the one before, with members that differ by period.
fn entry(org_id: &str, seq: i64) -> Entry {
    Entry {
        org_id: org_id.into(),
        seq,
        at: Timestamp(START + seq * MINUTE_MS).to_string(),
        actor: format!(
            "{{\"principal\":\"key:{}\",\"user_id\":\"u{}\"}}",
            seq % 3,
            seq % 5
        ),
        action: format!("action_{}", seq % 4),
        target_type: ["user", "instance"][usize::try_from(seq % 2).unwrap()].into(),
        target_id: format!("t{}", seq % 7),
        instance_id: None,
        before: None,
        after: Some("{}".into()),
        request_id: "r".into(),
        ip: None,
        prev_hash: "0".repeat(64),
        hash: format!("{seq:064}"),
    }
}

/// A chain of that length, written past the guards.
fn fill(database: &SqliteDatabase, org_id: &str, length: i64) {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2) \
        INSERT INTO audit_log (org_id, seq, at, actor, action, target_type, target_id, after, request_id, prev_hash, hash) \
        SELECT ?1, i, strftime('%Y-%m-%dT%H:%M:%fZ', ?3 + i * 60, 'unixepoch'), \
          json_object('principal', 'key:' || (i % 3), 'user_id', 'u' || (i % 5)), 'action_' || (i % 4), \
          iif(i % 2 = 0, 'user', 'instance'), 't' || (i % 7), '{}', 'r', printf('%064d', 0), printf('%064d', i) FROM n";
    database.with(|connection| {
        connection
            .execute(sql, (org_id, length, START / 1_000))
            .unwrap();
    });
}

fn everything() -> Filter {
    Filter {
        actor: None,
        action: None,
        target_type: None,
        target_id: None,
        from: Timestamp(0),
        to: Timestamp(START + 400 * DAY_MS),
        before: None,
    }
}

/// All pages: the places in their order, and how many pages it took.
async fn pages(database: &SqliteDatabase, filter: &Filter, limit: i64) -> (Vec<i64>, usize) {
    let mut filter = filter.clone();
    let (mut places, mut count) = (Vec::new(), 0);
    loop {
        let rows = database
            .query(audit_trail::list(&acme(), &caller(), &filter, limit))
            .await
            .unwrap();
        let page = Listed::read(&rows, &filter, limit).unwrap();
        assert!(page.entries.len() as i64 <= limit);
        places.extend(page.entries.iter().map(|entry| entry.seq));
        count += 1;
        match page.before {
            Some(before) => filter.before = Some(before),
            None => return (places, count),
        }
    }
}

fn matches(filter: &Filter, entry: &Entry) -> bool {
    let at = Timestamp::parse(&entry.at).unwrap();
    let is = |wanted: &Option<String>, have: &str| wanted.as_deref().is_none_or(|it| it == have);
    let (principal, user) = (
        format!("key:{}", entry.seq % 3),
        format!("u{}", entry.seq % 5),
    );
    at >= filter.from
        && at <= filter.to
        && is(&filter.action, &entry.action)
        && is(&filter.target_type, &entry.target_type)
        && is(&filter.target_id, &entry.target_id)
        && (is(&filter.actor, &principal) || is(&filter.actor, &user))
}

#[tokio::test]
async fn an_empty_chain_has_one_empty_page() {
    let database = empty();
    fill(&database, "platform", 3);
    assert_eq!(pages(&database, &everything(), 10).await, (Vec::new(), 1));
    fill(&database, ACME, 1);
    assert_eq!(pages(&database, &everything(), 10).await, (vec![1], 1));
}

#[tokio::test]
async fn an_entry_comes_back_as_it_was_appended() {
    let database = empty();
    let written = Entry {
        before: Some("{\"a\":1}".into()),
        instance_id: Some("production".into()),
        ip: Some("203.0.113.9".into()),
        ..entry("platform", 1)
    };
    database.batch(audit::append(&written)).await.unwrap();
    let rows = database
        .query(audit_trail::list(
            &ChainOf::Platform,
            &caller(),
            &everything(),
            5,
        ))
        .await
        .unwrap();
    assert_eq!(
        Listed::read(&rows, &everything(), 5).unwrap().entries,
        std::slice::from_ref(&written)
    );
    let rows = database
        .query(audit_trail::behind("platform", 0, 5))
        .await
        .unwrap();
    assert_eq!(audit_trail::entries(&rows).unwrap(), [written]);
    let rows = database
        .query(audit_trail::behind("platform", 1, 5))
        .await
        .unwrap();
    assert!(audit_trail::entries(&rows).unwrap().is_empty());
}

#[tokio::test]
async fn a_rare_entry_is_found_over_short_pages_that_look_at_a_bounded_number_of_entries() {
    let database = empty();
    fill(&database, ACME, 9_000);
    database.with(|connection| {
        connection
            .execute_batch("DROP TRIGGER audit_log_is_never_changed; UPDATE audit_log SET action = 'rare' WHERE seq = 17")
            .unwrap();
    });
    let rare = Filter {
        action: Some("rare".into()),
        ..everything()
    };
    let (places, count) = pages(&database, &rare, 50).await;
    assert_eq!((places, count), (vec![17], 5), "9,000 entries by 2,000");
    // The span of times is found by an index, so an old hour does not take a walk through what came later.
    let from = Timestamp(START + 100 * MINUTE_MS);
    let hour = Filter {
        from,
        to: from.plus_ms(60 * MINUTE_MS),
        ..everything()
    };
    let (places, count) = pages(&database, &hour, 200).await;
    assert_eq!(
        (places.len(), places[0], places[60], count),
        (61, 160, 100, 1)
    );
}

#[tokio::test]
async fn clocks_that_differ_lose_no_entry() {
    let database = empty();
    fill(&database, ACME, 200);
    // Entry 100 was written by an isolate whose clock was five minutes behind.
    let late = Timestamp(START + 95 * MINUTE_MS).to_string();
    database.with(|connection| {
        connection
            .execute_batch(&format!("DROP TRIGGER audit_log_is_never_changed; UPDATE audit_log SET at = '{late}' WHERE seq = 100"))
            .unwrap();
    });
    let at = Timestamp(START + 95 * MINUTE_MS);
    let (places, _) = pages(
        &database,
        &Filter {
            from: at,
            to: at,
            ..everything()
        },
        10,
    )
    .await;
    assert_eq!(places, [100, 95]);
}

fn runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_pages_together_are_what_the_filter_says(
        length in 0i64..160,
        limit in 1i64..40,
        actor in proptest::option::of(prop_oneof![Just("key:1"), Just("u3"), Just("nobody")]),
        action in proptest::option::of(Just("action_2")),
        target in proptest::option::of((Just("instance"), proptest::option::of(Just("t3")))),
        from in 0i64..170,
        minutes in 0i64..170,
    ) {
        let filter = Filter {
            actor: actor.map(str::to_owned),
            action: action.map(str::to_owned),
            target_type: target.map(|(kind, _)| kind.to_owned()),
            target_id: target.and_then(|(_, id)| id.map(str::to_owned)),
            from: Timestamp(START + from * MINUTE_MS),
            to: Timestamp(START + (from + minutes) * MINUTE_MS),
            before: None,
        };
        let expected: Vec<i64> = (1..=length)
            .rev()
            .filter(|seq| matches(&filter, &entry(ACME, *seq)))
            .collect();
        let places = runtime(async {
            let database = empty();
            if length > 0 {
                fill(&database, ACME, length);
            }
            pages(&database, &filter, limit).await.0
        });
        prop_assert_eq!(places, expected);
    }
}

fn statements() -> Vec<(&'static str, Statement)> {
    let target = Filter {
        target_type: Some("instance".into()),
        target_id: Some("t3".into()),
        ..everything()
    };
    let action = Filter {
        action: Some("nothing".into()),
        ..everything()
    };
    let page = |filter: &Filter| audit_trail::list(&acme(), &caller(), filter, 50);
    vec![
        ("page", page(&everything())),
        ("page of a target", page(&target)),
        ("page of an action", page(&action)),
        (
            "page of the caller",
            audit_trail::list(&ChainOf::Caller, &caller(), &everything(), 50),
        ),
        ("walk", audit_trail::behind(ACME, 7, 500)),
        ("checkpoints", checkpoints::behind(ACME, 0, 500)),
        ("due", checkpoints::due(Timestamp(START), 50)),
    ]
}

#[tokio::test]
async fn neither_the_log_nor_its_checkpoints_are_ever_scanned() {
    let database = empty();
    for (name, statement) in statements() {
        for line in database.plan(&statement.sql).unwrap() {
            let growing = [" a ", " h ", " k ", " l ", "audit_log", "audit_checkpoints"];
            let scans = line.starts_with("SCAN")
                && growing
                    .iter()
                    .any(|table| format!("{line} ").contains(table));
            assert!(!scans, "{name}: {line}");
        }
    }
}

/// Steps of SQLite's machine, which grow with every row that is touched, by index too.
fn steps(database: &SqliteDatabase, statement: &Statement) -> i32 {
    database.with(|connection| {
        let mut prepared = connection.prepare(&statement.sql).unwrap();
        let mut rows = prepared
            .query(rusqlite::params_from_iter(&statement.params))
            .unwrap();
        while rows.next().unwrap().is_some() {}
        drop(rows);
        prepared.get_status(rusqlite::StatementStatus::VmStep)
    })
}

#[tokio::test]
async fn reading_costs_the_same_with_many_entries() {
    let (few, many) = (empty(), empty());
    // Both are longer than anything that a page looks at.
    for (database, length) in [(&few, 3_000), (&many, 60_000)] {
        fill(database, ACME, length);
        fill(database, "platform", 10);
    }
    for (name, statement) in statements() {
        let (few, many) = (steps(&few, &statement), steps(&many, &statement));
        assert!(many * 20 <= few * 21, "{name}: {few} steps became {many}");
    }
}

#[tokio::test]
async fn a_chain_is_due_once_a_day_and_only_when_it_grew() {
    let database = empty();
    let day = Timestamp(START - START % DAY_MS);
    let due = async |at: Timestamp, limit| {
        let rows = database.query(checkpoints::due(at, limit)).await.unwrap();
        Due::read_all(&rows)
            .unwrap()
            .into_iter()
            .map(|end| (end.org_id, end.seq, end.hash))
            .collect::<Vec<_>>()
    };
    let seal = async |org_id: &str, seq: i64, at: Timestamp| {
        let row = CheckpointRow {
            org_id: org_id.into(),
            seq,
            hash: format!("{seq:064}"),
            mac: "0".repeat(64),
            pepper_id: "p1".into(),
            created_at: at.to_string(),
        };
        database.query(checkpoints::append(&row)).await.unwrap();
    };
    assert!(due(day, 50).await.is_empty());
    for (org_id, length) in [
        (ACME, 3),
        ("platform", 2),
        ("a-chain-of-a-deleted-organization", 1),
    ] {
        fill(&database, org_id, length);
    }
    let mut all = due(day, 50).await;
    all.sort();
    assert_eq!(all[0], (ACME.into(), 3, format!("{:064}", 3)));
    assert_eq!(all.len(), 3);
    assert_eq!(due(day, 2).await.len(), 2, "in bounds");
    seal(ACME, 3, Timestamp(START)).await;
    seal("platform", 2, Timestamp(START)).await;
    assert_eq!(due(day, 50).await.len(), 1);
    // Grown on the same day: not yet. On the next: yes. Not grown: no.
    database.query(Statement::new(format!(
        "INSERT INTO audit_log (org_id, seq, at, actor, action, target_type, target_id, request_id, prev_hash, hash) \
         SELECT org_id, 4, at, actor, action, target_type, target_id, request_id, prev_hash, printf('%064d', 4) FROM audit_log WHERE org_id = '{ACME}' AND seq = 3"
    ))).await.unwrap();
    assert_eq!(due(day, 50).await.len(), 1);
    let tomorrow = due(day.plus_ms(DAY_MS), 50).await;
    assert!(tomorrow.contains(&(ACME.into(), 4, format!("{:064}", 4))));
    assert!(!tomorrow.iter().any(|(org_id, ..)| org_id == "platform"));
    // What is there stays.
    seal(ACME, 3, Timestamp(START + DAY_MS)).await;
    let rows = database
        .query(checkpoints::behind(ACME, 0, 10))
        .await
        .unwrap();
    let rows = CheckpointRow::read_all(&rows).unwrap();
    assert_eq!(
        (rows.len(), rows[0].created_at.as_str()),
        (1, Timestamp(START).to_string().as_str())
    );
}
