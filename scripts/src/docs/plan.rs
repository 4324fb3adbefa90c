//! Blocks of a document -> what is run and what is expected. Pure.

use serde_json::Value;

use super::markdown::{Fence, Markdown};

/// One block of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// It is run.
    Run {
        /// Line of its fence.
        line: usize,
        /// The commands.
        code: String,
        /// Statuses from 400 on that its requests must have, each at least once.
        statuses: Vec<u16>,
        /// What it must print, with wildcards.
        expect: Option<Value>,
    },
    /// It is not run.
    NoRun {
        /// Line of its fence.
        line: usize,
        /// Why.
        reason: String,
    },
}

/// What a document does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// Whose key `KEY` is.
    pub(super) key: Option<String>,
    /// Its blocks, in order.
    pub(super) steps: Vec<Step>,
    /// What is wrong with them, with lines.
    pub(super) problems: Vec<(usize, String)>,
}

impl Plan {
    /// How many blocks are run.
    pub(super) fn runs(&self) -> usize {
        let runs = |step: &&Step| matches!(step, Step::Run { .. });
        self.steps.iter().filter(runs).count()
    }
}

/// Shell languages that are not run, so a request in them would never be tried.
const OTHER_SHELLS: [&str; 5] = ["sh", "shell", "console", "zsh", "shell-session"];
/// Holders that a page may name for `KEY`.
pub(super) const HOLDERS: [&str; 4] = ["admin", "superadmin", "user", "foreign"];

/// Reads the blocks of a document.
pub(super) fn plan(document: &Markdown) -> Plan {
    let mut plan = Plan {
        problems: document.problems.clone(),
        ..Plan::default()
    };
    for (line, directive) in &document.directives {
        match directive.strip_prefix("key=") {
            Some(holder) if HOLDERS.contains(&holder) => plan.key = Some(holder.to_owned()),
            _ => plan.problems.push((
                *line,
                format!(
                    "`{directive}`: known is key=HOLDER, one of {}",
                    HOLDERS.join(", ")
                ),
            )),
        }
    }
    // A `json expect` belongs to the block right before it.
    let mut before_was_run = false;
    for fence in &document.fences {
        let words = words(&fence.info);
        let (language, rest) = match words.split_first() {
            Some((language, rest)) => (language.as_str(), rest),
            None => ("", &[][..]),
        };
        let outcome = match language {
            "bash" => bash(fence, rest).map(Some),
            "json" if rest == ["expect"] => expect(fence, before_was_run, &mut plan).map(|()| None),
            _ if OTHER_SHELLS.contains(&language) && fence.code.contains("curl ") => {
                Err("a request in a block that is never run; make it a bash block".to_owned())
            }
            _ => Ok(None),
        };
        before_was_run = matches!(outcome, Ok(Some(Step::Run { .. })));
        match outcome {
            Ok(step) => plan.steps.extend(step),
            Err(problem) => plan.problems.push((fence.line, problem)),
        }
    }
    plan
}

/// Words of an info string; a quoted part may hold spaces.
fn words(info: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in info.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn bash(fence: &Fence, attributes: &[String]) -> Result<Step, String> {
    let mut statuses = Vec::new();
    let (mut norun, mut reason) = (false, None);
    for attribute in attributes {
        match attribute.split_once('=').unwrap_or((attribute, "")) {
            ("run", "") => {}
            ("norun", "") => norun = true,
            ("reason", text) if !text.is_empty() => reason = Some(text.to_owned()),
            ("status", list) => {
                for status in list.split(',') {
                    match status.parse() {
                        Ok(status @ 400..=599) => statuses.push(status),
                        _ => {
                            return Err(format!(
                                "status={list}: statuses from 400 to 599; others need no word"
                            ));
                        }
                    }
                }
            }
            _ => {
                return Err(format!(
                    "unknown word `{attribute}` behind bash; known: run, status=, norun reason=\"..\""
                ));
            }
        }
    }
    let line = fence.line;
    match (norun, reason) {
        (true, Some(reason)) => Ok(Step::NoRun { line, reason }),
        (true, None) => Err("norun needs a reason=\"..\"".to_owned()),
        (false, Some(_)) => Err("a reason without norun".to_owned()),
        (false, None) => Ok(Step::Run {
            line,
            code: fence.code.clone(),
            statuses,
            expect: None,
        }),
    }
}

fn expect(fence: &Fence, before_was_run: bool, plan: &mut Plan) -> Result<(), String> {
    let value = serde_json::from_str(&fence.code).map_err(|error| format!("not JSON: {error}"))?;
    match plan.steps.last_mut() {
        Some(Step::Run { expect, .. }) if before_was_run => {
            *expect = Some(value);
            Ok(())
        }
        _ => Err("an expectation must follow the bash block that it is about".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::markdown::parse;
    use super::*;
    use serde_json::json;

    fn planned(text: &str) -> Plan {
        plan(&parse(text))
    }

    #[test]
    fn bash_blocks_are_run_unless_they_say_why_not() {
        let text = "```bash\na\n```\n```bash run\nb\n```\n```bash status=404,409\nc\n```\n```bash norun reason=\"needs an account\"\nd\n```\n```text\ncurl e\n```\n```json\n{}\n```\n";
        let found = planned(text);
        assert_eq!(found.problems, []);
        assert_eq!((found.runs(), found.steps.len()), (3, 4));
        let run = |line, code: &str, statuses: &[u16]| Step::Run {
            line,
            code: code.into(),
            statuses: statuses.to_vec(),
            expect: None,
        };
        assert_eq!(found.steps[0], run(1, "a\n", &[]));
        assert_eq!(found.steps[2], run(7, "c\n", &[404, 409]));
        let reason = "needs an account".into();
        assert_eq!(found.steps[3], Step::NoRun { line: 10, reason });
    }

    #[test]
    fn an_expectation_belongs_to_the_block_before_it() {
        let good = planned("```bash\na\n```\ntext\n```json expect\n{\"a\":\"...\"}\n```\n");
        assert_eq!(good.problems, []);
        let Step::Run { expect, .. } = &good.steps[0] else {
            panic!("{good:?}");
        };
        assert_eq!(*expect, Some(json!({"a": "..."})));
        for bad in [
            "```json expect\n{}\n```\n",
            "```bash\na\n```\n```json expect\n{\n```\n",
            "```bash\na\n```\n```json\n{}\n```\n```json expect\n{}\n```\n",
            "```bash norun reason=\"x\"\na\n```\n```json expect\n{}\n```\n",
            "```bash\na\n```\n```json expect\n1\n```\n```json expect\n2\n```\n",
        ] {
            assert_eq!(planned(bad).problems.len(), 1, "{bad}");
        }
    }

    #[test]
    fn what_would_silently_not_be_run_is_a_problem() {
        for bad in [
            "```bash norun\na\n```\n",
            "```bash reason=\"x\"\na\n```\n",
            "```bash skip\na\n```\n",
            "```bash status=200\na\n```\n",
            "```bash status=\na\n```\n",
            "```sh\ncurl -s x\n```\n",
            "```bash\na\n",
            "<!-- doctest key=nobody -->\n",
            "<!-- doctest off -->\n",
        ] {
            assert_eq!(planned(bad).problems.len(), 1, "{bad}");
        }
        assert_eq!(planned("```sh\ncargo x dev\n```\n").problems, []);
    }

    #[test]
    fn a_page_names_whose_key_it_uses() {
        assert_eq!(
            planned("<!-- doctest key=superadmin -->\n").key.as_deref(),
            Some("superadmin")
        );
        assert_eq!(planned("").key, None);
    }
}
