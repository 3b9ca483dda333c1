//! Who asks, and whom a grant is for.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::pattern::PrincipalPattern;
use crate::printable::printable;

/// Who asks for a token: what the broker, or an Envoy that it trusts, has found out about a process.
///
/// ```
/// use gcp_iam_credentials::broker::Caller;
///
/// let caller = Caller::new().with_principal("spiffe://example.org/ns/shop/sa/web");
/// assert_eq!(caller.to_string(), "principal spiffe://example.org/ns/shop/sa/web");
/// assert_eq!(Caller::new().with_uid(1000).to_string(), "uid 1000");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    principal: Option<String>,
    source: Option<IpAddr>,
    uid: Option<u32>,
}

impl Caller {
    /// Returns a caller of whom nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the identity in the caller's certificate, such as a SPIFFE id. An empty one is none.
    pub fn with_principal(mut self, principal: impl Into<String>) -> Self {
        self.principal = Some(principal.into()).filter(|principal| !principal.is_empty());
        self
    }

    /// Sets the address that the caller connects from.
    pub fn with_source(mut self, address: IpAddr) -> Self {
        self.source = Some(address.to_canonical());
        self
    }

    /// Sets the user id of the caller's process.
    pub fn with_uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// Returns the identity in the caller's certificate.
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// Returns the address that the caller connects from.
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Returns the user id of the caller's process.
    pub fn uid(&self) -> Option<u32> {
        self.uid
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let principal =
            self.principal.as_ref().map(|principal| format!("principal {}", printable(principal)));
        let source = self.source.map(|address| format!("source {address}"));
        let uid = self.uid.map(|uid| format!("uid {uid}"));
        let known: Vec<String> = [principal, source, uid].into_iter().flatten().collect();
        match known.is_empty() {
            true => f.write_str("unknown"),
            false => f.write_str(&known.join(", ")),
        }
    }
}

/// Callers that a grant is for: those of whom everything that is set is true.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CallerPattern {
    pub(super) principal: Option<PrincipalPattern>,
    #[serde(deserialize_with = "network")]
    pub(super) source: Option<IpNet>,
    pub(super) uid: Option<u32>,
    pub(super) anyone: bool,
}

impl CallerPattern {
    /// Returns whether nothing is set.
    pub(super) fn is_empty(&self) -> bool {
        !self.anyone && !self.limits()
    }

    /// Returns whether it is for only some callers.
    pub(super) fn limits(&self) -> bool {
        self.principal.is_some() || self.source.is_some() || self.uid.is_some()
    }

    pub(super) fn matches(&self, caller: &Caller) -> bool {
        let principal =
            |pattern: &PrincipalPattern| caller.principal().is_some_and(|name| pattern.matches(name));
        let source = |network: &IpNet| caller.source().is_some_and(|address| network.contains(&address));
        !self.is_empty()
            && self.principal.as_ref().is_none_or(principal)
            && self.source.as_ref().is_none_or(source)
            && self.uid.is_none_or(|uid| caller.uid() == Some(uid))
    }
}

/// Reads the address of a network, or of one machine.
fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpNet>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    match network {
        Err(_) => Err(D::Error::custom("must be the address of a network, such as `10.0.0.0/8`")),
        Ok(network) if network.trunc() != network => {
            let expected = format!("must be the address of a network, such as `{}`", network.trunc());
            Err(D::Error::custom(expected))
        }
        Ok(network) => Ok(Some(network)),
    }
}
