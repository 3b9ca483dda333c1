//! The emulator's clock, which a test can move.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The furthest the clock moves in all, so that no instant overflows: a hundred years.
const FURTHEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Two ideas of time. The *timeline* decides what has expired: it runs with the machine and only
/// ever jumps forward. The *shown* time is what a caller reads in answers and what the claims of
/// its assertions are compared with: the timeline plus a skew.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    advanced_ms: AtomicU64,
    skew_ms: AtomicI64,
}

impl Clock {
    /// Now, on the timeline.
    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_millis(self.advanced_ms.load(Ordering::Relaxed))
    }

    /// What callers are told for `instant` of the timeline.
    pub(crate) fn shown(&self, instant: SystemTime) -> SystemTime {
        let skew = self.skew_ms.load(Ordering::Relaxed);
        let distance = Duration::from_millis(skew.unsigned_abs());
        if skew < 0 {
            instant.checked_sub(distance).unwrap_or(UNIX_EPOCH)
        } else {
            instant.checked_add(distance).unwrap_or(instant)
        }
    }

    /// Now, as callers are told it, in whole seconds since 1970.
    pub(crate) fn shown_unix(&self) -> i64 {
        unix(self.shown(self.now()))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let by = millis(by);
        let furthest = millis(FURTHEST);
        // The closure always returns `Some`, so the update cannot fail.
        let _ = self.advanced_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |advanced| {
            Some(advanced.saturating_add(by).min(furthest))
        });
    }

    /// Shows callers a time that is `ahead` of the timeline, or behind it if `behind` is set.
    pub(crate) fn skew(&self, distance: Duration, behind: bool) {
        let distance = i64::try_from(millis(distance.min(FURTHEST))).unwrap_or(i64::MAX);
        self.skew_ms.store(if behind { -distance } else { distance }, Ordering::Relaxed);
    }

    pub(crate) fn advanced(&self) -> Duration {
        Duration::from_millis(self.advanced_ms.load(Ordering::Relaxed))
    }

    /// The skew in milliseconds, negative if callers are shown a time behind the timeline.
    pub(crate) fn skew_ms(&self) -> i64 {
        self.skew_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.advanced_ms.store(0, Ordering::Relaxed);
        self.skew_ms.store(0, Ordering::Relaxed);
    }
}

/// Whole seconds since 1970; instants before it do not occur here and count as 0.
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
        clock.skew(Duration::from_secs(600), true);
        assert!(clock.now().duration_since(before).unwrap() < Duration::from_secs(60));
        assert_eq!(clock.shown(before), before - Duration::from_secs(600));
        clock.skew(Duration::from_secs(600), false);
        assert_eq!(clock.shown(before), before + Duration::from_secs(600));
    }

    #[test]
    fn the_clock_never_overflows() {
        let clock = Clock::default();
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        clock.skew(Duration::MAX, false);
        assert!(clock.shown_unix() > 0);
        clock.skew(Duration::MAX, true);
        assert!(clock.shown_unix() >= 0);
        clock.reset();
        assert_eq!(clock.advanced(), Duration::ZERO);
    }
}
