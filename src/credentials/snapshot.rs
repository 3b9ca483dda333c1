//! What readers see of the cache: the token, and how long it may be handed out unasked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::Now;
use super::state::Offer;
use crate::Token;

/// How long one look at the wall clock is good for.
const WALL_INTERVAL: Duration = Duration::from_secs(1);

/// A token that may be handed out without a lock.
pub(super) struct Snapshot {
    token: Token,
    generation: u64,
    /// In nanoseconds on the monotonic clock, as are all numbers here: good until then, as far as
    /// both clocks told when the wall clock was last read.
    good_until: AtomicU64,
    end: u64,
    wall_end: Option<SystemTime>,
}

impl Snapshot {
    pub(super) fn new(token: Token, generation: u64, offer: Offer, now: Now) -> Self {
        let (end, wall_end) = (nanos(offer.mono), offer.wall);
        let snapshot = Self { token, generation, good_until: AtomicU64::new(0), end, wall_end };
        snapshot.is_good_by_both(now);
        snapshot
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// Which of the tokens that came it is.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the token is good, by the monotonic clock and the last look at the other.
    #[inline]
    pub(super) fn is_good(&self, mono: u64) -> bool {
        mono < self.good_until.load(Ordering::Relaxed)
    }

    /// Whether the token is good by both clocks; a yes is good for [`WALL_INTERVAL`].
    pub(super) fn is_good_by_both(&self, now: Now) -> bool {
        let mono = nanos(now.mono);
        let good_until = match self.wall_end {
            None => self.end,
            Some(wall_end) if now.wall < wall_end => self.end.min(mono.saturating_add(nanos(WALL_INTERVAL))),
            Some(_) => 0,
        };
        // A reader that comes between sees the old value, which is no less true.
        self.good_until.store(good_until, Ordering::Relaxed);
        mono < good_until
    }
}

/// Enough for five centuries.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
