#![doc = include_str!("../README.md")]

pub mod abuse;
mod access;
pub mod answer;
mod api_key;
mod audit;
mod bindings;
mod caller;
pub mod change;
pub mod deps;
pub mod effective;
mod fields;
mod health;
mod instance;
mod internal;
mod kek;
mod list;
pub mod memory;
mod mutate;
pub mod openapi;
mod organization;
mod page;
mod patch;
mod price;
pub mod principal;
mod project;
mod provider_key;
mod provider_secret;
mod publish;
mod reach;
mod rebuild;
mod registry;
mod resolve;
pub mod routes;
mod session;
pub mod settings;
pub mod sweep;
mod user;

use api_types::InstanceId;
use middleware::Props;
use platform::Ops;
use platform_workers::WorkerPorts;
use worker::{Context, Env, Error, Result, ScheduleContext, ScheduledEvent, event};

/// The fetch event.
#[event(fetch)]
async fn fetch(raw: web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response> {
    let ports = WorkerPorts::of_event(&env, &context, Ops::default());
    let deps = bindings::deps(&env, &ports).map_err(|e| Error::RustError(e.to_string()))?;
    let mut request = platform_workers::request(raw)?;
    let props = platform_workers::props(&context);
    // An instance that is not one matches nothing, so it must not pass as "any".
    let instance_id = props
        .instance_id
        .map(|id| InstanceId::parse(&id))
        .transpose();
    if let (Some(caller), Ok(instance_id)) = (props.caller, instance_id) {
        request.extensions_mut().insert(Props {
            caller: Some(caller),
            instance_id,
        });
    }
    let app = routes::routes().into_app(deps);
    platform_workers::respond(app.handle(request).await).await
}

/// Every minute.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    let ports = bindings::ports_of_cron(&env);
    match bindings::deps(&env, &ports) {
        Ok(deps) => {
            deps.sweep().await;
        }
        Err(error) => tracing::error!(error = %error, "the sweeper has no bindings"),
    }
}
