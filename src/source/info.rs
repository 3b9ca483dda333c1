//! What a source reports about itself.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::{Hop, TokenKind};

/// What a [`TokenSource`](crate::TokenSource) knows about itself and its tokens, without a fetch.
///
/// Errors, logs and [`Credentials::explain`](crate::Credentials::explain) show it, so it must not
/// contain a secret. The default reports nothing.
///
/// ```
/// use gcp_iam_credentials::source::SourceInfo;
///
/// let info = SourceInfo::new()
///     .with_description("a token from Vault")
///     .with_principal("vault@project.iam.gserviceaccount.com")
///     .with_endpoint("https://vault.example.com/v1/gcp/token");
///
/// assert_eq!(info.description(), Some("a token from Vault"));
/// assert_eq!(info.universe_domain(), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceInfo {
    description: Option<Cow<'static, str>>,
    file: Option<PathBuf>,
    reason: Option<Cow<'static, str>>,
    principal: Option<String>,
    is_principal_likely: bool,
    audience: Option<String>,
    identity_change: Option<String>,
    scopes: Vec<String>,
    token_kind: Option<TokenKind>,
    endpoint: Option<String>,
    hops: Vec<Hop>,
    universe_domain: Option<String>,
    quota_project: Option<String>,
    api_client_entry: Option<&'static str>,
    access_boundary: Option<String>,
    regional_access_boundary: Option<String>,
}

impl SourceInfo {
    /// Creates a value that reports nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what kind of source this is, in a few words: `a service account key`.
    pub fn with_description(mut self, description: impl Into<Cow<'static, str>>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets the file that the source reads.
    pub fn with_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Sets why this source or file was chosen, if there was a choice.
    pub fn with_reason(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Sets the principal that the source authenticates as: an e-mail address if it has one.
    pub fn with_principal(mut self, principal: impl Into<String>) -> Self {
        self.principal = Some(principal.into());
        self.is_principal_likely = false;
        self
    }

    /// Sets the principal that the source most likely authenticates as. For example, the mapping of
    /// an identity provider decides, which isn't known here.
    pub fn with_likely_principal(mut self, principal: impl Into<String>) -> Self {
        self.principal = Some(principal.into());
        self.is_principal_likely = true;
        self
    }

    /// Sets the audience of the tokens that the source exchanges: for a federated identity, the
    /// resource name of its provider.
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sets in which way the source's identity is, or may be, another one than when the source was
    /// made. For example, somebody replaced the file that the source reads.
    pub fn with_identity_change(mut self, change: impl Into<String>) -> Self {
        self.identity_change = Some(change.into());
        self
    }

    /// Sets the scopes that the source requests.
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.scopes = scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect();
        self
    }

    /// Sets the kind of the source's tokens. Default: unknown.
    pub fn with_token_kind(mut self, kind: TokenKind) -> Self {
        self.token_kind = Some(kind);
        self
    }

    /// Sets the URL that the source gets its tokens from.
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Adds an impersonation: the tokens described so far are used to get tokens of its target.
    ///
    /// The quota project, the [API client entry](Self::with_api_client_entry), the
    /// [access boundary](Self::with_access_boundary) and the
    /// [regional access boundary](Self::with_regional_access_boundary) belong to the tokens described
    /// so far, so they are cleared.
    pub fn with_hop(mut self, hop: Hop) -> Self {
        self.hops.push(hop);
        self.quota_project = None;
        self.api_client_entry = None;
        self.access_boundary = None;
        self.regional_access_boundary = None;
        self
    }

    /// Sets the universe domain, for example `googleapis.com`.
    pub fn with_universe_domain(mut self, domain: impl Into<String>) -> Self {
        self.universe_domain = Some(domain.into());
        self
    }

    /// Sets the project that requests with these tokens are counted against.
    ///
    /// The client and the layer send it as `x-goog-user-project`, unless they have their own.
    pub fn with_quota_project(mut self, project: impl Into<String>) -> Self {
        self.quota_project = Some(project.into());
        self
    }

    /// Sets the entry that the layer adds to `x-goog-api-client` on each request with these tokens:
    /// one word of visible ASCII, for example `cred-type/imp`. Any other value is ignored.
    ///
    /// Google's libraries report the kind of their credentials in this way.
    pub fn with_api_client_entry(mut self, entry: &'static str) -> Self {
        let is_word = !entry.is_empty() && entry.bytes().all(|byte| byte.is_ascii_graphic());
        self.api_client_entry = is_word.then_some(entry);
        self
    }

    /// Sets what the tokens are limited to, if they are downscoped: see
    /// [`Credentials::downscope`](crate::Credentials::downscope), which refuses to downscope them
    /// again.
    pub fn with_access_boundary(mut self, boundary: impl Into<String>) -> Self {
        self.access_boundary = Some(boundary.into());
        self
    }

    /// Sets what is known of the regional access boundary of the tokens, if it is looked up: see
    /// `Credentials::with_regional_access_boundary` (feature `credential-files`).
    pub fn with_regional_access_boundary(mut self, state: impl Into<String>) -> Self {
        self.regional_access_boundary = Some(state.into());
        self
    }

    /// Returns what kind of source this is, if known.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Returns the file that the source reads, if it reads one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns why this source or file was chosen, if known.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Returns the principal of the tokens, if known: that of the last [hop](Self::hops), or the
    /// [source's](Self::source_principal) if there is no hop.
    pub fn principal(&self) -> Option<&str> {
        self.hops.last().map(Hop::principal).or(self.source_principal())
    }

    /// Returns whether [`principal`](Self::principal) may be another one: see
    /// [`with_likely_principal`](Self::with_likely_principal).
    pub fn is_principal_likely(&self) -> bool {
        self.is_principal_likely && self.hops.is_empty()
    }

    /// Returns whether [`source_principal`](Self::source_principal) may be another one.
    pub fn is_source_principal_likely(&self) -> bool {
        self.is_principal_likely
    }

    /// Returns the principal that the source authenticates as, before any impersonation, if known.
    pub fn source_principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// Returns the audience of the tokens that the source exchanges, if it exchanges any: for a
    /// federated identity, the resource name of its provider.
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// Returns in which way the source's identity is, or may be, another one than when the source was
    /// made.
    pub fn identity_change(&self) -> Option<&str> {
        self.identity_change.as_deref()
    }

    /// Returns the scopes of the tokens: those of the last [hop](Self::hops), or those that the
    /// source requests if there is no hop. Empty if they are unknown.
    pub fn scopes(&self) -> &[String] {
        self.hops.last().map_or(self.source_scopes(), Hop::scopes)
    }

    /// Returns the scopes that the source requests, before any impersonation. Empty if they are unknown.
    pub fn source_scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Returns the kind of the tokens, if known: that of the last [hop](Self::hops), or that of the
    /// source's tokens if there is no hop.
    pub fn token_kind(&self) -> Option<TokenKind> {
        self.hops.last().map_or(self.token_kind, Hop::token_kind)
    }

    /// Returns the URL that the tokens come from, if known: the API of the last
    /// [hop](Self::hops), or the source's endpoint if there is no hop.
    pub fn endpoint(&self) -> Option<&str> {
        self.hops.last().map_or(self.source_endpoint(), Hop::endpoint)
    }

    /// Returns the URL that the source gets its tokens from, before any impersonation, if known.
    pub fn source_endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Returns the impersonations, in the order in which they happen.
    pub fn hops(&self) -> &[Hop] {
        &self.hops
    }

    /// Returns the universe domain, if known.
    pub fn universe_domain(&self) -> Option<&str> {
        self.universe_domain.as_deref()
    }

    /// Returns the quota project, if known.
    pub fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }

    /// Returns what the tokens are limited to, if they are known to be downscoped.
    pub fn access_boundary(&self) -> Option<&str> {
        self.access_boundary.as_deref()
    }

    /// Returns what is known of the regional access boundary of the tokens, if it is looked up.
    pub fn regional_access_boundary(&self) -> Option<&str> {
        self.regional_access_boundary.as_deref()
    }

    /// Returns the entry that the layer adds to `x-goog-api-client`, if any.
    pub fn api_client_entry(&self) -> Option<&'static str> {
        self.api_client_entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_replaces_the_principal_and_what_belongs_to_the_earlier_tokens() {
        let source = SourceInfo::new()
            .with_principal("me@example.com")
            .with_scopes(["source"])
            .with_token_kind(TokenKind::AccessToken)
            .with_endpoint("https://tokens")
            .with_quota_project("mine")
            .with_api_client_entry("cred-type/u");
        let source_kind = source.token_kind();
        assert_eq!(source.principal(), Some("me@example.com"));
        assert_eq!(
            (source.scopes(), source.endpoint()),
            (&["source".to_owned()][..], Some("https://tokens"))
        );

        let acting = source.with_hop(Hop::new("b@p").with_scopes(["s"]).with_endpoint("https://iam"));
        assert_eq!((acting.principal(), acting.source_principal()), (Some("b@p"), Some("me@example.com")));
        assert_eq!((acting.scopes(), acting.endpoint()), (&["s".to_owned()][..], Some("https://iam")));
        assert_eq!((acting.quota_project(), acting.api_client_entry()), (None, None));
        assert_eq!((source_kind, acting.token_kind()), (Some(TokenKind::AccessToken), None));

        let boss = acting.with_hop(Hop::new("c@p").with_subject("boss@example.com"));
        assert_eq!(boss.principal(), Some("boss@example.com"));
        assert_eq!(boss.hops().len(), 2);
    }

    #[test]
    fn an_api_client_entry_that_no_header_can_carry_is_ignored() {
        for entry in ["", "two words", "line\nbreak", "h\u{e9}"] {
            assert_eq!(SourceInfo::new().with_api_client_entry(entry).api_client_entry(), None, "{entry:?}");
        }
    }
}
