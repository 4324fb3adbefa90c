//! Rules about single files: length, unfinished marks, secrets, machine paths, sleeping tests.

/// The most lines of a Rust file before its tests.
const MAX_LINES: usize = 700;
/// The only key that may stand in a file: the pinned vector of the key format.
const PINNED_KEY: &str = "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb";
/// A vendor's own documentation example of an access key.
const EXAMPLE_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// The one file of `crates/e2e` that may wait: everything else polls through it.
const WAITING_FILE: &str = "crates/e2e/src/lib.rs";

/// All problems of one tracked file.
pub fn problems(file: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if is_rust(file) {
        problems.extend(too_long(file, text));
        problems.extend(sleeping(file, text));
    }
    problems.extend(unfinished(file, text));
    problems.extend(secrets(file, text));
    problems.extend(machine_paths(file, text));
    problems
}

fn is_rust(file: &str) -> bool {
    std::path::Path::new(file)
        .extension()
        .is_some_and(|end| end == "rs")
}

/// Over 700 lines before the tests.
fn too_long(file: &str, text: &str) -> Option<String> {
    // Files of tests have nothing before their tests.
    if file.contains("/tests/") {
        return None;
    }
    let lines = lines_before_tests(text);
    (lines > MAX_LINES)
        .then(|| format!("{file}: {lines} lines before its tests, at most {MAX_LINES}"))
}

/// Lines of a Rust file before its tests.
pub(super) fn lines_before_tests(text: &str) -> usize {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .count()
}

/// A test that waits for a time instead of a state.
fn sleeping(file: &str, text: &str) -> Vec<String> {
    if !file.starts_with("crates/e2e/") || file == WAITING_FILE {
        return Vec::new();
    }
    lines_with(text, |line| {
        line.contains("sleep(") || line.contains("sleep_until(")
    })
    .map(|number| format!("{file}:{number}: a bare sleep; poll for a state"))
    .collect()
}

/// Marks of unfinished work, in capitals or as macros.
fn unfinished(file: &str, text: &str) -> Vec<String> {
    // Put together here, or this file would find itself.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    let macros = [["to", "do!("], ["unimpl", "emented!("]].map(|parts| parts.concat());
    if file.ends_with("package-lock.json") || file.ends_with("Cargo.lock") {
        return Vec::new();
    }
    lines_with(text, |line| {
        marks.iter().any(|mark| has_word(line, mark))
            || is_rust(file) && macros.iter().any(|name| line.contains(name.as_str()))
    })
    .map(|number| format!("{file}:{number}: unfinished"))
    .collect()
}

/// Literals that look like a working secret.
fn secrets(file: &str, text: &str) -> Vec<String> {
    if file.ends_with("package-lock.json") || file.ends_with("Cargo.lock") {
        return Vec::new();
    }
    lines_with(text, |line| {
        line.split(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)))
            .any(looks_secret)
            || line.contains(&["-----BEGIN", "PRIVATE KEY"].join(" "))
    })
    .map(|number| format!("{file}:{number}: looks like a secret"))
    .collect()
}

fn looks_secret(word: &str) -> bool {
    let long = |prefix: &str, length: usize| {
        word.strip_prefix(prefix).is_some_and(|rest| {
            rest.len() >= length
                && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && rest.chars().any(|c| c.is_ascii_digit())
                && rest.chars().any(|c| c.is_ascii_alphabetic())
        })
    };
    // A key of our own form with the right checksum was minted by somebody.
    word != PINNED_KEY && auth::key::parse(word).is_ok_and(|key| !is_fixture(&key))
        || long("sk-", 32)
        || long("ghp_", 30)
        || long("github_pat_", 30)
        || word.len() == 20
            && word != EXAMPLE_KEY
            && word.starts_with(&["AK", "IA"].concat())
            && long("AK", 18)
}

/// A key that was never minted: its secret only repeats its public id.
fn is_fixture(key: &auth::key::PresentedKey) -> bool {
    key.secret
        .expose()
        .starts_with(&key.key_id.as_str().repeat(3))
}

/// Paths of somebody's machine.
fn machine_paths(file: &str, text: &str) -> Vec<String> {
    let homes = [["/ro", "ot/"], ["/ho", "me/"], ["/Us", "ers/"]].map(|parts| parts.concat());
    lines_with(text, |line| {
        homes.iter().any(|home| {
            line.match_indices(home.as_str()).any(|(at, _)| {
                let before = line.get(..at).and_then(|text| text.chars().last());
                !before.is_some_and(|c| c.is_ascii_alphanumeric() || ".~-_}".contains(c))
            })
        })
    })
    .map(|number| format!("{file}:{number}: a path of one machine"))
    .collect()
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .any(|part| part == word)
}

fn lines_with<'a>(
    text: &'a str,
    hit: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = usize> + 'a {
    text.lines()
        .enumerate()
        .filter(move |(_, line)| hit(line))
        .map(|(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::Random;

    #[test]
    fn only_lines_before_the_tests_count() {
        let code = "x\n".repeat(MAX_LINES);
        assert_eq!(
            too_long("a.rs", &format!("{code}#[cfg(test)]\n{code}")),
            None
        );
        assert!(too_long("a.rs", &format!("{code}x\n")).is_some());
        assert_eq!(too_long("crates/a/tests/b.rs", &format!("{code}x\n")), None);
    }

    #[test]
    fn a_sleeping_journey_is_found_and_the_polling_file_is_not() {
        let text = "a\ntokio::time::sleep(x).await;\n";
        assert_eq!(sleeping("crates/e2e/tests/a.rs", text).len(), 1);
        assert!(sleeping(WAITING_FILE, text).is_empty());
        assert!(sleeping("crates/jobs/src/lib.rs", text).is_empty());
    }

    #[test]
    fn unfinished_marks_are_words() {
        let mark = ["TO", "DO"].concat();
        assert_eq!(
            unfinished("a.md", &format!("ok\n<!-- {mark}: x -->")),
            ["a.md:2: unfinished"]
        );
        assert!(unfinished("a.md", &format!("{mark}S and to-do lists")).is_empty());
        let call = ["unimpl", "emented!()"].concat();
        assert_eq!(unfinished("a.rs", &call).len(), 1);
        assert!(unfinished("a.md", &call).is_empty());
    }

    #[derive(Clone)]
    struct Fixed;
    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            for (index, byte) in bytes.iter_mut().enumerate() {
                *byte = (index * 7 + 3) as u8;
            }
        }
    }

    #[test]
    fn a_minted_key_is_a_secret_and_a_made_up_one_is_not() {
        let minted = auth::key::mint(&Fixed).api_key;
        let line = format!("key = \"{}\"", minted.expose());
        assert_eq!(secrets("a.rs", &line).len(), 1);
        assert!(secrets("a.rs", &format!("key = \"{PINNED_KEY}\"")).is_empty());
        assert!(secrets("a.rs", &line.replace("sy_", "sz_")).is_empty());
        let fixture = "sy_user00000001_user00000001user00000001user00000001user0000bf5Bh";
        assert!(auth::key::parse(fixture).is_ok());
        assert!(secrets("a.sql", fixture).is_empty());
    }

    #[test]
    fn foreign_tokens_are_secrets_and_placeholders_are_not() {
        let digits = "0a1b2c3d4e5f6g7h8i9j0a1b2c3d4e5f6g7h";
        for secret in [format!("sk-{digits}"), format!("ghp_{digits}")] {
            assert_eq!(secrets("a.md", &format!("x={secret}")).len(), 1, "{secret}");
        }
        let pem = ["-----BEGIN", "PRIVATE KEY-----"].join(" ");
        assert_eq!(secrets("a.md", &pem).len(), 1);
        assert!(secrets("a.md", "sk-test sk-your-key-here ghp_ sim-ok-dev").is_empty());
    }

    #[test]
    fn home_folders_are_found_but_not_as_part_of_a_longer_path() {
        let path = ["/ho", "me/ann/x"].concat();
        assert_eq!(machine_paths("a.md", &format!("see {path}")).len(), 1);
        assert!(machine_paths("a.md", &format!("GET /api{path}")).is_empty());
    }
}
