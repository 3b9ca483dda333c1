//! `iamcreds sign-blob`: signs bytes as the target.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::chain::ChainArguments;
use crate::failure::Failure;
use crate::input;
use crate::interrupt;
use crate::output::{OutputArguments, json_text};
use crate::source::SourceArguments;
use crate::terminal::waiting;

const EXAMPLES: &str = "\
Examples:
  iamcreds sign-blob --target T document.pdf
  iamcreds sign-blob --target T document.pdf --format binary --out document.sig
  printf text | iamcreds sign-blob --target T - --format json";

/// Signs bytes with a key of the target: RSA PKCS #1 v1.5 with SHA-256.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The file to sign, or - for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    #[command(flatten)]
    chain: ChainArguments,
    /// How the signature is shown
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    source: SourceArguments,
}

/// How a signature is shown.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// The signature in base64
    #[default]
    Text,
    /// A JSON object with the signature in base64 and the id of the key
    Json,
    /// The bytes of the signature
    Binary,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let signer = arguments.source.impersonation(&arguments.chain)?.signer()?;
    let call = signer.sign_blob(input::read(&arguments.file)?);
    let signed =
        interrupt::run(async { Ok(waiting("waiting for the signature", call.into_future()).await?) })?;
    let text = STANDARD.encode(signed.signature());
    match arguments.format {
        Format::Text => arguments.output.write(format!("{text}\n")),
        Format::Binary => arguments.output.write(signed.signature()),
        Format::Json => {
            let object = json!({"key_id": signed.key_id(), "signature": text, "signer": signer.email()});
            arguments.output.write(json_text(&object))
        }
    }
}
