//! `docs/benchmarks.md`: one section a suite; a run replaces its own and leaves the others.

use super::SUITES;

const HEAD: &str = "# Benchmarks

Written by `cargo x bench`, one suite at a time; a section names the commit and the machine it was measured on. Simulator, all workers and the load share these processors, so rates are a floor, not a promise. Only counts and ratios are judged: a run fails when one is out of its bound.";

/// The page with this body as the section of `suite`.
pub(super) fn with_section(page: &str, suite: &str, body: &str) -> String {
    let mut parts = vec![HEAD.to_owned()];
    for name in SUITES {
        let kept = section(page, name);
        let body = if name == suite { Some(body) } else { kept };
        parts.extend(body.map(|body| format!("## {name}\n\n{}", body.trim())));
    }
    parts.join("\n\n") + "\n"
}

/// What stands between the heading of `suite` and the next one of its level.
fn section<'a>(page: &'a str, suite: &str) -> Option<&'a str> {
    let heading = format!("\n## {suite}\n");
    let from = page.find(&heading)? + heading.len();
    let rest = page.get(from..)?;
    let to = rest.find("\n## ").unwrap_or(rest.len());
    rest.get(..to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_replaces_its_own_section_and_keeps_the_others_in_their_order() {
        let control = with_section("", "control", "c1\n\n### Rates\n\nr1");
        let both = with_section(&control, "generate", "g1");
        let again = with_section(&both, "control", "c2");
        assert!(control.contains("## control\n\nc1\n\n### Rates\n\nr1\n"));
        assert!(both.contains("## generate\n\ng1\n\n## control\n\nc1\n\n### Rates\n\nr1\n"));
        assert!(again.ends_with("## generate\n\ng1\n\n## control\n\nc2\n"));
        assert_eq!(with_section(&again, "control", "c2"), again);
    }

    #[test]
    fn a_section_of_before_the_suites_does_not_stay() {
        let old = "# Benchmarks\n\nx\n\n## generate\n\ng\n\n## admission\n\na\n";
        let page = with_section(old, "lookup", "l");
        assert!(
            page.ends_with("## generate\n\ng\n\n## lookup\n\nl\n"),
            "{page}"
        );
    }
}
