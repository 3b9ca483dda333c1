//! The arguments that say which account to act as, and through which delegates.

use gcp_iam_credentials::{IamCredentialsClient, Impersonation, ServiceAccountName};

use crate::failure::Failure;

/// An account to act as, and the delegates on the way to it.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Account")]
pub(crate) struct ChainArguments {
    /// The service account to act as: its e-mail address or unique id
    ///
    /// Without it, the credential file must contain an impersonation, and its account is the target.
    #[arg(long, value_name = "ACCOUNT", value_parser = account, conflicts_with = "impersonate")]
    target: Option<String>,
    /// A delegate on the way to the target; repeat it for each, in order from the source
    #[arg(long, value_name = "ACCOUNT", value_parser = account, requires = "target")]
    via: Vec<String>,
    /// The delegates and, as the last one, the target, separated by commas, as in gcloud
    ///
    /// The order of gcloud's --impersonate-service-account. In cloud-sql-proxy's flag of that name, the first account
    /// is the target: reverse its list.
    #[arg(long, value_name = "A,B,TARGET", value_parser = account, value_delimiter = ',')]
    impersonate: Vec<String>,
}

/// The target, and the delegates in order from the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) target: String,
    pub(crate) delegates: Vec<String>,
}

impl ChainArguments {
    /// Returns the chain, unless the arguments name no account.
    pub(crate) fn chain(&self) -> Option<Chain> {
        if let Some(target) = &self.target {
            return Some(Chain { target: target.clone(), delegates: self.via.clone() });
        }
        let (target, delegates) = self.impersonate.split_last()?;
        Some(Chain { target: target.clone(), delegates: delegates.to_vec() })
    }
}

impl Chain {
    /// Makes the impersonation with a client.
    pub(crate) fn impersonation(&self, client: &IamCredentialsClient) -> Impersonation {
        client.impersonate(&self.target).delegates(&self.delegates)
    }
}

/// Nothing says which account to act as.
pub(crate) fn no_target() -> Failure {
    Failure::usage("no account to act as").fix_by("add --target sa@project.iam.gserviceaccount.com")
}

/// Reads the e-mail address or the unique id of an account.
pub(crate) fn account(text: &str) -> Result<String, String> {
    let name: Result<ServiceAccountName, _> = text.parse();
    name.map(|name| name.account().to_owned())
        .map_err(|_| "expected the e-mail address or the unique id of a service account".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        chain: ChainArguments,
    }

    fn parse(arguments: &str) -> Result<Option<Chain>, String> {
        let arguments = Arguments::try_parse_from(std::iter::once("iamcreds").chain(arguments.split(' ')));
        arguments.map(|arguments| arguments.chain.chain()).map_err(|error| error.to_string())
    }

    #[test]
    fn both_forms_give_the_delegates_in_order_from_the_source() {
        let expected =
            Chain { target: "t@p.com".into(), delegates: vec!["a@p.com".into(), "b@p.com".into()] };
        for text in ["--target t@p.com --via a@p.com --via b@p.com", "--impersonate a@p.com,b@p.com,t@p.com"]
        {
            assert_eq!(parse(text).unwrap().as_ref(), Some(&expected), "{text}");
        }
        let alone = Chain { target: "117".into(), delegates: Vec::new() };
        assert_eq!(parse("--target 117").unwrap(), Some(alone));
    }

    #[test]
    fn an_account_that_cannot_be_one_is_a_usage_error_that_names_the_argument() {
        for (text, argument) in [
            ("--target nobody", "--target <ACCOUNT>"),
            ("--target t@p.com --via no,comma@p.com", "--via <ACCOUNT>"),
            ("--impersonate a@p.com,,t@p.com", "--impersonate <A,B,TARGET>"),
            ("--via a@p.com", "--target <ACCOUNT>"),
            ("--impersonate a@p.com --target t@p.com", "--target <ACCOUNT>"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(argument), "{text}: {error}");
        }
    }
}
