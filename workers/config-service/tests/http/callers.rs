//! The matrix again for callers that are more than a role: a session of a key, and a key that is restricted to one instance.

use crate::matrix::{arrived, house_for};
use crate::places::{FOREIGN_MARKS, ask_for, furnished, key_of, values};
use crate::support::*;
use http::Method;
use middleware::testing::matrix::{Kind, Listed, Place, Recipe, Verdict, Who};
use serde_json::{Value, json};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acting {
    /// As the console does: with a session of that principal's key.
    SessionOf(Who),
    /// That administrator or superadmin, with a key that is restricted to `development`.
    Restricted(Who),
}

impl Acting {
    const ALL: [Acting; 5] = [
        Acting::SessionOf(Who::Superadmin),
        Acting::SessionOf(Who::Admin),
        Acting::SessionOf(Who::User),
        Acting::Restricted(Who::Admin),
        Acting::Restricted(Who::Superadmin),
    ];

    const fn who(self) -> Who {
        match self {
            Acting::SessionOf(who) | Acting::Restricted(who) => who,
        }
    }

    /// Its key in that house.
    async fn key(self, service: &Service) -> String {
        let key = key_of(self.who());
        match self {
            Acting::SessionOf(_) => {
                let opened = service.post(key, "/session", &json!({})).await.json();
                let session = opened["key"].as_str().unwrap();
                // The first use of a secret is recorded: that is not the doing of what is asked for.
                let used = service.get(session, "/session").await;
                assert_eq!(used.status, 200, "{}", used.text());
                service.settle().await;
                session.to_owned()
            }
            Acting::Restricted(_) => {
                let id = &key[3..15];
                let reach = "UPDATE api_keys SET instance_ids = '[\"development\"]' WHERE key_id";
                service.run(&format!("{reach} = '{id}'")).await;
                key.to_owned()
            }
        }
    }

    /// What the specification promises, from what it promises the principal.
    fn promise(self, recipe: &Recipe, listed: &Listed, place: Place) -> Verdict {
        let promised = recipe.promise(self.who(), place);
        let operation = recipe.operation;
        if promised != Verdict::Allowed {
            return promised;
        }
        let elsewhere = matches!(place, Place::Sibling | Place::Foreign);
        match self {
            // "session key asking for a session: 403".
            Acting::SessionOf(_) if operation == "create_session" => Verdict::Refused,
            Acting::SessionOf(_) => promised,
            // What other instances have is as little there as for a user.
            Acting::Restricted(_) if operation == "get_worker" && elsewhere => Verdict::Hidden,
            Acting::Restricted(_) => {
                let filter = listed.method == Method::GET && !listed.path.contains('{');
                let elsewhere = elsewhere && of_an_instance(recipe.kind) && !filter;
                if elsewhere || BEYOND.contains(&(operation, recipe.kind, place)) {
                    Verdict::Refused
                } else {
                    promised
                }
            }
        }
    }
}

/// "Nobody mints instances beyond his own": what would give or take more than the one instance, though it names another
/// thing. The recipes of access are about `production`, those of keys mint keys of every instance.
const BEYOND: [(&str, Kind, Place); 15] = [
    ("delete_user", Kind::Member, Place::Own),
    ("delete_user", Kind::Member, Place::Foreign),
    ("grant_access", Kind::Member, Place::Own),
    ("revoke_access", Kind::Member, Place::Own),
    ("replace_access", Kind::Member, Place::Own),
    ("replace_access", Kind::Member, Place::Foreign),
    ("create_api_key", Kind::User, Place::Own),
    ("create_api_key", Kind::User, Place::Sibling),
    ("create_api_key", Kind::User, Place::Foreign),
    ("create_api_key", Kind::Project, Place::Own),
    ("create_api_key", Kind::Project, Place::Beside),
    ("rotate_api_key", Kind::Key, Place::Sibling),
    ("rotate_api_key", Kind::Key, Place::Foreign),
    ("put_price", Kind::Organization, Place::Own),
    ("put_price", Kind::Organization, Place::Foreign),
];

/// Whether things of that kind are an instance or in one.
fn of_an_instance(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Instance | Kind::Project | Kind::ProjectKey | Kind::Thing
    )
}

#[tokio::test]
async fn sessions_and_restricted_keys_get_what_the_table_promises() {
    let mut broken = Vec::new();
    let mut cells = 0;
    for (recipe, listed) in arrived() {
        for acting in Acting::ALL {
            for place in recipe.kind.places() {
                let Some(values) = values(acting.who(), recipe.kind, *place) else {
                    continue;
                };
                let service = house_for(&recipe, *place, &values).await;
                let key = acting.key(&service).await;
                let filled = recipe.request(&listed, &values).unwrap();
                let written = service.ports.world.ops.count().d1_rows_written;
                let answer = ask_for(&service, &key, &filled).await;
                let written = service.ports.world.ops.count().d1_rows_written - written;
                service.settle().await;
                cells += 1;
                let promise = acting.promise(&recipe, &listed, *place);
                let (status, code) = answer.outcome();
                let name = format!(
                    "{} of {:?} {place:?} by {acting:?}",
                    recipe.operation, recipe.kind
                );
                // A session does not end the key that it acts as.
                let own_key = (recipe.operation, recipe.kind, *place)
                    == ("revoke_api_key", Kind::Key, Place::Own);
                let kept = if own_key && matches!(acting, Acting::SessionOf(_)) {
                    (status, &*code) == (409, "conflict")
                } else {
                    promise.is_kept(status, &code, recipe.done(&listed))
                };
                if !kept {
                    broken.push(format!(
                        "{name}: {promise:?}, but {status} {}",
                        answer.text()
                    ));
                }
                if promise != Verdict::Allowed && written > 0 {
                    broken.push(format!("{name}: refused, but {written} rows written"));
                }
                let seen = format!("{}{:?}", answer.text(), answer.headers);
                let leak = FOREIGN_MARKS.iter().find(|mark| seen.contains(**mark));
                let all = acting.who() == Who::Superadmin || listed.class == "P";
                if let Some(leak) = leak.filter(|_| !all) {
                    broken.push(format!(
                        "{name}: `{leak}` of the foreign organization in {seen}"
                    ));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(cells > 150, "only {cells} cells");
}

/// Who is in the lists' columns.
const COLUMNS: [(&str, Option<Acting>); 7] = [
    ("superadmin", Some(Acting::SessionOf(Who::Superadmin))),
    ("admin", Some(Acting::SessionOf(Who::Admin))),
    ("restricted admin", Some(Acting::Restricted(Who::Admin))),
    (
        "restricted superadmin",
        Some(Acting::Restricted(Who::Superadmin)),
    ),
    ("user", Some(Acting::SessionOf(Who::User))),
    ("project key", None),
    ("admin's key", None),
];

/// What identifies a line, shortened to the last four characters of an id.
fn line(item: &Value, members: &[&str]) -> String {
    let part = |name: &&str| {
        let text = item[name].as_str().unwrap_or("-");
        let tail = text
            .len()
            .saturating_sub(if text.len() == 36 { 4 } else { 40 });
        text.get(tail..).unwrap_or(text).to_owned()
    };
    members.iter().map(part).collect::<Vec<_>>().join("/")
}

/// Every line of a list, over all of its pages.
async fn lines(service: &Service, key: &str, path: &str, members: &[&str]) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.get(key, &format!("{path}?limit=2{cursor}")).await;
        let body = page.json();
        if page.status != 200 {
            return vec![page.outcome().1];
        }
        let items = body["items"].as_array().unwrap();
        found.extend(items.iter().map(|item| line(item, members)));
        match body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    found.sort();
    found
}

/// "Lists never fail for that reason: they are filtered": each list shows exactly the rows that are there for its caller.
#[tokio::test]
async fn a_list_shows_its_callers_rows_and_no_others() {
    // Own, beside, sibling and foreign rows are in the house; the columns are those of `COLUMNS`, the last as the second.
    type Shown = &'static [&'static str];
    #[rustfmt::skip]
    let lists: [(&str, &[&str], [Shown; 6]); 8] = [
        ("/organization", &["org_id"], [&["0001", "0002"], &["0001"], &["0001"], &["0001", "0002"], &["0001"], &["forbidden"]]),
        ("/instance", &["instance_id"], [&["development", "foreign", "production"], &["development", "production"], &["development"], &["development"], &["development"], &["scope_missing"]]),
        ("/user", &["user_id"], [&["0000", "0001", "0002", "0003", "0004", "0005"], &["0001", "0002", "0005"], &["0001", "0002", "0005"], &["0000", "0001", "0002", "0003", "0004", "0005"], &["role_required"], &["forbidden"]]),
        ("/access", &["user_id", "instance_id"], [&["0002/development", "0004/foreign", "0005/production"], &["0002/development", "0005/production"], &["0002/development"], &["0002/development"], &["role_required"], &["forbidden"]]),
        ("/project", &["project_id"], [&["0001", "0002", "0003", "0004"], &["0001", "0002", "0004"], &["0002", "0004"], &["0002", "0004"], &["0002", "0004"], &["scope_missing"]]),
        ("/api-key", &["key_id"], [
            &["4fGh7kQ2mZ0a", "beside000001", "expired00001", "fore00000001", "fproj0000001", "fuser0000001", "proj00000001", "revoked00001", "root00000001", "sibling00001", "user00000001"],
            &["4fGh7kQ2mZ0a", "beside000001", "expired00001", "proj00000001", "revoked00001", "sibling00001", "user00000001"],
            &["4fGh7kQ2mZ0a", "beside000001", "expired00001", "proj00000001", "revoked00001", "user00000001"],
            &["4fGh7kQ2mZ0a", "beside000001", "expired00001", "fore00000001", "fuser0000001", "proj00000001", "revoked00001", "root00000001", "user00000001"],
            &["user00000001"], &["proj00000001"],
        ]),
        ("/price", &["price_id"], [&["0001", "0002", "0003", "0004"], &["0001", "0003", "0004"], &["0001", "0004"], &["0001", "0004"], &["0001", "0004"], &["scope_missing"]]),
        ("/worker", &["name", "instance_id"], [
            &["config-service/-", "image-gen/development", "image-gen/foreign", "image-gen/production"],
            &["config-service/-", "image-gen/development", "image-gen/production"],
            &["config-service/-", "image-gen/development"], &["config-service/-", "image-gen/development"], &["config-service/-", "image-gen/development"], &["config-service/-", "image-gen/development"],
        ]),
    ];
    let mut broken = Vec::new();
    for (path, members, columns) in lists {
        for (at, (name, acting)) in COLUMNS.iter().enumerate() {
            let service = furnished();
            service.run(FURTHER_LINES[0]).await;
            service.run(FURTHER_LINES[1]).await;
            service.run(FURTHER_LINES[2]).await;
            let key = match acting {
                Some(acting) => acting.key(&service).await,
                None if *name == "project key" => PROJECT.to_owned(),
                None => ADMIN.to_owned(),
            };
            let wanted = columns.get(at).unwrap_or(&columns[1]);
            let found = lines(&service, &key, path, members).await;
            service.settle().await;
            if found != *wanted {
                broken.push(format!("{path} by {name}: {found:?} instead of {wanted:?}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Rows of lists that no cell of the matrix needs: a grant of a sibling instance, a price for all instances, a worker of
/// the platform.
const FURTHER_LINES: [&str; 3] = [
    "INSERT INTO user_instance_access (user_id, instance_id, created_at, granted_by) VALUES ('0198f0a1-0000-7000-8000-000000000005', 'production', '2025-11-21T09:00:00.000Z', 'seed')",
    "INSERT INTO price_overrides (price_id, org_id, provider, model, row, valid_from, created_by, created_at) VALUES ('0198f0a5-0000-7000-8000-000000000004', '0198f0a0-0000-7000-8000-000000000001', 'ideogram', 'all', '{}', '2034-11-21T09:00:00.000Z', 'seed', '2025-11-21T09:00:00.000Z')",
    "INSERT INTO worker_registry (name, instance_id, version, git_sha, url, registered_at, created_at, by_platform) VALUES ('config-service', '', '1.3.0', 'ab12cd2', 'https://control.example.com', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z', 1)",
];
