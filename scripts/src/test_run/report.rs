//! `target/test-report`: `summary.json` and one `junit.xml`.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::check::{Outcome, Part};
use crate::failure::{Context, Result};

use super::nextest::Counts;

/// Writes both files.
pub(super) fn write(dir: &Path, parts: &[Part], counts: Counts, suites: &[String]) -> Result<()> {
    fs::create_dir_all(dir).context(dir.display())?;
    let steps: Vec<_> = parts
        .iter()
        .map(|part| {
            let (outcome, reason) = match &part.outcome {
                Outcome::Pass => ("pass", None),
                Outcome::Fail(why) => ("fail", Some(why)),
                Outcome::Skip(why) => ("skip", Some(why)),
            };
            json!({
                "name": part.name, "outcome": outcome, "reason": reason,
                "duration_ms": part.took.as_millis() as u64,
            })
        })
        .collect();
    let summary = json!({
        "schema": 1, "steps": steps,
        "tests": {"passed": counts.passed, "failed": counts.failed, "skipped": counts.skipped},
    });
    let text = serde_json::to_string_pretty(&summary).context("summary")?;
    fs::write(dir.join("summary.json"), text + "\n").context("summary.json")?;
    fs::write(dir.join("junit.xml"), junit(parts, suites)).context("junit.xml")
}

/// The `<testsuite>` elements of a nextest report.
pub(super) fn suites(xml: &str) -> Option<String> {
    let from = xml.find("<testsuite ")?;
    let to = xml.rfind("</testsuites>")?;
    xml.get(from..to).map(str::to_owned)
}

fn junit(parts: &[Part], suites: &[String]) -> String {
    let failures = parts
        .iter()
        .filter(|part| matches!(part.outcome, Outcome::Fail(_)))
        .count();
    let mut lines = vec![
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned(),
        "<testsuites name=\"switchyard\">".to_owned(),
        format!(
            "  <testsuite name=\"steps\" tests=\"{}\" failures=\"{failures}\">",
            parts.len()
        ),
    ];
    for part in parts {
        let inner = match &part.outcome {
            Outcome::Pass => String::new(),
            Outcome::Fail(why) => format!("<failure message=\"{}\"/>", escaped(why)),
            Outcome::Skip(why) => format!("<skipped message=\"{}\"/>", escaped(why)),
        };
        lines.push(format!(
            "    <testcase classname=\"cargo-x\" name=\"{}\" time=\"{:.3}\">{inner}</testcase>",
            escaped(&part.name),
            part.took.as_secs_f64()
        ));
    }
    lines.push("  </testsuite>".to_owned());
    lines.extend(suites.iter().map(|suite| format!("  {}", suite.trim())));
    lines.push("</testsuites>\n".to_owned());
    lines.join("\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\n', "&#10;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn steps_and_tests_stand_in_one_file() {
        let parts = [Part {
            name: "check".into(),
            outcome: Outcome::Fail("a < b".into()),
            took: Duration::from_millis(1500),
        }];
        let nextest = "<?xml?>\n<testsuites name=\"n\" tests=\"1\">\n  <testsuite name=\"auth\" tests=\"1\"></testsuite>\n</testsuites>\n";
        let xml = junit(&parts, &[suites(nextest).unwrap()]);
        assert!(xml.contains("name=\"check\" time=\"1.500\"><failure message=\"a &lt; b\"/>"));
        assert!(xml.contains("<testsuite name=\"auth\" tests=\"1\"></testsuite>"));
        assert_eq!(xml.matches("</testsuites>").count(), 1);
        assert_eq!(suites("<testsuites/>"), None);
    }
}
