//! Takes secrets out of texts: by the name before them, by their form, by their exact value.
//!
//! In scope: texts and JSON values, also JSON inside texts, query strings and header lines. Out of scope: knowing which
//! values are secret (module `secrets`).

use crate::encoded;
use crate::secrets::hide;
use serde_json::Value;

const MASK: &str = "*****";

/// Names whose value is never shown.
const NAMES: [&str; 13] = [
    "authorization",
    "proxy-authorization",
    "api_key",
    "api-key",
    "apikey",
    "x-api-key",
    "cookie",
    "set-cookie",
    "password",
    "passwd",
    "secret",
    "token",
    "credential",
];
/// Endings of such names.
const ENDINGS: [&str; 7] = [
    "_key",
    "-key",
    "_secret",
    "-secret",
    "_token",
    "-token",
    "_password",
];
/// Names whose unquoted value goes on to the end of its line.
const WHOLE_LINE: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
];
/// Prefixes of well-known credentials and how many characters must follow.
const PREFIXES: [(&str, usize); 9] = [
    ("sk-", 12),
    ("ghp_", 16),
    ("gho_", 16),
    ("ghu_", 16),
    ("ghs_", 16),
    ("ghr_", 16),
    ("github_pat_", 16),
    ("AKIA", 12),
    ("ASIA", 12),
];

/// Whether a form may begin there: nothing of the same word stands before it.
fn begins(word: &str, start: usize) -> bool {
    word.as_bytes()
        .get(..start)
        .and_then(<[u8]>::last)
        .is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

/// One of our own keys in a word: how much of it is kept, and how much hidden. In the middle of a word only the whole form
/// counts, because words of prose end in `sy_` too (`fantasy_landscape_at_dusk`).
fn own_key(word: &str) -> Option<(usize, usize)> {
    const PREFIX: &str = "sy_";
    const ID: usize = 12;
    const SECRET: usize = 20;
    const LOOSE: usize = 16;
    word.match_indices(PREFIX).find_map(|(start, _)| {
        let after = word.get(start + PREFIX.len()..)?;
        let begins = begins(word, start);
        if let Some((id, secret)) = after.split_once('_')
            && id.len() == ID
            && !secret.is_empty()
        {
            let run = secret.bytes().take_while(u8::is_ascii_alphanumeric).count();
            if begins || run >= SECRET {
                return Some((start + PREFIX.len() + ID + 1, secret.len()));
            }
        }
        (begins && after.len() >= LOOSE).then_some((start + PREFIX.len(), after.len()))
    })
}

/// Whether that is a random text and no word: long, and either padded as base64 is, with letters and digits or small letters
/// and capitals in turns, or in one of its parts letters among digits, many digits, or more letters than any word has.
fn is_opaque(token: &str) -> bool {
    const WHOLE: usize = 12;
    const PART: usize = 8;
    const DIGITS: usize = 16;
    const WORD: usize = 24;
    const TURNS: usize = 4;
    let turns = |is: fn(&u8) -> bool| {
        let plain: Vec<bool> = token
            .bytes()
            .filter(u8::is_ascii_alphanumeric)
            .map(|byte| is(&byte))
            .collect();
        plain
            .windows(2)
            .filter(|pair| matches!(pair, [left, right] if left != right))
            .count()
    };
    let odd = |part: &str| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        let mixed = digits > 0 && digits < part.len() && part.len() >= PART;
        mixed || digits >= DIGITS || part.len() >= WORD
    };
    let mut parts = token.split(|symbol: char| !symbol.is_ascii_alphanumeric());
    token.len() >= WHOLE
        && (token.ends_with('=')
            || turns(u8::is_ascii_digit) >= TURNS
            || turns(u8::is_ascii_uppercase) >= 2 * TURNS
            || parts.any(odd))
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.contains(&name.as_str()) || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The text without values of secret names, credentials of known forms, and registered secrets.
pub fn redact(text: &str) -> String {
    clean(text, true)
}

/// As `redact`, but names alone hide nothing: for sentences that speak about members, such as error messages.
pub fn redact_tokens(text: &str) -> String {
    clean(text, false)
}

/// Without `names` the text is prose: what stands after `bearer` or `basic` is hidden only where no word looks like it.
fn clean(text: &str, names: bool) -> String {
    let is_secret = |inside: &str| scan(inside, false, !names) != inside;
    encoded::hide(scan(&hide(text), names, !names), MASK, &is_secret)
}

/// Whether a text holds a credential of a known form, a registered secret, or either in an encoding: for what must be
/// refused, because hiding a part of it would change what it says. The words before a token in a header count for nothing
/// by themselves, because in prose ("a basic shape", "the bearer of news") they stand before anything.
pub fn holds_credential(text: &str) -> bool {
    redact_tokens(text) != text
}

/// Redacts all texts of a value; members with a secret name are hidden whole.
pub fn redact_value(value: &mut Value) {
    walk(value, true);
}

/// As `redact_value`, but names alone hide nothing.
pub fn redact_tokens_value(value: &mut Value) {
    walk(value, false);
}

fn walk(value: &mut Value, names: bool) {
    match value {
        Value::String(text) => *text = clean(text, names),
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, names)),
        Value::Object(members) => {
            for (name, value) in std::mem::take(members) {
                let mut value = value;
                let open = value.is_null() || value.is_boolean();
                if names && is_secret_name(&name) && !open {
                    value = Value::String(MASK.to_owned());
                } else {
                    walk(&mut value, names);
                }
                members.insert(clean(&name, false), value);
            }
        }
        Value::Number(number) => {
            let text = number.to_string();
            if hide(&text) != text {
                *value = Value::String(MASK.to_owned());
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

struct Scanner<'a> {
    text: &'a str,
    prose: bool,
    at: usize,
    out: String,
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn slice(&self, length: usize) -> &'a str {
        self.text.get(self.at..self.at + length).unwrap_or_default()
    }

    fn keep(&mut self, length: usize) {
        self.out.push_str(self.slice(length));
        self.at += length;
    }

    fn mask(&mut self, length: usize) {
        if length > 0 {
            self.out.push_str(MASK);
            self.at += length;
        }
    }

    fn run(&self, from: usize, wanted: impl Fn(u8) -> bool) -> usize {
        self.rest()
            .get(from..)
            .unwrap_or_default()
            .iter()
            .take_while(|byte| wanted(**byte))
            .count()
    }

    /// Length of a quote with its backslashes at `from`, and the number of backslashes.
    fn quote(&self, from: usize) -> Option<(usize, usize, u8)> {
        let backslashes = self.run(from, |byte| byte == b'\\');
        match self.rest().get(from + backslashes) {
            Some(quote @ (b'"' | b'\'')) => Some((backslashes + 1, backslashes, *quote)),
            _ => None,
        }
    }

    /// Length of `name -> value` between a name and its value: closing quote, spaces, `:` or `=`, spaces.
    fn separator(&self, from: usize) -> Option<usize> {
        let mut at = from + self.quote(from).map_or(0, |(length, ..)| length);
        let blank = |byte: u8| byte == b' ' || byte == b'\t';
        at += self.run(at, blank);
        at += match self.rest().get(at..)? {
            [b'=', b'>', ..] => 2,
            [b':' | b'=', ..] => 1,
            [b'%', b'3', b'a' | b'A' | b'd' | b'D', ..] => 3,
            _ => return None,
        };
        at += self.run(at, blank);
        Some(at)
    }

    /// Hides the value that begins here.
    fn value(&mut self, whole_line: bool) {
        if let Some((length, backslashes, quote)) = self.quote(0) {
            self.keep(length);
            let inside = self.closing(backslashes, quote);
            self.mask(inside);
            return;
        }
        match self.rest().first() {
            Some(b'{' | b'[') => {
                // A structure inside a text: its end is not known, so nothing after it is shown.
                self.mask(self.rest().len());
                return;
            }
            None => return,
            _ => {}
        }
        let ends = |byte: u8| matches!(byte, b'"' | b'\'' | b'\\' | b'\n' | b'\r');
        if whole_line {
            self.mask(self.run(0, |byte| !ends(byte)));
            return;
        }
        let ends = |byte: u8| {
            ends(byte)
                || byte.is_ascii_whitespace()
                || matches!(byte, b'&' | b',' | b';' | b')' | b'}' | b']' | b'<' | b'>')
        };
        let mut length = self.run(0, |byte| !ends(byte));
        let first = self.slice(length).to_ascii_lowercase();
        if matches!(first.as_str(), "bearer" | "basic" | "token" | "digest") {
            length += self.run(length, |byte| byte == b' ');
            length += self.run(length, |byte| !ends(byte));
        }
        if let Some(ampersand) = find_ampersand(self.slice(length)) {
            length = ampersand;
        }
        self.mask(length);
    }

    /// Length of what stands before the closing quote. At nesting level `k` a quote has `2^k - 1` backslashes, and one
    /// that is part of the value has more of them, by the rule below.
    fn closing(&self, backslashes: usize, quote: u8) -> usize {
        let modulus = 2 * (backslashes + 1);
        let mut run = 0;
        for (index, byte) in self.rest().iter().enumerate() {
            if *byte == b'\\' {
                run += 1;
                continue;
            }
            if *byte == quote && run % modulus == backslashes {
                return index - backslashes;
            }
            run = 0;
        }
        self.rest().len()
    }

    fn word(&mut self, names: bool) {
        let length = self.run(0, is_word);
        let word = self.slice(length);
        if names
            && is_secret_name(word)
            && let Some(separator) = self.separator(length)
        {
            let whole_line = WHOLE_LINE.contains(&word.to_ascii_lowercase().as_str());
            self.keep(separator);
            self.value(whole_line);
            return;
        }
        if word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic") {
            self.keep(length);
            if self.prose {
                self.opaque_token();
                return;
            }
            let spaces = self.run(0, |byte| byte == b' ');
            let token = self.run(spaces, |byte| {
                !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'\\' | b',')
            });
            // `Basic` is also a word of prose.
            let least = if word.eq_ignore_ascii_case("basic") {
                8
            } else {
                1
            };
            if spaces > 0 && token >= least {
                self.keep(spaces);
                self.mask(token);
            }
            return;
        }
        self.token(length);
    }

    /// Hides what follows a scheme in prose, if it is opaque; anything else is looked at as any word.
    fn opaque_token(&mut self) {
        let gap = self.run(0, |byte| {
            byte.is_ascii_whitespace() || matches!(byte, b':' | b'=')
        });
        let run = self.run(gap, |byte| {
            is_word(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
        });
        let whole = self.slice(gap + run).get(gap..).unwrap_or_default();
        // The end of a sentence is no part of it.
        let token = whole.trim_end_matches(['.', '/']);
        if gap > 0 && is_opaque(token) {
            self.keep(gap);
            self.mask(token.len());
        }
    }

    /// Hides a word that has the form of a credential.
    fn token(&mut self, length: usize) {
        let word = self.slice(length);
        if word.starts_with("eyJ") {
            let dotted = self.run(0, |byte| is_word(byte) || byte == b'.');
            if self.slice(dotted).matches('.').count() >= 2 {
                self.mask(dotted);
                return;
            }
        }
        if let Some((kept, masked)) = own_key(word) {
            self.keep(kept);
            self.mask(masked);
            return;
        }
        for (prefix, least) in PREFIXES {
            let starts = word
                .match_indices(prefix)
                .map(|(start, _)| start)
                .find(|start| begins(word, *start));
            if let Some(start) = starts
                && length - start - prefix.len() >= least
            {
                self.keep(start + prefix.len());
                self.mask(length - start - prefix.len());
                return;
            }
        }
        self.keep(length);
    }

    /// `://user:password@host`: the part before `@` is hidden.
    fn user_info(&mut self) {
        self.keep(3);
        let authority = self.run(0, |byte| {
            !byte.is_ascii_whitespace()
                && !matches!(
                    byte,
                    b'/' | b'?' | b'#' | b'"' | b'\'' | b'\\' | b'<' | b'>'
                )
        });
        if let Some(at) = self.slice(authority).rfind('@') {
            self.mask(at);
        }
    }
}

/// Where an encoded `&` ends an encoded value.
fn find_ampersand(text: &str) -> Option<usize> {
    text.find("%26")
}

fn scan(text: &str, names: bool, prose: bool) -> String {
    let mut scanner = Scanner {
        text,
        prose,
        at: 0,
        out: String::with_capacity(text.len()),
    };
    loop {
        match scanner.rest() {
            [] => return scanner.out,
            [b':', b'/', b'/', ..] => scanner.user_info(),
            // An encoded delimiter does not belong to the word after it.
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                scanner.keep(3);
            }
            [first, ..] if is_word(*first) => scanner.word(names),
            [first, ..] => {
                let length = if first.is_ascii() {
                    1
                } else {
                    // Not part of anything we look for; taken with all bytes of its character.
                    1 + scanner.run(1, |byte| byte & 0xC0 == 0x80)
                };
                scanner.keep(length);
            }
        }
    }
}
