//! The authorization matrix, generated: every operation of the document, every principal, every place.
//!
//! What is expected comes from the specification's class table (`middleware::testing::matrix`) and the recipes; nothing
//! is taken from `auth::permission`. Each cell has a house of its own, so that no cell prepares another.

use crate::places::{FOREIGN_MARKS, ask_for, furnished, key_of, values};
use crate::recipes::{AWAITED, recipes};
use crate::support::*;
use middleware::testing::TestResponse;
use middleware::testing::matrix::{
    Kind, Listed, Place, Recipe, Verdict, Who, differences, operations,
};
use platform::fakes::When;
use std::collections::BTreeMap;

const DOCUMENT: &str = include_str!("../../../../docs/openapi/config-service.json");

pub(crate) fn listed() -> BTreeMap<String, Listed> {
    let listed = operations(DOCUMENT).unwrap().into_iter();
    listed.map(|it| (it.id.clone(), it)).collect()
}

/// Recipes whose operation is in the document, with it.
pub(crate) fn arrived() -> Vec<(Recipe, Listed)> {
    let listed = listed();
    let recipes = recipes().into_iter();
    recipes
        .filter_map(|recipe| {
            let listed = listed.get(recipe.operation)?.clone();
            Some((recipe, listed))
        })
        .collect()
}

/// What one cell did.
struct Cell {
    answer: TestResponse,
    /// Statements and round trips of the request itself.
    queries: (u32, u32),
    rows_written: u32,
}

/// Makes what the recipe needs there.
pub(crate) async fn prepare(
    service: &Service,
    recipe: &Recipe,
    place: Place,
    values: &BTreeMap<&'static str, String>,
) {
    if place == Place::Missing {
        return;
    }
    let sql = recipe.statements(values).unwrap();
    let database = &service.ports.database;
    database.with(|connection| connection.execute_batch(&sql).unwrap());
    for filled in recipe.preparations(values).unwrap() {
        let answer = ask_for(service, ROOT, &filled).await;
        assert!(answer.status.is_success(), "{filled:?}: {}", answer.text());
    }
    service.settle().await;
}

/// A house in which the recipe can be carried out there.
pub(crate) async fn house_for(
    recipe: &Recipe,
    place: Place,
    values: &BTreeMap<&'static str, String>,
) -> Service {
    let service = furnished();
    prepare(&service, recipe, place, values).await;
    service
}

/// Carries the recipe out as that principal; `scopes` narrows the principal's key first.
async fn cell(
    recipe: &Recipe,
    listed: &Listed,
    who: Who,
    place: Place,
    scopes: Option<&[&str]>,
) -> Option<Cell> {
    let values = values(who, recipe.kind, place)?;
    let service = house_for(recipe, place, &values).await;
    if let Some(scopes) = scopes {
        let scopes = serde_json::to_string(scopes).unwrap();
        let id = &key_of(who)[3..15];
        let narrow = format!("UPDATE api_keys SET scopes = '{scopes}' WHERE key_id = '{id}'");
        service.run(&narrow).await;
    }
    let filled = recipe.request(listed, &values).unwrap();
    let faults = &service.ports.world.faults;
    let (before, trips) = (
        service.ports.world.ops.count(),
        faults.calls("database.batch"),
    );
    let answer = ask_for(&service, key_of(who), &filled).await;
    let after = service.ports.world.ops.count();
    let trips = faults.calls("database.batch") - trips;
    // What a refused request leaves for later (the key's last use) is not its own doing.
    let rows_written = after.d1_rows_written - before.d1_rows_written;
    service.settle().await;
    Some(Cell {
        answer,
        queries: (after.d1_queries - before.d1_queries, trips),
        rows_written,
    })
}

#[test]
fn document_and_recipes_have_the_same_operations_classes_and_scopes() {
    let listed: Vec<Listed> = listed().into_values().collect();
    let found = differences(&listed, &recipes(), AWAITED);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn every_principal_gets_in_every_place_what_the_table_promises() {
    let mut broken = Vec::new();
    let mut cells = 0;
    for (recipe, listed) in arrived() {
        for who in Who::ALL {
            for place in recipe.kind.places() {
                let Some(cell) = cell(&recipe, &listed, who, *place, None).await else {
                    continue;
                };
                cells += 1;
                let (promise, done) = (recipe.promise(who, *place), recipe.done(&listed));
                let (status, code) = cell.answer.outcome();
                let name = format!(
                    "{} of {:?} {place:?} by {who:?}",
                    recipe.operation, recipe.kind
                );
                if !promise.is_kept(status, &code, done) {
                    broken.push(format!(
                        "{name}: {promise:?}, but {status} {}",
                        cell.answer.text()
                    ));
                }
                if promise != Verdict::Allowed && cell.rows_written > 0 {
                    broken.push(format!(
                        "{name}: refused, but {} rows written",
                        cell.rows_written
                    ));
                }
                let seen = format!("{}{:?}", cell.answer.text(), cell.answer.headers);
                let leak = FOREIGN_MARKS.iter().find(|mark| seen.contains(**mark));
                if let Some(leak) = leak.filter(|_| who != Who::Superadmin && listed.class != "P") {
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

#[tokio::test]
async fn without_a_key_everything_but_the_public_routes_is_401() {
    for (recipe, listed) in arrived() {
        let place = recipe.kind.places()[0];
        let values = values(Who::Superadmin, recipe.kind, place).unwrap();
        let service = furnished();
        let filled = recipe.request(&listed, &values).unwrap();
        let answer = ask_for(&service, "", &filled).await;
        if listed.class == "P" {
            assert_eq!(
                answer.status.as_u16(),
                recipe.done(&listed),
                "{}",
                listed.id
            );
        } else {
            assert_eq!(
                answer.outcome(),
                (401, "auth_failed".to_owned()),
                "{}",
                listed.id
            );
            assert_eq!(
                service.ports.world.ops.count().d1_queries,
                0,
                "{}",
                listed.id
            );
        }
    }
}

#[tokio::test]
async fn foreign_and_missing_things_get_the_same_bytes_for_the_same_queries() {
    let mut compared = 0;
    for (recipe, listed) in arrived() {
        if !recipe.kind.places().contains(&Place::Foreign) {
            continue;
        }
        for who in [Who::Admin, Who::User, Who::ProjectKey] {
            let foreign = cell(&recipe, &listed, who, Place::Foreign, None)
                .await
                .unwrap();
            let missing = cell(&recipe, &listed, who, Place::Missing, None)
                .await
                .unwrap();
            let seen = |cell: &Cell| {
                let headers: Vec<(String, String)> = cell
                    .answer
                    .headers
                    .iter()
                    // Drawn at random: what was prepared has drawn too.
                    .filter(|(name, _)| *name != "traceparent")
                    .map(|(name, value)| (name.to_string(), format!("{value:?}")))
                    .collect();
                (
                    cell.answer.status,
                    cell.answer.text(),
                    headers,
                    cell.queries,
                )
            };
            let name = format!("{} of {:?} by {who:?}", recipe.operation, recipe.kind);
            assert_eq!(seen(&foreign), seen(&missing), "{name}");
            let hidden = recipe.promise(who, Place::Foreign) == Verdict::Hidden;
            assert_eq!(foreign.answer.status == 404, hidden, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 20, "only {compared}");
}

/// With its scopes alone an operation works, so no other scope is needed; with all others it does not, so each is.
#[tokio::test]
async fn every_operation_needs_exactly_its_scopes() {
    let all: Vec<&str> = api_types::Scope::ALL
        .iter()
        .map(|scope| scope.as_str())
        .filter(|scope| *scope != "*")
        .collect();
    let mut broken = Vec::new();
    for (recipe, listed) in arrived() {
        let Some((who, place)) = recipe.least() else {
            broken.push(format!("{}: nobody may", recipe.operation));
            continue;
        };
        let name = format!("{} of {:?} by {who:?}", recipe.operation, recipe.kind);
        let needed = recipe.needed();
        // Any scope that writes will do: the last one shows that it need not be of this worker's own.
        let alone: Vec<&str> = needed
            .iter()
            .map(|scope| {
                if *scope == "*:write" {
                    "telemetry:write"
                } else {
                    *scope
                }
            })
            .collect();
        let works = cell(&recipe, &listed, who, place, Some(&alone))
            .await
            .unwrap();
        let done = recipe.done(&listed);
        if works.answer.status.as_u16() != done {
            broken.push(format!(
                "{name} with {alone:?} alone: {}",
                works.answer.text()
            ));
        }
        for scope in needed {
            let without =
                |it: &&str| *it != scope && !(scope == "*:write" && it.ends_with(":write"));
            let left: Vec<&str> = all.iter().copied().filter(without).collect();
            let closed = cell(&recipe, &listed, who, place, Some(&left))
                .await
                .unwrap();
            let (outcome, named) = (closed.answer.outcome(), closed.answer.json());
            if outcome != (403, "scope_missing".to_owned()) || named["details"]["scope"] != scope {
                broken.push(format!("{name} without {scope}: {}", closed.answer.text()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The matrix would prove nothing if a cell that is not allowed could pass for one that is.
#[tokio::test]
async fn a_house_that_cannot_read_fails_the_matrix() {
    let (recipe, listed) = arrived()
        .into_iter()
        .find(|(recipe, _)| recipe.operation == "get_instance")
        .unwrap();
    let values = values(Who::User, Kind::Instance, Place::Own).unwrap();
    let service = house_for(&recipe, Place::Own, &values).await;
    service
        .ports
        .world
        .faults
        .fail_every("database", When::Before);
    let filled = recipe.request(&listed, &values).unwrap();
    let answer = ask_for(&service, USER, &filled).await;
    let (status, code) = answer.outcome();
    for promise in [
        Verdict::Allowed,
        Verdict::Hidden,
        Verdict::Refused,
        Verdict::ScopeMissing,
    ] {
        assert!(!promise.is_kept(status, &code, 200));
    }
    service.settle().await;
}
