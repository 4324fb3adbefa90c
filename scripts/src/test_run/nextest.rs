//! Reads the counts that nextest prints.

/// Tests by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    pub(super) fn line(self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// `Summary [ 0.5s] 5 tests run: 3 passed (1 slow), 1 failed, 1 timed out, 2 skipped`, the last one.
pub(super) fn counts(log: &str) -> Option<Counts> {
    let line = log
        .lines()
        .rev()
        .find(|line| line.trim_start().starts_with("Summary [") && line.contains(" run: "))?;
    let mut counts = Counts::default();
    let (_, list) = line.split_once(" run: ")?;
    // Notes in parentheses hold numbers of their own.
    let plain: String = list
        .split('(')
        .map(|part| part.split_once(')').map_or(part, |(_, after)| after))
        .collect();
    for part in plain.split(',') {
        let mut words = part.split_whitespace();
        let count: u64 = words.next()?.parse().ok()?;
        match words.next()? {
            "passed" => counts.passed += count,
            "skipped" => counts.skipped += count,
            // failed, timed out, exec failed, leaky counted as failed
            _ => counts.failed += count,
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_count_as_failures_and_notes_do_not_count() {
        let log = "noise\n     Summary [   0.5s] 7 tests run: 4 passed (1 slow, 2 leaky), 1 failed, 1 timed out, 1 exec failed, 3 skipped\n";
        let expected = Counts {
            passed: 4,
            failed: 3,
            skipped: 3,
        };
        assert_eq!(counts(log), Some(expected));
        assert_eq!(expected.line(), "4 passed, 3 failed, 3 skipped");
    }

    #[test]
    fn a_run_that_was_cut_off_by_a_failure_still_counts() {
        let log = "Summary [ 1s] 1/2 tests run: 0 passed, 1 failed, 0 skipped";
        assert_eq!(counts(log).unwrap().failed, 1);
    }

    #[test]
    fn no_summary_is_no_count() {
        assert_eq!(counts("error: could not compile"), None);
    }
}
