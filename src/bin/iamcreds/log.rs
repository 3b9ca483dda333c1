//! The log on standard error.

use std::io;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The library's own events. Those of the libraries below it are for their developers.
const OWN_EVENTS: &str = "gcp_iam_credentials";

/// How much is logged.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct LogArguments {
    /// Log what happens on standard error: -v calls and retries, -vv more, -vvv other libraries too; never a secret
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
}

impl LogArguments {
    /// Starts the log. `usual` is what is logged if nobody asks for more.
    pub(crate) fn start(self, usual: Level) {
        let level = match self.verbose {
            0 => usual,
            1 => Level::INFO,
            2 => Level::DEBUG,
            _ => Level::TRACE,
        };
        let filter = match self.verbose {
            0..=2 => Targets::new().with_target(OWN_EVENTS, level),
            _ => Targets::new().with_default(level),
        };
        let log = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_ansi(false);
        log.finish().with(filter).init();
    }
}
