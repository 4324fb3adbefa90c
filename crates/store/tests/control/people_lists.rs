//! Organizations, users, access and projects: who sees which of them, page by page, and at which cost.

use crate::support::*;
use platform::fakes::SqliteDatabase;
use platform::{Database, Statement};
use store::control::organizations::{self, OrganizationRow};
use store::control::projects::{self, ProjectLine, ProjectView};
use store::control::users::{self, UserLine, UserRow};
use store::control::{access, api_keys};

async fn run(database: &SqliteDatabase, sql: &str) {
    database
        .query(Statement::new(sql.to_owned()))
        .await
        .unwrap();
}

async fn organization_list(database: &SqliteDatabase, who: &str) -> Vec<String> {
    let list = organizations::list(&key(who), &organizations::ListFilter::default(), 10);
    let lines = OrganizationRow::read_all(&rows(database, list).await).unwrap();
    lines.into_iter().map(|line| line.name).collect()
}

async fn user_list(database: &SqliteDatabase, who: &str, filter: users::ListFilter) -> Vec<String> {
    let lines = UserLine::read_all(&rows(database, users::list(&key(who), &filter, NOW, 10)).await);
    lines
        .unwrap()
        .into_iter()
        .map(|line| line.user.email)
        .collect()
}

async fn access_list(
    database: &SqliteDatabase,
    who: &str,
    filter: access::ListFilter,
) -> Vec<String> {
    let lines =
        access::Grant::read_all(&rows(database, access::list(&key(who), &filter, 10)).await);
    let short = |grant: access::Grant| {
        format!(
            "{} {}",
            grant
                .user_id
                .as_str()
                .trim_start_matches("0198f0a1-0000-7000-8000-"),
            grant.instance_id
        )
    };
    lines.unwrap().into_iter().map(short).collect()
}

async fn project_list(
    database: &SqliteDatabase,
    who: &str,
    filter: projects::ListFilter,
) -> Vec<String> {
    let lines =
        ProjectLine::read_all(&rows(database, projects::list(&key(who), &filter, 10)).await);
    lines.unwrap().into_iter().map(|line| line.name).collect()
}

#[tokio::test]
async fn each_caller_sees_its_own_newest_first() {
    let database = seeded();
    for (who, organizations, users, grants, projects) in [
        (
            ROOT_KEY,
            vec!["Foreign Ltd.", "Acme Corp."],
            vec![
                "user@foreign.example",
                "admin@foreign.example",
                "user@acme.example",
                "admin@acme.example",
                "root@platform.example",
            ],
            vec!["000000000004 foreign", "000000000002 development"],
            vec!["Foreign Project", "Website Chat", "Content Forge"],
        ),
        (
            ADMIN_KEY,
            vec!["Acme Corp."],
            vec!["user@acme.example", "admin@acme.example"],
            vec!["000000000002 development"],
            vec!["Website Chat", "Content Forge"],
        ),
        (
            USER_KEY,
            vec!["Acme Corp."],
            vec![],
            vec![],
            vec!["Website Chat"],
        ),
        (
            PROJECT_KEY,
            vec!["Acme Corp."],
            vec![],
            vec![],
            vec!["Website Chat"],
        ),
        ("000000000000", vec![], vec![], vec![], vec![]),
    ] {
        assert_eq!(
            organization_list(&database, who).await,
            organizations,
            "{who}"
        );
        assert_eq!(
            user_list(&database, who, users::ListFilter::default()).await,
            users,
            "{who}"
        );
        assert_eq!(
            access_list(&database, who, access::ListFilter::default()).await,
            grants,
            "{who}"
        );
        assert_eq!(
            project_list(&database, who, projects::ListFilter::default()).await,
            projects,
            "{who}"
        );
    }
    // A project key sees no sibling in its own instance; a restricted key sees what it reaches.
    run(&database, "INSERT INTO projects (project_id, instance_id, name, created_at, created_by, updated_at) VALUES ('0198f0a2-0000-7000-8000-0000000000aa', 'development', 'Sibling', '2025-11-21T09:00:00.000Z', 's', '2025-11-21T09:00:00.000Z')").await;
    assert_eq!(
        project_list(&database, PROJECT_KEY, projects::ListFilter::default()).await,
        ["Website Chat"]
    );
    assert_eq!(
        project_list(&database, USER_KEY, projects::ListFilter::default()).await,
        ["Sibling", "Website Chat"]
    );
    run(
        &database,
        "UPDATE api_keys SET instance_ids = '[\"production\"]'",
    )
    .await;
    assert_eq!(
        project_list(&database, ADMIN_KEY, projects::ListFilter::default()).await,
        ["Content Forge"]
    );
    assert_eq!(
        project_list(&database, ROOT_KEY, projects::ListFilter::default()).await,
        ["Content Forge"]
    );
    assert!(
        access_list(&database, ADMIN_KEY, access::ListFilter::default())
            .await
            .is_empty()
    );
    assert!(
        project_list(&database, USER_KEY, projects::ListFilter::default())
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn filters_narrow_and_foreign_ones_find_nothing() {
    let database = seeded();
    let some = |text: &str| Some(text.to_owned());
    for (filter, root, admin) in [
        (
            users::ListFilter {
                org_id: some(FOREIGN_LTD),
                ..Default::default()
            },
            2,
            0,
        ),
        (
            users::ListFilter {
                org_id: some(ACME),
                ..Default::default()
            },
            2,
            2,
        ),
        (
            users::ListFilter {
                role: some("admin"),
                ..Default::default()
            },
            2,
            1,
        ),
        (
            users::ListFilter {
                status: some("disabled"),
                ..Default::default()
            },
            0,
            0,
        ),
        (
            users::ListFilter {
                q: some("USER@"),
                ..Default::default()
            },
            2,
            1,
        ),
    ] {
        assert_eq!(
            user_list(&database, ROOT_KEY, filter.clone()).await.len(),
            root,
            "{filter:?}"
        );
        assert_eq!(
            user_list(&database, ADMIN_KEY, filter.clone()).await.len(),
            admin,
            "{filter:?}"
        );
    }
    for (filter, root, admin) in [
        (
            access::ListFilter {
                org_id: some(FOREIGN_LTD),
                ..Default::default()
            },
            1,
            0,
        ),
        (
            access::ListFilter {
                user_id: some(USER),
                ..Default::default()
            },
            1,
            1,
        ),
        (
            access::ListFilter {
                user_id: some(FOREIGN_USER),
                ..Default::default()
            },
            1,
            0,
        ),
        (
            access::ListFilter {
                instance_id: some("foreign"),
                ..Default::default()
            },
            1,
            0,
        ),
        (
            access::ListFilter {
                instance_id: some("development"),
                ..Default::default()
            },
            1,
            1,
        ),
    ] {
        assert_eq!(
            access_list(&database, ROOT_KEY, filter.clone()).await.len(),
            root,
            "{filter:?}"
        );
        assert_eq!(
            access_list(&database, ADMIN_KEY, filter.clone())
                .await
                .len(),
            admin,
            "{filter:?}"
        );
    }
    for (filter, root, admin, own) in [
        (
            projects::ListFilter {
                org_id: some(FOREIGN_LTD),
                ..Default::default()
            },
            1,
            0,
            0,
        ),
        (
            projects::ListFilter {
                org_id: some(ACME),
                ..Default::default()
            },
            2,
            2,
            1,
        ),
        (
            projects::ListFilter {
                instance_id: some("foreign"),
                ..Default::default()
            },
            1,
            0,
            0,
        ),
        (
            projects::ListFilter {
                instance_id: some("development"),
                ..Default::default()
            },
            1,
            1,
            1,
        ),
        (
            projects::ListFilter {
                instance_id: some("development"),
                org_id: some(FOREIGN_LTD),
                ..Default::default()
            },
            0,
            0,
            0,
        ),
        (
            projects::ListFilter {
                q: some("WEBSITE"),
                ..Default::default()
            },
            1,
            1,
            1,
        ),
    ] {
        assert_eq!(
            project_list(&database, ROOT_KEY, filter.clone())
                .await
                .len(),
            root,
            "{filter:?}"
        );
        assert_eq!(
            project_list(&database, ADMIN_KEY, filter.clone())
                .await
                .len(),
            admin,
            "{filter:?}"
        );
        assert_eq!(
            project_list(&database, PROJECT_KEY, filter.clone())
                .await
                .len(),
            own,
            "{filter:?}"
        );
    }
}

#[tokio::test]
async fn pages_join_without_gap_or_repetition() {
    let database = seeded();
    run(&database, &format!("INSERT INTO user_instance_access VALUES ('{USER}', 'production', '2025-11-21T09:00:00.000Z', 's'), ('{ADMIN_USER}', 'production', '2025-11-21T09:00:00.000Z', 's')")).await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let filter = access::ListFilter {
            after: after.clone(),
            ..Default::default()
        };
        let page = access::Grant::read_all(
            &rows(&database, access::list(&key(ROOT_KEY), &filter, 1)).await,
        )
        .unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.user_id.to_string(), last.instance_id.to_string()));
        seen.push(format!(
            "{} {}",
            &last.user_id.as_str()[24..],
            last.instance_id
        ));
    }
    assert_eq!(
        seen,
        [
            "000000000004 foreign",
            "000000000002 development",
            "000000000002 production",
            "000000000001 production"
        ]
    );
    // The same within the lines of one user.
    let filter = access::ListFilter {
        user_id: Some(USER.into()),
        after: Some((USER.into(), "development".into())),
        ..Default::default()
    };
    assert_eq!(
        access_list(&database, ADMIN_KEY, filter).await,
        ["000000000002 production"]
    );
    let filter = users::ListFilter {
        after: Some(USER.into()),
        ..Default::default()
    };
    assert_eq!(
        user_list(&database, ADMIN_KEY, filter).await,
        ["admin@acme.example"]
    );
    let filter = projects::ListFilter {
        after: Some(CHAT.into()),
        ..Default::default()
    };
    assert_eq!(
        project_list(&database, ROOT_KEY, filter).await,
        ["Content Forge"]
    );
    let filter = organizations::ListFilter {
        after: Some(FOREIGN_LTD.into()),
        ..Default::default()
    };
    let list = organizations::list(&key(ROOT_KEY), &filter, 10);
    assert_eq!(rows(&database, list).await.rows.len(), 1);
}

#[tokio::test]
async fn a_sibling_project_shows_nothing_of_itself() {
    let database = seeded();
    run(
        &database,
        &format!(
            "UPDATE projects SET settings = '{{\"tone\":\"dry\"}}' WHERE project_id = '{FORGE}'"
        ),
    )
    .await;
    for (who, allowed) in [
        (ROOT_KEY, true),
        (ADMIN_KEY, true),
        (USER_KEY, false),
        (PROJECT_KEY, false),
    ] {
        let seen = rows(&database, projects::for_caller(&key(who), &project(FORGE))).await;
        let seen = ProjectView::read(&seen).unwrap().unwrap();
        assert_eq!(seen.allowed, allowed, "{who}");
        assert_eq!(
            seen.name.is_empty() && seen.settings.is_empty(),
            !allowed,
            "{who}"
        );
    }
    run(
        &database,
        &format!("UPDATE projects SET status = 'deleted' WHERE project_id = '{FORGE}'"),
    )
    .await;
    let gone = rows(
        &database,
        projects::for_caller(&key(ROOT_KEY), &project(FORGE)),
    )
    .await;
    assert_eq!(ProjectView::read(&gone).unwrap(), None);
}

#[tokio::test]
async fn another_role_has_other_instances() {
    let database = seeded();
    let as_role = async |role: &str| {
        users::read_instances_as(&rows(&database, users::instances_as(&user(USER), role)).await)
            .unwrap()
    };
    assert_eq!(as_role("user").await, instances(&["development"]));
    assert_eq!(
        as_role("admin").await,
        instances(&["development", "production"])
    );
    let own = UserRow::read(&rows(&database, users::by_id(&user(USER))).await)
        .unwrap()
        .unwrap();
    assert_eq!(own.instances, instances(&["development"]));
}

/// Every statement of these tables, on tables that may have many rows.
fn statements() -> Vec<(&'static str, Statement)> {
    let (admin, acme, one) = (key(ADMIN_KEY), org(ACME), user(USER));
    let (chat, ids) = (project(CHAT), instances(&["production"]));
    vec![
        ("organization", organizations::by_id(&acme)),
        (
            "own organization",
            organizations::named_or_own(None, &admin),
        ),
        (
            "organizations",
            organizations::list(&admin, &organizations::ListFilter::default(), 51),
        ),
        ("content", organizations::content(&acme)),
        ("empty", organizations::guard_empty(&acme)),
        (
            "change organization",
            organizations::update(&acme, "n", "e", "active", NOW),
        ),
        ("delete organization", organizations::delete(&acme, NOW)),
        ("user", users::by_id(&one)),
        ("user of key", users::of_key(&admin)),
        (
            "instances of another role",
            users::instances_as(&one, "admin"),
        ),
        (
            "users",
            users::list(&admin, &users::ListFilter::default(), NOW, 51),
        ),
        ("administered", users::administered_without(&one)),
        (
            "guard administered",
            users::guard_administered_without(&one),
        ),
        (
            "change user",
            users::update(&one, "n", "user", "active", NOW),
        ),
        ("delete user", users::delete(&one, NOW)),
        (
            "keys of user",
            api_keys::revoke_of_user(&one, "b", "r", NOW),
        ),
        (
            "keys of project",
            api_keys::revoke_of_project(&chat, "b", "r", NOW),
        ),
        ("standing", access::standing(&one, None, &admin, &ids)),
        ("inside", access::guard_each_in_organization(&one, &ids)),
        ("room", access::guard_room_in_each(&ids)),
        ("revoke", access::revoke(&one, &ids[0])),
        ("revoke all", access::revoke_all(&one)),
        ("revoke each", access::revoke_each(&one, &ids)),
        (
            "grants",
            access::list(&admin, &access::ListFilter::default(), 51),
        ),
        ("project", projects::for_caller(&admin, &chat)),
        (
            "projects",
            projects::list(&admin, &projects::ListFilter::default(), 51),
        ),
        ("change project", projects::update(&chat, "n", "{}", NOW)),
        ("delete project", projects::delete(&chat, NOW)),
    ]
}

#[tokio::test]
async fn no_statement_scans_a_table() {
    let database = seeded();
    // Parts of a statement that are small by construction: the caller's one row, arrays of the request, one page.
    let small = [
        "w",
        "s",
        "h",
        "j",
        "x",
        "y",
        "g",
        "m",
        "n",
        "json_each",
        "who",
        "named",
        "own",
        "every",
        "mine",
        "page",
        "span",
        "home",
        "CONSTANT",
    ];
    for (name, statement) in statements() {
        for line in database.plan(&statement.sql).unwrap() {
            let Some(scanned) = line.strip_prefix("SCAN ") else {
                continue;
            };
            let scanned = scanned.split(' ').next().unwrap_or_default();
            let derived = scanned.starts_with('(') || scanned.starts_with("sqlite_sq");
            assert!(derived || small.contains(&scanned), "{name}: {line}");
        }
    }
}

#[tokio::test]
async fn rows_of_other_organizations_cost_nothing() {
    let database = seeded();
    let read = async || {
        let mut all = Vec::new();
        for (name, statement) in statements() {
            if statement.sql.starts_with("SELECT") || statement.sql.starts_with("WITH") {
                all.push((name, rows(&database, statement).await.rows_read));
            }
        }
        all
    };
    let few = read().await;
    let count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)";
    for sql in [
        "INSERT INTO organizations (org_id, name, billing_email, created_at, updated_at) SELECT printf('0198f0a0-0000-7000-8000-1%011d', i), 'o', 'a@b', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z' FROM n",
        "INSERT INTO users (user_id, email, role, org_id, created_at, updated_at) SELECT printf('0198f0a1-0000-7000-8000-1%011d', i), printf('f%d@b', i), 'admin', '0198f0a0-0000-7000-8000-000000000002', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z' FROM n",
        "INSERT INTO user_instance_access (user_id, instance_id, created_at, granted_by) SELECT printf('0198f0a1-0000-7000-8000-1%011d', i), 'foreign', '2025-11-21T09:00:00.000Z', 's' FROM n",
        "INSERT INTO projects (project_id, instance_id, name, created_at, created_by, updated_at) SELECT printf('0198f0a2-0000-7000-8000-1%011d', i), 'foreign', printf('p%d', i), '2025-11-21T09:00:00.000Z', 's', '2025-11-21T09:00:00.000Z' FROM n",
    ] {
        run(&database, &format!("{count} {sql}")).await;
    }
    assert_eq!(read().await, few);
    // A superadmin's first page does not read what is behind it.
    let root = key(ROOT_KEY);
    for statement in [
        organizations::list(&root, &organizations::ListFilter::default(), 3),
        users::list(&root, &users::ListFilter::default(), NOW, 3),
        access::list(&root, &access::ListFilter::default(), 3),
        projects::list(&root, &projects::ListFilter::default(), 3),
    ] {
        let page = rows(&database, statement).await;
        assert_eq!(page.rows.len(), 3);
        assert!(page.rows_read < 30, "{}", page.rows_read);
    }
}

/// Lists over all organizations follow an index from the cursor on and stop at the page's end: what is sorted is one page.
#[tokio::test]
async fn a_page_is_sorted_only_after_it_was_cut() {
    let database = seeded();
    for (name, statement) in statements() {
        if !["organizations", "users", "grants"].contains(&name) {
            continue;
        }
        let plan = database.plan(&statement.sql).unwrap();
        let cut = plan.iter().position(|line| line.starts_with("SCAN g"));
        let before = plan.iter().take(cut.unwrap_or(plan.len()));
        let sorts = before.filter(|line| line.contains("TEMP B-TREE")).count();
        assert_eq!(sorts, 0, "{name}: {plan:#?}");
    }
}
