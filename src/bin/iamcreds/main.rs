//! `iamcreds`: Google's IAM Service Account Credentials API at the terminal.

mod emulator;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Google's IAM Service Account Credentials API at the terminal.
#[derive(Debug, Parser)]
#[command(name = "iamcreds", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Emulator(emulator::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Emulator(arguments) => emulator::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("iamcreds: {error}");
            ExitCode::FAILURE
        }
    }
}
