//! The URLs by which images are read, and the signatures of private ones.
//!
//! In scope: three forms of public URL, signing, checking. Out of scope: serving (image-gen).
//! A signature is `HMAC-SHA256("GET\n{path}\n{exp}")`; the path is the object's key, so a URL opens one object only.

use api_types::{Secret, Visibility};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use errors::Error;
use ring::hmac;

const HOUR_S: i64 = 3_600;
/// Shortest and longest life of a signed URL, in seconds.
const MIN_LIFE_S: i64 = 60;
const MAX_LIFE_S: i64 = 7 * 86_400;

/// How public images are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CdnKind {
    /// Through the worker's own route.
    #[default]
    Worker,
    /// By a domain in front of the buckets: `{base}/{bucket}/{path}`.
    CustomDomain,
    /// By the bucket's public development address: `{base}/{path}`.
    R2Dev,
}

impl CdnKind {
    /// The word of the variable `CDN_KIND`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "worker" => Some(Self::Worker),
            "custom_domain" => Some(Self::CustomDomain),
            "r2_dev" => Some(Self::R2Dev),
            _ => None,
        }
    }
}

/// Why a signed URL is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// There is no signature at all.
    Missing,
    /// It was valid once.
    Expired,
    /// It is not one of ours for this path.
    Invalid,
}

/// The keys that sign URLs, by id; the first one signs, all check.
#[derive(Clone)]
pub struct SigningKeys(Vec<(String, hmac::Key)>);

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<&str> = self.0.iter().map(|(id, _)| id.as_str()).collect();
        write!(f, "SigningKeys({ids:?})")
    }
}

impl SigningKeys {
    /// Parses `id:base64,id:base64`, newest first; each key has at least 32 bytes.
    pub fn parse(text: &Secret) -> Result<Self, Error> {
        let mut keys = Vec::new();
        for part in text.expose().split(',').map(str::trim) {
            let bytes = part
                .split_once(':')
                .filter(|(id, _)| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric()))
                .and_then(|(id, key)| Some((id, STANDARD.decode(key).ok()?)))
                .filter(|(_, key)| key.len() >= 32);
            let Some((id, key)) = bytes else {
                return Err(Error::internal(
                    "URL_SIGNING_KEYS: each entry is an id, a colon and 32 bytes in base64",
                ));
            };
            keys.push((id.to_owned(), hmac::Key::new(hmac::HMAC_SHA256, &key)));
        }
        Ok(Self(keys))
    }

    fn message(path: &str, expires_s: i64) -> String {
        format!("GET\n{path}\n{expires_s}")
    }

    /// The query that opens `path`. The expiry is rounded up to the full hour, so that the same answer rendered twice
    /// within the hour is equal byte by byte.
    pub fn query(&self, path: &str, now_ms: i64, life_s: u32) -> String {
        let life_s = i64::from(life_s).clamp(MIN_LIFE_S, MAX_LIFE_S);
        let exact = now_ms.div_euclid(1_000) + life_s;
        let expires_s = (exact + HOUR_S - 1).div_euclid(HOUR_S) * HOUR_S;
        let Some((id, key)) = self.0.first() else {
            return String::new();
        };
        let tag = hmac::sign(key, Self::message(path, expires_s).as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(tag.as_ref());
        format!("exp={expires_s}&kid={id}&sig={signature}")
    }

    /// Checks the query of a request for `path`.
    pub fn verify(&self, path: &str, query: &str, now_ms: i64) -> Result<(), UrlError> {
        let member = |name: &str| {
            let mut values = query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .filter(|(member, _)| *member == name)
                .map(|(_, value)| value);
            // A member that comes twice would let two readers see two different URLs.
            values.next().filter(|_| values.next().is_none())
        };
        let (exp, kid, sig) = (member("exp"), member("kid"), member("sig"));
        if !query.split('&').any(|pair| pair.starts_with("sig=")) {
            return Err(UrlError::Missing);
        }
        let (Some(exp), Some(kid), Some(sig)) = (exp, kid, sig) else {
            return Err(UrlError::Invalid);
        };
        let expires_s: i64 = exp
            .parse()
            .ok()
            .filter(|value: &i64| value.to_string() == exp)
            .ok_or(UrlError::Invalid)?;
        let key = self
            .0
            .iter()
            .find(|(id, _)| id == kid)
            .map(|(_, key)| key)
            .ok_or(UrlError::Invalid)?;
        let tag = URL_SAFE_NO_PAD.decode(sig).map_err(|_| UrlError::Invalid)?;
        hmac::verify(key, Self::message(path, expires_s).as_bytes(), &tag)
            .map_err(|_| UrlError::Invalid)?;
        if expires_s <= now_ms.div_euclid(1_000) {
            return Err(UrlError::Expired);
        }
        Ok(())
    }
}

/// Where images are read.
#[derive(Clone, Debug)]
pub struct UrlForms {
    /// How public images are reached.
    pub kind: CdnKind,
    /// Base of the worker's own routes, without a slash at the end.
    pub public_base_url: String,
    /// Base of the other forms, unless the instance has its own.
    pub cdn_base_url: String,
    /// Signs private images.
    pub keys: SigningKeys,
}

impl UrlForms {
    /// The URL of one object. Private ones always go through the worker, signed.
    pub fn image_url(
        &self,
        bucket: &str,
        path: &str,
        visibility: Visibility,
        instance_base: Option<&str>,
        now_ms: i64,
        life_s: u32,
    ) -> String {
        let worker = format!(
            "{}/images/{path}",
            self.public_base_url.trim_end_matches('/')
        );
        if visibility == Visibility::Private {
            return format!("{worker}?{}", self.keys.query(path, now_ms, life_s));
        }
        let base = instance_base
            .unwrap_or(&self.cdn_base_url)
            .trim_end_matches('/');
        match self.kind {
            CdnKind::Worker => worker,
            CdnKind::CustomDomain => format!("{base}/{bucket}/{path}"),
            CdnKind::R2Dev => format!("{base}/{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATH: &str = "production/default/1_image-9f31c2aa.png";
    const NOW_MS: i64 = 1_763_719_203_240;

    fn keys(text: &str) -> SigningKeys {
        SigningKeys::parse(&Secret::new(text)).unwrap()
    }

    fn one() -> SigningKeys {
        keys(&format!("u1:{}", STANDARD.encode([7; 32])))
    }

    fn forms(kind: CdnKind) -> UrlForms {
        UrlForms {
            kind,
            public_base_url: "https://api.example.com/".to_owned(),
            cdn_base_url: "https://cdn.example.com".to_owned(),
            keys: one(),
        }
    }

    #[test]
    fn signature_format_unchanged() {
        assert_eq!(
            one().query("p", 0, 60),
            "exp=3600&kid=u1&sig=KEufbbSoNWFwaA_2vQqxEjA8-b2d3DiI0k37hLoBrG4"
        );
    }

    #[test]
    fn answers_within_the_hour_are_equal_and_open_what_they_name() {
        let keys = one();
        let query = keys.query(PATH, NOW_MS, 86_400);
        assert_eq!(query, keys.query(PATH, NOW_MS + 60_000, 86_400));
        assert_eq!(keys.verify(PATH, &query, NOW_MS), Ok(()));
        assert_eq!(
            keys.verify("production/default/2.png", &query, NOW_MS),
            Err(UrlError::Invalid)
        );
        let end_ms = NOW_MS + 86_400_000 + 3_600_000;
        assert_eq!(keys.verify(PATH, &query, end_ms), Err(UrlError::Expired));
        assert_eq!(keys.verify(PATH, "", NOW_MS), Err(UrlError::Missing));
        assert_eq!(keys.verify(PATH, "exp=1", NOW_MS), Err(UrlError::Missing));
    }

    #[test]
    fn older_keys_still_open_and_removed_ones_do_not() {
        let (a, b) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 32]));
        let query = keys(&format!("u1:{a}")).query(PATH, NOW_MS, 600);
        assert_eq!(
            keys(&format!("u2:{b},u1:{a}")).verify(PATH, &query, NOW_MS),
            Ok(())
        );
        assert_eq!(
            keys(&format!("u2:{b}")).verify(PATH, &query, NOW_MS),
            Err(UrlError::Invalid)
        );
    }

    #[test]
    fn private_images_never_get_an_open_url() {
        for kind in [CdnKind::Worker, CdnKind::CustomDomain, CdnKind::R2Dev] {
            let url = forms(kind).image_url("b", PATH, Visibility::Private, None, NOW_MS, 600);
            assert!(
                url.starts_with("https://api.example.com/images/production/")
                    && url.contains("&sig="),
                "{url}"
            );
        }
        let public =
            |kind, base| forms(kind).image_url("b", "p", Visibility::Public, base, NOW_MS, 600);
        assert_eq!(
            public(CdnKind::Worker, None),
            "https://api.example.com/images/p"
        );
        assert_eq!(
            public(CdnKind::CustomDomain, None),
            "https://cdn.example.com/b/p"
        );
        assert_eq!(
            public(CdnKind::CustomDomain, Some("https://img.acme.com/")),
            "https://img.acme.com/b/p"
        );
        assert_eq!(public(CdnKind::R2Dev, None), "https://cdn.example.com/p");
    }

    #[test]
    fn short_or_unreadable_keys_are_refused() {
        for bad in ["", "u1", "u1:%%%", "u1:c2hvcnQ=", ":AAAA"] {
            assert!(SigningKeys::parse(&Secret::new(bad)).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn one_changed_character_is_refused(at in 0_usize..200, with in "[A-Za-z0-9&=_-]") {
            let keys = one();
            let query = keys.query(PATH, NOW_MS, 600);
            let at = at % query.len();
            let mut changed = query.clone();
            changed.replace_range(at..=at, &with);
            if changed != query {
                prop_assert!(keys.verify(PATH, &changed, NOW_MS).is_err(), "{changed}");
            }
        }

        #[test]
        fn any_query_is_answered(query in ".{0,100}") {
            prop_assert!(one().verify(PATH, &query, NOW_MS).is_err());
        }
    }
}
