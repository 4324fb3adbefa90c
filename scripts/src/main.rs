//! The program behind `cargo x`.

use std::process::ExitCode;

use clap::Parser;
use scripts::cli::Cli;
use scripts::{hold, say};

fn main() -> ExitCode {
    let mut args = std::env::args();
    if args.nth(1).as_deref() == Some(hold::COMMAND) {
        let program: Vec<String> = args.skip_while(|arg| arg == "--").collect();
        return match hold::run(&program) {
            Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
            Err(failure) => {
                say::talk(&failure.message);
                ExitCode::from(failure.exit as u8)
            }
        };
    }
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::talk(&format!("error: {failure}"));
            ExitCode::from(failure.exit as u8)
        }
    }
}
