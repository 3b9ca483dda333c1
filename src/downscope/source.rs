//! Downscoped tokens: a token of another source is exchanged for one with fewer permissions.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::source::token_endpoint::{Grant, TokenEndpoint, TokenExchange};
use crate::source::{BoxFuture, CacheHints, FetchReason, FetchRequest, SourceInfo};
use crate::sts_protocol::ACCESS_TOKEN_TYPE;
use crate::{Credentials, Error, Token, TokenSource};

/// Exchanges tokens of its source.
pub(super) struct DownscopedSource {
    source: Credentials,
    endpoint: TokenEndpoint,
    /// The options of the exchange, as JSON.
    options: Box<str>,
    /// The boundary, for people.
    boundary: String,
    quota_project: Option<String>,
    last: Mutex<Option<Exchanged>>,
}

/// The tokens of the last exchange.
struct Exchanged {
    source: Token,
    downscoped: Token,
}

impl DownscopedSource {
    pub(super) fn new(
        source: Credentials,
        endpoint: TokenEndpoint,
        options: &str,
        boundary: String,
        quota_project: Option<String>,
    ) -> Self {
        Self { source, endpoint, options: options.into(), boundary, quota_project, last: Mutex::default() }
    }

    /// Exchanges the source's token. If it is refused, the source is asked for another one.
    async fn token(&self, request: FetchRequest<'_>) -> Result<Token, Error> {
        let deadline = request.deadline();
        let token = self.source_token(request).await?;
        let refusal = match self.exchange(&token, deadline).await {
            Err(error) if error.oauth_code() == Some("invalid_grant") => error,
            outcome => return outcome,
        };
        match self.source.token_instead_of(&token, deadline).await {
            Ok(Some(other)) => self.exchange(&other, deadline).await,
            _ => Err(refusal),
        }
    }

    /// Returns a token of the source. If the token made from the last one was rejected, returns another
    /// one if there is one: it may be the source's token that isn't accepted any more.
    async fn source_token(&self, request: FetchRequest<'_>) -> Result<Token, Error> {
        let mut token = None;
        if let Some(rejected) = self.rejected_source_token(request) {
            // A source that hangs leaves time for an exchange of the token that it has.
            let patience = Instant::now() + request.time_left() / 2;
            token = self.source.token_instead_of(&rejected, patience).await.ok().flatten();
        }
        let token = match token {
            Some(other) => other,
            None => {
                let token = self.source.token_within(request.deadline()).await;
                token.map_err(Error::no_source_token)?
            }
        };
        if is_jwt(token.secret()) {
            let error = Error::credentials("the source's token is a JWT, which can't be downscoped", false);
            return Err(error.fix_by("use a source of access tokens, for example by impersonation"));
        }
        Ok(token)
    }

    fn rejected_source_token(&self, request: FetchRequest<'_>) -> Option<Token> {
        let rejected = request.rejected().filter(|_| request.reason() == FetchReason::Rejected)?;
        let last = self.last();
        last.as_ref().filter(|last| last.downscoped.is_same(rejected)).map(|last| last.source.clone())
    }

    async fn exchange(&self, token: &Token, deadline: Instant) -> Result<Token, Error> {
        let exchange = TokenExchange {
            subject_token: token.secret(),
            subject_token_type: ACCESS_TOKEN_TYPE,
            options: &self.options,
            ..TokenExchange::default()
        };
        let downscoped = self.endpoint.exchange(Grant::TokenExchange(exchange), deadline).await?;
        // A reply without an expiry means that of the source's token, and no token outlives that one.
        let expiry = [downscoped.expires_at(), token.expires_at()].into_iter().flatten().min();
        let downscoped = downscoped.with_expiry(expiry);
        *self.last() = Some(Exchanged { source: token.clone(), downscoped: downscoped.clone() });
        Ok(downscoped)
    }

    fn last(&self) -> MutexGuard<'_, Option<Exchanged>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this is a JWT, which has no scopes that the token service could narrow.
fn is_jwt(token: &str) -> bool {
    // `{"` in the encoding of JWTs.
    token.starts_with("eyJ") && token.matches('.').count() == 2
}

impl TokenSource for DownscopedSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(self.token(request))
    }

    fn info(&self) -> SourceInfo {
        let limit = format!("{} (by {})", self.boundary, self.endpoint.uri());
        let info = self.source.info().with_access_boundary(limit);
        match &self.quota_project {
            Some(project) => info.with_quota_project(project),
            None => info,
        }
    }

    fn cache_hints(&self) -> CacheHints {
        match self.source.source().cache_hints().max_lifetime() {
            Some(lifetime) => CacheHints::new().with_max_lifetime(lifetime),
            None => CacheHints::new(),
        }
    }

    fn revision(&self) -> u64 {
        self.source.source().revision()
    }
}

impl fmt::Debug for DownscopedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownscopedSource")
            .field("source", &self.source)
            .field("endpoint", &self.endpoint)
            .field("boundary", &self.boundary)
            .finish_non_exhaustive()
    }
}
