//! What happens to the cache: fetches begin, complete and get lost, and APIs reject tokens.

use std::time::Duration;

use super::{CachedToken, Fetch, Now, Rejection, State};
use crate::credentials::failure::Failure;
use crate::source::FetchReason;
use crate::{Error, Token};

/// The pause after the first failed fetch while a token is live. It doubles with each failure.
pub(super) const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// The longest pause after a failed fetch while a token is live.
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// The least time between two refreshes that rejected tokens start, so that an API that rejects
/// every token causes no storm.
pub(super) const REJECTION_PAUSE: Duration = Duration::from_secs(30);

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
        let lost_at = now.mono.saturating_add(lost_after);
        self.fetch = Some(Fetch { id, reason, began: now, lost_at });
        if reason == FetchReason::Rejected {
            self.rejections_paused_until = now.mono.saturating_add(REJECTION_PAUSE);
        }
        id
    }

    /// Takes in a fetch's result and returns what those who waited for it get; `None` if the fetch
    /// was given up.
    pub(in crate::credentials) fn complete(
        &mut self,
        id: u64,
        now: Now,
        result: &Result<Token, Failure>,
        jitter: f64,
    ) -> Option<Result<Token, Error>> {
        let fetch = self.fetch.take_if(|fetch| fetch.id == id)?;
        let received = match result {
            Ok(token) => CachedToken::new(token.clone(), fetch.began, now, self.hints, jitter)
                .map_err(Failure::Reported),
            Err(failure) => Err(failure.clone()),
        };
        Some(match received {
            Ok(received) => {
                let token = received.token().clone();
                self.accept(received, fetch.reason, now);
                Ok(token)
            }
            Err(failure) => Err(self.fail(&failure, fetch.reason, now, jitter)),
        })
    }

    fn accept(&mut self, received: CachedToken, reason: FetchReason, now: Now) {
        self.generation += 1;
        self.failures_in_a_row = 0;
        self.retry_at = Duration::ZERO;
        self.replay_until = Duration::ZERO;
        self.refreshed_at = Some(now.wall);
        match &mut self.cached {
            Some(cached) if cached.token().is_same(received.token()) => {
                cached.returned_again(&received);
                let left = cached.left(now);
                self.pause_after_same_token(reason, left, now);
            }
            cached => {
                *cached = Some(received);
                self.rejection = Rejection::None;
            }
        }
    }

    /// Paces the fetches from a source that returned the same token again: each comes when half of
    /// the token's remaining life has passed.
    fn pause_after_same_token(&mut self, reason: FetchReason, left: Duration, now: Now) {
        match (self.rejection, reason) {
            // The source didn't know of the rejection, so it is asked again at once.
            (Rejection::Pending, reason) if reason != FetchReason::Rejected => return,
            (Rejection::Pending, _) => self.rejection = Rejection::Settled,
            (Rejection::None | Rejection::Settled, _) => {}
        }
        self.retry_at = now.mono.saturating_add(FIRST_BACKOFF.max(left / 2));
    }

    /// Takes in a failure. The cached token, if there is one, stays.
    fn fail(&mut self, failure: &Failure, reason: FetchReason, now: Now, jitter: f64) -> Error {
        let error = failure.to_error();
        self.replay_until = now.mono.saturating_add(jittered(failure.replay(&error), jitter));
        self.retry_at = now.mono.saturating_add(self.backoff(now, jitter));
        if reason == FetchReason::Rejected {
            // The retries of a fetch for a rejected token don't count as new ones.
            self.rejections_paused_until = self.retry_at;
        }
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.counts.failures += 1;
        self.last_error = Some(error.clone());
        error
    }

    /// The pause after a failure while a token is live. It ends at the token's hard margin, from
    /// which callers would have to wait.
    fn backoff(&self, now: Now, jitter: f64) -> Duration {
        let doubled = FIRST_BACKOFF.saturating_mul(1 << self.failures_in_a_row.min(10));
        let backoff = jittered(doubled.min(MAX_BACKOFF), jitter);
        let before_hard_margin =
            self.cached.as_ref().map(|cached| cached.left(now).saturating_sub(cached.hard_margin()));
        match before_hard_margin {
            Some(time) if !time.is_zero() => backoff.min(time),
            _ => backoff,
        }
    }

    /// Gives up a fetch whose task ended without a result. Returns whether it was in progress.
    pub(in crate::credentials) fn abandon(&mut self, id: u64) -> bool {
        self.fetch.take_if(|fetch| fetch.id == id).is_some()
    }

    /// Takes in that an API rejected `token`. Returns whether that changed anything, which it does
    /// once for each token, while that token is cached.
    pub(in crate::credentials) fn reject(&mut self, token: &Token) -> bool {
        let counts = self.rejection == Rejection::None && self.is_cached(token);
        if counts {
            self.rejection = Rejection::Pending;
            self.counts.invalidations += 1;
        }
        counts
    }
}

/// Shortens a pause by up to a half.
fn jittered(pause: Duration, jitter: f64) -> Duration {
    pause.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}
