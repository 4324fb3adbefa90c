//! Linters of what is not Rust: shell scripts and workflows. They are the machine's own programs; a part whose program is not
//! there is skipped and says so, and one without files does not exist.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::check::Outcome;
use crate::failure::Result;
use crate::layout::Layout;
use crate::process::Step;
use crate::setup::Tools;

/// Programs that run scripts which `shellcheck` reads.
const SHELLS: [&str; 4] = ["sh", "bash", "dash", "ksh"];
const WORKFLOWS: &str = ".github/workflows/";

/// A program and the tracked files that it is for.
#[derive(Debug, PartialEq, Eq)]
pub struct Linter {
    /// Its name, which is also that of the part.
    pub program: &'static str,
    args: &'static [&'static str],
    files: Vec<String>,
}

impl Linter {
    /// Those that have something to read among these files of the checkout.
    pub fn all(layout: &Layout, tracked: &[String]) -> Vec<Self> {
        let first_lines = tracked
            .iter()
            .map(|file| (file.as_str(), first_line(layout, file)))
            .collect();
        Self::of(&first_lines)
    }

    fn of(first_lines: &BTreeMap<&str, String>) -> Vec<Self> {
        let files = |wanted: fn(&str, &str) -> bool| -> Vec<String> {
            first_lines
                .iter()
                .filter(|(file, line)| wanted(file, line))
                .map(|(file, _)| (*file).to_owned())
                .collect()
        };
        let workflows = files(|file, _| is_workflow(file));
        let mut linters = vec![
            Self {
                program: "shellcheck",
                args: &[],
                files: files(is_shell),
            },
            Self {
                program: "actionlint",
                args: &[],
                files: workflows.clone(),
            },
            Self {
                program: "zizmor",
                args: &["--offline"],
                files: workflows,
            },
        ];
        linters.retain(|linter| !linter.files.is_empty());
        linters
    }

    /// Reads the files.
    pub fn run(&self, tools: &Tools) -> Result<Outcome> {
        let Some(program) = on_path(tools, self.program) else {
            return Ok(Outcome::Skip(format!(
                "no program `{}`: {} is not read",
                self.program,
                self.files.join(", ")
            )));
        };
        let mut command = tools.command(program);
        command.args(self.args).args(&self.files);
        let step = Step {
            logs: &tools.layout.logs(),
            name: &format!("check-{}", self.program),
            label: self.program,
        };
        step.run(&command).map(|_| Outcome::Pass)
    }
}

fn first_line(layout: &Layout, file: &str) -> String {
    let bytes = fs::read(layout.at(file)).unwrap_or_default();
    let line = bytes.split(|byte| *byte == b'\n').next();
    String::from_utf8_lossy(line.unwrap_or_default()).into_owned()
}

fn is_shell(file: &str, first_line: &str) -> bool {
    let by_name = |name: &str| SHELLS.contains(&name);
    let ending = file
        .rsplit('/')
        .next()
        .and_then(|name| name.rsplit_once('.'));
    let interpreter = first_line.strip_prefix("#!").and_then(|rest| {
        rest.split([' ', '/'])
            .filter(|word| !word.is_empty() && !word.starts_with('-'))
            .find(|word| by_name(word))
    });
    ending.is_some_and(|(_, ending)| by_name(ending)) || interpreter.is_some()
}

fn is_workflow(file: &str) -> bool {
    let yaml = [".yml", ".yaml"].iter().any(|end| file.ends_with(end));
    file.starts_with(WORKFLOWS) && yaml
}

/// Among the node tools, in the Python environment, or where the shell would find it.
fn on_path(tools: &Tools, program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    [
        Some(tools.layout.node_bin()),
        tools.python().parent().map(PathBuf::from),
    ]
    .into_iter()
    .flatten()
    .chain(std::env::split_paths(&path))
    .map(|dir| dir.join(program))
    .find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy;

    fn read_by(files: &[(&'static str, &str)]) -> Vec<(&'static str, Vec<String>)> {
        let lines = files
            .iter()
            .map(|(file, line)| (*file, (*line).to_owned()))
            .collect();
        Linter::of(&lines)
            .into_iter()
            .map(|linter| (linter.program, linter.files))
            .collect()
    }

    #[test]
    fn a_script_is_known_by_its_ending_or_by_its_first_line() {
        for (file, line) in [
            ("tools/a.sh", "echo"),
            (".ci/run", "#!/usr/bin/env bash"),
            ("b", "#!/bin/sh -e"),
            ("c", "#! /usr/bin/env -S bash -e"),
        ] {
            assert!(is_shell(file, line), "{file}");
        }
        for (file, line) in [
            ("a.py", "#!/usr/bin/env python3"),
            ("README.md", "# sh"),
            ("sh", ""),
            ("a.mjs", "#!/usr/bin/env node"),
            ("x/bash/a.rs", "//! bash"),
        ] {
            assert!(!is_shell(file, line), "{file}");
        }
    }

    #[test]
    fn each_linter_gets_its_files_and_none_stands_there_without_one() {
        assert_eq!(read_by(&[("README.md", "# x"), ("a.yml", "on: push")]), []);
        let files = [
            (".github/workflows/test.yml", "on: push"),
            (".github/workflows/README.md", "# x"),
            (".ci/run", "#!/bin/bash"),
        ];
        let workflow = vec![".github/workflows/test.yml".to_owned()];
        assert_eq!(
            read_by(&files),
            [
                ("shellcheck", vec![".ci/run".to_owned()]),
                ("actionlint", workflow.clone()),
                ("zizmor", workflow),
            ]
        );
    }

    #[test]
    fn the_script_of_this_repository_is_read() {
        let layout = Layout::find().unwrap();
        let tracked = tidy::tracked(&layout).unwrap();
        let linters = Linter::all(&layout, &tracked);
        let shell = linters
            .iter()
            .find(|it| it.program == "shellcheck")
            .unwrap();
        assert!(shell.files.contains(&".ci/run".to_owned()), "{shell:?}");
    }
}
