//! The configuration of an instance, as people edit it and as workers get it.
//!
//! In scope: shape and defaults. Out of scope: rules (module `validate`), storage.
//! Unknown members are accepted here, because a worker may be older than config-service; config-service refuses them
//! by [`unknown_members`].

use crate::{Ciphertext, CredentialId, InstanceId, OrgId, ProviderName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A rolling window of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowLimit {
    /// Requests admitted in any `per_ms`.
    pub requests: u32,
    /// Its length, in milliseconds.
    pub per_ms: u32,
}

/// Limits of one provider in one instance; null means the provider's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimit {
    /// Requests in any 60 s.
    pub rpm: Option<u32>,
    /// Tokens in any 60 s.
    pub tpm: Option<u32>,
    /// Images in progress at once.
    pub max_inflight_images: Option<u32>,
    /// Further windows.
    pub windows: Vec<WindowLimit>,
}

/// Whether the provider's key can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialState {
    /// There is one.
    Set,
    /// There is none.
    #[default]
    Missing,
    /// `base_url` moved to another host since the key was entered.
    HostChanged,
    /// The provider refused it lately.
    Failing,
}

/// One provider of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderSettings {
    /// The adapter; empty means the provider's own name.
    pub adapter: String,
    /// Whether `plan` may choose it.
    pub enabled: bool,
    /// Where it is; `None` means the vendor's own address.
    pub base_url: Option<String>,
    /// Version of the vendor's API; `None` means the model's first.
    pub api_version: Option<String>,
    /// Account at the vendor, where its URLs need one.
    pub account: Option<String>,
    /// Model where the request names none.
    pub default_model: Option<String>,
    /// If not empty, the only models.
    pub allowed_models: Vec<String>,
    /// Loopback and private addresses are allowed (local and self-hosted only).
    pub allow_private_host: bool,
    /// Further hosts that results may be downloaded from.
    pub extra_result_hosts: Vec<String>,
    /// Further hosts that API calls may go to (private settings only).
    pub extra_api_hosts: Vec<String>,
    /// Headers added to each call; only `cf-aig-*`.
    pub extra_headers: BTreeMap<String, String>,
    /// `off` or `on`.
    pub webhook: String,
    /// Longest wait for one generation, in milliseconds.
    pub timeout_ms: u32,
    /// Models that add to or replace the built-in ones.
    pub models: Vec<Value>,
    /// Price rows that add to or replace the built-in ones.
    pub prices: Vec<Value>,
    /// Derived: the credential in use.
    pub credential_id: Option<CredentialId>,
    /// Derived: whether it can be used.
    pub credential_state: CredentialState,
}

impl Default for ProviderSettings {
    fn default() -> Self {
        Self {
            adapter: String::new(),
            enabled: true,
            base_url: None,
            api_version: None,
            account: None,
            default_model: None,
            allowed_models: Vec::new(),
            allow_private_host: false,
            extra_result_hosts: Vec::new(),
            extra_api_hosts: Vec::new(),
            extra_headers: BTreeMap::new(),
            webhook: "off".to_owned(),
            timeout_ms: 120_000,
            models: Vec::new(),
            prices: Vec::new(),
            credential_id: None,
            credential_state: CredentialState::Missing,
        }
    }
}

impl ProviderSettings {
    /// The adapter's name for a provider of that name.
    pub fn adapter_name<'a>(&'a self, name: &'a ProviderName) -> &'a str {
        if self.adapter.is_empty() {
            name.as_str()
        } else {
            &self.adapter
        }
    }
}

/// What `plan` optimizes for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimize {
    /// Price first.
    Cost,
    /// Time first.
    Speed,
    /// Model tier first.
    Quality,
    /// All of them.
    #[default]
    Balanced,
}

/// `auto`, `none`, or a list of `provider/model`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fallback {
    /// `"auto"` or `"none"`.
    Word(FallbackWord),
    /// Up to 4 of `provider/model`.
    List(Vec<String>),
}

/// The two words of [`Fallback`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackWord {
    /// Every other candidate.
    Auto,
    /// No other candidate.
    None,
}

impl Default for Fallback {
    fn default() -> Self {
        Self::Word(FallbackWord::Auto)
    }
}

/// What happens to a model without a price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPrice {
    /// It is passed over.
    #[default]
    Refuse,
    /// It runs and its cost is null.
    Allow,
}

/// How providers are chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Routing {
    /// Provider where the request names none.
    pub default_provider: Option<ProviderName>,
    /// Model where the request names none.
    pub default_model: Option<String>,
    /// What follows the first candidate.
    pub fallback: Fallback,
    /// What to optimize for.
    pub optimize: Optimize,
    /// Whether a safety refusal goes to the next candidate.
    pub fallback_on_safety: bool,
    /// Submissions of one job over all candidates, 1 to 5.
    pub max_attempts: u32,
    /// Models without a price.
    pub unknown_price: UnknownPrice,
    /// If not empty, the only `provider/model` or model ids.
    pub models: Vec<String>,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            default_provider: None,
            default_model: None,
            fallback: Fallback::default(),
            optimize: Optimize::default(),
            fallback_on_safety: false,
            max_attempts: 3,
            unknown_price: UnknownPrice::default(),
            models: Vec::new(),
        }
    }
}

/// What happens when the limit is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// 429 with the computed `Retry-After`.
    #[default]
    Reject,
    /// The job waits.
    Queue,
}

/// The wait queue of each provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueSettings {
    /// When the limit is reached.
    pub on_limit: OnLimit,
    /// Jobs waiting at one provider.
    pub max_depth: u32,
    /// Of one project.
    pub max_depth_project: u32,
    /// Longest wait, in seconds.
    pub max_wait_s: u32,
    /// Share of each project, 1 to 100.
    pub weights: BTreeMap<String, u32>,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            on_limit: OnLimit::Reject,
            max_depth: 1_000,
            max_depth_project: 500,
            max_wait_s: 3_600,
            weights: BTreeMap::new(),
        }
    }
}

/// The period of a budget, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetPeriod {
    /// A day.
    Day,
    /// A month.
    Month,
}

/// A ceiling on spending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// `instance`, `provider:<name>`, `project:<id>` or `key:<id>`.
    pub scope: String,
    /// Its period.
    pub period: BudgetPeriod,
    /// The ceiling, in micro-dollars.
    pub limit_usd_micros: i64,
}

/// Who may read an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// A signed URL or a key with access.
    #[default]
    Private,
    /// Anybody who has the URL.
    Public,
}

/// How long images are kept; null keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// Days.
    pub retention_days: Option<u32>,
    /// Newest images kept.
    pub keep_last: Option<u32>,
    /// Bytes kept.
    pub max_bytes: Option<u64>,
}

/// Where and how images are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageSettings {
    /// Further buckets that a request may name.
    pub r2_buckets: Vec<String>,
    /// Where the request does not say.
    pub visibility: Visibility,
    /// Life of signed URLs, in seconds.
    pub url_ttl_s: u32,
    /// Days images are kept.
    pub retention_days: Option<u32>,
    /// Newest images kept.
    pub keep_last: Option<u32>,
    /// Bytes kept.
    pub max_bytes: Option<u64>,
    /// Retention of single projects.
    pub projects: BTreeMap<String, Retention>,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            r2_buckets: Vec::new(),
            visibility: Visibility::Private,
            url_ttl_s: 86_400,
            retention_days: None,
            keep_last: None,
            max_bytes: None,
            projects: BTreeMap::new(),
        }
    }
}

/// What to do with an image that fails the quality check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityCheck {
    /// Nothing is checked beyond what a picture must have.
    Off,
    /// It is delivered with a warning.
    #[default]
    Warn,
    /// The job fails; the image is kept and was paid for.
    Strict,
}

/// The members that people edit. Derived members are added by config-service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EditableConfig {
    /// Limits by provider.
    pub rate_limits: BTreeMap<ProviderName, RateLimit>,
    /// Bucket that images go to.
    pub r2_bucket: Option<String>,
    /// `production`, `development` or another word of the team.
    pub environment: Option<String>,
    /// Deleting needs this to be false.
    pub protected: bool,
    /// Where the instance's objects should live.
    pub location_hint: Option<String>,
    /// Base of public image URLs.
    pub cdn_base_url: Option<String>,
    /// Providers.
    pub providers: BTreeMap<ProviderName, ProviderSettings>,
    /// Choice of providers.
    pub routing: Routing,
    /// Wait queue.
    pub queue: QueueSettings,
    /// Spending ceilings.
    pub budgets: Vec<Budget>,
    /// Storage of images.
    pub storage: StorageSettings,
    /// Longest wait of a synchronous request, in milliseconds; null means 120,000.
    pub sync_timeout_ms: Option<u32>,
    /// Quality check of images.
    pub quality_check: QualityCheck,
    /// Hosts that webhooks may go to; empty means any public host.
    pub webhook_hosts: Vec<String>,
    /// Logging.
    pub logging: Value,
    /// Cost guard.
    pub cost_guard: Value,
    /// Settings of repo-agent.
    pub repo_agent: Value,
}

/// What workers get: the edited members with everything derived, secrets sealed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceConfig {
    /// Id.
    pub instance_id: InstanceId,
    /// Owner.
    pub org_id: OrgId,
    /// Sealed provider keys.
    #[serde(default)]
    pub api_keys: BTreeMap<ProviderName, Ciphertext>,
    /// URLs of the instance's workers.
    #[serde(default)]
    pub worker_urls: BTreeMap<String, String>,
    /// Rises with every change that workers see.
    pub config_version: i64,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Whether a superadmin marked it as self-hosted.
    #[serde(default)]
    pub self_hosted: bool,
    /// The edited members.
    #[serde(flatten)]
    pub edited: EditableConfig,
}

/// Where an instance stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceStatus {
    /// Being set up.
    Deploying,
    /// Takes new work.
    Active,
    /// Takes no new work; running work goes on.
    Paused,
    /// Being taken down.
    Deleting,
    /// A tombstone.
    Deleted,
}

/// JSON pointers of the members of `input` that did not survive parsing into a type that always serializes all of its
/// members: the members that the type does not know.
pub fn unknown_members(input: &Value, parsed: &Value) -> Vec<String> {
    fn walk(input: &Value, parsed: &Value, at: &str, found: &mut Vec<String>) {
        match (input, parsed) {
            (Value::Object(input), Value::Object(parsed)) => {
                for (name, value) in input {
                    let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                    match parsed.get(name) {
                        Some(parsed) => walk(value, parsed, &pointer, found),
                        None => found.push(pointer),
                    }
                }
            }
            (Value::Array(input), Value::Array(parsed)) => {
                for (index, (value, parsed)) in input.iter().zip(parsed).enumerate() {
                    walk(value, parsed, &format!("{at}/{index}"), found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(input, parsed, "", &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_are_found_at_any_depth() {
        let input = serde_json::json!({"rate_limits":{"ideogram":{"rpm":5,"rps":1}},"budgest":[],"queue":{"weights":{"a":1}}});
        let parsed: EditableConfig = serde_json::from_value(input.clone()).unwrap();
        let unknown = unknown_members(&input, &serde_json::to_value(&parsed).unwrap());
        assert_eq!(unknown, ["/rate_limits/ideogram/rps", "/budgest"]);
    }

    #[test]
    fn an_empty_configuration_has_the_defaults_of_the_documentation() {
        let config: EditableConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config.routing.max_attempts, 3);
        assert_eq!(config.storage.url_ttl_s, 86_400);
        assert_eq!(config.queue.on_limit, OnLimit::Reject);
    }
}
