//! The things that setup checks and installs, one variant each.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::digest;
use crate::failure::{Context, Exit, Failure, Result};
use crate::process::{Step, capture};
use crate::web;

use super::machine::{commit_date, version_in};
use super::{Tools, bare_command, disk};

const WASM: &str = "wasm32-unknown-unknown";
/// Debian's package, and its program.
const CHROMIUM: &str = "chromium";
pub(super) const NODE_STAMP: &str = "scripts/node_modules/.switchyard-lock-hash";
pub(super) const WEB_STAMP: &str = "workers/console/web/node_modules/.switchyard-lock-hash";
/// The program that builds the web application.
pub(super) const WEB_PROGRAM: &str = "workers/console/web/node_modules/.bin/vite";

/// What setup needs from `npm ci`.
pub(super) const NODE_PROGRAMS: [&str; 5] = ["node", "wrangler", "esbuild", "wasm-opt", "workerd"];

/// The tool that counts lines, and its package of the toolchain.
const COVERAGE_TOOL: &str = "cargo-llvm-cov";
const LLVM_TOOLS: &str = "llvm-tools";

/// How much is needed: running the system, or also testing and checking it, or also counting which lines the tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// `build`, `stack`, `dev`.
    Run,
    /// `setup`, `test`, `check`.
    Full,
    /// `test --coverage`.
    Coverage,
}

/// What a failed installation means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// The command ends.
    Stop(Exit),
    /// Something is left out, and said so.
    Skip(&'static str),
}

/// One thing that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// git, recent enough.
    Git,
    /// Free disk space for this much.
    Disk(Scope),
    /// Any node with npm.
    Npm,
    /// The stable toolchain with its components.
    Rust,
    /// The nightly toolchain that rebuilds the standard library.
    Nightly,
    /// A C compiler for wasm.
    Clang,
    /// `npm ci` in `scripts/`.
    NodeTools,
    /// `npm ci` in `workers/console/web`.
    WebPackages,
    /// A program from crates.io.
    CargoTool(String),
    /// A virtual environment with the packages of `[pypi]`.
    Python,
    /// The browser that tests drive.
    Chromium,
    /// Programs that read what instrumented builds write.
    LlvmTools,
}

impl Item {
    pub(super) fn all(tools: &Tools, scope: Scope) -> Vec<Self> {
        let mut items = vec![
            Self::Git,
            Self::Disk(scope),
            Self::Npm,
            Self::Rust,
            Self::Nightly,
            Self::Clang,
            Self::NodeTools,
            Self::WebPackages,
        ];
        let run_tools = ["wasm-bindgen-cli", "worker-build"];
        let wanted = |name: &String| match name.as_str() {
            COVERAGE_TOOL => scope == Scope::Coverage,
            name => scope >= Scope::Full || run_tools.contains(&name),
        };
        items.extend(
            tools
                .versions
                .cargo_tools
                .keys()
                .filter(|name| wanted(name))
                .cloned()
                .map(Self::CargoTool),
        );
        if scope >= Scope::Full {
            items.extend([Self::Python, Self::Chromium]);
        }
        if scope == Scope::Coverage {
            items.push(Self::LlvmTools);
        }
        items
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Git => "git",
            Self::Disk(_) => "disk space",
            Self::Npm => "npm",
            Self::Rust => "rust",
            Self::Nightly => "nightly",
            Self::Clang => "clang",
            Self::NodeTools => "node tools",
            Self::WebPackages => "web packages",
            Self::CargoTool(name) => name,
            Self::Python => "python",
            Self::Chromium => CHROMIUM,
            Self::LlvmTools => LLVM_TOOLS,
        }
    }

    pub(super) fn on_failure(&self) -> OnFailure {
        match self {
            Self::Git | Self::Disk(_) | Self::Npm | Self::Rust | Self::Clang => {
                OnFailure::Stop(Exit::InvalidInput)
            }
            Self::Nightly => OnFailure::Skip(
                "workers are built without --panic-unwind, so one panic ends every request in flight",
            ),
            Self::CargoTool(name) if name == "cargo-deny" => {
                OnFailure::Skip("licences, bans and sources of dependencies are not checked")
            }
            // Nothing is counted without the last one, and it is only installed for that.
            Self::NodeTools | Self::WebPackages | Self::CargoTool(_) | Self::LlvmTools => {
                OnFailure::Stop(Exit::Failed)
            }
            Self::Python => OnFailure::Skip("the Python client is not tested"),
            Self::Chromium => OnFailure::Skip("the console is not tested in a browser"),
        }
    }

    /// Why it is not there; `None` if it is.
    pub(super) fn missing(&self, tools: &Tools) -> Option<String> {
        match self {
            Self::Git => missing_git(&tools.versions.minimum.git),
            Self::Disk(scope) => {
                disk::missing(tools, *scope).unwrap_or_else(|failure| Some(failure.message))
            }
            Self::Npm => capture(Command::new("npm").arg("--version"))
                .err()
                .map(|_| "`npm --version` does not work".to_owned()),
            Self::Rust => missing_rust(tools),
            Self::Nightly => missing_nightly(tools),
            Self::Clang => capture(Command::new("clang").args([
                "--target=wasm32",
                "-c",
                "-x",
                "c",
                "/dev/null",
                "-o",
                "/dev/null",
            ]))
            .err()
            .map(|_| "no clang that compiles for wasm32".to_owned()),
            Self::NodeTools => (!node_tools_are_current(tools))
                .then(|| "node_modules does not match package-lock.json".to_owned()),
            Self::WebPackages => missing_web_packages(tools),
            Self::CargoTool(name) => match tools.cargo_tool(name) {
                Ok(program) if program.is_file() => None,
                Ok(_) => Some("not in the cache".to_owned()),
                Err(failure) => Some(failure.message),
            },
            Self::Python => (!python_stamp(tools).exists())
                .then(|| "no complete virtual environment".to_owned()),
            Self::Chromium => match chromium() {
                None => Some("no program `chromium`".to_owned()),
                Some(program) => capture(Command::new(&program).arg("--version"))
                    .err()
                    .map(|_| format!("`{} --version` does not work", program.display())),
            },
            Self::LlvmTools => match llvm_cov(tools) {
                Ok(program) if program.is_file() => None,
                Ok(_) => Some(format!("{} lacks it", tools.versions.rust.channel)),
                Err(failure) => Some(failure.message),
            },
        }
    }

    /// Files whose existence proves the item in the next, quick run.
    pub(super) fn files(&self, tools: &Tools) -> Result<Vec<PathBuf>> {
        Ok(match self {
            Self::Git
            | Self::Disk(_)
            | Self::Npm
            | Self::Clang
            | Self::NodeTools
            | Self::WebPackages => Vec::new(),
            Self::Rust => {
                let sysroot = sysroot(tools, None)?;
                vec![sysroot.join("lib/rustlib").join(WASM)]
            }
            Self::Nightly => {
                let sysroot = sysroot(tools, Some("nightly"))?;
                vec![
                    sysroot.join("lib/rustlib").join(WASM),
                    sysroot.join("lib/rustlib/src/rust/library/Cargo.toml"),
                ]
            }
            Self::CargoTool(name) => vec![tools.cargo_tool(name)?],
            Self::Python => vec![python_stamp(tools), tools.python()],
            Self::Chromium => chromium().into_iter().collect(),
            Self::LlvmTools => vec![llvm_cov(tools)?],
        })
    }

    pub(super) fn install(&self, tools: &Tools) -> Result<()> {
        match self {
            Self::Git => Err(Failure::invalid(format!(
                "install git {} or newer",
                tools.versions.minimum.git
            ))),
            Self::Disk(_) => Err(Failure::invalid(format!(
                "too little disk: {}",
                self.missing(tools).unwrap_or_default()
            ))),
            Self::Npm => Err(Failure::invalid(
                "install Node.js with npm (any version; the right one is then fetched by npm)",
            )),
            Self::Rust => install_rust(tools),
            Self::Nightly => install_nightly(tools),
            Self::Clang => install_debian(
                tools,
                "clang",
                "install clang with wasm32 support (Debian: apt-get install -y clang)",
            ),
            Self::NodeTools => install_node_tools(tools),
            Self::WebPackages => install_web_packages(tools),
            Self::CargoTool(name) => install_cargo_tool(tools, name),
            Self::Python => install_python(tools),
            Self::Chromium => install_debian(
                tools,
                CHROMIUM,
                "install chromium (Debian: apt-get install -y chromium) or name one in CHROMIUM_BIN",
            ),
            Self::LlvmTools => install_llvm_tools(tools),
        }
    }
}

fn missing_git(minimum: &str) -> Option<String> {
    let found = capture(Command::new("git").arg("--version"))
        .ok()
        .and_then(|text| version_in(&text));
    match found {
        None => Some("`git --version` does not work".to_owned()),
        Some(found) if Some(found) < version_in(minimum) => Some(format!(
            "git {}.{} is older than {minimum}",
            found.0, found.1
        )),
        Some(_) => None,
    }
}

fn sysroot(tools: &Tools, toolchain: Option<&str>) -> Result<PathBuf> {
    let mut command = bare_command(&tools.layout, "rustc");
    if let Some(name) = toolchain {
        command.arg(format!("+{name}"));
    }
    capture(command.args(["--print", "sysroot"])).map(|text| PathBuf::from(text.trim()))
}

fn missing_rust(tools: &Tools) -> Option<String> {
    let Ok(sysroot) = sysroot(tools, None) else {
        return Some("`rustc` does not work".to_owned());
    };
    let release = capture(bare_command(&tools.layout, "rustc").arg("-vV")).unwrap_or_default();
    let channel = &tools.versions.rust.channel;
    if !release
        .lines()
        .any(|line| line == format!("release: {channel}"))
    {
        return Some(format!("rustc is not {channel}"));
    }
    let parts = [
        format!("lib/rustlib/{WASM}"),
        "bin/cargo-fmt".to_owned(),
        "bin/cargo-clippy".to_owned(),
    ];
    parts
        .into_iter()
        .find(|part| !sysroot.join(part).exists())
        .map(|part| format!("{channel} lacks {part}"))
}

fn missing_nightly(tools: &Tools) -> Option<String> {
    let Ok(sysroot) = sysroot(tools, Some("nightly")) else {
        return Some("no nightly toolchain".to_owned());
    };
    let version =
        capture(bare_command(&tools.layout, "rustc").args(["+nightly", "-vV"])).unwrap_or_default();
    let since = tools.versions.rust.nightly_since.as_str();
    match commit_date(&version) {
        Some(date) if date >= since => {}
        _ => return Some(format!("nightly is older than {since}")),
    }
    [
        format!("lib/rustlib/{WASM}"),
        "lib/rustlib/src/rust/library/Cargo.toml".to_owned(),
    ]
    .into_iter()
    .find(|part| !sysroot.join(part).exists())
    .map(|part| format!("nightly lacks {part}"))
}

fn install_rust(tools: &Tools) -> Result<()> {
    let channel = &tools.versions.rust.channel;
    let mut command = bare_command(&tools.layout, "rustup");
    command.args(["toolchain", "install", channel, "--profile", "minimal"]);
    command.args(["-c", "rustfmt", "-c", "clippy", "-t", WASM]);
    run(tools, "setup-rust", "installing the Rust toolchain", &command).map_err(|failure| {
        Failure::invalid(format!(
            "{failure}; run: rustup toolchain install {channel} --profile minimal -c rustfmt -c clippy -t {WASM}"
        ))
    })
}

fn install_nightly(tools: &Tools) -> Result<()> {
    let mut command = bare_command(&tools.layout, "rustup");
    command.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
    command.args(["-c", "rust-src", "-t", WASM]);
    run(tools, "setup-nightly", "installing nightly Rust", &command)
}

/// Where the stable toolchain has the program, if it has it.
fn llvm_cov(tools: &Tools) -> Result<PathBuf> {
    let about = capture(bare_command(&tools.layout, "rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("`rustc -vV` names no host")?.trim();
    let own = sysroot(tools, None)?.join("lib/rustlib").join(host);
    Ok(own.join("bin/llvm-cov"))
}

fn install_llvm_tools(tools: &Tools) -> Result<()> {
    let channel = &tools.versions.rust.channel;
    let mut command = bare_command(&tools.layout, "rustup");
    command.args(["component", "add", LLVM_TOOLS, "--toolchain", channel]);
    run(tools, "setup-llvm-tools", "installing llvm-tools", &command)
}

/// As root on Debian; everywhere else the failure says what to do.
fn install_debian(tools: &Tools, package: &str, by_hand: &str) -> Result<()> {
    let refused = || Failure::invalid(by_hand);
    if !nix::unistd::geteuid().is_root()
        || capture(Command::new("apt-get").arg("--version")).is_err()
    {
        return Err(refused());
    }
    let mut command = bare_command(&tools.layout, "apt-get");
    command
        // Another package manager may be at work, such as a new machine's own updates.
        .args(["-o", "DPkg::Lock::Timeout=300", "install", "-y", package])
        .env("DEBIAN_FRONTEND", "noninteractive");
    let name = format!("setup-{package}");
    let label = format!("installing {package}");
    if run(tools, &name, &label, &command).is_ok() {
        return Ok(());
    }
    // A fresh image has no package lists yet.
    let mut update = bare_command(&tools.layout, "apt-get");
    update.arg("update");
    run(tools, "setup-apt", "reading package lists", &update)
        .and_then(|()| run(tools, &name, &label, &command))
        .map_err(|_| refused())
}

/// The program that browser tests start: `CHROMIUM_BIN`, else `chromium` on the PATH.
pub fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM_BIN").filter(|named| !named.is_empty());
    chromium_in(named.as_deref(), std::env::var_os("PATH").as_deref())
}

fn chromium_in(named: Option<&OsStr>, path: Option<&OsStr>) -> Option<PathBuf> {
    if let Some(named) = named {
        let named = PathBuf::from(named);
        return named.is_file().then_some(named);
    }
    std::env::split_paths(path?)
        .map(|dir| dir.join(CHROMIUM))
        .find(|program| program.is_file())
}

/// Somebody has followed the advice of the setup that left the browser out.
pub(super) fn chromium_appeared(skipped: &[(String, String)]) -> bool {
    skipped.iter().any(|(name, _)| name == CHROMIUM) && chromium().is_some()
}

pub(super) fn node_lock_hash(tools: &Tools) -> Result<String> {
    let files = ["scripts/package.json", "scripts/package-lock.json"];
    digest::of_files(
        &tools.layout.root,
        files.map(|file| tools.layout.at(file)).to_vec(),
    )
}

pub(super) fn node_tools_are_current(tools: &Tools) -> bool {
    let stamp = fs::read_to_string(tools.layout.at(NODE_STAMP)).unwrap_or_default();
    node_lock_hash(tools).is_ok_and(|hash| hash == stamp)
        && NODE_PROGRAMS
            .iter()
            .all(|name| tools.layout.node_bin().join(name).exists())
}

fn install_node_tools(tools: &Tools) -> Result<()> {
    let mut command = bare_command(&tools.layout, "npm");
    command
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(tools.layout.at("scripts"));
    run(tools, "setup-npm", "npm ci in scripts/", &command)?;
    let stamp = tools.layout.at(NODE_STAMP);
    fs::write(&stamp, node_lock_hash(tools)?).context(stamp.display())
}

pub(super) fn web_lock_hash(tools: &Tools) -> Result<String> {
    let files = ["package.json", "package-lock.json"];
    let files = files.map(|file| tools.layout.at(web::DIR).join(file));
    digest::of_files(&tools.layout.root, files.to_vec())
}

pub(super) fn missing_web_packages(tools: &Tools) -> Option<String> {
    let stamp = fs::read_to_string(tools.layout.at(WEB_STAMP)).unwrap_or_default();
    let current = web_lock_hash(tools).is_ok_and(|hash| hash == stamp);
    let there = tools.layout.at(WEB_PROGRAM).exists();
    (!current || !there).then(|| format!("{}/node_modules does not match its lock file", web::DIR))
}

/// With the pinned node, which `npm ci` in `scripts/` has brought.
fn install_web_packages(tools: &Tools) -> Result<()> {
    let hash = web_lock_hash(tools)?;
    let mut command = tools.command("npm");
    command
        // The build needs what npm calls development packages, whatever NODE_ENV says.
        .args(["ci", "--include=dev", "--no-audit", "--no-fund"])
        .current_dir(tools.layout.at(web::DIR));
    let label = format!("npm ci in {}", web::DIR);
    run(tools, "setup-web", &label, &command)?;
    let stamp = tools.layout.at(WEB_STAMP);
    fs::write(&stamp, hash).context(stamp.display())
}

/// Shared by all tools of one run and removed afterwards.
pub(super) fn build_dir(tools: &Tools) -> PathBuf {
    tools.cache.join(".build")
}

fn install_cargo_tool(tools: &Tools, name: &str) -> Result<()> {
    let tool = tools
        .versions
        .cargo_tools
        .get(name)
        .context(format!("versions.toml has no tool {name}"))?;
    let home = tools.cargo_tool_dir(name)?;
    // Renamed when complete: an interrupted run never leaves half a tool under the final name.
    let partial = home.with_file_name(format!("{name}-{}.partial", tool.version));
    let mut command = bare_command(&tools.layout, "cargo");
    command
        .args(["install", "--locked", "--version", &tool.version])
        .args(tool.debug.then_some("--debug"))
        .arg("--root")
        .arg(&partial)
        .arg(name)
        .env("CARGO_TARGET_DIR", build_dir(tools))
        // Nobody debugs these programs, and what would help to takes most of the space.
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env("CARGO_INCREMENTAL", "0");
    run(
        tools,
        &format!("setup-{name}"),
        &format!("building {name} {} (minutes)", tool.version),
        &command,
    )?;
    // What is left of a tool whose program was deleted.
    let _ = fs::remove_dir_all(&home);
    fs::rename(&partial, &home).context(home.display())
}

pub(super) fn python_dir(tools: &Tools) -> PathBuf {
    let packages = requirements(tools).join("\n");
    let hash = digest::of_bytes(packages.as_bytes());
    tools
        .cache
        .join(format!("py-{}", hash.get(..12).unwrap_or("")))
}

fn requirements(tools: &Tools) -> Vec<String> {
    tools
        .versions
        .pypi
        .iter()
        .map(|(name, version)| format!("{name}=={version}"))
        .collect()
}

fn install_python(tools: &Tools) -> Result<()> {
    let home = python_dir(tools);
    // A virtual environment holds its own path and cannot be renamed, so a stamp says it is complete.
    let _ = fs::remove_dir_all(&home);
    let mut venv = bare_command(&tools.layout, "python3");
    venv.args(["-m", "venv"]).arg(&home);
    let mut pip = bare_command(&tools.layout, home.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"])
        .args(requirements(tools));
    run(tools, "setup-venv", "making a Python environment", &venv)?;
    run(tools, "setup-pip", "installing Python packages", &pip)?;
    fs::write(python_stamp(tools), "").context("stamp of the Python environment")
}

fn python_stamp(tools: &Tools) -> PathBuf {
    python_dir(tools).join(".complete")
}

fn run(tools: &Tools, name: &str, label: &str, command: &Command) -> Result<()> {
    let step = Step {
        logs: &tools.layout.logs(),
        name,
        label,
    };
    step.run(command).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::scratch::Scratch;
    use crate::versions::Versions;

    fn tools(cache: PathBuf) -> Tools {
        let layout = Layout::find().unwrap();
        Tools {
            versions: Versions::load(&layout).unwrap(),
            layout,
            cache,
            skipped: Vec::new(),
        }
    }

    #[test]
    fn running_needs_fewer_tools_than_testing() {
        let tools = tools(PathBuf::from("/nowhere"));
        let run = Item::all(&tools, Scope::Run);
        let full = Item::all(&tools, Scope::Full);
        let is_disk = |item: &&Item| matches!(item, Item::Disk(_));
        assert!(run.iter().all(|item| is_disk(&item) || full.contains(item)));
        assert_eq!(run.iter().find(is_disk), Some(&Item::Disk(Scope::Run)));
        assert_eq!(full.iter().find(is_disk), Some(&Item::Disk(Scope::Full)));
        assert!(!run.contains(&Item::CargoTool("cargo-deny".into())));
        assert!(!run.contains(&Item::Chromium));
        // What only counting lines needs is installed for nobody else.
        let counting = Item::all(&tools, Scope::Coverage);
        for item in [Item::CargoTool(COVERAGE_TOOL.into()), Item::LlvmTools] {
            assert!(
                counting.contains(&item) && !full.contains(&item),
                "{item:?}"
            );
        }
        assert!(
            full.iter()
                .all(|item| is_disk(&item) || counting.contains(item))
        );
        // The console cannot be served without its bundle.
        assert!(run.contains(&Item::WebPackages));
        assert!(run.contains(&Item::CargoTool("worker-build".into())));
    }

    #[test]
    fn an_empty_cache_misses_every_cargo_tool_and_a_filled_one_none() {
        let dir = Scratch::new("cache");
        let tools = tools(dir.path().to_owned());
        let cargo_tools: Vec<Item> = Item::all(&tools, Scope::Coverage)
            .into_iter()
            .filter(|item| matches!(item, Item::CargoTool(_)))
            .collect();
        assert_eq!(cargo_tools.len(), tools.versions.cargo_tools.len());
        for item in &cargo_tools {
            assert!(item.missing(&tools).is_some(), "{item:?}");
            for file in item.files(&tools).unwrap() {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, "").unwrap();
            }
            assert_eq!(item.missing(&tools), None, "{item:?}");
        }
    }

    #[test]
    fn a_half_installed_tool_does_not_count() {
        let dir = Scratch::new("cache");
        let tools = tools(dir.path().to_owned());
        let home = tools.cargo_tool_dir("worker-build").unwrap();
        let partial = home.with_file_name("worker-build.partial").join("bin");
        fs::create_dir_all(&partial).unwrap();
        fs::write(partial.join("worker-build"), "").unwrap();
        let item = Item::CargoTool("worker-build".into());
        assert!(item.missing(&tools).is_some());
    }

    #[test]
    fn only_the_machine_itself_ends_with_invalid_input() {
        assert_eq!(Item::Npm.on_failure(), OnFailure::Stop(Exit::InvalidInput));
        assert_eq!(
            Item::CargoTool("worker-build".into()).on_failure(),
            OnFailure::Stop(Exit::Failed)
        );
        assert!(matches!(Item::Python.on_failure(), OnFailure::Skip(_)));
        assert!(matches!(Item::Chromium.on_failure(), OnFailure::Skip(_)));
        assert!(matches!(Item::Nightly.on_failure(), OnFailure::Skip(_)));
    }

    #[test]
    fn packages_of_another_lock_file_or_without_the_builder_are_missing() {
        let dir = Scratch::new("web");
        let mut tools = tools(PathBuf::from("/nowhere"));
        tools.layout = Layout {
            root: dir.path().to_owned(),
        };
        let bin = tools.layout.at(WEB_PROGRAM);
        fs::create_dir_all(bin.parent().unwrap()).unwrap();
        for file in ["package.json", "package-lock.json"] {
            fs::write(tools.layout.at(web::DIR).join(file), "{}").unwrap();
        }
        assert!(missing_web_packages(&tools).is_some());
        fs::write(&bin, "").unwrap();
        let hash = web_lock_hash(&tools).unwrap();
        fs::write(tools.layout.at(WEB_STAMP), hash).unwrap();
        assert_eq!(missing_web_packages(&tools), None);
        let lock = tools.layout.at(web::DIR).join("package-lock.json");
        fs::write(lock, "{\"changed\":1}").unwrap();
        assert!(missing_web_packages(&tools).is_some());
        fs::remove_file(bin).unwrap();
        assert!(missing_web_packages(&tools).is_some());
    }

    #[test]
    fn a_named_browser_wins_over_the_path_and_must_exist() {
        let dir = Scratch::new("browser");
        let program = dir.path().join(CHROMIUM);
        let path = dir.path().as_os_str();
        assert_eq!(chromium_in(None, Some(path)), None);
        fs::write(&program, "").unwrap();
        assert_eq!(chromium_in(None, Some(path)), Some(program.clone()));
        let named = chromium_in(Some(program.as_os_str()), None);
        assert_eq!(named, Some(program));
        assert_eq!(chromium_in(Some(OsStr::new("/nowhere")), Some(path)), None);
    }
}
