//! Exact values that this process has opened and that no line may show, in whatever form they are written.
//!
//! In scope: plain, percent-encoded, escaped in JSON at any depth, base64 (both alphabets, at any offset).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Shorter values would hide ordinary words.
const MIN_SECRET_BYTES: usize = 8;
/// The oldest is forgotten when there are more: opened keys live in caches of at most 50.
const MAX_SECRETS: usize = 256;

struct Known {
    value: String,
    needles: Vec<Vec<u8>>,
}

static KNOWN: Mutex<VecDeque<Known>> = Mutex::new(VecDeque::new());

/// No line shows this value from now on. Values under 8 bytes are ignored.
pub fn register_secret(value: &str) {
    if value.len() < MIN_SECRET_BYTES {
        return;
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.iter().any(|secret| secret.value == value) {
        return;
    }
    if known.len() >= MAX_SECRETS {
        known.pop_front();
    }
    known.push_back(Known {
        value: value.to_owned(),
        needles: needles(value),
    });
}

/// The value itself, and the middle of its base64 forms: characters that its neighbours do not influence.
fn needles(value: &str) -> Vec<Vec<u8>> {
    let mut all = vec![value.as_bytes().to_vec()];
    for offset in 0..3 {
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(value.as_bytes());
        let (start, end) = ((8 * offset).div_ceil(6), 8 * bytes.len() / 6);
        for text in [
            STANDARD_NO_PAD.encode(&bytes),
            URL_SAFE_NO_PAD.encode(&bytes),
        ] {
            let needle = text.as_bytes().get(start..end).unwrap_or_default().to_vec();
            if !needle.is_empty() && !all.contains(&needle) {
                all.push(needle);
            }
        }
    }
    all
}

/// What one written unit at the front of `text` may stand for: `(byte, length)`.
fn readings(text: &[u8]) -> [Option<(u8, usize)>; 2] {
    let raw = text.first().map(|byte| (*byte, 1));
    let coded = match text {
        [b'%', high, low, ..] => hex(*high, *low).map(|byte| (byte, 3)),
        [b'\\', b'u', b'0', b'0', high, low, ..] => hex(*high, *low).map(|byte| (byte, 6)),
        [b'\\', escape, ..] => {
            let byte = match escape {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                other => *other,
            };
            Some((byte, 2))
        }
        [b'+', ..] => Some((b' ', 1)),
        _ => None,
    };
    [raw, coded]
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// The length of `needle` at the front of `text`, however each of its bytes is written.
fn length_at(text: &[u8], needle: &[u8]) -> Option<usize> {
    let Some((want, rest)) = needle.split_first() else {
        return Some(0);
    };
    for (byte, length) in readings(text).into_iter().flatten() {
        if byte == *want
            && let Some(tail) = text.get(length..)
            && let Some(more) = length_at(tail, rest)
        {
            return Some(length + more);
        }
    }
    // Deeper escapes: a run of backslashes before the byte belongs to it.
    let backslashes = text.iter().take_while(|byte| **byte == b'\\').count();
    if backslashes > 2 && *want != b'\\' && text.get(backslashes) == Some(want) {
        let more = length_at(text.get(backslashes + 1..)?, rest)?;
        return Some(backslashes + 1 + more);
    }
    if backslashes > 1 && *want == b'\\' {
        for taken in (2..=backslashes).rev() {
            if let Some(more) = text.get(taken..).and_then(|tail| length_at(tail, rest)) {
                return Some(taken + more);
            }
        }
    }
    None
}

/// Replaces every registered value.
pub(crate) fn hide(text: &str) -> String {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.is_empty() {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut firsts = [false; 256];
    for needle in known.iter().flat_map(|secret| &secret.needles) {
        if let Some(slot) = needle
            .first()
            .and_then(|byte| firsts.get_mut(usize::from(*byte)))
        {
            *slot = true;
        }
    }
    let mut shown = String::with_capacity(text.len());
    let (mut from, mut at) = (0, 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let possible = rest.first() == Some(&b'\\')
            || readings(rest)
                .into_iter()
                .flatten()
                .any(|(byte, _)| firsts.get(usize::from(byte)).copied().unwrap_or(true));
        let longest = if possible {
            known
                .iter()
                .flat_map(|secret| &secret.needles)
                .filter_map(|needle| length_at(rest, needle))
                .max()
        } else {
            None
        };
        match longest {
            Some(length) => {
                shown.push_str(text.get(from..at).unwrap_or_default());
                shown.push_str("*****");
                at += length;
                from = at;
            }
            None => at += 1,
        }
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    shown
}
