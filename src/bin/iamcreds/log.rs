//! The log on standard error.

use std::io;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The library's own events. Those of the libraries below it are for their developers.
pub(crate) const OWN_EVENTS: &str = "gcp_iam_credentials";

/// The events about tokens that are fetched.
pub(crate) const FETCHES: &str = "gcp_iam_credentials::credentials";

/// What is logged if nobody asks for more, and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsualLog {
    pub(crate) events: &'static str,
    pub(crate) level: Level,
    pub(crate) format: LogFormat,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// A JSON object in each line
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct LogArguments {
    /// Log what happens on standard error: -v calls and retries, -vv more, -vvv other libraries too; never a secret
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
}

impl LogArguments {
    /// Starts the log.
    pub(crate) fn start(self, usual: UsualLog) {
        let level = match self.verbose {
            0 => usual.level,
            1 => Level::INFO,
            2 => Level::DEBUG,
            _ => Level::TRACE,
        };
        let filter = match self.verbose {
            0 => Targets::new().with_target(usual.events, level),
            1 | 2 => Targets::new().with_target(OWN_EVENTS, level),
            _ => Targets::new().with_default(level),
        };
        let log = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_ansi(false);
        match usual.format {
            LogFormat::Text => log.finish().with(filter).init(),
            // The name of an account is a `target`, too.
            LogFormat::Json => log.json().flatten_event(true).with_target(false).finish().with(filter).init(),
        }
    }
}
