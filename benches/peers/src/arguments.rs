//! The command line.

use std::path::PathBuf;

use crate::BoxError;
use crate::child::Order;
use crate::measurement::Measurement;
use crate::peers;
use crate::server::SERVE;

/// What `--help` prints.
pub const HELP: &str = "\
Measures gcp-iam-credentials beside other crates, and prints one Markdown table.

  --only NAME       measure this peer; may be repeated
  --measure NAME    make this measurement; may be repeated
  --builds          also build a minimal program of each peer (many minutes)
  --quick           a glance: fewer rounds, shorter outages
  --results FILE    keep the cells of earlier runs in FILE, and add those of this run
  --list            print the names of the peers and of the measurements
";

/// What the command line asks for.
#[derive(Debug)]
pub enum Mode {
    Help,
    Serve,
    Measure(Order),
    Run(Plan),
}

/// What a run measures.
#[derive(Debug, Default)]
pub struct Plan {
    pub peers: Vec<&'static str>,
    pub measurements: Vec<Measurement>,
    pub quick: bool,
    pub results: Option<PathBuf>,
}

/// Reads the command line.
#[derive(Debug)]
pub struct Arguments;

impl Arguments {
    /// Returns the mode, or an error that names the argument which isn't understood.
    pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Mode, BoxError> {
        let mut arguments = arguments.into_iter().peekable();
        match arguments.peek().map(String::as_str) {
            Some(SERVE) => return Ok(Mode::Serve),
            Some(crate::child::MEASURE) => return Ok(Mode::Measure(Order::read(arguments.skip(1))?)),
            _ => {}
        }
        let (mut plan, mut builds) = (Plan::default(), false);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("`{argument}` needs a value"));
            match argument.as_str() {
                "--only" => plan.peers.push(peer(&value()?)?),
                "--measure" => plan.measurements.push(value()?.parse()?),
                "--results" => plan.results = Some(value()?.into()),
                "--builds" => builds = true,
                "--quick" => plan.quick = true,
                "--help" | "--list" => return Ok(list(&argument)),
                // `cargo bench` adds it.
                "--bench" => {}
                _ => return Err(format!("unknown argument `{argument}`\n\n{HELP}").into()),
            }
        }
        if plan.peers.is_empty() {
            plan.peers = peers::NAMES.to_vec();
        }
        if plan.measurements.is_empty() {
            let wanted = |measurement: &Measurement| builds || *measurement != Measurement::Builds;
            plan.measurements = Measurement::ALL.into_iter().filter(wanted).collect();
        }
        Ok(Mode::Run(plan))
    }
}

fn peer(name: &str) -> Result<&'static str, String> {
    let known = peers::NAMES.into_iter().find(|known| *known == name);
    known.ok_or_else(|| format!("no peer is named `{name}`: {}", peers::NAMES.join(", ")))
}

fn list(argument: &str) -> Mode {
    if argument == "--list" {
        println!("peers: {}", peers::NAMES.join(", "));
        println!("measurements: {}\n", Measurement::ALL.map(Measurement::name).join(", "));
    }
    Mode::Help
}
