//! `iamcreds access-token`: prints an access token of the target.

use std::time::Duration;

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;

use crate::chain::ChainArguments;
use crate::duration::duration;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{OutputArguments, TokenFormat};
use crate::source::SourceArguments;
use crate::terminal::waiting;

const EXAMPLES: &str = "\
Examples:
  iamcreds access-token --target deployer@my-project.iam.gserviceaccount.com
  iamcreds access-token --target T --via HOP --scope https://www.googleapis.com/auth/pubsub --lifetime 10m
  iamcreds access-token --target T --format header --out header.txt && curl -H @header.txt URL";

/// Prints an access token of the target.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    chain: ChainArguments,
    /// A scope of the token; repeat it for each
    #[arg(long, value_name = "SCOPE", default_value = CLOUD_PLATFORM)]
    scope: Vec<String>,
    /// How long the token is valid: 10m, 1h; more than 1h needs an organization policy
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1h")]
    lifetime: Duration,
    /// The user to act as, through domain-wide delegation of the target
    #[arg(long, value_name = "USER", conflicts_with = "lifetime")]
    subject: Option<String>,
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
    let impersonation = match &arguments.subject {
        Some(user) => impersonation.subject(user),
        None => impersonation.lifetime(arguments.lifetime),
    };
    let credentials = impersonation.access_token(&arguments.scope)?;
    let token =
        interrupt::run(async { Ok(waiting("waiting for the access token", credentials.token()).await?) })?;
    arguments.output.write(arguments.format.show("access_token", &token))
}
