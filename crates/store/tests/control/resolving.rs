//! Resolving a caller: who it is, what it may choose, and that nothing foreign is ever selected.

use crate::support::*;
use api_types::ProjectId;
use platform::{Database, SqlValue, Statement};
use store::control::resolve::{
    ChosenBy, ChosenRow, KeyRow, NamedProject, Owner, chosen, key, project,
};
use store::control::{api_keys, instances};

#[tokio::test]
async fn a_key_row_tells_owner_and_choices() {
    let database = seeded();
    let read = async |id: &str, hint: Option<&str>| {
        let hint = hint.map(instance);
        let rows = database
            .query(key(&key_id(id), hint.as_ref()))
            .await
            .unwrap();
        KeyRow::read(&rows).unwrap()
    };
    let names = |row: &KeyRow| {
        row.instances
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let admin = read(ADMIN_KEY, None).await.unwrap();
    assert_eq!(names(&admin), ["development", "production"]);
    assert!(admin.owner_active && !admin.instances_more);
    assert_eq!(names(&read(ROOT_KEY, None).await.unwrap()).len(), 3);
    assert_eq!(names(&read(USER_KEY, None).await.unwrap()), ["development"]);
    let project = read(PROJECT_KEY, None).await.unwrap();
    assert_eq!(names(&project), ["development"]);
    assert!(matches!(project.owner, Owner::Project { .. }));
    assert!(read("000000000000", None).await.is_none());
    for (id, hint, want) in [
        (ADMIN_KEY, "production", 1),
        (ADMIN_KEY, "foreign", 0),
        (ADMIN_KEY, "nowhere", 0),
        (ROOT_KEY, "foreign", 1),
        (USER_KEY, "development", 1),
        (USER_KEY, "production", 0),
        (PROJECT_KEY, "development", 1),
        (PROJECT_KEY, "production", 0),
    ] {
        assert_eq!(
            names(&read(id, Some(hint)).await.unwrap()).len(),
            want,
            "{id} {hint}"
        );
    }
    for sql in [
        "UPDATE api_keys SET instance_ids = '[\"production\"]' WHERE key_id = '4fGh7kQ2mZ0a'",
        "UPDATE organizations SET status = 'suspended' WHERE name = 'Foreign Ltd.'",
        "UPDATE users SET status = 'disabled' WHERE email = 'user@acme.example'",
    ] {
        database.query(Statement::new(sql)).await.unwrap();
    }
    assert_eq!(names(&read(ADMIN_KEY, None).await.unwrap()), ["production"]);
    assert!(!read("fore00000001", None).await.unwrap().owner_active);
    assert!(!read(USER_KEY, None).await.unwrap().owner_active);
}

/// Four principals, each with: no hint, own, sibling, foreign, missing instance, own project, foreign project.
#[tokio::test]
async fn a_foreign_configuration_is_never_selected() {
    let database = seeded();
    let none: Option<(&str, bool)> = None;
    for (who, want) in [
        (
            ROOT_KEY,
            [
                none,
                Some(("development", true)),
                Some(("production", true)),
                Some(("foreign", true)),
                None,
                Some(("development", true)),
                Some(("foreign", true)),
            ],
        ),
        (
            ADMIN_KEY,
            [
                none,
                Some(("development", true)),
                Some(("production", true)),
                Some(("foreign", false)),
                None,
                Some(("development", true)),
                Some(("foreign", false)),
            ],
        ),
        (
            USER_KEY,
            [
                Some(("development", true)),
                Some(("development", true)),
                Some(("production", false)),
                Some(("foreign", false)),
                None,
                Some(("development", true)),
                Some(("foreign", false)),
            ],
        ),
        (
            PROJECT_KEY,
            [
                Some(("development", true)),
                Some(("development", true)),
                Some(("production", false)),
                Some(("foreign", false)),
                None,
                Some(("development", true)),
                Some(("foreign", false)),
            ],
        ),
    ] {
        let hints = [
            (None, None),
            (Some("development"), None),
            (Some("production"), None),
            (Some("foreign"), None),
            (Some("nowhere"), None),
            (None, Some(CHAT)),
            (None, Some(FOREIGN_PROJECT)),
        ];
        for ((hint, named), want) in hints.into_iter().zip(want) {
            let (hint, named) = (
                hint.map(instance),
                named.map(|id| ProjectId::parse(id).unwrap()),
            );
            let by = ChosenBy {
                hint: hint.as_ref(),
                project: named.as_ref(),
                ..ChosenBy::default()
            };
            let rows = database.query(chosen(&key_id(who), by)).await.unwrap();
            if want.is_none_or(|(_, allowed)| !allowed) {
                let body = rows.first().and_then(|row| row.text("body"));
                assert_eq!(body, None, "{who} {hint:?} {named:?}");
            }
            let row = ChosenRow::read(&rows).unwrap();
            let got = row
                .as_ref()
                .map(|row| (row.instance_id.as_str(), row.allowed));
            assert_eq!(got, want, "{who} {hint:?} {named:?}");
            if let Some(row) = row.filter(|row| row.allowed) {
                assert_eq!(row.config.unwrap().instance_id, row.instance_id);
            }
        }
    }
}

#[tokio::test]
async fn a_held_configuration_does_not_come_back() {
    let database = seeded();
    let development = instance("development");
    let ask = |version| ChosenBy {
        have: Some((&development, version)),
        ..ChosenBy::default()
    };
    let user = key_id(USER_KEY);
    let same = ChosenRow::read(&database.query(chosen(&user, ask(1))).await.unwrap())
        .unwrap()
        .unwrap();
    assert_eq!((same.config_version, same.config), (1, None));
    let older = ChosenRow::read(&database.query(chosen(&user, ask(0))).await.unwrap())
        .unwrap()
        .unwrap();
    assert!(older.config.is_some());
    let production = instance("production");
    let other = ChosenBy {
        have: Some((&production, 1)),
        ..ChosenBy::default()
    };
    let other = ChosenRow::read(&database.query(chosen(&user, other)).await.unwrap())
        .unwrap()
        .unwrap();
    assert!(other.config.is_some());
}

#[tokio::test]
async fn a_deployed_set_is_the_choice_after_hints_and_projects() {
    let database = seeded();
    let production = instance("production");
    let by = ChosenBy {
        deployed: Some(&production),
        ..ChosenBy::default()
    };
    let row = ChosenRow::read(
        &database
            .query(chosen(&key_id(ADMIN_KEY), by))
            .await
            .unwrap(),
    )
    .unwrap()
    .unwrap();
    assert_eq!(row.instance_id, production);
    let forge = ProjectId::parse(FORGE).unwrap();
    let named = database.query(project(&forge)).await.unwrap();
    let named = NamedProject::read(&named).unwrap().unwrap();
    assert_eq!(named.instance_id, production);
    let nobody = ProjectId::parse("0198f0a2-0000-7000-8000-0000000000ff").unwrap();
    let missing = database.query(project(&nobody)).await.unwrap();
    assert!(NamedProject::read(&missing).unwrap().is_none());
    // A project key's own project comes with its instance.
    let own = async |who: &str| {
        let statement = chosen(&key_id(who), ChosenBy::default());
        let row = ChosenRow::read(&database.query(statement).await.unwrap()).unwrap();
        row.unwrap().own_project
    };
    let of_key = own(PROJECT_KEY).await.unwrap();
    assert_eq!(
        (of_key.project_id.as_str(), of_key.name.as_str()),
        (CHAT, "Website Chat")
    );
    assert_eq!(of_key.instance_id, instance("development"));
    assert_eq!(own(USER_KEY).await, None);
}

#[tokio::test]
async fn deleted_instances_are_nowhere() {
    let database = seeded();
    database
        .query(Statement::new(
            "UPDATE instances SET status = 'deleted' WHERE instance_id = 'development'",
        ))
        .await
        .unwrap();
    let development = instance("development");
    let by = ChosenBy {
        hint: Some(&development),
        ..ChosenBy::default()
    };
    for who in [ROOT_KEY, ADMIN_KEY, USER_KEY, PROJECT_KEY] {
        assert!(
            ChosenRow::read(&database.query(chosen(&key_id(who), by)).await.unwrap())
                .unwrap()
                .is_none()
        );
    }
    let key = KeyRow::read(
        &database
            .query(key(&key_id(PROJECT_KEY), None))
            .await
            .unwrap(),
    )
    .unwrap()
    .unwrap();
    assert!(!key.owner_active);
}

#[tokio::test]
async fn lists_are_filtered_by_what_the_caller_may_see() {
    let database = seeded();
    let seen = async |who: &str| {
        let rows = database
            .query(instances::list(
                &key_id(who),
                &instances::ListFilter::default(),
                10,
            ))
            .await
            .unwrap();
        let lines = instances::InstanceSummary::read_all(&rows).unwrap();
        let keys = database
            .query(api_keys::list(
                &key_id(who),
                &api_keys::ListFilter::default(),
                NOW,
                50,
            ))
            .await
            .unwrap();
        (
            lines.len(),
            api_keys::KeyView::read_all(&keys).unwrap().len(),
        )
    };
    assert_eq!(seen(ROOT_KEY).await, (3, 9));
    assert_eq!(seen(ADMIN_KEY).await, (2, 5));
    assert_eq!(seen(USER_KEY).await, (1, 1));
    assert_eq!(seen(PROJECT_KEY).await, (1, 1));
    let filter = api_keys::ListFilter {
        status: Some(api_keys::KeyState::Revoked),
        ..Default::default()
    };
    let rows = database
        .query(api_keys::list(&key_id(ADMIN_KEY), &filter, NOW, 50))
        .await
        .unwrap();
    assert_eq!(
        api_keys::KeyView::read_all(&rows).unwrap()[0]
            .key_id
            .as_str(),
        "revoked00001"
    );
    let mut after = None;
    let mut pages = Vec::new();
    loop {
        let filter = api_keys::ListFilter {
            after: after.clone(),
            ..Default::default()
        };
        let rows = database
            .query(api_keys::list(&key_id(ROOT_KEY), &filter, NOW, 2))
            .await
            .unwrap();
        let page = api_keys::KeyView::read_all(&rows).unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.created_at.to_string(), last.key_id.to_string()));
        pages.extend(page.iter().map(|key| key.key_id.clone()));
    }
    pages.dedup();
    assert_eq!(pages.len(), 9);
    let filter = instances::ListFilter {
        q: Some("PROD".into()),
        ..Default::default()
    };
    let rows = database
        .query(instances::list(&key_id(ROOT_KEY), &filter, 10))
        .await
        .unwrap();
    assert_eq!(rows.rows.len(), 1);
    assert_eq!(
        rows.rows[0].get("instance_id"),
        &SqlValue::Text("production".into())
    );
}
