//! Identity pools and their providers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Policy;
use crate::emulator::iam::federation::names::split_provider;

/// The mapping of a provider that has none.
const DEFAULT_MAPPING: [(&str, &str); 1] = [("google.subject", "assertion.sub")];

/// A workload identity pool or a workforce pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct IdentityPool {
    pub(super) disabled: bool,
    pub(super) providers: BTreeMap<String, IdentityProvider>,
}

/// A provider of an identity pool: which tokens of another platform are exchanged, and for which
/// principals. The fields are those of Google's API, except `jwks`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct IdentityProvider {
    pub(crate) oidc: OidcProvider,
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
    /// The issuer's keys, as a JSON Web Key Set.
    pub(crate) jwks: Value,
}

impl IdentityProvider {
    /// Returns the attributes and their expressions, or the default ones.
    pub(crate) fn mapping(&self) -> BTreeMap<&str, &str> {
        if self.attribute_mapping.is_empty() {
            return DEFAULT_MAPPING.into_iter().collect();
        }
        self.attribute_mapping.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
    }
}

impl Policy {
    /// Returns the provider with this name, if neither it nor its pool is disabled.
    pub(crate) fn enabled_provider(&self, name: &str) -> Option<&IdentityProvider> {
        let (pool, id) = split_provider(name)?;
        let pool = self.identity_pools.get(pool).filter(|pool| !pool.disabled)?;
        pool.providers.get(id).filter(|provider| !provider.disabled)
    }
}
