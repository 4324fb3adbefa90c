//! The route table, and nothing else.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use crate::{
    access, api_key, api_key_create, health, instance, instance_create, internal, openapi,
    organization, project, provider_key, resolve, session, user,
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
        .route(&op::CREATE_ORGANIZATION, POST, "/organization", organization::create::<P, G>)
        .route(&op::LIST_INSTANCES, GET, "/instance", instance::list::<P, G>)
        .route(&op::CREATE_INSTANCE, POST, "/instance", instance_create::create::<P, G>)
        .route(&op::GET_INSTANCE, GET, "/instance/{instance_id}", instance::get::<P, G>)
        .route(&op::LIST_PROVIDER_KEYS, GET, "/instance/{instance_id}/provider-key", provider_key::list::<P, G>)
        .route(&op::SET_PROVIDER_KEY, PUT, "/instance/{instance_id}/provider-key/{provider}", provider_key::set::<P, G>)
        .route(&op::CREATE_USER, POST, "/user", user::create::<P, G>)
        .route(&op::GET_USER, GET, "/user/{user_id}", user::get::<P, G>)
        .route(&op::GRANT_ACCESS, PUT, "/user/{user_id}/instance/{instance_id}", access::grant::<P, G>)
        .route(&op::CREATE_PROJECT, POST, "/project", project::create::<P, G>)
        .route(&op::LIST_API_KEYS, GET, "/api-key", api_key::list::<P, G>)
        .route(&op::CREATE_API_KEY, POST, "/api-key", api_key_create::create::<P, G>)
        .route(&op::GET_API_KEY, GET, "/api-key/{key_id}", api_key::get::<P, G>)
        .route(&op::REVOKE_API_KEY, DELETE, "/api-key/{key_id}", api_key::revoke::<P, G>)
        .route(&op::RESOLVE, POST, "/internal/v1/resolve", resolve::resolve::<P, G>)
        .route(&op::INTERNAL_CONFIG, GET, "/internal/v1/config/{instance_id}", internal::config::<P, G>)
        .route(&op::INTERNAL_CREDENTIAL, GET, "/internal/v1/credentials/{instance_id}/{provider}", internal::credential::<P, G>)
        .route(&op::INTERNAL_CREDENTIAL_REPORT, POST, "/internal/v1/credentials/report", internal::report::<P, G>)
}
