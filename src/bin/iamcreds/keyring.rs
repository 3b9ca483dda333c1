//! `iamcreds keyring`: the password with which pip calls a package index.

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;

use crate::cached_token::{HelperArguments, Wanted};
use crate::failure::{Exit, Failure};
use crate::hosts::{Hosts, USERNAME, host_of, is_in_domain};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  iamcreds keyring get https://europe-python.pkg.dev/my-project/packages/simple/ oauth2accesstoken --target T
  ln -s \"$(command -v iamcreds)\" ~/bin/keyring  # pip and uv find it by this name
  pip install --keyring-provider subprocess \\
    --index-url https://oauth2accesstoken@europe-python.pkg.dev/my-project/packages/simple/ my-package

pip gives it no further arguments: IAMCREDS_HELPER_TARGET or ~/.config/iamcreds/hosts.json names the account.";

/// Prints the password for a package index, as the program `keyring` does, for *.pkg.dev and the hosts in
/// your settings.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What is asked for: only get works
    #[arg(value_enum)]
    action: Action,
    /// The URL or the host of the index
    #[arg(value_name = "URL")]
    service: String,
    /// The user name; default: oauth2accesstoken
    #[arg(value_name = "USER")]
    username: Option<String>,
    /// Print the password alone, or the user name and the password on two lines
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    #[command(flatten)]
    helper: HelperArguments,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Action {
    Get,
    Set,
    Del,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Mode {
    #[default]
    Password,
    Creds,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if !matches!(arguments.action, Action::Get) {
        let what = "tokens are made when they are needed: no password is stored or deleted";
        return Err(Failure::new(Exit::Other, what));
    }
    let hosts = Hosts::read(arguments.helper.chain.chain())?;
    let is_index = |host: &str| is_in_domain(host, "*.pkg.dev");
    let chain = host_of(&arguments.service).and_then(|host| hosts.chain_for(&host, is_index));
    // Like keyring itself, which has nothing to say about a host without a password.
    let chain = chain.ok_or_else(|| Failure::signal(Exit::Other))?;
    let wanted = Wanted { chain: chain.as_ref(), scopes: &[CLOUD_PLATFORM.to_owned()] };
    let token = arguments.helper.token(wanted)?;
    let username = arguments.username.as_deref().unwrap_or(USERNAME);
    let text = match arguments.mode {
        Mode::Password => format!("{}\n", token.secret()),
        Mode::Creds => format!("{username}\n{}\n", token.secret()),
    };
    output::print(text.as_bytes())
}
