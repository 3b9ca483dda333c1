//! Instants on the two clocks of a cache.

use std::time::{Duration, SystemTime};

/// The present, on both clocks. The monotonic clock counts from a fixed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) mono: Duration,
    pub(crate) wall: SystemTime,
}

impl Now {
    /// The instant at which `limit` is reached if both clocks run on evenly; `None` if it never is.
    pub(super) fn at(self, limit: Limit) -> Option<Self> {
        let by_mono = limit.mono.map(|mono| mono.saturating_sub(self.mono));
        let by_wall = limit.wall.map(|wall| wall.duration_since(self.wall).unwrap_or_default());
        let wait = by_mono.into_iter().chain(by_wall).min()?;
        let wall = self.wall.checked_add(wait).unwrap_or(self.wall);
        Some(Self { mono: self.mono.saturating_add(wait), wall })
    }
}

/// An instant that is reached as soon as either clock shows it. `None` is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) mono: Option<Duration>,
    pub(super) wall: Option<SystemTime>,
}

impl Limit {
    /// An instant of the monotonic clock alone.
    pub(super) fn mono(mono: Duration) -> Self {
        Self { mono: Some(mono), wall: None }
    }

    /// On each clock, the earliest of `limits` that comes after `now`.
    pub(super) fn next_of(limits: impl Iterator<Item = Self> + Clone, now: Now) -> Self {
        Self {
            mono: limits.clone().filter_map(|limit| limit.mono).filter(|&mono| mono > now.mono).min(),
            wall: limits.filter_map(|limit| limit.wall).filter(|&wall| wall > now.wall).min(),
        }
    }
}

/// Nanoseconds, which fit into one atomic number for five centuries.
#[inline]
pub(super) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}
