//! `cargo x setup`: everything that the other commands call, in a per-user cache.
//!
//! In scope: toolchains, node packages, cargo tools, a Python environment, the environment that
//! children get. Out of scope: services and accounts; nothing here needs one.

mod disk;
mod item;
mod machine;
mod record;

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::process::Command;

use crate::clock;
use crate::failure::{Context, Failure, Result};
use crate::layout::{self, Layout};
use crate::say;
use crate::versions::Versions;

pub use disk::DiskMb;
use item::OnFailure;
pub use item::{Item, Scope, chromium};
use record::Record;

/// Environment of cargo's own `run`, which must not leak into the builds that we start.
const CARGO_RUN_PREFIXES: [&str; 5] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_PRIMARY_",
];

/// The tools, installed and checked.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The checkout.
    pub layout: Layout,
    /// The pinned versions.
    pub versions: Versions,
    /// The per-user cache.
    pub cache: PathBuf,
    /// What is not there and what follows from it, by item name.
    pub skipped: Vec<(String, String)>,
}

impl Tools {
    /// Installs what `scope` needs. Quick and without any package manager when nothing changed.
    pub fn ensure(layout: &Layout, scope: Scope) -> Result<Self> {
        let cache = layout::tool_cache(|name| std::env::var(name).ok())?;
        Self::ensure_in(cache, layout, scope)
    }

    fn ensure_in(cache: PathBuf, layout: &Layout, scope: Scope) -> Result<Self> {
        let mut tools = Self::locate(cache, layout)?;
        let hash = record::inputs_hash(layout)?;
        if let Some(known) = Record::load(&tools.cache)
            && known.covers(&hash, scope)
            && item::node_tools_are_current(&tools)
            && item::missing_web_packages(&tools).is_none()
            && !item::chromium_appeared(&known.skipped)
        {
            tools.skipped = known.skipped;
            return Ok(tools);
        }
        fs::create_dir_all(&tools.cache).context(tools.cache.display())?;
        let complete = Item::all(&tools, scope)
            .iter()
            .all(|item| item.missing(&tools).is_none());
        if complete {
            // Nothing to install, so another setup that is at work need not be waited for.
            Record::new(hash, scope, &tools)?.store(&tools.cache)?;
            return Ok(tools);
        }
        let _lock = lock(&tools.cache)?;
        let started = clock::now();
        let mut installed = 0;
        for item in Item::all(&tools, scope) {
            let Some(reason) = item.missing(&tools) else {
                continue;
            };
            say::talk(&format!("setup: {} ({reason})", item.name()));
            match (item.install(&tools), item.on_failure()) {
                (Ok(()), _) => installed += 1,
                (Err(failure), OnFailure::Stop(exit)) => {
                    let _ = fs::remove_dir_all(item::build_dir(&tools));
                    return Err(Failure { exit, ..failure });
                }
                (Err(failure), OnFailure::Skip(consequence)) => {
                    say::talk(&format!(
                        "setup: SKIP {} ({failure}): {consequence}",
                        item.name()
                    ));
                    tools
                        .skipped
                        .push((item.name().to_owned(), consequence.to_owned()));
                }
            }
        }
        let _ = fs::remove_dir_all(item::build_dir(&tools));
        Record::new(hash, scope, &tools)?.store(&tools.cache)?;
        if installed > 0 {
            say::talk(&format!(
                "setup: {installed} installed in {}",
                clock::spoken(started.elapsed())
            ));
        }
        Ok(tools)
    }

    /// Fails when the disk has no room for what is still to be written: known before the first step rather than in the
    /// middle of one, also where nothing is to be installed.
    pub fn need_room(&self, scope: Scope) -> Result<()> {
        match disk::missing(self, scope)? {
            None => Ok(()),
            Some(line) => Err(Failure::invalid(format!("too little disk: {line}"))),
        }
    }

    /// Names what is missing, changes nothing.
    pub fn check(layout: &Layout) -> Result<Vec<(String, Option<String>)>> {
        let cache = layout::tool_cache(|name| std::env::var(name).ok())?;
        let tools = Self::locate(cache, layout)?;
        Ok(Item::all(&tools, Scope::Full)
            .into_iter()
            .map(|item| (item.name().to_owned(), item.missing(&tools)))
            .collect())
    }

    fn locate(cache: PathBuf, layout: &Layout) -> Result<Self> {
        Ok(Self {
            layout: layout.clone(),
            versions: Versions::load(layout)?,
            cache,
            skipped: Vec::new(),
        })
    }

    /// Folder of a tool that cargo installed.
    pub fn cargo_tool_dir(&self, name: &str) -> Result<PathBuf> {
        let tool = self
            .versions
            .cargo_tools
            .get(name)
            .context(format!("versions.toml has no tool {name}"))?;
        Ok(self.cache.join(format!("{name}-{}", tool.version)))
    }

    /// Program of a tool that cargo installed.
    pub fn cargo_tool(&self, name: &str) -> Result<PathBuf> {
        let dir = self.cargo_tool_dir(name)?;
        let bin = self
            .versions
            .cargo_tools
            .get(name)
            .map_or(name, |tool| tool.bin.as_str());
        Ok(dir.join("bin").join(bin))
    }

    /// Why a step that needs `item` cannot run, if it cannot.
    pub fn skip_reason(&self, item: &str) -> Option<&str> {
        self.skipped
            .iter()
            .find(|(name, _)| name == item)
            .map(|(_, reason)| reason.as_str())
    }

    /// The Python environment for the client test.
    pub fn python(&self) -> PathBuf {
        item::python_dir(self).join("bin/python")
    }

    /// The PATH of children, with one more folder before everything else.
    pub fn path_with(&self, first: Option<PathBuf>) -> Result<OsString> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs = first
            .into_iter()
            .chain([self.layout.node_bin()])
            .chain(std::env::split_paths(&path));
        std::env::join_paths(dirs).context("PATH")
    }

    /// A command in the checkout with the environment that every child gets.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = bare_command(&self.layout, program);
        let node_bin = self.layout.node_bin();
        if let Ok(path) = self.path_with(None) {
            command.env("PATH", path);
        }
        if let Ok(bindgen) = self.cargo_tool("wasm-bindgen-cli") {
            command.env("WASM_BINDGEN_BIN", bindgen);
        }
        command
            .env("WASM_OPT_BIN", node_bin.join("wasm-opt"))
            .env("ESBUILD_BIN", node_bin.join("esbuild"))
            .env("CI", "1")
            .env("WRANGLER_SEND_METRICS", "false")
            .env("CLOUDFLARE_CF_FETCH_ENABLED", "false");
        command
    }
}

/// A command in the checkout, cleaned of what `cargo run` added to our own environment.
pub fn bare_command(layout: &Layout, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(&layout.root);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text == "CARGO"
            || CARGO_RUN_PREFIXES
                .iter()
                .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command
}

fn lock(cache: &std::path::Path) -> Result<File> {
    let path = cache.join(".lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .context(path.display())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            say::talk("setup: waiting for another setup of this user");
            file.lock().context(path.display())?;
            Ok(file)
        }
        Err(TryLockError::Error(error)) => Err(error).context(path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;
    use crate::scratch::Scratch;
    use crate::web;

    /// A checkout whose machine can never be good enough: only the quick way can succeed.
    fn impossible_checkout(dir: &std::path::Path) -> Layout {
        let here = Layout::find().unwrap();
        let layout = Layout {
            root: dir.to_owned(),
        };
        fs::create_dir_all(layout.node_bin()).unwrap();
        for file in ["scripts/package.json", "scripts/package-lock.json"] {
            fs::copy(here.at(file), layout.at(file)).unwrap();
        }
        let versions = fs::read_to_string(here.at("scripts/versions.toml")).unwrap();
        let pinned = format!("git = \"{}\"", Versions::load(&here).unwrap().minimum.git);
        assert!(versions.contains(&pinned));
        let raised = versions.replace(&pinned, "git = \"999.0\"");
        fs::write(layout.at("scripts/versions.toml"), raised).unwrap();
        for program in item::NODE_PROGRAMS {
            fs::write(layout.node_bin().join(program), "").unwrap();
        }
        let vite = layout.at(item::WEB_PROGRAM);
        fs::create_dir_all(vite.parent().unwrap()).unwrap();
        fs::write(vite, "").unwrap();
        for file in ["package.json", "package-lock.json"] {
            fs::write(layout.at(web::DIR).join(file), "{}").unwrap();
        }
        layout
    }

    fn remember(cache: &std::path::Path, layout: &Layout) {
        let tools = Tools::locate(cache.to_owned(), layout).unwrap();
        fs::write(
            layout.at(item::NODE_STAMP),
            item::node_lock_hash(&tools).unwrap(),
        )
        .unwrap();
        fs::write(
            layout.at(item::WEB_STAMP),
            item::web_lock_hash(&tools).unwrap(),
        )
        .unwrap();
        for item in Item::all(&tools, Scope::Full) {
            if matches!(item, Item::CargoTool(_) | Item::Python) {
                for file in item.files(&tools).unwrap() {
                    fs::create_dir_all(file.parent().unwrap()).unwrap();
                    fs::write(file, "").unwrap();
                }
            }
        }
        let mut known = tools;
        // Toolchains belong to the machine of the test; this is about everything else.
        for name in ["rust", "nightly"] {
            known
                .skipped
                .push((name.to_owned(), "as in the record".to_owned()));
        }
        let hash = record::inputs_hash(layout).unwrap();
        Record::new(hash, Scope::Full, &known)
            .unwrap()
            .store(cache)
            .unwrap();
    }

    #[test]
    fn a_known_machine_is_not_asked_again() {
        let (dir, cache) = (Scratch::new("checkout"), Scratch::new("cache"));
        let layout = impossible_checkout(dir.path());
        remember(cache.path(), &layout);
        let tools = Tools::ensure_in(cache.path().to_owned(), &layout, Scope::Full).unwrap();
        assert_eq!(tools.skip_reason("nightly"), Some("as in the record"));
    }

    #[test]
    fn a_changed_pin_or_a_lost_tool_ends_the_quick_way() {
        for break_it in [
            |layout: &Layout, _: &Tools| {
                let path = layout.at("scripts/versions.toml");
                let text = fs::read_to_string(&path).unwrap();
                fs::write(path, text + "# changed\n").unwrap();
            },
            |_: &Layout, tools: &Tools| {
                fs::remove_file(tools.cargo_tool("worker-build").unwrap()).unwrap();
            },
            |layout: &Layout, _: &Tools| {
                fs::remove_file(layout.node_bin().join("wrangler")).unwrap();
            },
            |layout: &Layout, _: &Tools| {
                let lock = layout.at(web::DIR).join("package-lock.json");
                fs::write(lock, "{\"changed\":1}").unwrap();
            },
        ] {
            let (dir, cache) = (Scratch::new("checkout"), Scratch::new("cache"));
            let layout = impossible_checkout(dir.path());
            remember(cache.path(), &layout);
            let tools = Tools::locate(cache.path().to_owned(), &layout).unwrap();
            break_it(&layout, &tools);
            let failure =
                Tools::ensure_in(cache.path().to_owned(), &layout, Scope::Full).unwrap_err();
            assert_eq!(failure.exit, Exit::InvalidInput);
            assert!(failure.message.contains("git 999.0"));
        }
    }
}
