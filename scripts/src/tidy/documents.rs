//! Documents that name code are checked against it.

use std::collections::BTreeSet;

use crate::failure::{Failure, Result};
use crate::layout::Layout;

use super::folders;

/// Runs the rules on the checkout.
pub fn all(layout: &Layout, read: &dyn Fn(&str) -> Result<String>) -> Result<Vec<String>> {
    let mut problems = error_codes(
        &read("crates/errors/src/code.rs")?,
        &read("docs/errors.md")?,
    )?;
    let mut names = Vec::new();
    for parent in ["crates", "workers", "migrations"] {
        for folder in folders(&layout.at(parent))? {
            names.push(folder);
        }
    }
    names.extend(["crates", "workers", "migrations", "scripts", "docs"].map(str::to_owned));
    problems.extend(folder_map(&read("README.md")?, &names));
    Ok(problems)
}

/// Every code of the table has its `## code` section, and no section is left over.
fn error_codes(table: &str, document: &str) -> Result<Vec<String>> {
    let rows = table
        .split_once("\ncodes! {")
        .map(|(_, rows)| rows)
        .ok_or_else(|| Failure::failed("crates/errors/src/code.rs: no `codes! {` table"))?;
    let codes: BTreeSet<&str> = rows
        .lines()
        .take_while(|line| !line.starts_with('}'))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    if codes.is_empty() {
        return Err(Failure::failed("crates/errors/src/code.rs: an empty table"));
    }
    let sections: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| title.trim().trim_matches('`'))
        .filter(|title| {
            title
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .collect();
    let missing = codes
        .difference(&sections)
        .map(|code| format!("docs/errors.md has no section `## {code}`"));
    let left_over = sections
        .difference(&codes)
        .map(|code| format!("docs/errors.md: `## {code}` is no error code"));
    Ok(missing.chain(left_over).collect())
}

/// Every folder is named in the README's map.
fn folder_map(readme: &str, names: &[String]) -> Vec<String> {
    let words: BTreeSet<&str> = readme
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .collect();
    names
        .iter()
        .filter(|name| !words.contains(name.as_str()))
        .map(|name| format!("README.md does not name the folder {name}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "macro_rules! codes {}\n\ncodes! {\n    A \"rate_limited\" 429 Wait \"Wait.\";\n    B \"not_found\" 404 Never \"Look.\";\n}\n\"later\"";

    #[test]
    fn codes_and_sections_must_be_the_same_set() {
        let both = "## rate_limited\n\n## not_found\n## About retries\n";
        assert_eq!(error_codes(TABLE, both).unwrap(), Vec::<String>::new());
        let other = "## rate_limited\n## gone\n";
        assert_eq!(
            error_codes(TABLE, other).unwrap(),
            [
                "docs/errors.md has no section `## not_found`",
                "docs/errors.md: `## gone` is no error code"
            ]
        );
        assert!(error_codes("codes moved elsewhere", both).is_err());
    }

    #[test]
    fn a_folder_must_stand_in_the_map_as_a_word() {
        let names = ["auth", "api-types"].map(str::to_owned);
        assert!(folder_map("  auth    keys\n  api-types  shapes", &names).is_empty());
        assert_eq!(folder_map("authentication, api-types", &names).len(), 1);
    }
}
