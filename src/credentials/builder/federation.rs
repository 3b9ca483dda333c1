//! The options of federated identities whose subject tokens the program supplies.

use super::CredentialsBuilder;
use crate::Error;

/// What a file of an external account says, and the program says instead if it has no file.
#[derive(Clone, Debug, Default)]
pub(crate) struct FederationOptions {
    pub(crate) token_url: Option<String>,
    pub(crate) user_project: Option<String>,
    /// The account to impersonate.
    pub(crate) target: Option<String>,
}

impl FederationOptions {
    /// Checks that no option is set: a credential file has its own.
    pub(crate) fn check_unused(&self) -> Result<(), Error> {
        let options = [
            ("token_url", self.token_url.is_some()),
            ("workforce_user_project", self.user_project.is_some()),
            ("impersonate", self.target.is_some()),
        ];
        match options.into_iter().find(|(_, is_set)| *is_set) {
            Some((option, _)) => {
                Err(Error::invalid(option, "can be set only for `external_account` and `downscope`"))
            }
            None => Ok(()),
        }
    }

    /// Checks that no option is set but the URL of the token service.
    pub(crate) fn check_only_token_url(&self) -> Result<(), Error> {
        Self { token_url: None, ..self.clone() }.check_unused()
    }
}

impl CredentialsBuilder {
    /// Sets the description of the identity provider, as this command prints it:
    /// `gcloud iam workload-identity-pools providers describe PROVIDER --format=json`. Default: none.
    ///
    /// It only improves the advice in errors: without it, the crate knows of the provider only what the
    /// token service says. It applies to federated identities, from a file or from a supplier. Reading
    /// fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) if it describes another provider.
    pub fn provider_description(mut self, json: impl Into<String>) -> Self {
        self.provider_description = Some(json.into());
        self
    }
}

/// Options of [`external_account`](CredentialsBuilder::external_account). They are an error for
/// credentials that are found or read, because a file has its own.
/// [`downscope`](CredentialsBuilder::downscope) has the first one.
impl CredentialsBuilder {
    /// Sets the URL of the token service that exchanges tokens, also those to
    /// [downscope](Self::downscope). Default: `https://sts.googleapis.com/v1/token`, or that host of
    /// the [universe domain](Self::universe_domain).
    ///
    /// It must be https, or http on this machine. [`allow_hosts`](Self::allow_hosts) isn't needed.
    pub fn token_url(mut self, url: impl Into<String>) -> Self {
        self.federation.token_url = Some(url.into());
        self
    }

    /// Sets the project that exchanges of a workforce pool's tokens are counted against. Default: none.
    pub fn workforce_user_project(mut self, project: impl Into<String>) -> Self {
        self.federation.user_project = Some(project.into());
        self
    }

    /// Sets the service account that the federated identity impersonates. The
    /// [scopes](Self::scopes) and the [quota project](Self::quota_project) are those of its tokens.
    /// Default: none, so the tokens are the identity's own.
    ///
    /// For ID tokens, a signer or other options, give the identity's own credentials to an
    /// [`IamCredentialsClient`](crate::IamCredentialsClient), and impersonate with that.
    pub fn impersonate(mut self, target: impl Into<String>) -> Self {
        self.federation.target = Some(target.into());
        self
    }
}
