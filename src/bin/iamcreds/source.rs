//! The arguments that say which credentials a command starts from, and how it calls IAM.

mod identity;

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use gcp_iam_credentials::credentials::CredentialsBuilder;
use gcp_iam_credentials::{
    ClientBuilder, Credentials, Error, IamCredentialsClient, Impersonation, RetryPolicy, Token,
};

pub(crate) use self::identity::SourceIdentity;
use crate::chain::{Chain, ChainArguments, no_target};
use crate::duration::duration;
use crate::failure::Failure;
use crate::input::read_text;

/// The variable with an access token to start from.
pub(crate) const SOURCE_TOKEN_VARIABLE: &str = "IAMCREDS_SOURCE_TOKEN";

/// The variable with the host of an emulator. The library reads it, too.
const EMULATOR_VARIABLE: &str = "IAM_CREDENTIALS_EMULATOR_HOST";

/// The variable with the project that calls are billed to. The library reads it, too.
const QUOTA_VARIABLE: &str = "GOOGLE_CLOUD_QUOTA_PROJECT";

/// The credentials to start from, and how to call IAM.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Source and calls")]
pub(crate) struct SourceArguments {
    /// The credential file to start from; default: IAMCREDS_SOURCE_TOKEN, else application default credentials
    #[arg(long, value_name = "FILE", conflicts_with = "source_token_file")]
    credentials: Option<PathBuf>,
    /// The file with an access token to start from, or - for standard input
    ///
    /// A token is never an argument: other users of the machine can read the arguments of your processes.
    #[arg(long, value_name = "FILE|-")]
    source_token_file: Option<PathBuf>,
    /// The URL of the IAM Credentials API; default: Google's
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The universe; default: GOOGLE_CLOUD_UNIVERSE_DOMAIN, else googleapis.com
    #[arg(long, value_name = "DOMAIN")]
    universe_domain: Option<String>,
    /// The project that calls are billed to; default: GOOGLE_CLOUD_QUOTA_PROJECT
    #[arg(long, value_name = "PROJECT")]
    quota_project: Option<String>,
    /// The certificate authorities to trust, in PEM, in place of the machine's
    #[arg(long, value_name = "FILE")]
    root_certificates: Option<PathBuf>,
    /// The time limit of a call, with all its attempts: 30s, 2m; default: 60s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Make one attempt only
    #[arg(long)]
    no_retry: bool,
    /// What gcloud prints about the provider of a federated identity. An argument of one subcommand only.
    #[arg(skip)]
    pub(crate) provider_description: Option<String>,
}

impl SourceArguments {
    /// Returns a client that acts with the source's identity. Sends nothing.
    pub(crate) fn client(&self) -> Result<IamCredentialsClient, Failure> {
        let mut builder = self.client_options()?;
        if let Some(credentials) = self.given_credentials()? {
            builder = builder.credentials(credentials);
        } else if !self.is_emulators_principal() {
            builder = builder.credentials(self.credentials_options()?.application_default()?);
        } else {
            eprintln!(
                "iamcreds: {EMULATOR_VARIABLE} is set: calls go to an emulator, as an invented principal"
            );
        }
        Ok(builder.build()?)
    }

    /// Returns the impersonation of the chain. If there is none, returns that of the credential file.
    pub(crate) fn impersonation(&self, chain: &ChainArguments) -> Result<Impersonation, Failure> {
        self.impersonation_of(chain.chain().as_ref())
    }

    /// Returns the impersonation of the chain. If there is none, returns that of the credential file.
    pub(crate) fn impersonation_of(&self, chain: Option<&Chain>) -> Result<Impersonation, Failure> {
        if let Some(chain) = chain {
            return Ok(chain.impersonation(&self.client()?));
        }
        if self.source_token()?.is_some() {
            return Err(no_target());
        }
        for (option, given) in [
            ("--endpoint", self.endpoint.is_some()),
            ("--timeout", self.timeout.is_some()),
            ("--no-retry", self.no_retry),
        ] {
            if given {
                return Err(no_target_with(option));
            }
        }
        self.impersonation_in_file()?.map_err(|error| {
            let what = format!("no account to act as, and the credentials don't name one: {error}");
            Failure::usage(what.lines().next().unwrap_or_default())
                .fix_by("add --target sa@project.iam.gserviceaccount.com")
        })
    }

    /// Returns the impersonation in the credential file, if there is one. The arguments for calls don't apply to it.
    pub(crate) fn impersonation_in_file(&self) -> Result<Result<Impersonation, Error>, Failure> {
        let builder = self.credentials_options()?;
        Ok(match &self.credentials {
            Some(path) => builder.file_impersonation(path),
            None => builder.application_default_impersonation(),
        })
    }

    /// Returns why these credentials are used, if an argument or a variable of this program decides.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        if self.credentials.is_some() {
            Some("--credentials names the file")
        } else if self.source_token_file.is_some() {
            Some("--source-token-file names the file with the token")
        } else if is_set(SOURCE_TOKEN_VARIABLE) {
            Some("IAMCREDS_SOURCE_TOKEN contains the token")
        } else if is_set(EMULATOR_VARIABLE) && !self.names_a_server() {
            Some("IAM_CREDENTIALS_EMULATOR_HOST names an emulator: the token is invented")
        } else {
            None
        }
    }

    /// Returns the project that calls are billed to, if an argument or a variable says so.
    pub(crate) fn quota_project(&self) -> Option<String> {
        let variable = env::var(QUOTA_VARIABLE).ok().filter(|project| !project.is_empty());
        self.quota_project.clone().or(variable)
    }

    /// Returns the credentials that an argument or [`SOURCE_TOKEN_VARIABLE`] names.
    fn given_credentials(&self) -> Result<Option<Credentials>, Failure> {
        if let Some(path) = &self.credentials {
            return Ok(Some(self.credentials_options()?.file(path)?));
        }
        Ok(self.source_token()?.map(Credentials::fixed))
    }

    /// Returns the access token that an argument or [`SOURCE_TOKEN_VARIABLE`] names.
    fn source_token(&self) -> Result<Option<Token>, Failure> {
        let (name, secret) = if let Some(path) = &self.source_token_file {
            ("--source-token-file", read_text(path)?)
        } else if self.credentials.is_some() {
            return Ok(None);
        } else {
            match env::var(SOURCE_TOKEN_VARIABLE) {
                Ok(secret) if secret.is_empty() => return Ok(None),
                Ok(secret) => (SOURCE_TOKEN_VARIABLE, secret),
                Err(env::VarError::NotPresent) => return Ok(None),
                Err(env::VarError::NotUnicode(_)) => (SOURCE_TOKEN_VARIABLE, "\u{fffd}".to_owned()),
            }
        };
        let unusable = |error| Failure::usage(format!("{name}: {error}"));
        Token::new(secret.trim(), None).map(Some).map_err(unusable)
    }

    pub(crate) fn client_options(&self) -> Result<ClientBuilder, Failure> {
        let mut builder = IamCredentialsClient::builder().user_agent(USER_AGENT);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.endpoint(endpoint);
        }
        if let Some(domain) = &self.universe_domain {
            builder = builder.universe_domain(domain);
        }
        if let Some(project) = &self.quota_project {
            builder = builder.quota_project(project);
        }
        if let Some(pem) = self.root_certificates()? {
            builder = builder.root_certificates(pem);
        }
        if let Some(timeout) = self.timeout {
            builder = builder.timeout(timeout);
        }
        if self.no_retry {
            builder = builder.retry(RetryPolicy::none());
        }
        Ok(builder)
    }

    pub(crate) fn credentials_options(&self) -> Result<CredentialsBuilder, Failure> {
        let mut builder = Credentials::builder();
        if let Some(domain) = &self.universe_domain {
            builder = builder.universe_domain(domain);
        }
        if let Some(project) = &self.quota_project {
            builder = builder.quota_project(project);
        }
        if let Some(pem) = self.root_certificates()? {
            builder = builder.root_certificates(pem);
        }
        if let Some(description) = &self.provider_description {
            builder = builder.provider_description(description);
        }
        Ok(builder)
    }

    fn root_certificates(&self) -> Result<Option<Vec<u8>>, Failure> {
        let read = |path: &PathBuf| fs::read(path).map_err(|error| Failure::input(path, &error));
        self.root_certificates.as_ref().map(read).transpose()
    }

    /// Whether calls go to an emulator, as an invented principal. The caller has checked that no credentials are given.
    fn is_emulators_principal(&self) -> bool {
        env::var_os(EMULATOR_VARIABLE).is_some() && !self.names_a_server()
    }

    /// Whether the arguments say where the API is, so that the emulator's variable has no effect.
    fn names_a_server(&self) -> bool {
        self.endpoint.is_some() || self.universe_domain.is_some()
    }
}

const USER_AGENT: &str = concat!("iamcreds/", env!("CARGO_PKG_VERSION"));

fn no_target_with(option: &str) -> Failure {
    let what = format!("{option} has no effect on the impersonation in a credential file");
    Failure::usage(what).fix_by(format!("name the account with --target, or omit {option}"))
}
