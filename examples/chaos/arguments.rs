//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::Failure;

const USAGE: &str = "usage: chaos [--minutes N | --seconds N] [--seed S]";

/// How long an example runs if the command line doesn't say so: 1 min.
const DEFAULT_LENGTH: Duration = Duration::from_secs(60);

/// What the process is to do.
pub(crate) enum Command {
    Chaos(Arguments),
    /// Only the example itself starts this.
    Server(ServerArguments),
}

/// How long chaos lasts, and which.
pub(crate) struct Arguments {
    pub(crate) length: Duration,
    pub(crate) seed: u64,
}

/// Where the server process listens, and where it writes its journal.
pub(crate) struct ServerArguments {
    pub(crate) iam_port: u16,
    pub(crate) api_port: u16,
    pub(crate) journal: PathBuf,
}

impl ServerArguments {
    pub(crate) fn as_command_line(&self) -> [String; 4] {
        let Self { iam_port, api_port, journal } = self;
        ["--server".to_owned(), iam_port.to_string(), api_port.to_string(), journal.display().to_string()]
    }
}

pub(crate) fn read() -> Result<Command, Failure> {
    let mut words = std::env::args().skip(1);
    let mut arguments = Arguments { length: DEFAULT_LENGTH, seed: 1 };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(USAGE);
        match word.as_str() {
            "--minutes" => arguments.length = Duration::from_secs(60 * value()?.parse::<u64>()?),
            "--seconds" => arguments.length = Duration::from_secs(value()?.parse()?),
            "--seed" => arguments.seed = value()?.parse()?,
            "--server" => {
                let (iam_port, api_port) = (value()?.parse()?, value()?.parse()?);
                let journal = value()?.into();
                return Ok(Command::Server(ServerArguments { iam_port, api_port, journal }));
            }
            _ => return Err(USAGE.into()),
        }
    }
    Ok(Command::Chaos(arguments))
}
