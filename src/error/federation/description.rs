//! A provider's configuration, as `gcloud` describes it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ProviderName;
use crate::Error;

const FIELD: &str = "provider_description";

/// Far more than a provider's configuration has, in bytes. It may contain a set of keys.
const MAX_SIZE: usize = 256 << 10;

/// What a provider accepts.
#[derive(Clone, Debug)]
pub(crate) struct ProviderDescription {
    name: ProviderName,
    content: Content,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    name: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    attribute_mapping: BTreeMap<String, String>,
    #[serde(default)]
    attribute_condition: String,
    oidc: Option<Oidc>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Oidc {
    issuer_uri: String,
    #[serde(default)]
    allowed_audiences: Vec<String>,
}

impl ProviderDescription {
    /// Reads what `gcloud iam workload-identity-pools providers describe --format=json` prints.
    pub(crate) fn parse(json: &str) -> Result<Self, Error> {
        let invalid = |problem: &str| {
            let expectation =
                "must be what `gcloud iam workload-identity-pools providers describe --format=json` prints";
            Error::invalid(FIELD, format!("{expectation}, {problem}"))
        };
        if json.len() > MAX_SIZE {
            return Err(invalid("which is shorter"));
        }
        let content: Content = serde_json::from_str(json)
            .map_err(|error| invalid(&format!("got an error at line {}", error.line())))?;
        let name = ProviderName::parse(&content.name).ok_or_else(|| invalid("got no name of a provider"))?;
        Ok(Self { name, content })
    }

    /// Checks that it is the description of this provider.
    pub(crate) fn check(&self, provider: Option<&ProviderName>) -> Result<(), Error> {
        match provider {
            Some(provider) if provider.is_same(&self.name) => Ok(()),
            _ => {
                let expectation = "must describe the provider that the credential file's `audience` names, \
                                   got another one";
                Err(Error::invalid(FIELD, expectation))
            }
        }
    }

    pub(super) fn is_disabled(&self) -> bool {
        self.content.disabled || self.is_deleted()
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.content.state == "DELETED"
    }

    pub(super) fn condition(&self) -> &str {
        &self.content.attribute_condition
    }

    pub(super) fn mapping(&self) -> &BTreeMap<String, String> {
        &self.content.attribute_mapping
    }

    /// Whether the subject in IAM is the token's `sub`.
    pub(crate) fn maps_sub_to_subject(&self) -> bool {
        self.content
            .attribute_mapping
            .get("google.subject")
            .is_some_and(|mapped| mapped.trim() == "assertion.sub")
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.content.oidc.as_ref().map(|oidc| oidc.issuer_uri.as_str())
    }

    pub(super) fn allowed_audiences(&self) -> &[String] {
        self.content.oidc.as_ref().map_or(&[], |oidc| &oidc.allowed_audiences)
    }

    pub(super) fn expects_issuer(&self, issuer: Option<&str>) -> bool {
        let bare = |issuer: &str| issuer.trim_end_matches('/').to_owned();
        self.issuer().is_none_or(|expected| Some(bare(expected)) == issuer.map(bare))
    }

    /// Whether the provider accepts a token with these audiences.
    pub(super) fn accepts(&self, audiences: &[String]) -> bool {
        let Some(oidc) = &self.content.oidc else { return true };
        let is_allowed = |audience: &String| match oidc.allowed_audiences.is_empty() {
            true => self.name.is_default_audience(audience),
            false => oidc.allowed_audiences.contains(audience),
        };
        audiences.iter().any(is_allowed)
    }
}
