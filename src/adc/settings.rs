//! The builder's options and the environment, checked.

#[cfg(all(feature = "credential-files", feature = "_tls"))]
use std::path::PathBuf;
#[cfg(all(feature = "credential-files", feature = "_tls"))]
use std::sync::Arc;

use crate::credentials::{CredentialsBuilder, Network};
use crate::environment::{Environment, QUOTA_VARIABLE, UNIVERSE_VARIABLE, option_or_variable};
#[cfg(feature = "credential-files")]
use crate::error::ProviderDescription;
use crate::host::{DEFAULT_UNIVERSE, Trust, check_universe};
use crate::http_client::HttpClient;
use crate::scopes::check::checked_scopes;
#[cfg(all(feature = "credential-files", feature = "_tls"))]
use crate::source::external::ClientCertificate;
use crate::{Error, headers};

/// What the program and its environment say about all credentials in a file.
#[derive(Clone)]
pub(super) struct Settings {
    /// The scopes that the program requests.
    pub(super) scopes: Option<Vec<String>>,
    /// The quota project that the program or the environment names.
    pub(super) quota_project: Option<String>,
    /// What a file may name.
    pub(super) trust: Trust,
    /// What calls HTTP endpoints.
    pub(super) http: HttpClient,
    /// How the API is reached.
    pub(super) network: Network,
    /// The configuration of the identity provider.
    #[cfg(feature = "credential-files")]
    pub(super) provider_description: Option<ProviderDescription>,
    /// The universe that a client uses by default in this environment.
    pub(super) default_universe: String,
    /// Returns a variable of the environment.
    pub(super) variables: fn(&str) -> Option<String>,
    /// gcloud's default folder.
    #[cfg(all(feature = "credential-files", feature = "_tls"))]
    pub(super) gcloud_folder: Option<PathBuf>,
    /// What connections show to servers, if the file names it.
    #[cfg(all(feature = "credential-files", feature = "_tls"))]
    pub(super) client_certificate: Option<Arc<ClientCertificate>>,
}

impl Settings {
    /// Checks the options. Errors name the option or the variable.
    pub(super) fn new(builder: CredentialsBuilder, environment: &Environment) -> Result<Self, Error> {
        #[cfg(feature = "credential-files")]
        builder.federation.check_unused()?;
        let variables = environment.variables;
        let scopes = builder.scopes.map(checked_scopes).transpose()?;
        let default_universe = default_universe(variables)?;
        if let Some(domain) = &builder.universe_domain {
            check_universe(domain, "universe_domain")?;
        }
        let quota_project = quota_project(builder.quota_project, variables)?;
        let universe = builder.universe_domain.unwrap_or_else(|| default_universe.clone()).into();
        let trust = Trust { universe, hosts: builder.allowed_hosts };
        let http = builder.network.http(variables)?;
        let network = builder.network;
        Ok(Self {
            scopes,
            quota_project,
            trust,
            http,
            network,
            #[cfg(feature = "credential-files")]
            provider_description: builder
                .provider_description
                .map(|json| ProviderDescription::parse(&json))
                .transpose()?,
            default_universe,
            variables,
            #[cfg(all(feature = "credential-files", feature = "_tls"))]
            gcloud_folder: environment.default_folder.clone(),
            #[cfg(all(feature = "credential-files", feature = "_tls"))]
            client_certificate: None,
        })
    }
}

fn default_universe(variables: fn(&str) -> Option<String>) -> Result<String, Error> {
    match variables(UNIVERSE_VARIABLE) {
        Some(domain) => check_universe(&domain, UNIVERSE_VARIABLE).map(|()| domain),
        None => Ok(DEFAULT_UNIVERSE.to_owned()),
    }
}

fn quota_project(
    option: Option<String>,
    variables: fn(&str) -> Option<String>,
) -> Result<Option<String>, Error> {
    match option_or_variable(("quota_project", option), QUOTA_VARIABLE, variables) {
        Some((project, field)) => headers::quota_project(&project, field).map(|_| Some(project)),
        None => Ok(None),
    }
}
