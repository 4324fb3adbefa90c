//! One look-up per request: caches first, then config-service, then what may be served without it.
//!
//! In scope: the order of sources, waiting, repeating once, the breaker, stale configurations. Out of scope: what is
//! remembered and for how long (module `cache`), the form of the calls (module `source`).

use crate::cache::{
    CONFIG_STALE_MS, ConfigLook, HeldConfig, Look, LookupCache, Route, Verdict, VerdictKey,
};
use crate::choose::Hints;
use crate::kv;
use crate::source::{CALL_TIMEOUT_MS, ConfigSource, unavailable};
use api_types::{
    AuthContext, CachedConfig, Freshness, HaveConfig, InstanceConfig, InstanceId, InstanceVerdict,
    Need, ProjectVerdict, ResolveRequest, Secret, Timestamp,
};
use auth::key::PresentedKey;
use errors::{
    Code, Decision, Elapsed, Error, Jitter, Result, RetryOptions, with_retry, with_timeout,
};
use platform::{Background, CallContext, Clock, KvStore, Ports, Random};
use std::future::Future;
use std::sync::Arc;

/// A copy in KV counts as current up to this age of its confirmation, in milliseconds.
const KV_FRESH_MS: i64 = 300_000;
/// A copy in KV may be served while config-service is down up to this age, in milliseconds.
const KV_STALE_MS: i64 = 86_400_000;
/// Both attempts of one call, 50 ms apart. This is the only layer that repeats a call of config-service.
const ATTEMPTS: RetryOptions = RetryOptions {
    max_attempts: 2,
    initial_delay_ms: 50,
    max_delay_ms: 50,
    deadline_ms: None,
    jitter: Jitter::None,
    should_retry: |error| error.retry_after_ms.is_none(),
};
/// How long requests wait before they look again, in milliseconds; the last one repeats.
const LOOK_AGAIN_MS: [u64; 5] = [5, 10, 20, 40, 80];
/// A request that found no answer after this time gives up, in milliseconds: two attempts and the void mark.
const GIVE_UP_MS: u64 = 5_000;

/// Everything a request needs to know about its caller, asked once.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The caller, verified at most 5 s ago.
    pub auth: Arc<AuthContext>,
    /// The instance with its status, at most 5 s old; `None` when only the principal was needed.
    pub instance: Option<InstanceVerdict>,
    /// The project, if the request names one or the key is bound to one.
    pub project: Option<ProjectVerdict>,
    /// The instance's configuration.
    pub config: Option<Arc<InstanceConfig>>,
    /// How old the configuration is, if config-service could not confirm it.
    pub freshness: Freshness,
}

/// The look-up of one worker. Cheap to clone.
#[derive(Clone)]
pub struct Lookup<P: Ports, S> {
    cache: Arc<LookupCache>,
    source: S,
    kv: P::Kv,
    clock: P::Clock,
    random: P::Random,
    background: P::Background,
}

/// One question, kept so that it can be asked again in the background.
#[derive(Clone)]
struct Question {
    key: VerdictKey,
    request: ResolveRequest,
    context: CallContext,
}

impl<P: Ports, S: ConfigSource> Lookup<P, S> {
    /// Around the memory of the isolate.
    pub fn new(
        cache: Arc<LookupCache>,
        source: S,
        kv: P::Kv,
        clock: P::Clock,
        random: P::Random,
        background: P::Background,
    ) -> Self {
        Self {
            cache,
            source,
            kv,
            clock,
            random,
            background,
        }
    }

    /// Where verdicts and configurations come from, for what is asked past every cache.
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// Who calls, and as much as `need` says. `presented` proves that the form of the key was checked; `raw` is the
    /// whole key.
    ///
    /// # Errors
    /// 400, 401, 403, 404, 429 as config-service says; 503 `config_unavailable`.
    pub async fn resolve(
        &self,
        _presented: &PresentedKey,
        raw: &Secret,
        hints: &Hints,
        need: Need,
        client_ip: Option<&str>,
        context: &CallContext,
    ) -> Result<Resolved> {
        let question = Question {
            key: VerdictKey::new(raw, hints, need),
            request: ResolveRequest {
                v: 1,
                credential: raw.clone(),
                instance_hint: hints.instance.clone(),
                project_hint: hints.project.clone(),
                need,
                have: None,
                client_ip: client_ip.map(ToOwned::to_owned),
            },
            context: context.clone(),
        };
        // Fetching a configuration may take so long that the verdict ends meanwhile; then both are looked up again.
        for _ in 0..3 {
            let verdict = self.verdict(&question).await?;
            let (config, freshness) = match &verdict.instance {
                None => (None, Freshness::default()),
                Some(instance) => {
                    let version = Some(instance.config_version);
                    let found = self.held(&instance.instance_id, version, context).await?;
                    (Some(found.0), found.1)
                }
            };
            if verdict.usable(self.clock.now_ms()) {
                return Ok(Resolved {
                    auth: verdict.auth,
                    instance: verdict.instance,
                    project: verdict.project,
                    config,
                    freshness,
                });
            }
        }
        Err(unavailable(
            "the verdict ended before the configuration came",
        ))
    }

    /// The configuration of an instance for work without a caller: consumers, alarms, sweepers. It may be stale while
    /// config-service is down.
    ///
    /// # Errors
    /// 404 `not_found`; 503 `config_unavailable` when there is not even a stale copy.
    pub async fn config(
        &self,
        instance_id: &InstanceId,
        context: &CallContext,
    ) -> Result<(Arc<InstanceConfig>, Freshness)> {
        self.held(instance_id, None, context).await
    }

    async fn verdict(&self, question: &Question) -> Result<Verdict> {
        let mut wait = Wait::default();
        loop {
            match self.cache.look(question.key, self.clock.now_ms()) {
                Look::Use(verdict) => return Ok(verdict),
                Look::Refused(error) => return Err(error),
                Look::Refresh(verdict) => {
                    self.refresh(question);
                    return Ok(verdict);
                }
                Look::Ask(token) => {
                    let answer = match self.blocked(question) {
                        Some(error) => Err(error),
                        None => self.ask(question).await,
                    };
                    self.cache.done(&token);
                    return answer;
                }
                Look::Wait => wait.sleep(&self.clock).await?,
            }
        }
    }

    fn blocked(&self, question: &Question) -> Option<Error> {
        let address = question.request.client_ip.as_deref()?;
        self.cache.blocked(address, self.clock.now_ms())
    }

    fn refresh(&self, question: &Question) {
        let (lookup, question) = (self.clone(), question.clone());
        self.background.spawn(async move {
            if let Err(error) = lookup.ask(&question).await
                && error.code.status() >= 500
            {
                lookup.cache.refresh_failed(question.key);
            }
        });
    }

    async fn ask(&self, question: &Question) -> Result<Verdict> {
        let mut request = question.request.clone();
        request.have = self
            .cache
            .have(question.key, request.instance_hint.as_deref())
            .map(|(instance_id, config_version)| HaveConfig {
                instance_id,
                config_version,
            });
        let attempt = || self.source.resolve(request.clone(), &question.context);
        let (asked_ms, answer) = self.attempts(Route::Verdict, attempt).await?;
        match answer {
            Ok(reply) => Ok(self.cache.store(question.key, asked_ms, reply)),
            Err(error) => {
                if error.code == Code::TooManyAuthFailures {
                    // It says something about the address, not about the key.
                    if let Some(address) = &question.request.client_ip {
                        self.cache.block(address, asked_ms, &error);
                    }
                    self.cache.refresh_failed(question.key);
                } else {
                    self.cache.refuse(question.key, asked_ms, &error);
                }
                Err(error)
            }
        }
    }

    /// Two attempts through the route's breaker. The inner result is config-service's answer, refusals included; the outer
    /// error means that there was none.
    async fn attempts<T, F>(
        &self,
        route: Route,
        call: impl Fn() -> F + Send + Sync,
    ) -> Result<(i64, Result<T>)>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let answer = with_retry(
            ATTEMPTS,
            self.cache.retries(),
            || self.clock.now_ms(),
            |ms| self.clock.sleep(ms),
            || self.random.next_u64(),
            || self.attempt(route, call()),
        );
        answer.await.map_err(|error| unavailable(error.internal))
    }

    /// One attempt. An error of the breaker says when to come back, one of the call does not.
    async fn attempt<T>(
        &self,
        route: Route,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<(i64, Result<T>)> {
        let asked_ms = self.clock.now_ms();
        let probe_ms = i64::try_from(CALL_TIMEOUT_MS).unwrap_or(i64::MAX);
        let admitted = self
            .cache
            .admit(route, asked_ms, probe_ms, self.random.next_u64());
        let Decision::Allowed { generation, .. } = admitted else {
            return Err(unavailable("the breaker is open"));
        };
        let timer = self.clock.sleep(CALL_TIMEOUT_MS);
        let answer = with_timeout(call, timer)
            .await
            .unwrap_or_else(|Elapsed| Err(unavailable("no answer in time")));
        let failed = matches!(&answer, Err(error) if error.code.status() >= 500);
        self.cache.record(
            route,
            self.clock.now_ms(),
            generation,
            failed,
            self.random.next_u64(),
        );
        match answer {
            Err(error) if failed => {
                let failure = Error::new(Code::ConfigUnavailable, error.public.clone());
                Err(failure.with_internal(error.to_string()))
            }
            answer => Ok((asked_ms, answer)),
        }
    }

    async fn held(
        &self,
        id: &InstanceId,
        at_least: Option<i64>,
        context: &CallContext,
    ) -> Result<(Arc<InstanceConfig>, Freshness)> {
        let found = self.found(id, at_least, context).await?;
        if found.1.stale_config_ms.is_none() && self.cache.fresh_again(id) {
            gauge(id, 0);
        }
        Ok(found)
    }

    async fn found(
        &self,
        id: &InstanceId,
        at_least: Option<i64>,
        context: &CallContext,
    ) -> Result<(Arc<InstanceConfig>, Freshness)> {
        let mut wait = Wait::default();
        loop {
            match self.cache.look_config(id, at_least, self.clock.now_ms()) {
                ConfigLook::Use(config) => return Ok((config, Freshness::default())),
                ConfigLook::Stale(config, age_ms) => return Ok((config, stale(age_ms))),
                ConfigLook::Ask(token, held) => {
                    let found = self.fetch(id, at_least, held, context).await;
                    self.cache.done(&token);
                    return found;
                }
                ConfigLook::Wait => wait.sleep(&self.clock).await?,
            }
        }
    }

    async fn fetch(
        &self,
        id: &InstanceId,
        at_least: Option<i64>,
        held: Option<HeldConfig>,
        context: &CallContext,
    ) -> Result<(Arc<InstanceConfig>, Freshness)> {
        let copy = self.kv_copy(id).await;
        let now_ms = self.clock.now_ms();
        if let Some(copy) = &copy
            && now_ms - copy.confirmed_at.ms() < KV_FRESH_MS
            && at_least.is_none_or(|version| copy.config_version >= version)
            && held
                .as_ref()
                .is_none_or(|held| copy.config_version >= held.version())
        {
            let config =
                self.cache
                    .store_config(copy.config.clone(), copy.confirmed_at.ms(), now_ms);
            return Ok((config, Freshness::default()));
        }
        let have = held.as_ref().map(HeldConfig::version);
        let call = || self.source.config(id, have, context);
        match self.attempts(Route::Config, call).await {
            Ok((asked_ms, Ok(Some(config)))) => {
                let config = self.cache.store_config(config, asked_ms, asked_ms);
                Ok((config, Freshness::default()))
            }
            Ok((asked_ms, Ok(None))) => match held {
                Some(held) => {
                    self.cache.confirm_config(id, held.version(), asked_ms);
                    Ok((held.config, Freshness::default()))
                }
                None => Err(unavailable("unchanged, but nothing is held")),
            },
            Ok((_, Err(refused))) => {
                if refused.code.status() == 404 {
                    self.cache.forget_config(id);
                }
                Err(refused)
            }
            Err(failure) => self.stale_copy(id, held, copy, failure),
        }
    }

    async fn kv_copy(&self, id: &InstanceId) -> Option<CachedConfig> {
        let text = match self.kv.get(&kv::key(id), kv::CACHE_TTL_S).await {
            Ok(text) => text?,
            Err(error) => {
                tracing::warn!(instance_id = %id, %error, "the configuration copy could not be read");
                return None;
            }
        };
        kv::decode(&text, id)
            .map_err(|why| {
                tracing::warn!(instance_id = %id, why, "the configuration copy is not usable");
            })
            .ok()
    }

    /// What may be served while config-service is down: the newest of what the isolate and KV hold.
    fn stale_copy(
        &self,
        id: &InstanceId,
        held: Option<HeldConfig>,
        copy: Option<CachedConfig>,
        failure: Error,
    ) -> Result<(Arc<InstanceConfig>, Freshness)> {
        let now_ms = self.clock.now_ms();
        let held = held.filter(|held| now_ms - held.confirmed_ms < CONFIG_STALE_MS);
        let copy = copy.filter(|copy| now_ms - copy.confirmed_at.ms() < KV_STALE_MS);
        let copy_is_newer = match (&held, &copy) {
            (Some(held), Some(copy)) => copy.config_version > held.version(),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let (config, confirmed_ms) = match (held, copy) {
            (_, Some(copy)) if copy_is_newer => {
                let Timestamp(confirmed_ms) = copy.confirmed_at;
                // Kept as already due, so that it is not taken for fresh when config-service is back.
                let config = self
                    .cache
                    .store_config(copy.config, confirmed_ms, i64::MIN / 2);
                (config, confirmed_ms)
            }
            (Some(held), _) => (held.config, held.confirmed_ms),
            _ => return Err(failure),
        };
        let age_ms = u64::try_from(now_ms - confirmed_ms).unwrap_or(0);
        let (warn, first) = self.cache.served_stale(id, now_ms);
        if warn || first {
            gauge(id, age_ms);
        }
        if warn {
            tracing::warn!(instance_id = %id, age_ms, error = %failure, "serving a configuration that cannot be confirmed");
        }
        Ok((config, stale(age_ms)))
    }
}

/// How old the served configuration is while it cannot be confirmed; 0 when it is fresh again.
fn gauge(id: &InstanceId, age_ms: u64) {
    tracing::info!(event = "gauge", name = "stale_config_ms", label = %id, value = age_ms);
}

const fn stale(age_ms: u64) -> Freshness {
    Freshness {
        stale_config_ms: Some(age_ms),
    }
}

/// A request's own timer while another request asks.
#[derive(Default)]
struct Wait {
    looks: usize,
    waited_ms: u64,
}

impl Wait {
    async fn sleep(&mut self, clock: &impl Clock) -> Result<()> {
        if self.waited_ms >= GIVE_UP_MS {
            return Err(unavailable("no answer while waiting for another request"));
        }
        let [.., last] = LOOK_AGAIN_MS;
        let ms = LOOK_AGAIN_MS.get(self.looks).copied().unwrap_or(last);
        self.looks += 1;
        self.waited_ms += ms;
        clock.sleep(ms).await;
        Ok(())
    }
}
