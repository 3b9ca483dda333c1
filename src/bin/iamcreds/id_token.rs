//! `iamcreds id-token`: prints an ID token of the target.

use crate::chain::ChainArguments;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{OutputArguments, TokenFormat};
use crate::source::SourceArguments;
use crate::terminal::waiting;

const EXAMPLES: &str = "\
Examples:
  iamcreds id-token --target caller@my-project.iam.gserviceaccount.com --audience https://my-service.run.app
  curl -H @<(iamcreds id-token --target T --audience URL --format header) URL";

/// Prints an ID token of the target, for Cloud Run, IAP and other services that verify callers.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    chain: ChainArguments,
    /// Who the token is for: the URL of a Cloud Run service, the client id of IAP
    #[arg(long, value_name = "AUDIENCE")]
    audience: String,
    /// Add the target's e-mail address to the token
    #[arg(long)]
    include_email: bool,
    /// How the token is shown
    #[arg(long, value_enum, default_value_t)]
    format: TokenFormat,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    source: SourceArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let impersonation = arguments.source.impersonation(&arguments.chain)?;
    let credentials = impersonation.include_email(arguments.include_email).id_token(&arguments.audience)?;
    let token =
        interrupt::run(async { Ok(waiting("waiting for the ID token", credentials.token()).await?) })?;
    arguments.output.write(arguments.format.show("id_token", &token))
}
