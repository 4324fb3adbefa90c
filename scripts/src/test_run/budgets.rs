//! `scripts/budgets.json`: how large each worker may be.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use crate::failure::{Context, Result};
use crate::layout::Layout;
use crate::say;
use crate::wasm::{self, Artifact};

/// Over its budget by more than this, a worker fails.
const TOLERANCE_PERCENT: u64 = 5;

#[derive(Debug, Deserialize)]
struct Budgets {
    wasm_gzip_bytes: BTreeMap<String, u64>,
}

/// Prints each size; a worker without a budget is a problem too.
pub(super) fn problems(layout: &Layout, artifacts: &[Artifact]) -> Result<Vec<String>> {
    let path = layout.at("scripts/budgets.json");
    let text = fs::read_to_string(&path).context(path.display())?;
    let budgets: Budgets = serde_json::from_str(&text).context(path.display())?;
    let mut problems = Vec::new();
    for artifact in artifacts {
        let size = wasm::size(&artifact.module())?;
        let budget = budgets.wasm_gzip_bytes.get(&artifact.name).copied();
        say::result(&format!(
            "wasm: {:<16} {:>8} bytes gzip of {:>8}",
            artifact.name,
            size.gzip_bytes,
            budget.map_or_else(|| "none".to_owned(), |bytes| bytes.to_string())
        ));
        problems.extend(problem(&artifact.name, size.gzip_bytes, budget));
    }
    Ok(problems)
}

fn problem(name: &str, gzip_bytes: u64, budget: Option<u64>) -> Option<String> {
    match budget {
        None => Some(format!("{name} has no budget in scripts/budgets.json")),
        Some(budget) if gzip_bytes * 100 > budget * (100 + TOLERANCE_PERCENT) => Some(format!(
            "{name} has {gzip_bytes} bytes gzip, over its budget of {budget} by more than {TOLERANCE_PERCENT} %"
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_percent_over_is_the_limit() {
        assert_eq!(problem("w", 105, Some(100)), None);
        assert!(problem("w", 106, Some(100)).is_some());
        assert!(problem("w", 1, None).is_some());
    }
}
