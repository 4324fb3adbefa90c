//! Credentials of a known form inside an encoding: percent-encoded, or in base64 after any other bytes.
//!
//! In scope: finding runs of characters that hold one, hiding the whole run. Out of scope: the forms (module `redact`),
//! exact values in any encoding (module `secrets`).

/// Shorter runs hold no whole credential: the shortest has 15 bytes, in base64 20 characters.
const MIN_RUN: usize = 20;
/// Encodings inside each other that are undone.
const LAYERS: usize = 3;

/// Characters of either encoding.
const fn is_coded(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=' | b'%')
}

/// Identifiers, hashes and numbers: most long runs of a log line, and never base64 of a credential.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b'-'
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// The run with its percent-encoding taken away; `None` when it has none.
fn percent_decoded(run: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(run.len());
    let mut rest = run;
    while let [first, after @ ..] = rest {
        let coded = match after {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        let (byte, after) = match coded {
            Some((high, low)) => ((high << 4) | low, after.get(2..).unwrap_or_default()),
            None => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    (bytes.len() < run.len()).then_some(bytes)
}

/// Six bits of a character of either alphabet.
const fn digit(byte: u8) -> Option<u32> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    } as u32)
}

/// What the characters stand for when the first of them begins a group; what is no character of base64 is passed over.
fn base64_decoded(run: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(run.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for digit in run.iter().filter_map(|byte| digit(*byte)) {
        bits = (bits << 6) | digit;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(((bits >> held) & 0xff) as u8);
        }
    }
    bytes
}

fn holds(run: &[u8], layers: usize, is_secret: &impl Fn(&str) -> bool) -> bool {
    if run.len() < MIN_RUN || layers == 0 || run.iter().all(|byte| is_plain(*byte)) {
        return false;
    }
    let says = |bytes: &[u8]| is_secret(&String::from_utf8_lossy(bytes));
    if let Some(bytes) = percent_decoded(run) {
        return says(&bytes) || holds(&bytes, layers - 1, is_secret);
    }
    // What stands before may shift the groups.
    (0..4).any(|skipped| {
        let bytes = base64_decoded(run.get(skipped..).unwrap_or_default());
        says(&bytes) || percent_decoded(&bytes).is_some_and(|inner| says(&inner))
    })
}

/// Hides each run of coded characters that holds a secret.
pub(crate) fn hide(text: String, mask: &str, is_secret: &impl Fn(&str) -> bool) -> String {
    if text.len() < MIN_RUN {
        return text;
    }
    let bytes = text.as_bytes();
    let mut shown = String::new();
    let (mut from, mut at) = (0, 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let length = rest.iter().take_while(|byte| is_coded(**byte)).count();
        let run = rest.get(..length).unwrap_or_default();
        if holds(run, LAYERS, is_secret) {
            shown.push_str(text.get(from..at).unwrap_or_default());
            shown.push_str(mask);
            from = at + length;
        }
        at += length.max(1);
    }
    if from == 0 {
        return text;
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    shown
}
