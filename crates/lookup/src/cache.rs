//! What one isolate remembers: plain values with ages and bounds.
//!
//! In scope: verdicts, refusals, configurations, marks of calls under way, the breaker's state. Out of scope: calls.
//! Architecture invariant: the lock is taken for single look-ups and updates only, never over an await.

use crate::bounded::Bounded;
use crate::choose::Hints;
use api_types::{
    AuthContext, InstanceConfig, InstanceId, InstanceVerdict, Need, ProjectVerdict, ResolveReply,
    Secret,
};
use errors::{Breaker, BreakerConfig, Decision, Error, SharedBudget};
use ring::digest::{Context, SHA256};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A verdict is refreshed in the background from this age on, in milliseconds.
pub(crate) const VERDICT_REFRESH_MS: i64 = 3_000;
/// A verdict or refusal of this age is not used, in milliseconds.
pub(crate) const VERDICT_MAX_MS: i64 = 5_000;
/// A configuration is used without asking up to this age, in milliseconds.
pub(crate) const CONFIG_FRESH_MS: i64 = 30_000;
/// A configuration of the isolate may be served while config-service is down up to this age, in milliseconds.
pub(crate) const CONFIG_STALE_MS: i64 = 3_600_000;
/// A mark of this age is void: whoever set it is slow or dead, in milliseconds.
pub(crate) const MARK_VOID_MS: i64 = 250;
/// After serving a stale configuration nobody is asked for it again for so long, in milliseconds.
const STALE_PAUSE_MS: i64 = 2_000;
/// One WARN line in this time, in milliseconds.
const WARN_EVERY_MS: i64 = 60_000;

const MAX_VERDICTS: usize = 2_000;
const MAX_REFUSALS: usize = 1_000;
const MAX_CONFIGS: usize = 200;
const MAX_CONFIG_BYTES: usize = 16 * 1024 * 1024;
const MAX_MARKS: usize = 4_000;

/// SHA-256 of the whole key, the hints and the need: no key is kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct VerdictKey([u8; 32]);

impl VerdictKey {
    pub(crate) fn new(raw: &Secret, hints: &Hints, need: Need) -> Self {
        let mut context = Context::new(&SHA256);
        let none = "\u{0}none";
        for part in [
            raw.expose(),
            hints.instance.as_deref().unwrap_or(none),
            hints.project.as_deref().unwrap_or(none),
            match need {
                Need::Principal => "principal",
                Need::Instance => "instance",
                Need::Project => "project",
            },
        ] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Self(key)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// Just before config-service was asked.
    pub(crate) asked_ms: i64,
    pub(crate) auth: Arc<AuthContext>,
    pub(crate) instance: Option<InstanceVerdict>,
    pub(crate) project: Option<ProjectVerdict>,
    refreshing: bool,
}

impl Verdict {
    /// A clock that went backwards counts as expired: a verdict must not live longer because of it.
    pub(crate) fn usable(&self, now_ms: i64) -> bool {
        (0..VERDICT_MAX_MS).contains(&(now_ms - self.asked_ms))
    }
}

#[derive(Clone, Debug)]
struct Refusal {
    asked_ms: i64,
    error: Error,
}

#[derive(Clone, Debug)]
pub(crate) struct HeldConfig {
    pub(crate) config: Arc<InstanceConfig>,
    /// When config-service last confirmed it, directly or through KV.
    pub(crate) confirmed_ms: i64,
    /// When the isolate last had a reason to believe it current.
    checked_ms: i64,
    /// Served without asking until then, because config-service was down a moment ago.
    stale_until_ms: i64,
}

impl HeldConfig {
    pub(crate) fn version(&self) -> i64 {
        self.config.config_version
    }
}

/// What a call under way is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flight {
    Verdict(VerdictKey),
    Config(InstanceId),
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    set_ms: i64,
    token: u64,
}

/// What a look at the verdicts says to do.
#[derive(Debug)]
pub(crate) enum Look {
    Use(Verdict),
    /// Use it, and refresh it in the background.
    Refresh(Verdict),
    Refused(Error),
    /// Ask; nobody else does.
    Ask(Token),
    /// Somebody else asks; look again later.
    Wait,
}

/// What a look at the configurations says to do.
#[derive(Debug)]
pub(crate) enum ConfigLook {
    Use(Arc<InstanceConfig>),
    /// config-service was down a moment ago; the age of what is held, in milliseconds.
    Stale(Arc<InstanceConfig>, u64),
    Ask(Token, Option<HeldConfig>),
    Wait,
}

/// The right to ask, given to one request at a time.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    flight: Flight,
    token: u64,
}

/// What is asked of config-service. Each has a breaker of its own: configurations can be served stale, verdicts cannot,
/// so a configuration that cannot be had must not end verdicts that can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A key's verdict, with or without a configuration.
    Verdict,
    /// A configuration without a caller.
    Config,
}

struct Inner {
    verdicts: Bounded<VerdictKey, Verdict>,
    refusals: Bounded<VerdictKey, Refusal>,
    /// By address: whoever else has the same key is not blocked.
    blocked: Bounded<String, Refusal>,
    configs: Bounded<InstanceId, HeldConfig>,
    marks: Bounded<Flight, Mark>,
    next_token: u64,
    verdict_breaker: Breaker,
    config_breaker: Breaker,
    warned_ms: Option<i64>,
    /// Instances whose configuration was served stale and not fresh since.
    stale: BTreeSet<InstanceId>,
}

impl Inner {
    const fn breaker(&mut self, route: Route) -> &mut Breaker {
        match route {
            Route::Verdict => &mut self.verdict_breaker,
            Route::Config => &mut self.config_breaker,
        }
    }

    /// Gives the right to ask unless somebody has it whose mark is not void.
    fn take(&mut self, flight: Flight, now_ms: i64) -> Option<Token> {
        let taken = self
            .marks
            .get(&flight)
            .is_some_and(|mark| (0..MARK_VOID_MS).contains(&(now_ms - mark.set_ms)));
        if taken {
            return None;
        }
        let token = self.next_token;
        self.next_token += 1;
        let mark = Mark {
            set_ms: now_ms,
            token,
        };
        self.marks.insert(flight.clone(), mark, 0);
        Some(Token { flight, token })
    }
}

/// The memory of one isolate. Keep it in a `static OnceLock<Arc<LookupCache>>`.
pub struct LookupCache {
    inner: Mutex<Inner>,
    retries: SharedBudget,
}

impl Default for LookupCache {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Inner {
                verdicts: Bounded::new(MAX_VERDICTS, usize::MAX),
                refusals: Bounded::new(MAX_REFUSALS, usize::MAX),
                blocked: Bounded::new(MAX_REFUSALS, usize::MAX),
                configs: Bounded::new(MAX_CONFIGS, MAX_CONFIG_BYTES),
                marks: Bounded::new(MAX_MARKS, usize::MAX),
                next_token: 0,
                verdict_breaker: Breaker::default(),
                config_breaker: Breaker::default(),
                warned_ms: None,
                stale: BTreeSet::new(),
            }),
            retries: SharedBudget::default(),
        }
    }
}

impl std::fmt::Debug for LookupCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LookupCache").finish_non_exhaustive()
    }
}

impl LookupCache {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every update leaves whole values behind, so a poisoned lock is still good.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn look(&self, key: VerdictKey, now_ms: i64) -> Look {
        let mut inner = self.lock();
        if let Some(verdict) = inner.verdicts.get_mut(&key)
            && verdict.usable(now_ms)
        {
            let due = now_ms - verdict.asked_ms >= VERDICT_REFRESH_MS && !verdict.refreshing;
            verdict.refreshing |= due;
            let verdict = verdict.clone();
            return if due {
                Look::Refresh(verdict)
            } else {
                Look::Use(verdict)
            };
        }
        if let Some(refusal) = inner.refusals.get(&key)
            && (0..VERDICT_MAX_MS).contains(&(now_ms - refusal.asked_ms))
        {
            return Look::Refused(refusal.error.clone());
        }
        inner
            .take(Flight::Verdict(key), now_ms)
            .map_or(Look::Wait, Look::Ask)
    }

    /// The instance and version that the isolate holds for that caller, however old the verdict.
    pub(crate) fn have(&self, key: VerdictKey, hint: Option<&str>) -> Option<(InstanceId, i64)> {
        let inner = self.lock();
        let last = inner
            .verdicts
            .get(&key)
            .and_then(|verdict| verdict.instance.as_ref())
            .map(|instance| instance.instance_id.clone());
        let id = last.or_else(|| hint.and_then(|hint| InstanceId::parse(hint).ok()))?;
        let version = inner.configs.get(&id)?.version();
        Some((id, version))
    }

    /// Keeps an answer of config-service. A newer answer that came earlier is not replaced by an older one.
    pub(crate) fn store(&self, key: VerdictKey, asked_ms: i64, reply: ResolveReply) -> Verdict {
        let verdict = Verdict {
            asked_ms,
            auth: Arc::new(reply.auth),
            instance: reply.instance,
            project: reply.project,
            refreshing: false,
        };
        if let Some(config) = reply.config {
            self.store_config(config, asked_ms, asked_ms);
        }
        let mut inner = self.lock();
        if let Some(instance) = &verdict.instance
            && let Some(held) = inner.configs.get_mut(&instance.instance_id)
            && held.version() == instance.config_version
        {
            held.checked_ms = held.checked_ms.max(asked_ms);
            held.confirmed_ms = held.confirmed_ms.max(asked_ms);
            held.stale_until_ms = i64::MIN;
        }
        let newer_there = inner
            .verdicts
            .get(&key)
            .is_some_and(|there| there.asked_ms > asked_ms);
        let newer_refusal = inner
            .refusals
            .get(&key)
            .is_some_and(|there| there.asked_ms > asked_ms);
        if !newer_there && !newer_refusal {
            inner.refusals.remove(&key);
            inner.verdicts.insert(key, verdict.clone(), 0);
        }
        verdict
    }

    /// Keeps that config-service blocks an address.
    pub(crate) fn block(&self, address: &str, asked_ms: i64, error: &Error) {
        let error = error.clone();
        let refusal = Refusal { asked_ms, error };
        self.lock().blocked.insert(address.to_owned(), refusal, 0);
    }

    /// The refusal of an address that was blocked a moment ago.
    pub(crate) fn blocked(&self, address: &str, now_ms: i64) -> Option<Error> {
        let inner = self.lock();
        let refusal = inner.blocked.get(&address.to_owned())?;
        let fresh = (0..VERDICT_MAX_MS).contains(&(now_ms - refusal.asked_ms));
        fresh.then(|| refusal.error.clone())
    }

    /// Keeps a refusal and drops the verdict that it ends.
    pub(crate) fn refuse(&self, key: VerdictKey, asked_ms: i64, error: &Error) {
        let mut inner = self.lock();
        if inner
            .verdicts
            .get(&key)
            .is_some_and(|there| there.asked_ms > asked_ms)
        {
            return;
        }
        inner.verdicts.remove(&key);
        if matches!(error.code.status(), 401 | 403 | 404) {
            let error = error.clone();
            inner.refusals.insert(key, Refusal { asked_ms, error }, 0);
        }
    }

    /// A refresh in the background failed: the next request that looks may try again.
    pub(crate) fn refresh_failed(&self, key: VerdictKey) {
        if let Some(verdict) = self.lock().verdicts.get_mut(&key) {
            verdict.refreshing = false;
        }
    }

    pub(crate) fn look_config(
        &self,
        id: &InstanceId,
        at_least: Option<i64>,
        now_ms: i64,
    ) -> ConfigLook {
        let mut inner = self.lock();
        let held = inner.configs.get(id).cloned();
        if let Some(held) = &held {
            let fresh = (0..CONFIG_FRESH_MS).contains(&(now_ms - held.checked_ms));
            if fresh && at_least.is_none_or(|version| held.version() >= version) {
                return ConfigLook::Use(held.config.clone());
            }
            if now_ms < held.stale_until_ms {
                let age_ms = u64::try_from(now_ms - held.confirmed_ms).unwrap_or(0);
                return ConfigLook::Stale(held.config.clone(), age_ms);
            }
        }
        match inner.take(Flight::Config(id.clone()), now_ms) {
            Some(token) => ConfigLook::Ask(token, held),
            None => ConfigLook::Wait,
        }
    }

    /// Keeps a configuration, unless a newer version is held already.
    pub(crate) fn store_config(
        &self,
        config: InstanceConfig,
        confirmed_ms: i64,
        checked_ms: i64,
    ) -> Arc<InstanceConfig> {
        // What it takes as text is near enough to what it takes in memory for a bound.
        let bytes = serde_json::to_string(&config).map_or(0, |text| text.len());
        let config = Arc::new(config);
        let mut inner = self.lock();
        if let Some(held) = inner.configs.get(&config.instance_id)
            && held.version() > config.config_version
        {
            return held.config.clone();
        }
        let held = HeldConfig {
            config: config.clone(),
            confirmed_ms,
            checked_ms,
            stale_until_ms: i64::MIN,
        };
        inner
            .configs
            .insert(config.instance_id.clone(), held, bytes);
        config
    }

    /// config-service says that the held version is current.
    pub(crate) fn confirm_config(&self, id: &InstanceId, version: i64, asked_ms: i64) {
        if let Some(held) = self.lock().configs.get_mut(id)
            && held.version() == version
        {
            held.checked_ms = asked_ms;
            held.confirmed_ms = asked_ms;
            held.stale_until_ms = i64::MIN;
        }
    }

    pub(crate) fn forget_config(&self, id: &InstanceId) {
        self.lock().configs.remove(id);
    }

    /// Serves what is held for a moment without asking again; says whether a WARN line is due, and whether the instance
    /// was fresh before.
    pub(crate) fn served_stale(&self, id: &InstanceId, now_ms: i64) -> (bool, bool) {
        let mut inner = self.lock();
        if let Some(held) = inner.configs.get_mut(id) {
            held.stale_until_ms = now_ms + STALE_PAUSE_MS;
        }
        let due = inner
            .warned_ms
            .is_none_or(|warned| now_ms - warned >= WARN_EVERY_MS);
        if due {
            inner.warned_ms = Some(now_ms);
        }
        if inner.stale.len() >= MAX_CONFIGS {
            inner.stale.clear();
        }
        (due, inner.stale.insert(id.clone()))
    }

    /// Notes that the instance's configuration is fresh; says whether it was served stale before.
    pub(crate) fn fresh_again(&self, id: &InstanceId) -> bool {
        self.lock().stale.remove(id)
    }

    /// Ends a call: the mark goes if it is still this one's.
    pub(crate) fn done(&self, token: &Token) {
        let mut inner = self.lock();
        if inner
            .marks
            .get(&token.flight)
            .is_some_and(|mark| mark.token == token.token)
        {
            inner.marks.remove(&token.flight);
        }
    }

    /// What all calls of config-service together may repeat.
    pub(crate) fn retries(&self) -> &SharedBudget {
        &self.retries
    }

    pub(crate) fn admit(&self, route: Route, now_ms: i64, probe_ms: i64, random: u64) -> Decision {
        self.lock()
            .breaker(route)
            .admit(now_ms, probe_ms, &BreakerConfig::LOOKUP, random)
    }

    pub(crate) fn record(
        &self,
        route: Route,
        now_ms: i64,
        generation: u64,
        failed: bool,
        random: u64,
    ) {
        self.lock().breaker(route).record(
            now_ms,
            generation,
            Some(failed),
            &BreakerConfig::LOOKUP,
            random,
        );
    }

    #[cfg(test)]
    pub(crate) fn sizes(&self) -> [usize; 4] {
        let inner = self.lock();
        [
            inner.verdicts.len(),
            inner.refusals.len(),
            inner.configs.len(),
            inner.marks.len(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(n: u32) -> ResolveReply {
        serde_json::from_value(serde_json::json!({
            "v": 1, "checked_at": "2026-11-21T10:00:00.000Z",
            "auth": {"principal": "key:x", "kind": "user_key", "role": "user", "user": null, "org_id": null, "key": null,
                "project_id": null, "instances": [], "instances_more": false, "permissions": []},
            "instance": {"instance_id": format!("i{n}"), "status": "active", "config_version": 1},
            "project": null,
            "config": {"instance_id": format!("i{n}"), "org_id": "0198f0a0-0000-7000-8000-000000000001", "config_version": 1},
        }))
        .unwrap()
    }

    #[test]
    fn stays_in_its_bounds_under_a_hundred_thousand_keys() {
        let cache = LookupCache::default();
        let refused = Error::new(errors::Code::AuthFailed, "no");
        for n in 0..100_000_u32 {
            let key = VerdictKey::new(
                &Secret::new(format!("k{n}")),
                &Hints::default(),
                Need::Instance,
            );
            assert!(matches!(cache.look(key, 0), Look::Ask(_)));
            match n % 20 {
                0 => drop(cache.store(key, 0, reply(n))),
                _ => cache.refuse(key, 0, &refused),
            }
            let [verdicts, refusals, configs, marks] = cache.sizes();
            assert!(verdicts <= 2_000 && refusals <= 1_000 && configs <= 200 && marks <= 4_000);
        }
        assert_eq!(cache.sizes(), [2_000, 1_000, 200, 4_000]);
    }

    #[test]
    fn an_answer_that_comes_late_does_not_replace_a_newer_one() {
        let cache = LookupCache::default();
        let key = VerdictKey::new(&Secret::new("k"), &Hints::default(), Need::Instance);
        cache.refuse(key, 1_000, &Error::new(errors::Code::AuthFailed, "revoked"));
        cache.store(key, 500, reply(1));
        assert!(matches!(cache.look(key, 1_100), Look::Refused(_)));
    }

    #[test]
    fn the_key_is_not_in_the_cache_key() {
        let hint = |instance: &str| Hints {
            instance: Some(instance.into()),
            project: None,
        };
        let raw = Secret::new("sy_4fGh7kQ2mZ0a_secret");
        let key = VerdictKey::new(&raw, &hint("a"), Need::Instance);
        assert!(!format!("{key:?}").contains("secret"));
        assert_ne!(key, VerdictKey::new(&raw, &hint("b"), Need::Instance));
        assert_ne!(
            key,
            VerdictKey::new(&raw, &Hints::default(), Need::Instance)
        );
    }
}
