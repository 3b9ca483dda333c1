//! `iamcreds git-credential`: the credentials with which git calls Google's repositories.

use std::fmt::Write;
use std::path::Path;
use std::time::SystemTime;

use gcp_iam_credentials::Token;
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;

use crate::cached_token::{HelperArguments, Wanted};
use crate::chain::Chain;
use crate::failure::Failure;
use crate::hosts::{Hosts, USERNAME, host_of, is_in_domain};
use crate::input::read_text;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  git config --global credential.https://source.developers.google.com.helper \\
    '!iamcreds git-credential --target reader@my-project.iam.gserviceaccount.com'
  ln -s \"$(command -v iamcreds)\" ~/bin/git-credential-iamcreds && git config --global credential.helper iamcreds

By a link's name, git gives no arguments: IAMCREDS_HELPER_TARGET or ~/.config/iamcreds/hosts.json names the account.";

/// Answers git as a credential helper, for source.developers.google.com, *.sourcemanager.dev and the hosts in
/// your settings.
///
/// The request is read from standard input. A token that the server refused is removed from the cache.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What git asks for: get, store or erase; anything else is ignored, as git demands
    action: String,
    #[command(flatten)]
    helper: HelperArguments,
}

/// What git says about the credentials that it wants, has used, or that were refused.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    protocol: String,
    host: String,
    username: Option<String>,
    /// The password, or the token in the form with a type.
    secret: Option<String>,
    /// Git can send `Authorization: Bearer`.
    takes_bearer: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let request = Request::parse(&read_text(Path::new("-"))?);
    let Some(chain) = account(arguments, &request)? else { return Ok(()) };
    let wanted = Wanted { chain: chain.as_ref(), scopes: &[CLOUD_PLATFORM.to_owned()] };
    match (arguments.action.as_str(), &request.secret) {
        ("get", _) => match arguments.helper.token(wanted) {
            Ok(token) => output::print(request.reply(&token).as_bytes()),
            Err(failure) => {
                // Otherwise git asks the person at the terminal for a name and a password.
                output::print(b"quit=1\n")?;
                Err(failure)
            }
        },
        ("erase", Some(secret)) => arguments.helper.forget(wanted, secret),
        _ => Ok(()),
    }
}

/// Returns the account for the host of the request; `None` if another helper is responsible.
fn account(arguments: &Arguments, request: &Request) -> Result<Option<Option<Chain>>, Failure> {
    let hosts = Hosts::read(arguments.helper.chain.chain())?;
    let host = host_of(&format!("{}://{}", request.protocol, request.host));
    Ok(host.and_then(|host| hosts.chain_for(&host, is_repository)))
}

/// Whether a host has Google's git repositories.
fn is_repository(host: &str) -> bool {
    host == "source.developers.google.com" || is_in_domain(host, "*.sourcemanager.dev")
}

impl Request {
    /// Reads lines with a name and a value, up to an empty line. Unknown ones are ignored, as git demands.
    fn parse(text: &str) -> Self {
        let mut request = Self::default();
        for line in text.lines().take_while(|line| !line.is_empty()) {
            let Some((name, value)) = line.split_once('=') else { continue };
            match name {
                "protocol" => value.clone_into(&mut request.protocol),
                "host" => value.clone_into(&mut request.host),
                "username" => request.username = Some(value.to_owned()),
                "password" | "credential" => request.secret = Some(value.to_owned()),
                "capability[]" if value == "authtype" => request.takes_bearer = true,
                _ => {}
            }
        }
        request
    }

    fn reply(&self, token: &Token) -> String {
        let mut reply = if self.takes_bearer {
            let secret = token.secret();
            format!("capability[]=authtype\nauthtype=Bearer\ncredential={secret}\nephemeral=1\n")
        } else {
            let username = self.username.as_deref().unwrap_or(USERNAME);
            format!("username={username}\npassword={}\n", token.secret())
        };
        let since_epoch = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
        if let Some(expiry) = token.expires_at().and_then(since_epoch) {
            // Writing to a string can't fail.
            let _ = writeln!(reply, "password_expiry_utc={}", expiry.as_secs());
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// conf: I38
    #[test]
    fn the_reply_has_the_form_that_git_can_use() {
        let token =
            Token::new("ya29.t", SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000)).unwrap();
        let old = Request::parse("protocol=https\nhost=x.sourcemanager.dev\n\nusername=after the end\n");
        assert_eq!(
            old.reply(&token),
            "username=oauth2accesstoken\npassword=ya29.t\npassword_expiry_utc=1900000000\n"
        );
        let named = Request::parse("username=me\nno value\nwwwauth[]=Basic realm=\"x\"\n");
        assert!(named.reply(&token).starts_with("username=me\n"));
        let new = Request::parse("capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=h\n\n");
        assert_eq!(
            new.reply(&token),
            "capability[]=authtype\nauthtype=Bearer\ncredential=ya29.t\nephemeral=1\npassword_expiry_utc=1900000000\n"
        );
    }
}
