//! The clocks of one cache, and the jitter that spreads its refreshes. All reads are here.

#[cfg(test)]
pub(super) mod manual;

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::instant::{Now, nanos};
use crate::retry::random_fraction;

/// What a cache can't compute by itself. Tests inject their own.
///
/// The monotonic clock isn't part of it: it is tokio's, which a test can pause, so that a token's
/// limits and a fetch's deadline always follow the same clock.
pub(crate) trait TimeSource: Send + Sync {
    /// The wall clock. Read at most once a second while a token is fresh.
    fn wall(&self) -> SystemTime;

    /// A fraction from 0 to 1, new for each fetch.
    fn jitter(&self) -> f64;
}

/// The machine's clock, and real randomness.
pub(super) struct SystemTimeSource;

impl TimeSource for SystemTimeSource {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn jitter(&self) -> f64 {
        random_fraction()
    }
}

/// Both clocks of a cache.
pub(super) struct Clock {
    /// The monotonic clock counts from here.
    origin: Instant,
    /// Takes no memory of its own for [`SystemTimeSource`], which is empty.
    source: Box<dyn TimeSource>,
}

impl Clock {
    pub(super) fn new(source: impl TimeSource + 'static) -> Self {
        Self { origin: Instant::now(), source: Box::new(source) }
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: self.mono(), wall: self.source.wall() }
    }

    /// The monotonic clock alone, in nanoseconds.
    #[inline]
    pub(super) fn mono_nanos(&self) -> u64 {
        nanos(self.mono())
    }

    /// The runtime's instant for a reading of the monotonic clock.
    pub(super) fn instant(&self, mono: Duration) -> Instant {
        // It is at most a minute ahead, so it can be represented.
        self.origin.checked_add(mono).unwrap_or(self.origin)
    }

    pub(super) fn jitter(&self) -> f64 {
        self.source.jitter()
    }

    #[inline]
    fn mono(&self) -> Duration {
        Instant::now().saturating_duration_since(self.origin)
    }
}
