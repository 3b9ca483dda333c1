//! What a cache tells about itself.

use std::time::{Duration, SystemTime};

use super::Now;
use super::state::{Counts, State};
use crate::Error;

/// How the tokens of some [`Credentials`](crate::Credentials) fare: for health pages and logs.
///
/// A picture of one instant. It holds no token.
#[derive(Clone, Debug)]
pub struct CacheStatus {
    expires_at: Option<SystemTime>,
    last_refresh: Option<SystemTime>,
    last_error: Option<Error>,
    is_failing: bool,
    is_fetching: bool,
    next_attempt: Option<SystemTime>,
    counts: Counts,
}

impl CacheStatus {
    pub(super) fn new(state: &State, now: Now) -> Self {
        let at = |mono: Duration| now.wall.checked_add(mono.saturating_sub(now.mono));
        Self {
            expires_at: state.token().and_then(|token| token.expires_at()),
            last_refresh: state.refreshed_at(),
            last_error: state.last_error().cloned(),
            is_failing: state.present_error().is_some(),
            is_fetching: state.is_fetching(),
            next_attempt: state.due(now).and_then(at),
            counts: state.counts(),
        }
    }

    /// When the cached token expires; `None` where there is none, or it has no expiry.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// When the last fetch that gave a token ended.
    pub fn last_refresh(&self) -> Option<SystemTime> {
        self.last_refresh
    }

    /// Why the last failed fetch failed; it stays after later ones that succeed.
    pub fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }

    /// Whether the last fetch failed. The old token is handed out all the same, as long as it
    /// lives.
    pub fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// Whether a fetch is under way.
    pub fn is_fetching(&self) -> bool {
        self.is_fetching
    }

    /// From when on the next use starts a fetch; `None` where the token never expires. An instant
    /// in the past means: the next use does.
    pub fn next_attempt(&self) -> Option<SystemTime> {
        self.next_attempt
    }

    /// Fetches begun so far.
    pub fn fetches(&self) -> u64 {
        self.counts.fetches
    }

    /// Fetches that failed so far.
    pub fn failures(&self) -> u64 {
        self.counts.failures
    }

    /// Tokens that an API refused while they were cached.
    pub fn invalidations(&self) -> u64 {
        self.counts.refusals
    }
}
