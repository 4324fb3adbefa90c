//! `User-Agent` in words for a list of sessions: `Chromium on Linux`. Nothing depends on it.

/// Products by the token that only they send, the more special ones first: each also names its ancestors.
const PRODUCTS: [(&str, &str); 8] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chromium"),
    ("Safari/", "Safari"),
];

/// Systems, the more special ones first: Android says Linux, an iPhone says Mac OS X.
const SYSTEMS: [(&str, &str); 7] = [
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
];

fn named(text: &str, table: &[(&str, &'static str)]) -> Option<&'static str> {
    let found = table.iter().find(|(token, _)| text.contains(token));
    found.map(|(_, name)| *name)
}

/// A label of at most 60 characters.
pub(crate) fn label(user_agent: Option<&str>) -> String {
    let text = user_agent.unwrap_or_default();
    match (named(text, &PRODUCTS), named(text, &SYSTEMS)) {
        (Some(product), Some(system)) => format!("{product} on {system}"),
        (Some(product), None) => product.to_owned(),
        (None, _) => program(text),
    }
}

/// The first product of a program that is no browser: `curl/8.5.0` is `curl`.
fn program(text: &str) -> String {
    let name: String = text
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .take(60)
        .collect();
    if name.is_empty() {
        "Unknown client".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_and_programs_are_named_in_words() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (agent, want) in [
            (
                format!("Mozilla/5.0 (X11; Linux x86_64) {webkit} Chrome/142.0.0.0 Safari/537.36"),
                "Chromium on Linux",
            ),
            (
                format!("Mozilla/5.0 (Windows NT 10.0) {webkit} Chrome/142.0 Safari/537.36 Edg/142.0"),
                "Edge on Windows",
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 16) {webkit} Chrome/142.0 Mobile Safari/537.36"),
                "Chromium on Android",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15".to_owned(),
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1".to_owned(),
                "Safari on iOS",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0".to_owned(), "Firefox on Linux"),
            ("curl/8.14.1".to_owned(), "curl"),
            ("node".to_owned(), "node"),
            (String::new(), "Unknown client"),
            ("<script>".to_owned(), "Unknown client"),
            ("\u{202e}evil".to_owned(), "Unknown client"),
        ] {
            assert_eq!(label(Some(&agent)), want, "{agent}");
        }
        assert_eq!(label(None), "Unknown client");
        assert_eq!(label(Some(&"x".repeat(500))).len(), 60);
    }
}
