//! `iamcreds access-token`: prints an access token of the target.

use std::time::Duration;

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;

use crate::duration::duration;
use crate::failure::Failure;
use crate::token_arguments::TokenArguments;

const EXAMPLES: &str = "\
Examples:
  iamcreds access-token --target deployer@my-project.iam.gserviceaccount.com
  iamcreds access-token --target T --via HOP --scope https://www.googleapis.com/auth/pubsub --lifetime 10m
  iamcreds access-token --target T --format header --out header.txt && curl -H @header.txt URL";

/// Prints an access token of the target.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A scope of the token; repeat it for each
    #[arg(long, value_name = "SCOPE", default_value = CLOUD_PLATFORM)]
    scope: Vec<String>,
    /// How long the token is valid: 10m, 1h; more than 1h needs an organization policy
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1h")]
    lifetime: Duration,
    /// The user to act as, through domain-wide delegation of the target
    #[arg(long, value_name = "USER", conflicts_with = "lifetime")]
    subject: Option<String>,
    #[command(flatten)]
    token: TokenArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let impersonation = arguments.token.impersonation()?;
    let impersonation = match &arguments.subject {
        Some(user) => impersonation.subject(user),
        None => impersonation.lifetime(arguments.lifetime),
    };
    arguments.token.show("access_token", &impersonation.access_token(&arguments.scope)?)
}
