//! What a token can be used for.

/// The kind of the tokens that a source fetches.
///
/// An adapter for another crate asks for it, so that a token is never used for something else: an
/// access token that goes to an application that expects an ID token would give it all that the
/// principal may do.
///
/// ```
/// use gcp_iam_credentials::source::{SourceInfo, TokenKind};
///
/// let info = SourceInfo::new().with_token_kind(TokenKind::AccessToken);
/// assert_eq!(info.token_kind(), Some(TokenKind::AccessToken));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenKind {
    /// An OAuth access token. Google's APIs accept it, within its scopes.
    AccessToken,
    /// An ID token. It proves the principal's identity to one audience, such as a Cloud Run service.
    IdToken,
    /// A JWT that the principal signed itself. The Google API that is its audience accepts it.
    SelfSignedJwt,
}

impl TokenKind {
    /// Returns the name in errors: `access tokens`.
    #[cfg(any(feature = "gcp-auth", feature = "google-cloud-auth"))]
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::AccessToken => "access tokens",
            Self::IdToken => "ID tokens",
            Self::SelfSignedJwt => "self-signed JWTs",
        }
    }
}
