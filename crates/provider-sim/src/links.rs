//! Where the simulator's hosts are, and links that prove who made them.
//!
//! In scope: base addresses, signing and checking ephemeral links. Not in scope: serving files.

use ring::hmac;

/// Addresses and the key of the signatures.
pub(crate) struct Links {
    /// `http://127.0.0.1:<port>`
    pub(crate) api: String,
    /// Host of the pictures.
    pub(crate) image: String,
    /// Second API host.
    pub(crate) alt: String,
    /// A host that no list of a caller holds.
    pub(crate) offlist: String,
    /// Nobody listens there.
    pub(crate) closed: String,
    key: hmac::Key,
}

/// What a signed link says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkCheck {
    Valid { expires_s: u64 },
    Forged,
}

impl Links {
    pub(crate) fn new(seed: u64, ports: [u16; 5]) -> Self {
        let [api, image, alt, offlist, closed] =
            ports.map(|port| format!("http://127.0.0.1:{port}"));
        let secret = ring::digest::digest(&ring::digest::SHA256, &seed.to_le_bytes());
        Self {
            api,
            image,
            alt,
            offlist,
            closed,
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()),
        }
    }

    /// A link to `path` on the host of the pictures that ends at `expires_s` (Unix seconds).
    pub(crate) fn signed(&self, path: &str, expires_s: u64) -> String {
        let tag = hmac::sign(&self.key, format!("{path}\n{expires_s}").as_bytes());
        format!(
            "{}{path}?exp={expires_s}&sig={}",
            self.image,
            hex(tag.as_ref())
        )
    }

    /// Checks the query of a signed link.
    pub(crate) fn check(
        &self,
        path: &str,
        expires: Option<&str>,
        signature: Option<&str>,
    ) -> LinkCheck {
        let Some(expires_s) = expires.and_then(|text| text.parse().ok()) else {
            return LinkCheck::Forged;
        };
        let tag = hmac::sign(&self.key, format!("{path}\n{expires_s}").as_bytes());
        if signature == Some(hex(tag.as_ref()).as_str()) {
            LinkCheck::Valid { expires_s }
        } else {
            LinkCheck::Forged
        }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_valid_only_for_its_path_and_end() {
        let links = Links::new(1, [1, 2, 3, 4, 5]);
        let link = links.signed("/a.png", 99);
        let signature = link.rsplit_once("sig=").unwrap().1;
        assert!(link.starts_with("http://127.0.0.1:2/a.png?exp=99&sig="));
        let check = |path, end| links.check(path, Some(end), Some(signature));
        assert_eq!(check("/a.png", "99"), LinkCheck::Valid { expires_s: 99 });
        assert_eq!(check("/a.png", "100"), LinkCheck::Forged);
        assert_eq!(check("/b.png", "99"), LinkCheck::Forged);
        assert_eq!(links.check("/a.png", None, None), LinkCheck::Forged);
    }
}
