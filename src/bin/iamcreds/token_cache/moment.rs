//! The time, by two clocks.

use std::time::{Duration, SystemTime};

/// A moment by the machine's clock, which people and services set, and by a clock that only ticks.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) time: SystemTime,
    /// The time since the machine started, sleep included. Zero if the system can't tell.
    pub(crate) uptime: Duration,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { time: SystemTime::now(), uptime: uptime() }
    }
}

#[cfg(unix)]
fn uptime() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    // Both tick while the machine sleeps.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: ClockId = ClockId::Monotonic;
    Duration::try_from(clock_gettime(CLOCK)).unwrap_or_default()
}

#[cfg(not(unix))]
fn uptime() -> Duration {
    Duration::ZERO
}
