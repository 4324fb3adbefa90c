//! The route table, and nothing else.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use crate::list::list;
use crate::{
    access, api_key, audit, health, instance, internal, kek, openapi, organization, price, project,
    provider_key, registry, resolve, session, user,
};
use auth::permission::config_service as op;
use http::Method;
use middleware::Routes;
use platform::Ports;

/// Largest body of any route here, in bytes.
const BODY_CAP_BYTES: usize = 256 * 1024;
const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// All routes of this worker.
// One row a route, so that the table can be read as one.
#[rustfmt::skip]
pub fn routes<P: Ports, G: AbuseGuard>() -> Routes<Deps<P, G>> {
    Routes::new()
        .body_cap(BODY_CAP_BYTES)
        .route(&op::HEALTH, GET, "/health", health::health::<P, G>)
        .route(&op::OPENAPI, GET, "/openapi.json", openapi::openapi)
        .route(&op::WHO_AM_I, GET, "/session", session::who_am_i::<P, G>)
        .route(&op::CREATE_SESSION, POST, "/session", session::create::<P, G>)
        .route(&op::LIST_SESSIONS, GET, "/session/list", list::<session::SessionList, P, G>)
        .route(&op::END_SESSION, DELETE, "/session/{session_id}", session::end::<P, G>)
        .route(&op::LIST_ORGANIZATIONS, GET, "/organization", list::<organization::OrganizationList, P, G>)
        .route(&op::CREATE_ORGANIZATION, POST, "/organization", organization::create::<P, G>)
        .route(&op::GET_ORGANIZATION, GET, "/organization/{org_id}", organization::get::<P, G>)
        .route(&op::UPDATE_ORGANIZATION, PATCH, "/organization/{org_id}", organization::patch::<P, G>)
        .route(&op::DELETE_ORGANIZATION, DELETE, "/organization/{org_id}", organization::delete::<P, G>)
        .route(&op::LIST_INSTANCES, GET, "/instance", list::<instance::list::InstanceList, P, G>)
        .route(&op::CREATE_INSTANCE, POST, "/instance", instance::create::create::<P, G>)
        .route(&op::GET_INSTANCE, GET, "/instance/{instance_id}", instance::read::get::<P, G>)
        .route(&op::LIST_PROVIDER_KEYS, GET, "/instance/{instance_id}/provider-key", provider_key::list::<P, G>)
        .route(&op::SET_PROVIDER_KEY, PUT, "/instance/{instance_id}/provider-key/{provider}", provider_key::set::<P, G>)
        .route(&op::ROTATE_PROVIDER_KEY, POST, "/instance/{instance_id}/provider-key/{provider}/rotate", provider_key::rotate::<P, G>)
        .route(&op::DELETE_PROVIDER_KEY, DELETE, "/instance/{instance_id}/provider-key/{provider}", provider_key::delete::<P, G>)
        .route(&op::START_KEK_ROTATION, POST, "/admin/kek-rotation", kek::start::<P, G>)
        .route(&op::LIST_KEK_ROTATION, GET, "/admin/kek-rotation", kek::list::<P, G>)
        .route(&op::RUN_KEK_ROTATION, POST, "/admin/kek-rotation/{rotation_id}/run", kek::run::<P, G>)
        .route(&op::CANCEL_KEK_ROTATION, POST, "/admin/kek-rotation/{rotation_id}/cancel", kek::cancel::<P, G>)
        .route(&op::LIST_USERS, GET, "/user", list::<user::UserList, P, G>)
        .route(&op::UPDATE_INSTANCE, PATCH, "/instance/{instance_id}", instance::patch::update::<P, G>)
        .route(&op::DELETE_INSTANCE, DELETE, "/instance/{instance_id}", instance::delete::delete::<P, G>)
        .route(&op::SET_INSTANCE_STATUS, PUT, "/instance/{instance_id}/status", instance::status::set::<P, G>)
        .route(&op::SET_WORKER_URLS, PUT, "/instance/{instance_id}/worker-urls", instance::urls::set::<P, G>)
        .route(&op::PAUSE_INSTANCE, POST, "/instance/{instance_id}/pause", instance::pause::pause::<P, G>)
        .route(&op::RESUME_INSTANCE, POST, "/instance/{instance_id}/resume", instance::pause::resume::<P, G>)
        .route(&op::GET_LIMITS, GET, "/instance/{instance_id}/limits", instance::limits::get::<P, G>)
        .route(&op::SET_RATE_LIMIT, PUT, "/instance/{instance_id}/rate-limit/{provider}", instance::limits::set_rate_limit::<P, G>)
        .route(&op::DELETE_RATE_LIMIT, DELETE, "/instance/{instance_id}/rate-limit/{provider}", instance::limits::delete_rate_limit::<P, G>)
        .route(&op::SET_BUDGETS, PUT, "/instance/{instance_id}/budgets", instance::limits::set_budgets::<P, G>)
        .route(&op::LIST_DEPLOYMENTS, GET, "/instance/{instance_id}/deployments", instance::deployments::list::<P, G>)
        .route(&op::LIST_PRICES, GET, "/price", list::<price::list::PriceList, P, G>)
        .route(&op::PUT_PRICE, POST, "/price", price::put::put::<P, G>)
        .route(&op::END_PRICE, DELETE, "/price/{price_id}", price::end::end::<P, G>)
        .route(&op::CREATE_USER, POST, "/user", user::create::<P, G>)
        .route(&op::GET_USER, GET, "/user/{user_id}", user::get::<P, G>)
        .route(&op::UPDATE_USER, PATCH, "/user/{user_id}", user::patch::<P, G>)
        .route(&op::DELETE_USER, DELETE, "/user/{user_id}", user::delete::<P, G>)
        .route(&op::LIST_ACCESS, GET, "/access", list::<access::AccessList, P, G>)
        .route(&op::REPLACE_ACCESS, PUT, "/user/{user_id}/instance", access::replace::<P, G>)
        .route(&op::GRANT_ACCESS, PUT, "/user/{user_id}/instance/{instance_id}", access::grant::<P, G>)
        .route(&op::REVOKE_ACCESS, DELETE, "/user/{user_id}/instance/{instance_id}", access::revoke::<P, G>)
        .route(&op::LIST_PROJECTS, GET, "/project", list::<project::ProjectList, P, G>)
        .route(&op::CREATE_PROJECT, POST, "/project", project::create::<P, G>)
        .route(&op::GET_PROJECT, GET, "/project/{project_id}", project::get::<P, G>)
        .route(&op::UPDATE_PROJECT, PATCH, "/project/{project_id}", project::patch::<P, G>)
        .route(&op::DELETE_PROJECT, DELETE, "/project/{project_id}", project::delete::<P, G>)
        .route(&op::LIST_API_KEYS, GET, "/api-key", list::<api_key::KeyList, P, G>)
        .route(&op::CREATE_API_KEY, POST, "/api-key", api_key::create::<P, G>)
        .route(&op::GET_API_KEY, GET, "/api-key/{key_id}", api_key::get::<P, G>)
        .route(&op::UPDATE_API_KEY, PATCH, "/api-key/{key_id}", api_key::patch::<P, G>)
        .route(&op::ROTATE_API_KEY, POST, "/api-key/{key_id}/rotate", api_key::rotate::<P, G>)
        .route(&op::REVOKE_API_KEY, DELETE, "/api-key/{key_id}", api_key::revoke::<P, G>)
        .route(&op::LIST_WORKERS, GET, "/worker", list::<registry::list::WorkerList, P, G>)
        .route(&op::GET_WORKER, GET, "/worker/{name}", registry::get::get::<P, G>)
        .route(&op::REGISTER_WORKER, PUT, "/worker/{name}", registry::register::register::<P, G>)
        .route(&op::CHECK_WORKER, POST, "/worker/{name}/check", registry::check::check::<P, G>)
        .route(&op::LIST_AUDIT, GET, "/audit", audit::list::list::<P, G>)
        .route(&op::VERIFY_AUDIT, GET, "/audit/verify", audit::verify::verify::<P, G>)
        .route(&op::RESOLVE, POST, "/internal/v1/resolve", resolve::resolve::<P, G>)
        .route(&op::INTERNAL_CONFIG, GET, "/internal/v1/config/{instance_id}", internal::config::<P, G>)
        .route(&op::INTERNAL_CREDENTIAL, GET, "/internal/v1/credentials/{instance_id}/{provider}", internal::credential::<P, G>)
        .route(&op::INTERNAL_CREDENTIAL_REPORT, POST, "/internal/v1/credentials/report", internal::report::<P, G>)
}
