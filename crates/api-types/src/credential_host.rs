//! The host that a provider's key is bound to.
//!
//! In scope: the one derivation from a provider's settings, for whoever seals and whoever opens. Out of scope: sealing.

use crate::{ProviderName, ProviderSettings, url_guard};

/// Where each adapter goes without a `base_url`.
const VENDOR_URLS: &[(&str, &str)] = &[
    ("ideogram", "https://api.ideogram.ai"),
    ("openai", "https://api.openai.com/v1"),
];

impl ProviderSettings {
    /// Host, with its port where it is not the scheme's own, of `base_url` or of the vendor; `None` for an adapter
    /// that is not known or a `base_url` that is no URL.
    pub fn credential_host(&self, name: &ProviderName) -> Option<String> {
        let adapter = self.adapter_name(name);
        let url = match &self.base_url {
            Some(url) => url.as_str(),
            None => VENDOR_URLS.iter().find(|(known, _)| *known == adapter)?.1,
        };
        // Whether it may be called was decided when it was saved; here only its host counts.
        url_guard::check_base(url, true)
            .ok()
            .map(|url| url_guard::host_port(&url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ADAPTERS;

    #[test]
    fn every_adapter_has_a_vendor_address() {
        for (adapter, _) in ADAPTERS {
            let name = ProviderName::parse(adapter).unwrap();
            assert!(
                ProviderSettings::default().credential_host(&name).is_some(),
                "{adapter}"
            );
        }
    }

    #[test]
    fn the_port_counts_where_it_is_not_the_usual_one() {
        let at = |url: &str| {
            let settings = ProviderSettings {
                base_url: Some(url.into()),
                ..ProviderSettings::default()
            };
            settings.credential_host(&ProviderName::parse("ideogram").unwrap())
        };
        assert_eq!(
            at("http://127.0.0.1:8123/ideogram").unwrap(),
            "127.0.0.1:8123"
        );
        assert_eq!(at("https://api.ideogram.ai/v1").unwrap(), "api.ideogram.ai");
        assert_eq!(at("no url"), None);
    }
}
