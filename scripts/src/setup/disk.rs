//! Whether the disk has room for what the commands write.
//!
//! In scope: what each part needs (`[disk_mb]` of `versions.toml`, measured), what of it is there already, one line that
//! says what is missing and what for. Out of scope: making room.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::Result;

use super::machine::free_disk_mb;
use super::{Scope, Tools};

/// Megabytes that each part takes at its largest.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskMb {
    /// The tools' cache while the tools are built.
    pub tools: u64,
    /// Both `node_modules`.
    pub node_packages: u64,
    /// The workers, for wasm.
    pub wasm: u64,
    /// Lints, tests and documentation of the workspace.
    pub native: u64,
    /// Instrumented builds of the workspace and what they write about their lines.
    pub coverage: u64,
    /// Temporary systems and what browsers leave while they run.
    pub stacks: u64,
}

/// Something that takes space.
#[derive(Debug)]
struct Part {
    name: &'static str,
    mb: u64,
    dirs: Vec<PathBuf>,
}

impl Part {
    fn all(tools: &Tools, scope: Scope) -> Vec<Self> {
        let (layout, mb) = (&tools.layout, tools.versions.disk_mb);
        let part = |name, mb, dirs: Vec<PathBuf>| Self { name, mb, dirs };
        let node = ["scripts/node_modules", "workers/console/web/node_modules"];
        let mut parts = vec![
            part("tools", mb.tools, vec![tools.cache.clone()]),
            part(
                "node packages",
                mb.node_packages,
                node.map(|dir| layout.at(dir)).to_vec(),
            ),
            part("target/wasm", mb.wasm, vec![layout.target().join("wasm")]),
            part("temporary systems", mb.stacks, Vec::new()),
        ];
        if scope == Scope::Full {
            let dirs = ["debug", "doc"].map(|dir| layout.cargo_target().join(dir));
            parts.push(part("target/debug", mb.native, dirs.to_vec()));
        }
        if scope == Scope::Coverage {
            let dir = layout.cargo_target().join("llvm-cov-target");
            parts.push(part("target/llvm-cov-target", mb.coverage, vec![dir]));
        }
        parts
    }
}

/// Why there is too little room for everything of this scope, if there is.
pub(super) fn missing(tools: &Tools, scope: Scope) -> Result<Option<String>> {
    let root = &tools.layout.root;
    let free = free_disk_mb(root)?;
    let parts = Part::all(tools, scope);
    // Sizes of folders take a moment, so they are only asked for when it matters.
    if parts.iter().map(|part| part.mb).sum::<u64>() <= free {
        return Ok(None);
    }
    let open: Vec<(&str, u64)> = parts
        .iter()
        .map(|part| {
            let taken: u64 = part.dirs.iter().map(|dir| size_bytes(dir)).sum();
            (part.name, part.mb.saturating_sub(taken / 1_000_000))
        })
        .collect();
    Ok(short(free, &open).map(|line| format!("{line}, where {} lies", root.display())))
}

/// What is free against what is still to be written, by part.
fn short(free_mb: u64, open: &[(&str, u64)]) -> Option<String> {
    let needed: u64 = open.iter().map(|(_, mb)| mb).sum();
    if needed <= free_mb {
        return None;
    }
    let mut open: Vec<_> = open.iter().filter(|(_, mb)| *mb > 0).collect();
    open.sort_by_key(|(_, mb)| std::cmp::Reverse(*mb));
    let parts: Vec<String> = open
        .iter()
        .map(|(name, mb)| format!("{} for {name}", gb(*mb)))
        .collect();
    Some(format!(
        "{} free, {} needed: {}",
        gb(free_mb),
        gb(needed),
        parts.join(", ")
    ))
}

fn gb(mb: u64) -> String {
    format!("{:.1} GB", mb as f64 / 1_000.0)
}

/// Bytes of all files below; a folder that is not there has none.
fn size_bytes(dir: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        // Of the entry itself: links are not followed.
        let Ok(about) = entry.metadata() else {
            continue;
        };
        bytes += if about.is_dir() {
            size_bytes(&entry.path())
        } else {
            about.len()
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::scratch::Scratch;
    use crate::versions::Versions;

    #[test]
    fn the_line_says_what_is_free_what_is_needed_and_what_for() {
        let open = [
            ("tools", 1_500),
            ("target/wasm", 2_400),
            ("node packages", 0),
        ];
        assert_eq!(short(3_900, &open), None);
        assert_eq!(
            short(3_899, &open).unwrap(),
            "3.9 GB free, 3.9 GB needed: 2.4 GB for target/wasm, 1.5 GB for tools"
        );
        assert_eq!(
            short(949, &open).unwrap(),
            "0.9 GB free, 3.9 GB needed: 2.4 GB for target/wasm, 1.5 GB for tools"
        );
    }

    #[test]
    fn what_is_there_already_is_not_needed_again() {
        let dir = Scratch::new("disk");
        let here = Layout::find().unwrap();
        let mut tools = Tools {
            versions: Versions::load(&here).unwrap(),
            layout: Layout {
                root: dir.path().to_owned(),
            },
            cache: dir.path().join("cache"),
            skipped: Vec::new(),
        };
        let free = free_disk_mb(dir.path()).unwrap();
        let none = DiskMb {
            tools: 0,
            node_packages: 0,
            wasm: 0,
            native: 0,
            coverage: 0,
            stacks: 0,
        };
        // Other processes write meanwhile, so the margin is wide.
        tools.versions.disk_mb = DiskMb {
            wasm: free + 1_000,
            ..none
        };
        let line = missing(&tools, Scope::Run).unwrap().unwrap();
        assert!(line.contains("for target/wasm, where"), "{line}");
        let wasm = dir.path().join("target/wasm/deps");
        fs::create_dir_all(&wasm).unwrap();
        let file = fs::File::create(wasm.join("sparse")).unwrap();
        file.set_len((free + 1_000) * 1_000_000).unwrap();
        assert_eq!(missing(&tools, Scope::Run).unwrap(), None);
        // Only whoever tests needs the space for tests.
        tools.versions.disk_mb = DiskMb {
            // More than the build of this very test may have taken.
            native: free + 10_000_000,
            ..none
        };
        assert_eq!(missing(&tools, Scope::Run).unwrap(), None);
        assert!(missing(&tools, Scope::Full).unwrap().is_some());
    }
}
