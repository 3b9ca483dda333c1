//! `iamcreds self-signed-jwt`: prints a JWT that the target signs itself.

use std::time::Duration;

use crate::chain::ChainArguments;
use crate::duration::duration;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{OutputArguments, TokenFormat};
use crate::source::SourceArguments;
use crate::terminal::waiting;

const EXAMPLES: &str = "\
Examples:
  iamcreds self-signed-jwt --target T --audience https://pubsub.googleapis.com/
  curl -H @<(iamcreds self-signed-jwt --target T --audience https://storage.googleapis.com/ --format header) URL";

/// Prints a JWT that the target signs itself. Google APIs take it in place of an access token.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    chain: ChainArguments,
    /// The URL of the API that the JWT is for
    #[arg(long, value_name = "URL")]
    audience: String,
    /// How long the JWT is valid, at most 1h
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1h")]
    lifetime: Duration,
    /// How the JWT is shown
    #[arg(long, value_enum, default_value_t)]
    format: TokenFormat,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    source: SourceArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let impersonation = arguments.source.impersonation(&arguments.chain)?;
    let credentials = impersonation.lifetime(arguments.lifetime).self_signed_jwt(&arguments.audience)?;
    let jwt = interrupt::run(async { Ok(waiting("waiting for the JWT", credentials.token()).await?) })?;
    arguments.output.write(arguments.format.show("jwt", &jwt))
}
