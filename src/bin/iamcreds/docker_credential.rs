//! `iamcreds docker-credential`: the credentials with which docker and similar tools call registries.

use std::collections::BTreeMap;
use std::path::Path;

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use serde_json::json;

use crate::cached_token::{HelperArguments, Wanted};
use crate::failure::{Exit, Failure};
use crate::hosts::{Hosts, USERNAME, host_of, is_in_domain};
use crate::input::read_text;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  echo europe-docker.pkg.dev | iamcreds docker-credential get --target puller@my-project.iam.gserviceaccount.com
  ln -s \"$(command -v iamcreds)\" ~/bin/docker-credential-iamcreds  # docker finds the helper by this name
  {\"credHelpers\": {\"europe-docker.pkg.dev\": \"iamcreds\"}}         # in ~/.docker/config.json

Docker gives a helper no arguments: IAMCREDS_HELPER_TARGET or ~/.config/iamcreds/hosts.json names the account.";

/// What clients understand as: no credentials, so try without.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// Answers docker and similar tools as a credential helper, for gcr.io, *.pkg.dev and the hosts in your settings.
///
/// The server's name is read from standard input. What fails is said on standard output: docker shows that.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What docker asks for
    #[arg(value_enum)]
    action: Action,
    #[command(flatten)]
    helper: HelperArguments,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Action {
    /// Print the credentials for a server
    Get,
    /// Do nothing: a token isn't kept by docker's helper, but by the cache
    Store,
    /// Do nothing
    Erase,
    /// Print the servers in your settings
    List,
    /// Print the version
    Version,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let text = match arguments.action {
        Action::Get => get(arguments),
        Action::List => list(arguments),
        Action::Version => Ok(format!("iamcreds {}", env!("CARGO_PKG_VERSION"))),
        // The client writes what it wants to be stored, and must not find a closed pipe.
        Action::Store | Action::Erase => return stdin().map(drop),
    };
    let (text, result) = match text {
        Ok(text) => (text, Ok(())),
        Err(failure) if failure.is_by_signal() => return Err(failure),
        // Docker shows what is on standard output.
        Err(failure) => (failure.to_string(), Err(Failure::signal(failure.exit()))),
    };
    output::print(format!("{text}\n").as_bytes())?;
    result
}

fn get(arguments: &Arguments) -> Result<String, Failure> {
    let server = stdin()?;
    let server = server.trim();
    let hosts = Hosts::read(arguments.helper.chain.chain())?;
    let chain = host_of(server).and_then(|host| hosts.chain_for(&host, is_registry));
    let chain = chain.ok_or_else(|| Failure::new(Exit::Other, NOT_FOUND))?;
    let wanted = Wanted { chain: chain.as_ref(), scopes: &[CLOUD_PLATFORM.to_owned()] };
    let token = arguments.helper.token(wanted)?;
    Ok(json!({"ServerURL": server, "Username": USERNAME, "Secret": token.secret()}).to_string())
}

fn list(arguments: &Arguments) -> Result<String, Failure> {
    let hosts = Hosts::read(arguments.helper.chain.chain())?;
    let servers: BTreeMap<&str, &str> = hosts.names().map(|name| (name, USERNAME)).collect();
    Ok(json!(servers).to_string())
}

/// Whether a host is one of Google's registries.
pub(crate) fn is_registry(host: &str) -> bool {
    host == "gcr.io" || is_in_domain(host, "*.gcr.io") || is_in_domain(host, "*.pkg.dev")
}

fn stdin() -> Result<String, Failure> {
    read_text(Path::new("-"))
}
