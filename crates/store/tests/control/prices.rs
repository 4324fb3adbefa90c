//! Prices in time.

use crate::support::*;
use api_types::Timestamp;
use platform::{Database, DbErrorKind, Statement};
use store::control::audit::{self, ChainOf};
use store::control::guard::Quota;
use store::control::parts::Which;
use store::control::prices::{self, JudgedPrice, ListFilter, PriceOverride, Slot};

#[tokio::test]
async fn prices_are_listed_as_the_caller_may_see_them() {
    let database = seeded();
    add(
        &database,
        &price(1, Some("development"), NOW.plus_ms(-HOUR), None),
    )
    .await;
    add(
        &database,
        &price(2, Some("production"), NOW.plus_ms(HOUR), None),
    )
    .await;
    add(&database, &price(3, None, NOW.plus_ms(-HOUR), Some(NOW))).await;
    let foreign = PriceOverride {
        org_id: org(FOREIGN_LTD),
        model: "n".into(),
        ..price(4, Some("foreign"), NOW, None)
    };
    add(&database, &foreign).await;
    let seen = async |who: &str, filter: ListFilter| {
        let statement = prices::list(&key_id(who), &filter, NOW, 3);
        let rows = database.query(statement).await.unwrap();
        let lines = PriceOverride::read_all(&rows).unwrap();
        let ids: Vec<String> = lines
            .iter()
            .map(|line| line.price_id.as_str().chars().last().unwrap().to_string())
            .collect();
        ids.concat()
    };
    let all = ListFilter::default;
    assert_eq!(seen(ROOT_KEY, all()).await, "432");
    assert_eq!(seen(ADMIN_KEY, all()).await, "321");
    assert_eq!(seen(USER_KEY, all()).await, "31");
    assert_eq!(seen(PROJECT_KEY, all()).await, "31");
    let filter = |set: fn(&mut ListFilter)| {
        let mut filter = ListFilter::default();
        set(&mut filter);
        filter
    };
    let after = filter(|f| f.after = Some("0198f0d0-0000-7000-8000-000000000002".into()));
    assert_eq!(seen(ROOT_KEY, after).await, "1");
    for (set, root, admin) in [
        (filter(|f| f.org_id = Some(FOREIGN_LTD.into())), "4", ""),
        (filter(|f| f.org_id = Some(ACME.into())), "321", "321"),
        (
            filter(|f| f.instance_id = Some("production".into())),
            "32",
            "32",
        ),
        (filter(|f| f.instance_id = Some("foreign".into())), "4", ""),
        (filter(|f| f.instance_id = Some("nowhere".into())), "", ""),
        (filter(|f| f.provider = Some("openai".into())), "", ""),
        (filter(|f| f.model = Some("m".into())), "321", "321"),
        (filter(|f| f.state = Some("current".into())), "41", "1"),
        (filter(|f| f.state = Some("future".into())), "2", "2"),
        (filter(|f| f.state = Some("ended".into())), "3", "3"),
    ] {
        assert_eq!(seen(ROOT_KEY, set.clone()).await, root, "{set:?}");
        assert_eq!(seen(ADMIN_KEY, set.clone()).await, admin, "{set:?}");
    }
    run(
        &database,
        "UPDATE api_keys SET instance_ids = '[\"development\"]' WHERE key_id = '4fGh7kQ2mZ0a'",
    )
    .await;
    assert_eq!(seen(ADMIN_KEY, all()).await, "31");
    let judged = async |n: u32| {
        let statement = prices::for_caller(&key_id(ADMIN_KEY), &price_id(n));
        JudgedPrice::read(&database.query(statement).await.unwrap()).unwrap()
    };
    for (n, allowed) in [(1, true), (2, false), (3, false)] {
        assert_eq!(judged(n).await.unwrap().allowed, allowed, "{n}");
    }
    assert!(judged(9).await.is_none());
}

#[tokio::test]
async fn a_slot_that_changed_refuses_the_batch() {
    let database = seeded();
    let (acme, production, provider) = (org(ACME), instance("production"), ideogram());
    let slot = Slot {
        org_id: &acme,
        instance_id: Some(&production),
        provider: &provider,
        model: "m",
    };
    let open = price(1, Some("production"), NOW.plus_ms(-HOUR), None);
    let later = price(
        2,
        Some("production"),
        NOW.plus_ms(HOUR),
        Some(NOW.plus_ms(2 * HOUR)),
    );
    let ended = price(3, Some("production"), NOW.plus_ms(-HOUR), Some(NOW));
    let elsewhere = price(4, None, NOW, None);
    for row in [&open, &later, &ended, &elsewhere] {
        add(&database, row).await;
    }
    let holds =
        async |known: &[&PriceOverride]| database.batch(vec![slot.guard(known, NOW)]).await.is_ok();
    assert!(holds(&[&open, &later]).await && holds(&[&later, &open]).await);
    assert!(!holds(&[&open]).await && !holds(&[]).await);
    assert!(!holds(&[&open, &later, &ended]).await);
    let closed = PriceOverride {
        valid_to: Some(NOW.plus_ms(1)),
        ..open.clone()
    };
    assert!(!holds(&[&closed, &later]).await);
    database
        .batch(prices::close(&open.price_id, NOW.plus_ms(1)).to_vec())
        .await
        .unwrap();
    assert!(holds(&[&closed, &later]).await);
    // A row is closed once, after it began; and withdrawn before it begins only.
    let refused = async |statements: [Statement; 2]| {
        let error = database.batch(statements.to_vec()).await.unwrap_err();
        assert_eq!(error.kind, DbErrorKind::Guard);
    };
    refused(prices::close(&open.price_id, NOW.plus_ms(1))).await;
    refused(prices::close(&later.price_id, NOW)).await;
    refused(prices::close(&price_id(9), NOW)).await;
    refused(prices::withdraw(&open.price_id, NOW)).await;
    refused(prices::withdraw(&price_id(9), NOW)).await;
    let statements = prices::withdraw(&later.price_id, NOW).to_vec();
    database.batch(statements).await.unwrap();
    assert!(holds(&[&closed]).await);
}

#[tokio::test]
async fn quotas_of_prices_hold_in_the_batch_that_would_break_them() {
    let database = seeded();
    let now = NOW.to_string();
    for (quota, of, owner) in [
        (Quota::InstancePrices, Some("production"), "production"),
        (Quota::OrganizationPrices, None, ACME),
    ] {
        let base = if of.is_some() { 0 } else { 1_000 };
        // Ended rows and those of others do not count.
        add(
            &database,
            &price(base + 900, of, NOW.plus_ms(-HOUR), Some(NOW)),
        )
        .await;
        add(
            &database,
            &price(base + 901, Some("development"), NOW, None),
        )
        .await;
        for n in 0..499 {
            add(&database, &price(base + n, of, NOW, None)).await;
        }
        let batch = |n| {
            vec![
                quota.guard(owner, &now),
                prices::create(&price(base + n, of, NOW, None)),
            ]
        };
        // Of two racers that counted 499, one passes.
        database.batch(batch(499)).await.unwrap();
        let late = database.batch(batch(500)).await.unwrap_err();
        assert_eq!(late.kind, DbErrorKind::Guard, "{quota:?}");
        let rows = database.query(quota.count(owner, &now)).await.unwrap();
        assert_eq!(rows.first().unwrap().int("n"), Some(500));
        database
            .batch(prices::close(&price_id(base), NOW.plus_ms(1)).to_vec())
            .await
            .unwrap();
        let later = NOW.plus_ms(1).to_string();
        database
            .batch(vec![quota.guard(owner, &later)])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn bodies_older_than_a_turn_of_their_prices_are_due() {
    let database = seeded();
    run(
        &database,
        &format!("UPDATE instance_effective SET created_at = '{NOW}'"),
    )
    .await;
    let due = async |at: Timestamp| {
        let statement = prices::due(at.plus_ms(-HOUR), at, 50);
        let rows = database.query(statement).await.unwrap();
        let mut ids: Vec<String> = rows
            .rows
            .iter()
            .map(|row| row.text("instance_id").unwrap().to_owned())
            .collect();
        ids.sort();
        ids.join(" ")
    };
    add(
        &database,
        &price(
            1,
            Some("production"),
            NOW.plus_ms(10),
            Some(NOW.plus_ms(20)),
        ),
    )
    .await;
    add(
        &database,
        &price(2, None, NOW.plus_ms(-HOUR), Some(NOW.plus_ms(30))),
    )
    .await;
    assert_eq!(due(NOW).await, "");
    assert_eq!(due(NOW.plus_ms(9)).await, "");
    assert_eq!(due(NOW.plus_ms(10)).await, "production");
    run(
        &database,
        &format!(
            "UPDATE instance_effective SET created_at = '{}' WHERE instance_id = 'production'",
            NOW.plus_ms(10)
        ),
    )
    .await;
    assert_eq!(due(NOW.plus_ms(19)).await, "");
    assert_eq!(due(NOW.plus_ms(20)).await, "production");
    assert_eq!(due(NOW.plus_ms(30)).await, "development production");
    // Longer ago is the daily recount's.
    assert_eq!(due(NOW.plus_ms(HOUR + 30)).await, "");
    run(&database, "UPDATE instances SET status = 'deleted'").await;
    assert_eq!(due(NOW.plus_ms(30)).await, "");
    let plan = database
        .plan(&prices::due(NOW, NOW, 50).sql)
        .unwrap()
        .join("\n");
    assert!(plan.contains("price_overrides_beginning") && plan.contains("price_overrides_ending"));
    assert!(
        !plan.contains("SCAN i") && !plan.contains("SCAN e"),
        "{plan}"
    );
}

#[tokio::test]
async fn what_holds_for_an_instance_is_read_past_any_number_of_ended_rows() {
    let database = seeded();
    add(&database, &price(1, Some("production"), NOW, None)).await;
    add(&database, &price(2, None, NOW, None)).await;
    add(&database, &price(3, Some("development"), NOW, None)).await;
    let production = instance("production");
    let read = async || {
        let rows = database
            .query(prices::of_instance(&production, NOW))
            .await
            .unwrap();
        (
            PriceOverride::read_all(&rows).unwrap().len(),
            rows.rows_read,
        )
    };
    let few = read().await;
    assert_eq!(few.0, 2);
    run(&database, &format!(
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
         INSERT INTO price_overrides (price_id, org_id, instance_id, provider, model, row, valid_from, valid_to, created_by, created_at) \
         SELECT printf('0198f0d0-0000-7000-8000-%012d', i), '{ACME}', 'production', 'ideogram', 'm', '{{}}', '2025-01-01T00:00:00.000Z', '2025-01-02T00:00:00.000Z', 's', '' FROM n"
    )).await;
    assert_eq!(read().await, few);
    let (admin, acme) = (key_id(ADMIN_KEY), org(ACME));
    let provider = ideogram();
    let slot = Slot {
        org_id: &acme,
        instance_id: None,
        provider: &provider,
        model: "m",
    };
    let mut statements = vec![
        prices::of_instance(&production, NOW),
        prices::of_organization(None, &admin, NOW),
        prices::for_caller(&admin, &price_id(1)),
        prices::list(&admin, &ListFilter::default(), NOW, 50),
        slot.guard(&[], NOW),
        Quota::InstancePrices.count("production", ""),
        Quota::OrganizationPrices.guard(ACME, ""),
    ];
    statements.extend(Which::Ids(&[]).statements(NOW));
    statements.extend(Which::Organization(None, &admin).statements(NOW));
    statements.extend(Which::NotRecountedSince(NOW, 20).statements(NOW));
    statements.extend(Which::OfPrice(&price_id(1)).statements(NOW));
    statements.push(audit::head(&ChainOf::Price(price_id(1)), &admin));
    for statement in statements {
        let plan = database.plan(&statement.sql).unwrap();
        for line in &plan {
            let ordered = line.contains("sqlite_autoindex_price_overrides_1");
            let scan = line.starts_with("SCAN p") || line.contains("price_overrides");
            assert!(
                !(line.starts_with("SCAN") && scan) || ordered,
                "{plan:?}\n{}",
                statement.sql
            );
        }
    }
    // A page of a list walks as far as the page goes.
    let page = prices::list(&admin, &ListFilter::default(), NOW, 3);
    let plan = database.plan(&page.sql).unwrap();
    let walks = |line: &String| line.contains("price_overrides_listed (org_id=? AND price_id<?)");
    assert!(plan.iter().any(walks), "{plan:?}");
    // Only what the two walks gave, at most a page each, is sorted.
    for pair in plan.windows(2) {
        let sorts = pair[1].contains("TEMP B-TREE");
        assert!(!sorts || pair[0].starts_with("SCAN (subquery"), "{plan:?}");
    }
    let rows = database.query(page).await.unwrap();
    assert!(rows.rows_read <= 10, "{}", rows.rows_read);
    assert_eq!(rows.rows.len(), 3);
}
