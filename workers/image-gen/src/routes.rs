//! The route table and nothing else.

use crate::deps::Deps;
use crate::{generate, health, images, jobs, openai, openapi, running};
use auth::permission::image_gen;
use http::Method;
use middleware::Routes;
use platform::Ports;

/// All routes of this worker.
pub fn routes<P: Ports>() -> Routes<Deps<P>> {
    let table = Routes::new().openai_errors_under("/v1/");
    table
        .route(
            &image_gen::GENERATE,
            Method::POST,
            "/generate",
            generate::generate::<P>,
        )
        .route(
            &image_gen::GET_JOB,
            Method::GET,
            "/jobs/{id}",
            jobs::get_job::<P>,
        )
        .route(
            &image_gen::GET_IMAGE_FILE,
            Method::GET,
            "/images/{instance_id}/{project_id}/{file}",
            images::get_image_file::<P>,
        )
        .route(
            &image_gen::OPENAI_GENERATE,
            Method::POST,
            "/v1/images/generations",
            openai::openai_generate::<P>,
        )
        .route(
            &image_gen::LIST_MODELS,
            Method::GET,
            "/v1/models",
            openai::list_models::<P>,
        )
        .route(
            &image_gen::GET_MODEL,
            Method::GET,
            "/v1/models/{*id}",
            openai::get_model::<P>,
        )
        .route(
            &image_gen::HEALTH,
            Method::GET,
            "/health",
            health::health::<P>,
        )
        .route(
            &image_gen::OPENAPI,
            Method::GET,
            "/openapi.json",
            openapi::openapi,
        )
        .route(
            &image_gen::INTERNAL_RUNNING,
            Method::GET,
            "/internal/v1/running/{instance_id}",
            running::running::<P>,
        )
}
