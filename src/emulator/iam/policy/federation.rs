//! Identity pools and their providers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Policy;
use crate::document;
use crate::emulator::iam::federation::names::split_provider;

/// The mapping of a provider for OpenID Connect that has none.
const OIDC_MAPPING: [(&str, &str); 1] = [("google.subject", "assertion.sub")];

/// The mapping of a provider for AWS that has none. It is Google's.
const AWS_MAPPING: [(&str, &str); 2] = [
    ("google.subject", "assertion.arn"),
    (
        "attribute.aws_role",
        "assertion.arn.contains('assumed-role') ? assertion.arn.extract('{account_arn}assumed-role/') + \
         'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn",
    ),
];

/// A workload identity pool or a workforce pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct IdentityPool {
    pub(super) disabled: bool,
    #[serde(deserialize_with = "document::objects_by_name")]
    pub(super) providers: BTreeMap<String, IdentityProvider>,
}

/// A provider of an identity pool: which tokens of another platform are exchanged, and for which
/// principals.
///
/// [`Policy::identity_provider`] adds it to a policy. The fields in JSON are those of Google's API, except
/// `jwks`.
///
/// ```
/// use gcp_iam_credentials::emulator::{IdentityProvider, Policy, Role};
///
/// let pool = "projects/1/locations/global/workloadIdentityPools/ci";
/// let github = IdentityProvider::oidc("https://token.actions.githubusercontent.com")
///     .map("google.subject", "assertion.sub")
///     .map("attribute.repository", "assertion.repository")
///     .condition("assertion.repository_owner == 'octo'");
/// let shop = format!("principalSet://iam.googleapis.com/{pool}/attribute.repository/octo/shop");
/// let policy = Policy::new()
///     .identity_provider(&format!("{pool}/providers/github"), github)
///     .grant(shop, Role::WORKLOAD_IDENTITY_USER, "deployer@p.iam.gserviceaccount.com");
/// policy.validate()?;
/// # Ok::<(), gcp_iam_credentials::emulator::PolicyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct IdentityProvider {
    #[serde(deserialize_with = "document::optional_object", skip_serializing_if = "Option::is_none")]
    pub(crate) oidc: Option<OidcProvider>,
    #[serde(deserialize_with = "document::optional_object", skip_serializing_if = "Option::is_none")]
    pub(crate) aws: Option<AwsProvider>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attribute_mapping: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attribute_condition: Option<String>,
    pub(crate) disabled: bool,
}

/// The tokens of an OpenID Connect issuer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct OidcProvider {
    pub(crate) issuer_uri: String,
    /// Empty if tokens are for the provider itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) allowed_audiences: Vec<String>,
    /// The issuer's keys, as a JSON Web Key Set. `None` if the emulator is the issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwks: Option<Value>,
}

/// The signed requests of an AWS account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct AwsProvider {
    pub(crate) account_id: String,
}

impl IdentityProvider {
    /// Returns a provider for the tokens of an OpenID Connect issuer.
    ///
    /// By default, the subject of the principal is the claim `sub`, tokens must have the provider as
    /// audience, and the emulator plays the issuer: an [`ExternalAccount`](super::ExternalAccount) gets its
    /// tokens.
    pub fn oidc(issuer_uri: &str) -> Self {
        let oidc = OidcProvider { issuer_uri: issuer_uri.to_owned(), ..OidcProvider::default() };
        Self { oidc: Some(oidc), ..Self::default() }
    }

    /// Returns a provider for an AWS account, which has 12 digits. By default, the subject of the principal
    /// is the ARN, and `attribute.aws_role` is the ARN of the role.
    pub fn aws(account_id: &str) -> Self {
        Self { aws: Some(AwsProvider { account_id: account_id.to_owned() }), ..Self::default() }
    }

    /// Adds an audience that tokens may have. Default: the provider itself. A provider for AWS can't have any.
    #[must_use]
    pub fn allowed_audience(mut self, audience: &str) -> Self {
        self.oidc.get_or_insert_default().allowed_audiences.push(audience.to_owned());
        self
    }

    /// Sets the issuer's public keys: the text of a JSON Web Key Set. Then tokens of a real issuer are
    /// exchanged, and the emulator issues none. A provider for AWS can't have any.
    #[must_use]
    pub fn jwks(mut self, jwks: &str) -> Self {
        // `validate` reports a text that isn't JSON.
        let jwks = serde_json::from_str(jwks).unwrap_or_else(|_| jwks.into());
        self.oidc.get_or_insert_default().jwks = Some(jwks);
        self
    }

    /// Maps an attribute: `google.subject`, `google.groups` or `attribute.NAME`. `expression` is in the
    /// Common Expression Language (CEL), and its variable `assertion` has the claims of the token.
    #[must_use]
    pub fn map(mut self, attribute: &str, expression: &str) -> Self {
        self.attribute_mapping.insert(attribute.to_owned(), expression.to_owned());
        self
    }

    /// Sets the condition that tokens must fulfill, in CEL. Its variables are `assertion`, `google` and
    /// `attribute`. Default: none.
    #[must_use]
    pub fn condition(mut self, expression: &str) -> Self {
        self.attribute_condition = Some(expression.to_owned());
        self
    }

    /// Disables the provider.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// Returns the attributes and their expressions, or the default ones.
    pub(crate) fn mapping(&self) -> BTreeMap<&str, &str> {
        if self.attribute_mapping.is_empty() {
            let default = if self.aws.is_some() { &AWS_MAPPING[..] } else { &OIDC_MAPPING };
            return default.iter().copied().collect();
        }
        self.attribute_mapping.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
    }
}

impl Policy {
    /// Adds a provider with this name, and its pool. The name is that of Google's API:
    /// `projects/1/locations/global/workloadIdentityPools/ci/providers/github`, or
    /// `locations/global/workforcePools/staff/providers/okta`.
    #[must_use]
    pub fn identity_provider(mut self, name: &str, provider: IdentityProvider) -> Self {
        let (pool, id) = name.rsplit_once("/providers/").unwrap_or((name, ""));
        let pool = self.identity_pools.entry(pool.to_owned()).or_default();
        pool.providers.insert(id.to_owned(), provider);
        self
    }

    /// Disables an identity pool. Adds it if necessary.
    #[must_use]
    pub fn disabled_identity_pool(mut self, name: &str) -> Self {
        self.identity_pools.entry(name.to_owned()).or_default().disabled = true;
        self
    }

    /// Returns the provider with this name.
    pub(crate) fn provider(&self, name: &str) -> Option<&IdentityProvider> {
        let (pool, id) = split_provider(name)?;
        self.identity_pools.get(pool)?.providers.get(id)
    }

    /// Returns the provider with this name, if neither it nor its pool is disabled.
    pub(crate) fn enabled_provider(&self, name: &str) -> Option<&IdentityProvider> {
        let (pool, id) = split_provider(name)?;
        let pool = self.identity_pools.get(pool).filter(|pool| !pool.disabled)?;
        pool.providers.get(id).filter(|provider| !provider.disabled)
    }
}
