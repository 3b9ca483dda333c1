//! The emulator's clock, which tests can move.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest time by which the clock can be moved in total, so that no instant overflows: 100 years.
const FURTHEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How far the time that clients are told differs from the emulator's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skew {
    Ahead(Duration),
    Behind(Duration),
}

/// Two kinds of time. The *timeline* decides what has expired. It runs with the machine's clock, and
/// tests can only move it forward. The *shown* time is the timeline plus a skew. Replies contain it,
/// and claims are compared with it.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    advanced_ms: AtomicU64,
    skew_ms: AtomicI64,
}

impl Clock {
    /// Returns the current time on the timeline.
    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_millis(self.advanced_ms.load(Ordering::Relaxed))
    }

    /// Returns the shown time of an instant on the timeline.
    pub(crate) fn shown(&self, instant: SystemTime) -> SystemTime {
        match self.skew() {
            Skew::Ahead(distance) => instant.checked_add(distance).unwrap_or(instant),
            Skew::Behind(distance) => instant.checked_sub(distance).unwrap_or(UNIX_EPOCH),
        }
    }

    /// Returns the current shown time, in whole seconds since 1970.
    pub(crate) fn shown_unix(&self) -> i64 {
        unix(self.shown(self.now()))
    }

    /// Moves the timeline forward.
    pub(crate) fn advance(&self, by: Duration) {
        let by = millis(by);
        let furthest = millis(FURTHEST);
        // The closure always returns `Some`, so the update cannot fail.
        let _ = self.advanced_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |advanced| {
            Some(advanced.saturating_add(by).min(furthest))
        });
    }

    /// Sets how far the shown time differs from the timeline.
    pub(crate) fn set_skew(&self, skew: Skew) {
        let signed = |distance: Duration| i64::try_from(millis(distance.min(FURTHEST))).unwrap_or(i64::MAX);
        let skew = match skew {
            Skew::Ahead(distance) => signed(distance),
            Skew::Behind(distance) => -signed(distance),
        };
        self.skew_ms.store(skew, Ordering::Relaxed);
    }

    /// Returns how far the timeline is ahead of the machine's clock.
    pub(crate) fn advanced(&self) -> Duration {
        Duration::from_millis(self.advanced_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn skew(&self) -> Skew {
        let skew = self.skew_ms.load(Ordering::Relaxed);
        let distance = Duration::from_millis(skew.unsigned_abs());
        if skew < 0 { Skew::Behind(distance) } else { Skew::Ahead(distance) }
    }

    pub(crate) fn reset(&self) {
        self.advanced_ms.store(0, Ordering::Relaxed);
        self.skew_ms.store(0, Ordering::Relaxed);
    }
}

/// Returns an instant as text: `2026-11-25T12:00:00Z`.
pub(crate) fn timestamp(instant: SystemTime) -> String {
    prost_types::Timestamp { seconds: unix(instant), nanos: 0 }.to_string()
}

/// Returns whole seconds since 1970. Earlier instants don't occur here and count as 0.
pub(crate) fn unix(instant: SystemTime) -> i64 {
    let seconds = instant.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_moves_what_is_shown_and_not_what_expires() {
        let clock = Clock::default();
        let before = clock.now();
        clock.set_skew(Skew::Behind(Duration::from_secs(600)));
        assert!(clock.now().duration_since(before).unwrap() < Duration::from_secs(60));
        assert_eq!(clock.shown(before), before - Duration::from_secs(600));
        clock.set_skew(Skew::Ahead(Duration::from_secs(600)));
        assert_eq!(clock.shown(before), before + Duration::from_secs(600));
    }

    #[test]
    fn the_clock_never_overflows() {
        let clock = Clock::default();
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        clock.set_skew(Skew::Ahead(Duration::MAX));
        assert!(clock.shown_unix() > 0);
        clock.set_skew(Skew::Behind(Duration::MAX));
        assert!(clock.shown_unix() >= 0);
        clock.reset();
        assert_eq!(clock.advanced(), Duration::ZERO);
    }
}
