//! The handle that everything which authenticates takes.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use http::{HeaderMap, header};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::source::{FixedToken, FunctionSource};
use crate::{Error, FetchReason, FetchRequest, SourceInfo, Token, TokenSource};

/// A source of tokens behind a cache.
///
/// Cheap to clone; clones share the cache. Building one needs no runtime and sends nothing: the
/// first use fetches the first token. One fetch runs at a time, and all who wait for it share its
/// outcome.
#[derive(Clone)]
pub struct Credentials {
    shared: Arc<Shared>,
}

struct Shared {
    source: Box<dyn TokenSource>,
    token: ArcSwapOption<Token>,
    /// Held while a fetch runs.
    flight: Mutex<()>,
}

impl Credentials {
    /// How long a fetch may take.
    pub const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

    /// How long before its expiry a token is replaced.
    pub const REFRESH_AHEAD: Duration = Duration::from_secs(225);

    /// Credentials from a source of one's own.
    pub fn from_source(source: impl TokenSource + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                source: Box::new(source),
                token: ArcSwapOption::empty(),
                flight: Mutex::new(()),
            }),
        }
    }

    /// Credentials from an async closure, which is called for every new token.
    ///
    /// ```
    /// use gcp_iam_credentials::{Credentials, Token};
    ///
    /// let credentials = Credentials::from_fn(|| async { Token::new("from-elsewhere", None) });
    /// ```
    pub fn from_fn<F, T>(fetch: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<Token, Error>> + Send + 'static,
    {
        Self::from_source(FunctionSource(fetch))
    }

    /// Credentials that always hand out this token, until it expires.
    pub fn fixed(token: Token) -> Self {
        Self::from_source(FixedToken(token))
    }

    /// Credentials from a gcp_auth provider of the caller's own.
    ///
    /// gcp_auth caches by itself: a token is asked for anew only 20 s before its expiry.
    #[cfg(feature = "gcp-auth")]
    pub fn from_gcp_auth(
        provider: Arc<dyn gcp_auth::TokenProvider>,
        scopes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Self {
        let scopes = scopes.into_iter().map(|scope| scope.as_ref().into()).collect();
        Self::from_source(crate::source::GcpAuthSource::new(provider, scopes))
    }

    /// A token that is good now: the cached one, or a new one.
    ///
    /// # Errors
    ///
    /// The source's, or a timeout after [`FETCH_TIMEOUT`](Self::FETCH_TIMEOUT).
    pub async fn token(&self) -> Result<Token, Error> {
        match self.cached() {
            Some(token) => Ok(token),
            None => self.fetch(FetchReason::Empty, None).await,
        }
    }

    /// The cached token, if it is good now. Never waits.
    pub fn cached(&self) -> Option<Token> {
        let token = self.shared.token.load();
        let token = token.as_deref()?;
        let fresh = match token.expires_at() {
            Some(expiry) => SystemTime::now() + Self::REFRESH_AHEAD < expiry,
            None => true,
        };
        fresh.then(|| token.clone())
    }

    /// Whether a token is cached and good now.
    pub fn is_valid(&self) -> bool {
        self.cached().is_some()
    }

    /// When the cached token expires; `None` where there is none, or it has no expiry.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.shared.token.load().as_deref()?.expires_at()
    }

    /// Fetches a new token, whatever the cache holds.
    pub async fn refresh(&self) -> Result<Token, Error> {
        let old = self.shared.token.load_full();
        self.fetch(FetchReason::Requested, old.as_deref()).await
    }

    /// Forgets `token`, which an API refused, if it is still the cached one.
    pub fn invalidate(&self, token: &Token) {
        let cached = self.shared.token.load_full();
        if cached.as_deref().is_some_and(|cached| cached.is_same(token)) {
            self.shared.token.compare_and_swap(&cached, None);
        }
    }

    /// Sets the `authorization` header, replacing any that is there.
    pub async fn apply(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        headers.insert(header::AUTHORIZATION, self.token().await?.header_value().clone());
        Ok(())
    }

    /// Who the tokens speak for, as far as that is known without a fetch.
    pub fn info(&self) -> SourceInfo {
        self.shared.source.info()
    }

    async fn fetch(&self, reason: FetchReason, old: Option<&Token>) -> Result<Token, Error> {
        let deadline = Instant::now() + Self::FETCH_TIMEOUT;
        let fetch = async {
            let _flight = self.shared.flight.lock().await;
            if let Some(token) = self.cached().filter(|token| old.is_none_or(|old| !token.is_same(old))) {
                return Ok(token);
            }
            let rejected = old.filter(|_| reason == FetchReason::Rejected);
            let token = self.shared.source.fetch(FetchRequest::new(reason, rejected, deadline)).await?;
            self.shared.token.store(Some(Arc::new(token.clone())));
            Ok(token)
        };
        let outcome = tokio::time::timeout_at(deadline, fetch).await;
        outcome.unwrap_or_else(|_| Err(Error::timeout("the source gave no token in time", None)))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("source", &self.info())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}
