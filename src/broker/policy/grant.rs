//! Grants: who may act as which accounts, and how.

use std::time::Duration;

use serde::Deserialize;

use super::caller::{Caller, CallerPattern};
use super::pattern::{AudiencePattern, TargetPattern};
use super::request::Wanted;
use crate::broker::scopes::granted;
use crate::{ServiceAccountName, document, json_duration};

/// Lets callers act as targets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::broker) struct Grant {
    #[serde(deserialize_with = "document::objects")]
    pub(super) callers: Vec<CallerPattern>,
    pub(super) targets: Vec<TargetPattern>,
    /// The scopes that access tokens may have. None: no access tokens.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    /// The audiences that ID tokens may have. None: no ID tokens.
    #[serde(default)]
    pub(super) audiences: Vec<AudiencePattern>,
    #[serde(default)]
    pub(super) delegates: Vec<ServiceAccountName>,
    /// How long an access token lives.
    #[serde(default, deserialize_with = "lifetime")]
    pub(super) lifetime: Option<Duration>,
}

impl Grant {
    pub(super) fn has_caller(&self, caller: &Caller) -> bool {
        self.callers.iter().any(|pattern| pattern.matches(caller))
    }

    pub(super) fn has_target(&self, account: &str) -> bool {
        self.targets.iter().any(|target| target.matches(account))
    }

    /// Returns the only account that the grant is for.
    pub(super) fn sole_target(&self) -> Option<&str> {
        match self.targets.as_slice() {
            [target] => target.sole(),
            _ => None,
        }
    }

    pub(super) fn has_audience(&self, audience: &str) -> bool {
        self.audiences.iter().any(|pattern| pattern.matches(audience))
    }

    /// Returns the scopes of the token that is wanted. `None` if it would have others than the grant, or none.
    pub(super) fn scopes_for<'p>(&'p self, wanted: &Wanted<'_>) -> Option<Vec<&'p str>> {
        match wanted {
            Wanted::Identity { .. } => None,
            Wanted::LibraryAccess(named) => granted(&self.scopes, named),
            Wanted::Access(named) => {
                let has_all = named.iter().all(|scope| self.scopes.contains(scope));
                has_all.then(|| granted(&self.scopes, named)).flatten()
            }
        }
    }

    pub(in crate::broker) fn delegates(&self) -> &[ServiceAccountName] {
        &self.delegates
    }

    pub(in crate::broker) fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }
}

fn lifetime<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    json_duration::serde_text::deserialize(deserializer).map(Some)
}
