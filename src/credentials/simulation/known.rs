//! What the cache has been told about a token, and what it may conclude from that.

use std::time::{Duration, SystemTime};

use super::clocks::Clocks;
use crate::source::CacheHints;

const NEVER: Duration = Duration::MAX;

/// A token that reached the cache.
#[derive(Clone, Debug)]
pub(super) struct Known {
    expires_at: Option<SystemTime>,
    /// The end by the clock that never jumps, and by the local one. `None` is never.
    mono_end: Option<Duration>,
    wall_end: Option<SystemTime>,
    /// With no more than this left, the source may be asked for the next one.
    pub(super) renewed_at: Duration,
    /// With no more than this left, it must be asked again even soon after a failure.
    pub(super) last_part: Duration,
    pub(super) rejected: bool,
    /// How often, and when last, the source returned the token although it was told of a rejection.
    pub(super) returned: Option<(u32, Duration)>,
}

/// When a fetch began, on the clock that never jumps and on the local one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) mono: Duration,
    pub(super) wall: SystemTime,
}

impl Known {
    /// Returns what a reply says about its token; `None` if the token has ended.
    ///
    /// The life counts from when the request was sent, and the hint limits it.
    pub(super) fn new(
        expires_at: Option<SystemTime>,
        sent: Sent,
        hints: CacheHints,
        clocks: &Clocks,
    ) -> Option<Self> {
        let reported = expires_at.map(|end| end.duration_since(sent.wall).unwrap_or_default());
        let life = reported.into_iter().chain(hints.max_lifetime()).min();
        let known = Self {
            expires_at,
            mono_end: life.map(|life| sent.mono + life),
            wall_end: life.map(|life| sent.wall + life),
            renewed_at: life.map_or(Duration::ZERO, |life| life / 10 * 9),
            last_part: life.map_or(Duration::ZERO, |life| {
                (life / 10).min(hints.renews_at().unwrap_or(life)).min(Duration::from_secs(10))
            }),
            rejected: false,
            returned: None,
        };
        (known.left(clocks) > Duration::ZERO).then_some(known)
    }

    /// Takes in that the source returned the same token again, as `again`. A later expiry counts. The
    /// same one doesn't prolong the life, unless the token had ended by what was known so far.
    pub(super) fn returned_again(&mut self, again: Self, clocks: &Clocks) {
        let is_later = self.expires_at.zip(again.expires_at).is_some_and(|(old, new)| new > old);
        let (rejected, returned) = (self.rejected, self.returned);
        if is_later || self.left(clocks).is_zero() {
            *self = Self { rejected, returned, ..again };
            return;
        }
        self.mono_end = self.mono_end.into_iter().chain(again.mono_end).min();
        self.wall_end = self.wall_end.into_iter().chain(again.wall_end).min();
        self.expires_at = again.expires_at.or(self.expires_at);
        let left = self.left(clocks);
        self.renewed_at = self.renewed_at.min(left.saturating_sub(Duration::from_secs(1)));
        self.last_part = self.last_part.min(left / 2).min(left.saturating_sub(Duration::from_secs(1)));
    }

    /// What is left of the token's life, by the clock with less left.
    pub(super) fn left(&self, clocks: &Clocks) -> Duration {
        self.left_by(clocks, clocks.wall())
    }

    /// The least and the most that may be left, as far as the cache has to know.
    pub(super) fn left_range(&self, clocks: &Clocks) -> (Duration, Duration) {
        let left = || clocks.walls().map(|wall| self.left_by(clocks, wall));
        (left().min().unwrap_or_default(), left().max().unwrap_or_default())
    }

    fn left_by(&self, clocks: &Clocks, wall: SystemTime) -> Duration {
        let by_mono = self.mono_end.map_or(NEVER, |end| end.saturating_sub(clocks.mono()));
        let by_wall = self.wall_end.map_or(NEVER, |end| end.duration_since(wall).unwrap_or_default());
        by_mono.min(by_wall)
    }
}
