//! Output: results go to standard output, talk goes to standard error.

use std::io::{IsTerminal, Write};

/// A line of the result. A closed pipe is no error: the reader has what it wanted.
pub fn result(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A line for people.
pub fn talk(line: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{line}");
}

/// Replaces the current terminal line.
pub fn status(line: &str) {
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "\r\x1b[2K{line}").and_then(|()| err.flush());
}

/// Whether lines may be replaced in place.
pub fn on_terminal() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("CI").is_none()
}

/// Green `PASS`, red `FAIL`, plain without a terminal or with `NO_COLOR`.
pub fn coloured(word: &str) -> String {
    if !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some() {
        return word.to_owned();
    }
    let colour = match word.trim() {
        "PASS" => 32,
        "FAIL" => 31,
        _ => 33,
    };
    format!("\x1b[{colour}m{word}\x1b[0m")
}
