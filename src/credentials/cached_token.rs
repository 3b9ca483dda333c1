//! A token in the cache with its limits, on both clocks.

use std::time::{Duration, SystemTime};

use super::instant::{Limit, Now};
use crate::source::CacheHints;
use crate::{Error, Token};

/// How long before its expiry a token is stale; at most a [`STALE_SHARE`]th of its life.
pub(super) const STALE_MARGIN: Duration = Duration::from_secs(225);
const STALE_SHARE: u32 = 4;
/// The fraction of itself by which jitter widens the stale margin: 270 s at most, which is less than
/// the five minutes for which the metadata server returns the old token again.
const STALE_JITTER: f64 = 0.2;
/// How long before its expiry a token is served only if there is no newer one; at most a
/// [`HARD_SHARE`]th of its life.
pub(super) const HARD_MARGIN: Duration = Duration::from_secs(10);
const HARD_SHARE: u32 = 10;
/// At least this share of a token's life passes before it is stale, whatever the source's hints say.
const FRESH_SHARE: u32 = 10;
/// The least time for which a token is used that the source returned again.
const REUSE_TIME: Duration = Duration::from_secs(1);

/// A token in the cache.
#[derive(Debug)]
pub(super) struct CachedToken {
    token: Token,
    /// `None` if the token never expires.
    end: Option<End>,
    stale_margin: Duration,
    hard_margin: Duration,
}

/// The end of a token's life on both clocks. The monotonic clock isn't affected by a wrong or
/// corrected wall clock, and the wall clock runs on while the machine is suspended.
#[derive(Clone, Copy, Debug)]
struct End {
    mono: Duration,
    wall: Option<SystemTime>,
}

impl CachedToken {
    /// Computes the limits of a token that was requested at `sent` and arrived at `now`.
    ///
    /// The life counts from `sent`, and `max_lifetime` bounds it, so a local clock that is behind
    /// doesn't extend it.
    ///
    /// # Errors
    ///
    /// `InvalidReply` if the token has expired. `Timeout`, which is transient, if only `max_lifetime` says
    /// so: the fetch took longer than the token lives, and the next one may be faster.
    pub(super) fn new(
        token: Token,
        sent: Now,
        now: Now,
        hints: CacheHints,
        jitter: f64,
    ) -> Result<Self, Error> {
        let reported = token.expires_at().map(|at| at.duration_since(sent.wall).unwrap_or_default());
        let Some(life) = reported.into_iter().chain(hints.max_lifetime()).min() else {
            let (stale_margin, hard_margin) = Default::default();
            return Ok(Self { token, end: None, stale_margin, hard_margin });
        };
        if life.is_zero() {
            return Err(Error::invalid_reply(
                "the source returned a token that has already expired; check the local clock",
            ));
        }
        let end = End { mono: sent.mono.saturating_add(life), wall: sent.wall.checked_add(life) };
        let stale_margin = hints.renews_at().unwrap_or_else(|| {
            let margin = STALE_MARGIN.min(life / STALE_SHARE);
            margin + margin.mul_f64(STALE_JITTER * jitter.clamp(0.0, 1.0))
        });
        let stale_margin = stale_margin.min(life - life / FRESH_SHARE);
        let hard_margin = HARD_MARGIN.min(life / HARD_SHARE).min(stale_margin);
        let cached = Self { token, end: Some(end), stale_margin, hard_margin };
        match cached.is_live(now) {
            true => Ok(cached),
            false if reported.is_none_or(|life| life > now.mono.saturating_sub(sent.mono)) => {
                Err(Error::timeout("the fetch took longer than the token lives", None))
            }
            false => Err(Error::invalid_reply("the token expired before it arrived")),
        }
    }

    /// Lets the token become stale earlier at random, after half of what is left of its life at the
    /// earliest: for one of many tokens that arrive together and would be refreshed together.
    pub(super) fn spread(mut self, now: Now, jitter: f64) -> Self {
        if self.end.is_some() {
            let room = (self.left(now) / 2).saturating_sub(self.stale_margin);
            self.stale_margin += room.mul_f64(jitter.clamp(0.0, 1.0));
        }
        self
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// What is left of the token's life: zero if it has expired.
    pub(super) fn left(&self, now: Now) -> Duration {
        let Some(end) = self.end else { return Duration::MAX };
        let mono = end.mono.saturating_sub(now.mono);
        match end.wall {
            Some(wall) => mono.min(wall.duration_since(now.wall).unwrap_or_default()),
            None => mono,
        }
    }

    pub(super) fn is_live(&self, now: Now) -> bool {
        !self.left(now).is_zero()
    }

    /// A token with no more than this left is stale.
    pub(super) fn stale_margin(&self) -> Duration {
        self.stale_margin
    }

    /// A token with no more than this left is served only if there is no newer one.
    pub(super) fn hard_margin(&self) -> Duration {
        self.hard_margin
    }

    /// When the token becomes stale, when its last part begins, and when it ends.
    pub(super) fn limits(&self) -> impl Iterator<Item = Limit> + Clone + use<> {
        let margins = [self.stale_margin, self.hard_margin, Duration::ZERO];
        self.end.into_iter().flat_map(move |end| {
            margins.into_iter().map(move |margin| Limit {
                mono: Some(end.mono.saturating_sub(margin)),
                wall: end.wall.and_then(|wall| wall.checked_sub(margin)),
            })
        })
    }

    /// Takes in that the source returned the same token again at `now`, as `again`.
    ///
    /// A later expiry extends the life. The same expiry doesn't, even if the clocks have changed
    /// since: the earlier end counts. But a token that has ended by its first reading lives as long
    /// as the source says now.
    pub(super) fn returned_again(self, again: Self, now: Now) -> Self {
        let expiries = self.token.expires_at().zip(again.token.expires_at());
        let is_extended = expiries.is_some_and(|(old, new)| new > old);
        if is_extended || !self.is_live(now) {
            return again;
        }
        let token = if again.token.expires_at().is_some() { again.token } else { self.token };
        let end = self.end.zip(again.end).map(|(old, new)| old.earlier(new)).or(self.end).or(again.end);
        let kept = Self { token, end, ..self };
        // The source has no newer token. It is asked again when half of what is left has passed.
        let left = kept.left(now);
        let stale_margin = kept.stale_margin.min(left / 2).min(left.saturating_sub(REUSE_TIME));
        Self { stale_margin, hard_margin: kept.hard_margin.min(stale_margin), ..kept }
    }
}

impl End {
    fn earlier(self, other: Self) -> Self {
        Self { mono: self.mono.min(other.mono), wall: self.wall.into_iter().chain(other.wall).min() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn wall(at: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + secs(1_780_000_000 + at)
    }

    /// The present on both clocks.
    fn now(mono: u64, wall_at: u64) -> Now {
        Now { mono: secs(mono), wall: wall(wall_at) }
    }

    /// A token that was fetched now, and ends then by the wall clock.
    fn fetched(now: Now, end: Option<u64>) -> CachedToken {
        let token = Token::new("t", end.map(wall)).unwrap();
        CachedToken::new(token, now, now, CacheHints::new(), 0.0).unwrap()
    }

    /// conf: M8, M22
    #[test]
    fn the_same_expiry_does_not_extend_the_life_if_a_clock_was_set_back() {
        let token =
            fetched(now(0, 0), Some(1000)).returned_again(fetched(now(100, 40), Some(1000)), now(100, 40));
        assert_eq!(token.left(now(100, 40)), secs(900));
        assert_eq!(token.left(now(999, 40)), secs(1));
        assert!(!token.is_live(now(1000, 40)) && !token.is_live(now(100, 1000)));
    }

    /// conf: M8, M22
    #[test]
    fn the_same_expiry_shortens_the_life_if_a_clock_was_behind() {
        let token =
            fetched(now(0, 0), Some(1000)).returned_again(fetched(now(100, 600), Some(1000)), now(100, 600));
        assert_eq!(token.left(now(100, 0)), secs(400));
    }

    /// conf: A4
    #[test]
    fn a_token_that_had_ended_by_a_wrong_clock_lives_again_when_the_source_returns_it() {
        let by_a_clock_ahead = fetched(now(0, 600), Some(1000));
        let token = by_a_clock_ahead.returned_again(fetched(now(400, 400), Some(1000)), now(400, 400));
        assert_eq!(token.left(now(400, 400)), secs(600));
    }

    /// conf: A4
    #[test]
    fn a_later_expiry_replaces_all_limits() {
        let token =
            fetched(now(0, 0), Some(1000)).returned_again(fetched(now(100, 100), Some(4000)), now(100, 100));
        assert_eq!(token.left(now(100, 100)), secs(3900));
        assert_eq!(token.token().expires_at(), Some(wall(4000)));
        assert_eq!((token.stale_margin(), token.hard_margin()), (secs(225), secs(10)));
    }

    #[test]
    fn an_expiry_that_is_reported_later_counts_and_one_that_is_not_reported_again_stays() {
        for (first, second) in [(None, Some(1000)), (Some(1000), None)] {
            let token = fetched(now(0, 0), first).returned_again(fetched(now(0, 0), second), now(0, 0));
            assert_eq!((token.left(now(0, 0)), token.token().expires_at()), (secs(1000), Some(wall(1000))));
        }
    }

    /// conf: M22
    #[test]
    fn a_token_that_came_back_is_due_when_half_of_what_is_left_has_passed_but_not_at_once() {
        for (left, due) in [(200, 100_000), (12, 6000), (3, 1500)] {
            let again = now(1000 - left, 1000 - left);
            let token = fetched(now(0, 0), Some(1000)).returned_again(fetched(again, Some(1000)), again);
            assert_eq!(token.stale_margin(), Duration::from_millis(due), "{left} s left");
            assert_eq!(token.hard_margin(), secs(10).min(token.stale_margin()), "{left} s left");
        }
        let again = now(999, 999);
        let token = fetched(now(0, 0), Some(1000)).returned_again(fetched(again, Some(1000)), again);
        assert_eq!((token.stale_margin(), token.hard_margin()), (Duration::ZERO, Duration::ZERO));
    }

    /// conf: A5
    #[test]
    fn a_tenth_of_a_life_passes_before_a_token_is_stale() {
        let hints = CacheHints::new().with_renews_at(secs(20));
        for (life, stale) in [(10, 9), (20, 18), (1000, 20)] {
            let token = Token::new("t", wall(life)).unwrap();
            let cached = CachedToken::new(token, now(0, 0), now(0, 0), hints, 1.0).unwrap();
            assert_eq!(cached.stale_margin(), secs(stale), "a life of {life} s");
        }
    }
}
