//! What readers see of the cache without its lock: the token, and until when it may be served.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::instant::{Limit, Now, nanos};
use crate::Token;
use crate::measurements::REPORT_EVERY;

/// For how long one reading of the wall clock is trusted.
const WALL_CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// A token that may be served without a lock.
pub(super) struct Snapshot {
    token: Token,
    generation: u64,
    /// The token is good until then, according to both clocks when the wall clock was last read.
    /// In nanoseconds on the monotonic clock, like `end`.
    good_until: AtomicU64,
    end: u64,
    wall_end: Option<SystemTime>,
}

impl Snapshot {
    pub(super) fn new(token: Token, generation: u64, end: Limit, now: Now) -> Self {
        let snapshot = Self {
            token,
            generation,
            good_until: AtomicU64::new(0),
            end: end.mono.map_or(u64::MAX, nanos),
            wall_end: end.wall,
        };
        snapshot.check_both_clocks(now);
        snapshot
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// The generation of the token: see [`State::generation`](super::state::State::generation).
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the token is good, by the monotonic clock and the last reading of the wall clock.
    #[inline]
    pub(super) fn is_good(&self, mono: u64) -> bool {
        mono < self.good_until.load(Ordering::Relaxed)
    }

    /// Whether the token is good by both clocks. If it is, [`is_good`](Self::is_good) says so for
    /// up to [`WALL_CLOCK_INTERVAL`], but not past the end by this reading.
    #[cold]
    pub(super) fn check_both_clocks(&self, now: Now) -> bool {
        let mono = nanos(now.mono);
        let good_until = match self.wall_end.map(|wall_end| wall_end.duration_since(now.wall)) {
            // Readers have to come by again, to report what they counted.
            None => self.end.min(mono.saturating_add(nanos(REPORT_EVERY))),
            Some(Ok(left)) if !left.is_zero() => {
                self.end.min(mono.saturating_add(nanos(left.min(WALL_CLOCK_INTERVAL))))
            }
            Some(_) => 0,
        };
        // A reader that still sees the old value sees one that was true within the interval.
        self.good_until.store(good_until, Ordering::Relaxed);
        mono < good_until
    }
}
