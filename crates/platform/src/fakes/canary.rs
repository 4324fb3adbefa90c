//! Planted secrets, and the search for them in every form.
//!
//! In scope: the forms of a secret, one pass over a text for all of them, counts of what was looked at. Out of scope:
//! where secrets are planted (the workers' tests), what the fakes hold (module `kept`).

use super::world::lock;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

/// From this length on each half of a secret is looked for, so that a cut one is found too.
const HALVED_BYTES: usize = 32;
/// Shorter needles would find ordinary text.
const LEAST_BYTES: usize = 10;
/// Encodings inside each other that are undone before a text is given up.
const LAYERS: usize = 4;
/// Bytes of a text that decide together how far the search may move on.
const BLOCK: usize = 3;
/// Slots of the tables: blocks are folded to 16 bits.
const SLOTS: usize = 1 << 16;
const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// One form of one secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Needle {
    bytes: Vec<u8>,
    secret: String,
    form: &'static str,
}

/// Secrets, ready to be looked for (Wu and Manber: the window moves on by whole needles where no needle can end).
#[derive(Debug)]
pub struct Canaries {
    needles: Vec<Needle>,
    window: usize,
    shifts: Vec<u8>,
    /// Needles whose window ends with that block.
    ends: BTreeMap<u16, Vec<usize>>,
}

/// Text in base64 as it stands inside a longer text: characters that mix with neighbours are left out.
fn base64(bytes: &[u8], before: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let mut padded = vec![0; before];
    padded.extend(bytes);
    let digits = padded.len() * 8 / 6;
    let digit = |at: usize| {
        (0..6).fold(0_usize, |digit, bit| {
            let bit = at * 6 + bit;
            let byte = padded.get(bit / 8).copied().unwrap_or(0);
            (digit << 1) | usize::from((byte >> (7 - bit % 8)) & 1)
        })
    };
    let first = (before * 8).div_ceil(6);
    (first..digits)
        .filter_map(|at| alphabet.get(digit(at)).copied())
        .collect()
}

fn written(bytes: &[u8], write: impl Fn(&mut String, u8)) -> Vec<u8> {
    let mut text = String::new();
    for byte in bytes {
        write(&mut text, *byte);
    }
    text.into_bytes()
}

/// Every form in which these bytes are looked for.
fn forms(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = Vec::new();
    let is_text = bytes.iter().all(|byte| (0x20..0x7f).contains(byte));
    if is_text {
        forms.push(("plain", bytes.to_vec()));
    }
    forms.push((
        "hexadecimal",
        written(bytes, |text, byte| {
            let _ = write!(text, "{byte:02x}");
        }),
    ));
    forms.push((
        "hexadecimal",
        written(bytes, |text, byte| {
            let _ = write!(text, "{byte:02X}");
        }),
    ));
    // What is percent-encoded is decoded before the search; these are for bytes that are no text.
    if !is_text {
        forms.push((
            "URL-encoded",
            written(bytes, |text, byte| {
                let _ = write!(text, "%{byte:02X}");
            }),
        ));
        forms.push((
            "URL-encoded",
            written(bytes, |text, byte| {
                let _ = write!(text, "%{byte:02x}");
            }),
        ));
    }
    for between in [",", ", "] {
        let numbers: Vec<String> = bytes.iter().map(ToString::to_string).collect();
        forms.push(("numbers", numbers.join(between).into_bytes()));
    }
    for before in 0..3 {
        forms.push(("base64", base64(bytes, before, STANDARD)));
        forms.push(("base64, URL-safe", base64(bytes, before, URL_SAFE)));
    }
    forms
}

/// A text as callers encode it: itself, percent-encoded, and in base64 after 0 to 2 other characters.
pub fn encodings(text: &str) -> Vec<(&'static str, String)> {
    let bytes = text.as_bytes();
    let percent = written(bytes, |text, byte| {
        let _ = write!(text, "%{byte:02X}");
    });
    let of = |before: &str, alphabet, padding: &str| {
        let whole = format!("{before}{text}");
        let mut digits = base64(whole.as_bytes(), 0, alphabet);
        // The digit that is not full.
        let left = whole.len() * 8 % 6;
        if left > 0 {
            let mut padded = whole.into_bytes();
            padded.extend([0; 2]);
            digits = base64(&padded, 0, alphabet)
                .into_iter()
                .take(digits.len() + 1)
                .collect();
            if left == 4 {
                digits.extend(padding.bytes());
            } else {
                digits.extend(padding.repeat(2).bytes());
            }
        }
        String::from_utf8_lossy(&digits).into_owned()
    };
    vec![
        ("plain", text.to_owned()),
        ("percent", String::from_utf8_lossy(&percent).into_owned()),
        ("base64", of("", STANDARD, "=")),
        ("base64 after one", of(":", STANDARD, "=")),
        ("base64 after two", of("a:", STANDARD, "=")),
        ("base64, URL-safe", of("", URL_SAFE, "")),
        ("base64, URL-safe, after one", of(":", URL_SAFE, "")),
        ("base64, URL-safe, after two", of("a:", URL_SAFE, "")),
    ]
}

fn fold(block: [u8; BLOCK]) -> u16 {
    let [a, b, c] = block.map(u32::from);
    ((a << 10) ^ (b << 5) ^ c ^ (a >> 3)) as u16
}

fn block_at(text: &[u8], end: usize) -> Option<u16> {
    let block = text.get(end.checked_sub(BLOCK)?..end)?;
    block.try_into().ok().map(fold)
}

impl Canaries {
    /// Each with a name to speak of it.
    ///
    /// # Panics
    /// When one is too short to be told from ordinary text: a mistake in the test.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut needles = BTreeSet::new();
        for (name, secret) in secrets {
            let (left, right) = secret.split_at(secret.len() / 2);
            let parts = if secret.len() >= HALVED_BYTES {
                vec![left, right]
            } else {
                vec![secret]
            };
            for (form, bytes) in parts.into_iter().flat_map(forms) {
                assert!(bytes.len() >= LEAST_BYTES, "{name} is too short");
                let secret = name.to_owned();
                needles.insert(Needle {
                    bytes,
                    secret,
                    form,
                });
            }
        }
        let needles: Vec<Needle> = needles.into_iter().collect();
        let shortest = needles.iter().map(|needle| needle.bytes.len()).min();
        let window = shortest.unwrap_or(LEAST_BYTES).min(usize::from(u8::MAX));
        let mut shifts = vec![(window - BLOCK + 1) as u8; SLOTS];
        let mut ends: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (index, needle) in needles.iter().enumerate() {
            for end in BLOCK..=window {
                let Some(block) = block_at(&needle.bytes, end) else {
                    continue;
                };
                if let Some(shift) = shifts.get_mut(usize::from(block)) {
                    *shift = (*shift).min((window - end) as u8);
                }
                if end == window {
                    ends.entry(block).or_default().push(index);
                }
            }
        }
        Self {
            needles,
            window,
            shifts,
            ends,
        }
    }

    /// The first of them in the text, as it is, or after taking away percent-encoding and backslash escapes.
    pub fn find(&self, text: &[u8]) -> Option<String> {
        let mut text = Cow::Borrowed(text);
        for _ in 0..LAYERS {
            if let Some(needle) = self.needle_in(&text) {
                return Some(format!("{} ({})", needle.secret, needle.form));
            }
            match decoded(&text) {
                Some(inner) => text = Cow::Owned(inner),
                None => return None,
            }
        }
        None
    }

    fn needle_in(&self, text: &[u8]) -> Option<&Needle> {
        let mut end = self.window;
        while let Some(block) = block_at(text, end) {
            let shift = self.shifts.get(usize::from(block)).copied().unwrap_or(1);
            if shift > 0 {
                end += usize::from(shift);
                continue;
            }
            let rest = text.get(end - self.window..).unwrap_or_default();
            let here = self.ends.get(&block).into_iter().flatten();
            let found = here
                .filter_map(|index| self.needles.get(*index))
                .find(|needle| rest.starts_with(&needle.bytes));
            if found.is_some() {
                return found;
            }
            end += 1;
        }
        None
    }
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// The text with one layer of percent-encoding and backslash escapes taken away; `None` when it has neither.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'\\')) {
        return None;
    }
    let mut inner = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let (byte, taken) = match rest {
            [b'%', high, low, ..] => hex(*high, *low).map_or((*first, 1), |byte| (byte, 3)),
            [b'\\', b'u', b'0', b'0', high, low, ..] => {
                hex(*high, *low).map_or((*first, 1), |byte| (byte, 6))
            }
            [b'\\', escaped, ..] => (*escaped, 2),
            _ => (*first, 1),
        };
        inner.push(byte);
        rest = after.get(taken - 1..).unwrap_or_default();
    }
    (inner != text).then_some(inner)
}

/// What was looked at, and what was found.
#[derive(Debug, Default)]
struct Seen {
    looked: BTreeMap<&'static str, u64>,
    leaks: Vec<String>,
}

/// Looks at everything it is shown. Clones share what they saw.
#[derive(Clone, Debug)]
pub struct Watch {
    canaries: Arc<Canaries>,
    seen: Arc<Mutex<Seen>>,
}

/// More are counted and not kept.
const MAX_LEAKS: usize = 40;

impl Watch {
    /// For those secrets.
    pub fn new(canaries: Canaries) -> Self {
        Self {
            canaries: Arc::new(canaries),
            seen: Arc::default(),
        }
    }

    /// Looks at one text: `kind` is counted, `place` is for whoever reads about a leak.
    pub fn look(&self, kind: &'static str, place: &str, text: &[u8]) {
        let found = self.canaries.find(text);
        let mut seen = lock(&self.seen);
        *seen.looked.entry(kind).or_insert(0) += 1;
        if let Some(found) = found
            && seen.leaks.len() < MAX_LEAKS
        {
            let text = String::from_utf8_lossy(text);
            seen.leaks
                .push(format!("{kind} {place}: {found} in {text}"));
        }
    }

    /// How many texts of that kind were looked at.
    pub fn looked(&self, kind: &str) -> u64 {
        lock(&self.seen).looked.get(kind).copied().unwrap_or(0)
    }

    /// What was found, the first of it.
    pub fn leaks(&self) -> Vec<String> {
        lock(&self.seen).leaks.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Characters that base64, URLs and JSON each write differently.
    const SECRET: &str = "canary+provider/0123456789=abcdef\"x";

    fn canaries() -> Canaries {
        let bytes: [u8; 32] = std::array::from_fn(|i| i as u8);
        Canaries::new([("text", SECRET.as_bytes()), ("bytes", &bytes[..])])
    }

    fn encoded(text: &str, alphabet: &[u8; 64]) -> String {
        String::from_utf8(base64(text.as_bytes(), 0, alphabet)).unwrap()
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, is) in [
            ("foobar", "Zm9vYmFy"),
            ("foob", "Zm9vY"),
            ("\u{3f}\u{3e}\u{3f}", "Pz4/"),
        ] {
            assert_eq!(encoded(text, STANDARD), is);
        }
        for (text, is) in [
            ("foobar", "Zm9vYmFy"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ] {
            assert!(
                encodings(text).contains(&("base64", is.to_owned())),
                "{text}"
            );
        }
        assert_eq!(encoded("\u{3f}\u{3e}\u{3f}", URL_SAFE), "Pz4_");
    }

    #[test]
    fn a_secret_is_found_in_every_form_inside_other_text() {
        let canaries = canaries();
        let percent = |all: bool| {
            let text = written(SECRET.as_bytes(), |text, byte| {
                if all || !byte.is_ascii_alphanumeric() {
                    let _ = write!(text, "%{byte:02x}");
                } else {
                    text.push(char::from(byte));
                }
            });
            String::from_utf8(text).unwrap()
        };
        let json = serde_json::json!({"a": SECRET}).to_string();
        let mut leaks = vec![
            SECRET.to_owned(),
            percent(false),
            percent(true),
            percent(true).replace('%', "%25"),
            json.clone(),
            serde_json::json!(json).to_string(),
            SECRET.replace('r', "\\u0072"),
            SECRET[..20].to_owned(),
            SECRET[17..].to_owned(),
            format!("{:?}", std::array::from_fn::<u8, 32, _>(|i| i as u8)),
            format!("{:02x?}", SECRET.as_bytes())
                .replace(", ", "")
                .replace(['[', ']'], ""),
        ];
        for before in ["", "a", "ab", "abc"] {
            let text = format!("{before}{SECRET} and more");
            leaks.extend([encoded(&text, STANDARD), encoded(&text, URL_SAFE)]);
        }
        for leak in leaks {
            for text in [
                leak.clone(),
                format!("{{\"a\":\"{leak}\"}}"),
                format!("x{leak}"),
            ] {
                assert!(canaries.find(text.as_bytes()).is_some(), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_secret_is_not_found() {
        let canaries = canaries();
        for text in [
            "",
            "a",
            "canary provider 0123456789 abcdef",
            "canary+provide",
            "%%%\\",
            "0,1,2,3,4,5,6,7",
        ] {
            assert_eq!(canaries.find(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_search_agrees_with_a_naive_one() {
        let canaries = Canaries::new([("a", &b"abcabcabcabd"[..]), ("b", &b"bcabdxyzxyzx"[..])]);
        let letters = b"abcdxyz%";
        let mut state = 7_u64;
        let mut found = 0;
        for _ in 0..20_000 {
            // Pieces of the needles, so that near misses are common.
            let mut text = Vec::new();
            while text.len() < 60 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let draw = (state >> 33) as usize;
                match draw % 3 {
                    0 => text.push(letters[draw / 3 % letters.len()]),
                    1 => text.extend(&b"abcabcabcabd"[..draw / 3 % 13]),
                    _ => text.extend(&b"bcabdxyzxyzx"[..draw / 3 % 13]),
                }
            }
            let has = |needle: &Needle| {
                text.windows(needle.bytes.len())
                    .any(|it| it == needle.bytes)
            };
            let naive = canaries.needles.iter().any(has);
            assert_eq!(
                canaries.needle_in(&text).is_some(),
                naive,
                "{}",
                String::from_utf8_lossy(&text)
            );
            found += u32::from(naive);
        }
        assert!(found > 1_000 && found < 19_000, "{found}");
    }

    #[test]
    fn a_watch_counts_and_keeps_what_it_found() {
        let watch = Watch::new(canaries());
        watch.clone().look("log line", "of a test", b"nothing");
        assert!(watch.leaks().is_empty());
        watch.look("log line", "of a test", SECRET.as_bytes());
        assert_eq!(watch.looked("log line"), 2);
        assert_eq!(watch.looked("row"), 0);
        assert!(watch.leaks()[0].starts_with("log line of a test: text (plain)"));
    }
}
