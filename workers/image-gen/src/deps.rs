//! What every handler, consumer and sweep works with: the ports, the clients made from them, and this isolate's memory.
//!
//! In scope: holding them. Out of scope: where they come from (`bindings` on Workers, the tests' own set-up).

use crate::memory::Memory;
use api_types::{InstanceConfig, InstanceId};
use auth::envelope::Keks;
use errors::Result;
use lookup::{Lookup, ServiceSource};
use middleware::AppState;
use platform::{CallContext, Clock, DbError, DbErrorKind, Ops, Ports, new_uuid};
use provider_driver::Driver;
use r2_manager::UrlForms;
use rate_limiter::LimiterClient;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Between the two attempts of a read, in milliseconds.
const READ_AGAIN_MS: u64 = 20;

/// Where configurations come from.
pub type Source<P> = ServiceSource<<P as Ports>::Service>;

/// Times that tests make shorter.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The commit that this build was made of.
    pub git_sha: String,
    /// The platform's id of this version; `None` locally.
    pub version_id: Option<String>,
    /// A holder without a sign of life loses its lease after that long, in milliseconds.
    pub holder_ms: u64,
    /// A holder gives a sign of life that often, in milliseconds.
    pub renew_ms: u64,
    /// How long a job-style provider may take in all, in milliseconds.
    pub run_ms: u64,
    /// How long the consumer works on one lease, in milliseconds.
    pub consumer_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            git_sha: "unknown".to_owned(),
            version_id: None,
            holder_ms: jobs::HOLDER_MS,
            renew_ms: jobs::RENEW_MS,
            run_ms: jobs::RUN_JOB_STYLE_MS,
            consumer_ms: 600_000,
        }
    }
}

impl Settings {
    /// From variables. Shorter times are for tests: elsewhere they are ignored with an ERROR line.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let shortened = matches!(var("ENVIRONMENT").as_deref(), Some("local" | "test"));
        let mut settings = Self {
            git_sha: var("GIT_SHA").unwrap_or_else(|| "unknown".to_owned()),
            ..Self::default()
        };
        for (name, slot) in [
            ("HOLDER_MS", &mut settings.holder_ms),
            ("RENEW_MS", &mut settings.renew_ms),
            ("RUN_MS", &mut settings.run_ms),
            ("CONSUMER_MS", &mut settings.consumer_ms),
        ] {
            let Some(text) = var(name) else {
                continue;
            };
            match text.parse().ok().filter(|ms| *ms > 0) {
                Some(ms) if shortened => *slot = ms,
                _ => tracing::error!(variable = name, "test knob ignored"),
            }
        }
        settings
    }
}

/// The buckets by the name that configurations use.
#[derive(Clone, Debug)]
pub struct Buckets<S> {
    all: BTreeMap<String, S>,
    default: String,
}

impl<S: Clone> Buckets<S> {
    /// The first one is the default.
    pub fn new(buckets: Vec<(String, S)>) -> Self {
        let default = buckets
            .first()
            .map(|(name, _)| name.clone())
            .unwrap_or_default();
        Self {
            all: buckets.into_iter().collect(),
            default,
        }
    }

    /// The name of the bucket for what has no other.
    pub fn default_name(&self) -> &str {
        &self.default
    }

    /// All names.
    pub fn names(&self) -> Vec<&str> {
        self.all.keys().map(String::as_str).collect()
    }

    /// A bucket by its name.
    pub fn get(&self, name: &str) -> Option<&S> {
        self.all.get(name)
    }

    /// Whether there is one of that name.
    pub fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// That bucket, then the default one: the order of writing and of reading.
    pub fn in_order(&self, name: &str) -> Vec<(String, S)> {
        let mut names = vec![name];
        if name != self.default {
            names.push(&self.default);
        }
        names
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), self.get(name)?.clone())))
            .collect()
    }
}

/// What a set of dependencies is made of.
pub struct Parts<P: Ports> {
    /// Time.
    pub clock: P::Clock,
    /// Randomness.
    pub random: P::Random,
    /// The counter that the ports share.
    pub ops: Ops,
    /// D1 `ledger`.
    pub database: P::Database,
    /// Objects of class `RateLimiter`.
    pub limiter: P::Actors,
    /// Buckets by name, the default first.
    pub buckets: Vec<(String, P::Objects)>,
    /// The outside.
    pub http: P::Http,
    /// After the answer.
    pub background: P::Background,
    /// Callers and configurations.
    pub lookup: Lookup<P, Source<P>>,
    /// Key-encryption keys.
    pub keks: Keks,
    /// URLs of images.
    pub forms: UrlForms,
    /// Times.
    pub settings: Settings,
    /// This isolate's memory.
    pub memory: Arc<Memory>,
}

/// The dependencies of one event. Cheap to clone.
pub struct Deps<P: Ports>(Arc<Inner<P>>);

/// Reached through [`Deps`].
pub struct Inner<P: Ports> {
    /// Time.
    pub clock: P::Clock,
    /// Randomness.
    pub random: P::Random,
    /// The counter that the ports share.
    pub ops: Ops,
    /// D1 `ledger`.
    pub database: P::Database,
    /// The limiter objects.
    pub limiter: LimiterClient<P>,
    /// Buckets.
    pub buckets: Buckets<P::Objects>,
    /// Providers.
    pub driver: Driver<P::Http, P::Clock, P::Random>,
    /// After the answer.
    pub background: P::Background,
    /// Callers and configurations.
    pub lookup: Lookup<P, Source<P>>,
    /// Key-encryption keys.
    pub keks: Keks,
    /// URLs of images.
    pub forms: UrlForms,
    /// Times.
    pub settings: Settings,
    /// This isolate's memory.
    pub memory: Arc<Memory>,
}

impl<P: Ports> Clone for Deps<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Ports> std::ops::Deref for Deps<P> {
    type Target = Inner<P>;

    fn deref(&self) -> &Inner<P> {
        &self.0
    }
}

impl<P: Ports> Deps<P> {
    /// Puts them together.
    pub fn new(parts: Parts<P>) -> Self {
        Self(Arc::new(Inner {
            limiter: LimiterClient::new(parts.limiter, parts.clock.clone()),
            driver: Driver::new(parts.http, parts.clock.clone(), parts.random.clone()),
            clock: parts.clock,
            random: parts.random,
            ops: parts.ops,
            database: parts.database,
            buckets: Buckets::new(parts.buckets),
            background: parts.background,
            lookup: parts.lookup,
            keks: parts.keks,
            forms: parts.forms,
            settings: parts.settings,
            memory: parts.memory,
        }))
    }

    /// A new UUIDv7.
    pub fn uuid(&self) -> String {
        new_uuid(&self.clock, &self.random)
    }

    /// Reads the ledger by `ask`; a ledger that does not answer is asked once more.
    ///
    /// # Errors
    /// The second failure, or the first one that asking again does not mend.
    pub async fn read<T, F>(&self, ask: impl Fn() -> F + Send) -> Result<T, DbError>
    where
        F: Future<Output = Result<T, DbError>> + Send,
        T: Send,
    {
        match ask().await {
            Err(error) if error.kind == DbErrorKind::Unavailable => {
                self.clock.sleep(READ_AGAIN_MS).await;
                ask().await
            }
            done => done,
        }
    }

    /// The configuration of an instance for work without a caller.
    ///
    /// # Errors
    /// 404 `not_found`, 503 `config_unavailable`.
    pub async fn config(
        &self,
        instance_id: &InstanceId,
        context: &CallContext,
    ) -> Result<Arc<InstanceConfig>> {
        Ok(self.lookup.config(instance_id, context).await?.0)
    }
}

impl<P: Ports> AppState for Deps<P> {
    type Ports = P;
    type Source = Source<P>;

    fn service(&self) -> &'static str {
        "image-gen"
    }

    fn clock(&self) -> &P::Clock {
        &self.clock
    }

    fn random(&self) -> &P::Random {
        &self.random
    }

    fn ops(&self) -> Ops {
        self.ops.clone()
    }

    fn lookup(&self) -> Option<&Lookup<P, Source<P>>> {
        Some(&self.lookup)
    }
}
