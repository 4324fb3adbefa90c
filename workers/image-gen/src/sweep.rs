//! The cron of every minute: no wake-up, alarm or claim stays lost.
//!
//! In scope: `sweep` on each limiter object that may have open work, expired rows. Out of scope: what an object then does.
//! A run that dies repeats harmlessly.

use crate::deps::Deps;
use api_types::{InstanceId, limiter_object_name};
use futures_util::{StreamExt, stream};
use platform::{CallContext, Clock, Database, Ports};
use std::collections::BTreeSet;

/// Objects swept at the same time; an invocation has 6 connections.
const PARALLEL: usize = 6;

/// What one run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects that answered.
    pub objects: u32,
    /// Objects that did not.
    pub failed: u32,
    /// Wake-ups that they sent again.
    pub dispatched: u32,
}

/// One run.
pub async fn run<P: Ports>(deps: &Deps<P>) -> Swept {
    let context = CallContext {
        request_id: deps.uuid(),
        traceparent: String::new(),
    };
    let now_ms = deps.clock.now_ms();
    let mut failure = String::new();
    let known = deps.read(|| store::ledger::limiter_objects(&deps.database, now_ms));
    let names = match known.await {
        Ok(known) => {
            let instances: BTreeSet<String> = known
                .iter()
                .map(|object| object.instance_id.clone())
                .collect();
            let mut names: BTreeSet<String> = known.into_iter().map(|object| object.name).collect();
            for instance in instances {
                names.extend(configured(deps, &instance, &context).await);
            }
            names
        }
        Err(error) => {
            failure = error.to_string();
            BTreeSet::new()
        }
    };
    let context = &context;
    let swept = stream::iter(names)
        .map(|name| async move {
            let reply = deps.limiter.sweep(&name, context).await;
            if let Err(error) = &reply {
                tracing::warn!(%error, object = name, "an object was not swept");
            }
            reply.map(|reply| reply.dispatched)
        })
        .buffer_unordered(PARALLEL)
        .fold(Swept::default(), |mut swept, reply| async move {
            match reply {
                Ok(dispatched) => {
                    swept.objects += 1;
                    swept.dispatched += dispatched;
                }
                Err(_) => swept.failed += 1,
            }
            swept
        })
        .await;
    let rows = vec![
        store::ledger::forget_expired_claims(now_ms),
        store::ledger::forget_old_rejects(now_ms),
        store::ledger::finish_maintenance("sweep", now_ms, &failure),
    ];
    if let Err(error) = deps.database.batch(rows).await {
        failure = error.to_string();
    }
    let result = if failure.is_empty() && swept.failed == 0 {
        "ok"
    } else {
        "failed"
    };
    tracing::info!(
        event = logging::Event::Cron.as_str(),
        name = "sweep",
        result,
        objects = swept.objects,
        failed = swept.failed,
        dispatched = swept.dispatched,
        failure,
        "swept"
    );
    swept
}

/// The objects of an instance's configured providers.
async fn configured<P: Ports>(
    deps: &Deps<P>,
    instance: &str,
    context: &CallContext,
) -> Vec<String> {
    let Ok(instance_id) = InstanceId::parse(instance) else {
        return Vec::new();
    };
    match deps.config(&instance_id, context).await {
        Ok(config) => config
            .edited
            .providers
            .keys()
            .map(|provider| limiter_object_name(&instance_id, provider))
            .collect(),
        Err(error) => {
            tracing::warn!(%error, instance, "the providers of an instance are not known");
            Vec::new()
        }
    }
}
