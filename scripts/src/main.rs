//! The program behind `cargo x`.

use std::process::ExitCode;

use clap::Parser;
use scripts::cli::Cli;
use scripts::failure::Exit;
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
    let outcome = match Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(usage) => {
            let _ = usage.print();
            // clap's own code for a wrong command line is 2, which means differences here.
            return match usage.exit_code() {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::from(Exit::InvalidInput as u8),
            };
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::talk(&format!("error: {failure}"));
            ExitCode::from(failure.exit as u8)
        }
    }
}
