//! Filtered lists of everything: what a page looks at is bounded, and the pages together find all there is.

use crate::budgets::grown;
use crate::places::furnished;
use crate::support::*;
use platform::fakes::SqliteDatabase;
use serde_json::Value;
use std::collections::BTreeSet;

/// Filters that match rows of the seed only, whatever else is in the house.
const FILTERED: [&str; 11] = [
    "/instance?q=development",
    "/instance?status=paused",
    "/instance?org_id=0198f0a0-0000-7000-8000-000000000001&q=prod",
    "/user?q=user@acme",
    "/user?role=admin",
    "/project?q=website",
    "/worker?health=unknown",
    "/worker?capability=image.generate",
    "/api-key?status=revoked",
    "/price?model=own",
    "/price?org_id=0198f0a0-0000-7000-8000-000000000001&model=own",
];

/// What identifies a line.
fn line(item: &Value) -> String {
    let members = [
        "key_id",
        "price_id",
        "project_id",
        "user_id",
        "name",
        "instance_id",
    ];
    let named = members.map(|name| item[name].as_str().unwrap_or("-").to_owned());
    named.join(" ")
}

struct Walked {
    lines: Vec<String>,
    pages: usize,
    /// Steps of the machine for the page that took most.
    most_steps: u64,
}

async fn walked(database: &SqliteDatabase, key: &str, path: &str) -> Walked {
    let service = Service::on(database, settings("test"));
    service.made_up();
    let mut walked = Walked {
        lines: Vec::new(),
        pages: 0,
        most_steps: 0,
    };
    let mut next = String::new();
    loop {
        service.record();
        let answer = service.get(key, &format!("{path}&limit=2{next}")).await;
        let steps = service.steps();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let body = answer.json();
        walked
            .lines
            .extend(body["items"].as_array().unwrap().iter().map(line));
        walked.pages += 1;
        walked.most_steps = walked.most_steps.max(steps);
        service.settle().await;
        match body["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return walked,
        }
        assert!(walked.pages < 100, "{path} does not end");
    }
}

#[tokio::test]
async fn a_filtered_page_of_everything_looks_at_a_bounded_number_of_rows() {
    let house = furnished().ports.database.clone();
    let (few, many) = (grown(3), grown(6));
    for path in FILTERED {
        for key in [ROOT, ADMIN] {
            let there = walked(&house, key, path).await;
            let [few, many] = [
                walked(&few, key, path).await,
                walked(&many, key, path).await,
            ];
            // None is missed and none is told twice, wherever the pages are cut.
            assert_eq!(few.lines, there.lines, "{path}");
            assert_eq!(many.lines, there.lines, "{path}");
            let lines: BTreeSet<&String> = many.lines.iter().collect();
            assert_eq!(lines.len(), many.lines.len(), "{path}");
            assert!(
                many.most_steps * 10 <= few.most_steps * 11,
                "{path}: {} steps became {}",
                few.most_steps,
                many.most_steps
            );
            // Whoever has an organization does not walk through those of others.
            if key == ADMIN || path.contains("org_id") {
                assert_eq!(many.pages, there.pages, "{path}");
            } else {
                assert!(many.pages > few.pages, "{path}");
            }
        }
    }
    assert!(!walked(&house, ROOT, FILTERED[0]).await.lines.is_empty());
}

/// A page of everything ends when it is full.
#[tokio::test]
async fn a_page_of_everything_costs_the_same_in_a_larger_house() {
    let (few, many) = (grown(1), grown(4));
    for path in [
        "/organization",
        "/instance",
        "/user",
        "/access",
        "/project",
        "/api-key",
        "/price",
        "/worker",
    ] {
        let mut steps = Vec::new();
        for database in [&few, &many] {
            let service = Service::on(database, settings("test"));
            service.made_up();
            service.record();
            let answer = service.get(ROOT, &format!("{path}?limit=20")).await;
            assert_eq!(
                answer.json()["items"].as_array().unwrap().len(),
                20,
                "{path}"
            );
            steps.push(service.steps());
            service.settle().await;
        }
        assert!(steps[1] * 10 <= steps[0] * 11, "{path}: {steps:?}");
    }
}

/// A superadmin's key of three instances, and the keys of one owner, are looked up and not searched for.
#[tokio::test]
async fn what_is_named_is_not_searched_for() {
    let (few, many) = (grown(1), grown(4));
    let user = format!("/api-key?user_id={USER_USER}");
    let project = format!("/api-key?project_id={CHAT}");
    for (path, restricted) in [
        (user.as_str(), false),
        (project.as_str(), false),
        ("/instance?", true),
        ("/worker?", true),
    ] {
        let mut steps = Vec::new();
        for database in [&few, &many] {
            let service = Service::on(database, settings("test"));
            service.made_up();
            if restricted {
                let reach = r#"["production","foreign","nowhere"]"#;
                service
                    .run(&format!(
                        "UPDATE api_keys SET instance_ids = '{reach}' WHERE key_id = 'root00000001'"
                    ))
                    .await;
            }
            service.record();
            let answer = service.get(ROOT, path).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let found = answer.json()["items"].as_array().unwrap().len();
            assert!((1..=3).contains(&found), "{path}: {}", answer.text());
            steps.push(service.steps());
            service.settle().await;
        }
        assert_eq!(steps[0], steps[1], "{path}");
    }
}
