//! `iamcreds self-signed-jwt`: prints a JWT that the target signs itself.

use std::time::Duration;

use crate::duration::duration;
use crate::failure::Failure;
use crate::token_arguments::TokenArguments;

const EXAMPLES: &str = "\
Examples:
  iamcreds self-signed-jwt --target T --audience https://pubsub.googleapis.com/
  curl -H @<(iamcreds self-signed-jwt --target T --audience https://storage.googleapis.com/ --format header) URL";

/// Prints a JWT that the target signs itself. Google APIs take it in place of an access token.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The URL of the API that the JWT is for
    #[arg(long, value_name = "URL")]
    audience: String,
    /// How long the JWT is valid, at most 1h
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1h")]
    lifetime: Duration,
    #[command(flatten)]
    token: TokenArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let impersonation = arguments.token.impersonation()?.lifetime(arguments.lifetime);
    arguments.token.show("jwt", &impersonation.self_signed_jwt(&arguments.audience)?)
}
