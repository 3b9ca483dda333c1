//! What happens to the cache: fetches begin, complete and get lost, and APIs reject tokens.

use std::time::Duration;

use super::{CachedToken, Failures, Fetch, Now, State};
use crate::credentials::failure::Failure;
use crate::source::FetchReason;
use crate::{Error, Token};

/// The pause after the first failed fetch while a token is live. It doubles with each failure.
pub(super) const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// The longest pause after a failed fetch while a token is live.
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// How long a caller waits for the fetch of a better token while the cached one is live.
pub(in crate::credentials) const REPLACEMENT_WAIT: Duration = Duration::from_secs(2);
/// A fetch that waited for its turn for so long was one of many.
const CROWD: Duration = Duration::from_secs(1);

impl State {
    /// Begins a fetch, in place of one that is lost; returns its id. Without a result it is lost
    /// after `lost_after`.
    pub(in crate::credentials) fn begin_fetch(
        &mut self,
        now: Now,
        reason: FetchReason,
        lost_after: Duration,
    ) -> u64 {
        self.counts.fetches += 1;
        let id = self.counts.fetches;
        let overdue_at = now.mono.saturating_add(REPLACEMENT_WAIT);
        let lost_at = now.mono.saturating_add(lost_after);
        let fetch = Fetch { id, reason, began: now, overdue_at, lost_at, was_in_crowd: false };
        self.fetch = Some(Box::new(fetch));
        if reason == FetchReason::Rejected {
            self.rejections.get_or_insert_default().fetch_began(now.mono);
        }
        id
    }

    /// Takes in that fetch `id` waits for its turn, for up to `lost_after` before it is lost.
    pub(in crate::credentials) fn fetch_waits(&mut self, id: u64, now: Now, lost_after: Duration) {
        if let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.id == id) {
            fetch.lost_at = now.mono.saturating_add(lost_after);
        }
    }

    /// Takes in that fetch `id` starts now, after it has waited for its turn for so long. Returns
    /// whether it is in progress.
    pub(in crate::credentials) fn fetch_starts(
        &mut self,
        id: u64,
        now: Now,
        waited: Duration,
        lost_after: Duration,
    ) -> bool {
        let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.id == id) else { return false };
        fetch.began = now;
        fetch.lost_at = now.mono.saturating_add(lost_after);
        fetch.was_in_crowd = waited >= CROWD;
        true
    }

    /// Takes in a fetch's result and the source's revision before it. Returns what those who waited
    /// for it get; `None` if the fetch was given up.
    pub(in crate::credentials) fn complete(
        &mut self,
        id: u64,
        now: Now,
        revision: u64,
        result: &Result<Token, Failure>,
        jitter: f64,
    ) -> Option<Result<Token, Error>> {
        let fetch = self.fetch.take_if(|fetch| fetch.id == id)?;
        let received = match result {
            Ok(token) => CachedToken::new(token.clone(), fetch.began, now, self.hints, jitter)
                .map(|token| if fetch.was_in_crowd { token.spread(now, jitter) } else { token })
                .map_err(Failure::Reported),
            Err(failure) => Err(failure.clone()),
        };
        Some(match received {
            Ok(received) => Ok(self.accept(received, fetch.reason, now)),
            Err(failure) => {
                self.failures.get_or_insert_default().revision = revision;
                Err(self.fail(&failure, fetch.reason, now, jitter))
            }
        })
    }

    /// Takes in a token that arrived, and returns the one that is cached now.
    fn accept(&mut self, received: CachedToken, reason: FetchReason, now: Now) -> Token {
        if let Some(failures) = &mut self.failures {
            failures.in_a_row = 0;
            failures.end_pauses();
        }
        self.refreshed_at = Some(now.wall);
        let cached = match self.cached.take() {
            Some(cached) if cached.token().is_same(received.token()) => {
                if reason == FetchReason::Rejected {
                    self.rejections.get_or_insert_default().returned_again(now.mono);
                }
                cached.returned_again(received, now)
            }
            _ => {
                self.generation += 1;
                if let Some(rejections) = &mut self.rejections {
                    rejections.replaced();
                }
                received
            }
        };
        self.cached.insert(cached).token().clone()
    }

    /// Takes in a failure. The cached token, if there is one, stays.
    fn fail(&mut self, failure: &Failure, reason: FetchReason, now: Now, jitter: f64) -> Error {
        let error = failure.to_error();
        let retry_at = now.mono.saturating_add(self.backoff(now, jitter));
        if reason == FetchReason::Rejected {
            self.rejections.get_or_insert_default().fetch_failed();
        }
        self.counts.failures += 1;
        let failures = self.failures.get_or_insert_default();
        failures.retry_at = retry_at;
        failures.replay_until = now.mono.saturating_add(jittered(failure.replay(&error), jitter));
        failures.in_a_row = failures.in_a_row.saturating_add(1);
        failures.last_error = Some(error.clone());
        error
    }

    /// The pause after a failure while a token is live. It ends at the token's hard margin, from
    /// which callers would have to wait.
    fn backoff(&self, now: Now, jitter: f64) -> Duration {
        let doubled = FIRST_BACKOFF.saturating_mul(1 << self.failures().in_a_row.min(10));
        let backoff = jittered(doubled.min(MAX_BACKOFF), jitter);
        let before_hard_margin =
            self.cached.as_ref().map(|cached| cached.left(now).saturating_sub(cached.hard_margin()));
        match before_hard_margin {
            Some(time) if !time.is_zero() => backoff.min(time),
            _ => backoff,
        }
    }

    /// Takes in the source's present revision. Returns whether the source was replaced since its last
    /// failure, if no success came after that. The pauses after the failure end then.
    pub(in crate::credentials) fn source_is_at(&mut self, revision: u64) -> bool {
        let failures = self.failures.as_mut().filter(|failures| failures.in_a_row > 0);
        let Some(failures) = failures.filter(|failures| failures.revision != revision) else { return false };
        failures.end_pauses();
        true
    }

    /// Gives up a fetch whose task ended without a result. Returns whether it was in progress.
    pub(in crate::credentials) fn abandon(&mut self, id: u64) -> bool {
        let Some(fetch) = self.fetch.take_if(|fetch| fetch.id == id) else { return false };
        if fetch.reason == FetchReason::Rejected {
            self.rejections.get_or_insert_default().fetch_failed();
        }
        true
    }

    /// Takes in that an API rejected `token`. Returns whether that changed anything, which it does
    /// once for each token, while that token is cached.
    pub(in crate::credentials) fn reject(&mut self, token: &Token) -> bool {
        let counts = self.is_cached(token) && self.rejections.get_or_insert_default().reject();
        self.counts.invalidations += u64::from(counts);
        counts
    }
}

impl Failures {
    /// Lets fetches begin again.
    fn end_pauses(&mut self) {
        self.retry_at = Duration::ZERO;
        self.replay_until = Duration::ZERO;
    }
}

/// Shortens a pause by up to a half.
fn jittered(pause: Duration, jitter: f64) -> Duration {
    pause.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}
