//! A user's login as a source: the refresh token that `gcloud auth application-default login`
//! stores.

use std::fmt;

use super::token_endpoint::{Grant, TokenEndpoint};
use super::{BoxFuture, FetchRequest, SourceInfo, TokenSource};
use crate::{Error, Token};

/// Exchanges the refresh token for an access token.
pub(crate) struct AuthorizedUserSource {
    pub(crate) endpoint: TokenEndpoint,
    pub(crate) client_id: Box<str>,
    pub(crate) client_secret: Box<str>,
    pub(crate) refresh_token: Box<str>,
    /// Narrows what the user consented to; `None` means all of it.
    pub(crate) scope: Option<Box<str>>,
    pub(crate) info: SourceInfo,
}

impl TokenSource for AuthorizedUserSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        let grant = Grant::RefreshToken {
            client_id: &self.client_id,
            client_secret: &self.client_secret,
            refresh_token: &self.refresh_token,
            scope: self.scope.as_deref(),
        };
        Box::pin(self.endpoint.exchange(grant, request.deadline()))
    }

    fn info(&self) -> SourceInfo {
        let info = self.info.clone();
        info.with_description("user credentials from a gcloud login (authorized_user)")
            .with_scopes(self.scope.iter().flat_map(|scope| scope.split(' ')))
            .with_endpoint(self.endpoint.uri())
    }
}

impl fmt::Debug for AuthorizedUserSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizedUserSource")
            .field("endpoint", &self.endpoint)
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
