//! How many fetches may start in a minute.

use std::time::Duration;

/// A limit on how many fetches start in any window of [`WINDOW`](Self::WINDOW).
///
/// A token bucket, in the form of the generic cell rate algorithm: a small burst may start at once,
/// and then one every [`spacing`](Self::spacing). The promise is about every window, so the burst and
/// what follows it in the window are no more than the limit together.
///
/// All times count from a fixed point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    limit: u32,
    /// By how much each fetch moves `full_at`.
    spacing: Duration,
    /// How far ahead `full_at` may be when a fetch starts.
    tolerance: Duration,
    /// When the whole burst is allowed again.
    full_at: Duration,
}

impl Quota {
    /// The window of the limit.
    pub(super) const WINDOW: Duration = Duration::from_secs(60);

    /// At most this share of the limit starts at once.
    const BURST_SHARE: u32 = 60;

    /// Makes a quota of `limit` fetches; `None` if `limit` is zero. A fetch may start up to `delay`
    /// later than [`take`](Self::take) allowed it to.
    pub(super) fn new(limit: u32, delay: Duration) -> Option<Self> {
        if limit == 0 {
            return None;
        }
        let burst = (limit / Self::BURST_SHARE).max(1);
        // What starts in a window was allowed in one that is longer by the delay: the burst, and one
        // for each whole spacing in it. A nanosecond more makes that true with rounding, too.
        let spacing = (Self::WINDOW + delay) / (limit - burst + 1) + Duration::from_nanos(1);
        Some(Self { limit, spacing, tolerance: spacing * (burst - 1), full_at: Duration::ZERO })
    }

    /// Takes in that a fetch may start now. Returns whether it may.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let may_start = now >= self.next();
        if may_start {
            self.full_at = self.full_at.max(now) + self.spacing;
        }
        may_start
    }

    /// Returns from when on one more fetch may start.
    pub(super) fn next(&self) -> Duration {
        self.full_at.saturating_sub(self.tolerance)
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// Returns the time between two fetches after a burst.
    pub(super) fn spacing(&self) -> Duration {
        self.spacing
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::random::Random;

    const DELAY: Duration = Duration::from_secs(1);

    fn quota(limit: u32) -> Quota {
        Quota::new(limit, DELAY).unwrap()
    }

    /// The most that is allowed in any closed window, if fetches want to start at all of `times`.
    fn most_in_a_window(quota: &mut Quota, times: impl Iterator<Item = Duration>, window: Duration) -> usize {
        let mut recent = VecDeque::new();
        let mut most = 0;
        for now in times {
            while quota.take(now) {
                recent.push_back(now);
                while recent.front().is_some_and(|&first| now - first > window) {
                    recent.pop_front();
                }
                most = most.max(recent.len());
            }
        }
        most
    }

    /// conf: N5
    #[test]
    fn no_window_has_more_than_the_limit_and_no_promise_is_too_careful() {
        for limit in [1, 2, 3, 59, 60, 61, 119, 120, 1000, 48_000] {
            let step = quota(limit).spacing();
            let times = (0..3 * limit).map(|tick| step * tick);
            let most = most_in_a_window(&mut quota(limit), times, Quota::WINDOW + DELAY);
            assert_eq!(most, limit as usize, "of {limit}");
        }
    }

    /// conf: N5
    #[test]
    fn random_times_and_pauses_of_the_clock_never_bring_more_than_the_limit() {
        for seed in 0..300 {
            let mut random = Random::new(seed);
            let limit = *random.choose(&[1, 2, 7, 60, 61, 130, 977]);
            let mut now = Duration::ZERO;
            let times: Vec<_> = (0..2000)
                .map(|_| {
                    now += match random.within(0..20) {
                        0 => random.millis(0..200_000),
                        1..5 => random.millis(0..2000),
                        5..10 => Duration::from_nanos(random.within(0..3)),
                        _ => random.millis(0..30),
                    };
                    now
                })
                .collect();
            let most = most_in_a_window(&mut quota(limit), times.into_iter(), Quota::WINDOW + DELAY);
            assert!(most <= limit as usize, "seed {seed}: {most} of {limit}");
        }
    }

    #[test]
    fn the_smallest_and_the_largest_limit_are_no_overflow() {
        assert!(Quota::new(0, DELAY).is_none());
        let mut one = quota(1);
        assert!(one.take(Duration::ZERO) && !one.take(Duration::from_secs(61)));
        assert!(one.take(Duration::from_nanos(61_000_000_001)));
        let mut most = quota(u32::MAX);
        assert!((0..1000).all(|_| most.take(Duration::ZERO)));
        assert!(most.spacing() > Duration::ZERO && most.next() <= Duration::from_secs(1));
    }
}
