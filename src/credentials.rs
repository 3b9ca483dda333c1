//! The handle that everything which authenticates takes.

mod cache;
mod cached_token;
mod clock;
mod fetch;
mod keep_warm;
#[cfg(test)]
mod scenarios;
mod snapshot;
mod state;
mod status;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};
use tokio::time::Instant;

use self::cache::{Shared, Want};
use self::clock::Clock;
pub use self::keep_warm::KeepWarm;
use self::state::Now;
pub use self::status::CacheStatus;
use crate::environment::{EMULATOR_VARIABLE, variable};
use crate::source::{ClosureSource, Explanation, FetchRequest, FixedToken};
use crate::source::{FetchReason, SourceInfo};
use crate::{Error, Token, TokenSource};

/// A source of tokens behind a cache.
///
/// Cheap to clone; clones share the cache. Building one needs no runtime and sends nothing: the
/// first use fetches the first token.
///
/// * One fetch runs at a time, in a task of its own, and all who wait for it share its outcome,
///   be it a token or an error. A caller that leaves hurts nobody.
/// * A token is replaced ahead of its expiry ([`REFRESH_AHEAD`](Self::REFRESH_AHEAD)) by the first
///   use after that, which still gets the old one and waits for nothing. No task exists between
///   fetches, unless [`keep_warm`](Self::keep_warm) asks for one.
/// * A failed refresh leaves a good token alone: it is handed out until its expiry, while further
///   refreshes are tried with growing waits of 1 to 30 s. Where there is no token, a transient
///   failure is handed out again for up to 1 s and a permanent one for up to 5 s; then the source
///   is asked anew.
/// * A token is not handed out past its expiry, by the monotonic or by the wall clock, which is
///   read at most once a second.
#[derive(Clone)]
pub struct Credentials {
    shared: Arc<Shared>,
}

impl Credentials {
    /// How long a fetch may take. After that it counts as failed.
    pub const FETCH_TIMEOUT: Duration = FetchRequest::TIME_LIMIT;

    /// How long before its expiry a token is replaced: this, or a quarter of its life if that is
    /// less, and up to a fifth more by chance, so that many tokens made together are not replaced
    /// together. It is what Google's libraries for other languages use.
    pub const REFRESH_AHEAD: Duration = cached_token::STALE_MARGIN;

    /// How long before its expiry a token is handed out only if no newer one can be had: this, or
    /// a tenth of its life if that is less.
    pub const USE_UNTIL: Duration = cached_token::HARD_MARGIN;

    /// Credentials from a source of one's own.
    pub fn from_source(source: impl TokenSource + 'static) -> Self {
        Self { shared: Arc::new(Shared::new(Arc::new(source))) }
    }

    /// Credentials from a source that somebody else holds as well.
    pub(crate) fn from_shared_source(source: Arc<dyn TokenSource>) -> Self {
        Self { shared: Arc::new(Shared::new(source)) }
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
        Self::from_source(ClosureSource(fetch))
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
    /// It waits only where there is no token, or none that lives for long enough. Call it inside a
    /// tokio runtime with timers enabled; elsewhere it is of use only while a token is cached.
    ///
    /// # Errors
    ///
    /// The source's, or a timeout after [`FETCH_TIMEOUT`](Self::FETCH_TIMEOUT).
    pub async fn token(&self) -> Result<Token, Error> {
        self.token_within(Self::patience()).await
    }

    /// The cached token, if it is good now. Never waits, and starts no fetch.
    pub fn cached(&self) -> Option<Token> {
        self.shared.fresh().or_else(|| self.shared.servable())
    }

    /// Whether a token is cached and good now.
    pub fn is_valid(&self) -> bool {
        self.cached().is_some()
    }

    /// When the cached token expires; `None` where there is none, or it has no expiry.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.shared.read(|state, _| state.token()?.expires_at())
    }

    /// Fetches a new token, whatever the cache holds and however the last fetch ended. Joins the
    /// fetch that is under way, if one is.
    ///
    /// # Errors
    ///
    /// As for [`token`](Self::token). The cached token stays as it is.
    pub async fn refresh(&self) -> Result<Token, Error> {
        some(self.shared.wait(Want::Fetched(FetchReason::Requested), Self::patience()).await)
    }

    /// Waits until a token is there, so that the first use need not.
    ///
    /// # Errors
    ///
    /// As for [`token`](Self::token): at start-up it tells whether the credentials work.
    pub async fn ready(&self) -> Result<(), Error> {
        self.token().await.map(drop)
    }

    /// Keeps a token ready, with no call to ask for it, until the guard is dropped.
    ///
    /// It fetches the first token at once, and each next one when it falls due, in a task on the
    /// runtime that this is called in; outside of a runtime nothing is kept warm, and a warning
    /// is logged. Failures end up in [`status`](Self::status). The guard is a handle like any
    /// other: while it lives, so does the cache.
    pub fn keep_warm(&self) -> KeepWarm {
        KeepWarm::start(self.clone())
    }

    /// Tells the cache that an API refused `token`, so that the next use gets another one.
    ///
    /// It acts only if that token is still the cached one, and once for each token. Refused
    /// tokens start at most one refresh in 30 s: an API that refuses everything gets what is
    /// there. Should the refresh fail, the refused token is handed out meanwhile, for another
    /// API may well take it.
    pub fn invalidate(&self, token: &Token) {
        self.shared.refuse(token);
    }

    /// Sets the `authorization` header, replacing any that is there.
    ///
    /// # Errors
    ///
    /// As for [`token`](Self::token).
    pub async fn apply(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        headers.insert(header::AUTHORIZATION, self.token().await?.header_value().clone());
        Ok(())
    }

    /// How the tokens fare: the last refresh, the last error, the next attempt, counts.
    pub fn status(&self) -> CacheStatus {
        self.shared.read(CacheStatus::new)
    }

    /// Who the tokens speak for, as far as that is known without a fetch.
    pub fn info(&self) -> SourceInfo {
        self.shared.source.info()
    }

    /// Which credentials these are: the file or source that was chosen and why, the principals
    /// from the source to whom the tokens speak for, scopes, universe, endpoint and quota project.
    /// Nothing is sent.
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

    /// The token, if it may be handed out without waiting. Where a fetch is due it is started, in
    /// the background.
    ///
    /// While the token is fresh: no lock, no allocation, one read of the monotonic clock.
    #[inline]
    pub(crate) fn poll_fast(&self) -> Option<Token> {
        self.shared.fresh().or_else(|| self.shared.poll_slow())
    }

    /// Shows a fresh token to `stamp`, at the same cost and without counting a reference to it; says
    /// its generation, for [`invalidate_generation`](Self::invalidate_generation). Otherwise does
    /// nothing, and [`poll_fast`](Self::poll_fast) is the next to ask.
    #[inline]
    pub(crate) fn show_fresh(&self, stamp: impl FnOnce(&Token)) -> Option<u64> {
        self.shared.show_fresh(stamp)
    }

    /// As [`invalidate`](Self::invalidate), for the token that had this generation.
    pub(crate) fn invalidate_generation(&self, generation: u64) {
        self.shared.refuse_generation(generation);
    }

    /// As [`token`](Self::token), for a caller that leaves at `deadline`. The fetch goes on for
    /// the others.
    pub(crate) async fn token_within(&self, deadline: Instant) -> Result<Token, Error> {
        match self.poll_fast() {
            Some(token) => Ok(token),
            None => some(self.shared.wait(Want::Good, deadline).await),
        }
    }

    /// As [`token_within`](Self::token_within), for a caller that retries by itself: a transient
    /// failure of a moment ago is not handed out again, the source is asked.
    pub(crate) async fn token_anew_within(&self, deadline: Instant) -> Result<Token, Error> {
        match self.poll_fast() {
            Some(token) => Ok(token),
            None => some(self.shared.wait(Want::Anew, deadline).await),
        }
    }

    /// Invalidates `refused` and returns another token, or `None` if there is no other to be had:
    /// the source gives the same one again, or the last refusal was a moment ago.
    pub(crate) async fn token_instead_of(
        &self,
        refused: &Token,
        deadline: Instant,
    ) -> Result<Option<Token>, Error> {
        self.invalidate(refused);
        self.shared.wait(Want::OtherThan(refused), deadline).await
    }

    /// When a caller without a deadline leaves: late enough to see the fetch end at its own.
    fn patience() -> Instant {
        Instant::now() + Self::FETCH_TIMEOUT + state::OVERDUE
    }
}

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
