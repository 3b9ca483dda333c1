//! Credentials: a source of tokens behind a cache.
//!
//! [`Credentials`] is the handle that everything that authenticates takes. This module contains the
//! types around it: [`CredentialsBuilder`] creates credentials from files with options,
//! [`KeepWarm`] keeps a token cached, and [`CacheStatus`] reports how the cache is doing.

mod builder;
mod cache;
mod cached_token;
mod clock;
mod deadline;
mod failure;
mod fetch;
mod fetch_queue;
#[cfg(feature = "gcp-auth")]
mod gcp_auth_provider;
#[cfg(feature = "google-cloud-auth")]
mod google_cloud_auth;
mod instant;
mod keep_warm;
mod network;
mod registry;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod simulation;
mod snapshot;
mod state;
mod status;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};
use tokio::time::Instant;

pub use self::builder::CredentialsBuilder;
#[cfg(feature = "credential-files")]
pub(crate) use self::builder::FederationOptions;
use self::cache::Cache;
pub(crate) use self::clock::JitterSeed;
use self::clock::SystemTimeSource;
pub(crate) use self::clock::TimeSource;
use self::deadline::Deadline;
pub(crate) use self::fetch_queue::FetchQueue;
pub use self::keep_warm::KeepWarm;
pub(crate) use self::network::Network;
pub(crate) use self::registry::{SentToken, invalidate_sent};
use self::state::Demand;
pub use self::status::CacheStatus;
use crate::environment::{EMULATOR_VARIABLE, variable};
use crate::measurements::hit;
use crate::source::{ClosureSource, Explanation, FetchRequest, FixedToken, SourceInfo};
use crate::{Error, Token, TokenSource};

/// A source of tokens behind a cache.
///
/// Everything that authenticates takes this type. It is cheap to clone, and clones share the
/// cache. Creating one needs no runtime and sends nothing: the first use fetches the first token.
///
/// * One fetch runs at a time, in a task of its own. All callers that wait for it share its
///   result, a token or an error. Dropping one waiter doesn't cancel the fetch.
/// * A token is refreshed ahead of its expiry: see [`REFRESH_AHEAD`](Self::REFRESH_AHEAD). The
///   first use after that starts the refresh, and still gets the old token at once. No task exists
///   between fetches, unless [`keep_warm`](Self::keep_warm) starts one.
/// * A failed refresh doesn't replace a good token, which is served until its expiry. Further
///   refreshes are tried after pauses that grow from 1 s to 30 s.
/// * If there is no token, a transient failure is returned again for up to 1 s, and a permanent
///   one for up to 5 s. Then the source is asked again.
/// * If the file that the credentials come from is replaced, that ends these pauses: the next call
///   uses the new file. See [`TokenSource::revision`].
/// * A token is never served past its expiry, by the monotonic clock or by the wall clock. The
///   wall clock is read at most once a second.
///
/// ```
/// use gcp_iam_credentials::{Credentials, Token};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), gcp_iam_credentials::Error> {
/// let credentials =
///     Credentials::from_fn(|| async { Token::new("secret", None) });
///
/// let token = credentials.token().await?; // Fetches the first token.
/// assert_eq!(token.secret(), "secret");
/// assert!(credentials.is_valid()); // From now on the token is cached.
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Credentials {
    cache: Arc<Cache>,
}

impl Credentials {
    /// How long a fetch may take: 60 s. After that it has failed.
    pub const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

    /// How long before its expiry a token is refreshed: 225 s, or a quarter of its life if that is
    /// less.
    ///
    /// Up to a fifth is added at random, so that many tokens that were fetched together aren't
    /// refreshed together. Google's libraries for other languages use the same value.
    pub const REFRESH_AHEAD: Duration = Duration::from_secs(225);

    /// How long before its expiry a token is served only if no newer one is available: 10 s, or a
    /// tenth of its life if that is less.
    pub const USE_UNTIL: Duration = Duration::from_secs(10);

    /// Creates credentials from a custom source.
    ///
    /// ```
    /// use gcp_iam_credentials::source::{BoxFuture, FetchRequest};
    /// use gcp_iam_credentials::{Credentials, Error, Token, TokenSource};
    ///
    /// struct Vault;
    ///
    /// impl TokenSource for Vault {
    ///     fn fetch<'a>(
    ///         &'a self,
    ///         _request: FetchRequest<'a>,
    ///     ) -> BoxFuture<'a, Result<Token, Error>> {
    ///         Box::pin(async { Token::new("from-the-vault", None) })
    ///     }
    /// }
    ///
    /// let credentials = Credentials::from_source(Vault);
    /// ```
    pub fn from_source(source: impl TokenSource + 'static) -> Self {
        Self::from_shared_source(Arc::new(source))
    }

    /// Creates credentials from a source that others hold too.
    pub(crate) fn from_shared_source(source: Arc<dyn TokenSource>) -> Self {
        Self::with_time_source(source, SystemTimeSource)
    }

    /// Creates credentials whose fetches wait for their turns in `queue`.
    pub(crate) fn in_queue(
        source: Arc<dyn TokenSource>,
        queue: Arc<FetchQueue>,
        seed: Option<&JitterSeed>,
    ) -> Self {
        let cache = match seed {
            None => Cache::new(source, SystemTimeSource, Some(queue)),
            Some(seed) => Cache::new(source, seed.clone(), Some(queue)),
        };
        Self { cache: Arc::new(cache) }
    }

    /// Creates credentials whose wall clock and jitter come from `time`.
    pub(crate) fn with_time_source(source: Arc<dyn TokenSource>, time: impl TimeSource + 'static) -> Self {
        Self { cache: Arc::new(Cache::new(source, time, None)) }
    }

    /// Creates credentials from an async closure, which is called for every new token.
    ///
    /// ```
    /// use gcp_iam_credentials::{Credentials, Token};
    ///
    /// let credentials =
    ///     Credentials::from_fn(|| async { Token::new("secret", None) });
    /// ```
    pub fn from_fn<F, T>(fetch: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<Token, Error>> + Send + 'static,
    {
        Self::from_source(ClosureSource(fetch))
    }

    /// Creates credentials that always return this token, until it expires.
    ///
    /// ```
    /// use gcp_iam_credentials::{Credentials, Token};
    ///
    /// let credentials = Credentials::fixed(Token::new("secret", None)?);
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    pub fn fixed(token: Token) -> Self {
        Self::from_source(FixedToken::new(token))
    }

    /// Creates credentials from a provider of the crate gcp_auth.
    ///
    /// gcp_auth has a cache of its own, so the provider is asked for a new token only 20 s before
    /// the old one expires. If a scope is invalid, each fetch fails with
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput).
    #[cfg(feature = "gcp-auth")]
    pub fn from_gcp_auth(
        provider: Arc<dyn gcp_auth::TokenProvider>,
        scopes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Self {
        Self::from_source(crate::source::GcpAuthSource::new(provider, scopes))
    }

    /// Returns a good token: the cached one, or a new one.
    ///
    /// Waits only if no token is cached, or if the cached one expires within
    /// [`USE_UNTIL`](Self::USE_UNTIL) or was [invalidated](Self::invalidate). In the last two cases
    /// it waits at most 2 s, and then returns the cached token if that is still live. If a fetch is
    /// needed, call it inside a tokio runtime with timers enabled. If it is in a
    /// [pool](crate::pool::PoolBuilder::max_fetches_per_minute), the fetch may wait for its turn, for up
    /// to 5 min.
    ///
    /// # Errors
    ///
    /// The source's error, or `Timeout` after [`FETCH_TIMEOUT`](Self::FETCH_TIMEOUT).
    /// `Credentials` if a fetch is needed and there is no tokio runtime with timers.
    pub async fn token(&self) -> Result<Token, Error> {
        match self.poll_fast() {
            Some(token) => Ok(token),
            None => some(self.cache.wait(Demand::Token, Deadline::by_default()).await),
        }
    }

    /// Returns the cached token if it is good. Never waits, and starts no fetch.
    pub fn cached(&self) -> Option<Token> {
        hit(self.servable())
    }

    /// Returns whether a good token is cached.
    pub fn is_valid(&self) -> bool {
        self.servable().is_some()
    }

    /// Returns when the cached token expires; `None` if no token is cached, or if it doesn't
    /// expire.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.cache.read(|state, _| state.token()?.expires_at())
    }

    /// Fetches a new token, whatever is cached and however the last fetch ended. Joins the fetch
    /// in progress, if there is one.
    ///
    /// # Errors
    ///
    /// As for [`token`](Self::token). The cached token stays as it is.
    ///
    /// ```
    /// use gcp_iam_credentials::Credentials;
    ///
    /// # async fn f(credentials: Credentials) -> Result<(), gcp_iam_credentials::Error> {
    /// // An administrator has just granted a role: don't wait for the pause
    /// // after the last failure to end.
    /// let token = credentials.refresh().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn refresh(&self) -> Result<Token, Error> {
        some(self.cache.wait(Demand::Refresh, Deadline::by_default()).await)
    }

    /// Keeps a token cached until the guard is dropped, so that no request has to wait for one.
    ///
    /// A task on the current tokio runtime fetches the first token at once, and refreshes each
    /// token in time. Without a runtime, or without its timers, nothing is kept warm, and a warning
    /// is logged.
    /// [`status`](Self::status) reports failures. The guard keeps the cache alive, like a clone of
    /// the credentials.
    ///
    /// ```
    /// use gcp_iam_credentials::Credentials;
    ///
    /// # async fn serve() {}
    /// # async fn f(credentials: Credentials) {
    /// let _guard = credentials.keep_warm();
    /// serve().await; // As long as this runs, a token is cached.
    /// # }
    /// ```
    pub fn keep_warm(&self) -> KeepWarm {
        KeepWarm::start(Arc::clone(&self.cache))
    }

    /// Invalidates the cached token because an API rejected it. The next use gets another one.
    ///
    /// Does nothing if `token` isn't cached any more. Rejected tokens start three refreshes at once,
    /// and then one in 30 s, so an API that rejects every token causes no storm. If the source
    /// returns the rejected token, it is asked again after 30 s, and less often while the same token
    /// keeps coming, but at least once in 5 min.
    ///
    /// Other APIs may accept the rejected token, so it is served until its expiry if there is no
    /// other: while the refresh fails, is paused, or takes longer than 2 s.
    ///
    /// ```
    /// use gcp_iam_credentials::Credentials;
    ///
    /// # async fn f(credentials: Credentials) -> Result<(), gcp_iam_credentials::Error> {
    /// let token = credentials.token().await?;
    /// // … a request with this token fails with UNAUTHENTICATED …
    /// credentials.invalidate(&token);
    /// let another = credentials.token().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn invalidate(&self, token: &Token) {
        self.cache.reject(token);
    }

    /// Sets the `authorization` header, and replaces one that is set already.
    ///
    /// # Errors
    ///
    /// As for [`token`](Self::token).
    ///
    /// ```
    /// use gcp_iam_credentials::{Credentials, Token};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), gcp_iam_credentials::Error> {
    /// let credentials = Credentials::fixed(Token::new("secret", None)?);
    /// let mut headers = http::HeaderMap::new();
    /// credentials.apply(&mut headers).await?;
    /// assert_eq!(headers["authorization"], "Bearer secret");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn apply(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        let token = self.token().await?;
        headers.insert(header::AUTHORIZATION, token.header_value().clone());
        if token.needs_boundary() {
            token.set_boundary(headers);
        }
        Ok(())
    }

    /// Returns a snapshot of the cache's state.
    pub fn status(&self) -> CacheStatus {
        self.cache.status()
    }

    /// Returns the source, to fetch without the cache.
    pub(crate) fn source(&self) -> &Arc<dyn TokenSource> {
        &self.cache.source
    }

    /// Returns what is known about the source without a fetch, such as the principal.
    pub fn info(&self) -> SourceInfo {
        self.cache.source.info()
    }

    /// Explains which credentials these are: the file or source that was chosen and why, the
    /// principals from the source to the one that the tokens belong to, scopes, universe, endpoint
    /// and quota project. Sends nothing.
    ///
    /// ```
    /// # use gcp_iam_credentials::{Credentials, Token};
    /// let credentials = Credentials::fixed(Token::new("secret", None)?);
    /// assert_eq!(credentials.explain().to_string(), "credentials: a fixed token");
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    pub fn explain(&self) -> Explanation {
        Explanation::new(self.info()).with_emulator(variable(EMULATOR_VARIABLE))
    }

    /// Returns the cached token if it is good.
    fn servable(&self) -> Option<Token> {
        self.cache.fresh().or_else(|| self.cache.servable())
    }

    /// Returns the token if it may be served without waiting, and starts a due fetch in the background.
    /// While the token is fresh: no lock, no allocation, one read of the monotonic clock.
    #[inline]
    pub(crate) fn poll_fast(&self) -> Option<Token> {
        hit(self.poll_again())
    }

    /// As [`poll_fast`](Self::poll_fast), for a request that is counted already.
    #[inline]
    pub(crate) fn poll_again(&self) -> Option<Token> {
        self.cache.fresh().or_else(|| self.cache.poll())
    }

    /// Returns a live token for a caller that can't wait, even if others wait for a better one. If a
    /// fetch is due, starts it in the background.
    pub(crate) fn token_without_waiting(&self) -> Result<Token, Error> {
        self.cache.token_without_waiting().inspect(|token| _ = hit(Some(token)))
    }

    /// Shows a fresh token to `stamp`, at the same cost, without counting another reference to it.
    /// Returns its generation, for [`SentToken`]. If there is no fresh token, does nothing:
    /// [`poll_fast`](Self::poll_fast) is the next to ask.
    #[inline]
    pub(crate) fn show_fresh(&self, stamp: impl FnOnce(&Token)) -> Option<u64> {
        hit(self.cache.show_fresh(stamp))
    }

    /// Returns the number of the cache, for [`invalidate_sent`].
    pub(crate) fn number(&self) -> u64 {
        self.cache.registration.number(|| Arc::downgrade(&self.cache) as _)
    }

    /// As [`token`](Self::token), for a caller that stops waiting at `deadline`. The fetch goes on.
    pub(crate) async fn token_within(&self, deadline: Instant) -> Result<Token, Error> {
        match self.poll_fast() {
            Some(token) => Ok(token),
            None => some(self.cache.wait(Demand::Token, deadline).await),
        }
    }

    /// As [`token_within`](Self::token_within), for a caller that retries by itself: instead of
    /// returning a recent transient failure again, asks the source.
    pub(crate) async fn token_for_retry_within(&self, deadline: Instant) -> Result<Token, Error> {
        match self.poll_fast() {
            Some(token) => Ok(token),
            None => some(self.cache.wait(Demand::TokenForRetry, deadline).await),
        }
    }

    /// Invalidates `rejected` and returns another token. Returns `None` if there is none: the
    /// source returns the same token again, or the last rejection was a short while ago.
    ///
    /// # Errors
    ///
    /// The source's error, also if it is due to be asked again only later.
    pub(crate) async fn token_instead_of(
        &self,
        rejected: &Token,
        deadline: Instant,
    ) -> Result<Option<Token>, Error> {
        self.invalidate(rejected);
        let other = self.cache.wait(Demand::OtherThan(rejected), deadline).await?;
        match self.cache.read(|state, _| state.present_error().cloned()) {
            Some(error) if other.is_none() && !self.cache.is_source_replaced() => Err(error),
            _ => Ok(other),
        }
    }
}

// The constants above show their values in the docs. The cache uses the ones below.
const _: () = {
    assert!(Credentials::FETCH_TIMEOUT.as_nanos() == FetchRequest::TIME_LIMIT.as_nanos());
    assert!(Credentials::REFRESH_AHEAD.as_nanos() == cached_token::STALE_MARGIN.as_nanos());
    assert!(Credentials::USE_UNTIL.as_nanos() == cached_token::HARD_MARGIN.as_nanos());
};

fn some(waited: Result<Option<Token>, Error>) -> Result<Token, Error> {
    waited?.ok_or_else(|| Error::credentials("no token", true))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("source", &self.info())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}
