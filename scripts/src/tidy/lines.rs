//! How long a worker's files may be, by their role: decision 0019.
//!
//! Those that are longer stand in a list with their length, which only shrinks: a file of it that grows is a problem, and
//! so is one that has become shorter until the list says so.

use std::collections::BTreeMap;

use super::texts;

/// What is longer than its role allows: path and lines.
const LONGER: &str = include_str!("lines.txt");

/// All problems of the tracked files, given by path and text.
pub fn problems<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    judged(LONGER, files)
}

fn judged<'a>(longer: &str, files: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut listed: BTreeMap<&str, usize> = BTreeMap::new();
    let mut problems = Vec::new();
    for line in longer.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(' ').map(|(path, n)| (path, n.parse())) {
            Some((path, Ok(lines))) => drop(listed.insert(path, lines)),
            _ => problems.push(format!("lines.txt: `{line}` is no path and number")),
        }
    }
    for (path, text) in files {
        let Some(most) = most(path) else { continue };
        let lines = texts::lines_before_tests(text);
        let known = listed.remove(path);
        problems.extend(match known {
            None if lines > most => Some(format!(
                "{path}: {lines} lines before its tests, at most {most} for its role; divide it"
            )),
            Some(known) if lines > known => Some(format!(
                "{path}: {lines} lines before its tests; it was {known}, too long already; divide it"
            )),
            Some(_) if lines <= most => Some(format!(
                "{path}: short enough; take it out of scripts/src/tidy/lines.txt"
            )),
            Some(known) if lines < known => Some(format!(
                "{path}: shorter than {known}; write {lines} into scripts/src/tidy/lines.txt"
            )),
            _ => None,
        });
    }
    problems.extend(
        listed
            .keys()
            .map(|path| format!("scripts/src/tidy/lines.txt: no file {path}")),
    );
    problems
}

/// The most lines of a worker's file; nothing for other files.
fn most(path: &str) -> Option<usize> {
    let (_worker, file) = path.strip_prefix("workers/")?.split_once("/src/")?;
    match file.strip_suffix(".rs")? {
        "lib" | "bindings" | "routes" => Some(80),
        name if name.ends_with("_do") => Some(60),
        _ => Some(250),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(longer: &str, path: &str, lines: usize) -> Vec<String> {
        let text = "x\n".repeat(lines) + "#[cfg(test)]\nmod tests {\n}\n";
        judged(longer, [(path, text.as_str())].into_iter())
    }

    #[test]
    fn every_role_has_its_length_and_tests_do_not_count() {
        for (path, most) in [
            ("workers/w/src/lib.rs", 80),
            ("workers/w/src/bindings.rs", 80),
            ("workers/w/src/routes.rs", 80),
            ("workers/w/src/limiter_do.rs", 60),
            ("workers/w/src/instance/edit.rs", 250),
        ] {
            assert!(of("", path, most).is_empty(), "{path}");
            assert_eq!(of("", path, most + 1).len(), 1, "{path}");
        }
        for free in [
            "crates/c/src/lib.rs",
            "workers/w/tests/http.rs",
            "workers/w/src/a.css",
        ] {
            assert!(of("", free, 1_000).is_empty(), "{free}");
        }
    }

    #[test]
    fn the_list_only_shrinks() {
        let (path, listed) = ("workers/w/src/run.rs", "# why\nworkers/w/src/run.rs 300\n");
        assert!(of(listed, path, 300).is_empty());
        for (lines, told) in [(301, "divide it"), (299, "write 299"), (250, "take it out")] {
            let found = of(listed, path, lines);
            assert!(found.len() == 1 && found[0].contains(told), "{found:?}");
        }
        let gone = of(listed, "workers/w/src/other.rs", 10);
        assert!(gone[0].contains("no file workers/w/src/run.rs"), "{gone:?}");
        assert!(of("nonsense", path, 10)[0].contains("nonsense"));
    }
}
