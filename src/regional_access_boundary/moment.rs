//! The present on both clocks.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::credentials::TimeSource;

/// The present, or another instant, on both clocks. The monotonic clock isn't affected by a corrected
/// wall clock, and the wall clock runs on while the machine is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Since the clock was made.
    pub(super) mono: Duration,
    pub(super) wall: SystemTime,
}

impl Moment {
    /// Returns the instant after `time`.
    pub(super) fn after(self, time: Duration) -> Self {
        Self {
            mono: self.mono.saturating_add(time),
            wall: self.wall.checked_add(time).unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }

    /// Whether `self` has been reached by one of the clocks.
    pub(super) fn is_past(self, now: Self) -> bool {
        now.mono >= self.mono || now.wall >= self.wall
    }
}

/// tokio's clock, which tests can pause, and a wall clock, which tests inject.
#[derive(Clone)]
pub(super) struct Clock {
    origin: Instant,
    time: Option<Arc<dyn TimeSource>>,
}

impl Clock {
    /// Creates a clock whose wall clock is `time`, or the machine's.
    pub(super) fn new(time: Option<Arc<dyn TimeSource>>) -> Self {
        Self { origin: Instant::now(), time }
    }

    pub(super) fn now(&self) -> Moment {
        let wall = self.time.as_ref().map_or_else(SystemTime::now, |time| time.wall());
        Moment { mono: Instant::now().saturating_duration_since(self.origin), wall }
    }
}
