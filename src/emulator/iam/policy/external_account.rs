//! External accounts: the programs and people outside Google Cloud that tests start from.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Policy;

/// The AWS region of an external account that sets none.
pub const DEFAULT_AWS_REGION: &str = "us-east-1";

/// A program or a person outside Google Cloud, which gets tokens from a platform that the emulator plays.
///
/// [`Policy::external_account`] adds it to a policy.
///
/// ```
/// use gcp_iam_credentials::emulator::{ExternalAccount, IdentityProvider, Policy};
///
/// let provider = "projects/1/locations/global/workloadIdentityPools/ci/providers/github";
/// let job = ExternalAccount::new(provider).claim("sub", "repo:octo/shop:ref:refs/heads/main");
/// let policy = Policy::new()
///     .identity_provider(provider, IdentityProvider::oidc("https://token.actions.githubusercontent.com"))
///     .external_account("job", job);
/// policy.validate()?;
/// # Ok::<(), gcp_iam_credentials::emulator::PolicyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ExternalAccount {
    /// The name of the provider that its tokens are for.
    pub(crate) provider: String,
    /// The claims of its tokens, in addition to `iss`, `aud`, `sub`, `iat`, `nbf` and `exp`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) claims: Map<String, Value>,
    /// The AWS role. `None` for the account's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<String>,
    /// The AWS region. `None` for [`DEFAULT_AWS_REGION`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) region: Option<String>,
    /// Whether AWS's metadata server refuses requests without a token.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) imds_v2_only: bool,
    /// Whether each use of a refresh token of a sign-in replaces it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) rotates_refresh_tokens: bool,
}

impl ExternalAccount {
    /// Returns an account whose tokens are for this provider:
    /// `projects/1/locations/global/workloadIdentityPools/ci/providers/github`, for example.
    pub fn new(provider: &str) -> Self {
        Self { provider: provider.to_owned(), ..Self::default() }
    }

    /// Sets a claim of its tokens, also one that the emulator would set: `sub` is the account's name by
    /// default. A value that can't be written as JSON becomes `null`.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Serialize) -> Self {
        self.claims.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// Sets the AWS role. Default: the account's name.
    #[must_use]
    pub fn role(mut self, role: &str) -> Self {
        self.role = Some(role.to_owned());
        self
    }

    /// Sets the AWS region. Default: [`DEFAULT_AWS_REGION`].
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }

    /// Makes AWS's metadata server refuse requests without a token (IMDSv1). Default: it accepts them.
    #[must_use]
    pub fn imds_v2_only(mut self) -> Self {
        self.imds_v2_only = true;
        self
    }

    /// Makes each use of a refresh token replace it by another one. Default: it stays valid.
    ///
    /// Only people of a workforce pool have refresh tokens: they sign in.
    #[must_use]
    pub fn rotates_refresh_tokens(mut self) -> Self {
        self.rotates_refresh_tokens = true;
        self
    }

    /// Returns the AWS role of the account with this name.
    pub(crate) fn aws_role<'a>(&'a self, name: &'a str) -> &'a str {
        self.role.as_deref().unwrap_or(name)
    }

    /// Returns the AWS region.
    pub(crate) fn aws_region(&self) -> &str {
        self.region.as_deref().unwrap_or(DEFAULT_AWS_REGION)
    }

    /// Returns the first field that has no effect for the other kind of provider, if it is set.
    pub(super) fn field_of_aws(&self) -> Option<&'static str> {
        let fields = [
            ("role", self.role.is_some()),
            ("region", self.region.is_some()),
            ("imdsV2Only", self.imds_v2_only),
        ];
        fields.into_iter().find(|(_, is_set)| *is_set).map(|(name, _)| name)
    }
}

impl Policy {
    /// Adds an external account. Its name is part of the URLs at which it gets its tokens.
    #[must_use]
    pub fn external_account(mut self, name: &str, account: ExternalAccount) -> Self {
        self.external_accounts.insert(name.to_owned(), account);
        self
    }

    /// Returns the external account with this name.
    pub(crate) fn find_external_account(&self, name: &str) -> Option<&ExternalAccount> {
        self.external_accounts.get(name)
    }

    /// Returns the names of the external accounts whose tokens are for a provider.
    pub(crate) fn external_accounts_of<'p>(&'p self, provider: &'p str) -> impl Iterator<Item = &'p str> {
        let accounts = self.external_accounts.iter();
        accounts.filter(move |(_, account)| account.provider == provider).map(|(name, _)| name.as_str())
    }
}
