//! Packages of the web application: exact versions, no registry's host, licences of an allow-list.
//!
//! In scope: `package.json`, the lock file, and where that says no licence the installed package. Out of scope: the
//! tools in `scripts/package.json`, which nothing is shipped with.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::failure::{Context, Result};
use crate::layout::Layout;
use crate::web::DIR;

use super::pins::npm_lock;

/// SPDX ids that need no second thought.
const ALLOWED: [&str; 9] = [
    "MIT",
    "Apache-2.0",
    "ISC",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "CC0-1.0",
    "Unlicense",
    "BlueOak-1.0.0",
];

/// One package, or several that begin with the same text, under another licence.
struct Exception {
    /// Name; with `*` at the end the beginning of names.
    package: &'static str,
    licence: &'static str,
    /// Whether it may be in what visitors load.
    shipped: bool,
}

/// Each with its reason; one that no package needs is a problem too.
const EXCEPTIONS: [Exception; 5] = [
    // Runs in tests only.
    Exception {
        package: "axe-core",
        licence: "MPL-2.0",
        shipped: false,
    },
    // Vite and Tailwind make style sheets with it; its own code is in none.
    Exception {
        package: "lightningcss*",
        licence: "MPL-2.0",
        shipped: false,
    },
    // Data that a lint reads.
    Exception {
        package: "caniuse-lite",
        licence: "CC-BY-4.0",
        shipped: false,
    },
    // Reads eslint's command line.
    Exception {
        package: "argparse",
        licence: "Python-2.0",
        shipped: false,
    },
    // Font files, bundled unchanged, which is what the licence is for.
    Exception {
        package: "@fontsource-variable/*",
        licence: "OFL-1.1",
        shipped: true,
    },
];

/// One package of the lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Package {
    /// `node_modules/a/node_modules/b`.
    path: String,
    name: String,
    licence: Option<String>,
    /// For building and testing only.
    dev: bool,
}

/// Runs the rules on the checkout.
pub fn all(layout: &Layout, read: &dyn Fn(&str) -> Result<String>) -> Result<Vec<String>> {
    let mut problems = unpinned(&read(&format!("{DIR}/package.json"))?)?;
    let lock = read(&format!("{DIR}/package-lock.json"))?;
    problems.extend(npm_lock(&format!("{DIR}/package-lock.json"), &lock));
    let mut packages = packages(&lock)?;
    for package in &mut packages {
        if package.licence.is_none() {
            package.licence = installed_licence(layout, &package.path);
        }
    }
    problems.extend(licences(&packages));
    Ok(problems)
}

/// Versions that are ranges.
fn unpinned(text: &str) -> Result<Vec<String>> {
    let file: Value = serde_json::from_str(text).context(format!("{DIR}/package.json"))?;
    let mut problems = Vec::new();
    for list in ["dependencies", "devDependencies"] {
        let listed = file.get(list).and_then(Value::as_object);
        for (name, version) in listed.into_iter().flatten() {
            let version = version.as_str().unwrap_or_default();
            if !is_exact(version) {
                problems.push(format!(
                    "{DIR}/package.json: {name} {version:?} is no exact version"
                ));
            }
        }
    }
    Ok(problems)
}

/// `1.2.3`, with what may follow a `-` or `+`.
fn is_exact(version: &str) -> bool {
    let end = version.find(['-', '+']).unwrap_or(version.len());
    let (release, rest) = version.split_at(end);
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    release.split('.').count() == 3
        && release.split('.').all(number)
        && rest
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c))
}

fn packages(lock: &str) -> Result<Vec<Package>> {
    let file: Value = serde_json::from_str(lock).context(format!("{DIR}/package-lock.json"))?;
    let listed = file
        .get("packages")
        .and_then(Value::as_object)
        .context(format!(
            "{DIR}/package-lock.json has no packages: npm 7 or newer writes them"
        ))?;
    let packages: Vec<Package> = listed
        .iter()
        .filter(|(path, _)| !path.is_empty())
        .map(|(path, about)| Package {
            path: path.clone(),
            name: path
                .rsplit("node_modules/")
                .next()
                .unwrap_or(path)
                .to_owned(),
            licence: licence(about),
            dev: about.get("dev").and_then(Value::as_bool).unwrap_or(false),
        })
        .collect();
    if packages.is_empty() {
        return Err(crate::failure::Failure::failed(format!(
            "{DIR}/package-lock.json lists no package"
        )));
    }
    Ok(packages)
}

/// `"MIT"`, or as old packages write it `{"type":"MIT"}` and `[{"type":"MIT"}]`.
fn licence(about: &Value) -> Option<String> {
    let member = about.get("license").or_else(|| about.get("licenses"))?;
    let text = |value: &Value| {
        let text = value
            .as_str()
            .or_else(|| value.get("type").and_then(Value::as_str));
        text.map(str::to_owned)
    };
    match member.as_array() {
        // Several without a word between them: all may have to be kept.
        Some(several) => {
            let all: Option<Vec<String>> = several.iter().map(text).collect();
            all.filter(|all| !all.is_empty())
                .map(|all| all.join(" AND "))
        }
        None => text(member),
    }
}

fn installed_licence(layout: &Layout, path: &str) -> Option<String> {
    let file = layout.at(DIR).join(path).join("package.json");
    let text = std::fs::read_to_string(file).ok()?;
    licence(&serde_json::from_str(&text).ok()?)
}

fn licences(packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut needed = BTreeSet::new();
    for package in packages {
        let Some(licence) = &package.licence else {
            problems.push(format!(
                "{DIR}: {} says no licence; after `cargo x setup` its own file is read as well",
                package.path
            ));
            continue;
        };
        if allowed(licence) {
            continue;
        }
        let exception = EXCEPTIONS.iter().position(|it| {
            it.licence == licence
                && covers(it.package, &package.name)
                && (it.shipped || package.dev)
        });
        match exception {
            Some(index) => {
                needed.insert(index);
            }
            None => problems.push(format!(
                "{DIR}: {} is under {licence}, which is not among the allowed licences",
                package.name
            )),
        }
    }
    for (index, exception) in EXCEPTIONS.iter().enumerate() {
        if !needed.contains(&index) {
            problems.push(format!(
                "{DIR}: no package needs the exception for {} under {}",
                exception.package, exception.licence
            ));
        }
    }
    problems
}

fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// An SPDX expression of `AND`, `OR` and parentheses over allowed ids. `WITH` names a change to a licence, so it is none
/// of the list.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let fine = any_of(&tokens, &mut at);
    fine && at == tokens.len() && !tokens.is_empty()
}

fn any_of(tokens: &[&str], at: &mut usize) -> bool {
    let mut fine = all_of(tokens, at);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        // Both sides are read to their end, whatever the first one said.
        fine |= all_of(tokens, at);
    }
    fine
}

fn all_of(tokens: &[&str], at: &mut usize) -> bool {
    let mut fine = one(tokens, at);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        fine &= one(tokens, at);
    }
    fine
}

fn one(tokens: &[&str], at: &mut usize) -> bool {
    let token = tokens.get(*at).copied();
    *at += 1;
    if token == Some("(") {
        let fine = any_of(tokens, at);
        let closed = tokens.get(*at) == Some(&")");
        *at += 1;
        return fine && closed;
    }
    token.is_some_and(|id| ALLOWED.contains(&id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_are_allowed_by_their_meaning() {
        for yes in [
            "MIT",
            "(MIT OR GPL-3.0-only)",
            "GPL-3.0-only OR MIT",
            "MIT AND ISC",
            "(MIT AND (ISC OR LGPL-2.1-only))",
            "(MIT OR CC0-1.0)",
        ] {
            assert!(allowed(yes), "{yes}");
        }
        for no in [
            "",
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "MPL-2.0",
            "(MIT",
            "MIT)",
            "MIT ISC",
            "Apache-2.0 WITH LLVM-exception",
            "mit",
            "SEE LICENSE IN LICENSE",
            "UNLICENSED",
            "MIT OR",
            "AND MIT",
        ] {
            assert!(!allowed(no), "{no}");
        }
    }

    fn package(name: &str, licence: Option<&str>, dev: bool) -> Package {
        Package {
            path: format!("node_modules/{name}"),
            name: name.to_owned(),
            licence: licence.map(str::to_owned),
            dev,
        }
    }

    /// Packages that need every exception, so that only what a test adds is a problem.
    fn needing_all() -> Vec<Package> {
        vec![
            package("axe-core", Some("MPL-2.0"), true),
            package("lightningcss-linux-x64-gnu", Some("MPL-2.0"), true),
            package("caniuse-lite", Some("CC-BY-4.0"), true),
            package("argparse", Some("Python-2.0"), true),
            package("@fontsource-variable/inter", Some("OFL-1.1"), false),
        ]
    }

    #[test]
    fn a_licence_outside_the_list_is_a_problem_unless_its_package_is_excepted() {
        assert!(licences(&needing_all()).is_empty());
        for (name, licence, dev) in [
            ("leftpad", Some("GPL-3.0-only"), true),
            ("leftpad", Some("MPL-2.0"), true),
            ("leftpad", None, true),
            // What tests may use is not what visitors may load.
            ("axe-core", Some("MPL-2.0"), false),
            ("lightningcss", Some("MPL-2.0"), false),
            ("axe-core", Some("GPL-3.0-only"), true),
            ("axe-core-extra", Some("MPL-2.0"), true),
        ] {
            let mut packages = needing_all();
            packages.push(package(name, licence, dev));
            let found = licences(&packages);
            assert_eq!(found.len(), 1, "{name} {licence:?}: {found:?}");
            assert!(found[0].contains(name), "{found:?}");
        }
    }

    #[test]
    fn an_exception_that_nobody_needs_is_a_problem() {
        let mut packages = needing_all();
        packages.remove(0);
        let found = licences(&packages);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("axe-core"));
    }

    #[test]
    fn the_lock_file_is_read_with_nested_packages_and_old_forms() {
        let lock = json!({"packages": {
            "": {"name": "app"},
            "node_modules/a": {"license": "MIT"},
            "node_modules/a/node_modules/@s/b": {"dev": true, "licenses": [{"type": "MIT"}, {"type": "ISC"}]},
            "node_modules/c": {"license": {"type": "ISC"}, "dev": true},
            "node_modules/d": {"dev": true},
        }});
        let found = packages(&lock.to_string()).unwrap();
        let shown: Vec<(&str, Option<&str>, bool)> = found
            .iter()
            .map(|it| (it.name.as_str(), it.licence.as_deref(), it.dev))
            .collect();
        assert_eq!(
            shown,
            [
                ("a", Some("MIT"), false),
                ("@s/b", Some("MIT AND ISC"), true),
                ("c", Some("ISC"), true),
                ("d", None, true),
            ]
        );
        assert!(packages("{}").is_err());
        assert!(packages(r#"{"packages":{"":{}}}"#).is_err());
    }

    #[test]
    fn the_installed_package_says_what_the_lock_file_does_not() {
        let dir = crate::scratch::Scratch::new("npm");
        let layout = Layout {
            root: dir.path().to_owned(),
        };
        let home = layout.at(DIR).join("node_modules/d");
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("package.json"), r#"{"license":"ISC"}"#).unwrap();
        let found = installed_licence(&layout, "node_modules/d");
        assert_eq!(found.as_deref(), Some("ISC"));
        assert_eq!(installed_licence(&layout, "node_modules/e"), None);
    }

    #[test]
    fn versions_are_exact() {
        let with = |version: &str| {
            let file = json!({"dependencies": {"a": version}, "devDependencies": {"b": "1.2.3"}});
            unpinned(&file.to_string()).unwrap()
        };
        for exact in ["1.2.3", "1.2.3-rc.1", "10.0.0+x"] {
            assert!(with(exact).is_empty(), "{exact}");
        }
        for range in [
            "^1.2.3",
            "~1.2.3",
            "1.x",
            "1.2.x",
            "1.2",
            "*",
            "",
            "latest",
            ">=1.2.3",
            "1.2.3 || 2.0.0",
            "file:../x",
        ] {
            assert_eq!(with(range).len(), 1, "{range}");
        }
    }
}
