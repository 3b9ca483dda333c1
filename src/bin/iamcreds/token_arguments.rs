//! What the commands that print a token have in common.

use gcp_iam_credentials::{Credentials, Impersonation};

use crate::chain::ChainArguments;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{OutputArguments, TokenFormat};
use crate::source::SourceArguments;
use crate::terminal::waiting;

/// Whose token, from which source, and how it is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArguments {
    #[command(flatten)]
    chain: ChainArguments,
    /// How the token is shown
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    format: TokenFormat,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    source: SourceArguments,
}

impl TokenArguments {
    /// Returns the impersonation that gives the token. Sends nothing.
    pub(crate) fn impersonation(&self) -> Result<Impersonation, Failure> {
        self.source.impersonation(&self.chain)
    }

    /// Fetches a token, and shows it. `field` is its name in JSON.
    pub(crate) fn show(&self, field: &str, credentials: &Credentials) -> Result<(), Failure> {
        let token =
            interrupt::run(async { Ok(waiting("waiting for the token", credentials.token()).await?) })?;
        self.output.write(self.format.show(field, &token))
    }
}
