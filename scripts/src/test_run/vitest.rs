//! Reads the counts that vitest prints.

use super::nextest::Counts;

/// `      Tests  3 passed | 1 skipped (4)`, the last one; with or without colours.
pub(super) fn counts(log: &str) -> Option<Counts> {
    let plain = without_colours(log);
    let list = plain
        .lines()
        .rev()
        .find_map(|line| line.trim_start().strip_prefix("Tests "))?;
    let list = list.split('(').next()?;
    let mut counts = Counts::default();
    for part in list.split('|') {
        let mut words = part.split_whitespace();
        let count: u64 = words.next()?.parse().ok()?;
        match words.next()? {
            "passed" => counts.passed += count,
            "failed" => counts.failed += count,
            // skipped, todo
            _ => counts.skipped += count,
        }
    }
    Some(counts)
}

/// Without `ESC [ .. m`.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, after)| after));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_end_counts() {
        let log = "\n Test Files  1 failed | 11 passed (12)\n      Tests  2 failed | 139 passed | 3 skipped | 1 todo (145)\n   Start at  10:00:00\n";
        let expected = Counts {
            passed: 139,
            failed: 2,
            skipped: 4,
        };
        assert_eq!(counts(log), Some(expected));
    }

    #[test]
    fn colours_do_not_hide_the_counts() {
        let log = "\x1b[2m      Tests \x1b[22m \x1b[1m\x1b[32m7 passed\x1b[39m\x1b[22m\x1b[90m (7)\x1b[39m";
        assert_eq!(counts(log).unwrap().passed, 7);
    }

    #[test]
    fn no_summary_is_no_count() {
        assert_eq!(counts("No test files found, exiting with code 1"), None);
        assert_eq!(counts("Tests  no tests"), None);
    }
}
