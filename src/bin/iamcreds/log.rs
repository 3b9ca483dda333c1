//! The log on standard error.

use std::io;

use tracing::Level;

/// How much is logged.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct LogArguments {
    /// Log what happens on standard error: -v calls and retries, -vv more, -vvv everything; never a secret
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
        let log = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr);
        log.with_ansi(false).init();
    }
}
