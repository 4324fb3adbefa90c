//! Takes the key out of a vendor's text before anybody can store or log it.
//!
//! In scope: the key in plain, base64 and percent form, length caps. Out of scope: finding unknown secrets.

use crate::{ProviderError, ProviderSecret};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Longest public text, in characters.
pub const MAX_PUBLIC_CHARS: usize = 300;
/// Longest internal text, in characters.
pub const MAX_INTERNAL_CHARS: usize = 2_000;

const MASK: &str = "*****";

/// Knows the forms of one credential.
#[derive(Clone)]
pub struct Redactor {
    needles: Vec<String>,
}

impl Redactor {
    /// The forms of that credential.
    pub fn new(secret: &ProviderSecret) -> Self {
        let secrets = [Some(&secret.api_key), secret.webhook_secret.as_ref()];
        let mut needles = Vec::new();
        for text in secrets.into_iter().flatten().map(api_types::Secret::expose) {
            if text.is_empty() {
                continue;
            }
            needles.push(text.to_owned());
            for before in 0..3 {
                needles.push(inside_base64(text, before, &STANDARD));
                needles.push(inside_base64(text, before, &URL_SAFE));
            }
            let percent: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            needles.push(percent.to_ascii_lowercase());
            needles.push(percent);
            let every = percent_every(text);
            needles.push(every.to_ascii_lowercase());
            needles.push(every);
        }
        // A longer form must not be left half because a shorter one was masked inside it.
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        needles.dedup();
        needles.retain(|needle| !needle.is_empty());
        Self { needles }
    }

    /// The text without the key, at most `max_chars` long.
    pub fn clean(&self, text: &str, max_chars: usize) -> String {
        let mut clean = text.to_owned();
        for needle in &self.needles {
            if clean.contains(needle.as_str()) {
                clean = clean.replace(needle.as_str(), MASK);
            }
        }
        if let Some((end, _)) = clean.char_indices().nth(max_chars) {
            clean.truncate(end);
        }
        clean
    }

    /// Cleans every text of an error.
    pub fn clean_error(&self, mut error: ProviderError) -> ProviderError {
        error.public = self.clean(&error.public, MAX_PUBLIC_CHARS);
        error.internal = self.clean(&error.internal, MAX_INTERNAL_CHARS);
        error.provider_code = error.provider_code.map(|code| self.clean(&code, 100));
        error.provider_request_id = error.provider_request_id.map(|id| self.clean(&id, 200));
        error
    }
}

/// The text as it stands in base64 after so many other bytes: the characters that its neighbours do not change.
fn inside_base64(text: &str, before: usize, engine: &impl Engine) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(text.as_bytes());
    let whole = engine.encode(&bytes);
    let (start, end) = ((8 * before).div_ceil(6), 8 * bytes.len() / 6);
    whole.get(start..end).unwrap_or_default().to_owned()
}

/// Every byte in percent form, upper case.
fn percent_every(text: &str) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    text.bytes()
        .flat_map(|byte| {
            let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or('0');
            ['%', digit(byte >> 4), digit(byte & 15)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_masked_in_every_form() {
        let key = "ide live/1+ä~secret";
        let redactor = Redactor::new(&ProviderSecret::of_key(key));
        let percent: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
        for form in [
            key.to_owned(),
            STANDARD.encode(key),
            URL_SAFE.encode(key),
            percent.clone(),
            percent.to_lowercase(),
            percent_every(key).to_lowercase(),
        ] {
            let clean = redactor.clean(&format!("got <{form}> from you"), 300);
            assert!(
                !clean.contains(&form) && clean.contains(MASK),
                "{form}: {clean}"
            );
        }
        for before in ["", ":", "a:", "user:"] {
            let text = format!("{before}{key} and more");
            for form in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                let clean = redactor.clean(&form, 300);
                assert!(clean.contains(MASK), "{form}: {clean}");
            }
        }
        let mut error = ProviderError::refused(key);
        error.internal = format!("{key}{}", "x".repeat(3_000));
        error.provider_code = Some(key.to_owned());
        let clean = redactor.clean_error(error);
        assert!(!format!("{clean:?}").contains("secret"));
        assert_eq!(clean.internal.chars().count(), MAX_INTERNAL_CHARS);
    }

    #[test]
    fn a_missing_key_masks_nothing() {
        let redactor = Redactor::new(&ProviderSecret::of_key(""));
        assert_eq!(redactor.clean("abc", 2), "ab");
    }
}
