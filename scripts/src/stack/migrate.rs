//! Applies D1 migrations to a local state, and refuses one that was edited after it was applied.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::digest;
use crate::failure::{Context, Failure, Result};
use crate::layout::Layout;
use crate::process::Step;
use crate::render::Database;
use crate::setup::Tools;

use super::wrangler;

const RECORD: &str = "migrations.json";

/// Digest by file name.
type Files = BTreeMap<String, String>;

/// Brings every database up to date. A temporary state starts from a copy of the last fresh one.
pub fn apply(tools: &Tools, databases: &[Database], dir: &Path, temp: bool) -> Result<()> {
    let state = dir.join("state");
    let mut wanted = BTreeMap::new();
    for database in databases {
        wanted.insert(database.name.clone(), files(&database.migrations)?);
    }
    let template = template(&tools.layout, tools, &wanted)?;
    if temp && !state.exists() && template.is_dir() {
        copy_dir(&template, &state)?;
        return Ok(());
    }
    fs::create_dir_all(&state).context(state.display())?;
    let record = state.join(RECORD);
    let mut applied = applied(dir);
    let fresh = applied.is_empty();
    for database in databases {
        let known = applied.entry(database.name.clone()).or_default();
        let Some(current) = wanted.get(&database.name) else {
            continue;
        };
        if !is_behind(&database.name, known, current)? {
            continue;
        }
        let mut command = wrangler::command(tools, dir)?;
        command
            .args(["d1", "migrations", "apply", &database.name, "--local", "-c"])
            .arg(&database.config)
            .arg("--persist-to")
            .arg(&state);
        let step = Step {
            logs: &dir.join("logs"),
            name: &format!("migrate-{}", database.name),
            label: &format!("migrating {}", database.name),
        };
        step.run(&command)?;
        known.clone_from(current);
        let text = serde_json::to_string_pretty(&applied).context(RECORD)?;
        fs::write(&record, text).context(RECORD)?;
    }
    if temp && fresh && !template.exists() {
        keep_template(&state, &template)?;
    }
    Ok(())
}

/// Whether any database is behind its files; an edited file is refused.
pub fn is_due(databases: &[Database], dir: &Path) -> Result<bool> {
    let applied = applied(dir);
    let none = Files::new();
    let mut due = false;
    for database in databases {
        let known = applied.get(&database.name).unwrap_or(&none);
        due |= is_behind(&database.name, known, &files(&database.migrations)?)?;
    }
    Ok(due)
}

fn applied(dir: &Path) -> BTreeMap<String, Files> {
    fs::read_to_string(dir.join("state").join(RECORD))
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// Whether files are new; an edited one is refused.
fn is_behind(database: &str, applied: &Files, current: &Files) -> Result<bool> {
    for (name, digest) in applied {
        match current.get(name) {
            Some(now) if now == digest => {}
            changed => {
                let what = if changed.is_some() {
                    "edited"
                } else {
                    "removed"
                };
                return Err(Failure::refused(format!(
                    "migrations/{database}/{name} was {what} after it was applied: write a new file, or run `cargo x dev --reset`"
                )));
            }
        }
    }
    Ok(current.len() > applied.len())
}

fn files(dir: &Path) -> Result<Files> {
    let mut found = Files::new();
    for entry in fs::read_dir(dir).context(dir.display())? {
        let path = entry.context(dir.display())?.path();
        if path.extension().is_some_and(|extension| extension == "sql")
            && let Some(name) = path.file_name()
        {
            found.insert(name.to_string_lossy().into_owned(), digest::of_file(&path)?);
        }
    }
    if found.is_empty() {
        return Err(Failure::failed(format!(
            "no migrations in {}",
            dir.display()
        )));
    }
    Ok(found)
}

fn template(layout: &Layout, tools: &Tools, wanted: &BTreeMap<String, Files>) -> Result<PathBuf> {
    let text = serde_json::to_string(wanted).context("migrations")?;
    let wrangler = tools.versions.npm.get("wrangler");
    let hash = digest::of_bytes(format!("{text}{wrangler:?}").as_bytes());
    let short = hash.get(..16).unwrap_or(&hash);
    Ok(layout.target().join(format!("stack/template-{short}")))
}

fn keep_template(state: &Path, template: &Path) -> Result<()> {
    let partial = template.with_extension(std::process::id().to_string());
    copy_dir(state, &partial)?;
    // Lost to another process that was quicker: its copy is as good.
    if fs::rename(&partial, template).is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    Ok(())
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).context(to.display())?;
    for entry in fs::read_dir(from).context(from.display())? {
        let entry = entry.context(from.display())?;
        let target = to.join(entry.file_name());
        if entry.file_type().context(from.display())?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).context(target.display())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn files_of(list: &[(&str, &str)]) -> Files {
        list.iter()
            .map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned()))
            .collect()
    }

    #[test]
    fn a_new_file_is_due_and_nothing_new_is_not() {
        let applied = files_of(&[("0001.sql", "a")]);
        assert!(!is_behind("x", &applied, &applied).unwrap());
        let current = files_of(&[("0001.sql", "a"), ("0002.sql", "b")]);
        assert!(is_behind("x", &applied, &current).unwrap());
        assert!(is_behind("x", &Files::new(), &applied).unwrap());
    }

    #[test]
    fn an_edited_or_removed_migration_is_refused() {
        let applied = files_of(&[("0001.sql", "a")]);
        for current in [files_of(&[("0001.sql", "b")]), Files::new()] {
            let failure = is_behind("x", &applied, &current).unwrap_err();
            assert_eq!(failure.exit, Exit::Refused);
            assert!(failure.message.contains("--reset"));
        }
    }
}
