//! The authorization matrix of this worker: every operation of its document by every principal in every place.
//!
//! Who may use which instance is decided by config-service, which is played here as its own suite proves it. What is
//! proved here: each operation asks for its class and scope, refusals pass through without any effect, and nobody reads
//! jobs and images of another project, instance or organization.

use crate::support::{OTHER_PROJECT, PROJECT, Stage};
use api_types::{
    AuthContext, CredentialId, InstanceId, InstanceStatus, InstanceVerdict, KeyRef, OrgId,
    PrincipalKind, ProjectId, ProjectVerdict, ProviderName, ResolveReply, Role, Scope,
    SecretVersion, Timestamp, UserId, UserRef,
};
use auth::envelope::{CredentialContext, KekScope, Keks, ProviderSecretPlain};
use auth::key::mint;
use errors::{Code, Error, ErrorBody};
use middleware::testing::TestResponse;
use middleware::testing::matrix::{
    Filled, Kind, Listed, Place, Recipe, Verdict, Who, differences, operations,
};
use platform::fakes::{FakeRandom, FakeReply};
use platform::{Clock, HttpClient, HttpRequest, OpsCount, collect};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const DOCUMENT: &str = include_str!("../../../../docs/openapi/image-gen.json");
const ORG: &str = "0198f0a2-0000-7000-8000-000000000001";
const FOREIGN_ORG: &str = "0198f0a2-0000-7000-8000-0000000000f1";
const SIBLING_PROJECT: &str = "0198f0a2-0000-7000-8000-00000000000c";
const FOREIGN_PROJECT: &str = "0198f0a2-0000-7000-8000-00000000000f";
const MISSING_PROJECT: &str = "0198f0a2-0000-7000-8000-0000000000ff";
const MISSING: &str = "0199a1c2-0000-7000-8000-00000000dead";

/// Instance, organization and project of each place.
const HOMES: [(&str, &str, &[&str]); 3] = [
    ("production", ORG, &[PROJECT, OTHER_PROJECT]),
    ("development", ORG, &[SIBLING_PROJECT]),
    ("foreign", FOREIGN_ORG, &[FOREIGN_PROJECT]),
];

/// Operations whose recipe stands here before their route does.
const AWAITED: &[&str] = &[];

// One recipe a line, so that the table can be read as one.
#[rustfmt::skip]
fn recipes() -> Vec<Recipe> {
    let asked = || json!({"prompt": "a cat on a roof", "provider": "ideogram", "size": "1024x1024", "fallback": "none", "timeout_ms": 60_000});
    let mut generate = asked();
    generate["instance_id"] = json!("{instance_id}");
    let mut in_project = asked();
    in_project["project_id"] = json!("{project_id}");
    let named = |recipe: Recipe| recipe.header("x-instance-id", "{instance_id}");
    vec![
        Recipe::of("generate", "U", "images:write", Kind::Instance).body(generate),
        // A project of another instance does not fit the one that is named: 400, told after 404 and 403.
        Recipe::of("generate", "U", "images:write", Kind::Project).header("x-instance-id", "{instance_id}").body(in_project),
        named(Recipe::of("openai_generate", "U", "images:write", Kind::Instance)).body(json!({"prompt": "a cat on a roof", "model": "gpt-image-2", "size": "1024x1024"})),
        named(Recipe::of("list_models", "U", "images:read", Kind::Instance)),
        named(Recipe::of("get_model", "U", "images:read", Kind::Instance)).fix("id", "openai/gpt-image-2"),
        named(Recipe::of("get_job", "U", "images:read", Kind::Instance)),
        // Of another project of the instance a project key is told what it is told of a job that does not exist: the
        // job's page says "malformed, foreign, missing: 400, 404, 404".
        named(Recipe::of("get_job", "U", "images:read", Kind::Project)).cell(Who::ProjectKey, Place::Beside, Verdict::Hidden),
        Recipe::of("get_image_file", "P", "-", Kind::Nothing),
        Recipe::of("health", "P", "-", Kind::Nothing),
        Recipe::of("openapi", "P", "-", Kind::Nothing),
    ]
}

/// What the route of images promises of private ones to who comes with a key: as reading the job of them.
fn private_image() -> (Recipe, Listed) {
    let recipe = Recipe::of("get_image_file", "U", "images:read", Kind::Project);
    let listed = Listed {
        id: "get_image_file".to_owned(),
        method: http::Method::GET,
        path: "/images/{instance_id}/{project_id}/{file}".to_owned(),
        class: "U".to_owned(),
        scope: Some("images:read".to_owned()),
        success: vec![200],
    };
    (recipe, listed)
}

pub(crate) fn arrived() -> Vec<(Recipe, Listed)> {
    let listed = operations(DOCUMENT).unwrap();
    let recipes = recipes().into_iter();
    recipes
        .filter_map(|recipe| {
            let found = listed.iter().find(|it| it.id == recipe.operation)?;
            Some((recipe, found.clone()))
        })
        .collect()
}

fn home_of(instance: &str) -> Option<(&'static str, &'static str, &'static [&'static str])> {
    HOMES.into_iter().find(|(id, ..)| *id == instance)
}

/// The configuration of production as that of another instance: its keys are sealed for it.
fn config_of(own: &Value, instance: &str, org: &str) -> Value {
    let keks = Keks::new("k1", vec![("k1".to_owned(), [9; 32])], KekScope::Master).unwrap();
    let mut config = own.clone();
    config["instance_id"] = json!(instance);
    config["org_id"] = json!(org);
    for (provider, host) in [
        ("ideogram", "api.ideogram.ai"),
        ("openai", "api.openai.com"),
    ] {
        let id = own["providers"][provider]["credential_id"]
            .as_str()
            .unwrap();
        let context = CredentialContext {
            org_id: OrgId::parse(org).unwrap(),
            instance_id: InstanceId::parse(instance).unwrap(),
            provider: ProviderName::parse(provider).unwrap(),
            credential_id: CredentialId::parse(id).unwrap(),
            host: host.to_owned(),
        };
        let plain = ProviderSecretPlain::from_key(format!("{provider}-secret")).to_json();
        let sealed = keks.seal(&FakeRandom::seeded(3), &context, plain.as_bytes());
        config["api_keys"][provider] = json!(sealed.unwrap());
    }
    config
}

fn caller(who: Who, key_id: &api_types::KeyId) -> AuthContext {
    let org_id = (who != Who::Superadmin).then(|| OrgId::parse(ORG).unwrap());
    let instances = |ids: &[&str]| {
        ids.iter()
            .map(|id| InstanceId::parse(id).unwrap())
            .collect()
    };
    let of_project = who == Who::ProjectKey;
    AuthContext {
        principal: format!("key:{key_id}"),
        kind: if of_project {
            PrincipalKind::ProjectKey
        } else {
            PrincipalKind::UserKey
        },
        role: match who {
            Who::Superadmin => Role::Superadmin,
            Who::Admin => Role::Admin,
            Who::User | Who::ProjectKey => Role::User,
        },
        user: (!of_project).then(|| UserRef {
            user_id: UserId::parse("0198f0a2-0000-7000-8000-000000000002").unwrap(),
            email: "a@example.com".to_owned(),
            org_id: org_id.clone(),
        }),
        org_id,
        key: Some(KeyRef {
            key_id: key_id.clone(),
            secret: SecretVersion::Current,
            expires_at: None,
        }),
        project_id: of_project.then(|| ProjectId::parse(PROJECT).unwrap()),
        instances: match who {
            Who::Superadmin => instances(&["development", "foreign", "production"]),
            Who::Admin => instances(&["development", "production"]),
            Who::User | Who::ProjectKey => instances(&["production"]),
        },
        instances_more: false,
        permissions: if of_project {
            let names = [
                "images:read",
                "images:write",
                "tasks:read",
                "tasks:write",
                "repo:read",
                "repo:write",
                "telemetry:read",
            ];
            names
                .iter()
                .map(|name| serde_json::from_value(json!(name)).unwrap())
                .collect()
        } else {
            vec![Scope::All]
        },
    }
}

fn refusal(error: &Error) -> FakeReply {
    FakeReply::json(error.code.status(), &json!(ErrorBody::new(error, "r")))
}

/// config-service, as far as this worker sees it.
struct Control {
    own: Value,
    callers: BTreeMap<String, AuthContext>,
}

impl Control {
    fn answer(&self, request: &HttpRequest, now_ms: i64) -> FakeReply {
        if let Some((_, rest)) = request.url.split_once("/internal/v1/config/") {
            let id = rest.split('?').next().unwrap();
            return match home_of(id) {
                Some((id, org, _)) => FakeReply::json(200, &config_of(&self.own, id, org)),
                None => refusal(&Error::not_found("instance")),
            };
        }
        if request.url.ends_with("/internal/v1/credentials/report") {
            return FakeReply::status(204);
        }
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        match self.resolve(&asked, now_ms) {
            Ok(reply) => FakeReply::json(200, &json!(reply)),
            Err(error) => refusal(&error),
        }
    }

    fn resolve(&self, asked: &Value, now_ms: i64) -> Result<ResolveReply, Error> {
        let auth = self.callers.get(asked["credential"].as_str().unwrap());
        let auth = auth.ok_or_else(|| Error::new(Code::AuthFailed, "The key is not valid."))?;
        let missing = || Error::not_found("thing with this id");
        let hidden = |org: &str| {
            auth.role != Role::Superadmin && auth.org_id.as_ref().map(OrgId::as_str) != Some(org)
        };
        let project = asked["project_hint"].as_str();
        if let Some(project) = project {
            let home = HOMES.into_iter().find(|home| home.2.contains(&project));
            let (_, org, _) = home.ok_or_else(missing)?;
            if hidden(org) {
                return Err(missing());
            }
            let bound = auth.project_id.as_ref().map(ProjectId::as_str);
            if bound.is_some_and(|bound| bound != project) {
                return Err(Error::new(
                    Code::Forbidden,
                    "A project key sees its own project only.",
                ));
            }
        }
        let instance = asked["instance_hint"].as_str().unwrap_or("production");
        let (id, org, projects) = home_of(instance).ok_or_else(missing)?;
        if hidden(org) {
            return Err(missing());
        }
        let id = InstanceId::parse(id).unwrap();
        if !auth.instances.contains(&id) {
            return Err(Error::new(
                Code::Forbidden,
                "This key has no access to this instance.",
            ));
        }
        if project.is_some_and(|project| !projects.contains(&project)) {
            return Err(Error::new(
                Code::ProjectMismatch,
                "The project belongs to another instance.",
            ));
        }
        let bound = auth.project_id.as_ref().map(ProjectId::as_str);
        Ok(ResolveReply {
            v: 1,
            checked_at: Timestamp(now_ms),
            auth: auth.clone(),
            instance: Some(InstanceVerdict {
                instance_id: id.clone(),
                status: InstanceStatus::Active,
                config_version: self.own["config_version"].as_i64().unwrap(),
            }),
            project: project.or(bound).map(|id| ProjectVerdict {
                project_id: ProjectId::parse(id).unwrap(),
                name: "p".to_owned(),
            }),
            config: Some(serde_json::from_value(config_of(&self.own, id.as_str(), org)).unwrap()),
        })
    }
}

/// A deployment with three instances and a key for each principal; `only` narrows their scopes.
struct House {
    stage: Stage,
    keys: BTreeMap<Who, String>,
}

impl House {
    async fn new(only: Option<&[&str]>) -> Self {
        let stage = Stage::new();
        let own = own_config(&stage).await;
        let (mut keys, mut callers) = (BTreeMap::new(), BTreeMap::new());
        for who in Who::ALL {
            let minted = mint(&stage.ports.world.random);
            let mut auth = caller(who, &minted.key_id);
            if let Some(only) = only {
                let scopes = only
                    .iter()
                    .map(|name| serde_json::from_value(json!(name)).unwrap());
                auth.permissions = scopes.collect();
            }
            let key = minted.api_key.expose().to_owned();
            callers.insert(key.clone(), auth);
            keys.insert(who, key);
        }
        let root = mint(&stage.ports.world.random);
        let maker = root.api_key.expose().to_owned();
        callers.insert(maker, caller(Who::Superadmin, &root.key_id));
        let control = Control { own, callers };
        let clock = stage.ports.world.clock.clone();
        stage.ports.service.handle(move |request| {
            let reply = control.answer(&request, clock.now_ms());
            async move { reply }
        });
        let mut house = Self { stage, keys };
        root.api_key.expose().clone_into(&mut house.stage.key);
        house
    }

    async fn send(&self, key: &str, filled: &Filled) -> (TestResponse, OpsCount, OpsCount) {
        let (app, ops) = self.stage.app();
        let mut request = app.request(filled.method.clone(), &filled.path);
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
        let answer = request.send().await;
        let at_once = ops.count();
        self.stage.ports.background.drain().await;
        (answer, at_once, ops.count())
    }

    /// Values of the placeholders, with a job and an image made there if the recipe is about one.
    async fn values(&self, recipe: &Recipe, place: Place) -> BTreeMap<&'static str, String> {
        let (instance, project) = match place {
            Place::Nowhere | Place::Own => ("production", PROJECT),
            Place::Beside => ("production", OTHER_PROJECT),
            Place::Sibling => ("development", SIBLING_PROJECT),
            Place::Foreign => ("foreign", FOREIGN_PROJECT),
            Place::Missing if recipe.kind == Kind::Instance => ("nowhere", MISSING_PROJECT),
            // A job's path names no place: it is missing in the own one.
            Place::Missing if recipe.operation == "get_job" => ("production", PROJECT),
            Place::Missing => ("nowhere", MISSING_PROJECT),
        };
        let mut values = BTreeMap::from([
            ("instance_id", instance.to_owned()),
            ("project_id", project.to_owned()),
            ("id", MISSING.to_owned()),
            ("file", format!("{MISSING}-0.png")),
        ]);
        let wants_one = matches!(recipe.operation, "get_job" | "get_image_file");
        if wants_one && place != Place::Missing {
            let mut asked = crate::support::request("ideogram");
            asked["instance_id"] = json!(instance);
            asked["project_id"] = json!(project);
            let public = recipe.class == "P";
            asked["visibility"] = json!(if public { "public" } else { "private" });
            let made = self.stage.post("/generate", asked).await;
            assert_eq!(made.status.as_u16(), 200, "{}", made.text());
            let made = made.json();
            let file = made["r2_path"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned();
            values.insert("id", made["job_id"].as_str().unwrap().to_owned());
            values.insert("file", file);
            self.stage.pass(2_000).await;
        }
        values
    }
}

/// What the stage's own config-service says about production.
async fn own_config(stage: &Stage) -> Value {
    let request = HttpRequest {
        method: http::Method::GET,
        url: "http://config-service/internal/v1/config/production".to_owned(),
        headers: http::HeaderMap::new(),
        body: String::new().into(),
        timeout_ms: 1_000,
    };
    let reply = stage.ports.service.send(request).await.unwrap();
    let bytes = collect(reply.body, 1 << 20).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn document_and_recipes_have_the_same_operations_classes_and_scopes() {
    let found = differences(&operations(DOCUMENT).unwrap(), &recipes(), AWAITED);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn every_principal_gets_in_every_place_what_the_table_promises() {
    let mut broken = Vec::new();
    for (recipe, listed) in arrived().into_iter().chain([private_image()]) {
        for who in Who::ALL {
            for place in recipe.kind.places() {
                let house = House::new(None).await;
                let values = house.values(&recipe, *place).await;
                let filled = recipe.request(&listed, &values).unwrap();
                let charged = house.stage.vendors.charged().len();
                let (answer, _, paid) = house.send(&house.keys[&who], &filled).await;
                let (promise, done) = (recipe.promise(who, *place), recipe.done(&listed));
                let (status, code) = outcome(&answer);
                let name = format!(
                    "{} of {:?} {place:?} by {who:?}",
                    recipe.operation, recipe.kind
                );
                if !promise.is_kept(status, &code, done) {
                    broken.push(format!(
                        "{name}: {promise:?}, but {status} {}",
                        answer.text()
                    ));
                }
                let spent = house.stage.vendors.charged().len() - charged;
                let effects = spent + (paid.do_calls + paid.r2_puts + paid.subrequests) as usize;
                // A job is looked for before it is known whose it is.
                if promise != Verdict::Allowed && listed.id != "get_job" && effects > 0 {
                    broken.push(format!("{name}: refused, but {paid:?} and {spent} charged"));
                }
                house.stage.pass(60_000).await;
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Status and code, in the house's shape or in OpenAI's.
fn outcome(answer: &TestResponse) -> (u16, String) {
    let body = answer.json();
    let code = body["error"]
        .as_str()
        .or_else(|| body["error"]["code"].as_str());
    (answer.status.as_u16(), code.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn without_a_key_everything_but_the_public_routes_is_401() {
    for (recipe, listed) in arrived().into_iter().chain([private_image()]) {
        let house = House::new(None).await;
        let values = house.values(&recipe, recipe.kind.places()[0]).await;
        let filled = recipe.request(&listed, &values).unwrap();
        let (answer, _, paid) = house.send("", &filled).await;
        if listed.class == "P" {
            assert_eq!(
                answer.status.as_u16(),
                recipe.done(&listed),
                "{}",
                listed.id
            );
        } else {
            assert_eq!(
                answer.status.as_u16(),
                401,
                "{}: {}",
                listed.id,
                answer.text()
            );
            assert_eq!((paid.do_calls, paid.d1_queries), (0, 0), "{}", listed.id);
        }
        house.stage.pass(60_000).await;
    }
}

#[tokio::test]
async fn foreign_and_missing_things_get_the_same_bytes_for_the_same_work() {
    let mut compared = 0;
    for (recipe, listed) in arrived().into_iter().chain([private_image()]) {
        if !recipe.kind.places().contains(&Place::Foreign) {
            continue;
        }
        for who in [Who::Admin, Who::User, Who::ProjectKey] {
            let mut seen = Vec::new();
            for place in [Place::Foreign, Place::Missing] {
                let house = House::new(None).await;
                let mut values = house.values(&recipe, place).await;
                if recipe.operation == "get_job" && recipe.kind == Kind::Project {
                    // Asked for in the own instance: its index must not tell whether it is elsewhere.
                    values.insert("instance_id", "production".to_owned());
                }
                let filled = recipe.request(&listed, &values).unwrap();
                let (answer, _, paid) = house.send(&house.keys[&who], &filled).await;
                assert_eq!(
                    answer.status.as_u16(),
                    404,
                    "{} {who:?} {place:?}",
                    listed.id
                );
                let mut headers = answer.headers.clone();
                // The span is drawn anew in every request.
                headers.remove("traceparent");
                seen.push((answer.text(), format!("{headers:?}"), paid));
                house.stage.pass(60_000).await;
            }
            assert_eq!(
                seen[0], seen[1],
                "{} of {:?} by {who:?}",
                listed.id, recipe.kind
            );
            compared += 1;
        }
    }
    assert!(compared >= 15, "only {compared}");
}

#[tokio::test]
async fn every_operation_needs_exactly_its_scopes() {
    let all: Vec<&str> = Scope::ALL
        .iter()
        .map(|it| it.as_str())
        .filter(|it| *it != "*")
        .collect();
    let keyed = arrived()
        .into_iter()
        .filter(|(_, listed)| listed.class != "P");
    for (recipe, listed) in keyed.chain([private_image()]) {
        let (who, place) = recipe.least().unwrap();
        let needed = recipe.needed();
        let mut cases: Vec<(Vec<&str>, bool)> = vec![(needed.clone(), true)];
        for scope in needed {
            cases.push((
                all.iter().copied().filter(|it| *it != scope).collect(),
                false,
            ));
        }
        for (scopes, works) in cases {
            let house = House::new(Some(&scopes)).await;
            let values = house.values(&recipe, place).await;
            let filled = recipe.request(&listed, &values).unwrap();
            let (answer, _, _) = house.send(&house.keys[&who], &filled).await;
            let (status, code) = outcome(&answer);
            let promise = if works {
                Verdict::Allowed
            } else {
                Verdict::ScopeMissing
            };
            let kept = promise.is_kept(status, &code, recipe.done(&listed));
            assert!(kept, "{} with {scopes:?}: {}", listed.id, answer.text());
            house.stage.pass(60_000).await;
        }
    }
}

/// `tests/budgets.json`: what each operation asks of the platform on a warm isolate, before the answer and after it.
/// `UPDATE_BUDGETS=1 cargo test -p image-gen --test http budget` writes it anew.
#[tokio::test]
async fn every_operation_stays_in_its_budget() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/budgets.json");
    let mut measured: BTreeMap<String, [OpsCount; 2]> = BTreeMap::new();
    for (recipe, listed) in arrived() {
        if measured.contains_key(&listed.id) {
            continue;
        }
        let (who, place) = recipe.least().unwrap();
        let house = House::new(None).await;
        let values = house.values(&recipe, place).await;
        let filled = recipe.request(&listed, &values).unwrap();
        // The first one fills the isolate's caches.
        house.send(&house.keys[&who], &filled).await;
        let (answer, at_once, all) = house.send(&house.keys[&who], &filled).await;
        assert_eq!(
            answer.status.as_u16(),
            recipe.done(&listed),
            "{}",
            answer.text()
        );
        let later = OpsCount {
            d1_round_trips: all.d1_round_trips - at_once.d1_round_trips,
            d1_queries: all.d1_queries - at_once.d1_queries,
            d1_rows_read: all.d1_rows_read - at_once.d1_rows_read,
            d1_rows_written: all.d1_rows_written - at_once.d1_rows_written,
            do_calls: all.do_calls - at_once.do_calls,
            kv_ops: all.kv_ops - at_once.kv_ops,
            r2_ops: all.r2_ops - at_once.r2_ops,
            r2_puts: all.r2_puts - at_once.r2_puts,
            service_calls: all.service_calls - at_once.service_calls,
            subrequests: all.subrequests - at_once.subrequests,
        };
        measured.insert(listed.id, [at_once, later]);
        house.stage.pass(60_000).await;
    }
    if std::env::var_os("UPDATE_BUDGETS").is_some() {
        let line = |(name, it): (&String, &[OpsCount; 2])| {
            format!(
                "  {}: {}",
                json!(name),
                json!({"answer": it[0], "later": it[1]})
            )
        };
        let lines: Vec<String> = measured.iter().map(line).collect();
        std::fs::write(&path, format!("{{\n{}\n}}\n", lines.join(",\n"))).unwrap();
    }
    let budgets: BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>> =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let mut problems = Vec::new();
    for (name, costs) in &measured {
        let Some(budget) = budgets.get(name) else {
            problems.push(format!("{name}: no budget"));
            continue;
        };
        for (when, cost) in ["answer", "later"].into_iter().zip(costs) {
            let cost: BTreeMap<String, u64> = serde_json::from_value(json!(cost)).unwrap();
            for (member, is) in cost {
                let may = budget[when][&member];
                // Rows may vary by a tenth, calls not at all.
                let over = if member.contains("rows") {
                    is * 10 > may * 11
                } else {
                    is > may
                };
                if over {
                    problems.push(format!("{name}, {when}: {member} {is} of {may}"));
                }
            }
        }
    }
    problems.extend(
        budgets
            .keys()
            .filter(|name| !measured.contains_key(*name))
            .map(|name| format!("{name}: a budget of nothing")),
    );
    let how = "UPDATE_BUDGETS=1 cargo test -p image-gen --test http budget";
    assert!(problems.is_empty(), "{}\n{how}", problems.join("\n"));
}
