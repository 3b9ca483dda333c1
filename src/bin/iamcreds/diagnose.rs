//! `iamcreds diagnose`: shows a chain hop by hop, with what is missing and the command that fixes it.

mod diagram;
mod report;

use std::path::PathBuf;

use clap::ValueEnum;
use gcp_iam_credentials::diagnosis::{Diagnosis, Operation};
use gcp_iam_credentials::{IamCredentialsClient, Impersonation};
use serde_json::to_value;

use self::diagram::{Style, diagram};
use self::report::Report;
use crate::chain::ChainArguments;
use crate::failure::{Exit, Failure};
use crate::output::{Format, json_text, print};
use crate::source::SourceArguments;
use crate::terminal::waiting;
use crate::{input, interrupt};

const EXAMPLES: &str = "\
Examples:
  iamcreds diagnose --target deployer@my-project.iam.gserviceaccount.com
  iamcreds diagnose --target T --via HOP --for id-token
  iamcreds diagnose --credentials github-actions.json --provider-description provider.json
  iamcreds diagnose --target T --format json | jq -r '.hops[].fix.command // empty'

Exit codes: 0 if the chain works; 3 if the source fails; 4 if IAM refuses a hop; 5 if a service is unavailable.";

/// Shows the chain to the target hop by hop: what works, what is missing, and the command that fixes it.
///
/// Tries what the target is needed for. If that is refused, tries the hops before it. Tokens and signatures are dropped
/// at once, and all calls appear in the audit logs. Changes nothing: run the command that it shows.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    chain: ChainArguments,
    /// What the target is needed for
    #[arg(long = "for", value_name = "PURPOSE", value_enum, default_value_t)]
    purpose: Purpose,
    /// A file with the provider of a federated identity, for certain advice: what
    /// `gcloud iam workload-identity-pools providers describe … --format=json` prints
    #[arg(long, value_name = "FILE|-")]
    provider_description: Option<PathBuf>,
    /// How the chain is shown
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    source: SourceArguments,
}

/// What the target is needed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    #[default]
    AccessToken,
    IdToken,
    SignBlob,
    SignJwt,
}

impl Purpose {
    const fn operation(self) -> Operation {
        match self {
            Self::AccessToken => Operation::AccessToken,
            Self::IdToken => Operation::IdToken,
            Self::SignBlob => Operation::SignBlob,
            Self::SignJwt => Operation::SignJwt,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let chains = Chains::new(arguments)?;
    let diagnoses =
        interrupt::run(waiting("trying the chain", chains.diagnose(arguments.purpose.operation())))?;
    let report = Report::new(arguments.purpose, &diagnoses);
    match arguments.format {
        Format::Text => print(diagram(&report, Style::of_stdout()).as_bytes())?,
        Format::Json => {
            let value = to_value(&report).map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
            print(json_text(&value).as_bytes())?;
        }
    }
    match report.exit() {
        None => Ok(()),
        // The report has said everything.
        Some(exit) => Err(Failure::new(exit, "")),
    }
}

/// What is diagnosed.
struct Chains {
    /// The chain in the credential file, if the file impersonates an account to start from.
    source: Option<Impersonation>,
    target: Impersonation,
}

impl Chains {
    fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let mut source = arguments.source.clone();
        let description = arguments.provider_description.as_deref().map(input::read_text);
        source.provider_description = description.transpose()?;
        let Some(chain) = arguments.chain.chain() else {
            return Ok(Self { source: None, target: source.impersonation(&arguments.chain)? });
        };
        let client = source.client()?;
        let in_file = match impersonates(&client) {
            true => source.impersonation_in_file()?.ok(),
            false => None,
        };
        Ok(Self { source: in_file, target: chain.impersonation(&client) })
    }

    /// Diagnoses the chain of the source, and then that of the target.
    async fn diagnose(&self, operation: Operation) -> Result<Vec<Diagnosis>, Failure> {
        let mut diagnoses = Vec::new();
        if let Some(source) = &self.source {
            diagnoses.push(source.diagnose(Operation::AccessToken).await?);
        }
        if diagnoses.iter().all(Diagnosis::is_allowed) {
            diagnoses.push(self.target.diagnose(operation).await?);
        }
        Ok(diagnoses)
    }
}

/// Whether the client's credentials are those of an account that the credential file impersonates.
fn impersonates(client: &IamCredentialsClient) -> bool {
    !client.credentials().info().hops().is_empty()
}
