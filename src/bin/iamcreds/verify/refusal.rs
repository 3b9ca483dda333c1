//! Why a token isn't accepted, and what to do about it.

use std::fmt;

use gcp_iam_credentials::{Error, ErrorKind, ServiceAccountName};

use super::keys::Keys;
use super::peek::Peek;
use crate::failure::{Exit, Failure};

/// Why claims aren't accepted, or anything else that the library says.
#[derive(Debug)]
pub(super) enum NotAccepted {
    /// A claim isn't what it must be.
    Claim(&'static str, String),
    /// The library's reason.
    Library(Error),
}

impl NotAccepted {
    pub(super) fn new(claim: &'static str, expectation: String) -> Self {
        Self::Claim(claim, expectation)
    }

    fn field(&self) -> &str {
        match self {
            Self::Claim(claim, _) => claim,
            Self::Library(error) => error.field().unwrap_or_default(),
        }
    }
}

impl From<Error> for NotAccepted {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl fmt::Display for NotAccepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(claim, expectation) => write!(f, "invalid `{claim}`: {expectation}"),
            // Its advice is for programs.
            Self::Library(error) => f.write_str(error.to_string().lines().next().unwrap_or_default()),
        }
    }
}

/// Turns the reason into the failure of the run.
pub(super) fn refusal(reason: NotAccepted, keys: &Keys, peek: &Peek) -> Failure {
    let failure = match &reason {
        NotAccepted::Library(error) if error.kind() != ErrorKind::InvalidInput => {
            return Failure::from(error.clone());
        }
        _ if reason.field() == "jwt" => return Failure::usage(format!("the token: {reason}")),
        _ => Failure::new(Exit::Denied, format!("not accepted: {reason}")),
    };
    match advice(&reason, keys, peek) {
        Some(fix) => failure.fix_by(fix),
        None => failure,
    }
}

fn advice(reason: &NotAccepted, keys: &Keys, peek: &Peek) -> Option<String> {
    Some(match reason.field() {
        "aud" => "get a token for this audience, or check --audience".to_owned(),
        "iss" => "check who issued it; if that is whom you trust, pass --issuer, and --keys with its keys"
            .to_owned(),
        "exp" => "get a new token".to_owned(),
        "iat" | "nbf" => "check the clock of this machine and that of the issuer".to_owned(),
        "email" if reason.to_string().contains("must be in the token") => {
            "request the token with --include-email".to_owned()
        }
        "email" | "email_verified" => "check who sent the token, and --email".to_owned(),
        "signature" => "don't trust it: what was signed isn't this".to_owned(),
        "key_id" => other_keys(keys, peek)?,
        _ => return None,
    })
}

/// Returns whose keys may know a token that these don't know.
fn other_keys(keys: &Keys, peek: &Peek) -> Option<String> {
    if keys.are_of_an_account() {
        return Some("check --service-account; ID tokens are signed by Google: omit it for them".to_owned());
    }
    // What a stranger wrote is shown only if it is an account.
    let account: ServiceAccountName = peek.issuer.as_deref()?.parse().ok()?;
    Some(format!("if {} is whom you trust, pass --service-account {}", account.account(), account.account()))
}
