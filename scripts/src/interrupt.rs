//! Remembers that somebody asked this process to end.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::{Context, Failure, Result};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Turns SIGINT, SIGTERM and SIGHUP into a flag, so that children are ended in order.
pub fn install() -> Result<()> {
    let flag = Arc::clone(ASKED.get_or_init(Arc::default));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&flag)).context("signal handler")?;
    }
    Ok(())
}

/// Whether the end was asked for.
pub fn asked() -> bool {
    ASKED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Asks for the end from inside.
pub fn ask() {
    ASKED
        .get_or_init(Arc::default)
        .store(true, Ordering::Relaxed);
}

/// Fails when the end was asked for.
pub fn check() -> Result<()> {
    if asked() {
        return Err(Failure::failed("interrupted"));
    }
    Ok(())
}
