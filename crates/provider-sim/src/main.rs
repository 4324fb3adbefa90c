//! The program around the simulator: its arguments, its first line, its log, its end.
//!
//! In scope: what a process needs. Not in scope: everything that the library does.

use clap::{Parser, ValueEnum};
use provider_sim::{ClockMode, SimConfig, Simulator};
use std::io::{self, Write};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

/// Log lines that may wait for a slow reader of stdout.
const LOG_LINES: usize = 4_096;

#[derive(Clone, Copy, ValueEnum)]
enum ClockArgument {
    Real,
    Virtual,
}

/// Imitates the AI vendors over HTTP on 127.0.0.1 until stdin closes.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Port of the vendors' API and of the control calls; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Port of the host that serves the pictures.
    #[arg(long, default_value_t = 0)]
    image_port: u16,
    /// Port of the second API host.
    #[arg(long, default_value_t = 0)]
    alt_port: u16,
    /// Start of everything that looks random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The machine's clock, or one that control calls move.
    #[arg(long, value_enum, default_value = "real")]
    clock: ClockArgument,
    /// How long a job stays pending, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    pending_ms: u64,
    /// Least time between two polls of a pending job, in milliseconds.
    #[arg(long, default_value_t = 500)]
    min_poll_gap_ms: u64,
}

/// The first line tells the ports, the others are the log.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let (log, mut lines) = mpsc::channel(LOG_LINES);
    let simulator = Simulator::start(SimConfig {
        port: arguments.port,
        image_port: arguments.image_port,
        alt_port: arguments.alt_port,
        seed: arguments.seed,
        clock: match arguments.clock {
            ClockArgument::Real => ClockMode::Real,
            ClockArgument::Virtual => ClockMode::Virtual,
        },
        pending_ms: arguments.pending_ms,
        min_poll_gap_ms: arguments.min_poll_gap_ms,
        log: Some(log),
    })
    .await?;
    let [port, image_port, alt_port] = simulator.ports();
    say(&format!(
        r#"{{"port":{port},"image_port":{image_port},"alt_port":{alt_port}}}"#
    ))?;
    let printer = tokio::spawn(async move {
        while let Some(line) = lines.recv().await {
            if say(&line).is_err() {
                break;
            }
        }
    });
    until_stdin_closes().await;
    drop(simulator);
    printer.abort();
    // A blocked read of stdin or write of stdout must not hold the process.
    std::process::exit(0)
}

async fn until_stdin_closes() {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0_u8; 256];
    while matches!(stdin.read(&mut buffer).await, Ok(length) if length > 0) {}
}
