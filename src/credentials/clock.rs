//! The clocks of one cache.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::snapshot;
use super::state::Now;

/// The clocks of one cache. All reads of a clock are here.
pub(super) struct Clock {
    /// The monotonic clock counts from here.
    origin: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: self.mono(), wall: wall() }
    }

    fn mono(&self) -> Duration {
        Instant::now().saturating_duration_since(self.origin)
    }

    #[inline]
    pub(super) fn nanos(&self) -> u64 {
        snapshot::nanos(self.mono())
    }

    /// The instant that stands at `mono`.
    pub(super) fn instant(&self, mono: Duration) -> Instant {
        // Only ever a minute ahead of now.
        self.origin.checked_add(mono).unwrap_or(self.origin)
    }
}

fn wall() -> SystemTime {
    #[cfg(test)]
    if let Some(wall) = super::testing::wall() {
        return wall;
    }
    SystemTime::now()
}
