//! One impersonation in a chain.

use std::fmt;
use std::time::Duration;

use super::TokenKind;
use super::lines::{joined, line};
use crate::printable::Printable;

/// One impersonation in the chain that leads from a source's principal to the principal of its
/// tokens.
///
/// [`SourceInfo::hops`](super::SourceInfo::hops) contains one for each impersonation. Make one
/// yourself if your own source impersonates an account:
///
/// ```
/// use gcp_iam_credentials::source::{Hop, SourceInfo};
///
/// let hop = Hop::new("deployer@project.iam.gserviceaccount.com")
///     .with_scopes(["https://www.googleapis.com/auth/cloud-platform"]);
/// let info = SourceInfo::new().with_principal("me@example.com").with_hop(hop);
///
/// let deployer = "deployer@project.iam.gserviceaccount.com";
/// assert_eq!(info.principal(), Some(deployer));
/// assert_eq!(info.source_principal(), Some("me@example.com"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    target: String,
    subject: Option<String>,
    delegates: Vec<String>,
    scopes: Vec<String>,
    token_kind: Option<TokenKind>,
    audience: Option<String>,
    lifetime: Option<Duration>,
    endpoint: Option<String>,
}

impl Hop {
    /// Creates a hop to the account `target`.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            subject: None,
            delegates: Vec::new(),
            scopes: Vec::new(),
            token_kind: None,
            audience: None,
            lifetime: None,
            endpoint: None,
        }
    }

    /// Sets the user that the target acts as, by domain-wide delegation.
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Sets the delegates between the source and the target, the one next to the source first.
    pub fn with_delegates(mut self, delegates: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.delegates = delegates.into_iter().map(|delegate| delegate.as_ref().to_owned()).collect();
        self
    }

    /// Sets the scopes of the access tokens.
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.scopes = scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect();
        self
    }

    /// Sets the kind of the tokens. Default: unknown.
    pub fn with_token_kind(mut self, kind: TokenKind) -> Self {
        self.token_kind = Some(kind);
        self
    }

    /// Sets the audience of the ID tokens or self-signed JWTs.
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sets the lifetime of each token.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets the URL of the API that impersonates.
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Returns the account that is impersonated.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns the user that the target acts as, if domain-wide delegation is used.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Returns the principal of the tokens: the [subject](Self::subject) if there is one, else the
    /// [target](Self::target).
    pub fn principal(&self) -> &str {
        self.subject().unwrap_or(&self.target)
    }

    /// Returns the delegates, the one next to the source first.
    pub fn delegates(&self) -> &[String] {
        &self.delegates
    }

    /// Returns the scopes of the access tokens. Empty for ID tokens and self-signed JWTs, which
    /// have an [audience](Self::audience).
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Returns the kind of the tokens, if known.
    pub fn token_kind(&self) -> Option<TokenKind> {
        self.token_kind
    }

    /// Returns the audience of the ID tokens or self-signed JWTs.
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// Returns the lifetime of each token, if known.
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// Returns the URL of the API that impersonates, if known.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "impersonates: {}", Printable(&self.target))?;
        line(f, "  subject", self.subject())?;
        line(f, "  delegates", joined(&self.delegates))?;
        line(f, "  scopes", joined(&self.scopes))?;
        line(f, "  audience", self.audience())?;
        line(f, "  lifetime", self.lifetime.map(|lifetime| format!("{} s", lifetime.as_secs())))?;
        line(f, "  endpoint", self.endpoint())
    }
}
