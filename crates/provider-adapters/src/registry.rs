//! From a provider's name and settings to its adapter.
//!
//! In scope: settings over data, hosts, headers. Out of scope: requests (module `image`).

use crate::capability::{Model, VendorData, vendor_data};
use crate::error::ProviderError;
use crate::image::{Ideogram, ImageAdapter, OpenAi};
use crate::price::{PriceBook, PriceRow};
use crate::types::Label;
use api_types::{ProviderName, ProviderSettings, url_guard};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;
use url::Url;

/// A provider as its adapter sees it: the vendor's data with the instance's settings over it.
#[derive(Clone, Debug)]
pub struct Profile {
    name: ProviderName,
    data: &'static VendorData,
    base: Url,
    private: bool,
    models: Cow<'static, [Model]>,
    prices: Vec<PriceRow>,
    default_model: Option<String>,
    api_hosts: Vec<String>,
    result_hosts: Vec<String>,
    headers: HeaderMap,
    timeout_ms: u64,
}

impl Profile {
    pub(crate) fn new(name: &ProviderName, settings: &ProviderSettings) -> Result<Self, String> {
        let adapter = settings.adapter_name(name);
        let data = match vendor_data(adapter) {
            Some(Ok(data)) => data,
            Some(Err(error)) => return Err(format!("data of adapter {adapter}: {error}")),
            None => return Err(format!("there is no adapter {adapter}")),
        };
        let private = settings.allow_private_host;
        let base_text = settings.base_url.as_deref().unwrap_or(&data.base_url);
        let base = url_guard::check_base(base_text, private)
            .map_err(|refused| format!("base_url {refused}"))?;
        let mut headers = HeaderMap::new();
        for (header, value) in &settings.extra_headers {
            if !header.to_ascii_lowercase().starts_with("cf-aig-") {
                return Err(format!("header {header} is not allowed"));
            }
            let bad = |_| format!("header {header} is malformed");
            let header_name = HeaderName::try_from(header.as_str())
                .map_err(|_| format!("header {header} is malformed"))?;
            headers.insert(
                header_name,
                HeaderValue::try_from(value.as_str()).map_err(bad)?,
            );
        }
        let mut api_hosts = data.api_hosts.clone();
        let mut result_hosts = data.result_hosts.clone();
        let own = url_guard::host_port(&base);
        if data.result_hosts.is_empty() {
            result_hosts.push(own.clone());
        }
        api_hosts.push(own);
        result_hosts.extend(
            settings
                .extra_result_hosts
                .iter()
                .map(|host| host.to_ascii_lowercase()),
        );
        if private {
            api_hosts.extend(
                settings
                    .extra_api_hosts
                    .iter()
                    .map(|host| host.to_ascii_lowercase()),
            );
        }
        Ok(Self {
            name: name.clone(),
            data,
            base,
            private,
            models: models(data, settings)?,
            prices: prices(settings)?,
            default_model: settings.default_model.clone(),
            api_hosts,
            result_hosts,
            headers,
            timeout_ms: u64::from(settings.timeout_ms),
        })
    }

    /// The provider's name.
    pub const fn name(&self) -> &ProviderName {
        &self.name
    }

    /// The vendor's data.
    pub const fn data(&self) -> &'static VendorData {
        self.data
    }

    /// Whether loopback, private addresses and plain http are allowed.
    pub const fn is_private(&self) -> bool {
        self.private
    }

    /// Its models, in the order of data and settings.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model of that id or alias.
    pub fn model(&self, name: &str) -> Option<&Model> {
        let by_id = self.models.iter().find(|model| model.id == name);
        by_id.or_else(|| self.models.iter().find(|model| model.is_called(name)))
    }

    /// The model where a request names none.
    pub fn default_model(&self) -> Option<&Model> {
        match &self.default_model {
            Some(name) => self.model(name),
            None => self
                .models
                .iter()
                .find(|model| model.default)
                .or(self.models.first()),
        }
    }

    /// Its prices.
    pub fn prices(&self) -> PriceBook<'_> {
        PriceBook::new(&self.data.prices, &self.prices, self.private)
    }

    /// Longest wait for one generation, in milliseconds.
    pub const fn timeout_ms(&self) -> u64 {
        self.timeout_ms
    }

    /// Headers that the settings add.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether the key may go there.
    pub fn is_api_host(&self, url: &Url) -> bool {
        listed(&self.api_hosts, url)
    }

    /// Whether results may be downloaded from there.
    pub fn is_result_host(&self, url: &Url) -> bool {
        listed(&self.result_hosts, url)
    }

    pub(crate) fn label(&self) -> Label<'_> {
        Label {
            provider: &self.name,
            adapter: &self.data.adapter,
        }
    }

    /// A URL below the base; each segment is escaped.
    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        below(&self.base, segments)
    }

    /// Host, with its port where that is not the scheme's own, that calls go to: the one that a key must be bound to.
    pub fn host(&self) -> String {
        url_guard::host_port(&self.base)
    }

    /// Whether calls go to the vendor's own address, and not to one of the settings.
    pub(crate) fn is_vendors_own(&self) -> bool {
        Url::parse(&self.data.base_url).is_ok_and(|own| own == self.base)
    }
}

/// A URL below a base; each segment is escaped.
pub(crate) fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

fn listed(hosts: &[String], url: &Url) -> bool {
    let host = url_guard::host_port(url);
    hosts.iter().any(|known| match known.strip_prefix("*.") {
        Some(parent) => host
            .strip_suffix(parent)
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => *known == host,
    })
}

fn models(
    data: &'static VendorData,
    settings: &ProviderSettings,
) -> Result<Cow<'static, [Model]>, String> {
    let mut rows = Vec::new();
    for (index, value) in settings.models.iter().enumerate() {
        let model: Model = serde_json::from_value(value.clone())
            .map_err(|error| format!("models[{index}]: {error}"))?;
        if model.id.is_empty() {
            return Err(format!("models[{index}]: id is missing"));
        }
        rows.push(model);
    }
    if settings.allow_private_host {
        // A self-hosted server has models that nobody described.
        for name in settings
            .default_model
            .iter()
            .chain(&settings.allowed_models)
        {
            let known = rows
                .iter()
                .chain(&data.models)
                .any(|model| model.is_called(name));
            if !known {
                rows.push(Model::compatible(name));
            }
        }
    }
    if rows.is_empty() {
        return Ok(Cow::Borrowed(&data.models));
    }
    let kept = data
        .models
        .iter()
        .filter(|model| !rows.iter().any(|row| row.id == model.id))
        .cloned();
    let all: Vec<Model> = kept.chain(rows.iter().cloned()).collect();
    Ok(Cow::Owned(all))
}

fn prices(settings: &ProviderSettings) -> Result<Vec<PriceRow>, String> {
    settings
        .prices
        .iter()
        .enumerate()
        .map(|(index, value)| {
            serde_json::from_value(value.clone())
                .map_err(|error| format!("prices[{index}]: {error}"))
        })
        .collect()
}

/// The adapter of a provider.
///
/// # Errors
/// Unknown adapter, an address that is not allowed, malformed rows in the settings.
pub fn image(
    name: &ProviderName,
    settings: &ProviderSettings,
) -> Result<ImageAdapter, ProviderError> {
    let profile = Profile::new(name, settings).map_err(|why| {
        ProviderError::refused(format!("The settings of provider {name} cannot be used."))
            .with_internal(why)
    })?;
    Ok(match profile.data.adapter.as_str() {
        "ideogram" => ImageAdapter::Ideogram(Ideogram::new(profile)),
        _ => ImageAdapter::OpenAi(OpenAi::new(profile)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(value: serde_json::Value) -> ProviderSettings {
        serde_json::from_value(value).unwrap()
    }

    fn profile(value: serde_json::Value) -> Result<Profile, String> {
        Profile::new(&ProviderName::parse("ideogram").unwrap(), &settings(value))
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_name_without_settings_is_its_adapter_and_another_name_needs_one() {
        assert!(profile(json!({})).is_ok());
        let named = ProviderName::parse("openai-eu").unwrap();
        assert!(image(&named, &settings(json!({}))).is_err());
        assert!(image(&named, &settings(json!({"adapter":"openai"}))).is_ok());
    }

    #[test]
    fn hosts_are_compared_whole_and_with_their_port() {
        let public = profile(json!({})).unwrap();
        assert!(public.is_api_host(&url("https://api.ideogram.ai/v2")));
        assert!(public.is_result_host(&url("https://ideogram.ai/api/images/x.png")));
        for foreign in [
            "https://ideogram.ai.example.com/x",
            "https://evilideogram.ai/x",
            "https://ideogram.ai:8443/x",
            "https://api.ideogram.ai.evil.com/x",
        ] {
            assert!(!public.is_result_host(&url(foreign)), "{foreign}");
            assert!(!public.is_api_host(&url(foreign)), "{foreign}");
        }
        assert!(listed(&["*.bfl.ai".into()], &url("https://us1.bfl.ai/x")));
        assert!(!listed(&["*.bfl.ai".into()], &url("https://bfl.ai/x")));
        assert!(!listed(&["*.bfl.ai".into()], &url("https://evilbfl.ai/x")));
    }

    #[test]
    fn private_addresses_and_hosts_need_private_settings() {
        assert!(profile(json!({"base_url":"http://127.0.0.1:9"})).is_err());
        assert!(profile(json!({"base_url":"https://169.254.169.254"})).is_err());
        let local = profile(json!({"base_url":"http://127.0.0.1:9","allow_private_host":true,"extra_api_hosts":["127.0.0.1:10"],"extra_result_hosts":["127.0.0.1:11"]})).unwrap();
        assert!(
            local.is_api_host(&url("http://127.0.0.1:10/x"))
                && !local.is_api_host(&url("http://127.0.0.1:11/x"))
        );
        assert!(
            local.is_result_host(&url("http://127.0.0.1:11/x"))
                && !local.is_result_host(&url("http://127.0.0.1:9/x"))
        );
        let public = profile(json!({"extra_api_hosts":["evil.example.com"]})).unwrap();
        assert!(!public.is_api_host(&url("https://evil.example.com")));
        assert!(profile(json!({"extra_headers":{"Cookie":"a"}})).is_err());
        assert!(profile(json!({"extra_headers":{"cf-aig-cache-ttl":"0"}})).is_ok());
    }

    #[test]
    fn settings_add_and_replace_models_and_prices() {
        let own = profile(json!({"models":[{"id":"new","n":[1,2]},{"id":"ideogram-3","label":"mine"}],"prices":[]})).unwrap();
        assert_eq!(own.model("ideogram-3").unwrap().label, "mine");
        assert!(own.model("new").is_some() && own.model("ideogram-4").is_some());
        assert!(profile(json!({"models":[{"label":"x"}]})).is_err());
        assert!(profile(json!({"prices":[{"model":"x"}]})).is_err());
        let local = ProviderName::parse("localai").unwrap();
        let server = settings(
            json!({"adapter":"openai","base_url":"http://127.0.0.1:8080/v1","allow_private_host":true,"default_model":"sd-3.5"}),
        );
        let profile = Profile::new(&local, &server).unwrap();
        assert_eq!(profile.default_model().unwrap().id, "sd-3.5");
    }
}
