//! The first superadmin of a local control database: by SQL, because no route can make one.

use std::fs;
use std::path::Path;

use api_types::Timestamp;
use platform::Random;
use ring::rand::{SecureRandom, SystemRandom};

use crate::clock;
use crate::failure::{Context, Failure, Result};
use crate::process::Step;
use crate::render::{Database, write_private};
use crate::secrets::{PEPPER_ID, Secrets};
use crate::setup::Tools;
use crate::stack::wrangler;

/// Holder of the key among [`Secrets::keys`].
pub const SUPERADMIN: &str = "superadmin";
const DATABASE: &str = "control";

/// The system's generator behind the house's port.
#[derive(Clone, Debug, Default)]
struct SystemRandomness(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Random for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        if SystemRandom::new().fill(bytes).is_err() {
            // The port cannot fail; the caller asks afterwards, before it uses a key of zeros.
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

/// Makes it once per state. Killed anywhere, the next start finishes the same rows.
pub fn superadmin(
    tools: &Tools,
    databases: &[Database],
    dir: &Path,
    secrets: &mut Secrets,
) -> Result<()> {
    let path = dir.join("bootstrap.sql");
    if !secrets.keys.contains_key(SUPERADMIN) {
        let random = SystemRandomness::default();
        let now = Timestamp(i64::try_from(clock::unix_ms()).unwrap_or(0));
        let made = auth::bootstrap::superadmin(&random, now, PEPPER_ID, &secrets.pepper()?)
            .map_err(|error| Failure::failed(format!("first superadmin: {error:?}")))?;
        if random.0.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Failure::failed("the system gives no randomness"));
        }
        write_private(&path, &made.sql)?;
        secrets
            .keys
            .insert(SUPERADMIN.to_owned(), made.api_key.expose().to_owned());
        secrets.save()?;
    }
    if !path.exists() {
        return Ok(());
    }
    execute(tools, databases, dir, DATABASE, "bootstrap", &path)?;
    fs::remove_file(&path).context(path.display())
}

/// Runs a file of SQL on a database of the state, which nobody else may have open.
pub fn execute(
    tools: &Tools,
    databases: &[Database],
    dir: &Path,
    database: &str,
    name: &str,
    file: &Path,
) -> Result<()> {
    let known = databases
        .iter()
        .find(|known| known.name == database)
        .context(format!("no worker declares the database `{database}`"))?;
    let mut command = wrangler::command(tools, dir)?;
    command
        .args(["d1", "execute", database, "--local", "--yes", "-c"])
        .arg(&known.config)
        .arg("--persist-to")
        .arg(dir.join("state"))
        .arg("--file")
        .arg(file);
    let step = Step {
        logs: &dir.join("logs"),
        name,
        label: name,
    };
    step.run(&command).map(|_| ())
}
