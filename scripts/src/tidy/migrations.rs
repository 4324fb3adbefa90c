//! Released migrations never change: `migrations/<db>/applied.lock` holds their digests.

use std::collections::BTreeMap;
use std::fs;

use crate::digest;
use crate::failure::{Context, Result};
use crate::layout::Layout;
use crate::say;

use super::folders;

const LOCK: &str = "applied.lock";
/// A migration that takes something away says which release stopped using it.
const CONTRACT: &str = "-- contract: ";

/// Digest by file name.
type Files = BTreeMap<String, String>;

/// Checks every database of the checkout.
pub fn all(layout: &Layout) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for database in folders(&layout.at("migrations"))? {
        let dir = layout.at("migrations").join(&database);
        let lock = fs::read_to_string(dir.join(LOCK)).context(dir.join(LOCK).display())?;
        let mut files = Files::new();
        for path in digest::files_below(&dir, &|_| false)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".sql") {
                files.insert(name.clone().into_owned(), digest::of_file(&path)?);
                let text = fs::read_to_string(&path).context(path.display())?;
                problems.extend(destructive(&format!("{database}/{name}"), &text));
            }
        }
        problems.extend(edited(&database, &parse(&lock), &files));
    }
    Ok(problems)
}

/// Adds migrations that no lock names yet. Never changes a line that is there.
pub fn lock_new(layout: &Layout) -> Result<()> {
    for database in folders(&layout.at("migrations"))? {
        let dir = layout.at("migrations").join(&database);
        let path = dir.join(LOCK);
        let before = fs::read_to_string(&path).unwrap_or_default();
        let known = parse(&before);
        let mut lines = vec![before];
        for file in digest::files_below(&dir, &|_| false)? {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".sql") && !known.contains_key(name.as_ref()) {
                lines.push(format!("{}  {name}\n", digest::of_file(&file)?));
                say::result(&format!("locked migrations/{database}/{name}"));
            }
        }
        fs::write(&path, lines.concat()).context(path.display())?;
    }
    Ok(())
}

/// Lines as `sha256sum` writes them.
fn parse(lock: &str) -> Files {
    lock.lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(digest, name)| (name.trim().to_owned(), digest.trim().to_owned()))
        .collect()
}

fn edited(database: &str, locked: &Files, files: &Files) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, digest) in locked {
        match files.get(name) {
            Some(now) if now == digest => {}
            Some(_) => problems.push(format!(
                "migrations/{database}/{name} was edited after release: write a new file"
            )),
            None => problems.push(format!(
                "migrations/{database}/{name} was removed after release"
            )),
        }
    }
    for name in files.keys().filter(|name| !locked.contains_key(*name)) {
        problems.push(format!(
            "migrations/{database}/{name} is not in {LOCK}: cargo x tidy --lock-migrations"
        ));
    }
    problems
}

/// Drops and renames need the header.
fn destructive(file: &str, sql: &str) -> Option<String> {
    if sql.starts_with(CONTRACT) {
        return None;
    }
    let code: String = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default().to_uppercase() + " ")
        .collect();
    let words: Vec<&str> = code.split_whitespace().collect();
    let takes_away = words.windows(2).any(|pair| {
        matches!(
            pair,
            ["DROP", "TABLE" | "COLUMN" | "INDEX" | "VIEW" | "TRIGGER"] | ["RENAME", _]
        )
    });
    takes_away.then(|| format!("migrations/{file} drops or renames without `{CONTRACT}<release>`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edited_removed_and_unlocked_files_are_told_apart() {
        let locked = parse("aa  0001_a.sql\nbb  0002_b.sql\n");
        let files = parse("aa  0001_a.sql\nbb  0002_b.sql\n");
        assert!(edited("x", &locked, &files).is_empty());
        let files = parse("zz  0001_a.sql\ncc  0003_c.sql\n");
        let found = edited("x", &locked, &files);
        assert_eq!(found.len(), 3);
        assert!(found[0].contains("0001_a.sql was edited"));
        assert!(found[1].contains("0002_b.sql was removed"));
        assert!(found[2].contains("0003_c.sql is not in"));
    }

    #[test]
    fn taking_away_needs_its_header() {
        assert!(destructive("x", "ALTER TABLE a\n  DROP COLUMN b;").is_some());
        assert!(destructive("x", "ALTER TABLE a RENAME TO b;").is_some());
        assert!(destructive("x", "-- contract: 0.2.0\nDROP TABLE a;").is_none());
        assert!(destructive("x", "-- never DROP TABLE a\nCREATE TABLE b (c);").is_none());
    }
}
