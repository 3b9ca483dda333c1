//! What a cache reports about itself.

use std::time::{Duration, SystemTime};

use super::instant::Now;
use super::state::{Counts, State};
use crate::Error;

/// A snapshot of the state of one cache, for health pages and logs.
///
/// It holds no token. [`Credentials::status`](crate::Credentials::status) returns it.
///
/// ```
/// use gcp_iam_credentials::{Credentials, Token};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), gcp_iam_credentials::Error> {
/// let credentials = Credentials::from_fn(|| async { Token::new("t", None) });
/// credentials.token().await?;
///
/// let status = credentials.status();
/// assert_eq!((status.fetches(), status.failures()), (1, 0));
/// assert!(!status.is_failing());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CacheStatus {
    expires_at: Option<SystemTime>,
    last_refresh: Option<SystemTime>,
    last_error: Option<Error>,
    is_failing: bool,
    is_fetching: bool,
    next_attempt: Option<SystemTime>,
    counts: Counts,
    identity_change: Option<String>,
}

impl CacheStatus {
    pub(super) fn new(state: &State, now: Now, identity_change: Option<&str>) -> Self {
        let at = |mono: Duration| now.wall.checked_add(mono.saturating_sub(now.mono));
        Self {
            expires_at: state.token().and_then(|token| token.expires_at()),
            last_refresh: state.refreshed_at(),
            last_error: state.last_error().cloned(),
            is_failing: state.present_error().is_some(),
            is_fetching: state.is_fetching(now),
            next_attempt: state.next_fetch(now).and_then(at),
            counts: state.counts(),
            identity_change: identity_change.map(str::to_owned),
        }
    }

    /// Returns when the cached token expires; `None` if no token is cached, or if it doesn't
    /// expire.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Returns when the last successful fetch ended.
    pub fn last_refresh(&self) -> Option<SystemTime> {
        self.last_refresh
    }

    /// Returns the error of the last fetch that failed. A later success doesn't clear it.
    pub fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }

    /// Returns whether the last fetch failed. A cached token is served nevertheless, as long as it
    /// is live.
    pub fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// Returns whether a fetch is in progress.
    pub fn is_fetching(&self) -> bool {
        self.is_fetching
    }

    /// Returns the earliest time at which a use of the credentials starts a fetch; `None` if the
    /// cached token doesn't expire. If it is the present, the next use starts a fetch, or joins
    /// the one in progress.
    pub fn next_attempt(&self) -> Option<SystemTime> {
        self.next_attempt
    }

    /// Returns in which way the identity is, or may be, another one than when the credentials were
    /// made: their file was replaced. `None` if it was the same at the last fetch.
    pub fn identity_change(&self) -> Option<&str> {
        self.identity_change.as_deref()
    }

    /// Returns how many fetches have begun.
    pub fn fetches(&self) -> u64 {
        self.counts.fetches
    }

    /// Returns how many fetches have failed.
    pub fn failures(&self) -> u64 {
        self.counts.failures
    }

    /// Returns how many cached tokens were invalidated because an API rejected them.
    pub fn invalidations(&self) -> u64 {
        self.counts.invalidations
    }
}
