//! Counts and ratios with the bounds that they must keep.

use serde_json::{Value, json};

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Must {
    Be(f64),
    AtMost(f64),
    AtLeast(f64),
    /// Reported only.
    Anything,
}

/// One line of a suite's table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) what: String,
    pub(super) is: f64,
    pub(super) must: Must,
}

impl Figure {
    pub(super) fn count(what: impl Into<String>, is: u64, must: Must) -> Self {
        Self::ratio(what, is as f64, must)
    }

    pub(super) fn ratio(what: impl Into<String>, is: f64, must: Must) -> Self {
        Self {
            what: what.into(),
            is,
            must,
        }
    }

    fn holds(&self) -> bool {
        match self.must {
            Must::Be(value) => (self.is - value).abs() < 1e-9,
            Must::AtMost(value) => self.is <= value,
            Must::AtLeast(value) => self.is >= value,
            Must::Anything => true,
        }
    }
}

/// A table, figures out of their bounds marked.
pub(super) fn table(figures: &[Figure]) -> String {
    let mut lines = vec![
        "| Figure | Is | Must be |".to_owned(),
        "|---|---|---|".to_owned(),
    ];
    for figure in figures {
        let must = match figure.must {
            Must::Be(value) => number(value),
            Must::AtMost(value) => format!("at most {}", number(value)),
            Must::AtLeast(value) => format!("at least {}", number(value)),
            Must::Anything => String::new(),
        };
        let mark = if figure.holds() { "" } else { " **broken**" };
        lines.push(format!(
            "| {} | {}{mark} | {must} |",
            figure.what,
            number(figure.is)
        ));
    }
    lines.join("\n")
}

/// One line for each figure out of its bound.
pub(super) fn broken(figures: &[Figure]) -> Vec<String> {
    figures
        .iter()
        .filter(|figure| !figure.holds())
        .map(|figure| {
            format!(
                "{}: {}, must be {:?}",
                figure.what,
                number(figure.is),
                figure.must
            )
        })
        .collect()
}

pub(super) fn raw(figures: &[Figure]) -> Value {
    figures
        .iter()
        .map(|figure| json!({"what": figure.what, "is": figure.is, "holds": figure.holds()}))
        .collect()
}

/// Whole numbers without, all others with three digits behind the point.
fn number(value: f64) -> String {
    if value.fract().abs() < 1e-9 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_kept_or_broken_and_said() {
        let figure = |is, must| Figure::ratio("calls", is, must);
        for (kept, lost, must) in [
            (2.0, 3.0, Must::Be(2.0)),
            (12.0, 13.0, Must::AtMost(12.0)),
            (0.8, 0.799, Must::AtLeast(0.8)),
        ] {
            assert!(broken(&[figure(kept, must)]).is_empty(), "{must:?}");
            assert_eq!(broken(&[figure(lost, must)]).len(), 1, "{must:?}");
        }
        assert!(broken(&[figure(1e9, Must::Anything)]).is_empty());
        // Less than what must be exact is as wrong as more.
        assert_eq!(broken(&[figure(1.0, Must::Be(2.0))]).len(), 1);
        let shown = table(&[figure(0.75, Must::AtLeast(0.8)), figure(2.0, Must::Be(2.0))]);
        assert!(
            shown.contains("| calls | 0.750 **broken** | at least 0.800 |"),
            "{shown}"
        );
        assert!(shown.ends_with("| calls | 2 | 2 |"), "{shown}");
    }
}
