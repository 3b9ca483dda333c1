//! A cached token and what is left of its life, on both clocks.

use std::time::{Duration, SystemTime};

use super::Now;
use crate::source::CacheHints;
use crate::{Error, Token};

/// How long before its expiry a token is replaced; at most [`STALE_SHARE`] of its life.
pub(super) const STALE_MARGIN: Duration = Duration::from_secs(225);
const STALE_SHARE: u32 = 4;
/// By how much of itself jitter widens the margin. 270 s at most: below the five minutes for which
/// the metadata server hands out the old token again.
const STALE_JITTER: f64 = 0.2;
/// How long before its expiry a token is served only where no newer one is to be had; at most
/// [`HARD_SHARE`] of its life.
pub(super) const HARD_MARGIN: Duration = Duration::from_secs(10);
const HARD_SHARE: u32 = 10;

/// A token in the cache.
#[derive(Debug)]
pub(super) struct Held {
    token: Token,
    /// `None` where the token never expires.
    end: Option<End>,
    stale_margin: Duration,
    hard_margin: Duration,
}

/// The end of a token's life, on both clocks: the monotonic one does not move with a wrong or
/// mended wall clock, and the wall clock goes on while the machine sleeps.
#[derive(Clone, Copy, Debug)]
struct End {
    mono: Duration,
    wall: Option<SystemTime>,
}

impl Held {
    /// Takes in a token that was asked for at `sent`.
    ///
    /// The life is counted from then, by the local clock, and is bounded by what the source says
    /// it asked for: so a local clock that runs behind does not stretch it.
    pub(super) fn new(token: Token, sent: Now, hints: CacheHints, jitter: f64) -> Result<Self, Error> {
        let told = token.expires_at().map(|at| at.duration_since(sent.wall).unwrap_or_default());
        let life = match (told, hints.max_lifetime()) {
            (Some(told), Some(most)) => told.min(most),
            (Some(life), None) | (None, Some(life)) => life,
            (None, None) => {
                let (stale_margin, hard_margin) = Default::default();
                return Ok(Self { token, end: None, stale_margin, hard_margin });
            }
        };
        if life.is_zero() {
            return Err(already_expired());
        }
        let end = End { mono: sent.mono.saturating_add(life), wall: sent.wall.checked_add(life) };
        let stale_margin = match hints.renews_at() {
            Some(renewal) => renewal,
            None => {
                let margin = STALE_MARGIN.min(life / STALE_SHARE);
                margin + margin.mul_f64(STALE_JITTER * jitter.clamp(0.0, 1.0))
            }
        };
        let hard_margin = HARD_MARGIN.min(life / HARD_SHARE).min(stale_margin);
        Ok(Self { token, end: Some(end), stale_margin, hard_margin })
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// What is left of the token's life: zero once it has expired.
    pub(super) fn left(&self, now: Now) -> Duration {
        let Some(end) = self.end else { return Duration::MAX };
        let mono = end.mono.saturating_sub(now.mono);
        match end.wall {
            Some(wall) => mono.min(wall.duration_since(now.wall).unwrap_or_default()),
            None => mono,
        }
    }

    pub(super) fn is_alive(&self, now: Now) -> bool {
        !self.left(now).is_zero()
    }

    pub(super) fn stale_margin(&self) -> Duration {
        self.stale_margin
    }

    pub(super) fn hard_margin(&self) -> Duration {
        self.hard_margin
    }

    /// Where `margin` before the end lies, on both clocks; `None` is never.
    pub(super) fn before_end(&self, margin: Duration) -> (Duration, Option<SystemTime>) {
        match self.end {
            None => (Duration::MAX, None),
            Some(End { mono, wall }) => {
                // A wall clock that cannot count so far back stands before the margin's start.
                let wall = wall.map(|wall| wall.checked_sub(margin).unwrap_or(SystemTime::UNIX_EPOCH));
                (mono.saturating_sub(margin), wall)
            }
        }
    }

    /// The same token came once more: it does not live longer for that.
    pub(super) fn came_again(&mut self, again: &Held) {
        self.end = match (self.end, again.end) {
            (Some(old), Some(new)) => {
                Some(End { mono: old.mono.min(new.mono), wall: old.wall.into_iter().chain(new.wall).min() })
            }
            (old, new) => old.or(new),
        };
    }
}

fn already_expired() -> Error {
    Error::invalid_reply("the source gave a token that has expired already; is the local clock right?")
}
