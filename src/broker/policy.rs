//! The policy: which caller may act as which account.

mod caller;
mod check;
mod decision;
mod error;
mod grant;
mod pattern;
mod request;

use std::fmt;

use http::HeaderName;
use serde::{Deserialize, Deserializer};

pub use self::caller::Caller;
use self::caller::CallerPattern;
pub(super) use self::decision::{Allowed, Denial};
pub use self::error::PolicyError;
use self::grant::Grant;
pub(super) use self::request::{Protocol, Request, Wanted};
use crate::document;

/// Which caller may act as which service account, with which scopes and audiences.
///
/// What no grant allows is refused. `docs/fleets.md` describes the format.
///
/// ```
/// use gcp_iam_credentials::broker::Policy;
///
/// let policy = Policy::from_json(
///     r#"{
///         "peers": [{"principal": "spiffe://example.org/ns/mesh/sa/gateway"}],
///         "grants": [{
///             "callers": [{"principal": "spiffe://example.org/ns/shop/*"}],
///             "targets": ["shop@my-project.iam.gserviceaccount.com"],
///             "scopes": ["https://www.googleapis.com/auth/cloud-platform"]
///         }]
///     }"#,
/// )?;
/// # Ok::<(), gcp_iam_credentials::broker::PolicyError>(())
/// ```
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Policy {
    /// Who may say on whose behalf they ask: Envoys.
    #[serde(deserialize_with = "document::objects")]
    peers: Vec<CallerPattern>,
    /// The header in which the clients of an Envoy may name the target.
    #[serde(deserialize_with = "header_name")]
    target_header: Option<HeaderName>,
    #[serde(deserialize_with = "document::objects")]
    grants: Vec<Grant>,
}

impl Policy {
    /// Reads the text of a policy file.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`], with the place in the document and an example, if the text isn't a valid
    /// policy.
    pub fn from_json(text: &str) -> Result<Self, PolicyError> {
        let policy: Self = document::read(text, |_| false)?;
        policy.check()?;
        Ok(policy)
    }

    /// Returns whether `peer` may say on whose behalf it asks.
    pub(super) fn has_peer(&self, peer: &Caller) -> bool {
        self.peers.iter().any(|pattern| pattern.matches(peer))
    }

    pub(super) fn target_header(&self) -> Option<&HeaderName> {
        self.target_header.as_ref()
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("grants", &self.grants.len()).finish_non_exhaustive()
    }
}

fn header_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HeaderName>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let name = text.parse::<HeaderName>().map_err(|_| "must be the name of a header");
    // Without its token, its length or its host, a request isn't the same.
    let checked = name.and_then(|name| match name.as_str().strip_prefix("x-") {
        Some(_) if name != "x-forwarded-for" => Ok(name),
        _ => Err("must be the name of a header that only the target is in, and begin with `x-`"),
    });
    checked.map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests;
