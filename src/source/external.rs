//! A federated identity as a source: a token of another platform, the subject token, is exchanged for
//! one of Google's.

#[cfg(feature = "aws")]
mod aws;
mod file;
mod format;
mod request;
mod subject_token;
mod url;

use std::fmt;

use tokio::time::Instant;

#[cfg(feature = "aws")]
pub(crate) use self::aws::{AwsSource, MetadataServer, VerificationUrl};
pub(crate) use self::file::FileSource;
pub(crate) use self::format::TokenFormat;
pub(crate) use self::subject_token::{SubjectToken, SubjectTokenKind, SubjectTokenSource};
pub(crate) use self::url::UrlSource;
use super::token_endpoint::TokenEndpoint;
use super::{BoxFuture, FetchRequest, SourceInfo, TokenSource};
use crate::{Error, Token};

/// What the token service learns about the identity, besides the subject token.
#[derive(Debug)]
pub(crate) struct ExternalAccount {
    /// The provider that knows the identity.
    pub(crate) audience: Box<str>,
    pub(crate) subject_token_type: Box<str>,
    /// The program's own OAuth client.
    pub(crate) client: Option<OauthClient>,
    /// The project that the exchange is counted against, for identities of a workforce pool.
    pub(crate) user_project: Option<Box<str>>,
}

/// An OAuth client. Its secret may be empty.
pub(crate) struct OauthClient {
    pub(crate) id: Box<str>,
    pub(crate) secret: Box<str>,
}

impl fmt::Debug for OauthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OauthClient").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Exchanges subject tokens for access tokens.
pub(crate) struct ExternalAccountSource {
    pub(crate) account: ExternalAccount,
    pub(crate) subject_tokens: Box<dyn SubjectTokenSource>,
    pub(crate) endpoint: TokenEndpoint,
    pub(crate) scopes: Vec<String>,
    pub(crate) info: SourceInfo,
}

impl ExternalAccountSource {
    async fn token(&self, deadline: Instant) -> Result<Token, Error> {
        let subject_token = self.subject_tokens.fetch(deadline).await?;
        self.exchange(&subject_token, deadline).await
    }

    async fn exchange(&self, _subject_token: &SubjectToken, _deadline: Instant) -> Result<Token, Error> {
        Err(Error::credentials("the exchange of subject tokens isn't built yet", false))
    }
}

impl TokenSource for ExternalAccountSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(self.token(request.deadline()))
    }

    fn info(&self) -> SourceInfo {
        let origin = self.subject_tokens.origin();
        let description =
            format!("a federated identity (external_account), with subject tokens from {origin}");
        let info = self.info.clone().with_description(description).with_audience(&*self.account.audience);
        info.with_scopes(&self.scopes).with_endpoint(self.endpoint.uri())
    }
}

impl fmt::Debug for ExternalAccountSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAccountSource")
            .field("account", &self.account)
            .field("subject_tokens", &self.subject_tokens.origin())
            .field("endpoint", &self.endpoint)
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
