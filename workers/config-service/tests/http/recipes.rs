//! One line an operation: how to ask for it, and what the specification says about it.
//!
//! A new operation needs a recipe here: class and scope as in the table of the specification (the document must agree),
//! the kind of thing it is about, its body. Paths come from the document; `{placeholders}` are filled in by `places`.

use crate::places::SECOND_USER;
use http::Method;
use middleware::testing::matrix::{Kind, Place, Recipe, Verdict, Who};
use serde_json::json;

/// Operations of the specification's table that the document does not have yet. A name that has arrived fails the suite
/// until it is taken out here.
pub(crate) const AWAITED: &[&str] = &[];

/// "A project key sees its own project only": sessions are of people.
fn not_for_projects(recipe: Recipe) -> Recipe {
    let places = recipe.kind.places().iter().copied();
    let near = places.filter(|place| !matches!(place, Place::Foreign | Place::Missing));
    near.fold(recipe, |recipe, place| {
        recipe.cell(Who::ProjectKey, place, Verdict::Refused)
    })
}

/// "Lists never fail for that reason: they are filtered": whatever a filter names, the list is as allowed as without it,
/// and holds nothing foreign.
fn filtered(recipe: Recipe) -> Recipe {
    let far = [
        Place::Beside,
        Place::Sibling,
        Place::Foreign,
        Place::Missing,
    ];
    let cells: Vec<_> = far
        .iter()
        .flat_map(|place| Who::ALL.map(|who| (who, *place, recipe.promise(who, Place::Own))))
        .collect();
    cells
        .into_iter()
        .fold(recipe, |recipe, (who, place, verdict)| {
            recipe.cell(who, place, verdict)
        })
}

/// The recipes, in the order of the specification's table.
// One recipe a line, so that the table can be read as one.
#[rustfmt::skip]
pub(crate) fn recipes() -> Vec<Recipe> {
    let secret = || json!({"api_key": "0123456789-a-new-key"});
    let patch = || json!({"name": "Renamed"});
    // What is there to be taken away; nothing of the foreign user, whom no instance of the own organization is for.
    let has_access = |recipe: Recipe| recipe.before("INSERT INTO user_instance_access (user_id, instance_id, created_at, granted_by) SELECT user_id, 'production', '2025-11-21T09:00:00.000Z', 'seed' FROM users WHERE user_id = '{user_id}' AND org_id = '0198f0a0-0000-7000-8000-000000000001'");
    let has_key = |recipe: Recipe| recipe.first(Method::PUT, "/instance/{instance_id}/provider-key/openai", Some(json!({"api_key": "0123456789-the-old-key"})));
    vec![
        Recipe::of("create_organization", "S", "platform:write", Kind::Nothing).body(json!({"name": "New", "billing_email": "b@new.example"})),
        Recipe::of("delete_organization", "S", "platform:write", Kind::Organization).if_first_version().before(EMPTIED),
        Recipe::of("list_organizations", "O", "config:read", Kind::Nothing),
        Recipe::of("get_organization", "O", "config:read", Kind::Organization),
        Recipe::of("update_organization", "A", "config:write", Kind::Organization).if_first_version().body(patch()),

        Recipe::of("create_instance", "A", "config:write", Kind::Organization).body(json!({"org_id": "{org_id}", "name": "New one"})),
        Recipe::of("update_instance", "A", "config:write", Kind::Instance).if_first_version().body(patch()),
        Recipe::of("delete_instance", "A", "config:write", Kind::Instance).if_first_version().before("UPDATE instances SET status = 'deleting' WHERE instance_id = '{instance_id}'"),
        Recipe::of("list_instances", "U", "config:read", Kind::Nothing),
        filtered(Recipe::of("list_instances", "U", "config:read", Kind::Organization).query("org_id={org_id}")),
        Recipe::of("get_instance", "U", "config:read", Kind::Instance),

        Recipe::of("set_instance_status", "A", "config:write", Kind::Instance).if_first_version().body(json!({"status": "active"})).before("UPDATE instances SET status = 'deploying' WHERE instance_id = '{instance_id}'"),
        Recipe::of("set_worker_urls", "A", "config:write", Kind::Instance).if_first_version().body(json!({"image_gen": "https://images.example.com"})),
        Recipe::of("pause_instance", "A", "config:write", Kind::Instance).body(json!({"reason": "maintenance"})),
        Recipe::of("resume_instance", "A", "config:write", Kind::Instance).before("UPDATE instances SET status = 'paused' WHERE instance_id = '{instance_id}'"),
        Recipe::of("get_limits", "U", "config:read", Kind::Instance),
        Recipe::of("list_deployments", "U", "config:read", Kind::Instance),
        Recipe::of("set_rate_limit", "A", "config:write", Kind::Instance).if_first_version().fix("provider", "ideogram").body(json!({"rpm": 120})),
        Recipe::of("delete_rate_limit", "A", "config:write", Kind::Instance).if_first_version().fix("provider", "ideogram"),
        Recipe::of("set_budgets", "A", "config:write", Kind::Instance).if_first_version().body(json!([{"scope": "instance", "period": "day", "limit_usd_micros": 5_000_000}])),

        Recipe::of("list_provider_keys", "A", "config:read", Kind::Instance),
        Recipe::of("set_provider_key", "A", "secrets:write", Kind::Instance).fix("provider", "openai").body(secret()),
        has_key(Recipe::of("rotate_provider_key", "A", "secrets:write", Kind::Instance).if_first_version().fix("provider", "openai").body(secret())),
        has_key(Recipe::of("delete_provider_key", "A", "secrets:write", Kind::Instance).if_first_version().fix("provider", "openai")),

        Recipe::of("create_user", "A", "config:write", Kind::Organization).body(json!({"org_id": "{org_id}", "email": "new@acme.example", "role": "user"})),
        Recipe::of("list_users", "A", "config:read", Kind::Nothing),
        filtered(Recipe::of("list_users", "A", "config:read", Kind::Organization).query("org_id={org_id}")),
        Recipe::of("get_user", "SELF", "-", Kind::User),
        Recipe::of("update_user", "A", "config:write", Kind::Member).if_first_version().body(patch()),
        Recipe::of("delete_user", "A", "config:write", Kind::Member).if_first_version(),
        // User and instance of two organizations fit for nobody.
        Recipe::of("grant_access", "A", "config:write", Kind::Member).fix("instance_id", "production").cell(Who::Superadmin, Place::Foreign, Verdict::Hidden),
        Recipe::of("grant_access", "A", "config:write", Kind::Instance).fix("user_id", SECOND_USER).cell(Who::Superadmin, Place::Foreign, Verdict::Hidden),
        has_access(Recipe::of("revoke_access", "A", "config:write", Kind::Member).fix("instance_id", "production").cell(Who::Superadmin, Place::Foreign, Verdict::Hidden)),
        has_access(Recipe::of("replace_access", "A", "config:write", Kind::Member).body(json!({"instance_ids": []}))),
        Recipe::of("list_access", "A", "config:read", Kind::Nothing),
        filtered(Recipe::of("list_access", "A", "config:read", Kind::Organization).query("org_id={org_id}")),
        filtered(Recipe::of("list_access", "A", "config:read", Kind::Member).query("user_id={user_id}")),
        filtered(Recipe::of("list_access", "A", "config:read", Kind::Instance).query("instance_id={instance_id}")),

        // A project key "sees that project only": the instance around it is not its own.
        Recipe::of("create_project", "U", "*:write", Kind::Instance).cell(Who::ProjectKey, Place::Own, Verdict::Refused).body(json!({"instance_id": "{instance_id}", "name": "New one"})),
        Recipe::of("list_projects", "U", "config:read", Kind::Nothing),
        filtered(Recipe::of("list_projects", "U", "config:read", Kind::Instance).query("instance_id={instance_id}")),
        Recipe::of("get_project", "U", "config:read", Kind::Project),
        Recipe::of("update_project", "U", "*:write", Kind::Project).if_first_version().body(patch()),
        Recipe::of("delete_project", "A", "config:write", Kind::Project).if_first_version(),

        Recipe::of("create_api_key", "SELF", "keys:write", Kind::User).body(json!({"user_id": "{user_id}", "name": "new", "scopes": ["images:read"]})).spends("images:read"),
        // "SELF keys:write; for a project: A".
        Recipe::of("create_api_key", "SELF", "keys:write", Kind::Project).stricter("A").body(json!({"project_id": "{project_id}", "name": "new", "scopes": ["images:read"]})).spends("images:read"),
        Recipe::of("list_api_keys", "SELF", "-", Kind::Nothing),
        filtered(Recipe::of("list_api_keys", "SELF", "-", Kind::Member).query("user_id={user_id}")),
        filtered(Recipe::of("list_api_keys", "SELF", "-", Kind::Project).query("project_id={project_id}")),
        Recipe::of("get_api_key", "SELF", "-", Kind::Key),
        // "own key: read, rotate": to rotate itself a project key needs no scope, and `keys:write` for the rest it cannot
        // have. For everybody else a project's key is a matter of administrators.
        Recipe::of("get_api_key", "SELF", "-", Kind::ProjectKey).stricter("A").cell(Who::ProjectKey, Place::Own, Verdict::Allowed),
        Recipe::of("update_api_key", "SELF", "keys:write", Kind::Key).if_first_version().body(patch()),
        Recipe::of("update_api_key", "SELF", "keys:write", Kind::ProjectKey).stricter("A").if_first_version().body(patch()).cell(Who::ProjectKey, Place::Own, Verdict::ScopeMissing),
        Recipe::of("rotate_api_key", "SELF", "keys:write", Kind::Key).body(json!({"overlap_s": 3600})).cell(Who::ProjectKey, Place::Own, Verdict::Allowed),
        Recipe::of("rotate_api_key", "SELF", "keys:write", Kind::ProjectKey).stricter("A").body(json!({"overlap_s": 3600})).before("UPDATE api_keys SET scopes = '[\"images:read\"]' WHERE key_id = '{key_id}'").spends("images:read").cell(Who::ProjectKey, Place::Own, Verdict::Allowed),
        Recipe::of("revoke_api_key", "SELF", "keys:write", Kind::Key),
        Recipe::of("revoke_api_key", "SELF", "keys:write", Kind::ProjectKey).stricter("A").cell(Who::ProjectKey, Place::Own, Verdict::ScopeMissing),

        Recipe::of("list_prices", "U", "config:read", Kind::Nothing),
        Recipe::of("put_price", "A", "config:write", Kind::Instance).body(json!({"instance_id": "{instance_id}", "provider": "ideogram", "model": "acme/x", "valid_from": "2030-01-01T00:00:00.000Z", "row": {"unit": "image", "usd_micros": 1000, "basis": "exact"}})),
        // For all instances of the organization that is named.
        Recipe::of("put_price", "A", "config:write", Kind::Organization).body(json!({"org_id": "{org_id}", "provider": "ideogram", "model": "acme/y", "valid_from": "2030-01-01T00:00:00.000Z", "row": {"unit": "image", "usd_micros": 1000, "basis": "exact"}})),
        Recipe::of("end_price", "A", "config:write", Kind::Thing),

        Recipe::of("list_workers", "ANY", "-", Kind::Nothing),
        filtered(Recipe::of("list_workers", "ANY", "-", Kind::Instance).query("instance_id={instance_id}")),
        Recipe::of("get_worker", "ANY", "-", Kind::Instance).fix("name", "image-gen").query("instance_id={instance_id}").cell(Who::User, Place::Sibling, Verdict::Hidden).cell(Who::ProjectKey, Place::Sibling, Verdict::Hidden),
        Recipe::of("register_worker", "A", "config:write", Kind::Instance).fix("name", "image-gen").body(json!({"instance_id": "{instance_id}", "version": "1.4.0", "git_sha": "ab12cd3", "url": "https://images.example.com", "openapi_url": "https://images.example.com/openapi.json", "openapi_sha256": "0000000000000000000000000000000000000000000000000000000000000000", "capabilities": ["image.generate"]})),
        // "platform workers S".
        Recipe::of("register_worker", "A", "config:write", Kind::Nothing).stricter("S").before("INSERT INTO worker_registry (name, instance_id, version, git_sha, url, registered_at, created_at) VALUES ('config-service', '', '1.3.0', 'ab12cd2', 'https://control.example.com', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z')").fix("name", "config-service").body(json!({"version": "1.4.0", "git_sha": "ab12cd3", "url": "https://control.example.com", "capabilities": []})),
        Recipe::of("check_worker", "A", "config:write", Kind::Instance).fix("name", "image-gen").query("instance_id={instance_id}"),
        Recipe::of("check_worker", "A", "config:write", Kind::Nothing).stricter("S").before("INSERT INTO worker_registry (name, instance_id, version, git_sha, url, registered_at, created_at, by_platform) VALUES ('config-service', '', '1.3.0', 'ab12cd2', 'https://control.example.com', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z', 1)").fix("name", "config-service"),

        Recipe::of("list_audit", "A", "audit:read", Kind::Nothing),
        // `org_id` names the chain, it is no filter.
        Recipe::of("list_audit", "A", "audit:read", Kind::Organization).query("org_id={org_id}"),
        Recipe::of("verify_audit", "A", "audit:read", Kind::Organization).query("org_id={org_id}"),

        Recipe::of("start_kek_rotation", "S", "platform:write", Kind::Nothing).body(json!({"to": "k1"})),
        Recipe::of("list_kek_rotation", "S", "platform:write", Kind::Nothing),
        Recipe::of("run_kek_rotation", "S", "platform:write", Kind::Nothing).fix("rotation_id", ROTATION).before(ROTATION_RUNS),
        Recipe::of("cancel_kek_rotation", "S", "platform:write", Kind::Nothing).fix("rotation_id", ROTATION).before(ROTATION_RUNS),

        Recipe::of("who_am_i", "ANY", "-", Kind::Nothing),
        not_for_projects(Recipe::of("create_session", "SELF", "-", Kind::Nothing).body(json!({"label": "Chromium on Linux"}))),
        not_for_projects(Recipe::of("list_sessions", "SELF", "-", Kind::Nothing)),
        not_for_projects(Recipe::of("end_session", "SELF", "-", Kind::Session)),

        Recipe::of("health", "P", "-", Kind::Nothing),
        Recipe::of("openapi", "P", "-", Kind::Nothing),
    ]
}

const ROTATION: &str = "0198f0a4-0000-7000-8000-000000000001";
const ROTATION_RUNS: &str = "INSERT INTO kek_rotations (rotation_id, to_kek, state, started_by, created_at) VALUES ('0198f0a4-0000-7000-8000-000000000001', 'k1', 'running', 'seed', '2025-11-21T09:00:00.000Z')";
/// Only for who may delete it: anybody else would lose the own user.
const EMPTIED: &str = "UPDATE users SET status = 'deleted' WHERE org_id = '{org_id}' AND '{caller}' = 'root00000001'; UPDATE instances SET status = 'deleted' WHERE org_id = '{org_id}' AND '{caller}' = 'root00000001'";
