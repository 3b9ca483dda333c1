//! `iamcreds id-token`: prints an ID token of the target.

use crate::failure::Failure;
use crate::token_arguments::TokenArguments;

const EXAMPLES: &str = "\
Examples:
  iamcreds id-token --target caller@my-project.iam.gserviceaccount.com --audience https://my-service.run.app
  curl -H @<(iamcreds id-token --target T --audience URL --format header) URL";

/// Prints an ID token of the target, for Cloud Run, IAP and other services that verify callers.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Who the token is for: the URL of a Cloud Run service, the client id of IAP
    #[arg(long, value_name = "AUDIENCE")]
    audience: String,
    /// Add the target's e-mail address to the token
    #[arg(long)]
    include_email: bool,
    #[command(flatten)]
    token: TokenArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let impersonation = arguments.token.impersonation()?.include_email(arguments.include_email);
    arguments.token.show("id_token", &impersonation.id_token(&arguments.audience)?)
}
