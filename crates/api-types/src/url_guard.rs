//! The one function that says whether the house may send a request to a URL.
//!
//! In scope: scheme, user information, literal addresses in every notation, local names. Used when a URL is saved and
//! again before each send. Out of scope: what a public name resolves to; Workers cannot see it, and their network does
//! not reach private addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// Why a URL is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The broken rule, in words.
    pub rule: &'static str,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.rule)
    }
}

impl std::error::Error for Refused {}

const fn refuse<T>(rule: &'static str) -> Result<T, Refused> {
    Err(Refused { rule })
}

/// Checks a URL that requests will be sent to. `allow_private` admits http, loopback and private addresses: only for
/// self-hosted settings and local stacks.
///
/// # Errors
/// The first broken rule.
pub fn check(text: &str, allow_private: bool) -> Result<Url, Refused> {
    let Ok(url) = Url::parse(text) else {
        return refuse("must be an absolute URL");
    };
    if !matches!(url.scheme(), "https" | "http") {
        return refuse("must be https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("must not hold user information");
    }
    if url.host().is_none() {
        return refuse("must have a host");
    }
    if allow_private {
        return Ok(url);
    }
    if url.scheme() != "https" {
        return refuse("must be https");
    }
    let public = match url.host() {
        Some(Host::Domain(name)) => is_public_name(name),
        Some(Host::Ipv4(address)) => is_public(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_public(IpAddr::V6(address)),
        None => false,
    };
    if public {
        Ok(url)
    } else {
        refuse("must be a public host, not a loopback, private or link-local one")
    }
}

/// Checks a `base_url`: as [`check`], and without query and fragment.
///
/// # Errors
/// The first broken rule.
pub fn check_base(text: &str, allow_private: bool) -> Result<Url, Refused> {
    let url = check(text, allow_private)?;
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("must not hold a query or fragment");
    }
    Ok(url)
}

/// Host and port as they are compared and bound into credentials: the port only where it is not the scheme's own.
pub fn host_port(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

fn is_public_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let local = [
        "localhost",
        "local",
        "internal",
        "lan",
        "home",
        "corp",
        "localdomain",
        "intranet",
        "invalid",
        "test",
    ];
    name.contains('.')
        && !local
            .iter()
            .any(|suffix| name == *suffix || name.ends_with(&format!(".{suffix}")))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

// Registries: IANA IPv4 and IPv6 Special-Purpose Address Registries.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let [first, second, ..] = address.segments();
    // Global unicast is 2000::/3; without documentation, Teredo, ORCHID and 6to4 (which hides an IPv4 address).
    (0x2000..0x4000).contains(&first)
        && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
        && first != 0x2002
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_disguised_addresses_are_refused() {
        for url in [
            "http://api.example.com",
            "ftp://api.example.com",
            "https://user@host.example.com",
            "https://user:pw@host.example.com",
            "https://169.254.169.254/latest",
            "http://169.254.169.254",
            "https://127.0.0.1",
            "https://2130706433",
            "https://0177.0.0.1",
            "https://0x7f.1",
            "https://10.1.2.3",
            "https://192.168.0.1",
            "https://172.16.0.1",
            "https://100.64.0.1",
            "https://0.0.0.0",
            "https://[::1]/",
            "https://[::ffff:7f00:1]/",
            "https://[fe80::1]/",
            "https://[fc00::1]/",
            "https://[2002:7f00:1::]/",
            "https://localhost",
            "https://x.localhost.",
            "https://printer.local",
            "https://intranet",
            "not a url",
            "https://",
        ] {
            assert!(check(url, false).is_err(), "{url}");
        }
        for url in [
            "https://api.ideogram.ai",
            "https://1.1.1.1/x",
            "https://[2606:4700::1111]/",
            "https://a.example.com:8443/v1",
        ] {
            assert!(check(url, false).is_ok(), "{url}");
        }
    }

    #[test]
    fn private_settings_allow_loopback_but_never_user_information() {
        assert!(check("http://127.0.0.1:8080/v1", true).is_ok());
        assert!(check("http://u@127.0.0.1:8080/v1", true).is_err());
        assert!(check_base("https://api.example.com/v1?x=1", false).is_err());
        assert!(check_base("https://api.example.com/v1#x", false).is_err());
    }

    #[test]
    fn host_and_port_are_compared_as_one_text() {
        assert_eq!(
            host_port(&check("https://api.ideogram.ai:443/x", false).unwrap()),
            "api.ideogram.ai"
        );
        assert_eq!(
            host_port(&check("http://127.0.0.1:8080/x", true).unwrap()),
            "127.0.0.1:8080"
        );
    }
}
