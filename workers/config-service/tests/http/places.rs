//! The things that a matrix cell is about: what is own, beside, sibling, foreign and missing for whom.

use crate::support::*;
use middleware::testing::matrix::{Filled, Kind, Place, Who};
use platform::fakes::{FakeReply, SqliteDatabase};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Rows that the seed lacks: a second user of the own organization, a project beside the own one, keys of projects,
/// sessions, prices and registered workers.
const FURTHER: &str = "
INSERT INTO users (user_id, email, role, org_id, name, created_at, updated_at) VALUES
  ('0198f0a1-0000-7000-8000-000000000005', 'second@acme.example', 'user', '0198f0a0-0000-7000-8000-000000000001', 'second', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z');
INSERT INTO projects (project_id, instance_id, name, created_at, created_by, updated_at) VALUES
  ('0198f0a2-0000-7000-8000-000000000004', 'development', 'Beside', '2025-11-21T09:00:00.000Z', 'seed', '2025-11-21T09:00:00.000Z');
INSERT INTO api_keys (key_id, project_id, name, key_hash, pepper_id, last4, scopes, secret_first_used_at, created_by, created_at) VALUES
  ('beside000001', '0198f0a2-0000-7000-8000-000000000004', 'beside', printf('%064d', 1), 'p1', 'xxxx', '[\"images:read\"]', '2025-11-21T09:00:00.000Z', 'seed', '2025-11-21T09:00:00.000Z'),
  ('sibling00001', '0198f0a2-0000-7000-8000-000000000001', 'forge', printf('%064d', 2), 'p1', 'xxxx', '[\"images:read\"]', '2025-11-21T09:00:00.000Z', 'seed', '2025-11-21T09:00:00.000Z');
INSERT INTO api_keys (key_id, user_id, kind, parent_key_id, name, key_hash, pepper_id, last4, scopes, secret_first_used_at, expires_at, created_by, created_at)
  SELECT 'zz' || substr(key_id, 3), user_id, 'session', key_id, 'session', printf('%064d', 3), 'p1', 'xxxx', '[\"*\"]', '2025-11-21T09:00:00.000Z', '2035-11-21T09:00:00.000Z', 'seed', '2025-11-21T09:00:00.000Z'
  FROM api_keys WHERE user_id IS NOT NULL AND revoked_at IS NULL AND expires_at IS NULL;
INSERT INTO price_overrides (price_id, org_id, instance_id, provider, model, row, valid_from, created_by, created_at) VALUES
  ('0198f0a5-0000-7000-8000-000000000001', '0198f0a0-0000-7000-8000-000000000001', 'development', 'ideogram', 'own', '{}', '2034-11-21T09:00:00.000Z', 'seed', '2025-11-21T09:00:00.000Z'),
  ('0198f0a5-0000-7000-8000-000000000002', '0198f0a0-0000-7000-8000-000000000002', 'foreign', 'ideogram', 'foreign', '{}', '2034-11-21T09:00:00.000Z', 'seed', '2025-11-21T09:00:00.000Z'),
  ('0198f0a5-0000-7000-8000-000000000003', '0198f0a0-0000-7000-8000-000000000001', 'production', 'ideogram', 'sibling', '{}', '2034-11-21T09:00:00.000Z', 'seed', '2025-11-21T09:00:00.000Z');
INSERT INTO worker_registry (name, instance_id, version, git_sha, url, registered_at, created_at)
  SELECT 'image-gen', instance_id, '1.0.0', 'ab12cd3', 'https://' || instance_id || '.example.com', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z' FROM instances;
";

/// A user of the own organization who is nobody's key and has no access.
pub(crate) const SECOND_USER: &str = "0198f0a1-0000-7000-8000-000000000005";

/// What belongs to the foreign organization; nobody of another one may ever read any of it.
pub(crate) const FOREIGN_MARKS: [&str; 8] = [
    "foreign",
    "Foreign",
    FOREIGN_LTD,
    FOREIGN_USER,
    FOREIGN_PROJECT,
    "0198f0a1-0000-7000-8000-000000000003",
    "fore00000001",
    "fproj0000001",
];

/// The seed and the further rows.
pub(crate) fn furnished() -> Service {
    static FURNISHED: OnceLock<SqliteDatabase> = OnceLock::new();
    let database = FURNISHED.get_or_init(|| {
        let database = Service::new().ports.database.clone();
        database.with(|connection| connection.execute_batch(FURTHER).unwrap());
        database
    });
    let service = Service::on(database, settings("test"));
    nothing_runs(&service);
    service
}

/// Whoever asks image-gen hears that nothing runs, so that an instance can be deleted.
pub(crate) fn nothing_runs(service: &Service) {
    service.ports.service.handle(|request| {
        let instance_id = request
            .url
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let body =
            json!({"v": 1, "instance_id": instance_id, "running": 0, "unknown": 0, "jobs": []});
        async move { FakeReply::json(200, &body) }
    });
}

/// The whole key of a principal.
pub(crate) const fn key_of(who: Who) -> &'static str {
    match who {
        Who::Superadmin => ROOT,
        Who::Admin => ADMIN,
        Who::User => USER,
        Who::ProjectKey => PROJECT,
    }
}

const fn key_id_of(who: Who) -> &'static str {
    match who {
        Who::Superadmin => "root00000001",
        Who::Admin => "4fGh7kQ2mZ0a",
        Who::User => "user00000001",
        Who::ProjectKey => "proj00000001",
    }
}

/// Values of the placeholders; `None` where a principal has no such thing.
pub(crate) fn values(who: Who, kind: Kind, place: Place) -> Option<BTreeMap<&'static str, String>> {
    let pick = |own: &str, sibling: &str, foreign: &str, missing: &str| match place {
        Place::Nowhere | Place::Own | Place::Beside => own.to_owned(),
        Place::Sibling => sibling.to_owned(),
        Place::Foreign => foreign.to_owned(),
        Place::Missing => missing.to_owned(),
    };
    let project = if place == Place::Beside {
        "0198f0a2-0000-7000-8000-000000000004".to_owned()
    } else {
        let missing = "0198f0a2-0000-7000-8000-0000000000ff";
        pick(CHAT, FORGE, FOREIGN_PROJECT, missing)
    };
    let user = match (kind, who, place) {
        (Kind::User, Who::ProjectKey, Place::Own) => return None,
        (Kind::User, Who::Superadmin, Place::Own) => ROOT_USER.to_owned(),
        (Kind::User, Who::Admin, Place::Own) | (Kind::User, Who::User, Place::Sibling) => {
            ADMIN_USER.to_owned()
        }
        (Kind::Member, ..) => pick(SECOND_USER, SECOND_USER, FOREIGN_USER, NOBODY),
        _ => pick(USER_USER, USER_USER, FOREIGN_USER, NOBODY),
    };
    let sibling_key = match who {
        Who::Admin => "user00000001",
        _ => "4fGh7kQ2mZ0a",
    };
    let key = match (kind, place) {
        (Kind::ProjectKey, Place::Beside) => "beside000001".to_owned(),
        (Kind::ProjectKey, _) => pick("proj00000001", "sibling00001", "fproj0000001", NO_KEY),
        _ => pick(key_id_of(who), sibling_key, "fore00000001", NO_KEY),
    };
    let session = format!("zz{}", key.get(2..).unwrap());
    if kind == Kind::Session && (who, place) == (Who::ProjectKey, Place::Own) {
        return None;
    }
    let price = |last: u32| format!("0198f0a5-0000-7000-8000-{last:012}");
    Some(BTreeMap::from([
        (
            "org_id",
            pick(
                ACME,
                ACME,
                FOREIGN_LTD,
                "0198f0a0-0000-7000-8000-0000000000ff",
            ),
        ),
        (
            "instance_id",
            pick("development", "production", "foreign", "nowhere"),
        ),
        ("caller", key_id_of(who).to_owned()),
        ("project_id", project),
        ("user_id", user),
        ("session_id", session),
        ("key_id", key),
        ("price_id", pick(&price(1), &price(3), &price(2), &price(9))),
    ]))
}

const NO_KEY: &str = "000000000000";

/// Asks as that key; no key when it is empty.
pub(crate) async fn ask_for(
    service: &Service,
    key: &str,
    filled: &Filled,
) -> middleware::testing::TestResponse {
    let mut request = service.app.request(filled.method.clone(), &filled.path);
    // The same id in every cell, so that answers can be compared byte for byte.
    request = request.header("x-request-id", "0199a1c2-0000-7000-8000-000000000001");
    if !key.is_empty() {
        request = request.key(key);
    }
    for (name, value) in &filled.headers {
        request = request.header(name, value);
    }
    if let Some(body) = &filled.body {
        request = request.json(body);
    }
    request.send().await
}
