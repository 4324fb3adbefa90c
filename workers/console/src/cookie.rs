//! The cookie that carries a session: its name and attributes by environment, its form.
//!
//! In scope: writing and reading it. Out of scope: whether the session lives, which every worker checks for itself.

use crate::gateway::Gateway;
use crate::head::Head;
use api_types::Secret;
use http::header::{COOKIE, HeaderValue};
use middleware::Presented;

/// The name where the console has its own host: no other host can set it, no subdomain, no plain http (RFC 6265bis
/// section 4.1.3).
const DEPLOYED: &str = "__Host-sy_session";
/// Life of the cookie, in seconds: that of a session, 12 hours.
const MAX_AGE_S: u32 = 43_200;

/// The session cookie of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCookie {
    name: String,
    secure: bool,
}

impl SessionCookie {
    /// Deployed, and locally over https: `__Host-sy_session`. On loopback over http `sy_session_<port>` without
    /// `Secure`: Chromium refuses the prefix there, Safari refuses `Secure`, and all ports of a host share cookies.
    pub fn at(head: &Head, gateway: &Gateway) -> Self {
        if gateway.local && !head.secure {
            let port = port(&head.host).unwrap_or("80");
            return Self {
                name: format!("sy_session_{port}"),
                secure: false,
            };
        }
        Self {
            name: DEPLOYED.to_owned(),
            secure: true,
        }
    }

    /// The session key in the request. A text that is no key is no session: it is neither sent on nor believed.
    pub fn read(&self, head: &Head) -> Option<Presented> {
        let values = head.headers.get_all(COOKIE).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.name)
            .find_map(|(_, text)| {
                let key = auth::key::parse(text).ok()?;
                let raw = Secret::new(text);
                Some(Presented { key, raw })
            })
    }

    /// `Set-Cookie` that begins a session. The key is one by form, so it needs no quoting.
    pub fn set(&self, key: &Presented) -> HeaderValue {
        self.header(key.raw.expose(), MAX_AGE_S)
    }

    /// `Set-Cookie` that ends it in this browser.
    pub fn clear(&self) -> HeaderValue {
        self.header("", 0)
    }

    fn header(&self, value: &str, max_age_s: u32) -> HeaderValue {
        let (name, secure) = (&self.name, if self.secure { " Secure;" } else { "" });
        let text = format!(
            "{name}={value}; Path=/;{secure} HttpOnly; SameSite=Strict; Max-Age={max_age_s}"
        );
        // Name and value are ASCII letters, digits, `-` and `_`.
        let mut header =
            HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
        header.set_sensitive(true);
        header
    }
}

/// The digits after the last colon that is not inside an address.
fn port(host: &str) -> Option<&str> {
    let (_, port) = host.rsplit_once(':')?;
    let digits = !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    digits.then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    const KEY: &str = "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb";

    fn gateway(local: bool) -> Gateway {
        Gateway {
            local,
            ..Gateway::default()
        }
    }

    fn cookie(local: bool, url: &str) -> SessionCookie {
        SessionCookie::at(&Head::new("GET", url, HeaderMap::new()), &gateway(local))
    }

    fn key() -> Presented {
        Presented {
            key: auth::key::parse(KEY).unwrap(),
            raw: Secret::new(KEY),
        }
    }

    #[test]
    fn the_attributes_follow_the_environment() {
        for (local, url, set) in [
            (
                false,
                "https://console.example/",
                "__Host-sy_session=KEY; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=43200",
            ),
            // Never without `Secure` in a deployment, whatever the address says.
            (
                false,
                "http://console.example/",
                "__Host-sy_session=KEY; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=43200",
            ),
            (
                true,
                "https://localhost:8787/",
                "__Host-sy_session=KEY; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=43200",
            ),
            (
                true,
                "http://localhost:8787/",
                "sy_session_8787=KEY; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200",
            ),
            (
                true,
                "http://[::1]:9/",
                "sy_session_9=KEY; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200",
            ),
            (
                true,
                "http://127.0.0.1/",
                "sy_session_80=KEY; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200",
            ),
            (
                true,
                "http://[::1]/",
                "sy_session_80=KEY; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200",
            ),
        ] {
            let cookie = cookie(local, url);
            assert_eq!(cookie.set(&key()), set.replace("KEY", KEY), "{url}");
            let cleared = set.replace("KEY", "").replace("43200", "0");
            assert_eq!(cookie.clear(), cleared, "{url}");
            assert!(cookie.set(&key()).is_sensitive());
        }
    }

    #[test]
    fn only_a_key_under_the_own_name_is_a_session() {
        let read = |cookies: &[&str]| {
            let mut headers = HeaderMap::new();
            for text in cookies {
                headers.append(COOKIE, text.parse().unwrap());
            }
            let head = Head::new("GET", "http://localhost:8787/", headers);
            SessionCookie::at(&head, &gateway(true)).read(&head)
        };
        let good = format!("sy_session_8787={KEY}");
        let typo = good.replace("akblb", "akblc");
        for (cookies, found) in [
            (vec![good.as_str()], true),
            (vec!["a=b", &good], true),
            (vec![&format!("a=b; {good}; c")], true),
            (vec![&format!("{typo}; {good}")], true),
            (vec![], false),
            (vec![""], false),
            (vec![&typo], false),
            (vec!["sy_session_8787="], false),
            (vec!["sy_session_8787=x y"], false),
            (vec![&format!("sy_session_8788={KEY}")], false),
            (vec![&format!("__Host-sy_session={KEY}")], false),
            (vec![&format!("a=sy_session_8787={KEY}")], false),
            (vec![&format!("sy_session_8787=\"{KEY}\"")], false),
        ] {
            assert_eq!(read(&cookies).is_some(), found, "{cookies:?}");
        }
        assert_eq!(read(&[&good]).unwrap().key.key_id.as_str(), "4fGh7kQ2mZ0a");
    }
}
