//! Measures gcp-iam-credentials beside other crates that do the same work, against one server.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml -- --help` says how.

#[path = "../../support/measure.rs"]
mod memory;
#[path = "../../support/request.rs"]
mod request;

mod arguments;
mod child;
mod compiler;
mod measure;
mod measurement;
mod peer;
mod peers;
mod results;
mod run;
mod server;
mod system;
mod table;

use std::process::ExitCode;

use arguments::{Arguments, Mode};

/// Any failure of a measurement.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match answer() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer() -> Result<ExitCode, BoxError> {
    if let Some(code) = compiler::run() {
        return Ok(ExitCode::from(code?));
    }
    match Arguments::read(std::env::args().skip(1))? {
        Mode::Help => print!("{}", arguments::HELP),
        Mode::Serve => server::serve()?,
        Mode::Measure(order) => child::measure(&order)?,
        Mode::Run(plan) => run::run(&plan)?,
    }
    Ok(ExitCode::SUCCESS)
}
