#![doc = include_str!("../README.md")]

pub mod answer;
pub mod attempt;
mod bindings;
pub mod consumer;
pub mod credentials;
mod delivery;
pub mod deps;
mod ending;
pub mod fallback;
pub mod generate;
pub mod health;
pub mod idempotency;
pub mod images;
pub mod jobs;
mod keyring;
pub mod lease;
pub mod memory;
pub mod openai;
pub mod openapi;
pub mod range;
pub mod reconcile;
pub mod refusals;
pub mod routes;
pub mod run;
pub mod running;
pub mod settling;
pub mod storing;
pub mod sweep;
pub mod unready;
pub mod validate;

pub use routes::routes;

use api_types::InstanceId;
use consumer::Verdict;
use futures_util::StreamExt;
use middleware::Props;
use platform::Ops;
use platform_workers::{WorkerPorts, queue_text};
use worker::{
    Context, Env, MessageBatch, MessageExt, QueueRetryOptionsBuilder, Result, ScheduleContext,
    ScheduledEvent, event,
};

/// Messages of one batch that are worked on at the same time.
const AT_ONCE: usize = 4;

/// The fetch event.
#[event(fetch)]
async fn fetch(raw: web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response> {
    let ports = WorkerPorts::of_event(&env, &context, Ops::default());
    let mut request = platform_workers::request(raw)?;
    let deps = match bindings::deps(&env, &ports) {
        Ok(deps) => deps,
        Err(error) => {
            let missing = bindings::missing_parts(&env, &ports);
            tracing::error!(%error, ?missing, "the worker is not set up");
            let request_id = platform::new_uuid(&ports.clock(), &ports.random());
            let answer = unready::answer(request.uri().path(), &missing, &request_id);
            return platform_workers::respond(answer).await;
        }
    };
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
    let app = routes().into_app(deps);
    platform_workers::respond(app.handle(request).await).await
}

/// Wake-ups of `jobs`, and what `jobs-dlq` got. Never `Err`: each message is acked or retried by itself.
#[event(queue)]
async fn queue(batch: MessageBatch<serde_json::Value>, env: Env, context: Context) -> Result<()> {
    let ports = WorkerPorts::of_event(&env, &context, Ops::default());
    let deps = match bindings::deps(&env, &ports) {
        Ok(deps) => deps,
        Err(error) => {
            tracing::error!(%error, "the consumer has no bindings");
            batch.retry_all();
            return Ok(());
        }
    };
    let name = batch.queue();
    // At the same time: a message that polls for minutes must not hold up the others of its batch.
    let handled = batch.raw_iter().map(|message| {
        let (deps, name) = (&deps, &name);
        async move {
            let body = queue_text(&message);
            let id = message.id();
            let handled = consumer::handle(deps, name, &id, body.as_deref());
            match Box::pin(handled).await {
                Verdict::Ack => message.ack(),
                Verdict::Retry { delay_s } => {
                    let options = QueueRetryOptionsBuilder::new().with_delay_seconds(delay_s);
                    message.retry_with_options(&options.build());
                }
            }
        }
    });
    futures_util::stream::iter(handled)
        .buffer_unordered(AT_ONCE)
        .collect::<()>()
        .await;
    Ok(())
}

/// Every minute.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    match bindings::deps(&env, &bindings::ports_of_cron(&env)) {
        Ok(deps) => drop(sweep::run(&deps).await),
        Err(error) => tracing::error!(%error, "the sweep has no bindings"),
    }
}
