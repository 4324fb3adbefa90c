//! Builds workers to wasm, and skips those whose inputs have not changed.
//!
//! worker-build writes into `build.next`; its files are then renamed into `build`, `index.js` last,
//! so that a running wrangler only ever sees a complete build.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock;
use crate::digest;
use crate::failure::{Context, Failure, Result};
use crate::layout::Layout;
use crate::process::{Step, capture};
use crate::say;
use crate::setup::{Tools, bare_command};
use crate::web;
use crate::workers::{GATEWAY, Graph, PROBE, PROBED, Worker};

/// `-Cpanic=unwind` replaces the flags of `.cargo/config.toml`, so they are repeated here.
const RUSTFLAGS: &str = "--cfg getrandom_backend=\"wasm_js\"";
const STAMP: &str = ".stamp.json";
/// The console's web application, which has a build of its own.
const WEB: &str = "web";
/// The one file of it that its worker is built from: the list of pages.
const WEB_IN_WASM: &str = "web/src/routes.json";
/// The variable by which a command tells those that it starts which commit it works on.
pub const GIVEN_SHA: &str = "SWITCHYARD_GIT_SHA";
/// The wasm module beside `index.js`.
pub const MODULE: &str = "index_bg.wasm";
/// Builds that run at once: cargo's lock orders the compilers, the optimizer runs beside them.
const PARALLEL: usize = 2;

/// One build of one worker.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Name of the build, unique among all.
    pub name: String,
    /// The crate.
    pub package: String,
    /// Its folder.
    pub dir: PathBuf,
    /// Cargo features beyond the default.
    pub features: Vec<String>,
    /// Folder of the result inside `dir`.
    pub out: &'static str,
    /// Whether the module goes through wasm-opt, which takes as long as the compiler.
    pub optimized: bool,
}

/// What is known about a finished build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stamp {
    /// Digest of everything that goes in.
    pub inputs: String,
    /// Whether one panic leaves the instance alive.
    pub panic_unwind: bool,
    /// Milliseconds since 1970.
    pub built_at_ms: u64,
}

impl Artifact {
    /// The build that is shipped.
    pub fn product(worker: &Worker) -> Self {
        Self {
            name: worker.name.clone(),
            package: worker.name.clone(),
            dir: worker.dir.clone(),
            features: Vec::new(),
            out: "build",
            optimized: true,
        }
    }

    /// The build with test routes, never shipped, so nobody counts its bytes.
    pub fn probe(layout: &Layout) -> Self {
        Self {
            name: PROBE.to_owned(),
            package: PROBED.to_owned(),
            dir: layout.at("workers").join(PROBED),
            features: vec!["test-routes".to_owned()],
            out: "build.probe",
            optimized: false,
        }
    }

    /// The folder that holds the result.
    pub fn dir_out(&self) -> PathBuf {
        self.dir.join(self.out)
    }

    /// The wasm module.
    pub fn module(&self) -> PathBuf {
        self.dir_out().join(MODULE)
    }

    /// The stamp of the last complete build.
    pub fn stamp(&self) -> Option<Stamp> {
        let text = fs::read_to_string(self.dir_out().join(STAMP)).ok()?;
        let complete = self.module().is_file() && self.dir_out().join("index.js").is_file();
        serde_json::from_str(&text).ok().filter(|_| complete)
    }
}

/// Builds what has changed; answers the names of the new builds.
pub fn build(tools: &Tools, artifacts: &[Artifact]) -> Result<Vec<String>> {
    let target = tools.layout.target().join("wasm");
    fs::create_dir_all(&target).context(target.display())?;
    let lock = File::create(target.join(".switchyard-lock")).context("lock of the wasm build")?;
    lock.lock().context("lock of the wasm build")?;
    let graph = Graph::load(&tools.layout)?;
    let toolchain = toolchain(tools)?;
    let mut due = Vec::new();
    for artifact in artifacts {
        let inputs = inputs(&tools.layout, &graph, artifact, &toolchain)?;
        if artifact.stamp().is_none_or(|stamp| stamp.inputs != inputs) {
            due.push((artifact, inputs));
        }
    }
    let mut failures = Vec::new();
    let next = std::sync::Mutex::new(due.iter());
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..PARALLEL)
            .map(|_| {
                scope.spawn(|| {
                    let mut failed = Vec::new();
                    loop {
                        let job = next.lock().ok().and_then(|mut next| next.next());
                        let Some((artifact, inputs)) = job else {
                            return failed;
                        };
                        failed.extend(build_one(tools, artifact, inputs, &target).err());
                    }
                })
            })
            .collect();
        for thread in running {
            match thread.join() {
                Ok(failed) => failures.extend(failed),
                Err(_) => failures.push(Failure::failed("a build thread panicked")),
            }
        }
    });
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => Ok(due
            .iter()
            .map(|(artifact, _)| artifact.name.clone())
            .collect()),
    }
}

fn build_one(tools: &Tools, artifact: &Artifact, inputs: &str, target: &Path) -> Result<()> {
    let panic_unwind = tools.skip_reason("nightly").is_none();
    let staging = format!("{}.next", artifact.out);
    let mut command = tools.command(tools.cargo_tool("worker-build")?);
    command
        .current_dir(&artifact.dir)
        .arg("--release")
        .args(panic_unwind.then_some("--panic-unwind"))
        .args((!artifact.optimized).then_some("--no-opt"))
        .args(["--out-dir", &staging])
        .env("CARGO_TARGET_DIR", target)
        .env("RUSTFLAGS", RUSTFLAGS)
        // worker-build panics when rustc fails; its own trace would push the error off the screen.
        .env("RUST_BACKTRACE", "0")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    if !artifact.features.is_empty() {
        command.args(["--features", &artifact.features.join(",")]);
    }
    // A killed run leaves a lock folder that the next one would wait 5 s for.
    let _ = fs::remove_dir_all(artifact.dir.join(&staging));
    let step = Step {
        logs: &tools.layout.logs(),
        name: &format!("build-{}", artifact.name),
        label: &format!("building {}", artifact.name),
    };
    let took = step.run(&command)?;
    let stamp = Stamp {
        inputs: inputs.to_owned(),
        panic_unwind,
        built_at_ms: clock::unix_ms(),
    };
    publish(&artifact.dir.join(&staging), &artifact.dir_out(), &stamp)?;
    say::talk(&format!(
        "built {} in {}",
        artifact.name,
        clock::spoken(took)
    ));
    Ok(())
}

/// Renames a complete build into place: modules first, `index.js`, then the stamp.
fn publish(from: &Path, to: &Path, stamp: &Stamp) -> Result<()> {
    fs::create_dir_all(to).context(to.display())?;
    // An interruption between the renames must not look like a finished build.
    let _ = fs::remove_file(to.join(STAMP));
    let mut names: Vec<_> = fs::read_dir(from)
        .context(from.display())?
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.file_name())
        .collect();
    names.sort_by_key(|name| name == "index.js");
    for name in names {
        fs::rename(from.join(&name), to.join(&name)).context(name.display())?;
    }
    let text = serde_json::to_string(stamp).context(STAMP)?;
    fs::write(to.join(STAMP), text).context(STAMP)?;
    fs::remove_dir_all(from).context(from.display())
}

fn toolchain(tools: &Tools) -> Result<String> {
    let mut rustc = bare_command(&tools.layout, "rustc");
    if tools.skip_reason("nightly").is_none() {
        rustc.arg("+nightly");
    }
    capture(rustc.arg("-vV"))
}

fn inputs(layout: &Layout, graph: &Graph, artifact: &Artifact, toolchain: &str) -> Result<String> {
    let mut files: Vec<PathBuf> = [
        "Cargo.toml",
        "Cargo.lock",
        ".cargo/config.toml",
        "scripts/versions.toml",
    ]
    .map(|file| layout.at(file))
    .to_vec();
    files.retain(|file| file.is_file());
    for package in graph.closure(&artifact.package) {
        let dir = graph
            .dirs
            .get(&package)
            .context(format!("no package {package} in the workspace"))?;
        files.extend(digest::files_below(dir, &|path| is_no_input(dir, path))?);
    }
    let sources = digest::of_files(&layout.root, files)?;
    let flags = artifact.features.join(",");
    Ok(digest::of_bytes(
        format!("{sources}\n{toolchain}\n{RUSTFLAGS}\n{flags}").as_bytes(),
    ))
}

/// Folders of a package that no shipped byte depends on.
fn is_no_input(package: &Path, path: &Path) -> bool {
    let Ok(inside) = path.strip_prefix(package) else {
        return true;
    };
    if inside.starts_with(WEB) {
        return !Path::new(WEB_IN_WASM).starts_with(inside);
    }
    let first = inside.iter().next().and_then(|part| part.to_str());
    first.is_some_and(|name| {
        name.starts_with("build") && name != "build.rs"
            || ["tests", "benches", "node_modules", "wrangler.jsonc"].contains(&name)
            || name.starts_with(".dev.vars")
    })
}

/// Bytes of a module, and of its gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// As uploaded.
    pub raw_bytes: u64,
    /// As the platform's limit counts it.
    pub gzip_bytes: u64,
}

/// Measures a module.
pub fn size(module: &Path) -> Result<Size> {
    let bytes = fs::read(module).context(module.display())?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes).context("gzip")?;
    let packed = encoder.finish().context("gzip")?;
    Ok(Size {
        raw_bytes: bytes.len() as u64,
        gzip_bytes: packed.len() as u64,
    })
}

/// Copies the builds and the web bundle into `out` with a manifest of their digests.
pub fn export(tools: &Tools, artifacts: &[Artifact], out: &Path) -> Result<()> {
    let mut workers = serde_json::Map::new();
    for artifact in artifacts {
        let to = out.join(&artifact.name);
        fs::create_dir_all(&to).context(to.display())?;
        let mut files = serde_json::Map::new();
        for name in ["index.js", MODULE] {
            let from = artifact.dir_out().join(name);
            fs::copy(&from, to.join(name)).context(from.display())?;
            files.insert(name.to_owned(), json!(digest::of_file(&from)?));
        }
        let size = size(&artifact.module())?;
        let panic_unwind = artifact.stamp().is_some_and(|stamp| stamp.panic_unwind);
        let mut about = json!({"sha256": files, "size": size, "panic_unwind": panic_unwind});
        if artifact.name == GATEWAY
            && let Some(about) = about.as_object_mut()
        {
            let assets = web::export(&tools.layout, &to.join("assets"))?;
            about.insert("assets".to_owned(), json!({"sha256": assets}));
        }
        workers.insert(artifact.name.clone(), about);
    }
    let manifest = json!({
        "schema": 1,
        "git_sha": git_sha(&tools.layout),
        "toolchain": toolchain(tools)?.lines().next(),
        "workers": workers,
    });
    let text = serde_json::to_string_pretty(&manifest).context("manifest")?;
    fs::write(out.join("manifest.json"), text + "\n").context("manifest")
}

/// The commit, or `unknown` before the first one. Asked once: whoever commits while a command runs, or while the commands
/// run that it has started, changes nothing under them.
pub fn git_sha(layout: &Layout) -> String {
    static ASKED: OnceLock<String> = OnceLock::new();
    let ask = || {
        capture(bare_command(layout, "git").args(["rev-parse", "--short=12", "HEAD"]))
            .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
    };
    let given = std::env::var(GIVEN_SHA).ok();
    ASKED.get_or_init(|| chosen(given, ask)).clone()
}

fn chosen(given: Option<String>, ask: impl FnOnce() -> String) -> String {
    given.filter(|sha| !sha.is_empty()).unwrap_or_else(ask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_commit_of_the_command_that_started_this_one_is_not_asked_for_again() {
        let asked = || "now".to_owned();
        assert_eq!(chosen(Some("then".to_owned()), asked), "then");
        assert_eq!(chosen(Some(String::new()), asked), "now");
        assert_eq!(chosen(None, asked), "now");
    }

    #[test]
    fn build_output_tests_and_configuration_are_no_inputs() {
        let package = Path::new("/r/workers/w");
        for no in [
            "build",
            "build.next/index.js",
            "tests/http.rs",
            "wrangler.jsonc",
            ".dev.vars.example",
            "web/dist",
            "web/node_modules",
            "web/src/main.tsx",
            "web/src/routes",
            "web/package.json",
        ] {
            assert!(is_no_input(package, &package.join(no)), "{no}");
        }
        for yes in [
            "src/lib.rs",
            "Cargo.toml",
            "build.rs",
            "src/build/x.rs",
            "src/web/x.rs",
            "web",
            "web/src",
            "web/src/routes.json",
        ] {
            assert!(!is_no_input(package, &package.join(yes)), "{yes}");
        }
    }

    fn fixture() -> (Scratch, Layout, Graph, Artifact) {
        let dir = Scratch::new("wasm");
        let worker = dir.path().join("workers/w");
        fs::create_dir_all(worker.join("src")).unwrap();
        fs::write(worker.join("src/lib.rs"), "a").unwrap();
        fs::write(dir.path().join("Cargo.lock"), "").unwrap();
        let layout = Layout {
            root: dir.path().to_owned(),
        };
        let mut graph = Graph::default();
        graph.dirs.insert("w".into(), worker.clone());
        let artifact = Artifact::product(&Worker {
            name: "w".into(),
            dir: worker,
        });
        (dir, layout, graph, artifact)
    }

    #[test]
    fn the_input_digest_follows_sources_lock_file_features_and_compiler() {
        let (dir, layout, graph, artifact) = fixture();
        let digest =
            |artifact: &Artifact, rustc: &str| inputs(&layout, &graph, artifact, rustc).unwrap();
        let first = digest(&artifact, "rustc 1");
        assert_eq!(first, digest(&artifact, "rustc 1"));
        assert_ne!(first, digest(&artifact, "rustc 2"));
        let mut probe = artifact.clone();
        probe.features.push("test-routes".into());
        assert_ne!(first, digest(&probe, "rustc 1"));
        fs::write(dir.path().join("Cargo.lock"), "x").unwrap();
        let second = digest(&artifact, "rustc 1");
        assert_ne!(first, second);
        fs::write(artifact.dir.join("src/lib.rs"), "b").unwrap();
        assert_ne!(second, digest(&artifact, "rustc 1"));
    }

    #[test]
    fn a_build_without_stamp_is_not_current() {
        let (_dir, _, _, artifact) = fixture();
        let next = artifact.dir.join("build.next");
        fs::create_dir_all(&next).unwrap();
        for name in ["index.js", MODULE] {
            fs::write(next.join(name), name).unwrap();
        }
        assert!(artifact.stamp().is_none());
        let stamp = Stamp {
            inputs: "i".into(),
            panic_unwind: true,
            built_at_ms: 1,
        };
        publish(&next, &artifact.dir_out(), &stamp).unwrap();
        assert_eq!(artifact.stamp().unwrap().inputs, "i");
        assert!(!next.exists());
        fs::remove_file(artifact.module()).unwrap();
        assert!(artifact.stamp().is_none());
    }
}
