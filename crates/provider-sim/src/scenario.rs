//! What a call is told to meet: the names, and how prompts, keys and control calls spell them.
//!
//! In scope: the closed list of scenarios, their values, parsing. Not in scope: what they do
//! (`fault`, the vendors) and which source wins (`world`).

use crate::vendor::Vendor;

/// A thing that can go wrong, or a mark that changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scenario {
    Throttled,
    InFlight,
    Quota,
    Auth,
    Forbidden,
    Unsafe,
    Status500,
    Status502,
    Status503,
    Status521,
    Status529,
    Timeout,
    Late,
    Slow,
    SlowBody,
    Queue,
    Reset,
    ResetAfter,
    BadJson,
    Truncated,
    Html200,
    Empty,
    WrongType,
    Huge,
    ImgTruncated,
    ImgHtml,
    ImgRedirect,
    Img403,
    Img404,
    ImgExpired,
    Bytes,
    SizeLie,
    Failed,
    Expired,
    NotFound,
    Poll429,
    Poll500,
    Deprecated,
    Once,
}

/// What may stand behind the equals sign.
#[derive(Clone, Copy, Debug)]
enum Takes {
    Nothing,
    /// Nothing, or one of these words.
    Words(&'static [&'static str]),
    /// Nothing, one of these words, or seconds.
    Wait(&'static [&'static str]),
    /// Seconds with or without `s`, or `<n>ms`; the number is the default in milliseconds.
    Duration(u64),
    /// A number of bytes.
    Count,
    /// Any word; needed.
    Tag,
}

/// Who can meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    All,
    /// Vendors with jobs, polls and an image host.
    Jobs,
    /// Vendors whose answer may be a link.
    Links,
}

const QUOTA: &[&str] = &[
    "insufficient_funds",
    "subscription_required",
    "daily_limit",
    "priority_credit_required",
    "feature_limit",
];

const TABLE: [(Scenario, &str, Takes, Reach); 39] = {
    use Reach::{All, Jobs, Links};
    use Takes::{Count, Duration, Nothing, Tag, Wait, Words};
    [
        (Scenario::Throttled, "429", Wait(&["date", "none"]), All),
        (Scenario::InFlight, "inflight", Nothing, Jobs),
        (Scenario::Quota, "quota", Words(QUOTA), All),
        (Scenario::Auth, "auth", Nothing, All),
        (Scenario::Forbidden, "forbidden", Nothing, All),
        (
            Scenario::Unsafe,
            "unsafe",
            Words(&["image", "partial"]),
            All,
        ),
        (Scenario::Status500, "500", Nothing, All),
        (Scenario::Status502, "502", Words(&["html"]), All),
        (Scenario::Status503, "503", Nothing, All),
        (Scenario::Status521, "521", Nothing, All),
        (Scenario::Status529, "529", Nothing, All),
        (Scenario::Timeout, "timeout", Nothing, All),
        (Scenario::Late, "late", Duration(30_000), All),
        (Scenario::Slow, "slow", Duration(8_000), All),
        (Scenario::SlowBody, "slow-body", Duration(8_000), All),
        (Scenario::Queue, "queue", Duration(8_000), Jobs),
        (Scenario::Reset, "reset", Nothing, All),
        (Scenario::ResetAfter, "reset-after", Nothing, All),
        (Scenario::BadJson, "bad-json", Nothing, All),
        (Scenario::Truncated, "truncated", Nothing, All),
        (Scenario::Html200, "html200", Nothing, All),
        (Scenario::Empty, "empty", Nothing, All),
        (Scenario::WrongType, "wrong-type", Nothing, All),
        (Scenario::Huge, "huge", Words(&["chunked"]), All),
        (Scenario::ImgTruncated, "img-truncated", Nothing, All),
        (Scenario::ImgHtml, "img-html", Nothing, All),
        (
            Scenario::ImgRedirect,
            "img-redirect",
            Words(&["offlist"]),
            Links,
        ),
        (Scenario::Img403, "img-403", Nothing, Links),
        (Scenario::Img404, "img-404", Nothing, Links),
        (Scenario::ImgExpired, "img-expired", Nothing, Links),
        (Scenario::Bytes, "bytes", Count, All),
        (Scenario::SizeLie, "size-lie", Nothing, All),
        (Scenario::Failed, "failed", Words(&["safety"]), Jobs),
        (Scenario::Expired, "expired", Nothing, Jobs),
        (Scenario::NotFound, "not-found", Nothing, Jobs),
        (Scenario::Poll429, "poll-429", Wait(&["date", "none"]), Jobs),
        (Scenario::Poll500, "poll-500", Nothing, Jobs),
        (Scenario::Deprecated, "deprecated", Nothing, Jobs),
        (Scenario::Once, "once", Tag, All),
    ]
};

/// One scenario as it was spelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) scenario: Scenario,
    /// The word behind the equals sign.
    pub(crate) value: Option<String>,
    /// The duration, wait or count behind the equals sign, or the default: milliseconds or bytes.
    pub(crate) number: Option<u64>,
    /// Only the first calls of this many.
    pub(crate) first: Option<u32>,
}

/// A spelling that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown(pub(crate) String);

impl std::fmt::Display for Unknown {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "{}. Known scenarios: {}",
            self.0,
            spellings().join(", ")
        )
    }
}

/// Every scenario as it may be spelled, in the order of the documentation.
pub(crate) fn spellings() -> Vec<String> {
    TABLE
        .iter()
        .map(|(_, name, takes, _)| match takes {
            Takes::Nothing => (*name).to_owned(),
            Takes::Words(words) => format!("{name}[={}]", words.join("|")),
            Takes::Wait(words) => format!("{name}[=<seconds>|{}]", words.join("|")),
            Takes::Duration(_) => format!("{name}[=<n>s|<n>ms]"),
            Takes::Count => format!("{name}=<n>"),
            Takes::Tag => format!("{name}=<tag>"),
        })
        .collect()
}

impl Scenario {
    /// Its name, without value.
    pub(crate) fn name(self) -> &'static str {
        TABLE
            .iter()
            .find(|row| row.0 == self)
            .map_or("", |row| row.1)
    }

    /// Whether this vendor's contract can meet it.
    pub(crate) fn reaches(self, vendor: Vendor) -> bool {
        let reach = TABLE.iter().find(|row| row.0 == self).map(|row| row.3);
        match reach {
            Some(Reach::All) => true,
            Some(Reach::Jobs) => vendor == Vendor::Ideogram,
            Some(Reach::Links) => vendor != Vendor::OpenAi,
            None => false,
        }
    }

    /// Met while polling or downloading: `xK` counts those calls and not submits.
    pub(crate) const fn is_later(self) -> bool {
        matches!(
            self,
            Self::Poll429
                | Self::Poll500
                | Self::Img403
                | Self::Img404
                | Self::ImgRedirect
                | Self::ImgTruncated
                | Self::ImgHtml
        )
    }
}

impl Token {
    /// Reads `<name>[=<value>][xK]`.
    pub(crate) fn parse(text: &str) -> Result<Self, Unknown> {
        if let Some(token) = Self::parse_exact(text, None) {
            return Ok(token);
        }
        text.rsplit_once('x')
            .and_then(|(head, count)| {
                let first = count.parse::<u32>().ok()?;
                Self::parse_exact(head, Some(first))
            })
            .ok_or_else(|| Unknown(format!("unknown scenario `{text}`")))
    }

    fn parse_exact(text: &str, first: Option<u32>) -> Option<Self> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let (scenario, _, takes, _) = TABLE.iter().find(|row| row.1 == name)?;
        let number = match (takes, value) {
            (Takes::Nothing | Takes::Words(_) | Takes::Wait(_), None) => None,
            (Takes::Words(words), Some(value)) if words.contains(&value) => None,
            (Takes::Wait(words), Some(value)) if words.contains(&value) => None,
            (Takes::Duration(default_ms), None) => Some(*default_ms),
            (Takes::Wait(_) | Takes::Duration(_), Some(value)) => Some(duration_ms(value)?),
            (Takes::Count, Some(value)) => {
                Some(value.parse().ok().filter(|count| *count <= 100 << 20)?)
            }
            (Takes::Tag, Some(value)) if !value.is_empty() => None,
            _ => return None,
        };
        Some(Self {
            scenario: *scenario,
            value: value.map(str::to_owned),
            number,
            first,
        })
    }

    /// The spelling, for logs and counters.
    pub(crate) fn text(&self) -> String {
        let mut text = self.scenario.name().to_owned();
        if let Some(value) = &self.value {
            text.push('=');
            text.push_str(value);
        }
        if let Some(first) = self.first {
            text.push('x');
            text.push_str(&first.to_string());
        }
        text
    }

    /// Whether it has this word behind the equals sign.
    pub(crate) fn is(&self, value: &str) -> bool {
        self.value.as_deref() == Some(value)
    }
}

fn duration_ms(text: &str) -> Option<u64> {
    let (digits, unit_ms) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1.0),
        None => (text.strip_suffix('s').unwrap_or(text), 1000.0),
    };
    let number: f64 = digits.parse().ok()?;
    // An hour is longer than every deadline.
    (0.0..=3_600_000.0)
        .contains(&(number * unit_ms))
        .then_some((number * unit_ms) as u64)
}

/// The tokens `sim:<name>` of a prompt, in their order.
pub(crate) fn in_prompt(prompt: &str) -> Result<Vec<Token>, Unknown> {
    prompt
        .split(|letter: char| letter.is_whitespace() || "()[]{}\"'|".contains(letter))
        .filter_map(|word| word.strip_prefix("sim:"))
        .map(|word| Token::parse(word.trim_end_matches(['.', ',', ';', ':', '!', '?'])))
        .collect()
}

/// What a key `sim-<scenario>-<account>` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) account: String,
    /// Empty for `ok`.
    pub(crate) tokens: Vec<Token>,
}

impl Key {
    /// Reads a key; nothing else than the simulator's own form is known.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("sim-")?;
        // The longest scenario wins: `reset-after-acme` is not `reset` for `after-acme`.
        rest.match_indices('-').rev().find_map(|(place, _)| {
            let (scenario, account) = (rest.get(..place)?, rest.get(place + 1..)?);
            let sound = (1..=64).contains(&account.len())
                && account
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            if !sound {
                return None;
            }
            let tokens = if scenario == "ok" {
                Vec::new()
            } else {
                vec![Token::parse(&scenario.replacen('_', "=", 1)).ok()?]
            };
            Some(Self {
                account: account.to_owned(),
                tokens,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_own_scenario_and_name() {
        for (index, row) in TABLE.iter().enumerate() {
            assert!(
                TABLE[index + 1..]
                    .iter()
                    .all(|other| other.0 != row.0 && other.1 != row.1)
            );
        }
    }

    #[test]
    fn the_readme_names_every_scenario() {
        let readme = include_str!("../README.md");
        for (_, name, _, _) in TABLE {
            assert!(readme.contains(&format!("`{name}")), "{name}");
        }
    }

    #[test]
    fn values_counts_and_durations_are_read() {
        let token = Token::parse("429=14").unwrap();
        assert_eq!(
            (token.scenario, token.number),
            (Scenario::Throttled, Some(14_000))
        );
        assert_eq!(Token::parse("500x2").unwrap().first, Some(2));
        let token = Token::parse("poll-429=3x4").unwrap();
        assert_eq!((token.number, token.first), (Some(3_000), Some(4)));
        assert_eq!(Token::parse("slow=250ms").unwrap().number, Some(250));
        assert_eq!(Token::parse("slow=1.5s").unwrap().number, Some(1_500));
        assert_eq!(Token::parse("queue").unwrap().number, Some(8_000));
        assert_eq!(Token::parse("bytes=5000").unwrap().number, Some(5_000));
        assert_eq!(
            Token::parse("once=ax2").unwrap().value.as_deref(),
            Some("ax2")
        );
    }

    #[test]
    fn a_wrong_spelling_is_unknown_and_the_answer_lists_all() {
        for text in [
            "",
            "5000",
            "quota=love",
            "bytes",
            "once",
            "slow=x",
            "slow=99999s",
            "reset=1",
        ] {
            let unknown = Token::parse(text).unwrap_err().to_string();
            assert!(
                unknown.contains("img-redirect[=offlist]"),
                "{text}: {unknown}"
            );
        }
    }

    #[test]
    fn prompts_may_hold_several_tokens_among_words() {
        let tokens = in_prompt("a fox (sim:slow=1s), then sim:unsafe=partial. done").unwrap();
        let found: Vec<_> = tokens.iter().map(Token::text).collect();
        assert_eq!(found, ["slow=1s", "unsafe=partial"]);
        assert!(in_prompt("a simple sim ulation").unwrap().is_empty());
        assert!(in_prompt("sim:nonsense").is_err());
    }

    #[test]
    fn keys_name_scenario_and_account() {
        let read = |text: &str| {
            Key::parse(text).map(|key| {
                let tokens: Vec<_> = key.tokens.iter().map(Token::text).collect();
                (tokens.join(" "), key.account)
            })
        };
        let pair = |scenario: &str, account: &str| Some((scenario.to_owned(), account.to_owned()));
        assert_eq!(read("sim-ok-acme"), pair("", "acme"));
        assert_eq!(read("sim-429-acme"), pair("429", "acme"));
        assert_eq!(read("sim-slow_8s-acme"), pair("slow=8s", "acme"));
        assert_eq!(read("sim-reset-after-acme"), pair("reset-after", "acme"));
        assert_eq!(read("sim-img-404x1-a-b"), pair("img-404x1", "a-b"));
        assert_eq!(
            read("sim-quota_daily_limit-acme"),
            pair("quota=daily_limit", "acme")
        );
        for wrong in [
            "",
            "sim-",
            "sim-ok-",
            "sim-ok",
            "sim-nope-acme",
            "sk-abc",
            "sim-ok-a b",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
