//! `iamcreds sign-jwt`: signs the claims of a JWT as the target.

use std::path::PathBuf;

use serde_json::json;

use crate::chain::ChainArguments;
use crate::failure::Failure;
use crate::input;
use crate::interrupt;
use crate::output::{Format, OutputArguments, json_text};
use crate::source::SourceArguments;
use crate::terminal::waiting;

const EXAMPLES: &str = "\
Examples:
  iamcreds sign-jwt --target T claims.json
  echo '{\"iss\": \"T\", \"aud\": \"https://api.example.com\", \"exp\": 1924992000}' | iamcreds sign-jwt --target T -";

/// Signs the claims of a JWT with a key of the target, as they are: nothing is added to them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The file with the claims, a JSON object, or - for standard input
    #[arg(value_name = "CLAIMS.json|-")]
    claims: PathBuf,
    #[command(flatten)]
    chain: ChainArguments,
    /// How the JWT is shown
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    source: SourceArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let signer = arguments.source.impersonation(&arguments.chain)?.signer()?;
    // A text is sent as it is, so numbers and the order of claims stay.
    let claims = input::read_text(&arguments.claims)?;
    let call = signer.sign_jwt(&claims);
    let signed =
        interrupt::run(async { Ok(waiting("waiting for the signature", call.into_future()).await?) })?;
    match arguments.format {
        Format::Text => arguments.output.write(format!("{}\n", signed.as_str())),
        Format::Json => {
            let object = json!({"key_id": signed.key_id(), "jwt": signed.as_str(), "signer": signer.email()});
            arguments.output.write(json_text(&object))
        }
    }
}
