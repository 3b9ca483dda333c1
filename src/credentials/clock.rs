//! The clocks of one cache, and the jitter that spreads its refreshes. All reads are here.

#[cfg(test)]
pub(super) mod manual;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// A wall clock that runs with tokio's clock, and jitter that is the same in each run. Clones draw from
/// one sequence.
///
/// The machine's wall clock goes on while tokio's is paused, so with that one, how fast the machine is
/// would decide when a token is due.
#[derive(Clone, Debug)]
pub(crate) struct JitterSeed(Arc<Seeded>);

#[derive(Debug)]
struct Seeded {
    state: AtomicU64,
    /// The time on both clocks when the seed was made.
    began: (SystemTime, Instant),
}

impl JitterSeed {
    pub(crate) fn new(seed: u64) -> Self {
        let began = (SystemTime::now(), Instant::now());
        Self(Arc::new(Seeded { state: AtomicU64::new(seed), began }))
    }
}

impl TimeSource for JitterSeed {
    fn wall(&self) -> SystemTime {
        let (wall, mono) = self.0.began;
        wall + mono.elapsed()
    }

    /// The generator SplitMix64.
    fn jitter(&self) -> f64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let state = self.0.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
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
