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

use arguments::{Arguments, Mode};

/// Any failure of a measurement.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), BoxError> {
    if let Some(status) = compiler::run() {
        std::process::exit(status?);
    }
    match Arguments::read(std::env::args().skip(1))? {
        Mode::Help => {
            print!("{}", arguments::HELP);
            Ok(())
        }
        Mode::Serve => server::serve(),
        Mode::Measure(order) => child::measure(&order),
        Mode::Run(plan) => run::run(&plan),
    }
}
