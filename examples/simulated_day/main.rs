//! Simulates a day of a pool with 100,000 identities: how many tokens it mints in each minute, after a mass
//! start, from then on, in an outage of IAM, and after it.
//!
//! ```text
//! cargo run --release --example simulated_day
//! cargo run --release --example simulated_day -- --identities 10000 --seed 2 --picture day.svg
//! ```
//!
//! Everything is in this process, and tokio's clock is paused: it moves on when there is nothing else to
//! do. No other clock has an influence, so a seed gives the same figures on every machine. IAM is a service
//! in memory that counts requests. The example prints a table, and writes the graph of the day to
//! `docs/simulated-day.svg`, or to the file that `--picture` names.

mod callers;
mod chart;
mod day;
#[path = "../../tests/support/grpc_reply.rs"]
#[allow(dead_code, reason = "the service needs a part of it")]
mod grpc_reply;
mod iam;
#[path = "../../tests/support/random.rs"]
mod random;
mod report;
#[cfg(test)]
mod tests;
mod timeline;

use std::error::Error;
use std::path::PathBuf;

use self::day::Plan;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        Some(arguments.get(at + 1).ok_or_else(|| format!("{name} needs a value")))
    };
    let mut plan = Plan::default();
    if let Some(identities) = value("--identities") {
        plan.identities = identities?.parse()?;
    }
    if let Some(seed) = value("--seed") {
        plan.seed = seed?.parse()?;
    }
    let default = || concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulated-day.svg").to_owned();
    let picture = value("--picture").transpose()?.cloned().unwrap_or_else(default);

    let day = day::run(&plan)?;
    print!("{}", report::table(&plan, &day));
    std::fs::write(PathBuf::from(&picture), chart::svg(&plan, &day))?;
    println!("the graph is in {picture}");
    Ok(())
}
