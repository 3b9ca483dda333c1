//! `iamcreds explain`: says which credentials would be used, and why. Sends nothing.

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::source::{Explanation, Hop};
use serde_json::{Value, json};

use crate::chain::ChainArguments;
use crate::failure::Failure;
use crate::output::{Format, json_text, print};
use crate::source::SourceArguments;

const EXAMPLES: &str = "\
Examples:
  iamcreds explain
  iamcreds explain --target deployer@my-project.iam.gserviceaccount.com --format json
  GOOGLE_APPLICATION_CREDENTIALS=key.json iamcreds explain";

/// Says which credentials would be used and why, and whom they impersonate. Sends nothing.
///
/// Credentials are looked for in this order: --credentials or --source-token-file, IAMCREDS_SOURCE_TOKEN, the file in
/// GOOGLE_APPLICATION_CREDENTIALS, gcloud's own file (in CLOUDSDK_CONFIG if that is set), the metadata server, the gcloud
/// command. The last two are asked only when a token is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    chain: ChainArguments,
    /// How the credentials are shown
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    source: SourceArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let explanation = explanation(arguments)?;
    let text = match arguments.format {
        Format::Text => format!("{explanation}\n"),
        Format::Json => json_text(&fields(&explanation)),
    };
    print(text.as_bytes())
}

fn explanation(arguments: &Arguments) -> Result<Explanation, Failure> {
    let client = arguments.source.client()?;
    let explanation = match arguments.chain.chain() {
        Some(chain) => chain.impersonation(&client).access_token([CLOUD_PLATFORM])?.explain(),
        None => client.credentials().explain(),
    };
    let mut info = explanation.info().clone();
    if let Some(reason) = arguments.source.reason() {
        info = info.with_reason(reason);
    }
    // The calls that impersonate are billed to it, too.
    let of_source = client.credentials().info().quota_project().map(str::to_owned);
    if let Some(project) = arguments.source.quota_project().or(of_source) {
        info = info.with_quota_project(project);
    }
    Ok(explanation.with_info(info))
}

fn fields(explanation: &Explanation) -> Value {
    let info = explanation.info();
    json!({
        "description": info.description(),
        "file": info.file().map(|path| path.display().to_string()),
        "reason": info.reason(),
        "principal": info.source_principal(),
        "principal_certain": info.source_principal().is_some() && !info.is_source_principal_likely(),
        "audience": info.audience(),
        "identity_change": info.identity_change(),
        "scopes": info.source_scopes(),
        "endpoint": info.source_endpoint(),
        "hops": info.hops().iter().map(hop).collect::<Vec<_>>(),
        "acts_as": info.principal(),
        "universe_domain": info.universe_domain(),
        "quota_project": info.quota_project(),
        "access_boundary": info.access_boundary(),
        "emulator": explanation.emulator(),
    })
}

fn hop(hop: &Hop) -> Value {
    json!({
        "target": hop.target(),
        "delegates": hop.delegates(),
        "subject": hop.subject(),
        "scopes": hop.scopes(),
        "audience": hop.audience(),
        "lifetime": hop.lifetime().map(|lifetime| lifetime.as_secs()),
        "endpoint": hop.endpoint(),
    })
}
